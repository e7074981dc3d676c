//! ext-image-copy-capture, version 1.
//!
//! ```text
//! session ─► buffer_size, shm_format…, done ─► frame: attach, damage_buffer, capture ─► ready ─► next frame …
//!                 │ told anew after a mode change: LayoutChanged
//! ```
//!
//! The compositor copies only what we say is stale in the slot, so the damage since a slot was last filled is kept per
//! slot.

use std::time::{Duration, Instant};

use punktfunk_media::{CaptureError, Captured, CapturedFrame, Capturer, Damage, FrameLayout, Slot, reason};
use wayland_client::protocol::wl_shm;
use wayland_protocols::ext::image_capture_source::v1::client::ext_image_capture_source_v1::ExtImageCaptureSourceV1;
use wayland_protocols::ext::image_copy_capture::v1::client::{
    ext_image_copy_capture_frame_v1::ExtImageCopyCaptureFrameV1, ext_image_copy_capture_manager_v1::Options,
    ext_image_copy_capture_session_v1::ExtImageCopyCaptureSessionV1,
};

use crate::format;
use crate::link::{Copy, Link, Outcome, instant_of};
use crate::slot::{ShmSlot, buffer_of};

/// Captures one output through ext-image-copy-capture.
pub struct ImageCopy {
    link: Link,
    source: ExtImageCaptureSourceV1,
    session: ExtImageCopyCaptureSessionV1,
    layout: FrameLayout,
    format: wl_shm::Format,
    generation: u32,
    /// What changed in the picture since slot `i` was filled last.
    stale: Vec<Damage>,
    frame: Option<ExtImageCopyCaptureFrameV1>,
    slot: Option<Slot>,
    first: bool,
    seen_changes: u32,
    failures: u32,
}

impl ImageCopy {
    /// Starts capturing on `link`.
    pub fn open(mut link: Link) -> Result<Self, CaptureError> {
        let handle = link.handle();
        let state = &link.state;
        let globals = &state.globals;
        let (Some(manager), Some(sources), Some(output)) =
            (&globals.image_copy, &globals.output_source, state.output())
        else {
            return Err(lost("the output was removed"));
        };
        let source = sources.create_source(output, &handle, ());
        let session = manager.create_session(&source, Options::PaintCursors, &handle, ());
        let deadline = Instant::now() + ANNOUNCED_WITHIN;
        let told = link.wait_until(deadline, |s| s.announced_all || s.session_stopped || s.output_gone)?;
        if !told || !link.state.announced_all {
            return Err(lost("the compositor did not announce a picture"));
        }
        let transform = link.state.output_transform();
        let (layout, format) = format::choose(&link.state.announced, transform)?;
        let seen_changes = link.state.output_changes;
        Ok(Self {
            link,
            source,
            session,
            layout,
            format,
            generation: 0,
            stale: Vec::new(),
            frame: None,
            slot: None,
            first: true,
            seen_changes,
            failures: 0,
        })
    }

    fn start(&mut self) -> Result<(), CaptureError> {
        let Some(slot) = &mut self.slot else { return Ok(()) };
        let buffer = buffer_of(slot, self.generation)?;
        let frame = self.session.create_frame(&self.link.handle(), ());
        frame.attach_buffer(&buffer);
        let clamp = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
        match self.stale.get(slot.index).and_then(Damage::rects) {
            Some(rects) => {
                rects.for_each(|r| frame.damage_buffer(clamp(r.x), clamp(r.y), clamp(r.width), clamp(r.height)));
            }
            None => frame.damage_buffer(0, 0, clamp(self.layout.width), clamp(self.layout.height)),
        }
        frame.capture();
        self.link.state.copy = Copy { damage: Damage::none(), ..Copy::default() };
        self.frame = Some(frame);
        self.link.flush()
    }

    fn end_frame(&mut self) {
        if let Some(frame) = self.frame.take() {
            frame.destroy();
        }
        self.link.state.copy.outcome = None;
    }

    fn finish(&mut self) -> Option<Captured> {
        let copy = std::mem::take(&mut self.link.state.copy);
        self.end_frame();
        self.failures = 0;
        let slot = self.slot.take()?;
        let was_first = std::mem::replace(&mut self.first, false);
        if copy.transform != self.layout.transform {
            return Some(self.change_layout(FrameLayout { transform: copy.transform, ..self.layout }, self.format));
        }
        let damage = if was_first || copy.damage == Damage::none() { Damage::Full } else { copy.damage };
        for (index, stale) in self.stale.iter_mut().enumerate() {
            if index == slot.index {
                *stale = Damage::none();
            } else {
                stale.merge(&damage);
            }
        }
        let drawn_at = instant_of(copy.drawn);
        let capture_time = drawn_at.elapsed();
        Some(Captured::Frame(CapturedFrame { slot, layout: self.layout, damage, drawn_at, capture_time }))
    }

    fn change_layout(&mut self, layout: FrameLayout, format: wl_shm::Format) -> Captured {
        (self.layout, self.format) = (layout, format);
        self.generation += 1;
        self.stale.clear();
        self.slot = None;
        self.first = true;
        Captured::LayoutChanged(layout)
    }

    /// The session announced anew, or the output turned.
    fn look_at_announcement(&mut self) -> Result<Option<Captured>, CaptureError> {
        self.end_frame();
        self.seen_changes = self.link.state.output_changes;
        let transform = self.layout.transform;
        let (layout, format) = format::choose(&self.link.state.announced, transform)?;
        if (layout, format) != (self.layout, self.format) {
            return Ok(Some(self.change_layout(layout, format)));
        }
        Ok(None)
    }
}

impl Capturer for ImageCopy {
    fn layout(&self) -> FrameLayout {
        self.layout
    }

    fn make_slot(&mut self) -> Result<Slot, CaptureError> {
        let shm = self.link.state.globals.shm.as_ref().ok_or_else(|| lost("no wl_shm"))?;
        let memory = ShmSlot::make(shm, &self.link.handle(), &self.layout, self.format, self.generation)?;
        self.stale.push(Damage::Full);
        Ok(Slot { index: self.stale.len() - 1, memory: Box::new(memory) })
    }

    fn lend(&mut self, mut slot: Slot) -> Result<(), CaptureError> {
        buffer_of(&mut slot, self.generation)?;
        if self.slot.is_some() {
            return Err(CaptureError { fatal: false, ..lost("a second slot was lent") });
        }
        self.slot = Some(slot);
        self.start()
    }

    fn wait(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        loop {
            let seen = self.seen_changes;
            let done = self.link.wait_until(deadline, |s| {
                s.output_gone
                    || s.session_stopped
                    || s.copy.outcome.is_some()
                    || (s.output_changes != seen && s.announced_all)
            })?;
            let state = &self.link.state;
            if state.output_gone || state.session_stopped {
                return Err(lost("the output was removed"));
            }
            if !done {
                return Ok(Captured::Unchanged);
            }
            if state.output_changes != seen && state.announced_all {
                if let Some(changed) = self.look_at_announcement()? {
                    return Ok(changed);
                }
                self.start()?;
                continue;
            }
            match state.copy.outcome {
                Some(Outcome::Ready) => {
                    if let Some(captured) = self.finish() {
                        return Ok(captured);
                    }
                }
                Some(Outcome::Stopped) => return Err(lost("the compositor stopped the capture session")),
                Some(Outcome::Failed | Outcome::WrongBuffer) => {
                    self.failures += 1;
                    if self.failures > MAX_FAILURES {
                        return Err(lost("the compositor refused to copy the output several times in a row"));
                    }
                    self.end_frame();
                    // What the failed copy left in the slot is unknown.
                    if let Some(stale) = self.slot.as_ref().and_then(|s| self.stale.get_mut(s.index)) {
                        *stale = Damage::Full;
                    }
                    // A changed announcement, if that was the cause, is on its way; give it that long.
                    let pause = Instant::now() + RETRY_AFTER;
                    if !self.link.wait_until(pause, |s| s.output_changes != seen && s.announced_all)? {
                        self.start()?;
                    }
                }
                None => {}
            }
        }
    }
}

impl Drop for ImageCopy {
    fn drop(&mut self) {
        self.end_frame();
        self.session.destroy();
        self.source.destroy();
        // Best effort: the connection closes right after, which says the same.
        let _ = self.link.flush();
    }
}

fn lost(detail: &str) -> CaptureError {
    CaptureError { reason: &reason::CAPTURE_LOST, detail: detail.to_owned(), fatal: true }
}

/// The compositor answers within one dispatch of its loop.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(2);
/// Copies fail while an output changes its mode; ten tries of 20 ms outlast any mode change seen.
const MAX_FAILURES: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_millis(20);
