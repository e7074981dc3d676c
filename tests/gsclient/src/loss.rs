//! Datagrams lost on purpose, the same ones for the same seed.

/// A loss model: a mean rate, in runs of a fixed length.
#[derive(Clone, Debug)]
pub struct Loss {
    start: f64,
    burst: u32,
    left: u32,
    state: u64,
}

impl Loss {
    /// `percent` of all datagrams (0..=100), lost in runs of `burst` (at least 1).
    #[must_use]
    pub fn new(percent: f64, burst: u32, seed: u64) -> Self {
        let (p, burst) = ((percent / 100.0).clamp(0.0, 1.0), burst.max(1));
        // Between runs of b there are on average b(1-p)/p kept ones, so a run starts with p / (p + b(1-p)).
        let start = if p > 0.0 { p / (p + f64::from(burst) * (1.0 - p)) } else { 0.0 };
        Self { start, burst, left: 0, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1 }
    }

    /// Loses nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0.0, 1, 0)
    }

    /// Whether the next datagram is lost.
    pub fn drop_next(&mut self) -> bool {
        if self.start <= 0.0 {
            return false;
        }
        if self.left == 0 && self.unit() < self.start {
            self.left = self.burst;
        }
        let lost = self.left > 0;
        self.left = self.left.saturating_sub(1);
        lost
    }

    /// Uniform in 0..1 (splitmix64; Steele, Lea, Flood 2014).
    fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_with_and_without_bursts_and_the_seed_repeats() {
        for (percent, burst) in [(1.0, 1), (5.0, 1), (10.0, 8), (50.0, 3)] {
            let lost = |seed| {
                let mut loss = Loss::new(percent, burst, seed);
                (0..200_000).map(|_| loss.drop_next()).collect::<Vec<_>>()
            };
            let (a, b) = (lost(7), lost(7));
            assert_eq!(a, b);
            let share = a.iter().filter(|l| **l).count() as f64 / 2000.0;
            assert!((share - percent).abs() < percent * 0.1, "{percent} % in runs of {burst}: {share}");
            assert_ne!(a, lost(8));
        }
        assert!((0..1000).all(|_| !Loss::none().drop_next()));
        assert!(Loss::new(100.0, 1, 1).drop_next());
    }
}
