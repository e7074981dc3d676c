//! The `punktfunk/1` wire, sans-IO: no sockets, threads, clocks, files or `unsafe`.
//!
//! Time comes in as a [`Timestamp`]; bytes and randomness come in as slices; packets, events and the next deadline
//! go out. Everything decoded from the network is bounds-checked by one reader and yields values that cannot be wrong.
#![no_std]
#![forbid(unsafe_code)]

mod grants;
mod identity;
mod mode;
mod time;

pub use grants::Grants;
pub use identity::Fingerprint;
pub use mode::{Codec, CodecSet, Mode};
pub use time::Timestamp;
