//! Input by direct calls: what a host sends is played on the seat at once.

use std::time::Duration;

use smithay::backend::input::{KeyState, TouchSlot};
use smithay::input::keyboard::ModifiersState;
use smithay::input::touch::{DownEvent, MotionEvent, UpEvent};
use smithay::utils::{Clock, Logical, Monotonic, Point, SERIAL_COUNTER};

use punktfunk_media::InputAction;

use super::moving::Holder;
use super::state::State;

/// When something happened, as programs are told.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Milliseconds, of no particular origin.
    pub millis: u32,
    /// Microseconds of `CLOCK_MONOTONIC`.
    pub micros: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let now = Duration::from(Clock::<Monotonic>::new().now());
        // Both wrap by design of the protocol.
        Self { millis: now.as_millis() as u32, micros: now.as_micros() as u64 }
    }
}

impl State {
    /// Plays one action.
    pub(super) fn play(&mut self, action: &InputAction) {
        let at = Moment::now();
        match *action {
            InputAction::Key { code, down } => self.key(code, down, at),
            InputAction::Text(character) => self.type_character(character, at),
            InputAction::Motion { dx, dy } => self.point_by(dx, dy, at),
            InputAction::MotionAbs { x, y } => self.point_at(x, y, at),
            InputAction::Button { code, down } => self.button(code, down, at),
            InputAction::Scroll { horizontal, source, phase, delta } => {
                self.scroll(horizontal, source, phase, delta, at)
            }
            InputAction::TouchDown { id, x, y } => self.touch_down(id, x, y, at),
            InputAction::TouchMove { id, x, y } => self.touch_move(id, x, y, at),
            InputAction::TouchUp { id } => self.touch_up(id, at),
            InputAction::Pen(sample) => self.pen(&sample, at),
        }
    }

    /// Presses or releases a key by its position.
    fn key(&mut self, code: u16, down: bool, at: Moment) {
        self.leave_text_keymap();
        self.press(code, down, at);
    }

    /// The same under whatever keymap there is.
    pub(super) fn press(&mut self, code: u16, down: bool, at: Moment) {
        let Some(keyboard) = self.seat.get_keyboard() else { return };
        let state = if down { KeyState::Pressed } else { KeyState::Released };
        let code = (u32::from(code) + EVDEV_TO_XKB).into();
        let serial = SERIAL_COUNTER.next_serial();
        let shortcut = keyboard.input(self, code, state, serial, at.millis, |desktop, modifiers, key| {
            desktop.sort_key(modifiers, &key, down)
        });
        if let Some(shortcut) = shortcut {
            self.obey(shortcut);
        }
    }

    /// Programs send the keypad's digits only with Num Lock on, and Insert, Home … have keys of their own.
    pub(super) fn set_num_lock(&mut self) {
        if let Some(keyboard) = self.seat.get_keyboard() {
            keyboard.set_modifier_state(ModifiersState { num_lock: true, ..keyboard.modifier_state() });
        }
    }

    fn touch_down(&mut self, id: u32, x: f64, y: f64, at: Moment) {
        let Some(touch) = self.seat.get_touch() else { return };
        let location = self.place_of(x, y);
        self.cursor.show(false);
        if !touch.is_grabbed() {
            self.press_at(location);
        }
        self.fingers.retain(|finger| *finger != id);
        self.edge_down(id, location, !touch.is_grabbed() && self.fingers.is_empty());
        if self.fingers.len() < MOST_FINGERS {
            self.fingers.push(id);
        }
        let under = self.surface_under(location);
        let slot = TouchSlot::from(Some(id));
        let event = DownEvent { slot, location, serial: SERIAL_COUNTER.next_serial(), time: at.millis };
        touch.down(self, under, &event);
        touch.frame(self);
        self.pointer_changed();
    }

    fn touch_move(&mut self, id: u32, x: f64, y: f64, at: Moment) {
        let Some(touch) = self.seat.get_touch() else { return };
        let location = self.place_of(x, y);
        if self.edge_moved(id, location, at) || self.carry_window(Holder::Finger(id), location) {
            return;
        }
        let under = self.surface_under(location);
        touch.motion(self, under, &MotionEvent { slot: TouchSlot::from(Some(id)), location, time: at.millis });
        touch.frame(self);
    }

    /// The program under a finger hears that the touch was not meant for it.
    pub(super) fn cancel_touch(&mut self, id: u32, location: Point<f64, Logical>, at: Moment) {
        let Some(touch) = self.seat.get_touch() else { return };
        // smithay cancels only what has happened since the last frame.
        let under = self.surface_under(location);
        touch.motion(self, under, &MotionEvent { slot: TouchSlot::from(Some(id)), location, time: at.millis });
        touch.cancel(self);
    }

    fn touch_up(&mut self, id: u32, at: Moment) {
        let Some(touch) = self.seat.get_touch() else { return };
        self.fingers.retain(|finger| *finger != id);
        if self.edge_up(id) || self.drop_window(Holder::Finger(id)) {
            return;
        }
        let event = UpEvent { slot: TouchSlot::from(Some(id)), serial: SERIAL_COUNTER.next_serial(), time: at.millis };
        touch.up(self, &event);
        touch.frame(self);
    }

    fn place_of(&self, x: f64, y: f64) -> Point<f64, Logical> {
        let size = self.logical_size().to_f64();
        (x.clamp(0.0, 1.0) * size.w, y.clamp(0.0, 1.0) * size.h).into()
    }
}

/// More than any screen tells apart.
const MOST_FINGERS: usize = 64;
/// XKB counts keys from 8, as X11 did.
const EVDEV_TO_XKB: u32 = 8;
