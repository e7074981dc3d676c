//! Layouts and rules of the wire, sans-IO: bytes in, values out, and back.

pub mod control;
pub mod launch;
pub mod pairing;
pub mod query;
pub mod xml;
