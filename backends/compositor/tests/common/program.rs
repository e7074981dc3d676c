//! A program that does what it is told, the protocol's manners included or not.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{MemfdFlags, memfd_create};
use wayland_client::globals::{GlobalList, GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer::WlBuffer,
    wl_callback::{self, WlCallback},
    wl_compositor::WlCompositor,
    wl_keyboard::{self, WlKeyboard},
    wl_pointer::{self, WlPointer},
    wl_registry::{self, WlRegistry},
    wl_seat::{self, WlSeat},
    wl_shm::{self, WlShm},
    wl_shm_pool::WlShmPool,
    wl_subcompositor::WlSubcompositor,
    wl_subsurface::WlSubsurface,
    wl_surface::WlSurface,
    wl_touch::{self, WlTouch},
};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols::wp::alpha_modifier::v1::client::{
    wp_alpha_modifier_surface_v1::WpAlphaModifierSurfaceV1, wp_alpha_modifier_v1::WpAlphaModifierV1,
};
use wayland_protocols::wp::commit_timing::v1::client::{
    wp_commit_timer_v1::WpCommitTimerV1, wp_commit_timing_manager_v1::WpCommitTimingManagerV1,
};
use wayland_protocols::wp::cursor_shape::v1::client::{
    wp_cursor_shape_device_v1::WpCursorShapeDeviceV1, wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
};
use wayland_protocols::wp::fifo::v1::client::{wp_fifo_manager_v1::WpFifoManagerV1, wp_fifo_v1::WpFifoV1};
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::{
    zwp_keyboard_shortcuts_inhibit_manager_v1::ZwpKeyboardShortcutsInhibitManagerV1,
    zwp_keyboard_shortcuts_inhibitor_v1::{self, ZwpKeyboardShortcutsInhibitorV1},
};
use wayland_protocols::wp::pointer_constraints::zv1::client::{
    zwp_confined_pointer_v1::{self, ZwpConfinedPointerV1},
    zwp_locked_pointer_v1::{self, ZwpLockedPointerV1},
    zwp_pointer_constraints_v1::ZwpPointerConstraintsV1,
};
use wayland_protocols::wp::presentation_time::client::{
    wp_presentation::{self, WpPresentation},
    wp_presentation_feedback::{self, WpPresentationFeedback},
};
use wayland_protocols::wp::relative_pointer::zv1::client::{
    zwp_relative_pointer_manager_v1::ZwpRelativePointerManagerV1,
    zwp_relative_pointer_v1::{self, ZwpRelativePointerV1},
};
use wayland_protocols::wp::tablet::zv2::client::{
    zwp_tablet_manager_v2::ZwpTabletManagerV2,
    zwp_tablet_seat_v2::{self, ZwpTabletSeatV2},
    zwp_tablet_tool_v2::{self, ZwpTabletToolV2},
    zwp_tablet_v2::ZwpTabletV2,
};
use wayland_protocols::wp::text_input::zv3::client::{
    zwp_text_input_manager_v3::ZwpTextInputManagerV3,
    zwp_text_input_v3::{self, ZwpTextInputV3},
};
use wayland_protocols::xdg::foreign::zv2::client::{
    zxdg_exported_v2::{self, ZxdgExportedV2},
    zxdg_exporter_v2::ZxdgExporterV2,
    zxdg_imported_v2::ZxdgImportedV2,
    zxdg_importer_v2::ZxdgImporterV2,
};
use wayland_protocols::xdg::shell::client::{
    xdg_popup::XdgPopup,
    xdg_positioner::XdgPositioner,
    xdg_surface::{self, XdgSurface},
    xdg_toplevel::XdgToplevel,
    xdg_wm_base::{self, XdgWmBase},
};
use wayland_protocols_misc::zwp_input_method_v2::client::{
    zwp_input_method_keyboard_grab_v2::{self, ZwpInputMethodKeyboardGrabV2},
    zwp_input_method_manager_v2::ZwpInputMethodManagerV2,
    zwp_input_method_v2::{self, ZwpInputMethodV2},
    zwp_input_popup_surface_v2::ZwpInputPopupSurfaceV2,
};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::{
    zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1, zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1,
};

/// A connection and what it bound.
pub struct Program {
    pub queue: EventQueue<Seen>,
    pub seen: Seen,
    pub compositor: WlCompositor,
    pub wm: XdgWmBase,
    pub shm: WlShm,
    pub subcompositor: WlSubcompositor,
    pub seat: WlSeat,
    pub constraints: ZwpPointerConstraintsV1,
    pub relative: ZwpRelativePointerManagerV1,
    pub presentation: WpPresentation,
    pub tablets: ZwpTabletManagerV2,
    pub list: GlobalList,
}

/// What it heard.
#[derive(Default)]
pub struct Seen {
    pub configured: usize,
    pub callbacks: usize,
    /// `down ID X Y`, `motion ID X Y`, `up ID`, `frame`.
    pub touch: Vec<String>,
    /// What pens do: `TOOL event …`; tools are told by their kind.
    pub pen: Vec<String>,
    /// Places of the pointer.
    pub motion: Vec<(f64, f64)>,
    /// Of the pointer's last coming.
    pub entered: u32,
    /// The pointer's: `down`, `up`.
    pub buttons: Vec<&'static str>,
    /// Keys, by their evdev codes, and whether they went down.
    pub keys: Vec<(u32, bool)>,
    /// How often the keyboard got a keymap.
    pub keymaps: usize,
    /// Of text inputs: `enter`, `leave`, `commit TEXT`, `done NUMBER`.
    pub text: Vec<String>,
    /// Of input methods: `activate`, `deactivate`, `unavailable`.
    pub method: Vec<&'static str>,
    /// The desktop's own keys are the program's.
    pub every_key: bool,
    /// Relative motion.
    pub relative: Vec<(f64, f64)>,
    /// `locked`, `unlocked`, `confined`, `unconfined`.
    pub holds: Vec<&'static str>,
    /// When commits were seen, on the presentation clock in nanoseconds; `None`: discarded.
    pub presented: Vec<Option<u64>>,
    pub presentation_clock: Option<u32>,
    /// The handle of the surface exported last.
    pub exported: Option<String>,
    /// The last number that the keyboard, or a grab of it, came with.
    pub serial: u32,
}

/// A buffer and the file behind it.
pub struct Picture {
    pub buffer: WlBuffer,
    pub file: File,
}

impl Program {
    pub fn connect(display: &Path) -> Self {
        let connection = Connection::from_socket(UnixStream::connect(display).unwrap()).unwrap();
        let (list, queue) = registry_queue_init::<Seen>(&connection).unwrap();
        let handle = queue.handle();
        let compositor = list.bind(&handle, 4..=6, ()).unwrap();
        let (wm, shm) = (list.bind(&handle, 1..=3, ()).unwrap(), list.bind(&handle, 1..=1, ()).unwrap());
        Self {
            subcompositor: list.bind(&handle, 1..=1, ()).unwrap(),
            seat: list.bind(&handle, 5..=8, ()).unwrap(),
            constraints: list.bind(&handle, 1..=1, ()).unwrap(),
            relative: list.bind(&handle, 1..=1, ()).unwrap(),
            presentation: list.bind(&handle, 1..=1, ()).unwrap(),
            tablets: list.bind(&handle, 1..=1, ()).unwrap(),
            queue,
            seen: Seen::default(),
            compositor,
            wm,
            shm,
            list,
        }
    }

    pub fn handle(&self) -> QueueHandle<Seen> {
        self.queue.handle()
    }

    /// Everything asked for so far was handled; fails once the compositor cut us off.
    pub fn roundtrip(&mut self) -> Result<(), String> {
        self.queue.roundtrip(&mut self.seen).map(drop).map_err(|e| e.to_string())
    }

    /// Waits until it has heard enough.
    pub fn wait(&mut self, what: &str, enough: impl Fn(&Seen) -> bool) {
        let until = std::time::Instant::now() + super::PATIENCE;
        while !enough(&self.seen) {
            assert!(std::time::Instant::now() < until, "waited in vain for {what}");
            self.roundtrip().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// A window's surface, configured.
    pub fn window(&mut self) -> WlSurface {
        let handle = self.handle();
        let surface = self.compositor.create_surface(&handle, ());
        let xdg = self.wm.get_xdg_surface(&surface, &handle, ());
        xdg.get_toplevel(&handle, ()).set_app_id("hostile".to_owned());
        surface.commit();
        let before = self.seen.configured;
        while self.seen.configured == before {
            self.queue.blocking_dispatch(&mut self.seen).unwrap();
        }
        surface
    }

    /// A picture of one colour.
    pub fn picture(&self, width: i32, height: i32, rgb: [u8; 3]) -> Picture {
        use std::io::Write as _;
        let mut file = File::from(memfd_create("program", MemfdFlags::CLOEXEC).unwrap());
        let [r, g, b] = rgb;
        file.write_all(&[b, g, r, 255].repeat((width * height) as usize)).unwrap();
        let pool = self.shm.create_pool(file.as_fd(), width * height * 4, &self.handle(), ());
        let buffer = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Xrgb8888, &self.handle(), ());
        pool.destroy();
        Picture { buffer, file }
    }

    /// A picture of these pixels: red, green, blue, alpha, the colours multiplied by it.
    pub fn translucent(&self, width: i32, height: i32, rgba: impl Fn(i32, i32) -> [u8; 4]) -> Picture {
        use std::io::Write as _;
        let mut file = File::from(memfd_create("program", MemfdFlags::CLOEXEC).unwrap());
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let bytes: Vec<u8> = places.map(|(x, y)| rgba(x, y)).flat_map(|[r, g, b, a]| [b, g, r, a]).collect();
        file.write_all(&bytes).unwrap();
        let pool = self.shm.create_pool(file.as_fd(), width * height * 4, &self.handle(), ());
        let buffer = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Argb8888, &self.handle(), ());
        pool.destroy();
        Picture { buffer, file }
    }

    /// Shows it.
    pub fn show(&self, surface: &WlSurface, picture: &Picture) {
        surface.attach(Some(&picture.buffer), 0, 0);
        surface.damage_buffer(0, 0, i32::MAX, i32::MAX);
        surface.commit();
    }
}

impl Dispatch<XdgSurface, ()> for Seen {
    fn event(
        seen: &mut Self,
        surface: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            seen.configured += 1;
        }
    }
}

impl Dispatch<XdgWmBase, ()> for Seen {
    fn event(_: &mut Self, wm: &XdgWmBase, event: xdg_wm_base::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            wm.pong(serial);
        }
    }
}

impl Dispatch<WlCallback, ()> for Seen {
    fn event(seen: &mut Self, _: &WlCallback, _: wl_callback::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        seen.callbacks += 1;
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Seen {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<WlTouch, ()> for Seen {
    fn event(seen: &mut Self, _: &WlTouch, event: wl_touch::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        seen.touch.push(match event {
            wl_touch::Event::Down { id, x, y, .. } => format!("down {id} {x} {y}"),
            wl_touch::Event::Motion { id, x, y, .. } => format!("motion {id} {x} {y}"),
            wl_touch::Event::Up { id, .. } => format!("up {id}"),
            wl_touch::Event::Frame => "frame".to_owned(),
            other => format!("{other:?}"),
        });
    }
}

impl Dispatch<WlKeyboard, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_keyboard::Event::Enter { serial, .. }
        | wl_keyboard::Event::Modifiers { serial, .. }
        | wl_keyboard::Event::Key { serial, .. } = event
        {
            seen.serial = serial;
        }
        if let wl_keyboard::Event::Keymap { .. } = event {
            seen.keymaps += 1;
        }
        if let wl_keyboard::Event::Key { key, state, .. } = event {
            seen.keys.push((key, matches!(state.into_result(), Ok(wl_keyboard::KeyState::Pressed))));
        }
    }
}

impl Dispatch<WlPointer, ()> for Seen {
    fn event(seen: &mut Self, _: &WlPointer, event: wl_pointer::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        if let wl_pointer::Event::Enter { surface_x, surface_y, .. }
        | wl_pointer::Event::Motion { surface_x, surface_y, .. } = event
        {
            seen.motion.push((surface_x, surface_y));
        }
        if let wl_pointer::Event::Enter { serial, .. } = event {
            seen.entered = serial;
        }
        if let wl_pointer::Event::Button { state, .. } = event {
            let down = matches!(state.into_result(), Ok(wl_pointer::ButtonState::Pressed));
            seen.buttons.push(if down { "down" } else { "up" });
        }
    }
}

impl Dispatch<ZwpRelativePointerV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpRelativePointerV1,
        event: zwp_relative_pointer_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zwp_relative_pointer_v1::Event::RelativeMotion { dx, dy, .. } = event {
            seen.relative.push((dx, dy));
        }
    }
}

impl Dispatch<ZwpLockedPointerV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpLockedPointerV1,
        event: zwp_locked_pointer_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let locked = matches!(event, zwp_locked_pointer_v1::Event::Locked);
        seen.holds.push(if locked { "locked" } else { "unlocked" });
    }
}

impl Dispatch<ZwpConfinedPointerV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpConfinedPointerV1,
        event: zwp_confined_pointer_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let confined = matches!(event, zwp_confined_pointer_v1::Event::Confined);
        seen.holds.push(if confined { "confined" } else { "unconfined" });
    }
}

impl Dispatch<WpPresentation, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &WpPresentation,
        event: wp_presentation::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wp_presentation::Event::ClockId { clk_id } = event {
            seen.presentation_clock = Some(clk_id);
        }
    }
}

impl Dispatch<WpPresentationFeedback, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &WpPresentationFeedback,
        event: wp_presentation_feedback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wp_presentation_feedback::Event::Presented { tv_sec_hi, tv_sec_lo, tv_nsec, .. } => {
                let seconds = u64::from(tv_sec_hi) << 32 | u64::from(tv_sec_lo);
                seen.presented.push(Some(seconds * 1_000_000_000 + u64::from(tv_nsec)));
            }
            wp_presentation_feedback::Event::Discarded => seen.presented.push(None),
            _ => {}
        }
    }
}

impl Dispatch<WlSeat, ()> for Seen {
    fn event(_: &mut Self, _: &WlSeat, _: wl_seat::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {}
}

delegate_noop!(Seen: ZwpPointerConstraintsV1);
delegate_noop!(Seen: ZwpRelativePointerManagerV1);
delegate_noop!(Seen: wayland_client::protocol::wl_region::WlRegion);
delegate_noop!(Seen: WlCompositor);
delegate_noop!(Seen: WlSubcompositor);
delegate_noop!(Seen: WlSubsurface);
delegate_noop!(Seen: ignore WlShm);
delegate_noop!(Seen: WlShmPool);
delegate_noop!(Seen: ignore WlBuffer);
delegate_noop!(Seen: ignore WlSurface);
delegate_noop!(Seen: ignore XdgToplevel);

impl Dispatch<ZwpTabletSeatV2, ()> for Seen {
    fn event(
        _: &mut Self,
        _: &ZwpTabletSeatV2,
        _: zwp_tablet_seat_v2::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }

    wayland_client::event_created_child!(Self, ZwpTabletSeatV2, [
        zwp_tablet_seat_v2::EVT_TABLET_ADDED_OPCODE => (ZwpTabletV2, ()),
        zwp_tablet_seat_v2::EVT_TOOL_ADDED_OPCODE => (ZwpTabletToolV2, Kind::default()),
    ]);
}

/// What a tool is, once it said so.
#[derive(Default)]
pub struct Kind(std::sync::OnceLock<String>);

impl Dispatch<ZwpTabletToolV2, Kind> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpTabletToolV2,
        event: zwp_tablet_tool_v2::Event,
        kind: &Kind,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwp_tablet_tool_v2::Event;
        let what = match event {
            Event::Type { tool_type } => {
                let name = format!("{:?}", tool_type.into_result().unwrap()).to_lowercase();
                return kind.0.set(name).expect("told once");
            }
            Event::ProximityIn { .. } => "in".to_owned(),
            Event::ProximityOut => "out".to_owned(),
            Event::Down { .. } => "down".to_owned(),
            Event::Up => "up".to_owned(),
            Event::Motion { x, y } => format!("at {x} {y}"),
            Event::Pressure { pressure } => format!("pressure {pressure}"),
            Event::Distance { distance } => format!("distance {distance}"),
            Event::Tilt { tilt_x, tilt_y } => format!("tilt {tilt_x:.0} {tilt_y:.0}"),
            Event::Button { button, state, .. } => format!("button {button:#x} {:?}", state.into_result().unwrap()),
            _ => return,
        };
        seen.pen.push(format!("{} {what}", kind.0.get().expect("it said what it is")));
    }
}

delegate_noop!(Seen: WpFifoManagerV1);
delegate_noop!(Seen: WpFifoV1);
delegate_noop!(Seen: WpCommitTimingManagerV1);
delegate_noop!(Seen: WpCommitTimerV1);
delegate_noop!(Seen: WpAlphaModifierV1);
delegate_noop!(Seen: WpAlphaModifierSurfaceV1);
delegate_noop!(Seen: ZwpKeyboardShortcutsInhibitManagerV1);

impl Dispatch<ZwpKeyboardShortcutsInhibitorV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpKeyboardShortcutsInhibitorV1,
        event: zwp_keyboard_shortcuts_inhibitor_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        seen.every_key = matches!(event, zwp_keyboard_shortcuts_inhibitor_v1::Event::Active);
    }
}

delegate_noop!(Seen: WpCursorShapeManagerV1);
delegate_noop!(Seen: WpCursorShapeDeviceV1);
delegate_noop!(Seen: ignore ZwpTabletV2);
delegate_noop!(Seen: ZwpTabletManagerV2);

delegate_noop!(Seen: ZwpVirtualKeyboardManagerV1);
delegate_noop!(Seen: ZwpVirtualKeyboardV1);
delegate_noop!(Seen: ZwpTextInputManagerV3);

impl Dispatch<ZwpTextInputV3, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpTextInputV3,
        event: zwp_text_input_v3::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwp_text_input_v3::Event;
        seen.text.push(match event {
            Event::Enter { .. } => "enter".to_owned(),
            Event::Leave { .. } => "leave".to_owned(),
            Event::CommitString { text } => format!("commit {}", text.unwrap_or_default()),
            Event::Done { serial } => format!("done {serial}"),
            other => format!("{other:?}"),
        });
    }
}

delegate_noop!(Seen: ZwpInputMethodManagerV2);
delegate_noop!(Seen: ignore ZwpInputPopupSurfaceV2);

impl Dispatch<ZwpInputMethodV2, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpInputMethodV2,
        event: zwp_input_method_v2::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwp_input_method_v2::Event;
        match event {
            Event::Activate => seen.method.push("activate"),
            Event::Deactivate => seen.method.push("deactivate"),
            Event::Unavailable => seen.method.push("unavailable"),
            _ => {}
        }
    }
}

impl Dispatch<ZwpInputMethodKeyboardGrabV2, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwpInputMethodKeyboardGrabV2,
        event: zwp_input_method_keyboard_grab_v2::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        // The desktop counts on: the grab itself has the number before that of its first modifiers.
        if let zwp_input_method_keyboard_grab_v2::Event::Modifiers { serial, .. } = event {
            seen.serial = serial.wrapping_sub(1);
        }
    }
}

impl Dispatch<ZxdgExportedV2, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZxdgExportedV2,
        event: zxdg_exported_v2::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zxdg_exported_v2::Event::Handle { handle } = event {
            seen.exported = Some(handle);
        }
    }
}

delegate_noop!(Seen: ZxdgExporterV2);
delegate_noop!(Seen: ZxdgImporterV2);
delegate_noop!(Seen: ignore ZxdgImportedV2);
delegate_noop!(Seen: ignore XdgPopup);
delegate_noop!(Seen: XdgPositioner);
