//! How many recovery shards a block gets.
//!
//! Two ways to say it: a percentage, as on the wire's side of things, or a loss rate to survive. The second asks the
//! binomial distribution for the fewest recovery shards that leave at most [`RESIDUAL`] of the blocks incomplete; a
//! small block needs far more percent than a large one for that. Both then meet the receivers' bounds (§5.5).

use alloc::vec::Vec;

use super::FecScheme;

/// What share of the blocks may stay incomplete when sized for a loss rate: one in ten thousand.
pub const RESIDUAL: f64 = 1e-4;

/// How strongly a frame is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strength {
    /// `ceil(k · percent / 100)` recovery shards, at least 2; 0 percent means none.
    Percent(u8),
    /// The fewest recovery shards that survive this independent packet loss in all but `RESIDUAL` of the blocks, at
    /// least 2; a loss of 0 means none. In millionths.
    Loss {
        /// Packet loss to survive, in parts per million.
        ppm: u32,
    },
}

impl Default for Strength {
    /// Ten per cent, where the protocol starts.
    fn default() -> Self {
        Self::Percent(10)
    }
}

/// What receivers accept (punktfunk1.md §5.5, §5.7): newer ones bound `k + m` by 1.9 K, ones older than about v0.15 by
/// the percentage in `Welcome`. We cannot tell them apart, so the sender keeps both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecoveryLimits {
    /// K of `Welcome`.
    pub max_data_per_block: u16,
    /// `Welcome.fec_percent`.
    pub welcome_fec_percent: u8,
    /// The session's code.
    pub scheme: FecScheme,
}

impl RecoveryLimits {
    /// The most recovery shards for a block of `k`.
    #[must_use]
    pub fn cap(&self, k: usize) -> usize {
        let full = usize::from(self.max_data_per_block);
        let newer = full + (full * 90).div_ceil(100);
        let older = full + (full * usize::from(self.welcome_fec_percent)).div_ceil(100);
        newer.min(older).min(self.scheme.max_shards()).saturating_sub(k)
    }
}

/// Turns [`Strength`] into shard counts and remembers the last rate's answers, so that a session computes each block
/// size once.
#[derive(Debug)]
pub struct RecoverySizer {
    limits: RecoveryLimits,
    /// Loss rate that `known` is for, in ppm.
    ppm: u32,
    /// Answer + 1 by k, 0 = not computed yet.
    known: Vec<u16>,
}

impl RecoverySizer {
    /// For a session with these limits.
    #[must_use]
    pub fn new(limits: RecoveryLimits) -> Self {
        Self { limits, ppm: 0, known: alloc::vec![0; usize::from(limits.max_data_per_block) + 1] }
    }

    /// m for a block of `k` data shards, clamped to what receivers take.
    #[must_use]
    pub fn recovery_shards(&mut self, strength: Strength, k: usize) -> usize {
        let wanted = match strength {
            Strength::Percent(0) | Strength::Loss { ppm: 0 } => 0,
            Strength::Percent(percent) => (k * usize::from(percent)).div_ceil(100).max(2),
            Strength::Loss { ppm } => self.for_loss(ppm.min(MAX_LOSS_PPM), k),
        };
        wanted.min(self.limits.cap(k))
    }

    fn for_loss(&mut self, ppm: u32, k: usize) -> usize {
        if self.ppm != ppm {
            self.ppm = ppm;
            self.known.fill(0);
        }
        match self.known.get(k) {
            Some(&known) if known > 0 => usize::from(known) - 1,
            _ => {
                let m = least_recovery(k, f64::from(ppm) / 1e6, RESIDUAL).max(2);
                if let Some(slot) = self.known.get_mut(k) {
                    *slot = u16::try_from(m + 1).unwrap_or(u16::MAX);
                }
                m
            }
        }
    }
}

/// Half of all packets: beyond that no stream is watchable, and recovery only adds to the congestion.
const MAX_LOSS_PPM: u32 = 500_000;

/// The least m with [`residual`] ≤ `target`.
pub(super) fn least_recovery(k: usize, loss: f64, target: f64) -> usize {
    let (mut low, mut high) = (0, 8);
    while residual(k, high, loss) > target {
        low = high + 1;
        high *= 2;
    }
    while low < high {
        let middle = usize::midpoint(low, high);
        if residual(k, middle, loss) > target {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The probability that more than `m` of `k + m` packets are lost when each is lost with probability `loss` on its own:
/// the share of blocks that stay incomplete. Computed from ratios around the most likely count, so that no power
/// underflows and no logarithm is needed.
#[must_use]
pub fn residual(k: usize, m: usize, loss: f64) -> f64 {
    if loss <= 0.0 {
        return 0.0;
    }
    if loss >= 1.0 {
        return 1.0;
    }
    let n = k + m;
    let odds = loss / (1.0 - loss);
    // t(i) = C(n, i) loss^i (1 - loss)^(n - i), relative to the mode.
    let mode = ((n as f64 + 1.0) * loss) as usize;
    let mode = mode.min(n);
    let (mut total, mut tail) = (0.0, 0.0);
    let mut add = |i: usize, t: f64| {
        total += t;
        if i > m {
            tail += t;
        }
    };
    let mut t = 1.0;
    add(mode, t);
    for i in mode..n {
        t *= (n - i) as f64 / (i + 1) as f64 * odds;
        if t < NEGLIGIBLE {
            break;
        }
        add(i + 1, t);
    }
    t = 1.0;
    for i in (1..=mode).rev() {
        t *= i as f64 / (n - i + 1) as f64 / odds;
        if t < NEGLIGIBLE {
            break;
        }
        add(i - 1, t);
    }
    tail / total
}

/// Terms this far below the mode change nothing that we can spend.
const NEGLIGIBLE: f64 = 1e-18;

#[cfg(test)]
mod tests {
    use super::*;

    fn power(x: f64, n: usize) -> f64 {
        (0..n).fold(1.0, |p, _| p * x)
    }

    #[test]
    fn residual_agrees_with_the_textbook_sum() {
        for (k, m, loss) in [(1, 0, 0.3), (5, 2, 0.1), (40, 8, 0.05), (72, 15, 0.2), (10, 10, 0.5)] {
            let n: usize = k + m;
            let mut choose = 1.0;
            let mut tail = 0.0;
            for i in 0..=n {
                if i > m {
                    tail += choose * power(loss, i) * power(1.0 - loss, n - i);
                }
                choose = choose * (n - i) as f64 / (i + 1) as f64;
            }
            let got = residual(k, m, loss);
            assert!((got - tail).abs() <= 1e-9 * tail.max(1e-12), "{k}+{m} at {loss}: {got} against {tail}");
        }
    }

    #[test]
    fn least_recovery_is_least() {
        for k in [1, 2, 7, 40, 72, 150, 800, 4096] {
            for loss in [0.001, 0.01, 0.05, 0.2] {
                let m = least_recovery(k, loss, RESIDUAL);
                assert!(residual(k, m, loss) <= RESIDUAL);
                assert!(m == 0 || residual(k, m - 1, loss) > RESIDUAL, "k {k} loss {loss} m {m}");
            }
        }
    }

    #[test]
    fn percent_rule_has_a_floor_of_two_and_the_receivers_clamps() {
        let limits = RecoveryLimits { max_data_per_block: 4096, welcome_fec_percent: 10, scheme: FecScheme::Gf16 };
        let mut sizer = RecoverySizer::new(limits);
        assert_eq!(sizer.recovery_shards(Strength::Percent(0), 72), 0);
        assert_eq!(sizer.recovery_shards(Strength::Percent(1), 1), 2);
        assert_eq!(sizer.recovery_shards(Strength::Percent(20), 72), 15);
        // Full block: an old receiver takes 4096 + ceil(409.6) shards.
        assert_eq!(sizer.recovery_shards(Strength::Percent(50), 4096), 410);
        // Newer receivers' bound alone.
        let wide = RecoveryLimits { welcome_fec_percent: 255, ..limits };
        assert_eq!(wide.cap(4096), 3687);
        assert_eq!(RecoveryLimits { scheme: FecScheme::Gf8, max_data_per_block: 200, ..wide }.cap(200), 55);
    }

    #[test]
    fn sizing_for_loss_is_remembered_per_rate() {
        let limits = RecoveryLimits { max_data_per_block: 4096, welcome_fec_percent: 50, scheme: FecScheme::Gf16 };
        let mut sizer = RecoverySizer::new(limits);
        let at = |sizer: &mut RecoverySizer, ppm| sizer.recovery_shards(Strength::Loss { ppm }, 72);
        let five = at(&mut sizer, 50_000);
        assert_eq!(five, least_recovery(72, 0.05, RESIDUAL));
        assert!(at(&mut sizer, 10_000) < five);
        assert_eq!(at(&mut sizer, 50_000), five);
        assert_eq!(at(&mut sizer, 0), 0);
        assert_eq!(at(&mut sizer, 1), 2, "the floor");
    }
}
