//! Which packets a link loses.

use super::Rng;

/// A loss process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Loss {
    /// None.
    None,
    /// Each packet on its own, with this probability.
    Random(f64),
    /// Gilbert–Elliott: a bad state loses everything, a good one nothing. Run lengths are geometric.
    Burst {
        /// Share of packets lost in the long run.
        rate: f64,
        /// Mean length of a run of lost packets, at least 1.
        mean_run: f64,
    },
}

/// Which state the bursty process is in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    bad: bool,
}

impl State {
    /// Whether the next packet is lost.
    pub(super) fn loses(&mut self, loss: Loss, rng: &mut Rng) -> bool {
        match loss {
            Loss::None => {
                self.bad = false;
                false
            }
            Loss::Random(rate) => rng.chance(rate),
            Loss::Burst { rate, mean_run } => {
                let leave = 1.0 / mean_run.max(1.0);
                // In the long run a share of `rate` of all packets sees the bad state.
                let enter = (leave * rate / (1.0 - rate)).min(1.0);
                self.bad = if self.bad { !rng.chance(leave) } else { rng.chance(enter) };
                self.bad
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rate and mean run length over many packets.
    fn measure(loss: Loss) -> (f64, f64) {
        let (mut state, mut rng) = (State::default(), Rng::new(3));
        let (mut lost, mut runs, mut before) = (0, 0, false);
        const N: u32 = 1_000_000;
        for _ in 0..N {
            let now = state.loses(loss, &mut rng);
            lost += u32::from(now);
            runs += u32::from(now && !before);
            before = now;
        }
        (f64::from(lost) / f64::from(N), f64::from(lost) / f64::from(runs.max(1)))
    }

    #[test]
    fn rates_and_runs_are_as_asked() {
        assert_eq!(measure(Loss::None).0, 0.0);
        let (rate, run) = measure(Loss::Random(0.05));
        assert!((rate - 0.05).abs() < 0.001 && (run - 1.05).abs() < 0.02, "{rate} {run}");
        let (rate, run) = measure(Loss::Burst { rate: 0.05, mean_run: 8.0 });
        assert!((rate - 0.05).abs() < 0.003 && (run - 8.0).abs() < 0.3, "{rate} {run}");
    }
}
