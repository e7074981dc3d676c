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
use smithay::wayland::foreign_toplevel_list::ForeignToplevelHandle;
use smithay::wayland::fractional_scale::with_fractional_scale;
use smithay::wayland::seat::WaylandFocus as _;
use smithay::wayland::shell::wlr_layer::{KeyboardInteractivity, Layer};
use smithay::wayland::shell::xdg::{PopupSurface, SurfaceCachedState, ToplevelSurface, XdgToplevelSurfaceData};

use super::state::{ClientState, State};
use crate::wire::WindowInfo;

/// What we keep with a window.
pub struct WindowMemory {
    /// Unique in this desktop's life.
    pub id: u64,
    /// How other programs see it.
    pub listed: ForeignToplevelHandle,
}

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
        self.window_ids += 1;
        let window = Window::new_wayland_window(surface);
        let listed = self.globals.toplevels.new_toplevel::<Self>("", "");
        window.user_data().insert_if_missing(|| WindowMemory { id: self.window_ids, listed });
        self.unmapped.push(window);
    }

    /// The window whose main surface this is, seen or not.
    pub(super) fn window_of(&self, surface: &WlSurface) -> Option<Window> {
        let all = self.space.elements().chain(&self.unmapped);
        all.into_iter().find(|w| w.wl_surface().is_some_and(|s| *s == *surface)).cloned()
    }

    /// The main surface of a window was committed: it may have its first configuration to come, appear, or vanish.
    pub(super) fn window_committed(&mut self, window: &Window) {
        let Some(toplevel) = window.toplevel() else { return };
        let configured = with_states(toplevel.wl_surface(), |states| {
            states
                .data_map
                .get::<XdgToplevelSurfaceData>()
                .and_then(|d| d.lock().ok().map(|d| d.initial_configure_sent))
        });
        if configured == Some(false) {
            self.arrange(window);
            toplevel.send_configure();
            return;
        }
        let shows = smithay::backend::renderer::utils::with_renderer_surface_state(toplevel.wl_surface(), |s| {
            s.buffer().is_some()
        });
        let shows = shows == Some(true);
        let mapped = self.space.elements().any(|w| w == window);
        if shows && !mapped {
            self.unmapped.retain(|w| w != window);
            self.space.map_element(window.clone(), (0, 0), false);
            self.place(window);
            self.focus_window(Some(window));
        } else if !shows && mapped {
            self.space.unmap_elem(window);
            self.unmapped.push(window.clone());
            self.focus_top();
        } else if mapped {
            self.place(window);
        }
    }

    /// A window is gone for good.
    pub(super) fn remove_window(&mut self, surface: &ToplevelSurface) {
        let client = surface.wl_surface().client();
        if let Some(data) = client.as_ref().and_then(|c| c.get_data::<ClientState>()) {
            data.windows.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(window) = self.window_of(surface.wl_surface()) else { return };
        if let Some(memory) = window.user_data().get::<WindowMemory>() {
            self.globals.toplevels.remove_toplevel(&memory.listed);
        }
        self.unmapped.retain(|w| *w != window);
        self.space.unmap_elem(&window);
        self.focus_top();
        self.changed(None);
    }

    /// What bars leave of the output.
    fn room(&self) -> Rectangle<i32, Logical> {
        layer_map_for_output(&self.output).non_exclusive_zone()
    }

    /// Says to a window how large it is to be; it hears of it with the next configuration.
    fn arrange(&self, window: &Window) {
        let Some(toplevel) = window.toplevel() else { return };
        let floats = floats(toplevel);
        let (room, all) = (self.room().size, self.logical_size());
        toplevel.with_pending_state(|state| {
            state.decoration_mode = Some(Decoration::ServerSide);
            state.bounds = Some(room);
            let fullscreen = state.states.contains(xdg_toplevel::State::Fullscreen);
            state.size = match (fullscreen, floats) {
                (true, _) => Some(all),
                (false, true) => None,
                (false, false) => Some(room),
            };
            // Maximised, so that programs leave out frames, shadows and grips of their own.
            match floats || fullscreen {
                true => state.states.unset(xdg_toplevel::State::Maximized),
                false => state.states.set(xdg_toplevel::State::Maximized),
            };
        });
    }

    /// Puts a window that is seen where it belongs.
    fn place(&mut self, window: &Window) {
        let Some(toplevel) = window.toplevel() else { return };
        let fullscreen = toplevel.current_state().states.contains(xdg_toplevel::State::Fullscreen);
        let room = if fullscreen { Rectangle::from_size(self.logical_size()) } else { self.room() };
        let size = window.geometry().size;
        // The middle, and for what fills the room its corner.
        let loc = if floats(toplevel) || size.w < room.size.w || size.h < room.size.h {
            room.loc + Point::from(((room.size.w - size.w).max(0) / 2, (room.size.h - size.h).max(0) / 2))
        } else {
            room.loc
        };
        if self.space.element_location(window) != Some(loc) {
            self.space.map_element(window.clone(), loc, false);
        }
    }

    /// Everything anew: the output or the bars changed.
    pub(super) fn arrange_everything(&mut self) {
        layer_map_for_output(&self.output).arrange();
        let windows: Vec<_> = self.space.elements().cloned().collect();
        for window in windows.iter().chain(&self.unmapped.clone()) {
            self.arrange(window);
            if let Some(toplevel) = window.toplevel() {
                self.tell_scale(toplevel.wl_surface());
                // One that was not configured yet is with its first commit.
                if toplevel.is_initial_configure_sent() {
                    toplevel.send_pending_configure();
                }
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
    pub(super) fn focus_window(&mut self, window: Option<&Window>) {
        if let Some(window) = window {
            self.space.raise_element(window, true);
            let parent = window.wl_surface().map(|s| s.into_owned());
            let children: Vec<_> =
                self.space.elements().filter(|w| parent.is_some() && parent_of(w) == parent).cloned().collect();
            for child in children {
                self.space.raise_element(&child, false);
            }
        }
        for other in self.space.elements() {
            other.set_activated(Some(other) == window);
            if let Some(toplevel) = other.toplevel() {
                toplevel.send_pending_configure();
            }
        }
        let wanted = self.exclusive_layer().or_else(|| window.and_then(|w| w.wl_surface().map(|s| s.into_owned())));
        self.focus_surface(wanted);
    }

    fn focus_surface(&mut self, surface: Option<WlSurface>) {
        if let Some(keyboard) = self.seat.get_keyboard()
            && keyboard.current_focus() != surface
        {
            keyboard.set_focus(self, surface, SERIAL_COUNTER.next_serial());
        }
        // What lies under a pointer that rests may be another window now.
        self.point_again();
        self.changed(None);
    }

    /// The topmost window gets the keyboard.
    pub(super) fn focus_top(&mut self) {
        let top = self.space.elements().next_back().cloned();
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
                let (surface, place) = window.surface_under(at - corner.to_f64(), WindowSurfaceType::ALL)?;
                Some((surface, (place + corner).to_f64()))
            })
            .or_else(|| on_layer(Layer::Bottom))
            .or_else(|| on_layer(Layer::Background))
    }

    /// A press at a point: what is there comes to the front and gets the keyboard.
    pub(super) fn press_at(&mut self, at: Point<f64, Logical>) {
        let Some((surface, _)) = self.surface_under(at) else { return };
        let mut root = surface;
        while let Some(parent) = smithay::wayland::compositor::get_parent(&root) {
            root = parent;
        }
        let root = match self.popups.find_popup(&root) {
            Some(popup) => find_popup_root_surface(&popup).unwrap_or(root),
            None => root,
        };
        if let Some(window) = self.window_of(&root) {
            self.focus_window(Some(&window));
        } else if self.layer_takes_keyboard(&root) {
            self.focus_surface(Some(root));
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

    /// A program's name for a window changed.
    pub(super) fn window_renamed(&self, surface: &ToplevelSurface) {
        let Some(window) = self.window_of(surface.wl_surface()) else { return };
        if let Some(memory) = window.user_data().get::<WindowMemory>() {
            let (title, app_id) = names(surface);
            memory.listed.send_title(&title);
            memory.listed.send_app_id(&app_id);
            memory.listed.send_done();
        }
    }

    /// All windows that are seen, top first.
    pub(super) fn window_list(&self) -> Vec<WindowInfo> {
        let focus = self.seat.get_keyboard().and_then(|k| k.current_focus());
        let info = |window: &Window| {
            let surface = window.toplevel()?;
            let (title, app_id) = names(surface);
            let place = self.space.element_geometry(window)?;
            Some(WindowInfo {
                id: window.user_data().get::<WindowMemory>()?.id,
                title,
                app_id,
                focused: focus.as_ref() == Some(surface.wl_surface()),
                place: [place.loc.x, place.loc.y, place.size.w, place.size.h],
            })
        };
        self.space.elements().rev().filter_map(info).collect()
    }

    /// Asks the window with this id to close. False: there is none.
    pub(super) fn close_window(&self, id: u64) -> bool {
        let is_it = |w: &&Window| w.user_data().get::<WindowMemory>().is_some_and(|m| m.id == id);
        let found = self.space.elements().find(is_it).and_then(Window::toplevel);
        found.inspect(|toplevel| toplevel.send_close()).is_some()
    }
}

/// Dialogs, and windows that can have only one size.
fn floats(toplevel: &ToplevelSurface) -> bool {
    let (least, most): (Size<i32, Logical>, Size<i32, Logical>) = with_states(toplevel.wl_surface(), |states| {
        let mut cached = states.cached_state.get::<SurfaceCachedState>();
        let current = cached.current();
        (current.min_size, current.max_size)
    });
    toplevel.parent().is_some() || (least.w > 0 && least.h > 0 && least == most)
}

fn parent_of(window: &Window) -> Option<WlSurface> {
    window.toplevel()?.parent()
}

fn names(surface: &ToplevelSurface) -> (String, String) {
    with_states(surface.wl_surface(), |states| {
        let data = states.data_map.get::<XdgToplevelSurfaceData>().and_then(|d| d.lock().ok());
        data.map(|d| (d.title.clone().unwrap_or_default(), d.app_id.clone().unwrap_or_default())).unwrap_or_default()
    })
}

/// Windows of one program. Ten times what the largest project in an IDE opens.
const MOST_WINDOWS: u32 = 256;
