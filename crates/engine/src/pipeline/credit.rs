//! When the encoder will take the next picture: the credit of sources that draw because they were lent a slot.
//!
//! A picture that waits grows old, and one that is replaced was drawn for nothing; but a source that is asked only when the
//! encoder is idle draws while nobody encodes. So it is asked a little before the encoder is expected to be done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::bell::Bell;

/// Told by the encode thread, looked at by the capture thread.
#[derive(Debug, Default)]
pub(crate) struct Credit {
    /// From when on a slot may be lent, on the session clock in nanoseconds; 0: now, [`NEVER`]: not before it is said.
    from_ns: AtomicU64,
    bell: Arc<Bell>,
}

impl Credit {
    /// Rings `bell` when there may be some.
    pub fn new(bell: &Arc<Bell>) -> Self {
        Self { from_ns: AtomicU64::new(0), bell: Arc::clone(bell) }
    }

    /// The encoder waits for a picture.
    pub fn open(&self) {
        self.from_ns.store(0, Ordering::SeqCst);
        self.bell.feed();
    }

    /// What it makes has nowhere to go.
    pub fn close(&self) {
        self.from_ns.store(NEVER, Ordering::SeqCst);
    }

    /// It has taken a picture and begins with it at `now_ns`, and usually needs so long.
    pub fn busy(&self, now_ns: u64, usual: Duration) {
        let until = u64::try_from(usual.saturating_sub(DRAWN_WITHIN).as_nanos()).unwrap_or(u64::MAX);
        self.from_ns.store(now_ns.saturating_add(until), Ordering::SeqCst);
        // Also where it is not there yet: now it is known when.
        self.bell.feed();
    }

    /// Whether a slot may be lent.
    pub fn is_there(&self, now_ns: u64) -> bool {
        self.from_ns.load(Ordering::SeqCst) <= now_ns
    }

    /// In how long one may be lent without anybody saying more; `None`: now, or only when it is said.
    pub fn comes_in(&self, now_ns: u64) -> Option<Duration> {
        let from_ns = self.from_ns.load(Ordering::SeqCst);
        (from_ns > now_ns && from_ns != NEVER).then(|| Duration::from_nanos(from_ns - now_ns))
    }
}

/// How long the encoder usually needs for a picture.
#[derive(Debug, Default)]
pub(crate) struct Usual(Duration);

impl Usual {
    /// It needed so long.
    pub fn note(&mut self, took: Duration) {
        self.0 = if self.0.is_zero() { took } else { (self.0 * 7 + took) / 8 };
    }

    /// What to expect.
    pub const fn get(&self) -> Duration {
        self.0
    }
}

/// Later than any moment of a session.
const NEVER: u64 = u64::MAX;
/// What a program and its compositor need for a picture, from the frame callback on.
const DRAWN_WITHIN: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_lent_a_little_before_the_encoder_is_done() {
        let credit = Credit::default();
        assert!(credit.is_there(0), "from the start");
        credit.busy(1_000_000, Duration::from_millis(20));
        assert!(!credit.is_there(15_999_999) && credit.is_there(16_000_000));
        assert_eq!(credit.comes_in(15_000_000), Some(Duration::from_millis(1)), "and nobody has to look before");
        assert_eq!(credit.comes_in(16_000_000), None);
        credit.busy(1_000_000, Duration::from_millis(3));
        assert!(credit.is_there(1_000_000), "a fast one is never waited for");
        credit.close();
        assert!(!credit.is_there(u64::MAX - 1));
        assert_eq!(credit.comes_in(0), None, "somebody will say so");
        credit.open();
        assert!(credit.is_there(0));
    }

    #[test]
    fn one_slow_picture_is_not_the_rule() {
        let mut usual = Usual::default();
        (0..50).for_each(|_| usual.note(Duration::from_millis(8)));
        usual.note(Duration::from_millis(80));
        assert!((Duration::from_millis(8)..Duration::from_millis(20)).contains(&usual.get()), "{usual:?}");
    }
}
