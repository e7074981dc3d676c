//! Pictures of a built-in desktop: each slot is a memfd that the worker draws into, and each lent slot a credit.

use std::any::Any;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memmap2::MmapMut;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::time::{ClockId, clock_gettime};

use punktfunk_media::{
    CaptureError, Captured, CapturedFrame, Capturer, Colour, CursorUpdate, Damage, FrameLayout, PixelFormat, Rect,
    Slot, SlotMemory, Transform, WakeCapturer, reason,
};

use super::link::ANSWER_WITHIN;
use crate::wire::{
    CURSOR, CURSOR_BYTES, FrameNote, FromCapture, Socket, SocketError, ToCapture, decode_cursor, decode_from_capture,
};

/// Takes pictures of a built-in desktop.
pub struct WorkerCapturer {
    socket: Socket,
    generation: u32,
    layout: FrameLayout,
    slots_made: u32,
    lent: Vec<Slot>,
    /// The next message.
    buffer: Vec<u8>,
    /// The pointer comes beside the pictures.
    cursor_apart: bool,
    /// What was not told of it yet.
    cursor: Option<CursorUpdate>,
    /// The worker waits to hear that its last word about the pointer was read.
    cursor_unheard: bool,
    bell: Arc<Bell>,
}

/// Readable once it rang.
#[derive(Debug)]
struct Bell(OwnedFd);

impl WakeCapturer for Bell {
    fn wake(&self) {
        // Full is as good as written: it is readable.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Bell {
    /// Whether it rang; silent again afterwards.
    fn take(&self) -> bool {
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }
}

impl WorkerCapturer {
    /// Waits until the worker told the layout.
    pub(super) fn begin(socket: Socket) -> Result<Self, CaptureError> {
        let layout =
            FrameLayout { width: 0, height: 0, stride: 0, format: PixelFormat::Bgrx, transform: Transform::Normal };
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| CaptureError { fatal: false, ..died(format!("no eventfd: {e}")) })?;
        let mut this = Self {
            socket,
            generation: 0,
            layout,
            slots_made: 0,
            lent: Vec::with_capacity(MAX_LENT),
            buffer: vec![0; MESSAGE_BYTES],
            cursor_apart: false,
            cursor: None,
            cursor_unheard: false,
            bell: Arc::new(Bell(bell)),
        };
        match this.hear(Instant::now() + ANSWER_WITHIN)? {
            Some(Captured::LayoutChanged(_)) => Ok(this),
            _ => Err(died("it told no layout".to_owned())),
        }
    }

    /// The next message, if one comes by `deadline` and nobody rings before.
    fn hear(&mut self, deadline: Instant) -> Result<Option<Captured>, CaptureError> {
        self.answer_cursor()?;
        let deadline = if self.cursor_unheard { deadline.min(Instant::now() + TRY_AGAIN_AFTER) } else { deadline };
        if !self.socket.message_or(self.bell.0.as_fd(), deadline).map_err(|e| died(e.to_string()))? {
            return Ok(self.bell.take().then_some(Captured::Unchanged));
        }
        let message = match self.socket.receive(&mut self.buffer) {
            Ok(None) => return Ok(None),
            Ok(Some(message)) if message.bytes.first() == Some(&CURSOR) => {
                let update =
                    decode_cursor(message.bytes).ok_or_else(|| died("it tells nonsense of its pointer".to_owned()))?;
                self.point(update);
                self.answer_cursor()?;
                return Ok(Some(Captured::Unchanged));
            }
            Ok(Some(message)) => decode_from_capture(message.bytes),
            Err(e) => return Err(died(e.to_string())),
        };
        match message.ok_or_else(|| died("it speaks another version".to_owned()))? {
            FromCapture::Layout { generation, width, height, stride, format } => {
                let row = match format {
                    PixelFormat::Bgrx | PixelFormat::Rgbx => width.saturating_mul(4),
                    PixelFormat::I420(_) => width.next_multiple_of(2),
                };
                let sides = width != 0 && height != 0 && width.max(height) <= LARGEST_SIDE;
                if !sides || stride < row || stride % 4 != 0 || stride > LARGEST_SIDE * 8 {
                    return Err(died(format!("it told a layout of {width}x{height}, {stride} bytes a row")));
                }
                self.generation = generation;
                self.layout = FrameLayout { width, height, stride, format, ..self.layout };
                self.lent.clear();
                Ok(Some(Captured::LayoutChanged(self.layout)))
            }
            // Of slots that are void since: a layout is on its way, or came before.
            FromCapture::Frame(note) if note.generation != self.generation => Ok(None),
            FromCapture::Frame(note) => self.frame(&note).map(Some),
        }
    }

    /// News of the pointer. A worker is not believed: it is on the picture.
    fn point(&mut self, CursorUpdate { mut place, shape }: CursorUpdate) {
        self.cursor_unheard = true;
        if !self.cursor_apart {
            // Sent before the worker heard that it is wanted in the pictures.
            return;
        }
        // No side is longer than LARGEST_SIDE.
        let last = |side: u32| i32::try_from(side).unwrap_or(i32::MAX) - 1;
        place.x = place.x.clamp(0, last(self.layout.width));
        place.y = place.y.clamp(0, last(self.layout.height));
        let unread = self.cursor.take().and_then(|cursor| cursor.shape);
        self.cursor = Some(CursorUpdate { place, shape: shape.or(unread) });
    }

    fn answer_cursor(&mut self) -> Result<(), CaptureError> {
        if self.cursor_unheard {
            match self.socket.send(ToCapture::CursorHeard.encode().as_ref(), None) {
                Ok(()) => self.cursor_unheard = false,
                // With the next message, or after a moment.
                Err(SocketError::Full) => {}
                Err(e) => return Err(died(e.to_string())),
            }
        }
        Ok(())
    }

    fn frame(&mut self, note: &FrameNote) -> Result<Captured, CaptureError> {
        let at = self.lent.iter().position(|slot| slot.index == note.index as usize);
        let slot = at.map(|at| self.lent.swap_remove(at));
        let slot = slot.ok_or_else(|| died(format!("it filled slot {}, which it had not", note.index)))?;
        let damage = clip(&note.damage, &self.layout);
        Ok(Captured::Frame(CapturedFrame {
            slot,
            layout: self.layout,
            damage,
            drawn_at: instant_of(note.drawn),
            // It was drawn where it is read.
            capture_time: Duration::ZERO,
            // Nothing takes longer; a worker is not believed.
            convert_time: note.converted_in.min(Duration::from_secs(1)),
        }))
    }
}

impl Capturer for WorkerCapturer {
    fn layout(&self) -> FrameLayout {
        self.layout
    }

    fn take_planes(&mut self, colour: Colour) -> Result<bool, CaptureError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let wanted = PixelFormat::I420(colour);
        let message = ToCapture::Format(wanted).encode();
        self.socket.send_by(message.as_ref(), None, deadline).map_err(|e| died(e.to_string()))?;
        // Nothing is lent yet: what comes is layouts, one for the message and perhaps one for a mode that changes.
        while self.layout.format != wanted {
            if self.hear(deadline)?.is_none() && Instant::now() >= deadline {
                return Err(died("it told no layout of planes".to_owned()));
            }
        }
        Ok(true)
    }

    fn draws_for_slots(&self) -> bool {
        true
    }

    fn make_slot(&mut self) -> Result<Slot, CaptureError> {
        let no_memory = |e: std::io::Error| CaptureError {
            reason: &reason::CAPTURE_LOST,
            detail: format!("no shared memory for a picture: {e}"),
            fatal: false,
        };
        let bytes = self.layout.len();
        let file = memfd_create("punktfunk-slot", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(|e| no_memory(e.into()))?;
        ftruncate(&file, bytes as u64).map_err(|e| no_memory(e.into()))?;
        // Nobody can shrink the file under either mapping any more.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
            .map_err(|e| no_memory(e.into()))?;
        // SAFETY: the file is a fresh memfd whose length is sealed, so the mapping stays valid as long as it lives. Its
        // bytes are written only by the worker, and only between `lend` and the frame's return; during that time the slot
        // is owned by the capturer, which does not read it. A worker that writes later changes pixels and nothing else.
        let map = unsafe { MmapMut::map_mut(&file) }.map_err(no_memory)?;
        let index = self.slots_made % SLOTS_AT_ONCE;
        self.slots_made += 1;
        let message = ToCapture::Slot { generation: self.generation, index }.encode();
        let deadline = Instant::now() + ANSWER_WITHIN;
        self.socket.send_by(message.as_ref(), Some(file.as_fd()), deadline).map_err(|e| died(e.to_string()))?;
        Ok(Slot { index: index as usize, memory: Box::new(Memory { map, generation: self.generation }) })
    }

    fn lend(&mut self, mut slot: Slot) -> Result<(), CaptureError> {
        let wrong =
            |detail: &str| CaptureError { reason: &reason::CAPTURE_LOST, detail: detail.to_owned(), fatal: false };
        let memory = slot.memory.as_any().downcast_mut::<Memory>();
        let memory = memory.ok_or_else(|| wrong("a slot of another capturer was lent"))?;
        if memory.generation != self.generation {
            return Err(wrong("a slot of an earlier layout was lent"));
        }
        let message = ToCapture::Lend { generation: self.generation, index: slot.index as u32 }.encode();
        match self.socket.send(message.as_ref(), None) {
            Ok(()) => self.lent.push(slot),
            Err(SocketError::Full) => return Err(wrong("the compositor does not read")),
            Err(e) => return Err(died(e.to_string())),
        }
        Ok(())
    }

    fn max_lent(&self) -> usize {
        MAX_LENT
    }

    fn waker(&self) -> Option<Arc<dyn WakeCapturer>> {
        Some(Arc::clone(&self.bell) as Arc<dyn WakeCapturer>)
    }

    fn wait(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        loop {
            match self.hear(deadline)? {
                Some(captured) => return Ok(captured),
                None if Instant::now() >= deadline => return Ok(Captured::Unchanged),
                None => {}
            }
        }
    }

    fn set_cursor_apart(&mut self, apart: bool) -> Result<bool, CaptureError> {
        let message = ToCapture::CursorApart(apart).encode();
        let deadline = Instant::now() + ANSWER_WITHIN;
        self.socket.send_by(message.as_ref(), None, deadline).map_err(|e| died(e.to_string()))?;
        if apart {
            // Stays so: what the worker sent before it hears the opposite must find room.
            self.buffer.resize(CURSOR_BYTES, 0);
        }
        self.cursor_apart = apart;
        self.cursor = None;
        Ok(true)
    }

    fn take_cursor(&mut self) -> Option<CursorUpdate> {
        self.cursor.take()
    }
}

/// The memory of a slot.
struct Memory {
    map: MmapMut,
    /// Which layout it was made for; slots of an earlier one are void.
    generation: u32,
}

impl SlotMemory for Memory {
    fn bytes(&self) -> &[u8] {
        &self.map
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Only what lies on the picture: a worker is not believed.
fn clip(damage: &Damage, layout: &FrameLayout) -> Damage {
    let Some(rects) = damage.rects() else { return Damage::Full };
    let mut clipped = Damage::none();
    for Rect { x, y, width, height } in rects {
        let (right, bottom) = (x.saturating_add(width).min(layout.width), y.saturating_add(height).min(layout.height));
        if right > x && bottom > y {
            clipped.add(Rect { x, y, width: right - x, height: bottom - y });
        }
    }
    clipped
}

/// A time of `CLOCK_MONOTONIC` as an [`Instant`]; one that lies in the future or more than a second back means "now".
fn instant_of(monotonic: Duration) -> Instant {
    let now = Instant::now();
    let clock = clock_gettime(ClockId::Monotonic);
    let clock = Duration::new(u64::try_from(clock.tv_sec).unwrap_or(0), u32::try_from(clock.tv_nsec).unwrap_or(0));
    match clock.checked_sub(monotonic) {
        Some(age) if age < Duration::from_secs(1) => now.checked_sub(age).unwrap_or(now),
        _ => now,
    }
}

fn died(detail: String) -> CaptureError {
    CaptureError { reason: &reason::DESKTOP_DIED, detail: format!("the built-in compositor: {detail}"), fatal: true }
}

/// One: the next one is lent when this comes back, so that a picture is drawn when it is wanted.
const MAX_LENT: usize = 1;
/// Slots that exist at once are fewer; their numbers go round.
const SLOTS_AT_ONCE: u32 = 16;
/// A worker that does not read is told again after this.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(25);
/// Longer than any message of a worker but those about the pointer.
const MESSAGE_BYTES: usize = 256;
/// No worker has a larger output.
const LARGEST_SIDE: u32 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_beyond_the_picture_is_cut_off() {
        let layout = FrameLayout {
            width: 100,
            height: 50,
            stride: 400,
            format: PixelFormat::Bgrx,
            transform: Transform::Normal,
        };
        let mut told = Damage::none();
        told.add(Rect { x: 90, y: 40, width: 100, height: u32::MAX });
        told.add(Rect { x: 100, y: 0, width: 5, height: 5 });
        told.add(Rect { x: u32::MAX, y: 0, width: 5, height: 5 });
        let rects: Vec<_> = clip(&told, &layout).rects().unwrap().collect();
        assert_eq!(rects, [Rect { x: 90, y: 40, width: 10, height: 10 }]);
        assert_eq!(clip(&Damage::Full, &layout), Damage::Full);
    }
}
