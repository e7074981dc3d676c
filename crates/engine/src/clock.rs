//! The session clock: the wall clock sampled once, and monotonic time since.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use punktfunk_core::Timestamp;

/// Stamps frames, audio and clock echoes of one session in nanoseconds of Unix time. A wall clock that is stepped while
/// the session runs changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct SessionClock {
    base: Instant,
    base_ns: u64,
}

impl SessionClock {
    /// Samples both clocks now.
    #[must_use]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::sampled(Instant::now(), nanos(since_epoch))
    }

    /// A clock that reads `unix_ns` at `base`.
    #[must_use]
    pub const fn sampled(base: Instant, unix_ns: u64) -> Self {
        Self { base, base_ns: unix_ns }
    }

    /// Nanoseconds of Unix time now.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.at(Instant::now()).as_nanos()
    }

    /// The stamp of a moment, also of one before the clock was started.
    #[must_use]
    pub fn at(&self, moment: Instant) -> Timestamp {
        let ns = match moment.checked_duration_since(self.base) {
            Some(since) => self.base_ns.saturating_add(nanos(since)),
            None => self.base_ns.saturating_sub(nanos(self.base.duration_since(moment))),
        };
        Timestamp(ns)
    }

    /// The moment of a stamp; the start of the clock for stamps before it.
    #[must_use]
    pub fn instant(&self, stamp: Timestamp) -> Instant {
        self.base + Duration::from_nanos(stamp.as_nanos().saturating_sub(self.base_ns))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_monotonic_time_in_both_directions() {
        let base = Instant::now() + Duration::from_secs(10);
        let clock = SessionClock::sampled(base, 5_000_000_000);
        assert_eq!(clock.at(base), Timestamp(5_000_000_000));
        assert_eq!(clock.at(base + Duration::from_millis(1)), Timestamp(5_001_000_000));
        assert_eq!(
            clock.at(base.checked_sub(Duration::from_secs(1)).expect("representable")),
            Timestamp(4_000_000_000)
        );
        assert_eq!(clock.instant(Timestamp(5_001_000_000)), base + Duration::from_millis(1));
    }

    #[test]
    fn a_stepped_wall_clock_changes_nothing() {
        // Two clocks that were told wall times an hour apart advance alike: only the first sample of the wall counts.
        let base = Instant::now();
        let (before, after) = (SessionClock::sampled(base, 0), SessionClock::sampled(base, 3_600_000_000_000));
        for ms in [0, 1, 500, 86_400_000] {
            let moment = base + Duration::from_millis(ms);
            assert_eq!(after.at(moment).as_nanos() - before.at(moment).as_nanos(), 3_600_000_000_000);
        }
    }
}
