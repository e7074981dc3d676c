//! The sliding window that rejects repeated sequence numbers.

use alloc::boxed::Box;
use alloc::vec;

/// How far behind the newest sequence a packet may be, in packets (punktfunk1.md §5.1): 1.5 s at 1 Gbit/s.
pub const REPLAY_WINDOW: u64 = 131_072;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;

/// A bitmap ring over the last [`REPLAY_WINDOW`] sequence numbers: bit `s mod WINDOW` says whether `s` was seen.
/// The first accepted sequence may be anything.
#[derive(Debug)]
pub struct ReplayWindow {
    seen: Box<[u64]>,
    highest: Option<u64>,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayWindow {
    /// An empty window (16 KiB).
    #[must_use]
    pub fn new() -> Self {
        Self { seen: vec![0; WORDS].into_boxed_slice(), highest: None }
    }

    /// Whether [`ReplayWindow::accept`] would take `sequence`.
    #[must_use]
    pub fn is_fresh(&self, sequence: u64) -> bool {
        match self.highest {
            None => true,
            Some(highest) if sequence > highest => true,
            Some(highest) => highest - sequence < REPLAY_WINDOW && !self.bit(sequence),
        }
    }

    /// Takes `sequence` if it is new and not older than the window. Call it only for authentic packets.
    pub fn accept(&mut self, sequence: u64) -> bool {
        if !self.is_fresh(sequence) {
            return false;
        }
        if let Some(highest) = self.highest {
            if sequence > highest {
                self.forget(highest, sequence);
                self.highest = Some(sequence);
            }
        } else {
            self.highest = Some(sequence);
        }
        let slot = (sequence % REPLAY_WINDOW) as usize;
        self.seen[slot / 64] |= 1 << (slot % 64);
        true
    }

    /// The newest accepted sequence.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }

    fn bit(&self, sequence: u64) -> bool {
        let slot = (sequence % REPLAY_WINDOW) as usize;
        self.seen[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// Clears the bits of `after + 1 ..= upto`, which the window is about to reuse.
    fn forget(&mut self, after: u64, upto: u64) {
        if upto - after >= REPLAY_WINDOW {
            self.seen.fill(0);
            return;
        }
        let mut next = after + 1;
        while next <= upto {
            let slot = (next % REPLAY_WINDOW) as usize;
            if slot.is_multiple_of(64) && upto - next >= 63 {
                self.seen[slot / 64] = 0;
                next += 64;
            } else {
                self.seen[slot / 64] &= !(1 << (slot % 64));
                // `upto` may be u64::MAX: stop instead of wrapping.
                let Some(following) = next.checked_add(1) else { return };
                next = following;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exactly_the_window_is_remembered() {
        let mut w = ReplayWindow::new();
        assert!(w.accept(7));
        assert!(w.accept(7 + REPLAY_WINDOW - 1));
        assert!(!w.accept(7), "seen, and still inside");
        assert!(w.accept(8), "oldest one inside");
        assert!(w.accept(7 + REPLAY_WINDOW));
        assert!(!w.accept(7), "now outside");
    }

    #[test]
    fn the_end_of_the_sequence_space_is_no_trap() {
        let mut w = ReplayWindow::new();
        assert!(w.accept(u64::MAX - 2));
        assert!(w.accept(u64::MAX));
        assert!(!w.accept(u64::MAX));
        assert!(w.accept(u64::MAX - 1));
    }

    proptest! {
        /// The ring answers like a set of everything seen plus the rule "not older than the window".
        #[test]
        fn agrees_with_a_set(steps in proptest::collection::vec((0u8..5, 0u64..400_000), 1..300)) {
            let mut w = ReplayWindow::new();
            let mut seen = BTreeSet::new();
            let mut at = 500_000u64;
            for (kind, by) in steps {
                let s = match kind {
                    0 => { at += by; at }
                    1 | 2 => { at += by % 100; at }
                    3 => at.saturating_sub(by % 200),
                    _ => at.saturating_sub(by),
                };
                let newest = seen.last().copied();
                let expected = !seen.contains(&s) && newest.is_none_or(|n| s > n || n - s < REPLAY_WINDOW);
                prop_assert_eq!(w.accept(s), expected, "sequence {}", s);
                if expected { seen.insert(s); }
            }
        }
    }
}
