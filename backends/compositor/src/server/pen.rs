//! Pens: a tablet of two tools, the tip and the eraser, for programs that know tablets; for others the pen is a pointer.

use smithay::backend::input::{ButtonState, TabletToolCapabilities, TabletToolDescriptor, TabletToolType};
use smithay::reexports::wayland_protocols::wp::tablet::zv2::server::zwp_tablet_tool_v2::ZwpTabletToolV2;
use smithay::reexports::wayland_server::Resource as _;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::SERIAL_COUNTER;
use smithay::wayland::tablet_manager::{TabletDescriptor, TabletHandle, TabletSeatTrait as _, TabletToolHandle};

use punktfunk_core::datagram::{PenSample, PenState, PenTool};

use super::input::Moment;
use super::state::State;

/// What is known of the pen.
#[derive(Default)]
pub struct PenMemory {
    /// The tool that is near, what hears of it, and what of it is down.
    near: Option<Near>,
}

struct Near {
    kind: TabletToolType,
    tool: TabletToolHandle,
    down: bool,
    barrel: [bool; 2],
    /// The program beneath knows no tablets.
    as_pointer: bool,
}

impl State {
    /// The tablet is there from the start: programs look for it when they begin.
    pub(super) fn add_tablet(&mut self) {
        self.tablet();
        for kind in [TabletToolType::Pen, TabletToolType::Eraser] {
            self.tool(kind);
        }
    }

    fn tablet(&self) -> TabletHandle {
        let descriptor = TabletDescriptor { name: NAME.to_owned(), usb_id: None, syspath: None };
        self.seat.tablet_seat().add_tablet::<Self>(&self.display, &descriptor)
    }

    fn tool(&mut self, kind: TabletToolType) -> TabletToolHandle {
        let capabilities = TabletToolCapabilities::PRESSURE
            | TabletToolCapabilities::TILT
            | TabletToolCapabilities::DISTANCE
            | TabletToolCapabilities::ROTATION;
        let descriptor =
            TabletToolDescriptor { tool_type: kind, hardware_serial: 0, hardware_id_wacom: 0, capabilities };
        let (seat, display) = (self.seat.tablet_seat(), self.display.clone());
        seat.add_tool::<Self>(self, &display, &descriptor)
    }

    /// The pen is now as this says.
    pub(super) fn pen(&mut self, sample: &PenSample, at: Moment) {
        let touching = sample.state.contains(PenState::TOUCHING);
        if !touching && !sample.state.contains(PenState::IN_RANGE) {
            return self.pen_leaves(at);
        }
        let kind = if sample.tool == PenTool::Eraser { TabletToolType::Eraser } else { TabletToolType::Pen };
        if self.pen.near.as_ref().is_some_and(|near| near.kind != kind) {
            self.pen_leaves(at);
        }
        let place = self.pixel_at(sample.x.into(), sample.y.into());
        let under = self.surface_under(place);
        let enters = self.pen.near.is_none();
        if enters {
            let tool = self.tool(kind);
            let as_pointer = !under.as_ref().is_some_and(|(surface, _)| self.knows_tablets(surface));
            self.pen.near = Some(Near { kind, tool, down: false, barrel: [false; 2], as_pointer });
        }
        let Some(near) = &self.pen.near else { return };
        if near.as_pointer {
            return self.pen_as_pointer(sample, touching, at);
        }
        let tool = near.tool.clone();
        let barrel = [PenState::BARREL1, PenState::BARREL2].map(|button| sample.state.contains(button));
        let (down, held) = (near.down, near.barrel);
        self.pointer.location = place;
        self.cursor.show(true);
        self.pointer_changed();
        if touching && !down {
            self.press_at(place);
        }
        let tablet = self.tablet();
        tool.pressure(if touching { f64::from(sample.pressure) / f64::from(u16::MAX) } else { 0.0 });
        if let Some(distance) = sample.distance.filter(|_| !touching) {
            tool.distance(f64::from(distance) / f64::from(u16::MAX));
        }
        tool.tilt(tilt(sample));
        if let Some(roll) = sample.roll_deg {
            tool.rotation(roll.into());
        }
        // Twice: what enters a surface tells it its place alone, and the rest with the next motion.
        let serial = SERIAL_COUNTER.next_serial();
        tool.motion(place, under.clone(), &tablet, serial, at.millis);
        if enters {
            tool.motion(place, under, &tablet, serial, at.millis);
        }
        if touching && !down {
            tool.tip_down(SERIAL_COUNTER.next_serial(), at.millis);
        } else if down && !touching {
            tool.tip_up(at.millis);
        }
        for ((now, before), code) in barrel.into_iter().zip(held).zip([BTN_STYLUS, BTN_STYLUS2]) {
            if now != before {
                tool.button(code, state_of(now), SERIAL_COUNTER.next_serial(), at.millis);
            }
        }
        if let Some(near) = &mut self.pen.near {
            (near.down, near.barrel) = (touching, barrel);
        }
    }

    /// It is lifted and taken away.
    pub(super) fn pen_leaves(&mut self, at: Moment) {
        let Some(near) = self.pen.near.take() else { return };
        if near.as_pointer {
            if near.down {
                self.button(BTN_LEFT, false, at);
            }
            return;
        }
        for (held, code) in near.barrel.into_iter().zip([BTN_STYLUS, BTN_STYLUS2]) {
            if held {
                near.tool.button(code, ButtonState::Released, SERIAL_COUNTER.next_serial(), at.millis);
            }
        }
        near.tool.proximity_out(at.millis);
    }

    fn pen_as_pointer(&mut self, sample: &PenSample, touching: bool, at: Moment) {
        self.point_at(sample.x.into(), sample.y.into(), at);
        let Some(near) = &mut self.pen.near else { return };
        if std::mem::replace(&mut near.down, touching) != touching {
            self.button(BTN_LEFT, touching, at);
        }
    }

    /// Whether the program of a surface has asked for tablets.
    fn knows_tablets(&self, surface: &WlSurface) -> bool {
        let Some(client) = surface.client() else { return false };
        let mut knows = false;
        let looked = self.display.backend_handle().with_all_objects_for(client.id(), |object| {
            knows |= object.interface().name == ZwpTabletToolV2::interface().name;
        });
        looked.is_ok() && knows
    }
}

/// Degrees from upright and the direction of the lean (0 = up the screen, clockwise) as leans to the right and toward the
/// person, in degrees. Unknown is upright.
fn tilt(sample: &PenSample) -> (f64, f64) {
    let (Some(tilt), Some(azimuth)) = (sample.tilt_deg, sample.azimuth_deg) else { return (0.0, 0.0) };
    let lean = f64::from(tilt.min(89)).to_radians().tan();
    let (right, up) = f64::from(azimuth).to_radians().sin_cos();
    let degrees = |share: f64| (lean * share).atan().to_degrees();
    (degrees(right), degrees(-up))
}

fn state_of(down: bool) -> ButtonState {
    if down { ButtonState::Pressed } else { ButtonState::Released }
}

const NAME: &str = "punktfunk pen";
/// Of the kernel's `input-event-codes.h`.
const BTN_LEFT: u16 = 0x110;
const BTN_STYLUS: u32 = 0x14b;
const BTN_STYLUS2: u32 = 0x14c;
