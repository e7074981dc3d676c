//! Jump to live: when to throw a backlog away instead of playing it late (punktfunk1.md §7.2, 4).

use std::time::Duration;

use punktfunk_core::Timestamp;

/// Watches the decode queue and the age of arriving units.
#[derive(Debug, Default)]
pub struct LiveGuard {
    /// Since when the queue is long and has not drained.
    long_since: Option<Timestamp>,
    /// Since when every unit is late.
    late_since: Option<Timestamp>,
    jumped_at: Option<Timestamp>,
}

impl LiveGuard {
    /// The decode queue holds `depth` units.
    pub fn on_queue(&mut self, now: Timestamp, depth: usize) {
        if depth <= SHORT_QUEUE {
            self.long_since = None;
        } else if depth >= LONG_QUEUE {
            self.long_since.get_or_insert(now);
        }
    }

    /// A unit arrived `age` after its capture, on the host's clock.
    pub fn on_unit(&mut self, now: Timestamp, age: Duration) {
        if age > TOO_LATE {
            self.late_since.get_or_insert(now);
        } else {
            self.late_since = None;
        }
    }

    /// True if the backlog is to be discarded and a keyframe requested, now.
    pub fn poll(&mut self, now: Timestamp) -> bool {
        let lasting = |since: Option<Timestamp>| since.is_some_and(|at| now.since(at) >= LASTING);
        let allowed = self.jumped_at.is_none_or(|at| now.since(at) >= SPACING);
        if !allowed || !(lasting(self.long_since) || lasting(self.late_since)) {
            return false;
        }
        *self = Self { jumped_at: Some(now), ..Self::default() };
        true
    }
}

/// §7.2.
const LONG_QUEUE: usize = 6;
/// §7.2: a queue that drains to this is a decoder that keeps up.
const SHORT_QUEUE: usize = 2;
/// §7.2.
const TOO_LATE: Duration = Duration::from_millis(400);
/// §7.2.
const LASTING: Duration = Duration::from_millis(250);
/// §7.2: a path that is always late would otherwise be all keyframes.
const SPACING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn a_queue_that_stays_long_jumps_and_one_that_drains_does_not() {
        let mut guard = LiveGuard::default();
        guard.on_queue(ms(0), 6);
        guard.on_queue(ms(200), 4);
        assert!(!guard.poll(ms(249)));
        assert!(guard.poll(ms(250)), "4 is not drained");
        let mut guard = LiveGuard::default();
        guard.on_queue(ms(0), 9);
        guard.on_queue(ms(100), 2);
        guard.on_queue(ms(200), 7);
        assert!(!guard.poll(ms(300)));
        assert!(guard.poll(ms(450)));
    }

    #[test]
    fn only_a_run_of_late_units_jumps() {
        let mut guard = LiveGuard::default();
        for at in (0..=1000).step_by(50) {
            guard.on_unit(ms(at), Duration::from_millis(if at % 200 == 0 { 399 } else { 500 }));
            assert!(!guard.poll(ms(at)));
        }
        for at in (1050..1300).step_by(50) {
            guard.on_unit(ms(at), Duration::from_millis(401));
            assert!(!guard.poll(ms(at)));
        }
        guard.on_unit(ms(1300), Duration::from_millis(401));
        assert!(guard.poll(ms(1300)));
    }

    #[test]
    fn at_most_one_jump_in_two_seconds() {
        let mut guard = LiveGuard::default();
        let mut jumps = Vec::new();
        for at in (0..10_000).step_by(10) {
            guard.on_queue(ms(at), 20);
            guard.on_unit(ms(at), Duration::from_secs(1));
            if guard.poll(ms(at)) {
                jumps.push(at);
            }
        }
        assert_eq!(jumps, [250, 2250, 4250, 6250, 8250]);
    }
}
