//! The capturer: paced by its consumer.
//!
//! The consumer lends free slots; **every lent slot is a credit**. Back comes the slot with a picture in it, what
//! changed since the last picture this consumer took, when it was drawn, or "nothing changed". A source that can fill
//! memory of the consumer's choosing takes any slot; one that cannot (wl_shm, PipeWire) makes its slots itself.
//!
//! ```text
//! make_slot ×3 ─► lend ─► wait ─► Frame(slot) ─► encode ─► lend …      Changed(layout): drop all slots, make new ones
//! ```

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Colour, CursorUpdate, Damage, FrameLayout, Reason};

/// A source of pictures. Lives on the capture thread; dropped before its [`crate::Stage`].
pub trait Capturer: Send {
    /// The layout of the next picture. Valid as soon as the capturer exists (opening waits until the source told it).
    fn layout(&self) -> FrameLayout;

    /// Asks for pictures in the planes that encoders take, of this colour, instead of packed ones. True: slots that are
    /// made from now on are so, [`Self::layout`] included. Called before the first slot is made.
    ///
    /// # Errors
    /// [`CaptureError`] if the source is gone.
    fn take_planes(&mut self, _colour: Colour) -> Result<bool, CaptureError> {
        Ok(false)
    }

    /// Makes a slot that this capturer can fill without a copy, of [`Self::layout`]'s size. Called at start and after
    /// [`Captured::LayoutChanged`], never per frame.
    ///
    /// # Errors
    /// [`CaptureError`] if memory cannot be had or the source is gone.
    fn make_slot(&mut self) -> Result<Slot, CaptureError>;

    /// Lends a free slot: the capturer may fill it with the next picture. At most [`Self::max_lent`] slots at a time.
    ///
    /// # Errors
    /// [`CaptureError`] if the slot is not of this capturer's making or size, or the source is gone; the slot is lost.
    fn lend(&mut self, slot: Slot) -> Result<(), CaptureError>;

    /// How many slots may be lent at once. One for sources that copy on request.
    fn max_lent(&self) -> usize {
        1
    }

    /// Whether a lent slot makes the source draw a picture that nobody would have drawn without it: then one is lent only
    /// when the encoder is about to take the picture.
    fn draws_for_slots(&self) -> bool {
        false
    }

    /// What ends [`Self::wait`] from another thread; the same one for as long as the capturer lives. `None`: nothing does, and
    /// whoever waits for something else as well looks for it now and then.
    fn waker(&self) -> Option<Arc<dyn WakeCapturer>> {
        None
    }

    /// Waits for a picture, at most until `deadline`. The first picture comes at once, whatever changed or not.
    ///
    /// # Errors
    /// [`CaptureError`] when the source failed; `is_fatal` tells whether another attempt makes sense.
    fn wait(&mut self, deadline: Instant) -> Result<Captured, CaptureError>;

    /// Leaves the pointer out of the pictures from now on and tells of it beside them ([`Self::take_cursor`]), or puts it
    /// back into them; at any time. True: it is so; false: this source cannot, and goes on as before. What a capturer starts
    /// with is the pointer in the pictures.
    ///
    /// # Errors
    /// [`CaptureError`] if the source is gone.
    fn set_cursor_apart(&mut self, _apart: bool) -> Result<bool, CaptureError> {
        Ok(false)
    }

    /// The newest news of a pointer that is not in the pictures, once. [`Self::wait`] ends with [`Captured::Unchanged`]
    /// where there are some and no picture. At most one per refresh, whatever the pointer does.
    fn take_cursor(&mut self) -> Option<CursorUpdate> {
        None
    }
}

/// Ends the wait of a [`Capturer`].
pub trait WakeCapturer: Send + Sync + std::fmt::Debug {
    /// The wait that goes on ends at once with [`Captured::Unchanged`]; where none does, the next one that finds no picture.
    /// From any thread; never blocks. Being woken twice is being woken once.
    fn wake(&self);
}

/// What [`Capturer::wait`] saw.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "boxing the common case would allocate per frame")]
pub enum Captured {
    /// A lent slot comes back filled.
    Frame(CapturedFrame),
    /// The deadline passed and nothing changed, or the pointer did and no picture, or somebody woke the capturer; lent slots
    /// stay lent.
    Unchanged,
    /// The source changed its layout: all slots are void, lent ones included. Make new ones and lend again.
    LayoutChanged(FrameLayout),
}

/// A picture in a slot.
#[derive(Debug)]
pub struct CapturedFrame {
    /// The slot, filled with one whole picture.
    pub slot: Slot,
    /// Its layout (equal to the capturer's at the time of the capture).
    pub layout: FrameLayout,
    /// What changed since the previous frame that this capturer handed out.
    pub damage: Damage,
    /// When the compositor finished drawing it, as far as the source tells; else when it was noticed.
    pub drawn_at: Instant,
    /// Time from `drawn_at` until the picture was readable here, conversion left out.
    pub capture_time: Duration,
    /// Time that the source took to make planes of it; none for packed pictures.
    pub convert_time: Duration,
}

/// A frame buffer that travels between consumer and capturer.
pub struct Slot {
    /// Small number, unique among the slots of one capturer.
    pub index: usize,
    /// The memory.
    pub memory: Box<dyn SlotMemory>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("index", &self.index).finish_non_exhaustive()
    }
}

/// The memory of a slot. While a slot is not lent, nobody else writes to it.
pub trait SlotMemory: Send {
    /// The picture's bytes, `FrameLayout::len` of them (may be longer).
    fn bytes(&self) -> &[u8];
    /// For the capturer, which knows the concrete type it made.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Why capturing failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct CaptureError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
    /// True: the source is gone for good (compositor died, output removed), rebuild the stage. False: try again.
    pub fatal: bool,
}
