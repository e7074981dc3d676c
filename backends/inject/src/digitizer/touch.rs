//! A touch screen of ten fingers and more ("protocol B" of the kernel's multi-touch events).

use punktfunk_media::InputAction;

use super::{ABS_X, ABS_Y, AxisRow, BTN_TOUCH, EV_ABS, EV_KEY, EXTENT, Frames, STEPS_PER_MM, step};

/// The contacts that are down.
#[derive(Debug, Default)]
pub(super) struct TouchModel {
    /// The client's number of each slot's contact.
    slots: [Option<u32>; SLOTS],
    /// Numbers contacts; the kernel wants them different from the one before in a slot.
    contacts: u16,
}

impl TouchModel {
    pub fn apply(&mut self, action: &InputAction, frames: &mut Frames) {
        match *action {
            InputAction::TouchDown { id, x, y } if self.slot(id).is_none() => {
                let Some(free) = self.slots.iter().position(Option::is_none) else { return };
                let first = self.slots.iter().all(Option::is_none);
                self.slots[free] = Some(id);
                self.contacts = self.contacts.wrapping_add(1);
                let mut frame =
                    vec![(EV_ABS, ABS_MT_SLOT, free as i32), (EV_ABS, ABS_MT_TRACKING_ID, self.contacts.into())];
                self.place(free, x, y, &mut frame);
                if first {
                    frame.push((EV_KEY, BTN_TOUCH, 1));
                }
                frames.push(frame);
            }
            InputAction::TouchMove { id, x, y } => {
                let Some(slot) = self.slot(id) else { return };
                let mut frame = vec![(EV_ABS, ABS_MT_SLOT, slot as i32)];
                self.place(slot, x, y, &mut frame);
                frames.push(frame);
            }
            InputAction::TouchUp { id } => {
                let Some(slot) = self.slot(id) else { return };
                self.slots[slot] = None;
                let mut frame = vec![(EV_ABS, ABS_MT_SLOT, slot as i32), (EV_ABS, ABS_MT_TRACKING_ID, -1)];
                if self.slots.iter().all(Option::is_none) {
                    frame.push((EV_KEY, BTN_TOUCH, 0));
                }
                frames.push(frame);
            }
            _ => {}
        }
    }

    /// Lifts every finger.
    pub fn release(&mut self, frames: &mut Frames) {
        for id in self.slots.into_iter().flatten() {
            self.apply(&InputAction::TouchUp { id }, frames);
        }
    }

    fn slot(&self, id: u32) -> Option<usize> {
        self.slots.iter().position(|slot| *slot == Some(id))
    }

    /// Programs that know one finger follow the one in the lowest slot.
    fn place(&self, slot: usize, x: f64, y: f64, frame: &mut Vec<(u16, u16, i32)>) {
        let (x, y) = (step(x), step(y));
        frame.extend([(EV_ABS, ABS_MT_POSITION_X, x), (EV_ABS, ABS_MT_POSITION_Y, y)]);
        if self.slots.iter().position(Option::is_some) == Some(slot) {
            frame.extend([(EV_ABS, ABS_X, x), (EV_ABS, ABS_Y, y)]);
        }
    }
}

pub(super) const KEYS: [u16; 1] = [BTN_TOUCH];
pub(super) const AXES: [AxisRow; 6] = [
    (ABS_X, 0, EXTENT, STEPS_PER_MM),
    (ABS_Y, 0, EXTENT, STEPS_PER_MM),
    (ABS_MT_SLOT, 0, SLOTS as i32 - 1, 0),
    (ABS_MT_TRACKING_ID, 0, 65_535, 0),
    (ABS_MT_POSITION_X, 0, EXTENT, STEPS_PER_MM),
    (ABS_MT_POSITION_Y, 0, EXTENT, STEPS_PER_MM),
];
/// As many as the engine holds down.
const SLOTS: usize = 16;
const ABS_MT_SLOT: u16 = 0x2f;
const ABS_MT_POSITION_X: u16 = 0x35;
const ABS_MT_POSITION_Y: u16 = 0x36;
const ABS_MT_TRACKING_ID: u16 = 0x39;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(model: &mut TouchModel, action: InputAction) -> Vec<(u16, u16, i32)> {
        let mut frames = Frames::default();
        model.apply(&action, &mut frames);
        assert!(frames.0.len() <= 1);
        frames.0.pop().unwrap_or_default()
    }

    #[test]
    fn two_fingers_come_and_go() {
        let mut model = TouchModel::default();
        let first = frame(&mut model, InputAction::TouchDown { id: 70, x: 0.0, y: 1.0 });
        let expected = [
            (EV_ABS, ABS_MT_SLOT, 0),
            (EV_ABS, ABS_MT_TRACKING_ID, 1),
            (EV_ABS, ABS_MT_POSITION_X, 0),
            (EV_ABS, ABS_MT_POSITION_Y, EXTENT),
            (EV_ABS, ABS_X, 0),
            (EV_ABS, ABS_Y, EXTENT),
            (EV_KEY, BTN_TOUCH, 1),
        ];
        assert_eq!(first, expected);
        let second = frame(&mut model, InputAction::TouchDown { id: 71, x: 0.5, y: 0.5 });
        assert_eq!(second[..2], [(EV_ABS, ABS_MT_SLOT, 1), (EV_ABS, ABS_MT_TRACKING_ID, 2)]);
        assert_eq!(second.len(), 4, "{second:?}");
        let up = frame(&mut model, InputAction::TouchUp { id: 70 });
        assert_eq!(up, [(EV_ABS, ABS_MT_SLOT, 0), (EV_ABS, ABS_MT_TRACKING_ID, -1)]);
        let moved = frame(&mut model, InputAction::TouchMove { id: 71, x: 1.0, y: 0.0 });
        assert!(moved.contains(&(EV_ABS, ABS_X, EXTENT)), "the one that is left leads");
        let up = frame(&mut model, InputAction::TouchUp { id: 71 });
        assert_eq!(up.last(), Some(&(EV_KEY, BTN_TOUCH, 0)));
    }

    #[test]
    fn all_fingers_are_lifted_at_once() {
        let (mut model, mut frames) = (TouchModel::default(), Frames::default());
        for id in [3, 9, 1] {
            frame(&mut model, InputAction::TouchDown { id, x: 0.0, y: 0.0 });
        }
        model.release(&mut frames);
        assert_eq!(frames.0.len(), 3);
        assert_eq!(frames.0[2].last(), Some(&(EV_KEY, BTN_TOUCH, 0)));
        model.release(&mut frames);
        assert_eq!(frames.0.len(), 3, "nothing is left");
    }

    #[test]
    fn what_is_not_down_does_nothing_and_a_seventeenth_finger_neither() {
        let mut model = TouchModel::default();
        assert_eq!(frame(&mut model, InputAction::TouchMove { id: 1, x: 0.0, y: 0.0 }), []);
        assert_eq!(frame(&mut model, InputAction::TouchUp { id: 1 }), []);
        for id in 0..16 {
            assert_ne!(frame(&mut model, InputAction::TouchDown { id, x: f64::NAN, y: 2.0 }), []);
        }
        assert_eq!(frame(&mut model, InputAction::TouchDown { id: 16, x: 0.0, y: 0.0 }), []);
        assert_eq!(frame(&mut model, InputAction::TouchDown { id: 3, x: 0.0, y: 0.0 }), []);
    }
}
