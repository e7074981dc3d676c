//! The flight recorder of a session: its last frames, so that a problem can be looked at after it happened.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use punktfunk_core::Mode;
use punktfunk_engine::link::{EncoderChange, SentFrame};

use super::histogram::{STAGES, StageHistograms, stages_of};
use crate::events::{EventKind, Events};
use crate::lock;

/// One frame that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameRow {
    /// When its last packet was handed to the kernel, by the session's clock (Unix time in microseconds at its start).
    pub sent_us: u64,
    /// Its index on the wire.
    pub index: u32,
    /// Bytes of the access unit.
    pub bytes: u32,
    /// Packets, recovery included.
    pub packets: u32,
    /// How long each of [`STAGES`] took, in microseconds.
    pub stages_us: [u32; STAGES.len()],
    /// It is an IDR.
    pub keyframe: bool,
    /// It repeats the picture before.
    pub repeat: bool,
}

/// Takes what a session's frames tell. Called from its send thread.
#[derive(Debug)]
pub struct Recorder {
    ring: Mutex<Ring>,
    mode: Mutex<Option<Mode>>,
    stages: Arc<StageHistograms>,
    events: Arc<Events>,
    session: u64,
    spare: Arc<SpareRings>,
}

/// Memory of ended sessions' rings, for the next ones: large blocks that come and go with every reconnect would leave holes
/// in the heap.
#[derive(Debug, Default)]
pub(super) struct SpareRings(Mutex<Vec<VecDeque<FrameRow>>>);

impl SpareRings {
    fn take(&self) -> VecDeque<FrameRow> {
        // Memory that was not written yet costs nothing.
        lock(&self.0).pop().unwrap_or_else(|| VecDeque::with_capacity(ROWS))
    }

    fn give_back(&self, mut rows: VecDeque<FrameRow>) {
        rows.clear();
        let mut spare = lock(&self.0);
        if spare.len() < MAX_SPARE && rows.capacity() <= ROWS {
            spare.push(rows);
        }
    }
}

#[derive(Debug)]
struct Ring {
    rows: VecDeque<FrameRow>,
    /// Frames recorded so far, those that are gone included.
    count: u64,
}

impl Recorder {
    pub(super) fn new(session: u64, stages: Arc<StageHistograms>, events: Arc<Events>, spare: Arc<SpareRings>) -> Self {
        let ring = Ring { rows: spare.take(), count: 0 };
        Self { ring: Mutex::new(ring), mode: Mutex::default(), stages, events, session, spare }
    }

    /// Records a frame. Allocates nothing but for sessions of more than 273 frames a second; waits at most for a reader that copies a bounded run of rows.
    pub fn frame_sent(&self, frame: &SentFrame) {
        self.stages.record(frame);
        let clip = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let row = FrameRow {
            sent_us: (frame.pts_ns / 1000).saturating_add(u64::from(frame.host_us)),
            index: frame.index,
            bytes: clip(frame.bytes),
            packets: clip(frame.packets),
            stages_us: stages_of(frame),
            keyframe: frame.keyframe,
            repeat: frame.repeat,
        };
        lock(&self.ring).push(row);
    }

    /// Another mode is in force.
    pub fn mode_changed(&self, mode: Mode) {
        *lock(&self.mode) = Some(mode);
    }

    /// The session moved to another encoder, or found none.
    pub fn encoder_changed(&self, change: &EncoderChange) {
        let EncoderChange { from, to, .. } = *change;
        self.events.send(EventKind::SessionEncoderChanged { session: self.session, from, to });
    }

    /// The mode in force, once it changed.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        *lock(&self.mode)
    }

    /// The newest frames, and the number to go on with.
    #[must_use]
    pub fn recent(&self, most: u64) -> (Vec<FrameRow>, u64) {
        let from = lock(&self.ring).count.saturating_sub(most);
        self.rows(from)
    }

    /// The frames from number `from` on (0 = everything that is still there), and the number to go on with.
    #[must_use]
    pub fn rows(&self, from: u64) -> (Vec<FrameRow>, u64) {
        let mut out = Vec::new();
        let mut next = from;
        loop {
            let ring = lock(&self.ring);
            // What was overwritten meanwhile is lost.
            let first = ring.count - ring.rows.len() as u64;
            next = next.clamp(first, ring.count);
            let end = (next + CHUNK).min(ring.count);
            if next == end {
                return (out, end);
            }
            // Both are below the number of rows, so they fit.
            out.extend(ring.rows.range((next - first) as usize..(end - first) as usize));
            next = end;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.spare.give_back(std::mem::take(&mut lock(&self.ring).rows));
    }
}

impl Ring {
    /// In place of the oldest one, once there are enough that are old enough.
    fn push(&mut self, row: FrameRow) {
        // Without the oldest, the next one is.
        let old_enough = self.rows.get(1).is_some_and(|next| row.sent_us.saturating_sub(next.sent_us) >= KEPT_US);
        if self.rows.len() >= MOST_ROWS || (self.rows.len() >= ROWS && old_enough) {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
        self.count += 1;
    }
}

/// What is always kept, in microseconds.
const KEPT_US: u64 = 120_000_000;
/// Two minutes at 240 Hz, and some; 1.8 MB once they are full. Slower sessions keep more than two minutes.
const ROWS: usize = 32_768;
/// Two minutes at the 1000 Hz that a session may have at most, and some.
const MOST_ROWS: usize = 131_072;
/// As many as sessions run at once on most hosts.
const MAX_SPARE: usize = 4;
/// What a reader copies at a time: some microseconds.
const CHUNK: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(index: u32) -> SentFrame {
        SentFrame { index, pts_ns: 5_000, host_us: 7, bytes: 10, packets: 2, ..SentFrame::default() }
    }

    #[test]
    fn the_last_frames_are_kept_in_order() {
        let recorder = Recorder::new(1, Arc::default(), Arc::default(), Arc::default());
        assert_eq!(recorder.rows(0), (vec![], 0));
        for index in 0..10 {
            recorder.frame_sent(&frame(index));
        }
        let (rows, next) = recorder.rows(4);
        assert_eq!((rows.len(), rows[0].index, rows[0].sent_us, next), (6, 4, 12, 10));
        let more = ROWS as u32 + 5;
        let at =
            |index: u32, per_s: u64| SentFrame { pts_ns: u64::from(index) * 1_000_000_000 / per_s, ..frame(index) };
        (10..more).for_each(|index| recorder.frame_sent(&at(index, 60)));
        let (rows, next) = recorder.rows(0);
        assert_eq!((rows.len(), rows[0].index, next), (ROWS, 5, u64::from(more)));
        assert!(rows.windows(2).all(|w| w[1].index == w[0].index + 1));
        assert_eq!(recorder.rows(next + 100), (vec![], next), "a reader from the future waits");
    }

    #[test]
    fn two_minutes_are_kept_also_of_the_fastest_session() {
        for per_s in [60, 240, 480, 1000] {
            let recorder = Recorder::new(1, Arc::default(), Arc::default(), Arc::default());
            let last = per_s * 300;
            for index in 0..=last {
                let pts_ns = u64::from(index) * 1_000_000_000 / u64::from(per_s);
                recorder.frame_sent(&SentFrame { pts_ns, ..frame(index) });
            }
            let (rows, next) = recorder.rows(0);
            assert_eq!((rows.last().unwrap().index, next), (last, u64::from(last) + 1));
            assert!(rows.last().unwrap().sent_us - rows[0].sent_us >= KEPT_US, "{per_s}");
            assert!(rows.len() <= ROWS.max(per_s as usize * 120 + 2), "no more than that: {} at {per_s}", rows.len());
            assert_eq!(recorder.recent(3).0.len(), 3);
        }
    }
}
