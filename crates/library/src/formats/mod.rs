//! The formats that stores write. Pure functions of bytes.

pub mod desktop_entry;
pub mod shell;
pub mod sqlite;
pub mod vdf;
pub mod yaml;
