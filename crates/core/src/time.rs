//! Time as the core sees it: a number that somebody else read from a clock.

use core::time::Duration;

/// Nanoseconds on one clock, chosen by the caller: the session clock (wall clock sampled once plus monotonic time
/// since) where it crosses the wire, any monotonic or virtual clock elsewhere. Two stamps compare only on one clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Nanoseconds since `earlier`, 0 if `earlier` lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The stamp in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of time instead of wrapping (a u64 of nanoseconds lasts until the year 2554).
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}
