//! Fingers on the client's screen.

use punktfunk_core::input::{Contact as Place, InputEvent};

use super::u16_of;
use crate::wire::input::{Contact, Touch};

/// The fingers that touch.
#[derive(Debug, Default)]
pub(super) struct Fingers([Option<u32>; MAX_FINGERS]);

impl Fingers {
    pub fn touch(&mut self, touch: &Touch, out: &mut impl FnMut(InputEvent)) {
        let id = touch.pointer;
        let known = self.0.iter().position(|finger| *finger == Some(id));
        match (touch.contact, known) {
            (Contact::Down, None) => {
                let Some(free) = self.0.iter_mut().find(|finger| finger.is_none()) else { return };
                *free = Some(id);
                out(InputEvent::TouchDown(place(touch)));
            }
            (Contact::Down | Contact::Move, Some(_)) => out(InputEvent::TouchMove(place(touch))),
            (Contact::Up | Contact::Cancel, Some(finger)) => {
                self.0[finger] = None;
                out(InputEvent::TouchUp { id });
            }
            (Contact::CancelAll, _) => {
                for id in self.0.iter_mut().filter_map(Option::take) {
                    out(InputEvent::TouchUp { id });
                }
            }
            // A finger that hovers does nothing on any desktop.
            (Contact::Hover | Contact::HoverLeave | Contact::ButtonOnly, _)
            | (Contact::Move | Contact::Up | Contact::Cancel, None) => {}
        }
    }
}

fn place(touch: &Touch) -> Place {
    let (x, y) = (u16_of(touch.x).into(), u16_of(touch.y).into());
    Place { id: touch.pointer, x, y, ref_width: u16::MAX, ref_height: u16::MAX }
}

/// As many as the engine remembers.
const MAX_FINGERS: usize = 16;
