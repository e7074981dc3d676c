//! The `punktfunk/1` wire, sans-IO: no sockets, threads, clocks, files or `unsafe`.
//!
//! Time comes in as a [`Timestamp`]; bytes and randomness come in as slices; packets, events and the next deadline
//! go out. Everything decoded from the network is bounds-checked by one reader and yields values that cannot be wrong.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod clock;
pub mod close;
pub mod control;
pub mod datagram;
pub mod fec;
pub mod framing;
pub mod handshake;
pub mod input;
pub mod keys;
pub mod pace;
pub mod packet;
pub mod packetize;
pub mod pairing;
pub mod probe;
pub mod rate;
pub mod reassemble;
pub mod recover;
pub mod seal;
pub mod voice;

mod error;
mod grants;
mod hdr;
mod identity;
mod mode;
mod time;
mod wire;

pub use close::CloseCode;
pub use error::DecodeError;
pub use grants::Grants;
pub use hdr::HdrMeta;
pub use identity::Fingerprint;
pub use mode::{Codec, CodecSet, Mode};
pub use time::Timestamp;
