//! What the desktop offers to programs: every protocol that smithay has and programs look for.

use smithay::input::keyboard::XkbConfig;
use smithay::input::{Seat, SeatState};
use smithay::output::{Mode as OutputMode, Output, PhysicalProperties, Scale, Subpixel};
use smithay::reexports::wayland_server::DisplayHandle;
use smithay::utils::Transform;
use smithay::wayland::alpha_modifier::AlphaModifierState;
use smithay::wayland::commit_timing::CommitTimingManagerState;
use smithay::wayland::compositor::CompositorState;
use smithay::wayland::content_type::ContentTypeState;
use smithay::wayland::cursor_shape::CursorShapeManagerState;
use smithay::wayland::fifo::FifoManagerState;
use smithay::wayland::foreign_toplevel_list::ForeignToplevelListState;
use smithay::wayland::fractional_scale::FractionalScaleManagerState;
use smithay::wayland::idle_inhibit::IdleInhibitManagerState;
use smithay::wayland::input_method::InputMethodManagerState;
use smithay::wayland::keyboard_shortcuts_inhibit::KeyboardShortcutsInhibitState;
use smithay::wayland::output::OutputManagerState;
use smithay::wayland::pointer_constraints::PointerConstraintsState;
use smithay::wayland::pointer_gestures::PointerGesturesState;
use smithay::wayland::presentation::PresentationState;
use smithay::wayland::relative_pointer::RelativePointerManagerState;
use smithay::wayland::selection::data_device::DataDeviceState;
use smithay::wayland::selection::ext_data_control;
use smithay::wayland::selection::primary_selection::PrimarySelectionState;
use smithay::wayland::selection::wlr_data_control;
use smithay::wayland::shell::wlr_layer::WlrLayerShellState;
use smithay::wayland::shell::xdg::XdgShellState;
use smithay::wayland::shell::xdg::decoration::XdgDecorationState;
use smithay::wayland::shell::xdg::dialog::XdgDialogState;
use smithay::wayland::shm::ShmState;
use smithay::wayland::single_pixel_buffer::SinglePixelBufferState;
use smithay::wayland::tablet_manager::TabletManagerState;
use smithay::wayland::text_input::TextInputManagerState;
use smithay::wayland::viewporter::ViewporterState;
use smithay::wayland::virtual_keyboard::VirtualKeyboardManagerState;
use smithay::wayland::xdg_activation::XdgActivationState;
use smithay::wayland::xdg_foreign::XdgForeignState;
use smithay::wayland::xdg_toplevel_tag::XdgToplevelTagManager;

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::Mode;

use super::State;

/// The states of the protocols.
pub struct Globals {
    pub compositor: CompositorState,
    pub shm: ShmState,
    pub xdg_shell: XdgShellState,
    pub layer_shell: WlrLayerShellState,
    pub data_device: DataDeviceState,
    pub primary: PrimarySelectionState,
    pub wlr_data_control: wlr_data_control::DataControlState,
    pub ext_data_control: ext_data_control::DataControlState,
    pub activation: XdgActivationState,
    pub foreign: XdgForeignState,
    pub toplevels: ForeignToplevelListState,
    pub shortcuts_inhibit: KeyboardShortcutsInhibitState,
    /// Those that only have to be there.
    _quiet: (Quiet, Hints),
}

/// Kept alive, never asked.
type Quiet = (
    XdgDecorationState,
    OutputManagerState,
    ViewporterState,
    FractionalScaleManagerState,
    SinglePixelBufferState,
    PresentationState,
    CursorShapeManagerState,
    RelativePointerManagerState,
    PointerConstraintsState,
    PointerGesturesState,
    TextInputManagerState,
    InputMethodManagerState,
    VirtualKeyboardManagerState,
    TabletManagerState,
    IdleInhibitManagerState,
);

/// What pictures and windows are, and when they are to be seen.
type Hints = (
    FifoManagerState,
    CommitTimingManagerState,
    ContentTypeState,
    AlphaModifierState,
    XdgDialogState,
    XdgToplevelTagManager,
);

impl Globals {
    /// Announces everything.
    pub fn new(display: &DisplayHandle) -> Self {
        let primary = PrimarySelectionState::new::<State>(display);
        // Every program here belongs to the same person: none is kept from reading what another copied.
        let wlr_data_control = wlr_data_control::DataControlState::new::<State, _>(display, Some(&primary), |_| true);
        let ext_data_control = ext_data_control::DataControlState::new::<State, _>(display, Some(&primary), |_| true);
        Self {
            compositor: CompositorState::new_v6::<State>(display),
            shm: ShmState::new::<State>(display, []),
            xdg_shell: XdgShellState::new::<State>(display),
            layer_shell: WlrLayerShellState::new::<State>(display),
            data_device: DataDeviceState::new::<State>(display),
            primary,
            wlr_data_control,
            ext_data_control,
            activation: XdgActivationState::new::<State>(display),
            foreign: XdgForeignState::new::<State>(display),
            toplevels: ForeignToplevelListState::new::<State>(display),
            shortcuts_inhibit: KeyboardShortcutsInhibitState::new::<State>(display),
            _quiet: (
                (
                    XdgDecorationState::new::<State>(display),
                    OutputManagerState::new_with_xdg_output::<State>(display),
                    ViewporterState::new::<State>(display),
                    FractionalScaleManagerState::new::<State>(display),
                    SinglePixelBufferState::new::<State>(display),
                    PresentationState::new::<State>(display, MONOTONIC),
                    CursorShapeManagerState::new::<State>(display),
                    RelativePointerManagerState::new::<State>(display),
                    PointerConstraintsState::new::<State>(display),
                    PointerGesturesState::new::<State>(display),
                    TextInputManagerState::new::<State>(display),
                    InputMethodManagerState::new::<State, _>(display, |_| true),
                    VirtualKeyboardManagerState::new::<State, _>(display, |_| true),
                    TabletManagerState::new::<State>(display),
                    IdleInhibitManagerState::new::<State>(display),
                ),
                (
                    FifoManagerState::new::<State>(display),
                    CommitTimingManagerState::new::<State>(display),
                    ContentTypeState::new::<State>(display),
                    AlphaModifierState::new::<State>(display),
                    XdgDialogState::new::<State>(display),
                    XdgToplevelTagManager::new::<State>(display),
                ),
            ),
        }
    }
}

/// The only output.
pub fn output(display: &DisplayHandle, mode: Mode, scale: f64) -> Output {
    let properties = PhysicalProperties {
        // Unknown, as of a projector: programs then take the scale for the truth.
        size: (0, 0).into(),
        subpixel: Subpixel::None,
        make: "punktfunk".to_owned(),
        model: "private desktop".to_owned(),
    };
    let output = Output::new(OUTPUT_NAME.to_owned(), properties);
    output.create_global::<State>(display);
    set_mode(&output, mode, scale);
    output
}

/// Gives the output a mode and a scale.
pub fn set_mode(output: &Output, mode: Mode, scale: f64) {
    let side = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
    let new = OutputMode {
        size: (side(mode.width), side(mode.height)).into(),
        refresh: side(mode.refresh_hz.saturating_mul(1000)),
    };
    let old = output.current_mode();
    output.change_current_state(
        Some(new),
        Some(Transform::Normal),
        Some(Scale::Fractional(scale)),
        Some((0, 0).into()),
    );
    output.set_preferred(new);
    // One mode, the one there is: a program that chooses among several would choose another.
    if let Some(old) = old.filter(|old| *old != new) {
        output.delete_mode(old);
    }
}

/// The seat with keyboard, pointer and touch; without a keyboard where XKB's data are missing.
pub fn seat(
    display: &DisplayHandle,
    seats: &mut SeatState<State>,
    layout: &KeyboardLayout,
) -> Result<Seat<State>, String> {
    let mut seat = seats.new_wl_seat(display, SEAT_NAME);
    let add = |seat: &mut Seat<State>, layout: &KeyboardLayout| {
        seat.add_keyboard(xkb_config(layout), REPEAT_AFTER_MS, REPEATS_PER_SECOND).is_ok()
    };
    if !(layout.is_plain() && add(&mut seat, layout)) {
        tracing::warn!(%layout, "XKB does not know this keyboard layout; using us");
        if !add(&mut seat, &KeyboardLayout::named("us")) {
            return Err("XKB has no layout `us`: install xkb-data".to_owned());
        }
    }
    seat.add_pointer();
    seat.add_touch();
    Ok(seat)
}

/// The layout in smithay's words.
pub fn xkb_config(layout: &KeyboardLayout) -> XkbConfig<'_> {
    XkbConfig {
        rules: "evdev",
        model: &layout.model,
        layout: &layout.layout,
        variant: &layout.variant,
        options: (!layout.options.is_empty()).then(|| layout.options.clone()),
    }
}

/// How programs see the output.
const OUTPUT_NAME: &str = "PUNKTFUNK-1";
const SEAT_NAME: &str = "seat0";
/// As on most desktops.
const REPEAT_AFTER_MS: i32 = 400;
const REPEATS_PER_SECOND: i32 = 25;
/// `CLOCK_MONOTONIC` of clock_gettime(2).
pub const MONOTONIC: u32 = 1;
