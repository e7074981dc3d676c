//! From a client's reports to loss rates, sans-IO.
//!
//! ```text
//! frames sent ──┐
//! FEC status ───┼─► LossMeter ── poll(now) ──► LossWindow { ppm, frames_lost }, every half second
//! lost frames ──┘
//! ```
//!
//! Clients report blocks that needed repair or were beyond it (at most 80 a second, so that heavy loss on many small
//! blocks is underestimated; the frames that are then lost tell the rest). What is not reported arrived. A client that
//! does not report at all says nothing about its losses but the frames it asks about. Until the first of those its rate is
//! unknown, and FEC stays at its start; from then on a window with a lost frame counts as one of `SILENT_LOSS_PPM`, and
//! one without as what the start withstands.

use std::time::Duration;

use punktfunk_core::Timestamp;

use super::control::FecStatus;

/// One window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LossWindow {
    /// Packets lost, in millionths of those sent; `None` from a client that does not report blocks and lost no frame yet.
    pub ppm: Option<u32>,
    /// Frames that the client could not show.
    pub frames_lost: u32,
}

/// Counts one session's losses.
#[derive(Debug)]
pub struct LossMeter {
    /// The client sends FEC status.
    reports: bool,
    since: Timestamp,
    sent: u64,
    lost: u64,
    frames_lost: u32,
    /// The newest frame that was sent.
    newest: u32,
    /// Frames up to here were counted as lost, or arrived.
    settled: u32,
    started: bool,
    /// A client without reports has lost frames: FEC follows those.
    guessing: bool,
    /// The newest reported blocks: a client may say the same twice.
    seen: [(u32, u8); SEEN],
    next_seen: usize,
}

impl LossMeter {
    /// For a session that starts now. `reports`: bit 0x1 of the client's feature flags.
    #[must_use]
    pub const fn new(reports: bool, now: Timestamp) -> Self {
        Self {
            reports,
            since: now,
            sent: 0,
            lost: 0,
            frames_lost: 0,
            newest: 0,
            settled: 0,
            started: false,
            guessing: false,
            seen: [(0, 0); SEEN],
            next_seen: 0,
        }
    }

    /// A frame left in `packets` packets. `frame` is its number on the wire.
    pub const fn on_sent(&mut self, frame: u32, packets: usize) {
        self.newest = frame;
        self.sent += packets as u64;
    }

    /// A block needed repair or was lost.
    pub fn on_fec_status(&mut self, status: &FecStatus) {
        let block = (status.frame, status.block);
        if status.frame == 0 || status.frame > self.newest || self.seen.contains(&block) {
            return;
        }
        self.seen[self.next_seen] = block;
        self.next_seen = (self.next_seen + 1) % SEEN;
        let all = u32::from(status.data) + u32::from(status.recovery);
        let received = u32::from(status.received_data) + u32::from(status.received_recovery);
        let lost = if received < u32::from(status.data) {
            // Given up: whatever did not come until then did not come.
            all.saturating_sub(received)
        } else {
            // Repaired, maybe before the rest of it came.
            u32::from(status.missing).min(all)
        };
        self.lost += u64::from(lost.min(MAX_BLOCK));
    }

    /// The client lost the frames `first..=last` of the wire. It repeats and widens that until it is helped: each frame
    /// counts once.
    pub fn on_invalidate(&mut self, first: u32, last: u32) {
        let first = first.max(self.settled.saturating_add(1));
        let last = last.min(self.newest);
        if first <= last {
            self.frames_lost = self.frames_lost.saturating_add(last - first + 1);
            self.settled = last;
        }
    }

    /// The client asked for a keyframe. The first such request only says that it is there.
    pub const fn on_keyframe_request(&mut self) {
        if self.started && self.newest > self.settled {
            self.frames_lost = self.frames_lost.saturating_add(1);
            self.settled = self.newest;
        }
        self.started = true;
    }

    /// The newest frame that arrived whole, as old clients report it.
    pub fn on_loss_stats(&mut self, last_good: u64) {
        let good = u32::try_from(last_good).unwrap_or(u32::MAX).min(self.newest);
        self.settled = self.settled.max(good);
    }

    /// The last window, once it is over; at least one packet was sent in it.
    pub fn poll(&mut self, now: Timestamp) -> Option<LossWindow> {
        let age = Duration::from_nanos(now.as_nanos().saturating_sub(self.since.as_nanos()));
        if age < WINDOW || self.sent == 0 {
            return None;
        }
        self.guessing |= self.frames_lost > 0;
        let ppm = match (self.reports, self.guessing) {
            (true, _) => Some((u128::from(self.lost) * 1_000_000 / u128::from(self.sent)).min(1_000_000) as u32),
            (false, true) if self.frames_lost > 0 => Some(SILENT_LOSS_PPM),
            (false, true) => Some(SILENT_FLOOR_PPM),
            (false, false) => None,
        };
        let window = LossWindow { ppm, frames_lost: self.frames_lost };
        (self.since, self.sent, self.lost, self.frames_lost) = (now, 0, 0, 0);
        Some(window)
    }
}

/// Long enough for some frames, short enough to follow a radio link.
const WINDOW: Duration = Duration::from_millis(500);
/// What loses one of 30 frames of 20 packets with a fifth of recovery, the start of GameStream's sessions: the least that
/// explains a lost frame. The controller adds to it while frames are still lost.
const SILENT_LOSS_PPM: u32 = 80_000;
/// What a fifth of recovery withstands: less is not to be had from a client that says nothing.
const SILENT_FLOOR_PPM: u32 = 20_000;
/// More than a client reports in 100 ms.
const SEEN: usize = 16;
/// No block is larger.
const MAX_BLOCK: u32 = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn status(frame: u32, missing: u16, data: u16, recovery: u16, received: (u16, u16)) -> FecStatus {
        let (received_data, received_recovery) = received;
        FecStatus {
            frame,
            missing,
            data,
            recovery,
            received_data,
            received_recovery,
            block: 0,
            blocks: 1,
            ..FecStatus::default()
        }
    }

    fn meter(reports: bool, frames: u32) -> LossMeter {
        let mut meter = LossMeter::new(reports, Timestamp(0));
        (1..=frames).for_each(|frame| meter.on_sent(frame, 50));
        meter
    }

    #[test]
    fn repaired_and_lost_blocks_become_a_rate() {
        let mut meter = meter(true, 20);
        assert_eq!(meter.poll(Timestamp(499 * MS)), None);
        meter.on_fec_status(&status(3, 2, 41, 9, (39, 2))); // repaired at once, the rest was still under way
        meter.on_fec_status(&status(3, 2, 41, 9, (39, 2))); // said twice
        meter.on_fec_status(&status(4, 5, 41, 9, (30, 2))); // beyond repair: 18 of 50
        meter.on_fec_status(&status(99, 50, 41, 9, (0, 0))); // never sent
        let window = meter.poll(Timestamp(500 * MS)).expect("over");
        assert_eq!(window, LossWindow { ppm: Some(20_000), frames_lost: 0 });
        assert_eq!(meter.poll(Timestamp(2000 * MS)), None, "nothing was sent");
        meter.on_sent(21, 50);
        assert_eq!(meter.poll(Timestamp(2000 * MS)), Some(LossWindow { ppm: Some(0), frames_lost: 0 }));
    }

    #[test]
    fn frames_count_once_however_often_they_are_asked_about() {
        let mut meter = meter(false, 20);
        meter.on_keyframe_request(); // the client starts
        meter.on_invalidate(5, 6);
        meter.on_invalidate(5, 8);
        meter.on_invalidate(5, u32::MAX); // to the newest there is
        meter.on_invalidate(9, 3);
        meter.on_keyframe_request(); // nothing new since
        let window = meter.poll(Timestamp(500 * MS)).expect("over");
        assert_eq!(window, LossWindow { ppm: Some(SILENT_LOSS_PPM), frames_lost: 16 });
        meter.on_sent(21, 50);
        meter.on_sent(22, 50);
        meter.on_loss_stats(21);
        meter.on_keyframe_request();
        assert_eq!(meter.poll(Timestamp(1000 * MS)).map(|w| w.frames_lost), Some(1));
    }

    #[test]
    fn a_client_without_reports_is_known_by_the_frames_that_it_lost() {
        let mut meter = meter(false, 20);
        meter.on_keyframe_request();
        assert_eq!(meter.poll(Timestamp(500 * MS)), Some(LossWindow { ppm: None, frames_lost: 0 }));
        // The way FEC goes with it: up at the first lost frame, and back to its start, not below it.
        let mut fec = punktfunk_core::rate::FecController::adaptive_from(20);
        let mut designs = Vec::new();
        for window in 2..100_u64 {
            let frame = 19 + window as u32;
            meter.on_sent(frame, 500);
            if window == 2 {
                meter.on_keyframe_request();
            }
            let told = meter.poll(Timestamp(window * 500 * MS)).expect("over");
            fec.on_report(told.ppm.expect("guessed"), 500);
            designs.push(fec.design_ppm());
        }
        assert!(designs[0] >= SILENT_LOSS_PPM, "{designs:?}");
        assert!(designs.last().is_some_and(|ppm| (SILENT_FLOOR_PPM..SILENT_LOSS_PPM / 2).contains(ppm)), "{designs:?}");
    }

    proptest! {
        /// Whatever a client says, a rate is a rate and no frame is lost that was not sent.
        #[test]
        fn hostile_reports_stay_within_bounds(
            reports in proptest::collection::vec((any::<u32>(), any::<[u16; 5]>(), any::<u8>()), 0..40),
            ranges in proptest::collection::vec(any::<(u32, u32)>(), 0..10), frames in 1_u32..100, good: u64,
        ) {
            let mut meter = meter(true, frames);
            for (frame, [missing, data, recovery, a, b], block) in reports {
                meter.on_fec_status(&FecStatus { block, ..status(frame % 128, missing, data, recovery, (a, b)) });
            }
            ranges.into_iter().for_each(|(first, last)| meter.on_invalidate(first, last));
            meter.on_loss_stats(good);
            let window = meter.poll(Timestamp(u64::MAX)).expect("over");
            prop_assert!(window.ppm.is_some_and(|ppm| ppm <= 1_000_000) && window.frames_lost <= frames);
        }
    }
}
