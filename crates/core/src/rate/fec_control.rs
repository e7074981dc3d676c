//! From loss reports to the strength of FEC.
//!
//! The protocol's usual controller follows the last report, decays by a point each time, and falls into a hole at the
//! next step (punktfunk1.md §10.4). This one asks two questions of every report:
//!
//! ```text
//! within the noise of the estimate? ── yes ──► average it in (so a steady loss is known to a tenth of a point)
//!            │ no
//!            ├─ above ──► jump there at once
//!            └─ below ──► hold for HOLD reports, then decay: a loss that comes in waves keeps its protection
//! ```
//!
//! What it holds is a loss rate to survive, not a percentage: [`Strength::Loss`] turns that into the fewest recovery
//! packets for each frame's own size. A frame lost all the same (bursts are not independent losses) raises the rate for
//! a while.

use crate::fec::Strength;

/// One session's FEC controller.
#[derive(Clone, Debug)]
pub struct FecController {
    fixed: Option<u8>,
    /// The strength before the first report, in per cent.
    start: u8,
    /// Estimated loss, in ppm. `None` before the first report.
    estimate: Option<u32>,
    /// Packets in the last window that counted: what the estimate's margin rests on.
    window: u32,
    /// Reports that the estimate averages, at most [`AVERAGE`].
    age: u32,
    /// Reports since the last step up, counted down: until then the step explains lost frames.
    explained: u32,
    /// Reports over few packets (a still desktop) are put together first: packets, and lost ones.
    gathered: (u32, u32),
    /// Reports below the estimate for which it is still held.
    hold: u32,
    /// Extra factor for losses that come in bursts, in thousandths, 1000 … [`MAX_BOOST`].
    boost: u32,
    /// What [`FecController::strength`] says, with hysteresis, in ppm.
    design: u32,
    reports_since_change: u32,
}

impl Default for FecController {
    fn default() -> Self {
        Self::adaptive()
    }
}

impl FecController {
    /// Follows the reports; 10 % until the first one.
    #[must_use]
    pub const fn adaptive() -> Self {
        Self::adaptive_from(START_PERCENT)
    }

    /// Follows the reports; `percent` until the first one.
    #[must_use]
    pub const fn adaptive_from(percent: u8) -> Self {
        Self {
            fixed: None,
            start: percent,
            estimate: None,
            window: 0,
            age: 0,
            explained: 0,
            gathered: (0, 0),
            hold: 0,
            boost: 1000,
            design: 0,
            reports_since_change: 0,
        }
    }

    /// Always `percent`, whatever is reported.
    #[must_use]
    pub const fn fixed(percent: u8) -> Self {
        let mut controller = Self::adaptive();
        controller.fixed = Some(percent);
        controller
    }

    /// A LossReport: `ppm` of the packets of its window were lost. `packets` is how many were sent in that window
    /// (about 750 ms), which says how far chance alone may move the figure.
    pub fn on_report(&mut self, ppm: u32, packets: u32) {
        let lost = u64::from(ppm.min(1_000_000)) * u64::from(packets) / 1_000_000;
        let (packets, lost) = (self.gathered.0.saturating_add(packets), self.gathered.1.saturating_add(lost as u32));
        self.gathered = (packets, lost);
        if packets < MIN_PACKETS {
            return;
        }
        self.gathered = (0, 0);
        let ppm = (u64::from(lost) * 1_000_000 / u64::from(packets)) as u32;
        let ppm = ppm.min(MAX_PPM);
        self.window = packets;
        self.boost = (self.boost - (self.boost - 1000) / BOOST_DECAY).max(1000);
        self.explained = self.explained.saturating_sub(1);
        let Some(estimate) = self.estimate else {
            self.restart_from(ppm);
            self.redesign();
            return;
        };
        // (report − estimate)² against (3σ)², σ² = p q / N, all in ppm.
        let p = u64::from(estimate.max(ppm).max(MIN_NOISE_PPM));
        let variance = p * (1_000_000 - p) / u64::from(packets);
        let distance = u64::from(ppm.abs_diff(estimate));
        let noise = distance * distance <= 9 * variance;
        if noise {
            self.hold = HOLD_REPORTS;
            self.age = (self.age + 1).min(AVERAGE);
            self.estimate = Some((estimate * (self.age - 1) + ppm) / self.age);
        } else if ppm > estimate {
            self.restart_from(ppm);
        } else if self.hold > 0 {
            self.hold -= 1;
        } else {
            self.estimate = Some(ppm.max(estimate - estimate / DECAY));
        }
        self.redesign();
    }

    /// The client lost a frame in spite of FEC: it asked for a keyframe or an invalidation. Ignored while a step up that
    /// was just taken explains it.
    pub fn on_frame_lost(&mut self) {
        if self.estimate.is_none() || self.explained > 0 {
            return;
        }
        self.boost = (self.boost + self.boost / 8).min(MAX_BOOST);
        self.redesign();
    }

    /// The strength for the next frame.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        match (self.fixed, self.estimate) {
            (Some(percent), _) => Strength::Percent(percent),
            (None, None) => Strength::Percent(self.start),
            (None, Some(_)) => Strength::Loss { ppm: self.design },
        }
    }

    /// The loss rate that frames are sized for, in ppm; 0 before the first report or with a fixed percentage.
    #[must_use]
    pub const fn design_ppm(&self) -> u32 {
        if self.fixed.is_some() { 0 } else { self.design }
    }

    /// A new level: what was averaged before says nothing about it.
    fn restart_from(&mut self, ppm: u32) {
        self.estimate = Some(ppm);
        self.age = 1;
        self.hold = HOLD_REPORTS;
        self.explained = EXPLAINED_REPORTS;
    }

    /// Sets the design rate: estimate, boost and one standard error of the average, in steps of a tenth of a point.
    /// Going down waits, so that packet counts (and the bitrate split that follows them) do not flicker.
    fn redesign(&mut self) {
        let estimate = u64::from(self.estimate.unwrap_or(0));
        // Standard error of the average of `age` windows of N packets; of an exponential one, σ √(1 / (2 · AVERAGE − 1)).
        let variance = estimate * (1_000_000 - estimate) / u64::from(self.window.max(1));
        let reports = if self.age < AVERAGE { self.age.max(1) } else { 2 * AVERAGE - 1 };
        let margin = (variance / u64::from(reports)).isqrt();
        let raw = (estimate + margin) * u64::from(self.boost) / 1000;
        let raw = u32::try_from(raw).unwrap_or(MAX_PPM).clamp(FLOOR_PPM, MAX_PPM);
        let stepped = raw.div_ceil(STEP_PPM) * STEP_PPM;
        self.reports_since_change += 1;
        let down_by_much = self.design > stepped + stepped / 8;
        if stepped > self.design || down_by_much || self.reports_since_change >= SETTLE_REPORTS {
            self.design = stepped;
            self.reports_since_change = 0;
        }
    }
}

/// Recovery before anything is known, in per cent: the protocol's start value.
const START_PERCENT: u8 = 10;
/// Even a clean path is protected against one lost packet in 500: radio links lose that much without anyone calling
/// it loss, and it costs two to three packets a frame.
const FLOOR_PPM: u32 = 2_000;
/// Three packets in ten. Beyond that recovery takes more of the wire budget than the picture, and a loss that high is
/// congestion, which recovery only feeds.
const MAX_PPM: u32 = 300_000;
/// Design rates are multiples of this, so that the sizer's memory stays warm.
const STEP_PPM: u32 = 1_000;
/// Below this rate one unlucky packet in a window is no news.
const MIN_NOISE_PPM: u32 = 500;
/// Fewer packets say nothing about a rate: one lost in thirty is three per cent, or chance.
const MIN_PACKETS: u32 = 200;
/// Reports that an estimate averages: 12 s of memory at 750 ms.
const AVERAGE: u32 = 16;
/// Reports (6 s) for which a level is held after the loss went down.
const HOLD_REPORTS: u32 = 8;
/// Frames lost within two reports of a step were sent, or asked for, before it was known.
const EXPLAINED_REPORTS: u32 = 2;
/// Then an eighth less per report.
const DECAY: u32 = 8;
/// At most three times the measured loss.
const MAX_BOOST: u32 = 3000;
/// The boost's excess shrinks by a fortieth per report: gone by half after 20 s.
const BOOST_DECAY: u32 = 40;
/// A small step down is taken after this many reports without a change.
const SETTLE_REPORTS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn ppm(c: &FecController) -> u32 {
        match c.strength() {
            Strength::Loss { ppm } => ppm,
            Strength::Percent(p) => panic!("still {p} %"),
        }
    }

    #[test]
    fn starts_at_ten_percent_and_keeps_a_floor() {
        let mut c = FecController::adaptive();
        assert_eq!(c.strength(), Strength::Percent(10));
        for _ in 0..50 {
            c.on_report(0, 1000);
        }
        assert_eq!(ppm(&c), FLOOR_PPM);
    }

    #[test]
    fn a_step_up_is_taken_with_the_first_report() {
        let mut c = FecController::adaptive();
        for _ in 0..50 {
            c.on_report(0, 1000);
        }
        c.on_report(200_000, 1000);
        assert!(ppm(&c) >= 200_000, "{}", ppm(&c));
    }

    #[test]
    fn waves_keep_their_protection_and_quiet_ends_it() {
        let mut c = FecController::adaptive();
        for wave in 0..5 {
            c.on_report(200_000, 1000);
            for _ in 0..6 {
                assert!(ppm(&c) >= 190_000, "wave {wave}: {}", ppm(&c));
                c.on_report(0, 1000);
            }
        }
        for _ in 0..80 {
            c.on_report(0, 1000);
        }
        assert!(ppm(&c) <= 3 * FLOOR_PPM, "{}", ppm(&c));
    }

    #[test]
    fn steady_loss_is_averaged_not_chased() {
        let mut c = FecController::adaptive();
        // Reports that wobble by one standard deviation around 5 %.
        for i in 0..200 {
            c.on_report(if i % 2 == 0 { 43_500 } else { 56_500 }, 1100);
        }
        assert!((50_000..=53_000).contains(&ppm(&c)), "{}", ppm(&c));
    }

    #[test]
    fn lost_frames_boost_and_the_boost_fades() {
        let mut c = FecController::adaptive();
        c.on_report(20_000, 1000);
        c.on_frame_lost();
        let step = ppm(&c);
        for _ in 0..20 {
            c.on_report(20_000, 1000);
        }
        let before = ppm(&c);
        assert!(before <= step, "the step explains the first loss");
        for _ in 0..30 {
            c.on_frame_lost();
        }
        assert!(ppm(&c) > 2 * before && ppm(&c) <= 4 * before, "{}", ppm(&c));
        for _ in 0..400 {
            c.on_report(20_000, 1000);
        }
        assert!(ppm(&c) <= before + 2000, "{} after {before}", ppm(&c));
    }

    #[test]
    fn a_pinned_percentage_stays() {
        let mut c = FecController::fixed(25);
        c.on_report(300_000, 1000);
        c.on_frame_lost();
        assert_eq!(c.strength(), Strength::Percent(25));
    }
}
