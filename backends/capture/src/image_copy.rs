//! ext-image-copy-capture, version 1.
//!
//! ```text
//! session ─► buffer_size, shm_format…, done ─► frame: attach, damage_buffer, capture ─► ready ─► next frame …
//!                 │ told anew after a mode change: LayoutChanged, with a new session
//! ```
//!
//! A session tells a change once. Wherever a picture was given up (another layout, a failed copy), a new session takes
//! over, whose first picture comes at once; else the change would be lost until the next one.
//!
//! The compositor copies only what we say is stale in the slot, so the damage since a slot was last filled is kept per
//! slot.

use std::time::{Duration, Instant};

use punktfunk_media::{CaptureError, Captured, CapturedFrame, Capturer, Damage, FrameLayout, Slot, Transform, reason};
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
        let (Some(sources), Some(output)) = (&link.state.globals.output_source, link.state.outputs.wanted()) else {
            return Err(lost("the output was removed"));
        };
        let source = sources.create_source(output, &handle, ());
        let session = begin_session(&mut link, &source)?;
        let (layout, format) = format::choose(&link.state.announced, link.state.outputs.transform())?;
        let seen_changes = link.state.changes();
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

    /// Ends the session and begins another, whose first picture comes at once.
    fn restart(&mut self) -> Result<(), CaptureError> {
        self.end_frame();
        self.session.destroy();
        self.session = begin_session(&mut self.link, &self.source)?;
        self.seen_changes = self.link.state.changes();
        self.first = true;
        self.stale.iter_mut().for_each(|s| *s = Damage::Full);
        Ok(())
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

    fn finish(&mut self) -> Result<Option<Captured>, CaptureError> {
        let copy = std::mem::take(&mut self.link.state.copy);
        self.end_frame();
        self.failures = 0;
        let Some(slot) = self.slot.take() else { return Ok(None) };
        if copy.transform != self.layout.transform {
            return self.change_layout(copy.transform).map(Some);
        }
        let was_first = std::mem::replace(&mut self.first, false);
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
        Ok(Some(Captured::Frame(CapturedFrame {
            slot,
            layout: self.layout,
            damage,
            drawn_at,
            capture_time,
            convert_time: Duration::ZERO,
        })))
    }

    /// Everything lent is void; slots of the new layout are needed.
    fn change_layout(&mut self, transform: Transform) -> Result<Captured, CaptureError> {
        self.restart()?;
        (self.layout, self.format) = format::choose(&self.link.state.announced, transform)?;
        self.generation += 1;
        self.stale.clear();
        self.slot = None;
        Ok(Captured::LayoutChanged(self.layout))
    }

    /// Whether the session announces something else than the slots were made for.
    fn outdated(&self) -> Result<bool, CaptureError> {
        let now = format::choose(&self.link.state.announced, self.layout.transform)?;
        Ok(now != (self.layout, self.format))
    }
}

/// Begins a session on `source` and waits until it announced its pictures.
fn begin_session(
    link: &mut Link,
    source: &ExtImageCaptureSourceV1,
) -> Result<ExtImageCopyCaptureSessionV1, CaptureError> {
    let handle = link.handle();
    link.state.announced.clear();
    link.state.announced_all = false;
    let manager = link.state.globals.image_copy.as_ref().ok_or_else(|| lost("no image copy manager"))?;
    let session = manager.create_session(source, Options::PaintCursors, &handle, ());
    let deadline = Instant::now() + ANNOUNCED_WITHIN;
    let told = link.wait_until(deadline, |s| s.announced_all || s.session_stopped || s.outputs.gone)?;
    if !told || !link.state.announced_all {
        return Err(lost("the compositor did not announce a picture"));
    }
    Ok(session)
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
                s.outputs.gone
                    || s.session_stopped
                    || s.copy.outcome.is_some()
                    || (s.changes() != seen && s.announced_all)
            })?;
            let state = &self.link.state;
            if state.outputs.gone || state.session_stopped {
                return Err(lost("the output was removed"));
            }
            if !done {
                return Ok(Captured::Unchanged);
            }
            // A finished picture first: what else happened does not make it wrong.
            match state.copy.outcome {
                Some(Outcome::Ready) => {
                    if let Some(captured) = self.finish()? {
                        return Ok(captured);
                    }
                }
                Some(Outcome::Stopped) => return Err(lost("the compositor stopped the capture session")),
                Some(Outcome::Failed | Outcome::WrongBuffer) => {
                    self.failures += 1;
                    if self.failures > MAX_FAILURES {
                        return Err(lost("the compositor refused to copy the output several times in a row"));
                    }
                    tracing::debug!(failures = self.failures, "image copy failed, asking again");
                    std::thread::sleep(RETRY_AFTER);
                    self.restart()?;
                    if self.outdated()? {
                        return self.change_layout(self.layout.transform);
                    }
                    self.start()?;
                }
                None => {
                    self.seen_changes = state.changes();
                    if self.outdated()? {
                        return self.change_layout(self.layout.transform);
                    }
                }
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
