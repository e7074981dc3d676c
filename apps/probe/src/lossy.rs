//! Losing datagrams on purpose, reproducibly.
//!
//! A mean run of 1 loses each datagram independently. Longer runs come from a two-state chain (Gilbert): everything is
//! lost in the bad state, whose mean length is the run and whose share is the loss.

/// Decides about one datagram after the other.
#[derive(Debug)]
pub struct Lossy {
    loss: f64,
    /// Chance to enter and to leave the bad state; `None` for independent losses.
    chain: Option<(f64, f64)>,
    bad: bool,
    random: u64,
}

impl Lossy {
    /// Loses `percent` of the datagrams in runs of `burst` on average; `None` if there is nothing to lose.
    pub fn new(percent: f64, burst: u32, seed: u64) -> Option<Self> {
        let loss = percent / 100.0;
        let leave = 1.0 / f64::from(burst);
        // At 100 % the bad state is never left.
        let chain = (burst > 1 && loss < 1.0).then(|| ((leave * loss / (1.0 - loss)).min(1.0), leave));
        (loss > 0.0).then_some(Self { loss, chain, bad: false, random: seed })
    }

    /// Whether the next datagram is lost.
    pub fn loses(&mut self) -> bool {
        let chance = self.uniform();
        match self.chain {
            None => chance < self.loss,
            Some((enter, leave)) => {
                self.bad = if self.bad { chance >= leave } else { chance < enter };
                self.bad
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), 53 bits of it.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_run_length_come_out_as_asked_and_the_seed_decides() {
        for (percent, burst) in [(1.0, 1), (5.0, 1), (5.0, 8), (20.0, 4), (50.0, 3)] {
            let mut lossy = Lossy::new(percent, burst, 7).unwrap();
            let lost: Vec<bool> = (0..400_000).map(|_| lossy.loses()).collect();
            let share = lost.iter().filter(|l| **l).count() as f64 / lost.len() as f64 * 100.0;
            assert!((share / percent - 1.0).abs() < 0.08, "{percent} {burst}: {share}");
            let runs = lost.chunk_by(|a, b| a == b).filter(|run| run[0]).count() as f64;
            let mean = share / 100.0 * lost.len() as f64 / runs;
            let expected = if burst == 1 { 1.0 / (1.0 - percent / 100.0) } else { f64::from(burst) };
            assert!((mean / expected - 1.0).abs() < 0.08, "{percent} {burst}: {mean}");
            let mut again = Lossy::new(percent, burst, 7).unwrap();
            assert!(lost.iter().take(1000).all(|l| *l == again.loses()));
        }
        assert!(Lossy::new(0.0, 1, 1).is_none());
        let mut all = Lossy::new(100.0, 8, 1).unwrap();
        assert!((0..1000).all(|_| all.loses()));
    }
}
