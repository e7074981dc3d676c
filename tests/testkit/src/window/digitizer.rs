//! Fingers and pens on the window.

use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::protocol::wl_touch::{self, WlTouch};
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, WEnum, delegate_noop, event_created_child};
use wayland_protocols::wp::tablet::zv2::client::{
    zwp_tablet_manager_v2::ZwpTabletManagerV2,
    zwp_tablet_pad_v2::ZwpTabletPadV2,
    zwp_tablet_seat_v2::{self, ZwpTabletSeatV2},
    zwp_tablet_tool_v2::{self, ZwpTabletToolV2},
    zwp_tablet_v2::ZwpTabletV2,
};

use super::{Program, Seen};

/// A finger or a pen did something over the window.
#[derive(Clone, Debug, PartialEq)]
pub enum Touched {
    /// A finger came down.
    Down {
        /// Which.
        id: i32,
        /// From the left of the window.
        x: f64,
        /// From its top.
        y: f64,
    },
    /// A finger moved.
    Moved {
        /// Which.
        id: i32,
        /// From the left of the window.
        x: f64,
        /// From its top.
        y: f64,
    },
    /// A finger was lifted.
    Up {
        /// Which.
        id: i32,
    },
    /// All that the fingers did was not meant.
    Cancelled,
    /// A pen came near.
    PenIn {
        /// With its other end.
        eraser: bool,
    },
    /// It left.
    PenOut,
    /// Its tip touches.
    PenDown,
    /// Its tip was lifted.
    PenUp,
    /// It moved.
    PenMoved {
        /// From the left of the window.
        x: f64,
        /// From its top.
        y: f64,
    },
    /// 0 to 65 535.
    Pressure(u32),
    /// 0 to 65 535.
    Distance(u32),
    /// Degrees toward the right and toward the person.
    Tilt(f64, f64),
    /// A button on its barrel.
    PenButton {
        /// Evdev code.
        code: u32,
        /// Pressed or released.
        down: bool,
    },
}

/// What the seat has for fingers and pens.
#[derive(Default)]
pub(super) struct Digitizers {
    pub touch: Option<WlTouch>,
    /// Tools, and whether they rub out.
    tools: Vec<(ZwpTabletToolV2, bool)>,
}

/// Listens to pens, where the compositor knows them.
pub(super) fn listen(manager: Option<&ZwpTabletManagerV2>, seat: &WlSeat, handle: &QueueHandle<Program>) {
    if let Some(manager) = manager {
        manager.get_tablet_seat(seat, handle, ());
    }
}

impl Dispatch<WlTouch, ()> for Program {
    fn event(this: &mut Self, _: &WlTouch, event: wl_touch::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        use wl_touch::Event;
        this.tell(Seen::Touched(match event {
            Event::Down { id, x, y, .. } => Touched::Down { id, x, y },
            Event::Motion { id, x, y, .. } => Touched::Moved { id, x, y },
            Event::Up { id, .. } => Touched::Up { id },
            Event::Cancel => Touched::Cancelled,
            _ => return,
        }));
    }
}

impl Dispatch<ZwpTabletSeatV2, ()> for Program {
    fn event(
        this: &mut Self,
        _: &ZwpTabletSeatV2,
        event: zwp_tablet_seat_v2::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zwp_tablet_seat_v2::Event::ToolAdded { id } = event {
            this.digitizers.tools.push((id, false));
        }
    }

    event_created_child!(Program, ZwpTabletSeatV2, [
        zwp_tablet_seat_v2::EVT_TABLET_ADDED_OPCODE => (ZwpTabletV2, ()),
        zwp_tablet_seat_v2::EVT_TOOL_ADDED_OPCODE => (ZwpTabletToolV2, ()),
        zwp_tablet_seat_v2::EVT_PAD_ADDED_OPCODE => (ZwpTabletPadV2, ()),
    ]);
}

impl Dispatch<ZwpTabletToolV2, ()> for Program {
    fn event(
        this: &mut Self,
        tool: &ZwpTabletToolV2,
        event: zwp_tablet_tool_v2::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwp_tablet_tool_v2::{ButtonState, Event, Type};
        let known = this.digitizers.tools.iter_mut().find(|(known, _)| known.id() == tool.id());
        let eraser = known.as_ref().is_some_and(|(_, eraser)| *eraser);
        let touched = match event {
            Event::Type { tool_type } => {
                if let Some((_, eraser)) = known {
                    *eraser = tool_type == WEnum::Value(Type::Eraser);
                }
                return;
            }
            Event::Removed => {
                tool.destroy();
                return this.digitizers.tools.retain(|(known, _)| known.id() != tool.id());
            }
            Event::ProximityIn { .. } => Touched::PenIn { eraser },
            Event::ProximityOut => Touched::PenOut,
            Event::Down { .. } => Touched::PenDown,
            Event::Up => Touched::PenUp,
            Event::Motion { x, y } => Touched::PenMoved { x, y },
            Event::Pressure { pressure } => Touched::Pressure(pressure),
            Event::Distance { distance } => Touched::Distance(distance),
            Event::Tilt { tilt_x, tilt_y } => Touched::Tilt(tilt_x, tilt_y),
            Event::Button { button, state, .. } => {
                Touched::PenButton { code: button, down: state == WEnum::Value(ButtonState::Pressed) }
            }
            _ => return,
        };
        this.tell(Seen::Touched(touched));
    }
}

delegate_noop!(Program: ZwpTabletManagerV2);
delegate_noop!(Program: ignore ZwpTabletV2);
delegate_noop!(Program: ignore ZwpTabletPadV2);
