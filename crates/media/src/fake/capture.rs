//! Pictures out of nothing, at the mode's rate.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cursor::SyntheticCursor;
use super::desktop::{DeathWatch, Output};
use super::{SyntheticOptions, stamp};
use crate::{
    CaptureError, Captured, CapturedFrame, Capturer, CursorUpdate, Damage, FrameLayout, Mode, PixelFormat, Rect, Slot,
    SlotMemory, Transform, WakeCapturer, reason,
};

/// Draws picture after picture: a background that moves evenly (noise-free, so that an encoder spends on it what it
/// spends on a scrolling page) and a [`stamp`] with the picture's number.
#[derive(Debug)]
pub struct SyntheticCapturer {
    output: Arc<Output>,
    death: DeathWatch,
    options: SyntheticOptions,
    mode: Mode,
    layout: FrameLayout,
    background: Option<Background>,
    lent: VecDeque<Slot>,
    slots_made: usize,
    waits: u64,
    /// Pictures drawn so far, the number of the next one.
    drawn: u64,
    /// Pictures drawn in this layout.
    drawn_here: u64,
    next_due: Instant,
    cursor: SyntheticCursor,
    alarm: Arc<Alarm>,
}

impl SyntheticCapturer {
    pub(super) fn new(output: Arc<Output>, death: DeathWatch, options: &SyntheticOptions) -> Self {
        let mode = *output.mode.lock().unwrap_or_else(PoisonError::into_inner);
        let layout = layout_of(mode);
        Self {
            output,
            death,
            options: options.clone(),
            mode,
            layout,
            background: options.background.then(|| Background::new(&layout)),
            lent: VecDeque::with_capacity(MAX_LENT),
            slots_made: 0,
            waits: 0,
            drawn: 0,
            drawn_here: 0,
            next_due: Instant::now(),
            cursor: SyntheticCursor::default(),
            alarm: Arc::default(),
        }
    }

    fn fail(&self, what: &str, fatal: bool) -> CaptureError {
        let detail = format!("the synthetic capturer {what} after {} pictures", self.drawn);
        let reason = if fatal && self.death.is_dead() { &reason::DESKTOP_DIED } else { &reason::CAPTURE_LOST };
        CaptureError { reason, detail, fatal }
    }

    /// Follows a mode change of the stage.
    fn follow_mode(&mut self) -> Option<FrameLayout> {
        let mode = *self.output.mode.lock().unwrap_or_else(PoisonError::into_inner);
        if mode == self.mode {
            return None;
        }
        let same_size = (mode.width, mode.height) == (self.mode.width, self.mode.height);
        self.mode = mode;
        self.next_due = Instant::now();
        if same_size {
            return None;
        }
        self.layout = layout_of(mode);
        self.background = self.options.background.then(|| Background::new(&self.layout));
        self.lent.clear();
        self.drawn_here = 0;
        Some(self.layout)
    }

    fn draw(&mut self, slot: &mut Slot) {
        let index = self.drawn as u32;
        let Some(memory) = slot.memory.as_any().downcast_mut::<HeapMemory>() else { return };
        if let Some(background) = &self.background {
            background.draw(&self.layout, &mut memory.0, index);
        }
        stamp::draw(&self.layout, &mut memory.0, index);
    }

    fn damage(&self) -> Damage {
        let (layout, first) = (&self.layout, self.drawn_here == 0);
        match stamp::extent(layout.width, layout.height) {
            Some((width, height)) if !first && self.background.is_none() => {
                let mut damage = Damage::none();
                damage.add(Rect { x: 0, y: 0, width, height });
                damage
            }
            _ => Damage::Full,
        }
    }
}

impl Capturer for SyntheticCapturer {
    fn layout(&self) -> FrameLayout {
        self.layout
    }

    fn draws_for_slots(&self) -> bool {
        self.options.for_slots
    }

    fn make_slot(&mut self) -> Result<Slot, CaptureError> {
        let slot = Slot { index: self.slots_made, memory: Box::new(HeapMemory(vec![0; self.layout.len()])) };
        self.slots_made += 1;
        Ok(slot)
    }

    fn lend(&mut self, mut slot: Slot) -> Result<(), CaptureError> {
        let fits = slot.memory.as_any().downcast_mut::<HeapMemory>().is_some_and(|m| m.0.len() == self.layout.len());
        if !fits || self.lent.len() == MAX_LENT {
            return Err(self.fail("was lent a slot that it cannot use", false));
        }
        self.lent.push_back(slot);
        Ok(())
    }

    fn waker(&self) -> Option<Arc<dyn WakeCapturer>> {
        self.options.for_slots.then(|| Arc::clone(&self.alarm) as Arc<dyn WakeCapturer>)
    }

    fn wait(&mut self, deadline: Instant) -> Result<Captured, CaptureError> {
        self.waits += 1;
        self.death.note_wait();
        let faults = &self.options.faults;
        if self.death.is_dead() || faults.capture_fatal_after.is_some_and(|n| self.drawn >= n) {
            return Err(self.fail("failed", true));
        }
        if faults.capture_panic_after.is_some_and(|n| self.drawn >= n) {
            panic!("the synthetic capturer was told to panic after {} pictures", self.drawn);
        }
        if faults.capture_flaky_every.is_some_and(|n| self.waits.is_multiple_of(n.max(1))) {
            return Err(self.fail("hiccuped", false));
        }
        let still = faults.still_after.is_some_and(|n| self.drawn_here >= n);
        if let Some(layout) = self.follow_mode() {
            return Ok(Captured::LayoutChanged(layout));
        }
        if still || self.lent.is_empty() || (!self.options.unpaced && self.next_due > deadline) {
            self.alarm.sleep_until(deadline);
            return Ok(Captured::Unchanged);
        }
        if !self.options.unpaced {
            if self.alarm.sleep_until(self.next_due) {
                return Ok(Captured::Unchanged);
            }
            let interval = Duration::from_secs(1) / self.mode.refresh_hz.max(1);
            // Who comes late misses ticks instead of catching up in a burst.
            self.next_due = (self.next_due + interval).max(Instant::now());
        }
        let Some(mut slot) = self.lent.pop_front() else { return Ok(Captured::Unchanged) };
        self.draw(&mut slot);
        let damage = self.damage();
        self.cursor.walk(self.drawn, &self.layout);
        self.drawn += 1;
        self.drawn_here += 1;
        let drawn_at = Instant::now();
        Ok(Captured::Frame(CapturedFrame {
            slot,
            layout: self.layout,
            damage,
            drawn_at,
            capture_time: Duration::ZERO,
            convert_time: Duration::ZERO,
        }))
    }

    fn set_cursor_apart(&mut self, apart: bool) -> Result<bool, CaptureError> {
        self.cursor.set_apart(apart && !self.options.faults.no_cursor);
        Ok(self.cursor.apart)
    }

    fn take_cursor(&mut self) -> Option<CursorUpdate> {
        self.cursor.take()
    }
}

/// Ordinary memory.
struct HeapMemory(Vec<u8>);

impl SlotMemory for HeapMemory {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// A tile of soft diagonal waves, wider than the picture by one period, so that each row of a picture is one copy.
#[derive(Debug)]
struct Background {
    tile: Vec<u8>,
    row_bytes: usize,
}

impl Background {
    fn new(layout: &FrameLayout) -> Self {
        let row_bytes = (layout.width as usize + PERIOD) * 4;
        let mut tile = Vec::with_capacity(row_bytes * PERIOD);
        for y in 0..PERIOD {
            for x in 0..layout.width as usize + PERIOD {
                let block = if (x / 32 + y / 32) % 2 == 0 { 40 } else { 0 };
                tile.extend_from_slice(&[wave(x + y), wave(x + 2 * y + 40), wave(2 * x + y + 90) / 2 + block, 255]);
            }
        }
        Self { tile, row_bytes }
    }

    /// Two pixels to the left and one up per picture.
    fn draw(&self, layout: &FrameLayout, pixels: &mut [u8], index: u32) {
        let (shift_x, shift_y) = (index as usize * 2 % PERIOD, index as usize % PERIOD);
        let visible = layout.width as usize * 4;
        for (y, row) in pixels.chunks_exact_mut(layout.stride as usize).enumerate() {
            let start = (y + shift_y) % PERIOD * self.row_bytes + shift_x * 4;
            row[..visible].copy_from_slice(&self.tile[start..start + visible]);
        }
    }
}

/// A triangle wave of [`PERIOD`] steps between 64 and 191.
fn wave(at: usize) -> u8 {
    let phase = at % PERIOD;
    (64 + if phase < PERIOD / 2 { phase } else { PERIOD - 1 - phase } * 2) as u8
}

fn layout_of(mode: Mode) -> FrameLayout {
    // Rows padded to a cache line, as GPUs and compositors do: whoever confuses stride and width fails on it.
    let stride = (mode.width * 4).next_multiple_of(64);
    FrameLayout {
        width: mode.width,
        height: mode.height,
        stride,
        format: PixelFormat::Bgrx,
        transform: Transform::Normal,
    }
}

/// Sleep that can be ended from outside.
#[derive(Debug, Default)]
struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    /// Whether it rang, meanwhile or before.
    fn sleep_until(&self, deadline: Instant) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if *rung || left.is_zero() {
                return std::mem::take(&mut *rung);
            }
            rung = self.changed.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl WakeCapturer for Alarm {
    fn wake(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// As a real source that copies on request.
const MAX_LENT: usize = 1;
/// The tile's period in pixels: small enough that the tile stays in the cache, a multiple of the checkers' 64.
const PERIOD: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stage;
    use crate::fake::{Faults, SyntheticDesktop};

    const MODE: Mode = Mode { width: 322, height: 240, refresh_hz: 1000 };

    fn stage(options: SyntheticOptions) -> Box<dyn Stage> {
        SyntheticDesktop::new(options).stage(MODE)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn next(capturer: &mut dyn Capturer) -> CapturedFrame {
        match capturer.wait(soon()) {
            Ok(Captured::Frame(frame)) => frame,
            other => panic!("expected a picture, got {other:?}"),
        }
    }

    fn index_of(frame: &CapturedFrame) -> Option<u32> {
        let (layout, bytes) = (frame.layout, frame.slot.memory.bytes());
        stamp::read(layout.width, layout.height, |x, y| bytes[(y * layout.stride + x * 4) as usize]).map(|s| s.index)
    }

    #[test]
    fn a_wait_is_ended_from_outside_also_before_it_begins_and_once() {
        let options = SyntheticOptions { for_slots: true, ..Default::default() };
        let mut capturer = stage(options).capturer().expect("a capturer");
        let waker = capturer.waker().expect("who draws for slots can be woken");
        let far = Instant::now() + Duration::from_secs(1000);
        waker.wake();
        waker.wake();
        assert!(matches!(capturer.wait(far), Ok(Captured::Unchanged)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| matches!(capturer.wait(far), Ok(Captured::Unchanged)));
            std::thread::sleep(Duration::from_millis(5));
            waker.wake();
            assert!(waiting.join().expect("no panic"));
        });
        assert!(stage(SyntheticOptions::default()).capturer().expect("a capturer").waker().is_none());
    }

    #[test]
    fn pictures_are_numbered_and_move() {
        let mut capturer = stage(SyntheticOptions::default()).capturer().expect("a capturer");
        let (mut slot, mut last) = (capturer.make_slot().expect("a slot"), Vec::new());
        for index in 0..5 {
            capturer.lend(slot).expect("lent");
            let frame = next(&mut *capturer);
            assert_eq!((index_of(&frame), frame.damage), (Some(index), Damage::Full));
            assert_eq!(frame.layout.stride % 64, 0);
            let corner = frame.slot.memory.bytes()[frame.layout.len() - 4096..].to_vec();
            assert_ne!(corner, last, "the background moves");
            last = corner;
            slot = frame.slot;
        }
    }

    #[test]
    fn without_background_only_the_stamp_is_damaged() {
        let mut capturer =
            stage(SyntheticOptions { background: false, ..Default::default() }).capturer().expect("a capturer");
        let slot = capturer.make_slot().expect("a slot");
        capturer.lend(slot).expect("lent");
        let first = next(&mut *capturer);
        assert_eq!(first.damage, Damage::Full);
        capturer.lend(first.slot).expect("lent");
        let rects: Vec<_> = next(&mut *capturer).damage.rects().expect("not full").collect();
        assert_eq!(rects, [Rect { x: 0, y: 0, width: 288, height: 96 }]);
    }

    #[test]
    fn a_mode_change_voids_the_slots() {
        let mut stage = stage(SyntheticOptions::default());
        let mut capturer = stage.capturer().expect("a capturer");
        let slot = capturer.make_slot().expect("a slot");
        capturer.lend(slot).expect("lent");
        let old = next(&mut *capturer).slot;
        let bigger = Mode { width: 400, ..MODE };
        assert_eq!(stage.set_mode(bigger).expect("taken"), bigger);
        assert!(matches!(capturer.wait(soon()), Ok(Captured::LayoutChanged(l)) if l.width == 400));
        assert!(capturer.lend(old).is_err());
        let slot = capturer.make_slot().expect("a slot");
        capturer.lend(slot).expect("lent");
        assert_eq!(next(&mut *capturer).layout.width, 400);
    }

    #[test]
    fn faults_come_as_told() {
        let faults = Faults { capture_fatal_after: Some(0), capture_fatal_times: 1, ..Faults::default() };
        let mut broken = stage(SyntheticOptions { faults, ..Default::default() });
        assert!(broken.capturer().expect("a capturer").wait(soon()).is_err_and(|e| e.fatal));
        let mut second = broken.capturer().expect("a second one");
        let slot = second.make_slot().expect("a slot");
        second.lend(slot).expect("lent");
        next(&mut *second);

        let faults = Faults { still_after: Some(1), ..Faults::default() };
        let mut still = stage(SyntheticOptions { faults, ..Default::default() }).capturer().expect("a capturer");
        for captured in [true, false] {
            let slot = still.make_slot().expect("a slot");
            still.lend(slot).expect("lent");
            let deadline = if captured { soon() } else { Instant::now() };
            assert_eq!(matches!(still.wait(deadline), Ok(Captured::Frame(_))), captured);
        }
    }
}
