//! What is down, so that it can be released.

use punktfunk_core::Grants;
use punktfunk_core::datagram::PenSample;
use punktfunk_media::InputAction;

use super::pen::{self, PEN_FINGER};

/// The keys, buttons and touch contacts that this session holds down, and its pen.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// One bit per evdev code; keys and buttons share the number space.
    codes: [u64; CODES / 64],
    contacts: [Option<u32>; MAX_CONTACTS],
    /// As it was last, if it is near.
    pen: Option<PenSample>,
}

/// What an action means for what is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// It may be played back.
    Play,
    /// It changes nothing: already down, or not held by us.
    Redundant,
    /// There is no place to remember it, so it must not go down.
    Refuse,
}

impl Held {
    /// Notes an action that is about to be played back.
    pub fn note(&mut self, action: &InputAction) -> Effect {
        match *action {
            InputAction::Key { code, down } | InputAction::Button { code, down } => {
                let (word, bit) = (usize::from(code) / 64, 1 << (code % 64));
                let Some(word) = self.codes.get_mut(word) else { return Effect::Refuse };
                if (*word & bit != 0) == down {
                    return Effect::Redundant;
                }
                *word ^= bit;
                Effect::Play
            }
            InputAction::TouchDown { id, .. } => {
                if self.contacts.contains(&Some(id)) {
                    return Effect::Redundant;
                }
                let Some(free) = self.contacts.iter_mut().find(|c| c.is_none()) else { return Effect::Refuse };
                *free = Some(id);
                Effect::Play
            }
            InputAction::TouchMove { id, .. } if !self.contacts.contains(&Some(id)) => Effect::Redundant,
            InputAction::TouchUp { id } => match self.contacts.iter_mut().find(|c| **c == Some(id)) {
                Some(contact) => {
                    *contact = None;
                    Effect::Play
                }
                None => Effect::Redundant,
            },
            InputAction::Pen(sample) => {
                let now = pen::is_near(&sample).then_some(sample);
                if now == self.pen {
                    return Effect::Redundant;
                }
                self.pen = now;
                Effect::Play
            }
            _ => Effect::Play,
        }
    }

    /// Whether this contact is down.
    pub fn touches(&self, id: u32) -> bool {
        self.contacts.contains(&Some(id))
    }

    /// Takes the pen out; the action takes it away from the desktop.
    pub fn release_pen(&mut self) -> Option<InputAction> {
        if let Some(last) = self.pen.take() {
            return Some(InputAction::Pen(pen::gone(&last)));
        }
        let finger = self.contacts.iter_mut().find(|contact| **contact == Some(PEN_FINGER))?;
        *finger = None;
        Some(InputAction::TouchUp { id: PEN_FINGER })
    }

    /// Takes out one thing that is held and that `grants` do not cover; the action releases it. Call until `None`.
    pub fn release_beyond(&mut self, grants: Grants) -> Option<InputAction> {
        for word in 0..self.codes.len() {
            let mut bits = self.codes[word];
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let code = (word * 64 + bit) as u16; // below CODES
                let (grant, action) = if is_button(code) {
                    (Grants::POINTER, InputAction::Button { code, down: false })
                } else {
                    (Grants::KEYBOARD, InputAction::Key { code, down: false })
                };
                if !grants.contains(grant) {
                    self.codes[word] &= !(1 << bit);
                    return Some(action);
                }
            }
        }
        if grants.contains(Grants::POINTER) {
            return None;
        }
        if let Some(id) = self.contacts.iter_mut().find_map(Option::take) {
            return Some(InputAction::TouchUp { id });
        }
        self.release_pen()
    }

    /// The injector is gone, and its devices with it: nothing is held any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// `BTN_LEFT` … `BTN_TASK` of `linux/input-event-codes.h`.
const fn is_button(code: u16) -> bool {
    matches!(code, 0x110..=0x117)
}

/// `KEY_MAX` + 1 of `linux/input-event-codes.h`.
const CODES: usize = 768;
/// No touch screen reports more than ten fingers; a client that does gets the first sixteen.
const MAX_CONTACTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: u16, down: bool) -> InputAction {
        InputAction::Key { code, down }
    }

    fn release_all(held: &mut Held, grants: Grants) -> Vec<InputAction> {
        std::iter::from_fn(|| held.release_beyond(grants)).collect()
    }

    #[test]
    fn only_changes_are_played() {
        let mut held = Held::default();
        let effects = [key(30, true), key(30, true), key(30, false), key(30, false), key(767, true), key(768, true)]
            .map(|a| held.note(&a));
        use Effect::{Play, Redundant, Refuse};
        assert_eq!(effects, [Play, Redundant, Play, Redundant, Play, Refuse]);
    }

    #[test]
    fn everything_held_is_released_once() {
        let mut held = Held::default();
        let touch = InputAction::TouchDown { id: 7, x: 0.5, y: 0.5 };
        for action in [key(42, true), key(30, true), InputAction::Button { code: 0x110, down: true }, touch] {
            assert_eq!(held.note(&action), Effect::Play);
        }
        held.note(&key(30, false));
        let released = release_all(&mut held, Grants::VIEW);
        let button = InputAction::Button { code: 0x110, down: false };
        assert_eq!(released, [key(42, false), button, InputAction::TouchUp { id: 7 }]);
        assert_eq!(release_all(&mut held, Grants::VIEW), []);
    }

    #[test]
    fn a_pen_is_held_while_it_is_near_and_only_its_changes_are_played() {
        use punktfunk_core::datagram::PenState;
        let at = |state, pressure| InputAction::Pen(PenSample { state, pressure, x: 0.5, ..PenSample::default() });
        let touching = PenState::IN_RANGE | PenState::TOUCHING;
        let mut held = Held::default();
        let effects = [
            at(PenState::NONE, 0),
            at(PenState::IN_RANGE, 0),
            at(PenState::IN_RANGE, 0),
            at(touching, 9),
            at(PenState::NONE, 0),
            at(touching, 7),
        ]
        .map(|action| held.note(&action));
        use Effect::{Play, Redundant};
        assert_eq!(effects, [Redundant, Play, Redundant, Play, Play, Play]);
        assert_eq!(release_all(&mut held, Grants::KEYBOARD), [at(PenState::NONE, 0)]);
        assert_eq!(held.release_pen(), None);
        held.note(&InputAction::TouchDown { id: PEN_FINGER, x: 0.0, y: 0.0 });
        assert_eq!(held.release_pen(), Some(InputAction::TouchUp { id: PEN_FINGER }));
    }

    #[test]
    fn a_lost_grant_releases_only_what_it_covered() {
        let mut held = Held::default();
        held.note(&key(42, true));
        held.note(&InputAction::Button { code: 0x111, down: true });
        assert_eq!(release_all(&mut held, Grants::POINTER), [key(42, false)]);
        assert_eq!(release_all(&mut held, Grants::ALL), []);
        assert_eq!(release_all(&mut held, Grants::KEYBOARD), [InputAction::Button { code: 0x111, down: false }]);
    }

    #[test]
    fn a_seventeenth_finger_is_refused() {
        let mut held = Held::default();
        for id in 0..16 {
            assert_eq!(held.note(&InputAction::TouchDown { id, x: 0.0, y: 0.0 }), Effect::Play);
        }
        assert_eq!(held.note(&InputAction::TouchDown { id: 16, x: 0.0, y: 0.0 }), Effect::Refuse);
        assert_eq!(held.note(&InputAction::TouchMove { id: 16, x: 0.0, y: 0.0 }), Effect::Redundant);
        assert_eq!(release_all(&mut held, Grants::VIEW).len(), 16);
    }
}
