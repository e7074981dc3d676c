//! A client's microphone on its way to a loudspeaker's clock (punktfunk1.md §4.8): what came is put in order, held back for
//! as long as the path makes packets late, and handed out when samples are needed.
//!
//! ```text
//! 0xCB ─► VoiceBuffer::push ─► slots by number ─► VoiceBuffer::pull ─► packet | recover | conceal | wait
//!                │ lateness                            ▲ held back by VoiceBuffer::target
//!                └────────────► Lateness (97 of 100) ──┘
//! ```
//!
//! Nothing here decodes; an Opus packet's first bytes tell how long it lasts.

mod buffer;
mod lateness;
mod opus;

pub use buffer::{Arrival, MAX_VOICE_PACKET, Play, VoiceBuffer, VoiceCounts};
pub use opus::opus_samples;

/// Samples per second of a microphone.
pub const VOICE_RATE: u32 = 48_000;

/// How long so many samples last, in ns.
const fn nanos(samples: u32) -> i64 {
    samples as i64 * 1_000_000_000 / VOICE_RATE as i64
}
