//! How late packets are, compared with the fastest of the last seconds, and how long to hold them back for that.

use crate::Timestamp;

/// Learns from every arrival. All times in ns.
#[derive(Clone, Debug)]
pub struct Lateness {
    /// Share of the packets, by how late they were, in steps of [`STEP`]; together about [`WHOLE`].
    shares: [u32; STEPS],
    /// The smallest transit of this window and of the one before. A transit is arrival minus position in the voice: two
    /// clocks that know nothing of each other, so that only differences mean something.
    fastest: [Option<i64>; 2],
    window_began: Timestamp,
    target: i64,
}

impl Lateness {
    pub fn new() -> Self {
        Self { shares: [0; STEPS], fastest: [None; 2], window_began: Timestamp(0), target: LEAST }
    }

    /// A packet arrived with this transit. Returns how late it was.
    pub fn arrived(&mut self, now: Timestamp, transit: i64) -> i64 {
        if now.since(self.window_began).as_nanos() >= WINDOW {
            (self.fastest, self.window_began) = ([None, self.fastest[0]], now);
        }
        let fastest = self.fastest[0].map_or(transit, |f| f.min(transit));
        self.fastest[0] = Some(fastest);
        let fastest = self.fastest[1].map_or(fastest, |f| f.min(fastest));
        let late = transit.saturating_sub(fastest).max(0);
        self.learn(late);
        late
    }

    /// The source paused or began anew: transits before and after cannot be compared. What was learnt of the path stays.
    pub fn forget_transits(&mut self) {
        self.fastest = [None; 2];
    }

    /// How long a packet that is not late is to be held back.
    pub const fn target(&self) -> i64 {
        self.target
    }

    fn learn(&mut self, late: i64) {
        let step = usize::try_from(late / STEP).unwrap_or(STEPS).min(STEPS - 1);
        for share in &mut self.shares {
            *share -= *share >> FORGET;
        }
        self.shares[step] += WHOLE >> FORGET;
        let all: u32 = self.shares.iter().sum();
        let beyond = all / 100 * (100 - PERCENT);
        let (mut rest, mut step) = (0, STEPS);
        while step > 0 && rest + self.shares[step - 1] <= beyond {
            step -= 1;
            rest += self.shares[step];
        }
        self.target = (step as i64 * STEP + MARGIN).max(LEAST);
    }
}

/// Resolution of what is learnt.
const STEP: i64 = 2_500_000;
/// Up to 200 ms.
const STEPS: usize = 80;
/// A sum that leaves room in a u32 and is fine enough for [`FORGET`].
const WHOLE: u32 = 1 << 24;
/// A packet's weight halves within 89 packets: with 10 ms each, in 0.9 s.
const FORGET: u32 = 7;
/// So many packets of a hundred come in time.
const PERCENT: u32 = 97;
/// Beyond the learnt: a thread that wakes late, a sound server that asks for two packets at once.
const MARGIN: i64 = 2_500_000;
const LEAST: i64 = 5_000_000;
/// The fastest packet counts for two to four seconds: clocks that drift apart by 100 ppm differ by 0.4 ms after that.
const WINDOW: u128 = 2_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn feed(lateness: &mut Lateness, from: u64, count: u64, late_ms: impl Fn(u64) -> i64) -> i64 {
        for n in from..from + count {
            let transit = 77 * MS + late_ms(n) * MS;
            lateness.arrived(Timestamp(n * 10_000_000), transit);
        }
        lateness.target() / MS
    }

    #[test]
    fn the_target_follows_the_path_up_and_down() {
        let mut l = Lateness::new();
        assert_eq!(feed(&mut l, 0, 200, |_| 0), 5, "a perfect path");
        let bad = feed(&mut l, 200, 300, |n| if n % 10 == 0 { 30 } else { 0 });
        assert!((30..=40).contains(&bad), "one of ten is 30 ms late: {bad}");
        let rare = feed(&mut l, 500, 1000, |n| if n % 100 == 0 { 30 } else { 0 });
        assert!(rare <= 10, "one of a hundred is: {rare}");
        assert_eq!(feed(&mut l, 1500, 1000, |_| 0), 5, "and back");
    }

    #[test]
    fn clocks_that_drift_apart_are_no_lateness() {
        for ppm in [-500i64, 500] {
            let mut l = Lateness::new();
            for n in 0..10_000i64 {
                l.arrived(Timestamp(n as u64 * 10_000_000), n * 10_000_000 / 1_000_000 * ppm);
            }
            assert!(l.target() <= 8 * MS, "{ppm} ppm: {}", l.target());
        }
    }
}
