//! Long-term references: repairing a loss without a keyframe.
//!
//! The library marks a picture as long-term reference now and then and wants to be told whether the client has it. Our
//! wire has no such message: what we hear is which pictures were lost. So a mark counts as received once enough later
//! pictures passed without its loss being reported, and an invalidation is honoured if a received mark lies before it.
//!
//! ```text
//!            IDR (a mark, received by definition)
//!             │
//!   ┌─────────▼──────────┐  picture marked  ┌───────────────────┐
//!   │ confirmed          │ ───────────────► │ confirmed, pending│ ── loss covers pending: drop pending
//!   └────────────────────┘ ◄─────────────── └───────────────────┘
//!                           wait passed without loss: pending becomes confirmed
//!
//!   invalidate(first..): confirmed before first ─► next picture refers to it (anchor);  else: unsupported, send an IDR
//! ```

#[cfg(doc)]
use crate::h264::Sps;
use crate::h264::{LongTermMark, SliceHeader};

/// Bookkeeping of one encoder.
#[derive(Debug)]
pub(super) struct LongTerm {
    /// Index of the next access unit, counted from open, wrapping.
    next: u32,
    /// Access units that must follow a mark before it counts as received.
    wait: u32,
    state: Option<Marks>,
    /// The next picture must refer to a long-term reference from before this access unit, the first lost one.
    lost_from: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Marks {
    idr_pic_id: u32,
    /// `frame_num` counts modulo this.
    modulus: u32,
    confirmed: Mark,
    pending: Option<Mark>,
}

impl Marks {
    fn of_idr(header: &SliceHeader, idr_pic_id: u32, modulus: u32, index: u32) -> Self {
        let confirmed = Mark { frame_num: header.frame_num, marked_by: index, picture: index };
        Self { idr_pic_id, modulus, confirmed, pending: None }
    }
}

/// A long-term reference.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Its `frame_num`.
    frame_num: u32,
    /// The access unit whose header marks it; without that one the decoder does not know.
    marked_by: u32,
    /// The access unit it was decoded from.
    picture: u32,
}

impl Mark {
    fn is_before(&self, index: u32) -> bool {
        precedes(self.marked_by, index) && precedes(self.picture, index)
    }
}

/// Tells the library that a mark was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Feedback {
    pub(super) idr_pic_id: u32,
    pub(super) frame_num: u32,
}

/// Tells the library what was lost: everything after `last_correct` up to `current`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Recovery {
    pub(super) idr_pic_id: u32,
    pub(super) last_correct: u32,
    pub(super) current: u32,
}

/// What a picture turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Anchor {
    /// An ordinary picture.
    No,
    /// It builds on a long-term reference that the client has.
    Hit,
    /// It should have and does not: it must not be sent.
    Missed,
}

impl LongTerm {
    /// For an encoder opened at this rate.
    pub(super) fn new(refresh_hz: u32) -> Self {
        Self { next: 0, wait: (refresh_hz / 2).max(MIN_WAIT), state: None, lost_from: None }
    }

    /// Before a picture is encoded: a mark that may now count as received.
    pub(super) fn confirm(&mut self) -> Option<Feedback> {
        if self.lost_from.is_some() {
            return None;
        }
        let marks = self.state.as_mut()?;
        let pending = marks.pending.filter(|m| self.next.wrapping_sub(m.marked_by) > self.wait)?;
        marks.confirmed = pending;
        marks.pending = None;
        Some(Feedback { idr_pic_id: marks.idr_pic_id, frame_num: pending.frame_num })
    }

    /// The client lost `first..=last`, and with them everything since. `None`: only a keyframe helps.
    pub(super) fn invalidate(&mut self, first: u32, last: u32) -> Option<Recovery> {
        let newest = self.next.wrapping_sub(1);
        if precedes(last, first) || precedes(newest, first) {
            return None;
        }
        // Two reports before one picture: the earlier loss counts, and the library must hear of that one.
        let first = self.lost_from.filter(|earlier| precedes(*earlier, first)).unwrap_or(first);
        let marks = self.state.as_mut()?;
        if !marks.confirmed.is_before(first) {
            return None;
        }
        marks.pending = marks.pending.filter(|m| m.is_before(first));
        self.lost_from = Some(first);
        // The same arithmetic that a decoder does: every picture is a reference, so frame_num counts them.
        let (base, modulus) = (marks.confirmed, marks.modulus);
        let frame_num = |index: u32| base.frame_num.wrapping_add(index.wrapping_sub(base.picture)) % modulus;
        let (last_correct, current) = (frame_num(first.wrapping_sub(1)), frame_num(newest));
        Some(Recovery { idr_pic_id: marks.idr_pic_id, last_correct, current })
    }

    /// After a picture was encoded: what its header says. `modulus`: see [`Sps::frame_num_bits`].
    pub(super) fn encoded(&mut self, header: &SliceHeader, modulus: u32) -> Result<Anchor, String> {
        let index = self.next;
        let expected = self.lost_from.take().is_some();
        if header.idr_pic_id.is_none() && expected && !header.refers_to_long_term {
            return Ok(Anchor::Missed);
        }
        self.next = index.wrapping_add(1);
        if let Some(idr_pic_id) = header.idr_pic_id {
            self.state = Some(Marks::of_idr(header, idr_pic_id, modulus, index));
            return Ok(Anchor::No);
        }
        let marks = self.state.as_mut().ok_or("the stream does not start with an IDR")?;
        let distance = match header.mark {
            LongTermMark::None => None,
            LongTermMark::This => Some(0),
            LongTermMark::Earlier(distance) => Some(distance),
        };
        if let Some(distance) = distance {
            let frame_num = header.frame_num.wrapping_sub(distance) % modulus;
            let picture = index.wrapping_sub(distance);
            marks.pending = Some(Mark { frame_num, marked_by: index, picture });
        }
        Ok(if expected { Anchor::Hit } else { Anchor::No })
    }
}

/// Whether `a` comes before `b` on a wrapping counter.
fn precedes(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// At low rates half a second is few pictures; reports need some too.
const MIN_WAIT: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::SliceType;

    const MODULUS: u32 = 1 << 15;

    fn idr(id: u32) -> SliceHeader {
        SliceHeader {
            first_macroblock: 0,
            slice_type: SliceType::I,
            frame_num: 0,
            idr_pic_id: Some(id),
            refers_to_long_term: false,
            mark: LongTermMark::This,
        }
    }

    fn picture(frame_num: u32, mark: LongTermMark) -> SliceHeader {
        SliceHeader { slice_type: SliceType::P, frame_num, idr_pic_id: None, mark, ..idr(0) }
    }

    /// An IDR and `count` pictures after it, number 10 marked.
    fn run(count: u32) -> LongTerm {
        let mut state = LongTerm::new(40);
        state.encoded(&idr(3), MODULUS).unwrap();
        for n in 1..=count {
            assert_eq!(state.confirm().is_some(), n == 31, "twenty pictures after the mark, picture {n}");
            let mark = if n == 10 { LongTermMark::Earlier(1) } else { LongTermMark::None };
            assert_eq!(state.encoded(&picture(n, mark), MODULUS), Ok(Anchor::No));
        }
        state
    }

    #[test]
    fn before_confirmation_the_keyframe_is_the_anchor() {
        let mut state = run(20);
        let request = state.invalidate(15, 16).expect("the IDR was received");
        assert_eq!(request, Recovery { idr_pic_id: 3, last_correct: 14, current: 20 });
        assert!(state.confirm().is_none(), "no feedback may meddle with a recovery");
        let anchor = SliceHeader { refers_to_long_term: true, ..picture(21, LongTermMark::None) };
        assert_eq!(state.encoded(&anchor, MODULUS), Ok(Anchor::Hit));
        assert_eq!(state.encoded(&picture(22, LongTermMark::None), MODULUS), Ok(Anchor::No));
    }

    #[test]
    fn a_lost_mark_never_counts_as_received() {
        let mut state = run(20);
        assert!(state.invalidate(10, 10).is_some(), "the marking picture was lost, the IDR was not");
        let anchor = SliceHeader { refers_to_long_term: true, ..picture(21, LongTermMark::None) };
        state.encoded(&anchor, MODULUS).unwrap();
        for n in 22..200 {
            assert_eq!(state.confirm(), None, "picture {n}");
            state.encoded(&picture(n, LongTermMark::None), MODULUS).unwrap();
        }
        assert!(state.invalidate(199, 199).is_some());
    }

    #[test]
    fn a_confirmed_mark_replaces_the_keyframe_and_its_loss_needs_a_new_one() {
        let mut state = run(40);
        assert!(state.invalidate(35, 36).is_some());
        // Reported after it counted as received: wrong guess, and only a keyframe helps.
        assert_eq!(state.invalidate(9, 12), None);
        assert_eq!(state.invalidate(10, 10), None);
        assert_eq!(state.invalidate(41, 42), None, "never sent");
        assert_eq!(state.invalidate(30, 29), None, "an empty range");
    }

    #[test]
    fn a_missed_anchor_is_noticed_and_replaced() {
        let mut state = run(20);
        state.invalidate(15, 16).expect("honoured");
        assert_eq!(state.encoded(&picture(21, LongTermMark::None), MODULUS), Ok(Anchor::Missed));
        assert_eq!(state.encoded(&idr(4), MODULUS), Ok(Anchor::No));
        // The IDR took the place of picture 21.
        assert_eq!(state.invalidate(21, 21), None);
        assert_eq!(state.encoded(&picture(1, LongTermMark::None), MODULUS), Ok(Anchor::No));
        assert_eq!(state.invalidate(22, 22).map(|r| (r.idr_pic_id, r.last_correct, r.current)), Some((4, 0, 1)));
    }

    #[test]
    fn two_losses_before_one_picture_count_from_the_first() {
        let mut state = run(20);
        assert_eq!(state.invalidate(8, 8).map(|r| r.last_correct), Some(7));
        assert_eq!(state.invalidate(15, 16).map(|r| r.last_correct), Some(7), "the mark in between is gone, too");
        assert_eq!(state.invalidate(5, 6).map(|r| r.last_correct), Some(4));
    }

    #[test]
    fn frame_numbers_wrap() {
        let mut state = LongTerm::new(60);
        state.encoded(&idr(0), 16).unwrap();
        for n in 1..20 {
            state.encoded(&picture(n % 16, LongTermMark::None), 16).unwrap();
        }
        assert_eq!(state.invalidate(18, 18).map(|r| (r.last_correct, r.current)), Some((1, 3)));
    }

    #[test]
    fn a_stream_must_start_with_a_keyframe() {
        assert!(LongTerm::new(60).encoded(&picture(0, LongTermMark::None), MODULUS).is_err());
        assert_eq!(LongTerm::new(60).invalidate(0, 0), None);
    }
}
