//! After a loss: what to ask of the host, and when pictures may be shown again (punktfunk1.md §7.2).
//!
//! ```text
//!            a gap in the delivered indices
//!   Live ─────────────────────────────────────► Frozen   asks for a keyframe every 500 ms; a recovery
//!    ▲                                             │      point buys the host another 1500 ms
//!    └── keyframe · anchor · 2nd recovery point ───┘
//! ```
//!
//! A gap is asked for as one reference invalidation, which every host treats at least as a keyframe request; asking for
//! a keyframe beside it would only make the host send the larger of the two. So a loss asks for a keyframe only where no
//! invalidation covers it (nothing arrived after it, or the range is too long), and the freeze repeats the question.

use std::time::Duration;

use punktfunk_core::Timestamp;
use punktfunk_core::packet::UserFlags;

/// A wish to be sent to the host now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// `RequestKeyframe`.
    Keyframe,
    /// `RfiRequest`, both ends inclusive, wrapping.
    Invalidate {
        /// First missing access unit.
        first: u32,
        /// Last missing one.
        last: u32,
    },
}

/// What to do with a delivered access unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Decode and show it.
    Show,
    /// Decode it if you like, and show the last good picture: it depends on something lost.
    Freeze,
    /// Its turn is over.
    Stale,
}

/// The policy. Call [`Self::on_unit`] and the other observers as things happen, then [`Self::poll`] until it is `None`,
/// and again at [`Self::deadline`].
#[derive(Debug)]
pub struct Recovery {
    /// The decoder goes on after a gap once a picture refers only to what it has. Some insist on a keyframe.
    decoder_bridges_gaps: bool,
    /// Index of the next unit in order; hosts number from 0.
    expected: u32,
    /// A keyframe was seen: before that nothing can be invalidated.
    has_reference: bool,
    /// Missing units nobody asked for yet.
    gap: Option<(u32, u32)>,
    keyframe_due: bool,
    invalidate_at: Option<Timestamp>,
    keyframe_at: Option<Timestamp>,
    freeze: Option<Freeze>,
    /// Units in a row that the decoder made no picture of.
    fruitless: u32,
}

#[derive(Clone, Copy, Debug)]
struct Freeze {
    points: u32,
    ask_again: Timestamp,
}

impl Recovery {
    /// At the start of a session. A decoder that does not bridge gaps is healed by keyframes alone, so that is what is
    /// asked for then.
    #[must_use]
    pub const fn new(decoder_bridges_gaps: bool) -> Self {
        Self {
            decoder_bridges_gaps,
            expected: 0,
            has_reference: false,
            gap: None,
            keyframe_due: false,
            invalidate_at: None,
            keyframe_at: None,
            freeze: None,
            fruitless: 0,
        }
    }

    /// An access unit was delivered.
    pub fn on_unit(&mut self, now: Timestamp, index: u32, flags: UserFlags) -> Verdict {
        let missing = index.wrapping_sub(self.expected);
        if missing > u32::MAX / 2 {
            return Verdict::Stale;
        }
        let first_missing = self.expected;
        self.expected = index.wrapping_add(1);
        if flags.contains(UserFlags::KEYFRAME) {
            self.has_reference = true;
            self.gap = None;
            self.keyframe_due = false;
            self.freeze = None;
            return Verdict::Show;
        }
        if missing > 0 {
            let first = self.gap.map_or(first_missing, |(first, _)| first);
            self.gap = Some((first, index.wrapping_sub(1)));
            self.freeze(now);
        }
        if !self.has_reference {
            self.keyframe_due = true;
            self.freeze(now);
            return Verdict::Freeze;
        }
        let Some(freeze) = &mut self.freeze else { return Verdict::Show };
        // An anchor refers only to pictures from before the loss, so it heals whatever was lost before it.
        let healed = flags.contains(UserFlags::RECOVERY_ANCHOR) || {
            let point = flags.contains(UserFlags::RECOVERY_POINT);
            if point {
                freeze.points += 1;
                freeze.ask_again = freeze.ask_again.max(now + PATIENCE_PER_POINT);
            }
            point && freeze.points >= POINTS_TO_HEAL
        };
        if !healed || !self.decoder_bridges_gaps {
            return Verdict::Freeze;
        }
        self.freeze = None;
        self.gap = None;
        Verdict::Show
    }

    /// The reassembler gave up on `index`. Units before the newest delivered one are covered by the request for their
    /// gap; a loss that nothing followed yet is not.
    pub fn on_lost(&mut self, now: Timestamp, index: u32) {
        if index.wrapping_sub(self.expected) <= u32::MAX / 2 {
            self.keyframe_due = true;
            self.freeze(now);
        }
    }

    /// The decoder took an access unit, and made a picture of it or not. What happens during a freeze says nothing: those
    /// units refer to lost ones, and the freeze asks by itself.
    pub fn on_decoded(&mut self, picture: bool) {
        if self.is_frozen() {
            self.fruitless = 0;
            return;
        }
        self.fruitless = if picture { 0 } else { self.fruitless + 1 };
        if self.fruitless >= FRUITLESS_UNITS {
            self.fruitless = 0;
            self.keyframe_due = true;
        }
    }

    /// Units were thrown away undecoded: nothing can be shown before a keyframe.
    pub fn on_discarded(&mut self, now: Timestamp) {
        self.keyframe_due = true;
        self.has_reference = false;
        self.freeze(now);
    }

    /// Whether the last good picture is held.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.freeze.is_some()
    }

    /// The next wish to send; call until `None`.
    pub fn poll(&mut self, now: Timestamp) -> Option<Ask> {
        if self.freeze.is_some_and(|f| now >= f.ask_again) {
            self.keyframe_due = true;
        }
        if let Some((first, last)) = self.gap {
            let too_long = last.wrapping_sub(first) >= LONGEST_INVALIDATION;
            if self.keyframe_due || too_long || !self.has_reference || !self.decoder_bridges_gaps {
                // The keyframe heals the gap as well.
                self.gap = None;
                self.keyframe_due = true;
            } else if ready(self.invalidate_at, now) {
                self.gap = None;
                self.invalidate_at = Some(now);
                return Some(Ask::Invalidate { first, last });
            }
        }
        if self.keyframe_due && ready(self.keyframe_at, now) {
            self.keyframe_due = false;
            self.keyframe_at = Some(now);
            if let Some(freeze) = &mut self.freeze {
                freeze.ask_again = now + ASK_AGAIN;
            }
            return Some(Ask::Keyframe);
        }
        None
    }

    /// When [`Self::poll`] has something to say without any news.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let throttled = |due: bool, last: Option<Timestamp>| due.then(|| last.map_or(Timestamp(0), |at| at + THROTTLE));
        let asks = [
            throttled(self.keyframe_due, self.keyframe_at),
            throttled(self.gap.is_some(), self.invalidate_at),
            self.freeze.map(|f| f.ask_again),
        ];
        asks.into_iter().flatten().min()
    }

    fn freeze(&mut self, now: Timestamp) {
        match &mut self.freeze {
            // Points before this loss healed nothing of it.
            Some(freeze) => freeze.points = 0,
            None => self.freeze = Some(Freeze { points: 0, ask_again: now + ASK_AGAIN }),
        }
    }
}

fn ready(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|at| now >= at + THROTTLE)
}

/// §7.2: at most one request of a kind in this time.
const THROTTLE: Duration = Duration::from_millis(100);
/// §7.2: a freeze asks again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// §7.2: each wave boundary shows that the host is healing.
const PATIENCE_PER_POINT: Duration = Duration::from_millis(1500);
/// §7.2: the first mark may close a wave that began before the loss.
const POINTS_TO_HEAL: u32 = 2;
/// §7.2: hosts keep no references that old.
const LONGEST_INVALIDATION: u32 = 256;
/// §7.2.
const FRUITLESS_UNITS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: UserFlags = UserFlags::PICTURE;

    fn key() -> UserFlags {
        UserFlags::PICTURE | UserFlags::KEYFRAME
    }

    fn ms(ms: u64) -> Timestamp {
        Timestamp(1_000_000_000 + ms * 1_000_000)
    }

    fn running() -> Recovery {
        let mut recovery = Recovery::new(true);
        assert_eq!(recovery.on_unit(ms(0), 0, key()), Verdict::Show);
        assert_eq!(recovery.on_unit(ms(8), 1, P), Verdict::Show);
        assert_eq!(recovery.poll(ms(8)), None);
        recovery
    }

    #[test]
    fn a_gap_asks_once_for_exactly_what_is_missing_and_freezes() {
        let mut recovery = running();
        assert_eq!(recovery.on_unit(ms(30), 4, P), Verdict::Freeze);
        assert_eq!(recovery.poll(ms(30)), Some(Ask::Invalidate { first: 2, last: 3 }));
        assert_eq!(recovery.poll(ms(30)), None);
        recovery.on_lost(ms(150), 2);
        recovery.on_lost(ms(150), 3);
        assert_eq!(recovery.poll(ms(150)), None, "the invalidation covers the loss");
    }

    #[test]
    fn gaps_within_the_throttle_widen_the_next_request() {
        let mut recovery = running();
        recovery.on_unit(ms(30), 3, P);
        assert_eq!(recovery.poll(ms(30)), Some(Ask::Invalidate { first: 2, last: 2 }));
        recovery.on_unit(ms(50), 5, P);
        recovery.on_unit(ms(70), 8, P);
        assert_eq!(recovery.poll(ms(70)), None);
        assert_eq!(recovery.deadline(), Some(ms(130)));
        assert_eq!(recovery.poll(ms(130)), Some(Ask::Invalidate { first: 4, last: 7 }));
    }

    #[test]
    fn a_long_gap_asks_for_a_keyframe() {
        let mut recovery = running();
        recovery.on_unit(ms(30), 2 + 257, P);
        assert_eq!(recovery.poll(ms(30)), Some(Ask::Keyframe));
        assert_eq!(recovery.poll(ms(30)), None);
        let mut recovery = running();
        recovery.on_unit(ms(30), 2 + 256, P);
        assert_eq!(recovery.poll(ms(30)), Some(Ask::Invalidate { first: 2, last: 257 }));
    }

    #[test]
    fn without_a_keyframe_nothing_is_shown_and_a_keyframe_is_asked_for() {
        let mut recovery = Recovery::new(true);
        assert_eq!(recovery.on_unit(ms(0), 3, P), Verdict::Freeze);
        assert_eq!(recovery.poll(ms(0)), Some(Ask::Keyframe));
        assert_eq!(recovery.on_unit(ms(8), 4, P), Verdict::Freeze);
        assert_eq!(recovery.poll(ms(8)), None);
        assert_eq!(recovery.on_unit(ms(16), 5, key()), Verdict::Show);
        assert_eq!(recovery.poll(ms(500)), None);
    }

    #[test]
    fn a_keyframe_or_an_anchor_heals_at_once() {
        for flags in [key(), P | UserFlags::RECOVERY_ANCHOR] {
            let mut recovery = running();
            assert_eq!(recovery.on_unit(ms(20), 3, P), Verdict::Freeze);
            assert_eq!(recovery.on_unit(ms(30), 4, flags), Verdict::Show);
            assert_eq!(recovery.on_unit(ms(40), 5, P), Verdict::Show);
            assert!(!recovery.is_frozen());
        }
    }

    #[test]
    fn two_recovery_points_after_the_loss_heal_and_a_new_loss_starts_over() {
        let mut recovery = running();
        let point = P | UserFlags::RECOVERY_POINT;
        assert_eq!(recovery.on_unit(ms(20), 3, point), Verdict::Freeze);
        assert_eq!(recovery.on_unit(ms(30), 5, P), Verdict::Freeze);
        assert_eq!(recovery.on_unit(ms(500), 6, point), Verdict::Freeze, "the first since the second loss");
        assert_eq!(recovery.on_unit(ms(1000), 7, point), Verdict::Show);
    }

    #[test]
    fn a_freeze_asks_again_and_each_point_buys_patience() {
        let mut recovery = running();
        recovery.on_unit(ms(0), 3, P);
        assert_eq!(recovery.poll(ms(0)), Some(Ask::Invalidate { first: 2, last: 2 }));
        assert_eq!(recovery.poll(ms(499)), None);
        assert_eq!(recovery.poll(ms(500)), Some(Ask::Keyframe));
        assert_eq!(recovery.deadline(), Some(ms(1000)));
        recovery.on_unit(ms(600), 4, P | UserFlags::RECOVERY_POINT);
        assert_eq!(recovery.poll(ms(2099)), None);
        assert_eq!(recovery.poll(ms(2100)), Some(Ask::Keyframe));
    }

    #[test]
    fn a_loss_that_nothing_follows_asks_for_a_keyframe() {
        let mut recovery = running();
        recovery.on_lost(ms(200), 2);
        assert_eq!(recovery.poll(ms(200)), Some(Ask::Keyframe));
        recovery.on_lost(ms(210), 3);
        assert_eq!(recovery.poll(ms(210)), None);
        assert_eq!(recovery.poll(ms(300)), Some(Ask::Keyframe));
    }

    #[test]
    fn a_decoder_without_output_asks_for_a_keyframe() {
        let mut recovery = running();
        for picture in [false, false, true, false, false] {
            recovery.on_decoded(picture);
            assert_eq!(recovery.poll(ms(50)), None);
        }
        recovery.on_decoded(false);
        assert_eq!(recovery.poll(ms(50)), Some(Ask::Keyframe));
    }

    #[test]
    fn a_decoder_that_stops_at_gaps_gets_keyframes() {
        let mut recovery = Recovery::new(false);
        recovery.on_unit(ms(0), 0, key());
        assert_eq!(recovery.on_unit(ms(20), 3, P), Verdict::Freeze);
        assert_eq!(recovery.poll(ms(20)), Some(Ask::Keyframe));
        assert_eq!(recovery.on_unit(ms(30), 4, P | UserFlags::RECOVERY_ANCHOR), Verdict::Freeze);
        assert_eq!(recovery.on_unit(ms(40), 5, key()), Verdict::Show);
    }

    #[test]
    fn indices_wrap() {
        let mut recovery = running();
        recovery.expected = u32::MAX;
        assert_eq!(recovery.on_unit(ms(20), 1, P), Verdict::Freeze);
        assert_eq!(recovery.poll(ms(20)), Some(Ask::Invalidate { first: u32::MAX, last: 0 }));
        assert_eq!(recovery.on_unit(ms(30), u32::MAX, P), Verdict::Stale);
    }

    proptest! {
        /// Whatever is lost: no two requests of one kind within 100 ms, every loss is asked for within 600 ms, and a
        /// keyframe always ends the freeze.
        #[test]
        fn requests_are_throttled_and_no_loss_goes_unasked(lost in proptest::collection::vec(any::<bool>(), 1..400)) {
            let mut recovery = Recovery::new(true);
            recovery.on_unit(ms(0), 0, key());
            let (mut keyframes, mut invalidations) = (Vec::new(), Vec::new());
            let mut unasked_since: Option<u64> = None;
            for (i, lost) in lost.iter().enumerate() {
                let (index, at) = (i as u32 + 1, (i as u64 + 1) * 16);
                if *lost {
                    recovery.on_lost(ms(at), index);
                } else {
                    let verdict = recovery.on_unit(ms(at), index, P);
                    prop_assert_eq!(verdict == Verdict::Freeze, recovery.is_frozen());
                }
                if *lost {
                    unasked_since.get_or_insert(at);
                }
                while let Some(ask) = recovery.poll(ms(at)) {
                    unasked_since = None;
                    match ask {
                        Ask::Keyframe => keyframes.push(at),
                        Ask::Invalidate { .. } => invalidations.push(at),
                    }
                }
                if let Some(since) = unasked_since {
                    prop_assert!(at - since < 600, "loss at {} not asked for at {}", since, at);
                }
            }
            for asked in [&keyframes, &invalidations] {
                prop_assert!(asked.windows(2).all(|w| w[1] - w[0] >= 100));
            }
            prop_assert_eq!(recovery.on_unit(ms(100_000), lost.len() as u32 + 1, key()), Verdict::Show);
            prop_assert!(!recovery.is_frozen());
            prop_assert_eq!(recovery.poll(ms(200_000)), None);
        }
    }
}
