//! The virtual pointer, mapped to one output so that absolute positions are that output's pixels and relative motion
//! stays on it.

use punktfunk_media::{InjectError, InputAction, ScrollPhase, ScrollSource};
use wayland_client::protocol::wl_pointer::{Axis, AxisSource, ButtonState};
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1;

use crate::link::Link;

/// A virtual pointer.
pub struct Pointer {
    device: ZwlrVirtualPointerV1,
    /// Outputs as they were when the device was mapped.
    seen_layout: u32,
    /// Buttons down now; the device is not replaced meanwhile.
    held: Vec<u16>,
    /// v120 units that have not made up a whole detent yet: vertical, horizontal.
    partial: [f64; 2],
}

impl Pointer {
    /// Makes a pointer mapped to the link's output.
    pub fn create(link: &mut Link) -> Result<Self, InjectError> {
        let seen_layout = link.state.outputs.layout_changes;
        Ok(Self { device: make(link), seen_layout, held: Vec::new(), partial: [0.0; 2] })
    }

    /// Plays motion, buttons and scrolling.
    pub fn play(&mut self, time: u32, action: &InputAction, link: &mut Link) {
        self.follow_layout(link);
        match *action {
            InputAction::Motion { dx, dy } => self.device.motion(time, dx, dy),
            InputAction::MotionAbs { x, y } => {
                let any = (u32::from(u16::MAX), u32::from(u16::MAX));
                let [pixels, logical] = link.size().unwrap_or([any; 2]);
                let (x, x_extent) = position(x, pixels.0, logical.0);
                let (y, y_extent) = position(y, pixels.1, logical.1);
                self.device.motion_absolute(time, x, y, x_extent, y_extent);
            }
            InputAction::Button { code, down } => {
                self.held.retain(|held| *held != code);
                if down {
                    self.held.push(code);
                }
                let state = if down { ButtonState::Pressed } else { ButtonState::Released };
                self.device.button(time, u32::from(code), state);
            }
            InputAction::Scroll { horizontal, source, phase, delta } => {
                self.scroll(time, horizontal, source, phase, delta);
            }
            _ => return,
        }
        self.device.frame();
    }

    fn scroll(&mut self, time: u32, horizontal: bool, source: ScrollSource, phase: ScrollPhase, delta: f64) {
        let axis = if horizontal { Axis::HorizontalScroll } else { Axis::VerticalScroll };
        let wire_source = match source {
            ScrollSource::Wheel => AxisSource::Wheel,
            ScrollSource::Finger => AxisSource::Finger,
            ScrollSource::Continuous => AxisSource::Continuous,
        };
        if source == ScrollSource::Wheel {
            let distance = delta / UNITS_PER_DETENT * PIXELS_PER_DETENT;
            match detents(&mut self.partial[usize::from(horizontal)], delta) {
                0 => self.device.axis(time, axis, distance),
                whole => self.device.axis_discrete(time, axis, distance, whole),
            }
        } else {
            if delta != 0.0 {
                self.device.axis(time, axis, delta);
                self.device.axis_source(wire_source);
            }
            if phase == ScrollPhase::End {
                if delta != 0.0 {
                    // A stop in the same frame would overwrite the distance.
                    self.device.frame();
                }
                self.device.axis_stop(time, axis);
            } else if delta == 0.0 {
                return;
            }
        }
        // After the axis, since wlroots gives the source to the axis named last.
        self.device.axis_source(wire_source);
    }

    /// Compositors forget the mapping when outputs change; a new device brings it back. The new one comes first, so
    /// that the seat is never without a pointer.
    fn follow_layout(&mut self, link: &mut Link) {
        if link.state.outputs.layout_changes != self.seen_layout && self.held.is_empty() {
            self.seen_layout = link.state.outputs.layout_changes;
            let old = std::mem::replace(&mut self.device, make(link));
            old.destroy();
        }
    }

    /// Takes the pointer away.
    pub fn destroy(&self) {
        self.device.destroy();
    }
}

fn make(link: &Link) -> ZwlrVirtualPointerV1 {
    let state = &link.state;
    state.pointers.create_virtual_pointer_with_output(Some(&state.seat), state.outputs.wanted(), &link.handle(), ())
}

/// A fraction of an output of so many pixels as (position, extent) in 1/65536 logical pixel.
///
/// Clients are told 1/256 logical pixels, which some compositors cut off and others round. On a scaled output a pixel
/// may begin between two of those: then the next one is meant, lest the pointer lands on the pixel before. And a
/// thousandth is added to all, lest a division that came out a hair too small loses one. The far edge belongs to the last
/// pixel: one step further would be on the neighbouring output.
fn position(fraction: f64, pixels: u32, logical: u32) -> (u32, u32) {
    let logical = logical.min(MOST_PIXELS);
    let extent = logical * STEPS_PER_PIXEL;
    // In 1/65536 pixel first, so that whole pixels are whole.
    let steps = f64::from(STEPS_PER_PIXEL);
    let pixel = (fraction.clamp(0.0, 1.0) * f64::from(pixels) * steps).round() / steps;
    let told = pixel * f64::from(logical) / f64::from(pixels) * UNITS_PER_PIXEL;
    let wanted = if logical == pixels {
        told * (steps / UNITS_PER_PIXEL)
    } else {
        (told - ROUNDING).ceil() * (steps / UNITS_PER_PIXEL)
    };
    let last = extent.saturating_sub(STEPS_PER_PIXEL / 256);
    ((wanted.round() as u32 + HAIR).min(last), extent)
}

/// Adds `delta` to what has gathered and takes the whole detents out. Turning round forgets the rest.
fn detents(partial: &mut f64, delta: f64) -> i32 {
    if *partial * delta < 0.0 {
        *partial = 0.0;
    }
    *partial += delta;
    let whole = (*partial / UNITS_PER_DETENT).trunc();
    *partial -= whole * UNITS_PER_DETENT;
    whole as i32
}

/// Finer than `wl_fixed`.
const STEPS_PER_PIXEL: u32 = 1 << 16;
/// `wl_fixed`, in which clients are told positions.
const UNITS_PER_PIXEL: f64 = 256.0;
/// Far below a step, far above the error of the arithmetic.
const ROUNDING: f64 = 1e-6;
/// A thousandth of a pixel: too small to be seen, larger than any rounding error.
const HAIR: u32 = STEPS_PER_PIXEL / 1024;
/// Larger outputs than any; keeps the product within 32 bits.
const MOST_PIXELS: u32 = u32::MAX >> 17;
/// v120 of Wayland, Windows and the wire.
const UNITS_PER_DETENT: f64 = 120.0;
/// What libinput reports for one detent (15°), and clients are tuned to.
const PIXELS_PER_DETENT: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_of_a_fraction_is_hit_exactly() {
        for pixels in [1280u32, 1365, 767, 3840, 7680] {
            for pixel in 0..pixels {
                let (at, extent) = position(f64::from(pixel) / f64::from(pixels), pixels, pixels);
                // As compositors compute it, in 1/256 pixel, cut off or rounded.
                let place = f64::from(at) / f64::from(extent) * f64::from(pixels) * 256.0;
                assert_eq!((place.floor(), place.round()), (f64::from(pixel * 256), f64::from(pixel * 256)));
            }
        }
        let (far, extent) = position(1.0, 100, 100);
        assert_eq!((far * 100 / extent, position(2.0, 100, 100).0), (99, far));
        assert_eq!(position(f64::NAN, 100, 100), position(0.0, 100, 100));
        assert_eq!(position(-3.0, 100, 100), position(0.0, 100, 100));
        assert!(position(1.0, u32::MAX, u32::MAX).0 < position(1.0, u32::MAX, u32::MAX).1);
    }

    #[test]
    fn every_pixel_of_a_scaled_output_is_hit() {
        for (pixels, logical) in
            [(1920u32, 1280u32), (3840, 1920), (2560, 2048), (1750, 1000), (3840, 1280), (1000, 2000)]
        {
            let scale = f64::from(pixels) / f64::from(logical);
            for pixel in 0..pixels {
                let (at, extent) = position(f64::from(pixel) / f64::from(pixels), pixels, logical);
                let place = f64::from(at) / f64::from(extent) * f64::from(logical) * 256.0;
                for told in [place.floor(), place.round()] {
                    assert_eq!((told / 256.0 * scale).floor(), f64::from(pixel), "{pixels} as {logical}");
                }
            }
        }
    }

    #[test]
    fn partial_detents_gather() {
        let mut partial = 0.0;
        assert_eq!([30.0, 30.0, 30.0, 30.0].map(|d| detents(&mut partial, d)), [0, 0, 0, 1]);
        assert_eq!(detents(&mut partial, 250.0), 2);
        assert_eq!(detents(&mut partial, -120.0), -1, "turning round forgets the 10 that had gathered");
    }
}
