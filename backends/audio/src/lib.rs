//! Sound: Opus (bundled), and with the feature `pipewire` the sink and the microphone of a session.
//!
//! ```text
//! OpusCodec ─┬─ encoder ─► multistream, restricted low delay      blocks of a session's sink
//!            ├─ decoder ─► the same way back                      the measuring client
//!            └─ voice_decoder ─► one stream, one channel          a client's microphone
//! PipeWire ──┬─ source ─► blocks of what programs play
//!            └─ microphone ─► what programs record
//! ```
#![forbid(unsafe_code)]

mod codec;
#[cfg(feature = "pipewire")]
mod cut;
#[cfg(feature = "pipewire")]
mod feed;
#[cfg(feature = "pipewire")]
mod mix;
#[cfg(feature = "pipewire")]
mod pipewire;
#[cfg(feature = "pipewire")]
mod voice;

pub use codec::{OpusCodec, VoiceEncoder};
#[cfg(feature = "pipewire")]
pub use pipewire::{
    BACKEND_DEFAULT_SINK, DesktopSound, Listen, PipeWire, PipeWireMic, PipeWireSource, ServerFacts, undo,
};
