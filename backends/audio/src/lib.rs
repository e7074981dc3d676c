//! Sound: Opus, bundled.
//!
//! ```text
//! OpusCodec ─┬─ encoder ─► multistream, restricted low delay      blocks of a session's sink
//!            ├─ decoder ─► the same way back                      the measuring client
//!            └─ voice_decoder ─► one stream, one channel          a client's microphone
//! ```
#![forbid(unsafe_code)]

mod codec;

pub use codec::{OpusCodec, VoiceEncoder};
