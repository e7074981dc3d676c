//! What a client asks for after a loss, and which frames it throws away until it gets it (§8.9).

use super::KEY;

/// The client's model of the reference chain.
#[derive(Debug)]
pub(super) struct Recovery {
    /// The host advertised invalidation and the decoder can.
    invalidation: bool,
    state: State,
    dropped_in_a_row: u32,
    /// More was lost while waiting for a keyframe, maybe that one: the next whole frame asks again.
    lost_more: bool,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum State {
    /// Nothing decoded yet.
    Begin,
    Good,
    WaitIdr,
    WaitRecovery {
        first: u32,
        last: u32,
    },
}

/// What to ask the host for.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Ask {
    Nothing,
    Idr,
    Invalidate { first: u32, last: u32 },
}

impl Recovery {
    pub(super) fn new(invalidation: bool) -> Self {
        Self { invalidation, state: State::Begin, dropped_in_a_row: 0, lost_more: false }
    }

    /// Frames `first`..=`last` will never be whole.
    pub(super) fn lost(&mut self, first: u32, last: u32) -> Ask {
        match self.state {
            State::Good if self.invalidation => self.wait(first, last),
            State::WaitRecovery { first, .. } => self.wait(first, last),
            State::Begin | State::Good => {
                self.state = State::WaitIdr;
                Ask::Idr
            }
            State::WaitIdr => {
                self.lost_more = true;
                Ask::Nothing
            }
        }
    }

    /// A whole frame: whether it can be decoded, and what to ask for if not.
    pub(super) fn whole(&mut self, index: u32, kind: u8) -> (bool, Ask) {
        let usable = match self.state {
            State::Good => true,
            State::Begin | State::WaitIdr => kind == KEY,
            State::WaitRecovery { .. } => matches!(kind, 2 | 4 | 5),
        };
        if usable {
            self.state = State::Good;
            (self.dropped_in_a_row, self.lost_more) = (0, false);
            return (true, Ask::Nothing);
        }
        self.dropped_in_a_row += 1;
        let ask = match self.state {
            _ if self.dropped_in_a_row.is_multiple_of(PATIENCE) => {
                self.state = State::WaitIdr;
                Ask::Idr
            }
            State::Begin => {
                self.state = State::WaitIdr;
                Ask::Idr
            }
            State::WaitRecovery { first, .. } => self.wait(first, index),
            State::WaitIdr if std::mem::take(&mut self.lost_more) => Ask::Idr,
            State::Good | State::WaitIdr => Ask::Nothing,
        };
        (false, ask)
    }

    fn wait(&mut self, first: u32, last: u32) -> Ask {
        self.state = State::WaitRecovery { first, last };
        Ask::Invalidate { first, last }
    }
}

/// After so many dropped frames in a row only a keyframe will do.
const PATIENCE: u32 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_heal_without_invalidation() {
        let mut r = Recovery::new(false);
        assert_eq!(r.whole(1, 1), (false, Ask::Idr));
        assert_eq!(r.whole(2, 1), (false, Ask::Nothing));
        assert_eq!(r.whole(3, 2), (true, Ask::Nothing));
        assert_eq!(r.lost(4, 4), Ask::Idr);
        assert_eq!(r.whole(5, 5), (false, Ask::Nothing));
        // The keyframe itself, as far as anybody knows.
        assert_eq!(r.lost(6, 6), Ask::Nothing);
        assert_eq!(r.whole(7, 1), (false, Ask::Idr));
        assert_eq!(r.whole(8, 1), (false, Ask::Nothing));
        assert_eq!(r.whole(9, 2), (true, Ask::Nothing));
    }

    #[test]
    fn invalidation_grows_until_a_recovery_frame() {
        let mut r = Recovery::new(true);
        // The first keyframe is waited for as ever.
        assert_eq!(r.lost(1, 1), Ask::Idr);
        assert_eq!(r.whole(2, 2), (true, Ask::Nothing));
        assert_eq!(r.lost(3, 4), Ask::Invalidate { first: 3, last: 4 });
        assert_eq!(r.whole(5, 1), (false, Ask::Invalidate { first: 3, last: 5 }));
        assert_eq!(r.lost(6, 6), Ask::Invalidate { first: 3, last: 6 });
        assert_eq!(r.whole(7, 5), (true, Ask::Nothing));
        assert_eq!(r.lost(8, 8), Ask::Invalidate { first: 8, last: 8 });
        for index in 9..9 + PATIENCE - 1 {
            assert_eq!(r.whole(index, 1), (false, Ask::Invalidate { first: 8, last: index }));
        }
        assert_eq!(r.whole(200, 1), (false, Ask::Idr));
        assert_eq!(r.whole(201, 5), (false, Ask::Nothing));
    }
}
