//! Layouts and rules of the wire, sans-IO: bytes in, values out, and back.

pub mod audio;
pub mod bitrate;
pub mod control;
pub mod feedback;
pub mod input;
pub mod keys;
pub mod launch;
pub mod loss;
pub mod pairing;
pub mod ping;
pub mod query;
pub mod rtsp;
pub mod sdp;
pub mod video;
pub mod xml;

mod reader;
mod seal;

pub use seal::Side;
