//! Adaptive bitrate: the client's wire budget in automatic mode (punktfunk1.md §7.6).
//!
//! ```text
//!  every 750 ms:   heavy loss · delay above its recent floor · slow decoder · repeated recovery  ──► ×0.7
//!                  6 clean windows in a row  ──► quickly back to where it last went wrong, from there in small steps
//! ```
//!
//! Two traps that keep other controllers at the floor for ever are built out and tested. *Loss that is no congestion*
//! (a bad radio): if two cuts did not make the loss smaller and the delay never rose, that loss belongs to the path, and
//! up to half as much again is no reason to cut. *A path that became longer*: delay is judged against the least of the
//! last 30 seconds, so a new route stops looking like a queue after that time.

use std::collections::VecDeque;
use std::time::Duration;

use punktfunk_core::Timestamp;

/// What one report window showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct AbrWindow {
    /// Packets lost on the way, per million, those that FEC recovered included.
    pub loss_ppm: u32,
    /// Median one-way delay of the window's access units, on any clock offset that stays the same; `None` without units.
    pub delay: Option<Duration>,
    /// Recovery requests (keyframe or invalidation) sent in the window.
    pub recoveries: u32,
    /// Median time to decode a unit; `None` if unknown.
    pub decode: Option<Duration>,
}

/// The controller's wish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing changes.
    Hold,
    /// Send `SetBitrate` with this many kbit/s.
    Set(u32),
}

/// The controller. Feed it every window, every `BitrateChanged` and every speed test.
#[derive(Debug)]
pub struct Abr {
    kbps: u32,
    floor_kbps: u32,
    ceiling_kbps: u32,
    /// Where the host stopped granting more, and until when that is believed.
    host_limit: Option<(u32, Timestamp)>,
    /// Where it last went wrong: approached in small steps.
    trouble_kbps: Option<u32>,
    frame_interval: Duration,
    changed_at: Timestamp,
    clean: u32,
    delays: VecDeque<Duration>,
    /// Loss that cutting does not change.
    path_loss_ppm: u32,
    /// Loss that made us cut last, while nothing but loss was wrong, and how many cuts did not help.
    cut_for: Option<(u32, u32)>,
    asked: Option<(Timestamp, u32)>,
    unanswered: u32,
}

impl Abr {
    /// `start_kbps` is `Welcome.bitrate_kbps`, also the ceiling until a speed test proves more. `None` if it is 0: such a
    /// host is not to be controlled.
    #[must_use]
    pub fn new(now: Timestamp, start_kbps: u32, refresh_hz: u32) -> Option<Self> {
        (start_kbps > 0).then(|| Self {
            kbps: start_kbps,
            floor_kbps: FLOOR_KBPS.min(start_kbps),
            ceiling_kbps: start_kbps,
            host_limit: None,
            trouble_kbps: None,
            frame_interval: Duration::from_secs(1) / refresh_hz.max(1),
            changed_at: now,
            clean: 0,
            delays: VecDeque::with_capacity(DELAY_WINDOWS),
            path_loss_ppm: 0,
            cut_for: None,
            asked: None,
            unanswered: 0,
        })
    }

    /// The wire budget in force, kbit/s.
    #[must_use]
    pub const fn kbps(&self) -> u32 {
        self.kbps
    }

    /// False once the host left too many requests unanswered.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.unanswered < GIVE_UP_AFTER
    }

    /// A speed test measured what the path carries: `CEILING_PERCENT` of it is the new ceiling.
    pub fn on_speed(&mut self, delivered_kbps: u32) {
        let ceiling = u64::from(delivered_kbps) * CEILING_PERCENT / 100;
        self.ceiling_kbps = u32::try_from(ceiling).unwrap_or(u32::MAX).max(self.floor_kbps);
    }

    /// The host's word on the budget, asked for or not.
    pub fn on_bitrate_changed(&mut self, now: Timestamp, kbps: u32) {
        if let Some((_, asked)) = self.asked.take() {
            self.unanswered = 0;
            if kbps < asked {
                self.host_limit = Some((kbps, now + HOST_LIMIT_FOR));
            }
        }
        if kbps > 0 {
            self.kbps = kbps;
        }
    }

    /// A window closed.
    pub fn on_window(&mut self, now: Timestamp, window: &AbrWindow) -> Decision {
        self.count_unanswered(now);
        if !self.is_active() {
            return Decision::Hold;
        }
        let queueing = window.delay.is_some_and(|delay| self.delay_rose(delay));
        let slow = window.decode.is_some_and(|decode| decode > self.frame_interval);
        let lossy = window.loss_ppm >= HEAVY_PPM && window.loss_ppm > self.path_loss_ppm / 2 * 3;
        if window.loss_ppm < self.path_loss_ppm / 2 {
            self.path_loss_ppm = window.loss_ppm;
        }
        // Recovery without loss above the path's own is bad luck with the FEC, not a full queue.
        let struggling = window.recoveries >= MANY_RECOVERIES && window.loss_ppm > self.path_loss_ppm / 2 * 3;
        let trouble = queueing || slow || lossy || struggling;
        if trouble {
            self.clean = 0;
        } else {
            self.clean += 1;
        }
        let may_change = self.asked.is_none() && now.since(self.changed_at) >= MIN_SPACING;
        match (may_change, trouble) {
            (false, _) => Decision::Hold,
            (true, true) => self.cut(now, window.loss_ppm, queueing || slow),
            (true, false) => self.climb(now),
        }
    }

    fn cut(&mut self, now: Timestamp, loss_ppm: u32, other_signs: bool) -> Decision {
        let futile = match self.cut_for {
            Some((before, cuts)) if !other_signs && loss_ppm > before / 10 * 7 => cuts + 1,
            _ => 0,
        };
        self.cut_for = (!other_signs).then_some((loss_ppm, futile));
        if futile >= FUTILE_CUTS {
            // It lost as much at half the rate: the path is like that.
            self.path_loss_ppm = loss_ppm;
            self.cut_for = None;
            self.trouble_kbps = None;
            return Decision::Hold;
        }
        // Severe loss is not waited out, but it is no reason to cut deeper either: the next window can cut again.
        self.trouble_kbps = Some(self.kbps);
        let lower = (u64::from(self.kbps) * CUT_PERCENT / 100) as u32;
        self.ask(now, lower.max(self.floor_kbps))
    }

    fn climb(&mut self, now: Timestamp) -> Decision {
        if self.clean < CLEAN_WINDOWS {
            return Decision::Hold;
        }
        // Half the patience for the next step: it went well so far.
        self.clean = CLEAN_WINDOWS / 2;
        self.cut_for = None;
        let percent = match self.trouble_kbps {
            Some(trouble) if self.kbps >= trouble => {
                self.trouble_kbps = None;
                QUICK_PERCENT
            }
            Some(trouble) if self.kbps >= trouble / 10 * 8 => CAREFUL_PERCENT,
            _ => QUICK_PERCENT,
        };
        if self.host_limit.is_some_and(|(_, until)| now >= until) {
            self.host_limit = None;
        }
        let limit = self.host_limit.map_or(u32::MAX, |(kbps, _)| kbps).min(self.ceiling_kbps);
        let higher = u32::try_from(u64::from(self.kbps) * percent / 100).unwrap_or(u32::MAX);
        // Being above a lower ceiling (of a later speed test) is left to the signs of trouble.
        self.ask(now, higher.min(limit).max(self.kbps))
    }

    fn ask(&mut self, now: Timestamp, kbps: u32) -> Decision {
        if kbps == self.kbps {
            return Decision::Hold;
        }
        self.changed_at = now;
        self.asked = Some((now, kbps));
        Decision::Set(kbps)
    }

    fn count_unanswered(&mut self, now: Timestamp) {
        if self.asked.is_some_and(|(at, _)| now.since(at) >= ANSWER_WITHIN) {
            self.asked = None;
            self.unanswered += 1;
            // Nothing was cut, so nothing can be learned from it.
            self.cut_for = None;
        }
    }

    fn delay_rose(&mut self, delay: Duration) -> bool {
        if self.delays.len() == DELAY_WINDOWS {
            self.delays.pop_front();
        }
        self.delays.push_back(delay);
        let least = self.delays.iter().min().copied().unwrap_or(delay);
        delay - least >= DELAY_RISE
    }
}

/// §7.6.
const HEAVY_PPM: u32 = 20_000;
/// §7.6.
const DELAY_RISE: Duration = Duration::from_millis(25);
/// 30 s of windows: how long a longer path looks like a queue.
const DELAY_WINDOWS: usize = 40;
/// One request can be bad luck within a window; the throttles of recovery allow many more.
const MANY_RECOVERIES: u32 = 2;
/// §7.6.
const CUT_PERCENT: u64 = 70;
/// §7.6.
const CLEAN_WINDOWS: u32 = 6;
/// A step that gets from the floor to 100 Mbit/s in half a minute.
const QUICK_PERCENT: u64 = 125;
/// A step that the host's pacing and FEC can absorb if it is one too many.
const CAREFUL_PERCENT: u64 = 105;
/// §7.6.
const MIN_SPACING: Duration = Duration::from_millis(1500);
/// §7.6.
const FLOOR_KBPS: u32 = 5000;
/// Two cuts halve the rate; congestion loss would be gone.
const FUTILE_CUTS: u32 = 2;
/// §3.9.2: what of a proven rate is safe to use.
const CEILING_PERCENT: u64 = 70;
/// §7.6.
const GIVE_UP_AFTER: u32 = 3;
/// Well beyond any round trip on which streaming works.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// An encoder's limit may be a moment's.
const HOST_LIMIT_FOR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A path: a bottleneck with a 100 ms queue, own loss, own delay; and a host that grants what is asked.
    struct Path {
        capacity_kbps: u32,
        random_ppm: u32,
        delay_ms: u64,
        queue_ms: f64,
        now_ms: u64,
        abr: Abr,
        changes: Vec<(u64, u32)>,
    }

    impl Path {
        fn new(start_kbps: u32, capacity_kbps: u32) -> Self {
            let abr = Abr::new(Timestamp(0), start_kbps, 60).unwrap();
            Self { capacity_kbps, random_ppm: 0, delay_ms: 20, queue_ms: 0.0, now_ms: 0, abr, changes: Vec::new() }
        }

        fn run(&mut self, seconds: u64) {
            let end = self.now_ms + seconds * 1000;
            while self.now_ms < end {
                self.now_ms += 750;
                let excess = f64::from(self.abr.kbps()) / f64::from(self.capacity_kbps) - 1.0;
                let grown = self.queue_ms + excess * 750.0;
                let overflow = (grown - 100.0).max(0.0) / (750.0 * (1.0 + excess));
                self.queue_ms = grown.clamp(0.0, 100.0);
                let now = Timestamp(self.now_ms * 1_000_000);
                let window = AbrWindow {
                    loss_ppm: (overflow * 1e6) as u32 + self.random_ppm,
                    delay: Some(Duration::from_millis(self.delay_ms + self.queue_ms as u64)),
                    recoveries: 0,
                    decode: None,
                };
                if let Decision::Set(kbps) = self.abr.on_window(now, &window) {
                    self.changes.push((self.now_ms, kbps));
                    self.abr.on_bitrate_changed(now, kbps);
                }
            }
        }
    }

    #[test]
    fn it_backs_off_when_the_path_narrows_and_recovers_when_it_widens() {
        let mut path = Path::new(50_000, 100_000);
        path.run(10);
        assert_eq!(path.abr.kbps(), 50_000);
        path.capacity_kbps = 12_000;
        path.run(15);
        assert!(path.abr.kbps() <= 13_000, "{:?}", path.changes);
        path.run(60);
        let cut = path.changes.iter().map(|c| c.1).min().unwrap();
        assert!((8_000..=13_000).contains(&path.abr.kbps()) && cut >= 5_000, "stays near: {:?}", path.changes);
        path.capacity_kbps = 100_000;
        path.run(60);
        assert_eq!(path.abr.kbps(), 50_000, "{:?}", path.changes);
    }

    #[test]
    fn loss_that_cutting_does_not_change_is_not_held_against_the_rate() {
        let mut path = Path::new(40_000, 100_000);
        path.random_ppm = 35_000;
        path.run(90);
        assert_eq!(path.abr.kbps(), 40_000, "{:?}", path.changes);
        path.capacity_kbps = 20_000;
        path.run(30);
        assert!(path.abr.kbps() <= 22_000, "congestion still cuts: {:?}", path.changes);
    }

    #[test]
    fn a_longer_path_is_not_a_queue_for_ever() {
        let mut path = Path::new(40_000, 100_000);
        path.run(10);
        path.delay_ms = 80;
        path.run(150);
        assert_eq!(path.abr.kbps(), 40_000, "{:?}", path.changes);
    }

    #[test]
    fn a_speed_test_raises_the_ceiling() {
        let mut path = Path::new(20_000, 200_000);
        path.run(30);
        assert_eq!(path.abr.kbps(), 20_000);
        path.abr.on_speed(150_000);
        path.run(60);
        assert_eq!(path.abr.kbps(), 105_000, "{:?}", path.changes);
    }

    #[test]
    fn a_host_that_grants_less_is_not_asked_again_and_again() {
        let mut abr = Abr::new(Timestamp(0), 20_000, 60).unwrap();
        abr.on_speed(100_000);
        let mut asked = 0;
        for i in 1..=40 {
            let now = Timestamp(i * 750_000_000);
            if let Decision::Set(_) = abr.on_window(now, &AbrWindow::default()) {
                asked += 1;
                abr.on_bitrate_changed(now, 20_000);
            }
        }
        assert_eq!(asked, 1);
        assert!(abr.is_active());
    }

    #[test]
    fn three_unanswered_requests_end_it() {
        let mut abr = Abr::new(Timestamp(0), 50_000, 60).unwrap();
        let lossy = AbrWindow { loss_ppm: 300_000, delay: None, recoveries: 0, decode: None };
        let asked = (1..200).filter(|i| abr.on_window(Timestamp(i * 750_000_000), &lossy) != Decision::Hold).count();
        assert!(!abr.is_active());
        assert_eq!(asked, 3);
    }

    #[test]
    fn a_slow_decoder_and_repeated_recovery_cut_too_and_unknown_budgets_are_left_alone() {
        let slow = AbrWindow { decode: Some(Duration::from_millis(20)), ..AbrWindow::default() };
        let struggling = AbrWindow { recoveries: 2, loss_ppm: 4_000, ..AbrWindow::default() };
        for window in [slow, struggling] {
            let mut abr = Abr::new(Timestamp(0), 50_000, 60).unwrap();
            assert_eq!(abr.on_window(Timestamp(1_500_000_000), &window), Decision::Set(35_000));
        }
        assert!(Abr::new(Timestamp(0), 0, 60).is_none());
    }

    proptest! {
        /// Whatever the path does: within floor and ceiling, no two changes within 1.5 s, and after it is well again
        /// for two minutes, the rate is back.
        #[test]
        fn it_always_recovers(path_of in proptest::collection::vec((3_000u32..200_000, 0u32..100_000, 5u64..300, 1u64..20), 1..12)) {
            let mut path = Path::new(60_000, 100_000);
            for (capacity, ppm, delay, seconds) in path_of {
                (path.capacity_kbps, path.random_ppm, path.delay_ms) = (capacity, ppm, delay);
                path.run(seconds);
            }
            (path.capacity_kbps, path.random_ppm, path.delay_ms) = (100_000, 0, 20);
            path.run(120);
            prop_assert_eq!(path.abr.kbps(), 60_000, "{:?}", path.changes);
            prop_assert!(path.changes.iter().all(|c| (5_000..=60_000).contains(&c.1)));
            prop_assert!(path.changes.windows(2).all(|w| w[1].0 - w[0].0 >= 1500));
        }
    }
}
