//! The session's clock: wall clock sampled once, monotonic time since.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use punktfunk_core::Timestamp;

/// Stamps that never step, whatever happens to the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct ClientClock {
    begun: Instant,
    epoch_ns: u64,
}

impl ClientClock {
    /// Samples both clocks now.
    #[must_use]
    pub fn start() -> Self {
        let begun = Instant::now();
        // A wall clock before 1970 is as good an origin as any: only differences to the host's are used.
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { begun, epoch_ns: u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX / 2) }
    }

    /// When it was started.
    #[must_use]
    pub const fn started(&self) -> Timestamp {
        Timestamp(self.epoch_ns)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The stamp of an instant; the start for earlier ones.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        Timestamp(self.epoch_ns) + instant.saturating_duration_since(self.begun)
    }
}
