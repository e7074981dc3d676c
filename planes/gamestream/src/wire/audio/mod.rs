//! Sound packets (gamestream.md §9).
//!
//! ```text
//! coded block ── AES-128-CBC, where sound is encrypted ──► payload
//! data     = RTP (12, type 97) ‖ payload                                  4 of them, all equally long …
//! recovery = RTP (12, type 127) ‖ which, of what (12) ‖ parity            … and 2 of these after the fourth
//! ```
//!
//! Timestamps count milliseconds, blocks begin at multiples of four, and the code has a matrix of its own, which is not
//! that of video.

mod packetizer;
mod sink;

pub use packetizer::{AudioConfig, AudioKey, AudioPacketError, AudioPacketizer, MAX_DATAGRAM_BYTES};
pub use sink::{AudioOut, RtpAudioSink};
