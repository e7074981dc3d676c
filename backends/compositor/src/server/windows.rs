//! Where windows lie and which has the keyboard.
//!
//! A kiosk: a program's main window fills what bars leave of the output, dialogs lie in the middle above it, the newest is
//! on top and has the keyboard. What is to be a desktop with panels and window frames runs inside, as a program.

use std::sync::atomic::Ordering;

use smithay::desktop::{
    PopupKind, Window, WindowSurfaceType, find_popup_root_surface, get_popup_toplevel_coords, layer_map_for_output,
};
use smithay::reexports::wayland_protocols::xdg::decoration::zv1::server::zxdg_toplevel_decoration_v1::Mode as Decoration;
use smithay::reexports::wayland_protocols::xdg::shell::server::xdg_toplevel;
use smithay::reexports::wayland_server::Resource as _;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{Logical, Point, Rectangle, SERIAL_COUNTER, Size};
use smithay::wayland::compositor::{SurfaceData, with_states};
use smithay::wayland::fractional_scale::with_fractional_scale;
use smithay::wayland::shell::wlr_layer::{KeyboardInteractivity, Layer};
use smithay::wayland::shell::xdg::{PopupSurface, ToplevelSurface};

use super::focus::KeyFocus;
use super::state::{ClientState, State};
use super::window::{AppWindow, WindowMemory, X11Window, toplevel_names};
use crate::wire::WindowInfo;

impl State {
    /// A program made a window; it is placed once it shows something.
    pub(super) fn add_window(&mut self, surface: ToplevelSurface) {
        let client = surface.wl_surface().client();
        let made = client
            .as_ref()
            .and_then(|c| c.get_data::<ClientState>())
            .map(|data| data.windows.fetch_add(1, Ordering::Relaxed));
        if made.is_some_and(|made| made >= MOST_WINDOWS) {
            tracing::warn!("a program has more than {MOST_WINDOWS} windows; it is cut off");
            if let Some(client) = client {
                client.kill(
                    &self.display,
                    smithay::reexports::wayland_server::backend::protocol::ProtocolError {
                        code: 2,
                        object_id: 1,
                        object_interface: "wl_display".to_owned(),
                        message: format!("more than {MOST_WINDOWS} windows"),
                    },
                );
            }
            return;
        }
        let memory = self.new_window_memory(true);
        self.unmapped.push(AppWindow::Wayland(Window::new_wayland_window(surface), memory));
    }

    /// What is kept with a new window. `listed`: other programs are told of it.
    pub(super) fn new_window_memory(&mut self, listed: bool) -> std::sync::Arc<WindowMemory> {
        self.window_ids += 1;
        let listed = listed.then(|| self.globals.toplevels.new_toplevel::<Self>("", ""));
        WindowMemory::new(self.window_ids, listed)
    }

    /// The window whose main surface this is, seen or not.
    pub(super) fn window_of(&self, surface: &WlSurface) -> Option<AppWindow> {
        let all = self.space.elements().chain(&self.unmapped);
        all.into_iter().find(|w| w.surface().as_ref() == Some(surface)).cloned()
    }

    /// The main surface of a window was committed: it may have its first configuration to come, appear, or vanish.
    pub(super) fn window_committed(&mut self, window: &AppWindow) {
        if let Some(toplevel) = window.toplevel()
            && !toplevel.is_initial_configure_sent()
        {
            self.arrange(window);
            toplevel.send_configure();
            return;
        }
        let shows = window.shows();
        let mapped = self.space.elements().any(|w| w == window);
        if shows && !mapped {
            self.unmapped.retain(|w| w != window);
            self.space.map_element(window.clone(), (0, 0), false);
            self.place(window);
            if !window.is_unmanaged() {
                self.focus_window(Some(window));
            }
        } else if !shows && mapped {
            self.hide_window(window);
        } else if mapped {
            self.place(window);
        }
    }

    /// A window is seen no more, but may be again.
    pub(super) fn hide_window(&mut self, window: &AppWindow) {
        self.space.unmap_elem(window);
        if !self.unmapped.contains(window) {
            self.unmapped.push(window.clone());
        }
        self.focus_top();
        self.changed(None);
    }

    /// A window of a Wayland program is gone for good.
    pub(super) fn remove_toplevel(&mut self, surface: &ToplevelSurface) {
        let client = surface.wl_surface().client();
        if let Some(data) = client.as_ref().and_then(|c| c.get_data::<ClientState>()) {
            data.windows.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(window) = self.window_of(surface.wl_surface()) {
            self.remove_window(&window);
        }
    }

    /// A window is gone for good.
    pub(super) fn remove_window(&mut self, window: &AppWindow) {
        if let Some(listed) = &window.memory().listed {
            self.globals.toplevels.remove_toplevel(listed);
        }
        self.unmapped.retain(|w| w != window);
        self.space.unmap_elem(window);
        self.focus_top();
        self.changed(None);
    }

    /// What bars leave of the output.
    pub(super) fn room(&self) -> Rectangle<i32, Logical> {
        layer_map_for_output(&self.output).non_exclusive_zone()
    }

    /// Says to a window how large it is to be; a Wayland program hears of it with the next configuration.
    pub(super) fn arrange(&self, window: &AppWindow) {
        match window {
            AppWindow::Wayland(..) => window.toplevel().into_iter().for_each(|t| self.arrange_toplevel(window, t)),
            AppWindow::X11(x11) => self.arrange_x11(window, x11),
        }
    }

    fn arrange_toplevel(&self, window: &AppWindow, toplevel: &ToplevelSurface) {
        let (floats, loose) = (window.floats(), self.loose_size(window));
        let (room, all) = (self.room().size, self.logical_size());
        toplevel.with_pending_state(|state| {
            state.decoration_mode = Some(Decoration::ServerSide);
            state.bounds = Some(room);
            let fullscreen = state.states.contains(xdg_toplevel::State::Fullscreen);
            state.size = match (fullscreen, floats) {
                (true, _) => Some(all),
                (false, true) => None,
                (false, false) => Some(loose.unwrap_or(room)),
            };
            // Maximised, so that programs leave out frames, shadows and grips of their own.
            match floats || fullscreen || loose.is_some() {
                true => state.states.unset(xdg_toplevel::State::Maximized),
                false => state.states.set(xdg_toplevel::State::Maximized),
            };
        });
    }

    /// X11 programs have to know where their windows lie, too: their menus lie where they put them.
    fn arrange_x11(&self, window: &AppWindow, x11: &X11Window) {
        if window.is_unmanaged() {
            return;
        }
        let fullscreen = window.is_fullscreen();
        let loose = self.loose_size(window).filter(|_| !fullscreen);
        let fills = fullscreen || (!window.floats() && loose.is_none());
        let room = if fullscreen { Rectangle::from_size(self.logical_size()) } else { self.room() };
        let size = if fills { room.size } else { loose.unwrap_or(x11.x11.geometry().size) };
        let place = Rectangle::new(self.corner(window, size), size);
        // A server that is gone takes its windows along in a moment.
        let _ = x11.x11.set_maximized(fills);
        if place != x11.x11.geometry() {
            let _ = x11.x11.configure(place);
        }
    }

    /// The size of a window that would fill the room and was made smaller by hand.
    fn loose_size(&self, window: &AppWindow) -> Option<Size<i32, Logical>> {
        let size = window.memory().by_hand()?.size?;
        let room = self.room().size;
        Some((size.w.min(room.w), size.h.min(room.h)).into())
    }

    /// Puts a window that is seen where it belongs.
    pub(super) fn place(&mut self, window: &AppWindow) {
        let loc = match window {
            AppWindow::X11(x11) => x11.x11.geometry().loc,
            AppWindow::Wayland(..) => self.corner(window, window.geometry().size),
        };
        if self.space.element_location(window) != Some(loc) {
            self.space.map_element(window.clone(), loc, false);
        }
    }

    /// Where the corner of a window of this size belongs: where a person put it; else the middle, and for what fills the
    /// room its corner.
    fn corner(&self, window: &AppWindow, size: Size<i32, Logical>) -> Point<i32, Logical> {
        let fullscreen = window.is_fullscreen();
        let room = if fullscreen { Rectangle::from_size(self.logical_size()) } else { self.room() };
        if let Some(by_hand) = window.memory().by_hand().filter(|_| !fullscreen) {
            return keep_reachable(by_hand.corner, size, room);
        }
        if window.floats() || size.w < room.size.w || size.h < room.size.h {
            room.loc + Point::from(((room.size.w - size.w).max(0) / 2, (room.size.h - size.h).max(0) / 2))
        } else {
            room.loc
        }
    }

    /// Everything anew: the output or the bars changed.
    pub(super) fn arrange_everything(&mut self) {
        layer_map_for_output(&self.output).arrange();
        let windows: Vec<_> = self.space.elements().cloned().collect();
        for window in windows.iter().chain(&self.unmapped) {
            self.arrange(window);
            if let Some(surface) = window.surface() {
                self.tell_scale(&surface);
            }
            // One that was not configured yet is with its first commit.
            if let Some(toplevel) = window.toplevel().filter(|t| t.is_initial_configure_sent()) {
                toplevel.send_pending_configure();
            }
        }
        for window in &windows {
            self.place(window);
        }
    }

    /// A surface of any kind is to draw itself at the output's scale.
    pub(super) fn tell_scale(&self, surface: &WlSurface) {
        with_states(surface, |states| self.tell_scale_with(surface, states));
    }

    pub(super) fn tell_scale_with(&self, surface: &WlSurface, states: &SurfaceData) {
        // A scale is at most single digits.
        let whole = self.scale.ceil() as i32;
        smithay::wayland::compositor::send_surface_state(surface, states, whole, smithay::utils::Transform::Normal);
        with_fractional_scale(states, |fractional| fractional.set_preferred_scale(self.scale));
    }

    /// Gives the keyboard to a window and brings it to the front, with its dialogs before it.
    pub(super) fn focus_window(&mut self, window: Option<&AppWindow>) {
        if let Some(window) = window {
            self.raise(window);
            let dialogs: Vec<_> = self.space.elements().filter(|other| window.is_parent_of(other)).cloned().collect();
            for dialog in &dialogs {
                self.raise(dialog);
            }
        }
        for other in self.space.elements().filter(|other| !other.is_unmanaged()) {
            other.set_activated(Some(other) == window);
        }
        let layer = self.exclusive_layer().or_else(|| if window.is_none() { self.launcher() } else { None });
        self.focus_surface(layer.map(KeyFocus::Wayland).or_else(|| window.and_then(AppWindow::key_focus)));
    }

    fn raise(&mut self, window: &AppWindow) {
        self.space.raise_element(window, false);
        if let AppWindow::X11(x11) = window {
            self.x11.raise(&x11.x11);
        }
    }

    fn focus_surface(&mut self, wanted: Option<KeyFocus>) {
        if let Some(keyboard) = self.seat.get_keyboard()
            && keyboard.current_focus() != wanted
        {
            keyboard.set_focus(self, wanted, SERIAL_COUNTER.next_serial());
        }
        // What lies under a pointer that rests may be another window now.
        self.point_again();
        self.changed(None);
    }

    /// The window on top that can have the keyboard.
    pub(super) fn top_window(&self) -> Option<AppWindow> {
        self.space.elements().rev().find(|w| !w.is_unmanaged()).cloned()
    }

    /// The topmost window gets the keyboard.
    pub(super) fn focus_top(&mut self) {
        let top = self.top_window();
        self.focus_window(top.as_ref());
    }

    /// A layer that takes the keyboard away from all windows.
    fn exclusive_layer(&self) -> Option<WlSurface> {
        let map = layer_map_for_output(&self.output);
        let takes = |layer: &&smithay::desktop::LayerSurface| {
            layer.cached_state().keyboard_interactivity == KeyboardInteractivity::Exclusive
                && matches!(layer.layer(), Layer::Top | Layer::Overlay)
        };
        map.layers().rev().find(takes).map(|layer| layer.wl_surface().clone())
    }

    /// The layer that shows what can be started, if there is one: it has the keyboard while nothing else does.
    pub(super) fn launcher(&self) -> Option<WlSurface> {
        let map = layer_map_for_output(&self.output);
        let is = |layer: &&smithay::desktop::LayerSurface| {
            layer.namespace() == LAUNCHER && layer.can_receive_keyboard_focus()
        };
        map.layers().find(is).map(|layer| layer.wl_surface().clone())
    }

    /// Gives the keyboard to the launcher, which then comes to the front; or back to the window on top.
    pub(super) fn toggle_launcher(&mut self) {
        let Some(launcher) = self.launcher() else { return };
        if self.has_keyboard(&launcher) {
            return self.focus_top();
        }
        self.space.elements().filter(|window| !window.is_unmanaged()).for_each(|window| window.set_activated(false));
        self.focus_surface(Some(KeyFocus::Wayland(launcher)));
    }

    /// Whether keys go to this surface.
    fn has_keyboard(&self, surface: &WlSurface) -> bool {
        self.seat.get_keyboard().and_then(|k| k.current_focus()).is_some_and(|focus| focus.surface() == surface)
    }

    /// A layer asks for something else than before: it may take the keyboard, or give it back.
    pub(super) fn layer_changed(&mut self, surface: &WlSurface) {
        if !(self.has_keyboard(surface) && self.layer_takes_keyboard(surface)) {
            self.focus_top();
        }
    }

    /// What is under a point: the surface and where its corner is.
    pub(super) fn surface_under(&self, at: Point<f64, Logical>) -> Option<(WlSurface, Point<f64, Logical>)> {
        let map = layer_map_for_output(&self.output);
        let on_layer = |layer: Layer| {
            let surface = map.layer_under(layer, at)?;
            let corner = map.layer_geometry(surface)?.loc;
            let (surface, place) = surface.surface_under(at - corner.to_f64(), WindowSurfaceType::ALL)?;
            Some((surface, (place + corner).to_f64()))
        };
        on_layer(Layer::Overlay)
            .or_else(|| on_layer(Layer::Top))
            .or_else(|| {
                let (window, corner) = self.space.element_under(at)?;
                let (surface, place) = window.surface_under(at - corner.to_f64())?;
                Some((surface, (place + corner).to_f64()))
            })
            .or_else(|| on_layer(Layer::Bottom))
            .or_else(|| on_layer(Layer::Background))
    }

    /// The window under a point, one of its menus included.
    pub(super) fn window_at(&self, at: Point<f64, Logical>) -> Option<AppWindow> {
        self.window_of(&self.root_under(at)?)
    }

    /// The main surface of what is under a point.
    fn root_under(&self, at: Point<f64, Logical>) -> Option<WlSurface> {
        let (mut root, _) = self.surface_under(at)?;
        while let Some(parent) = smithay::wayland::compositor::get_parent(&root) {
            root = parent;
        }
        Some(match self.popups.find_popup(&root) {
            Some(popup) => find_popup_root_surface(&popup).unwrap_or(root),
            None => root,
        })
    }

    /// A press at a point: what is there comes to the front and gets the keyboard.
    pub(super) fn press_at(&mut self, at: Point<f64, Logical>) {
        let Some(root) = self.root_under(at) else { return };
        if let Some(window) = self.window_of(&root) {
            // A menu of an X11 program belongs to the window that has the keyboard.
            if !window.is_unmanaged() {
                self.focus_window(Some(&window));
            }
        } else if self.layer_takes_keyboard(&root) {
            self.focus_surface(Some(KeyFocus::Wayland(root)));
        }
    }

    fn layer_takes_keyboard(&self, surface: &WlSurface) -> bool {
        let map = layer_map_for_output(&self.output);
        map.layer_for_surface(surface, WindowSurfaceType::TOPLEVEL).is_some_and(|l| l.can_receive_keyboard_focus())
    }

    /// Keeps a popup on the output.
    pub(super) fn constrain(&self, popup: &PopupSurface) {
        let kind = PopupKind::Xdg(popup.clone());
        let Ok(root) = find_popup_root_surface(&kind) else { return };
        let map = layer_map_for_output(&self.output);
        let corner = self
            .window_of(&root)
            .and_then(|window| self.space.element_geometry(&window))
            .or_else(|| map.layer_geometry(map.layer_for_surface(&root, WindowSurfaceType::TOPLEVEL)?))
            .map(|place| place.loc)
            .unwrap_or_default();
        let mut target = Rectangle::from_size(self.logical_size());
        target.loc -= corner + get_popup_toplevel_coords(&kind);
        popup.with_pending_state(|state| state.geometry = state.positioner.get_unconstrained_geometry(target));
    }

    /// A program's name for a toplevel changed.
    pub(super) fn toplevel_renamed(&self, surface: &ToplevelSurface) {
        if let Some(window) = self.window_of(surface.wl_surface()) {
            self.tell_names(&window, toplevel_names(surface));
        }
    }

    /// Tells other programs how a window is called now.
    pub(super) fn tell_names(&self, window: &AppWindow, (title, app_id): (String, String)) {
        if let Some(listed) = &window.memory().listed {
            listed.send_title(&title);
            listed.send_app_id(&app_id);
            listed.send_done();
        }
    }

    /// All windows that are seen, top first.
    pub(super) fn window_list(&self) -> Vec<WindowInfo> {
        let focus = self.seat.get_keyboard().and_then(|k| k.current_focus());
        let info = |window: &AppWindow| {
            let (title, app_id) = window.names();
            let place = self.space.element_geometry(window)?;
            Some(WindowInfo {
                id: window.memory().id,
                title,
                app_id,
                focused: focus.is_some() && focus == window.key_focus(),
                place: [place.loc.x, place.loc.y, place.size.w, place.size.h],
            })
        };
        self.space.elements().rev().filter(|w| !w.is_unmanaged()).filter_map(info).collect()
    }

    /// Brings the window with this id to the front. False: there is none.
    pub(super) fn bring_window(&mut self, id: u64) -> bool {
        let found = self.space.elements().find(|w| w.memory().id == id && !w.is_unmanaged()).cloned();
        found.inspect(|window| self.focus_window(Some(window))).is_some()
    }

    /// The window that was not seen for longest comes to the front; or, the other way round, the one on top goes to the back.
    pub(super) fn switch_window(&mut self, back: bool) {
        let windows: Vec<_> = self.space.elements().filter(|w| !w.is_unmanaged()).cloned().collect();
        if !back {
            return windows.first().into_iter().for_each(|last| self.focus_window(Some(last)));
        }
        let Some((_, others)) = windows.split_last() else { return };
        for window in others {
            self.raise(window);
        }
        self.focus_top();
    }

    /// Asks the window with this id to close. False: there is none.
    pub(super) fn close_window(&self, id: u64) -> bool {
        let found = self.space.elements().find(|w| w.memory().id == id);
        found.inspect(|window| window.close()).is_some()
    }
}

/// The nearest corner at which enough of a window of this size is in the room to be taken hold of.
fn keep_reachable(
    corner: Point<i32, Logical>,
    size: Size<i32, Logical>,
    room: Rectangle<i32, Logical>,
) -> Point<i32, Logical> {
    let between = |at: i32, side: i32, start: i32, length: i32| {
        let (least, most) = (start - (side - HOLD).max(0), start + (length - HOLD).max(0));
        at.clamp(least, most)
    };
    let x = between(corner.x, size.w, room.loc.x, room.size.w);
    // Its upper edge is what programs have their title bars at.
    let y = corner.y.clamp(room.loc.y, room.loc.y + (room.size.h - HOLD).max(0));
    (x, y).into()
}

/// Of a window that was moved, so much stays in the room, in logical pixels: a finger's width.
const HOLD: i32 = 48;
/// Namespace of the layer that shows what can be started.
const LAUNCHER: &str = "punktfunk-launcher";
/// Windows of one program. Ten times what the largest project in an IDE opens.
const MOST_WINDOWS: u32 = 256;
