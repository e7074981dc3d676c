//! The pointer: absolute and relative motion, locks and confinement, buttons, wheels.

use smithay::backend::input::{Axis, AxisSource, ButtonState};
use smithay::input::pointer::{AxisFrame, ButtonEvent, MotionEvent, PointerHandle, RelativeMotionEvent};
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{Logical, Point, SERIAL_COUNTER};
use smithay::wayland::pointer_constraints::{PointerConstraint, with_pointer_constraint};

use punktfunk_media::{ScrollPhase, ScrollSource};

use super::input::Moment;
use super::moving::Holder;
use super::state::State;

/// Where the pointer is.
#[derive(Debug, Default)]
pub struct PointerMemory {
    /// In logical pixels.
    pub location: Point<f64, Logical>,
    /// The last absolute position that was asked for, lock or not.
    asked: Option<Point<f64, Logical>>,
    /// v120 units that have not made up a whole one yet: vertical, horizontal.
    partial: [f64; 2],
}

/// How the surface under the pointer holds it.
enum Hold {
    Free,
    /// It stays where it is, and its program hears of motion only.
    Locked,
    /// It stays on its surface, and inside of this region of it.
    Confined(Option<smithay::wayland::compositor::RegionAttributes>),
}

impl State {
    /// Where programs first find it.
    pub(super) fn centre_pointer(&mut self) {
        let size = self.logical_size().to_f64();
        self.pointer.location = Point::from((size.w / 2.0, size.h / 2.0));
        if let Some(pointer) = self.seat.get_pointer() {
            pointer.set_location(self.pointer.location);
        }
    }

    /// The output shrank.
    pub(super) fn keep_pointer_inside(&mut self) {
        let inside = self.clamp(self.pointer.location);
        if inside != self.pointer.location {
            self.move_to(inside, Moment::now());
        }
    }

    /// Moves by pixels of the output.
    pub(super) fn point_by(&mut self, dx: f64, dy: f64, at: Moment) {
        let delta = Point::from((dx / self.scale, dy / self.scale));
        let Some(pointer) = self.seat.get_pointer() else { return };
        let under = self.surface_under(self.pointer.location);
        let hold = self.hold(&pointer, under.as_ref());
        let event = RelativeMotionEvent { delta, delta_unaccel: delta, utime: at.micros };
        pointer.relative_motion(self, under.clone(), &event);
        let wanted = self.clamp(self.pointer.location + delta);
        match hold {
            Hold::Free => self.move_to(wanted, at),
            Hold::Confined(region) if self.stays(under.as_ref(), region.as_ref(), wanted) => self.move_to(wanted, at),
            Hold::Locked | Hold::Confined(_) => pointer.frame(self),
        }
    }

    /// Moves to a place given as fractions of the output. While a program holds the pointer it hears how far that is from
    /// the place before.
    pub(super) fn point_at(&mut self, x: f64, y: f64, at: Moment) {
        let wanted = self.pixel_at(x, y);
        let before = self.pointer.asked.replace(wanted).unwrap_or(wanted);
        let Some(pointer) = self.seat.get_pointer() else { return };
        let under = self.surface_under(self.pointer.location);
        match self.hold(&pointer, under.as_ref()) {
            Hold::Free => self.move_to(wanted, at),
            Hold::Locked | Hold::Confined(_) => {
                let delta = (wanted - before).to_physical(self.scale);
                self.point_by(delta.x, delta.y, at);
            }
        }
    }

    /// The place of the pixel at fractions of the output.
    pub(super) fn pixel_at(&self, x: f64, y: f64) -> Point<f64, Logical> {
        let size = self.logical_size().to_f64();
        self.clamp(Point::from((step_up(x * size.w), step_up(y * size.h))))
    }

    fn move_to(&mut self, place: Point<f64, Logical>, at: Moment) {
        let Some(pointer) = self.seat.get_pointer() else { return };
        self.pointer.location = place;
        if self.carry_window(Holder::Pointer, place) {
            return pointer.set_location(place);
        }
        let under = self.surface_under(place);
        let event = MotionEvent { location: place, serial: SERIAL_COUNTER.next_serial(), time: at.millis };
        pointer.motion(self, under.clone(), &event);
        pointer.frame(self);
        self.take_hold(&pointer, under.as_ref());
        self.cursor.show(true);
        self.pointer_changed();
    }

    /// What is under the pointer may have changed without its moving: a window came or went.
    pub(super) fn point_again(&mut self) {
        let Some(pointer) = self.seat.get_pointer().filter(|_| self.cursor.is_shown() && self.moving.is_none()) else {
            return;
        };
        let under = self.surface_under(self.pointer.location);
        if pointer.current_focus() != under.as_ref().map(|(surface, _)| surface.clone()) {
            let now = Moment::now();
            let event =
                MotionEvent { location: self.pointer.location, serial: SERIAL_COUNTER.next_serial(), time: now.millis };
            pointer.motion(self, under.clone(), &event);
            pointer.frame(self);
            self.take_hold(&pointer, under.as_ref());
        }
    }

    fn clamp(&self, place: Point<f64, Logical>) -> Point<f64, Logical> {
        let size = self.logical_size().to_f64();
        // The last pixel still belongs to the output, its far edge does not.
        let last = |side: f64| (side - 1.0 / f64::from(STEPS_PER_PIXEL)).max(0.0);
        Point::from((place.x.clamp(0.0, last(size.w)), place.y.clamp(0.0, last(size.h))))
    }

    fn hold(&self, pointer: &PointerHandle<Self>, under: Option<&(WlSurface, Point<f64, Logical>)>) -> Hold {
        let Some((surface, corner)) = under else { return Hold::Free };
        let place = (self.pointer.location - *corner).to_i32_round();
        with_pointer_constraint(surface, pointer, |constraint| match constraint {
            Some(c) if c.is_active() && c.region().is_none_or(|region| region.contains(place)) => match &*c {
                PointerConstraint::Locked(_) => Hold::Locked,
                PointerConstraint::Confined(confined) => Hold::Confined(confined.region().cloned()),
            },
            _ => Hold::Free,
        })
    }

    /// Whether a program has taken the pointer's motion for itself.
    pub(super) fn pointer_is_locked(&self) -> bool {
        let Some(pointer) = self.seat.get_pointer() else { return false };
        let Some(surface) = pointer.current_focus() else { return false };
        with_pointer_constraint(&surface, &pointer, |constraint| {
            constraint.is_some_and(|c| c.is_active() && matches!(&*c, PointerConstraint::Locked(_)))
        })
    }

    fn stays(
        &self,
        under: Option<&(WlSurface, Point<f64, Logical>)>,
        region: Option<&smithay::wayland::compositor::RegionAttributes>,
        wanted: Point<f64, Logical>,
    ) -> bool {
        let (Some((before, _)), Some((after, corner))) = (under, self.surface_under(wanted)) else { return false };
        *before == after && region.is_none_or(|region| region.contains((wanted - corner).to_i32_round()))
    }

    /// A surface that wants to hold the pointer does so as soon as it is on it.
    pub(super) fn take_hold(
        &mut self,
        pointer: &PointerHandle<Self>,
        under: Option<&(WlSurface, Point<f64, Logical>)>,
    ) {
        let Some((surface, corner)) = under else { return };
        let place = (self.pointer.location - *corner).to_i32_round();
        with_pointer_constraint(surface, pointer, |constraint| {
            if let Some(constraint) = constraint
                && !constraint.is_active()
                && constraint.region().is_none_or(|region| region.contains(place))
            {
                constraint.activate();
            }
        });
    }

    /// Presses or releases a button.
    pub(super) fn button(&mut self, code: u16, down: bool, at: Moment) {
        let Some(pointer) = self.seat.get_pointer() else { return };
        if down && !pointer.is_grabbed() {
            if code == BUTTON_LEFT && self.super_is_held() && self.take_window_at(self.pointer.location, at) {
                return;
            }
            self.press_at(self.pointer.location);
        }
        // The program has not heard of the press, or was told that the pointer left.
        if !down && self.drop_window(Holder::Pointer) {
            return;
        }
        let event = ButtonEvent {
            serial: SERIAL_COUNTER.next_serial(),
            time: at.millis,
            button: u32::from(code),
            state: if down { ButtonState::Pressed } else { ButtonState::Released },
        };
        pointer.button(self, &event);
        pointer.frame(self);
    }

    fn take_window_at(&mut self, place: Point<f64, Logical>, at: Moment) -> bool {
        let Some(window) = self.window_at(place) else { return false };
        self.take_window(&window, Holder::Pointer, place, at);
        self.moving.is_some()
    }

    /// Scrolls.
    pub(super) fn scroll(
        &mut self,
        horizontal: bool,
        source: ScrollSource,
        phase: ScrollPhase,
        delta: f64,
        at: Moment,
    ) {
        let Some(pointer) = self.seat.get_pointer() else { return };
        let axis = if horizontal { Axis::Horizontal } else { Axis::Vertical };
        let frame = AxisFrame::new(at.millis);
        let (source, value) = match source {
            ScrollSource::Wheel => {
                let units = whole_units(&mut self.pointer.partial[usize::from(horizontal)], delta);
                let value = delta / UNITS_PER_DETENT * PIXELS_PER_DETENT;
                pointer.axis(self, frame.source(AxisSource::Wheel).value(axis, value).v120(axis, units));
                return pointer.frame(self);
            }
            ScrollSource::Finger => (AxisSource::Finger, delta / self.scale),
            ScrollSource::Continuous => (AxisSource::Continuous, delta / self.scale),
        };
        if value != 0.0 {
            pointer.axis(self, frame.source(source).value(axis, value));
            pointer.frame(self);
        }
        if phase == ScrollPhase::End {
            pointer.axis(self, frame.source(source).stop(axis));
            pointer.frame(self);
        }
    }
}

/// The step of `wl_fixed` at or right after a place: what a program makes of it lies on the pixel that was meant.
fn step_up(place: f64) -> f64 {
    let steps = f64::from(STEPS_PER_PIXEL);
    ((place * steps - ROUNDING).ceil() / steps).max(0.0)
}

/// Adds to what has gathered and takes the whole units out. Turning round forgets what had gathered.
fn whole_units(partial: &mut f64, delta: f64) -> i32 {
    if *partial * delta < 0.0 {
        *partial = 0.0;
    }
    let sum = *partial + delta;
    // A client's wheel turns some detents at a time.
    let whole = sum.trunc().clamp(f64::from(i32::MIN), f64::from(i32::MAX));
    *partial = sum - whole;
    whole as i32
}

/// `BTN_LEFT` of the kernel's `input-event-codes.h`.
const BUTTON_LEFT: u16 = 0x110;
/// Of `wl_fixed`.
const STEPS_PER_PIXEL: u32 = 256;
/// v120 of Wayland, Windows and the wire.
const UNITS_PER_DETENT: f64 = 120.0;
/// What libinput reports for one detent (15°), and programs are tuned to.
const PIXELS_PER_DETENT: f64 = 15.0;
/// Of a step: larger than any rounding error, too small to be seen.
const ROUNDING: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_of_a_scaled_output_is_hit() {
        for (pixels, scale) in [(1365u32, 1.0), (1920, 1.5), (1366, 1.25), (3840, 2.0), (2560, 1.75)] {
            for pixel in 0..pixels {
                let logical = f64::from(pixels) / scale * (f64::from(pixel) / f64::from(pixels));
                let step = step_up(logical);
                assert_eq!((step * 256.0).fract(), 0.0);
                assert_eq!((step * scale).floor(), f64::from(pixel), "{pixel} of {pixels} at {scale}");
            }
        }
    }

    #[test]
    fn halves_of_units_gather() {
        let mut partial = 0.0;
        assert_eq!([7.5, 7.5, 7.5, 7.5].map(|d| whole_units(&mut partial, d)), [7, 8, 7, 8]);
        whole_units(&mut partial, 0.75);
        assert_eq!(whole_units(&mut partial, -1.5), -1, "turning round forgets");
    }
}
