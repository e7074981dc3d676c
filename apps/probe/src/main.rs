//! punktfunk
fn main() {}
