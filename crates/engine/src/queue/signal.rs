//! "Something changed": one thread waits for several queues at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// An event count. The waiter reads [`Signal::epoch`], looks at its queues, and, where all were empty, waits until the
/// epoch moves on; a change between the look and the wait is never missed.
#[derive(Debug, Default)]
pub struct Signal {
    epoch: Mutex<u64>,
    moved: Condvar,
}

impl Signal {
    /// The number of changes so far.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        *self.lock()
    }

    /// Something changed: wakes whoever waits.
    pub fn raise(&self) {
        *self.lock() += 1;
        self.moved.notify_all();
    }

    /// Waits until the epoch differs from `seen`, at most until `deadline` (`None` = for ever).
    pub fn wait(&self, seen: u64, deadline: Option<Instant>) {
        let mut epoch = self.lock();
        while *epoch == seen {
            let Some(deadline) = deadline else {
                epoch = self.moved.wait(epoch).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            epoch = self.moved.wait_timeout(epoch, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // A counter is never half-changed.
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_change_before_the_wait_is_not_missed() {
        let signal = Signal::default();
        let seen = signal.epoch();
        signal.raise();
        signal.wait(seen, None);
        assert_ne!(signal.epoch(), seen);
    }

    #[test]
    fn a_change_during_the_wait_ends_it() {
        let signal = Arc::new(Signal::default());
        let seen = signal.epoch();
        let waiter = thread::spawn({
            let signal = Arc::clone(&signal);
            move || signal.wait(seen, None)
        });
        signal.raise();
        waiter.join().expect("the waiter returns");
    }

    #[test]
    fn a_deadline_in_the_past_returns_at_once() {
        let signal = Signal::default();
        signal.wait(signal.epoch(), Some(Instant::now()));
    }
}
