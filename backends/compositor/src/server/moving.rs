//! Windows moved by hand: by a program's title bar, or with Super held anywhere on a window.
//!
//! While a window is moved, the program hears neither of the pointer (or the finger) nor of the button's release: to it,
//! both left.

use smithay::input::pointer::MotionEvent;
use smithay::utils::{Logical, Point, SERIAL_COUNTER, Size};

use super::input::Moment;
use super::state::State;
use super::window::{AppWindow, ByHand};

/// A window under way.
#[derive(Debug)]
pub struct Moving {
    window: AppWindow,
    /// From the window's corner to what holds it.
    hold: Point<f64, Logical>,
    by: Holder,
}

/// What holds a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// The pointer, with a button down.
    Pointer,
    /// This finger.
    Finger(u32),
}

impl State {
    /// Starts to move a window. One that fills the room comes loose first.
    pub(super) fn take_window(&mut self, window: &AppWindow, by: Holder, at: Point<f64, Logical>, moment: Moment) {
        if window.is_fullscreen() || window.is_unmanaged() {
            return;
        }
        let Some(place) = self.space.element_geometry(window) else { return };
        let mut corner = place.loc;
        let mut size = None;
        if !window.floats() {
            size = window.memory().by_hand().and_then(|by_hand| by_hand.size);
            if size.is_none() {
                let room = self.room();
                let smaller: Size<i32, Logical> = (room.size.w * 2 / 3, room.size.h * 2 / 3).into();
                // It stays under what holds it, at the same part of its width, held by its upper edge.
                let part = (at.x - f64::from(place.loc.x)) / f64::from(place.size.w.max(1));
                let left = at.x - part.clamp(0.0, 1.0) * f64::from(smaller.w);
                corner = Point::from((left, at.y - HELD_BELOW_EDGE)).to_i32_round();
                size = Some(smaller);
            }
        }
        window.memory().put(Some(ByHand { corner, size }));
        self.moving = Some(Moving { window: window.clone(), hold: at - corner.to_f64(), by });
        self.let_go_of_programs(by, at, moment);
        self.focus_window(Some(window));
        self.put_window(window);
    }

    /// The program under what holds the window hears that it left.
    fn let_go_of_programs(&mut self, by: Holder, at: Point<f64, Logical>, moment: Moment) {
        match by {
            Holder::Pointer => {
                let Some(pointer) = self.seat.get_pointer() else { return };
                let serial = SERIAL_COUNTER.next_serial();
                pointer.unset_grab(self, serial, moment.millis);
                let event = MotionEvent { location: self.pointer.location, serial, time: moment.millis };
                pointer.motion(self, None, &event);
                pointer.frame(self);
            }
            Holder::Finger(finger) => self.cancel_touch(finger, at, moment),
        }
    }

    /// What holds a window moved to `at`. False: it holds none.
    pub(super) fn carry_window(&mut self, by: Holder, at: Point<f64, Logical>) -> bool {
        let Some(moving) = self.moving.as_ref().filter(|moving| moving.by == by) else { return false };
        let (window, corner) = (moving.window.clone(), (at - moving.hold).to_i32_round());
        if let Some(by_hand) = window.memory().by_hand() {
            window.memory().put(Some(ByHand { corner, ..by_hand }));
        }
        self.put_window(&window);
        true
    }

    /// What holds a window lets go. False: it held none.
    pub(super) fn drop_window(&mut self, by: Holder) -> bool {
        let held = self.moving.take_if(|moving| moving.by == by).is_some();
        if held {
            self.point_again();
        }
        held
    }

    /// A window that fills its room becomes a smaller one in the middle, and the other way round.
    pub(super) fn toggle_loose(&mut self, window: &AppWindow) {
        if window.is_fullscreen() || window.floats() {
            return;
        }
        let room = self.room();
        let size: Size<i32, Logical> = (room.size.w * 2 / 3, room.size.h * 2 / 3).into();
        let corner = room.loc + Point::from(((room.size.w - size.w) / 2, (room.size.h - size.h) / 2));
        let loose = window.memory().by_hand().is_none_or(|by_hand| by_hand.size.is_none());
        window.memory().put(loose.then_some(ByHand { corner, size: Some(size) }));
        self.put_window(window);
        self.point_again();
    }

    /// A program asks for a window that does not fill its room. Before it is seen it has no say: programs remember what
    /// they were on another desktop.
    pub(super) fn loosen(&mut self, window: &AppWindow) {
        let fills = window.memory().by_hand().is_none();
        if fills && self.space.elements().any(|w| w == window) {
            self.toggle_loose(window);
        }
    }

    fn put_window(&mut self, window: &AppWindow) {
        self.arrange(window);
        if let Some(toplevel) = window.toplevel().filter(|t| t.is_initial_configure_sent()) {
            toplevel.send_pending_configure();
        }
        self.place(window);
        self.changed(None);
    }
}

/// Where a window that comes loose is held, in logical pixels below its upper edge: in a title bar, if it has one.
const HELD_BELOW_EDGE: f64 = 16.0;
