//! Layouts and rules of the wire, sans-IO: bytes in, values out, and back.

pub mod control;
pub mod feedback;
pub mod input;
pub mod keys;
pub mod rtsp;
pub mod sdp;

mod reader;
mod seal;

pub use seal::Side;
