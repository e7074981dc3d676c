//! Video encoders.
//!
//! ```text
//! open(config) ─► loop { order(…)*  submit(picture) ─► poll ─► EncodedFrame }  ─► drop
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Codec, Colour, Damage, FrameLayout, Mode, Reason};

/// Opens encoders. One per kind of encoder; shared by all sessions, hence `Sync`.
pub trait EncoderFactory: Send + Sync {
    /// Short stable name: `openh264`, `x264`, …
    fn name(&self) -> &'static str;
    /// What it encodes.
    fn codec(&self) -> Codec;
    /// True for the transport test encoder (`--codec none`): its access units are no video and travel under whatever
    /// codec the client names first.
    fn carries_any_codec(&self) -> bool {
        false
    }
    /// The widest and the highest picture that it takes, in pixels. Larger modes are refused before a session starts.
    fn max_size(&self) -> (u32, u32) {
        (8192, 8192)
    }
    /// Whether its encoders usually honour [`FrameOrder::Invalidate`] without an IDR; an open one's
    /// [`EncoderCaps::can_invalidate`] is binding.
    fn can_invalidate(&self) -> bool {
        false
    }
    /// Opens one. Blocking.
    ///
    /// # Errors
    /// [`OpenEncoderError`]: could not start; the next rung of the ladder may be tried.
    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError>;
}

/// The encoders on offer now, best first. Shared: what a test at run time finds is there for the next session.
#[derive(Clone, Default)]
pub struct EncoderList(Arc<Mutex<Vec<Arc<dyn EncoderFactory>>>>);

impl EncoderList {
    /// The encoders at this moment, best first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Arc<dyn EncoderFactory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces them, for sessions that are planned from now on.
    pub fn set(&self, encoders: Vec<Arc<dyn EncoderFactory>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = encoders;
    }
}

impl From<Vec<Arc<dyn EncoderFactory>>> for EncoderList {
    fn from(encoders: Vec<Arc<dyn EncoderFactory>>) -> Self {
        Self(Arc::new(Mutex::new(encoders)))
    }
}

/// Which encoders the operator allows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum EncoderChoice {
    /// Best first, software as the floor.
    #[default]
    Auto,
    /// Only the one with this name.
    Pinned(String),
}

/// How to set up an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Picture size and frame rate.
    pub mode: Mode,
    /// Target bitrate of the elementary stream in bit/s.
    pub bitrate_bps: u32,
    /// Whether the client's decoder takes several slices per picture (MULTI_SLICE).
    pub multi_slice: bool,
    /// Slices per picture that the client asked for; 0 = as few as the encoder needs for its threads.
    pub slices: u8,
    /// The largest access unit that can be sent, IDRs included; `None` = no limit. What the encoder's rate control does
    /// not keep within it, the encoder codes again.
    pub max_frame_bytes: Option<usize>,
    /// Threads the encoder may use, ≥ 1.
    pub threads: usize,
    /// What pictures are converted to, and marked as.
    pub colour: Colour,
}

impl EncoderConfig {
    /// Slices per picture for an encoder that codes each in a thread of its own, at most `most`.
    #[must_use]
    pub fn slice_count(&self, most: usize) -> usize {
        let wanted = match self.slices {
            0 if self.multi_slice => self.threads,
            slices => usize::from(slices),
        };
        wanted.clamp(1, most.max(1))
    }
}

/// What an open encoder can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderCaps {
    /// Name of the factory.
    pub name: &'static str,
    /// Library and version, e.g. `libx264 in libavcodec 59.37.100`.
    pub version: String,
    /// Whether [`FrameOrder::Invalidate`] can be honoured without an IDR.
    pub can_invalidate: bool,
}

/// An open encoder. Lives on the encode thread. One access unit per picture, no reordering, no delay, infinite GOP,
/// parameter sets in-band on every IDR, the configured colour in their VUI.
pub trait Encoder: Send {
    /// What it can do.
    fn caps(&self) -> EncoderCaps;

    /// Orders that apply from the next picture on.
    ///
    /// # Errors
    /// [`EncodeError`] if the encoder broke.
    fn order(&mut self, order: FrameOrder) -> Result<InvalidateOutcome, EncodeError>;

    /// Follows a new mode without being opened again, where the encoder can. After [`InvalidateOutcome::Done`] the next
    /// picture has the new size and is submitted with [`Keyframe::Force`].
    ///
    /// # Errors
    /// [`EncodeError`] if the encoder broke.
    fn resize(&mut self, _mode: Mode) -> Result<InvalidateOutcome, EncodeError> {
        Ok(InvalidateOutcome::Unsupported)
    }

    /// Hands over one picture. `pixels` is only read during the call. `damage` is what changed since the last picture
    /// submitted to this encoder. The size of the upright picture (after the transform) equals the configured mode.
    ///
    /// # Errors
    /// [`EncodeError`] if the encoder broke: move down the ladder.
    fn submit(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        damage: &Damage,
        keyframe: Keyframe,
    ) -> Result<(), EncodeError>;

    /// Encodes the last submitted picture once more (idle repeat, IDR on request while nothing changes). No-op picture
    /// conversion.
    ///
    /// # Errors
    /// [`EncodeError`] as for [`Self::submit`], also when nothing was submitted yet.
    fn submit_repeat(&mut self, keyframe: Keyframe) -> Result<(), EncodeError>;

    /// Moves the next access unit into `out`, whose buffers are reused. Waits at most until `deadline`. `Ok(false)`:
    /// none ready. Software encoders answer at once.
    ///
    /// # Errors
    /// [`EncodeError`] as for [`Self::submit`].
    fn poll(&mut self, out: &mut EncodedFrame, deadline: Instant) -> Result<bool, EncodeError>;
}

/// Whether a picture must be a keyframe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keyframe {
    /// An IDR with parameter sets.
    Force,
    /// Whatever continues the stream.
    Auto,
}

/// An order to an encoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameOrder {
    /// New target bitrate in bit/s, without an IDR.
    Bitrate(u32),
    /// New frame rate in Hz, without an IDR where the encoder can.
    FrameRate(u32),
    /// The client lost the access units `first..=last`, counted by the encoder from 0 at open (wrapping).
    Invalidate {
        /// First lost access unit.
        first: u32,
        /// Last lost access unit.
        last: u32,
    },
}

/// What an order led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidateOutcome {
    /// Done; for an invalidation: the next picture references only pictures the client has.
    Done,
    /// Not possible here; for an invalidation: force a keyframe instead.
    Unsupported,
}

/// One access unit.
#[derive(Clone, Debug, Default)]
pub struct EncodedFrame {
    /// The elementary stream of exactly one picture. Capacity is reused.
    pub data: Vec<u8>,
    /// Whether it is an IDR.
    pub keyframe: bool,
    /// First picture after a honoured invalidation.
    pub recovery_anchor: bool,
    /// Colour conversion (and copy) time.
    pub convert_time: Duration,
    /// Encoding time without conversion.
    pub encode_time: Duration,
}

/// An encoder could not be opened: try the next.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct OpenEncoderError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}

/// A running encoder failed: move down the ladder.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct EncodeError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}
