//! wlr-screencopy, version 3.
//!
//! ```text
//! announce ─► buffer, buffer_done ─► copy (first picture) | copy_with_damage (then) ─► ready ─► announce …
//!                 │ another size than before: LayoutChanged
//! ```
//!
//! The next frame is announced as soon as one is ready, so that lending a slot costs no round trip.

use std::time::{Duration, Instant};

use punktfunk_media::{CaptureError, Captured, CapturedFrame, Capturer, Damage, FrameLayout, Slot, reason};
use wayland_client::protocol::wl_shm;
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_frame_v1::ZwlrScreencopyFrameV1;

use crate::format;
use crate::link::{Copy, Link, Outcome, instant_of};
use crate::slot::{ShmSlot, buffer_of};

/// Captures one output through wlr-screencopy.
pub struct Screencopy {
    link: Link,
    layout: FrameLayout,
    format: wl_shm::Format,
    /// Rows lie bottom-up, as the last copy told.
    y_invert: bool,
    generation: u32,
    next_index: usize,
    frame: Option<ZwlrScreencopyFrameV1>,
    step: Step,
    slot: Option<Slot>,
    /// The next picture is wanted whether anything changed or not.
    want_any: bool,
    /// [`State::changes`](crate::link::State::changes) at the time of the announcement.
    seen_changes: u32,
    failures: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The compositor is about to tell what it will copy.
    Announcing,
    /// It told; a slot is needed.
    Announced,
    /// It fills the slot.
    Copying,
}

impl Screencopy {
    /// Starts capturing on `link`.
    pub fn open(link: Link) -> Result<Self, CaptureError> {
        let mut this = Self {
            link,
            layout: FrameLayout {
                width: 0,
                height: 0,
                stride: 0,
                format: punktfunk_media::PixelFormat::Bgrx,
                transform: punktfunk_media::Transform::Normal,
            },
            format: wl_shm::Format::Xrgb8888,
            y_invert: false,
            generation: 0,
            next_index: 0,
            frame: None,
            step: Step::Announcing,
            slot: None,
            want_any: true,
            seen_changes: 0,
            failures: 0,
        };
        this.announce()?;
        let deadline = Instant::now() + ANNOUNCED_WITHIN;
        if !this.link.wait_until(deadline, |s| s.announced_all || s.outputs.gone || s.copy.outcome.is_some())? {
            return Err(lost("the compositor did not announce a picture"));
        }
        if !this.link.state.announced_all {
            return Err(lost("the compositor refused to capture the output"));
        }
        this.step = Step::Announced;
        (this.layout, this.format) = this.announced_layout()?;
        Ok(this)
    }

    /// Asks for the next picture's announcement, giving up a running one.
    fn announce(&mut self) -> Result<(), CaptureError> {
        if let Some(old) = self.frame.take() {
            old.destroy();
        }
        let handle = self.link.handle();
        let state = &mut self.link.state;
        state.announced.clear();
        state.announced_all = false;
        state.copy = Copy { damage: Damage::none(), ..Copy::default() };
        self.seen_changes = state.changes();
        let output = state.outputs.wanted().ok_or_else(|| lost("the output was removed"))?;
        let manager = state.globals.screencopy.as_ref().ok_or_else(|| lost("no screencopy manager"))?;
        self.frame = Some(manager.capture_output(1, output, &handle, ()));
        self.step = Step::Announcing;
        self.link.flush()
    }

    fn announced_layout(&self) -> Result<(FrameLayout, wl_shm::Format), CaptureError> {
        let state = &self.link.state;
        let transform = state.outputs.transform();
        let transform = if self.y_invert { format::upside_down(transform) } else { transform };
        format::choose(&state.announced, transform)
    }

    /// Everything lent is void; slots of the new layout are needed.
    fn change_layout(&mut self, layout: FrameLayout, format: wl_shm::Format) -> Captured {
        (self.layout, self.format) = (layout, format);
        self.generation += 1;
        self.slot = None;
        self.want_any = true;
        Captured::LayoutChanged(layout)
    }

    fn start_copy(&mut self) -> Result<(), CaptureError> {
        let (Some(frame), Some(slot)) = (&self.frame, &mut self.slot) else { return Ok(()) };
        let buffer = buffer_of(slot, self.generation)?;
        if self.want_any {
            frame.copy(&buffer);
        } else {
            frame.copy_with_damage(&buffer);
        }
        self.step = Step::Copying;
        self.link.flush()
    }

    fn finish(&mut self) -> Result<Option<Captured>, CaptureError> {
        let copy = std::mem::take(&mut self.link.state.copy);
        let slot = self.slot.take();
        let was_any = std::mem::replace(&mut self.want_any, false);
        self.failures = 0;
        if copy.y_invert != self.y_invert {
            // Only now it is known which way the rows lie.
            self.y_invert = copy.y_invert;
            self.announce()?;
            let transform = format::upside_down(self.layout.transform);
            return Ok(Some(self.change_layout(FrameLayout { transform, ..self.layout }, self.format)));
        }
        let drawn_at = instant_of(copy.drawn);
        let Some(slot) = slot else { return Ok(None) };
        let nothing_told = copy.damage == Damage::none();
        // Damage of an upside-down picture is told in the other direction; it is rare enough to take everything.
        let damage = if was_any || nothing_told || self.y_invert { Damage::Full } else { copy.damage };
        let layout = self.layout;
        self.announce()?;
        Ok(Some(Captured::Frame(CapturedFrame {
            slot,
            layout,
            damage,
            drawn_at,
            capture_time: drawn_at.elapsed(),
            convert_time: Duration::ZERO,
        })))
    }

    fn fail(&mut self) -> Result<(), CaptureError> {
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            return Err(lost("the compositor refused to copy the output several times in a row"));
        }
        tracing::debug!(failures = self.failures, "screencopy failed, asking again");
        std::thread::sleep(RETRY_AFTER);
        self.want_any = true;
        self.announce()
    }
}

impl Capturer for Screencopy {
    fn layout(&self) -> FrameLayout {
        self.layout
    }

    fn make_slot(&mut self) -> Result<Slot, CaptureError> {
        let shm = self.link.state.globals.shm.as_ref().ok_or_else(|| lost("no wl_shm"))?;
        let memory = ShmSlot::make(shm, &self.link.handle(), &self.layout, self.format, self.generation)?;
        let index = self.next_index;
        self.next_index += 1;
        Ok(Slot { index, memory: Box::new(memory) })
    }

    fn lend(&mut self, mut slot: Slot) -> Result<(), CaptureError> {
        buffer_of(&mut slot, self.generation)?;
        if self.slot.is_some() {
            return Err(CaptureError { fatal: false, ..lost("a second slot was lent") });
        }
        self.slot = Some(slot);
        if self.step == Step::Announced && self.link.state.changes() == self.seen_changes {
            self.start_copy()?;
        }
        Ok(())
    }

    fn wait(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        loop {
            let (step, seen) = (self.step, self.seen_changes);
            let done = self.link.wait_until(deadline, |s| {
                s.outputs.gone
                    || s.changes() != seen
                    || s.copy.outcome.is_some()
                    || (step == Step::Announcing && s.announced_all)
            })?;
            let state = &self.link.state;
            if state.outputs.gone {
                return Err(lost("the output was removed"));
            }
            if !done {
                return Ok(Captured::Unchanged);
            }
            if state.changes() != seen {
                // A copy that was under way may hold half of each mode.
                self.want_any = true;
                self.announce()?;
                continue;
            }
            match state.copy.outcome {
                Some(Outcome::Ready) => {
                    if let Some(captured) = self.finish()? {
                        return Ok(captured);
                    }
                }
                Some(_) => self.fail()?,
                None => {
                    self.step = Step::Announced;
                    let (layout, format) = self.announced_layout()?;
                    if (layout, format) != (self.layout, self.format) {
                        return Ok(self.change_layout(layout, format));
                    }
                    self.start_copy()?;
                }
            }
        }
    }
}

impl Drop for Screencopy {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.take() {
            frame.destroy();
        }
        // Best effort: the connection closes right after, which says the same.
        let _ = self.link.flush();
    }
}

fn lost(detail: &str) -> CaptureError {
    CaptureError { reason: &reason::CAPTURE_LOST, detail: detail.to_owned(), fatal: true }
}

/// The compositor answers within one dispatch of its loop.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(2);
/// A copy fails while an output changes its mode; ten tries of 20 ms outlast any mode change seen.
const MAX_FAILURES: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_millis(20);
