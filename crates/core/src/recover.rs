//! What a host does when a client reports loss (punktfunk1.md §7.3): when to force an IDR, when to invalidate
//! references, and when to do nothing because the answer is on its way.
//!
//! ```text
//! RequestKeyframe ──► first: Keyframe now
//!                     again within 300 ms of an IDR, or of an invalidation that was answered: an echo, Drop
//!                     again within the interval: Later, one for all of them
//!                     from a client that asks only once: never an echo of an IDR that left
//! RfiRequest ───────► range ≤ 256 and the encoder can: Invalidate (merged with what was not answered yet)
//!                     else as RequestKeyframe, but never an echo: it names frames behind the last IDR
//! ```
//!
//! The caller's rule: carry out each [`Decision`], say when its result left ([`KeyframeGate::on_keyframe_sent`],
//! [`KeyframeGate::on_rfi_answered`]), and call [`KeyframeGate::poll`] at or after [`KeyframeGate::deadline`].

use core::time::Duration;

use crate::Timestamp;

/// Shortest time between two forced IDRs.
pub const KEYFRAME_INTERVAL: Duration = Duration::from_millis(750);

/// The same for an encoder that heals by intra refresh.
pub const KEYFRAME_INTERVAL_INTRA_REFRESH: Duration = Duration::from_secs(2);

/// A request this soon after an answer was sent before the answer arrived.
pub const ECHO_WINDOW: Duration = Duration::from_millis(300);

/// Most keyframe requests taken as echoes of answered invalidations before one is believed.
pub const MAX_ECHOES: u8 = 2;

/// Widest range (last − first) that is answered by invalidation.
pub const MAX_RFI_SPAN: u32 = 256;

/// What to do about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The next frame shall be an IDR.
    Keyframe,
    /// The next frame shall reference nothing that a loss of these wire frame indices spoilt, and be marked as recovery
    /// anchor.
    Invalidate {
        /// First lost index.
        first: u32,
        /// Last lost index, inclusive, wrapping.
        last: u32,
    },
    /// Not yet: [`KeyframeGate::poll`] will say `Keyframe` then.
    Later(Timestamp),
    /// Nothing: what was asked for is on its way.
    Drop,
}

/// The discipline between a client's requests and the encoder of one session.
#[derive(Debug)]
pub struct KeyframeGate {
    interval: Duration,
    /// The last forced or sent IDR.
    keyframe: Option<Timestamp>,
    /// A `Keyframe` was decided and did not leave yet.
    on_its_way: bool,
    due: Option<Timestamp>,
    /// Decided to be invalidated and not answered yet, inclusive.
    pending: Option<(u32, u32)>,
    answered: Option<Timestamp>,
    echoes: u8,
}

impl KeyframeGate {
    /// A gate in front of an encoder that does or does not heal losses by intra refresh.
    #[must_use]
    pub const fn new(intra_refresh: bool) -> Self {
        let interval = if intra_refresh { KEYFRAME_INTERVAL_INTRA_REFRESH } else { KEYFRAME_INTERVAL };
        Self { interval, keyframe: None, on_its_way: false, due: None, pending: None, answered: None, echoes: 0 }
    }

    /// The client asks for an IDR.
    pub fn on_keyframe_request(&mut self, now: Timestamp) -> Decision {
        if self.answered.is_some_and(|at| now.since(at) < ECHO_WINDOW) && self.echoes < MAX_ECHOES {
            self.echoes += 1;
            return Decision::Drop;
        }
        // While nothing is on its way: the client gives a frame up 120 ms after its successors, so what it asks for soon
        // after an IDR is what the IDR healed.
        if !self.on_its_way && self.keyframe.is_some_and(|at| now.since(at) < ECHO_WINDOW) {
            return Decision::Drop;
        }
        self.keyframe_or_later(now)
    }

    /// The client asks for an IDR, and not again unless it loses more. What it asks for soon after an IDR may be that IDR,
    /// lost on its way: at worst it gets one too many, an interval later.
    pub fn on_only_request(&mut self, now: Timestamp) -> Decision {
        self.keyframe_or_later(now)
    }

    /// The client lost the frames `first..=last` (wire indices, wrapping); the caller leaves out ranges that end before
    /// the last IDR, which healed them. `can_invalidate`: the encoder can, and still holds a reference from before
    /// `first`. A range that runs backwards is not believed and costs an IDR.
    pub fn on_rfi(&mut self, first: u32, last: u32, now: Timestamp, can_invalidate: bool) -> Decision {
        if self.awaits_keyframe(now) {
            return Decision::Drop;
        }
        let (first, last) = self.pending.map_or((first, last), |(f, l)| (earlier(f, first), later(l, last)));
        if can_invalidate && last.wrapping_sub(first) <= MAX_RFI_SPAN {
            self.pending = Some((first, last));
            return Decision::Invalidate { first, last };
        }
        self.keyframe_or_later(now)
    }

    /// An IDR was handed to the network, whoever had asked for it.
    pub const fn on_keyframe_sent(&mut self, now: Timestamp) {
        self.keyframe = Some(now);
        self.on_its_way = false;
        self.due = None;
        self.pending = None;
        self.answered = None;
        self.echoes = 0;
    }

    /// The recovery anchor of a [`Decision::Invalidate`] was handed to the network.
    pub fn on_rfi_answered(&mut self, now: Timestamp) {
        if self.answered.is_none_or(|at| now.since(at) >= ECHO_WINDOW) {
            self.echoes = 0;
        }
        self.answered = Some(now);
        self.pending = None;
    }

    /// When [`Self::poll`] has something to say.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// [`Decision::Keyframe`] if one that was put off is due, else when it will be, else nothing.
    pub fn poll(&mut self, now: Timestamp) -> Option<Decision> {
        match self.due? {
            due if now < due => Some(Decision::Later(due)),
            _ => Some(self.force(now)),
        }
    }

    fn keyframe_or_later(&mut self, now: Timestamp) -> Decision {
        if self.awaits_keyframe(now) {
            return Decision::Drop;
        }
        match self.keyframe {
            Some(at) if now.since(at) < self.interval => {
                let due = at + self.interval;
                self.due = Some(due);
                Decision::Later(due)
            }
            _ => self.force(now),
        }
    }

    /// An IDR was decided and still may leave. One that did not within the interval was lost on the way (the encoder
    /// was rebuilt, say) and is asked for again.
    fn awaits_keyframe(&self, now: Timestamp) -> bool {
        self.on_its_way && self.keyframe.is_some_and(|at| now.since(at) < self.interval)
    }

    const fn force(&mut self, now: Timestamp) -> Decision {
        self.keyframe = Some(now);
        self.on_its_way = true;
        self.due = None;
        self.pending = None;
        Decision::Keyframe
    }
}

/// The earlier of two wrapping indices.
const fn earlier(a: u32, b: u32) -> u32 {
    if (a.wrapping_sub(b) as i32) < 0 { a } else { b }
}

/// The later of two wrapping indices.
const fn later(a: u32, b: u32) -> u32 {
    if (a.wrapping_sub(b) as i32) < 0 { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Timestamp {
        Timestamp(1_000_000_000 + n * 1_000_000)
    }

    #[test]
    fn the_first_request_acts_at_once_and_a_storm_costs_one_idr_per_interval() {
        let mut gate = KeyframeGate::new(false);
        let mut forced = 0;
        // A client that asks every 50 ms for 3 s; every IDR leaves 10 ms after it was decided.
        let mut leaves = None;
        for t in (0..3_000).step_by(10) {
            if leaves.take_if(|at| *at <= t).is_some() {
                gate.on_keyframe_sent(ms(t));
            }
            let due = gate.poll(ms(t)) == Some(Decision::Keyframe);
            let asked = t % 50 == 0 && gate.on_keyframe_request(ms(t)) == Decision::Keyframe;
            assert!(!(due && asked), "one decision is enough");
            if due || asked {
                assert!(t == 0 || forced > 0);
                forced += 1;
                leaves = Some(t + 10);
            }
        }
        assert_eq!(forced, 4, "at 0, 760, 1520 and 2280 ms");
    }

    #[test]
    fn a_client_that_asks_only_once_gets_another_idr_when_the_first_was_lost() {
        let mut gate = KeyframeGate::new(false);
        assert_eq!(gate.on_only_request(ms(0)), Decision::Keyframe);
        assert_eq!(gate.on_only_request(ms(5)), Decision::Drop, "it did not leave yet");
        gate.on_keyframe_sent(ms(10));
        assert_eq!(gate.on_only_request(ms(40)), Decision::Later(ms(760)));
        assert_eq!(gate.on_only_request(ms(60)), Decision::Later(ms(760)));
        assert_eq!(gate.poll(ms(760)), Some(Decision::Keyframe));
        gate.on_keyframe_sent(ms(770));
        assert_eq!(gate.poll(ms(2_000)), None, "one for both");
    }

    #[test]
    fn a_request_that_crossed_the_idr_on_its_way_is_an_echo_and_a_later_one_is_put_off() {
        let mut gate = KeyframeGate::new(false);
        assert_eq!(gate.on_keyframe_request(ms(0)), Decision::Keyframe);
        assert_eq!(gate.on_keyframe_request(ms(5)), Decision::Drop);
        gate.on_keyframe_sent(ms(10));
        assert_eq!(gate.on_keyframe_request(ms(309)), Decision::Drop);
        assert_eq!(gate.on_keyframe_request(ms(310)), Decision::Later(ms(760)));
        assert_eq!(gate.deadline(), Some(ms(760)));
        assert_eq!(gate.poll(ms(759)), Some(Decision::Later(ms(760))));
        assert_eq!(gate.poll(ms(760)), Some(Decision::Keyframe));
        assert_eq!(gate.poll(ms(761)), None);
    }

    #[test]
    fn intra_refresh_earns_patience() {
        let mut gate = KeyframeGate::new(true);
        gate.on_keyframe_sent(ms(0));
        assert_eq!(gate.on_keyframe_request(ms(800)), Decision::Later(ms(2_000)));
    }

    #[test]
    fn an_idr_that_never_left_is_decided_again() {
        let mut gate = KeyframeGate::new(false);
        assert_eq!(gate.on_keyframe_request(ms(0)), Decision::Keyframe);
        assert_eq!(gate.on_keyframe_request(ms(749)), Decision::Drop);
        assert_eq!(gate.on_keyframe_request(ms(750)), Decision::Keyframe);
    }

    #[test]
    fn ranges_merge_until_they_are_answered() {
        let mut gate = KeyframeGate::new(false);
        gate.on_keyframe_sent(ms(0));
        assert_eq!(gate.on_rfi(100, 110, ms(900), true), Decision::Invalidate { first: 100, last: 110 });
        assert_eq!(gate.on_rfi(108, 120, ms(901), true), Decision::Invalidate { first: 100, last: 120 });
        gate.on_rfi_answered(ms(902));
        assert_eq!(gate.on_rfi(121, 121, ms(950), true), Decision::Invalidate { first: 121, last: 121 });
        // Across the end of the index space.
        let mut gate = KeyframeGate::new(false);
        assert_eq!(gate.on_rfi(u32::MAX, 2, ms(0), true), Decision::Invalidate { first: u32::MAX, last: 2 });
        assert_eq!(gate.on_rfi(u32::MAX - 1, 1, ms(0), true), Decision::Invalidate { first: u32::MAX - 1, last: 2 });
    }

    #[test]
    fn what_cannot_be_invalidated_costs_an_idr() {
        for (first, last, can) in [(10, 10, false), (10, 267, true), (11, 10, true)] {
            let mut gate = KeyframeGate::new(false);
            assert_eq!(gate.on_rfi(first, last, ms(0), can), Decision::Keyframe, "{first}..={last} {can}");
            assert_eq!(gate.on_rfi(10, 12, ms(1), true), Decision::Drop, "the IDR heals that as well");
        }
        assert_eq!(
            KeyframeGate::new(false).on_rfi(10, 266, ms(0), true),
            Decision::Invalidate { first: 10, last: 266 }
        );
    }

    #[test]
    fn a_named_loss_right_behind_an_idr_is_no_echo() {
        let mut gate = KeyframeGate::new(false);
        assert_eq!(gate.on_rfi(10, 10, ms(0), false), Decision::Keyframe);
        gate.on_keyframe_sent(ms(10));
        assert_eq!(gate.on_keyframe_request(ms(130)), Decision::Drop, "frame 10 again, given up by its age");
        assert_eq!(gate.on_rfi(14, 14, ms(140), false), Decision::Later(ms(760)), "lost after the IDR");
        assert_eq!(gate.on_keyframe_request(ms(200)), Decision::Drop);
        assert_eq!(gate.poll(ms(760)), Some(Decision::Keyframe), "and not forgotten");
    }

    #[test]
    fn two_echoes_of_an_answered_invalidation_are_swallowed_and_the_third_is_believed() {
        let mut gate = KeyframeGate::new(false);
        gate.on_keyframe_sent(ms(0));
        assert!(matches!(gate.on_rfi(1, 2, ms(1_000), true), Decision::Invalidate { .. }));
        gate.on_rfi_answered(ms(1_010));
        assert_eq!(gate.on_keyframe_request(ms(1_100)), Decision::Drop);
        assert_eq!(gate.on_keyframe_request(ms(1_200)), Decision::Drop);
        assert_eq!(gate.on_keyframe_request(ms(1_300)), Decision::Keyframe);

        // After the window, the first one is believed; and a new episode has its own echoes.
        gate.on_keyframe_sent(ms(1_310));
        gate.on_rfi_answered(ms(3_000));
        assert_eq!(gate.on_keyframe_request(ms(3_100)), Decision::Drop);
        gate.on_rfi_answered(ms(3_200));
        assert_eq!(gate.on_keyframe_request(ms(3_250)), Decision::Drop);
        assert_eq!(gate.on_keyframe_request(ms(3_260)), Decision::Keyframe, "the same episode");
    }
}
