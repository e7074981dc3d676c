//! What a host holds down, let go of when its connection ends: a host that was killed says nothing more.

use punktfunk_core::datagram::{PenSample, PenState};
use punktfunk_media::InputAction;

/// Of one connection.
#[derive(Debug, Default)]
pub struct Held {
    /// In the order of the presses; released the other way round.
    down: Vec<InputAction>,
    pen: Option<PenSample>,
}

impl Held {
    /// An action was played.
    pub fn note(&mut self, action: &InputAction) {
        match *action {
            InputAction::Pen(sample) => self.pen = (sample.state != PenState::NONE).then_some(sample),
            _ => {
                let Some((released, down)) = release_of(action) else { return };
                self.down.retain(|held| *held != released);
                if down && self.down.len() < MOST_HELD {
                    self.down.push(released);
                }
            }
        }
    }

    /// What lets go of everything.
    pub fn take(&mut self) -> impl Iterator<Item = InputAction> {
        let gone = |pen| InputAction::Pen(PenSample { state: PenState::NONE, pressure: 0, ..pen });
        std::mem::take(&mut self.down).into_iter().rev().chain(self.pen.take().map(gone))
    }
}

/// The action that ends what this one began, or is itself; and whether it began it.
fn release_of(action: &InputAction) -> Option<(InputAction, bool)> {
    Some(match *action {
        InputAction::Key { code, down } => (InputAction::Key { code, down: false }, down),
        InputAction::Button { code, down } => (InputAction::Button { code, down: false }, down),
        InputAction::TouchDown { id, .. } => (InputAction::TouchUp { id }, true),
        InputAction::TouchUp { id } => (InputAction::TouchUp { id }, false),
        _ => return None,
    })
}

/// More than anybody has fingers and keys for.
const MOST_HELD: usize = 1024;
