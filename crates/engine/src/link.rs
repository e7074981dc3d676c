//! What a plane supplies: the way of access units to one client, and the way of events to it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use punktfunk_core::fec::Strength;
use punktfunk_core::packet::PacketBatch;
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioRequest, CursorUpdate, Mode, PadFeedback, Reason};

use crate::session::Ending;

/// Everything that leads to one client.
pub struct ClientLink {
    /// Cuts access units into sealed packets.
    pub packetizer: Box<dyn Packetize>,
    /// Sends them.
    pub sink: Box<dyn DatagramSink>,
    /// Takes events for the client and for the plane.
    pub events: Arc<dyn ClientEvents>,
    /// Payload bytes of a video packet: what of the wire budget is video depends on it.
    pub shard_payload: u16,
    /// What audio takes from the wire budget, in bit/s.
    pub audio_bps: u64,
    /// How often a picture that does not change is encoded once more, after the first two repeats that sharpen it.
    pub repeat_every: Duration,
}

/// [`ClientLink::repeat_every`] of a client that needs nothing but to know that we live.
pub const REPEAT_EVERY: Duration = Duration::from_secs(2);

impl std::fmt::Debug for ClientLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientLink").field("shard_payload", &self.shard_payload).finish_non_exhaustive()
    }
}

/// Cuts access units into packets. Lives on the send thread.
pub trait Packetize: Send {
    /// Replaces what is in `batch` by the packets of `unit`: FEC computed, sealed, in order of emission, all equally
    /// long. Returns the unit's index on the wire; video units count up from 0 without gaps, probe units on their own.
    ///
    /// # Errors
    /// [`LinkError`]: this access unit cannot be sent and took no index.
    fn packetize(&mut self, unit: &AccessUnitOut<'_>, batch: &mut PacketBatch) -> Result<u32, LinkError>;
}

/// An access unit on its way out.
#[derive(Clone, Copy, Debug)]
pub struct AccessUnitOut<'a> {
    /// The elementary stream of one picture.
    pub data: &'a [u8],
    /// When the picture was drawn, by the session clock. Strictly rising.
    pub pts_ns: u64,
    /// It is an IDR.
    pub keyframe: bool,
    /// It refers only to pictures that the client has (answer to an invalidation).
    pub recovery_anchor: bool,
    /// It shows the same picture as the one before.
    pub repeat: bool,
    /// How strongly to protect it against loss.
    pub strength: Strength,
    /// It is filler of a speed test.
    pub probe: bool,
    /// From drawn until now: what the host has spent on it so far.
    pub host_time: Duration,
}

/// Sends packets. Lives on the send thread.
pub trait DatagramSink: Send {
    /// Sends the packets `range` of `batch`, which are contiguous and equally long. A full socket is waited for inside,
    /// but not for ever. Returns how many were handed to the kernel; a short count means that the rest was dropped.
    ///
    /// # Errors
    /// [`LinkError`]; `fatal` tells whether the session can go on.
    fn send(&mut self, batch: &PacketBatch, range: Range<usize>) -> Result<usize, LinkError>;
}

/// Everything that leads sound to one client.
pub struct AudioLink {
    /// What to capture.
    pub request: AudioRequest,
    /// Opens the encoder.
    pub codec: Arc<dyn AudioCodec>,
    /// How it is set up.
    pub config: AudioCodecConfig,
    /// Takes its packets.
    pub sink: Box<dyn AudioSink>,
}

impl std::fmt::Debug for AudioLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioLink")
            .field("request", &self.request)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Sends coded blocks of sound. Lives on the audio thread.
pub trait AudioSink: Send {
    /// Sends one packet. Blocks come in order and without gaps; while nothing plays, `silent` says so and the packet is the
    /// code of silence. `captured_ns` is the session clock's time of the block's last sample.
    ///
    /// # Errors
    /// [`LinkError`]; `fatal` ends the sound, not the session.
    fn send(&mut self, packet: &[u8], captured_ns: u64, silent: bool) -> Result<(), LinkError>;
}

/// Why there is no sound any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoundEnd {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}

/// Why something could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct LinkError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
    /// True: nothing more can be sent, the session ends. False: this frame is lost, a keyframe follows.
    pub fatal: bool,
}

/// Hears what happens in a session. Called from its threads: must not block, must not call back into the session other
/// than through `SessionControl`.
pub trait ClientEvents: Send + Sync {
    /// The last packet of a frame was handed to the kernel. Once per frame, from the send thread.
    fn frame_sent(&self, _frame: &SentFrame) {}

    /// A mode change was carried out (or refused: then the old mode). This mode is active now.
    fn mode_changed(&self, mode: Mode);

    /// No frame left for so long because the pipeline was rebuilt.
    fn pipeline_gap(&self, gap: Duration);

    /// The wire budget in force now, in kbit/s: the answer to every `SessionCommand::SetBitrate`.
    fn bitrate_changed(&self, kbps: u32);

    /// A speed test ended.
    fn probe_done(&self, outcome: &ProbeOutcome);

    /// The session moved to another encoder, or tried in vain.
    fn encoder_changed(&self, _change: &EncoderChange) {}

    /// News of a pointer that is not in the pictures, from the capture thread: at most one per refresh.
    fn cursor(&self, _update: &CursorUpdate) {}

    /// There is no sound from here on; the session goes on. At most once, from the audio thread.
    fn sound_ended(&self, _end: &SoundEnd) {}

    /// Programs hear nothing of the client's microphone from here on; the session goes on. At most once, from the
    /// microphone's thread.
    fn microphone_ended(&self, _end: &SoundEnd) {}

    /// Programs want this of the client's pad `pad` from now on. Rumble lasts until it is told to stop.
    fn pad_feedback(&self, _pad: u8, _feedback: &PadFeedback) {}

    /// The same as before, told again: rumble every [`crate::pads::RUMBLE_RENEWAL`] while it lasts, a stop two more times,
    /// everything else once. For planes whose way to the client loses messages, or whose rumble expires.
    fn pad_feedback_again(&self, _pad: u8, _feedback: &PadFeedback) {}

    /// The session's fate is decided; its threads are stopping. Exactly once. `SessionHandle::join` then returns soon.
    fn ended(&self, ending: &Ending);
}

/// One frame, sent. All times in microseconds; together the stages make up [`Self::host_us`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SentFrame {
    /// Its stamp.
    pub pts_ns: u64,
    /// Its index on the wire.
    pub index: u32,
    /// It is an IDR.
    pub keyframe: bool,
    /// It repeats the picture before.
    pub repeat: bool,
    /// Bytes of the access unit.
    pub bytes: usize,
    /// Packets of it, recovery included.
    pub packets: usize,
    /// From drawn until the last packet was handed to the kernel.
    pub host_us: u32,
    /// From drawn until readable.
    pub capture_us: u32,
    /// Waiting for the encode and the send thread.
    pub queue_us: u32,
    /// Colour conversion.
    pub convert_us: u32,
    /// Encoding.
    pub encode_us: u32,
    /// Packetizing, FEC and sealing.
    pub packetize_us: u32,
    /// From the first packet until the last.
    pub pace_us: u32,
}

/// A step on the encoder ladder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncoderChange {
    /// The encoder that failed.
    pub from: &'static str,
    /// The next one; `None` = none is left, the session ends.
    pub to: Option<&'static str>,
    /// Why the first one failed.
    pub detail: String,
}
