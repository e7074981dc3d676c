//! When to send hole punches (punktfunk1.md §5.9): every 200 ms, 15 times, then every 2 s for the whole session.

use std::time::Duration;

use punktfunk_core::Timestamp;

/// The schedule.
#[derive(Debug)]
pub struct Punching {
    sent: u32,
    due: Timestamp,
}

impl Punching {
    /// The first punch is due at `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self { sent: 0, due: now }
    }

    /// True if a punch is to be sent now.
    pub fn poll(&mut self, now: Timestamp) -> bool {
        if now < self.due {
            return false;
        }
        self.sent = self.sent.saturating_add(1);
        self.due = now + if self.sent < EAGER_PUNCHES { EAGER } else { STEADY };
        true
    }

    /// When the next one is due.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.due
    }
}

const EAGER_PUNCHES: u32 = 15;
const EAGER: Duration = Duration::from_millis(200);
/// Keeps the NAT's mapping open.
const STEADY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_quick_ones_then_a_slow_beat() {
        let mut punching = Punching::new(Timestamp(0));
        let times: Vec<u64> = (0..10_000).filter(|ms| punching.poll(Timestamp(ms * 1_000_000))).collect();
        let mut expected: Vec<u64> = (0..15).map(|i| i * 200).collect();
        expected.extend([4800, 6800, 8800]);
        assert_eq!(times, expected);
    }
}
