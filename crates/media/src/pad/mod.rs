//! Virtual gamepads. What all of them owe (slots, sequence rules, grants, rumble that expires) lives above these traits,
//! in the engine's pads thread; how a kind of pad looks to the kernel lives below, in a backend.
//!
//! ```text
//! client ─► SessionControl ─► pads thread ── PadReport ──► Pad ─► kernel ─► game
//!    ▲────────── ClientEvents ◄── pads thread ◄── PadFeedback ◄── PadEvents ◄──┘   (from the pad's own thread)
//! ```

mod feedback;
mod kind;
mod report;

use std::sync::Arc;

pub use feedback::{PadFeedback, RumbleLevels};
pub use kind::{PadKind, PadKinds};
pub use report::{PadBattery, PadBatteryState, PadMotion, PadReport, PadTouch};

use crate::Reason;

/// Makes virtual gamepads. Shared by all sessions.
pub trait PadFactory: Send + Sync {
    /// The kinds that can be made now. Asked when a client connects and before each plug; cheap.
    fn kinds(&self) -> PadKinds;

    /// Why kinds are missing from [`Self::kinds`]; empty if none is.
    fn missing(&self) -> Vec<&'static Reason>;

    /// Plugs a pad in; it is in its neutral state. What programs send to it reaches `events` from then on, from a thread
    /// of the backend, until the pad is dropped. Takes milliseconds: the kernel creates devices inside.
    ///
    /// # Errors
    /// [`PadError`]: this pad cannot be made now.
    fn plug(&self, spec: &PadSpec, events: Arc<dyn PadEvents>) -> Result<Box<dyn Pad>, PadError>;
}

/// A plugged pad. Dropping it unplugs it; nothing reaches its [`PadEvents`] after that.
pub trait Pad: Send {
    /// Brings the pad into this state. Does not wait for programs.
    ///
    /// # Errors
    /// [`PadError`]: the device is gone; plug another one.
    fn apply(&mut self, report: &PadReport) -> Result<(), PadError>;
}

/// Hears what programs want a pad to do. Called from the pad's thread: must not block.
pub trait PadEvents: Send + Sync {
    /// A program wants this.
    fn feedback(&self, feedback: &PadFeedback);
}

/// Which pad to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PadSpec {
    /// Number of the session: together with the slot it makes serial numbers differ.
    pub session: u64,
    /// The client's number for it, 0..16.
    pub slot: u8,
    /// What it pretends to be.
    pub kind: PadKind,
}

/// Why a pad could not be made, or is gone.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct PadError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}
