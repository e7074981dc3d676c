//! Surfaces, their buffers, the output, and scales.

use std::cell::Cell;

use smithay::backend::renderer::utils::on_commit_buffer_handler;
use smithay::desktop::{PopupKind, WindowSurfaceType, layer_map_for_output};
use smithay::reexports::wayland_server::Client;
use smithay::reexports::wayland_server::protocol::{wl_buffer::WlBuffer, wl_surface::WlSurface};
use smithay::utils::{Logical, Size};
use smithay::wayland::buffer::BufferHandler;
use smithay::wayland::compositor::{
    CompositorClientState, CompositorHandler, CompositorState, add_pre_commit_hook, get_parent, is_sync_subsurface,
    with_states,
};
use smithay::wayland::foreign_toplevel_list::{ForeignToplevelListHandler, ForeignToplevelListState};
use smithay::wayland::fractional_scale::FractionalScaleHandler;
use smithay::wayland::idle_inhibit::IdleInhibitHandler;
use smithay::wayland::output::OutputHandler;
use smithay::wayland::shell::wlr_layer::{
    Anchor, ExclusiveZone, KeyboardInteractivity, Layer, LayerSurfaceCachedState, LayerSurfaceData, Margins,
};
use smithay::wayland::shm::{ShmHandler, ShmState};
use smithay::wayland::xdg_foreign::{XdgForeignHandler, XdgForeignState};
use smithay::xwayland::XWaylandClientData;
use smithay::{
    delegate_foreign_toplevel_list, delegate_fractional_scale, delegate_idle_inhibit, delegate_output,
    delegate_presentation, delegate_single_pixel_buffer, delegate_viewporter,
};

use crate::server::state::{ClientState, State};
use crate::server::window::AppWindow;

impl CompositorHandler for State {
    fn compositor_state(&mut self) -> &mut CompositorState {
        &mut self.globals.compositor
    }

    fn client_compositor_state<'a>(&self, client: &'a Client) -> &'a CompositorClientState {
        if let Some(xwayland) = client.get_data::<XWaylandClientData>() {
            return &xwayland.compositor_state;
        }
        // Every other program was let in with one.
        &client.get_data::<ClientState>().expect("each client was inserted with its state").compositor
    }

    fn new_surface(&mut self, surface: &WlSurface) {
        self.tell_scale(surface);
        add_pre_commit_hook::<Self, _>(surface, |state, _, surface| state.count_commit(surface));
    }

    fn commit(&mut self, surface: &WlSurface) {
        on_commit_buffer_handler::<Self>(surface);
        self.note_barrier(surface);
        self.popups.commit(surface);
        let mut root = surface.clone();
        while let Some(parent) = get_parent(&root) {
            root = parent;
        }
        if !is_sync_subsurface(surface) {
            if let Some(window) = self.window_of(&root) {
                if let AppWindow::Wayland(window, _) = &window {
                    window.on_commit();
                }
                if root == *surface {
                    self.window_committed(&window);
                }
            } else if root == *surface {
                self.popup_or_layer_committed(surface);
            }
        }
        if self.apart.is_on() && self.cursor.surface() == Some(&root) {
            return self.cursor_committed(&root);
        }
        self.changed(Some(&root));
    }

    fn destroyed(&mut self, _surface: &WlSurface) {
        self.apart.reshaped();
        self.changed(None);
    }
}

impl State {
    /// Popups and layers want their first configuration.
    fn popup_or_layer_committed(&mut self, surface: &WlSurface) {
        if let Some(PopupKind::Xdg(popup)) = self.popups.find_popup(surface) {
            if !popup.is_initial_configure_sent()
                && let Err(e) = popup.send_configure()
            {
                tracing::debug!("a popup was not configured: {e}");
            }
            return;
        }
        let map = layer_map_for_output(&self.output);
        let Some(layer) = map.layer_for_surface(surface, WindowSurfaceType::TOPLEVEL).cloned() else { return };
        drop(map);
        let wishes = Wishes::from(layer.cached_state());
        let known = layer.user_data().get_or_insert(|| Cell::new(None::<Wishes>));
        // A bar that only draws changes nothing for anybody else.
        if known.replace(Some(wishes)) == Some(wishes) {
            return;
        }
        let mut map = layer_map_for_output(&self.output);
        let room = map.non_exclusive_zone();
        map.arrange();
        let rearranged = map.non_exclusive_zone() != room;
        drop(map);
        let configured = with_states(surface, |states| {
            states.data_map.get::<LayerSurfaceData>().and_then(|d| d.lock().ok().map(|d| d.initial_configure_sent))
        });
        if configured == Some(false) {
            layer.layer_surface().send_configure();
        }
        if rearranged {
            self.arrange_everything();
        }
        self.layer_changed(surface);
    }
}

/// What a layer asks for, to be compared.
#[derive(Clone, Copy, PartialEq)]
struct Wishes {
    size: Size<i32, Logical>,
    anchor: Anchor,
    exclusive_zone: ExclusiveZone,
    margins: [i32; 4],
    keyboard: KeyboardInteractivity,
    layer: Layer,
}

impl From<LayerSurfaceCachedState> for Wishes {
    fn from(state: LayerSurfaceCachedState) -> Self {
        let Margins { top, right, bottom, left } = state.margin;
        Self {
            size: state.size,
            anchor: state.anchor,
            exclusive_zone: state.exclusive_zone,
            margins: [top, right, bottom, left],
            keyboard: state.keyboard_interactivity,
            layer: state.layer,
        }
    }
}

impl BufferHandler for State {
    fn buffer_destroyed(&mut self, _buffer: &WlBuffer) {}
}

impl ShmHandler for State {
    fn shm_state(&self) -> &ShmState {
        &self.globals.shm
    }
}

impl OutputHandler for State {}

impl FractionalScaleHandler for State {
    fn new_fractional_scale(&mut self, surface: WlSurface) {
        self.tell_scale(&surface);
    }
}

impl IdleInhibitHandler for State {
    // Nothing here goes to sleep: there is no lock screen and no monitor.
    fn inhibit(&mut self, _surface: WlSurface) {}
    fn uninhibit(&mut self, _surface: WlSurface) {}
}

impl ForeignToplevelListHandler for State {
    fn foreign_toplevel_list_state(&mut self) -> &mut ForeignToplevelListState {
        &mut self.globals.toplevels
    }
}

impl XdgForeignHandler for State {
    fn xdg_foreign_state(&mut self) -> &mut XdgForeignState {
        &mut self.globals.foreign
    }
}

delegate_output!(State);
delegate_viewporter!(State);
delegate_fractional_scale!(State);
delegate_single_pixel_buffer!(State);
delegate_presentation!(State);
delegate_idle_inhibit!(State);
delegate_foreign_toplevel_list!(State);
