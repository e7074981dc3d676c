//! What wakes the capture thread: it waits in its capturer, where no signal of a queue reaches it.
//!
//! ```text
//! an order, the end ────────────► ring ─┐
//! encoder: credit changed ─► feed ──────┴─► the capturer's wait ends, the thread looks at everything
//!                             └ only where it waits for nothing but a slot to lend: else a picture is on its way
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use punktfunk_media::WakeCapturer;

/// The capture thread's bell. Silent while its capturer has none: that thread looks around by itself.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    waker: Mutex<Option<Arc<dyn WakeCapturer>>>,
    /// Nothing is lent.
    hungry: AtomicBool,
}

impl Bell {
    /// Rings in this capturer from now on.
    pub fn hang(&self, waker: Option<Arc<dyn WakeCapturer>>) {
        *self.lock() = waker;
    }

    /// There is something to look at.
    pub fn ring(&self) {
        if let Some(waker) = &*self.lock() {
            waker.wake();
        }
    }

    /// A slot may be there, or permission to lend one: of interest only to one that has nothing lent.
    pub fn feed(&self) {
        if self.hungry.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Said before looking for credit, so that what changes after the look rings; taken back once a slot is lent.
    pub fn set_hungry(&self, hungry: bool) {
        self.hungry.store(hungry, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<dyn WakeCapturer>>> {
        // Wakers do not panic half-way, and if one did, the next may still work.
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[derive(Debug, Default)]
    struct Counts(AtomicU32);

    impl WakeCapturer for Counts {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_that_has_a_slot_lent_is_not_woken_for_another_and_one_that_has_none_is_woken_once() {
        let (bell, counts) = (Bell::default(), Arc::new(Counts::default()));
        let rung = || counts.0.load(Ordering::Relaxed);
        bell.ring();
        bell.hang(Some(Arc::clone(&counts) as Arc<dyn WakeCapturer>));
        bell.feed();
        assert_eq!(rung(), 0);
        bell.set_hungry(true);
        bell.feed();
        bell.feed();
        assert_eq!(rung(), 1, "once: it looks again before it is hungry again");
        bell.set_hungry(true);
        bell.set_hungry(false);
        bell.feed();
        assert_eq!(rung(), 1);
        bell.ring();
        assert_eq!(rung(), 2, "an order is always heard");
        bell.hang(None);
        bell.ring();
        assert_eq!(rung(), 2);
    }
}
