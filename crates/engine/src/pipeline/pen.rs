//! A pen: which samples count, and what it is on a desktop that knows only fingers.

use std::time::Duration;

use punktfunk_core::datagram::{PenBatch, PenSample, PenState};
use punktfunk_media::InputAction;

/// Lets every batch through once, in the client's order (punktfunk1.md §4.4).
#[derive(Debug, Default)]
pub(super) struct PenGate {
    last: Option<u16>,
}

impl PenGate {
    /// The samples to play, or nothing of a batch that comes late or again. Predictions are left out.
    pub fn pass<'a>(&mut self, batch: &'a PenBatch) -> impl Iterator<Item = PenSample> + 'a {
        let newer = self.last.is_none_or(|last| (batch.seq().wrapping_sub(last) as i16) > 0);
        if newer {
            self.last = Some(batch.seq());
        }
        let samples = if newer { batch.samples() } else { &[] };
        samples.iter().copied().filter(|sample| !sample.state.contains(PenState::PREDICTED))
    }
}

/// Whether the desktop sees the pen at all.
pub(super) fn is_near(sample: &PenSample) -> bool {
    is_down(sample) || sample.state.contains(PenState::IN_RANGE)
}

/// The sample that takes a pen away that was last seen as `last`.
pub(super) fn gone(last: &PenSample) -> PenSample {
    PenSample { state: PenState::NONE, pressure: 0, distance: None, ..*last }
}

/// The pen as one finger, for desktops without pens; `down`: that finger touches now.
pub(super) fn as_finger(sample: &PenSample, down: bool) -> InputAction {
    let (id, x, y) = (PEN_FINGER, sample.x.into(), sample.y.into());
    match (is_down(sample), down) {
        (false, _) => InputAction::TouchUp { id },
        (true, false) => InputAction::TouchDown { id, x, y },
        (true, true) => InputAction::TouchMove { id, x, y },
    }
}

fn is_down(sample: &PenSample) -> bool {
    sample.state.contains(PenState::TOUCHING)
}

/// Number of the contact that stands for the pen. Clients count their contacts from 0.
pub(super) const PEN_FINGER: u32 = u32::MAX;
/// Without a sample for so long the pen is gone (punktfunk1.md §4.4).
pub const PEN_SILENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(seq: u16, states: &[PenState]) -> PenBatch {
        let samples: Vec<_> = states.iter().map(|state| PenSample { state: *state, ..PenSample::default() }).collect();
        PenBatch::new(seq, &samples).expect("a batch")
    }

    #[test]
    fn late_and_repeated_batches_do_not_count_also_across_the_wrap() {
        let mut gate = PenGate::default();
        let passed = [65_534, 65_535, 65_535, 65_533, 0, 65_535, 2, 1, 3]
            .map(|seq| gate.pass(&batch(seq, &[PenState::IN_RANGE])).count());
        assert_eq!(passed, [1, 1, 0, 0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn predictions_are_left_out_and_their_batch_counts() {
        let mut gate = PenGate::default();
        let states = [PenState::IN_RANGE, PenState::IN_RANGE | PenState::PREDICTED, PenState::TOUCHING];
        assert_eq!(gate.pass(&batch(7, &states)).map(|s| s.state).collect::<Vec<_>>(), [states[0], states[2]]);
        assert_eq!(gate.pass(&batch(7, &states)).count(), 0);
    }

    #[test]
    fn on_a_desktop_of_fingers_it_touches_drags_and_lifts() {
        let at = |state, x| PenSample { state, x, ..PenSample::default() };
        let (down, near) = (PenState::IN_RANGE | PenState::TOUCHING, PenState::IN_RANGE);
        let id = PEN_FINGER;
        assert_eq!(as_finger(&at(near, 0.5), false), InputAction::TouchUp { id });
        assert_eq!(as_finger(&at(down, 0.5), false), InputAction::TouchDown { id, x: 0.5, y: 0.0 });
        assert_eq!(as_finger(&at(down, 0.25), true), InputAction::TouchMove { id, x: 0.25, y: 0.0 });
        assert_eq!(as_finger(&at(near, 0.25), true), InputAction::TouchUp { id });
    }
}
