//! Windows, popups, layers, decorations, activation.

use smithay::desktop::{
    LayerSurface, PopupKeyboardGrab, PopupKind, PopupPointerGrab, PopupUngrabStrategy, WindowSurfaceType,
    find_popup_root_surface, layer_map_for_output,
};
use smithay::input::Seat;
use smithay::input::pointer::Focus;
use smithay::reexports::wayland_protocols::xdg::decoration::zv1::server::zxdg_toplevel_decoration_v1::Mode as Decoration;
use smithay::reexports::wayland_protocols::xdg::shell::server::xdg_toplevel;
use smithay::reexports::wayland_server::protocol::{wl_output::WlOutput, wl_seat::WlSeat, wl_surface::WlSurface};
use smithay::utils::{Logical, Rectangle, Serial};
use smithay::wayland::input_method::{InputMethodHandler, PopupSurface as InputMethodPopup};
use smithay::wayland::shell::wlr_layer::{
    Layer, LayerSurface as WlrLayerSurface, WlrLayerShellHandler, WlrLayerShellState,
};
use smithay::wayland::shell::xdg::decoration::XdgDecorationHandler;
use smithay::wayland::shell::xdg::{PopupSurface, PositionerState, ToplevelSurface, XdgShellHandler, XdgShellState};
use smithay::wayland::xdg_activation::{
    XdgActivationHandler, XdgActivationState, XdgActivationToken, XdgActivationTokenData,
};
use smithay::{delegate_layer_shell, delegate_xdg_activation, delegate_xdg_decoration, delegate_xdg_shell};

use super::trees;
use crate::server::focus::KeyFocus;
use crate::server::input::Moment;
use crate::server::moving::Holder;
use crate::server::state::State;
use crate::server::window::AppWindow;

impl XdgShellHandler for State {
    fn xdg_shell_state(&mut self) -> &mut XdgShellState {
        &mut self.globals.xdg_shell
    }

    fn new_toplevel(&mut self, surface: ToplevelSurface) {
        self.add_window(surface);
    }

    fn toplevel_destroyed(&mut self, surface: ToplevelSurface) {
        self.remove_toplevel(&surface);
    }

    fn title_changed(&mut self, surface: ToplevelSurface) {
        self.toplevel_renamed(&surface);
    }

    fn app_id_changed(&mut self, surface: ToplevelSurface) {
        self.toplevel_renamed(&surface);
    }

    fn new_popup(&mut self, surface: PopupSurface, _positioner: PositionerState) {
        if !trees::hangs_soundly(&surface) {
            return;
        }
        self.constrain(&surface);
        if let Err(e) = self.popups.track_popup(PopupKind::Xdg(surface)) {
            tracing::debug!("a popup was gone at once: {e}");
        }
    }

    fn reposition_request(&mut self, surface: PopupSurface, positioner: PositionerState, token: u32) {
        surface.with_pending_state(|state| {
            state.positioner = positioner;
            state.geometry = positioner.get_geometry();
        });
        self.constrain(&surface);
        surface.send_repositioned(token);
    }

    fn grab(&mut self, surface: PopupSurface, seat: WlSeat, serial: Serial) {
        let Some(seat) = Seat::from_resource(&seat) else { return };
        let kind = PopupKind::Xdg(surface);
        let Ok(root) = find_popup_root_surface(&kind) else { return };
        let Ok(mut grab) = self.popups.grab_popup::<Self>(KeyFocus::Wayland(root), kind, &seat, serial) else { return };
        if let Some(keyboard) = seat.get_keyboard() {
            if keyboard.is_grabbed()
                && !(keyboard.has_grab(serial) || keyboard.has_grab(grab.previous_serial().unwrap_or(serial)))
            {
                grab.ungrab(PopupUngrabStrategy::All);
                return;
            }
            keyboard.set_focus(self, grab.current_grab(), serial);
            keyboard.set_grab(self, PopupKeyboardGrab::new(&grab), serial);
        }
        if let Some(pointer) = seat.get_pointer() {
            if pointer.is_grabbed()
                && !(pointer.has_grab(serial)
                    || pointer.has_grab(grab.previous_serial().unwrap_or_else(|| grab.serial())))
            {
                grab.ungrab(PopupUngrabStrategy::All);
                return;
            }
            pointer.set_grab(self, PopupPointerGrab::new(&grab), serial, Focus::Keep);
        }
    }

    fn move_request(&mut self, surface: ToplevelSurface, seat: WlSeat, serial: Serial) {
        let (Some(seat), Some(window)) = (Seat::<Self>::from_resource(&seat), self.window_of(surface.wl_surface()))
        else {
            return;
        };
        // Only for what is held down on it.
        if let Some(start) = seat.get_pointer().filter(|p| p.has_grab(serial)).and_then(|p| p.grab_start_data()) {
            self.take_window(&window, Holder::Pointer, start.location, Moment::now());
        } else if let Some(start) = seat.get_touch().filter(|t| t.has_grab(serial)).and_then(|t| t.grab_start_data()) {
            let finger = i32::from(start.slot).unsigned_abs();
            self.take_window(&window, Holder::Finger(finger), start.location, Moment::now());
        }
    }

    fn unmaximize_request(&mut self, surface: ToplevelSurface) {
        if let Some(window) = self.window_of(surface.wl_surface()) {
            self.loosen(&window);
        }
    }

    fn fullscreen_request(&mut self, surface: ToplevelSurface, _output: Option<WlOutput>) {
        self.set_toplevel_fullscreen(&surface, true);
    }

    fn unfullscreen_request(&mut self, surface: ToplevelSurface) {
        self.set_toplevel_fullscreen(&surface, false);
    }

    fn maximize_request(&mut self, surface: ToplevelSurface) {
        if let Some(window) = self.window_of(surface.wl_surface()) {
            window.memory().put(None);
            self.arrange(&window);
        }
        // The protocol wants an answer, whether anything changed or not.
        if surface.is_initial_configure_sent() {
            surface.send_configure();
        }
    }

    fn parent_changed(&mut self, surface: ToplevelSurface) {
        self.arrange_again(&surface);
    }
}

impl State {
    /// A window is to fill the output, or no more.
    pub(in crate::server) fn set_fullscreen(&mut self, window: &AppWindow, fullscreen: bool) {
        match window {
            AppWindow::Wayland(..) => {
                if let Some(toplevel) = window.toplevel() {
                    self.set_toplevel_fullscreen(toplevel, fullscreen);
                }
            }
            AppWindow::X11(x11) => {
                // A server that is gone takes its windows along in a moment.
                let _ = x11.x11.set_fullscreen(fullscreen);
                self.arrange_everything();
            }
        }
    }

    fn set_toplevel_fullscreen(&mut self, surface: &ToplevelSurface, fullscreen: bool) {
        surface.with_pending_state(|state| match fullscreen {
            true => state.states.set(xdg_toplevel::State::Fullscreen),
            false => state.states.unset(xdg_toplevel::State::Fullscreen),
        });
        self.arrange_again(surface);
    }

    fn arrange_again(&mut self, surface: &ToplevelSurface) {
        if surface.is_initial_configure_sent() {
            self.arrange_everything();
        }
    }
}

impl XdgDecorationHandler for State {
    // Server side, of which nothing is drawn: windows fill their room.
    fn new_decoration(&mut self, toplevel: ToplevelSurface) {
        decorate(&toplevel);
    }

    fn request_mode(&mut self, toplevel: ToplevelSurface, _mode: Decoration) {
        decorate(&toplevel);
    }

    fn unset_mode(&mut self, toplevel: ToplevelSurface) {
        decorate(&toplevel);
    }
}

fn decorate(toplevel: &ToplevelSurface) {
    toplevel.with_pending_state(|state| state.decoration_mode = Some(Decoration::ServerSide));
    if toplevel.is_initial_configure_sent() {
        toplevel.send_pending_configure();
    }
}

impl WlrLayerShellHandler for State {
    fn shell_state(&mut self) -> &mut WlrLayerShellState {
        &mut self.globals.layer_shell
    }

    fn new_layer_surface(
        &mut self,
        surface: WlrLayerSurface,
        _output: Option<WlOutput>,
        _layer: Layer,
        namespace: String,
    ) {
        let layer = LayerSurface::new(surface, namespace);
        if let Err(e) = layer_map_for_output(&self.output).map_layer(&layer) {
            tracing::debug!("a layer was not mapped: {e}");
        }
    }

    fn new_popup(&mut self, _parent: WlrLayerSurface, popup: PopupSurface) {
        self.constrain(&popup);
    }

    fn layer_destroyed(&mut self, surface: WlrLayerSurface) {
        {
            let mut map = layer_map_for_output(&self.output);
            let gone = map.layer_for_surface(surface.wl_surface(), WindowSurfaceType::TOPLEVEL).cloned();
            if let Some(layer) = gone {
                map.unmap_layer(&layer);
            }
        }
        self.arrange_everything();
        self.focus_top();
    }
}

impl XdgActivationHandler for State {
    fn activation_state(&mut self) -> &mut XdgActivationState {
        &mut self.globals.activation
    }

    fn request_activation(&mut self, token: XdgActivationToken, data: XdgActivationTokenData, surface: WlSurface) {
        // A program that was started from another one hands over what that one got from a click; others wait.
        if data.timestamp.elapsed() < TOKEN_GOOD_FOR
            && let Some(window) = self.window_of(&surface)
            && self.space.elements().any(|w| *w == window)
        {
            self.focus_window(Some(&window));
        }
        self.globals.activation.remove_token(&token);
    }
}

impl InputMethodHandler for State {
    fn new_popup(&mut self, surface: InputMethodPopup) {
        if let Err(e) = self.popups.track_popup(PopupKind::from(surface)) {
            tracing::debug!("an input method's popup was gone at once: {e}");
        }
    }

    fn dismiss_popup(&mut self, surface: InputMethodPopup) {
        if let Some(parent) = surface.get_parent().map(|parent| parent.surface.clone()) {
            // Fails only for one that is gone.
            let _ = smithay::desktop::PopupManager::dismiss_popup(&parent, &PopupKind::from(surface));
        }
    }

    fn popup_repositioned(&mut self, _surface: InputMethodPopup) {}

    fn parent_geometry(&self, parent: &WlSurface) -> Rectangle<i32, Logical> {
        self.window_of(parent).map(|window| window.geometry()).unwrap_or_default()
    }
}

delegate_xdg_shell!(State);
delegate_xdg_decoration!(State);
delegate_layer_shell!(State);
delegate_xdg_activation!(State);

/// A program starts within this time or is not waited for any more.
const TOKEN_GOOD_FOR: std::time::Duration = std::time::Duration::from_secs(10);
