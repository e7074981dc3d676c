//! Which surface an X11 window is drawn on.
//!
//! Xwayland from 23.1 tells it through xwayland-shell, and smithay listens. An older one (Debian 12 has 22.1) only sends the
//! window's manager a message with the number of the surface, over another connection than the one on which it makes the
//! surface: either may come first.

use std::sync::Arc;

use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::wayland::xwayland_shell::{XWaylandShellHandler, XWaylandShellState};
use smithay::xwayland::X11Surface;
use smithay::xwayland::xwm::XwmId;

use crate::server::state::State;
use crate::server::window::{AppWindow, X11Window};

impl State {
    /// Links every X11 window whose surface has come meanwhile. To be called after either connection was heard.
    pub(in crate::server) fn link_x11(&mut self) {
        let Some(client) = self.x11.client().cloned() else { return };
        let waiting: Vec<_> = self
            .unmapped
            .iter()
            .filter_map(|window| match window {
                AppWindow::X11(x11) if x11.surface().is_none() => Some(Arc::clone(x11)),
                _ => None,
            })
            .collect();
        for window in waiting {
            #[expect(deprecated, reason = "the only way there is before Xwayland 23.1")]
            let Some(number) = window.x11.wl_surface_id() else { continue };
            let Ok(surface) = client.object_from_protocol_id::<WlSurface>(&self.display, number) else { continue };
            // One of the same number that another window had: its end, and the new one, are still on their way.
            if self.window_of(&surface).is_none() {
                self.link_window(&window, surface);
            }
        }
    }

    pub(super) fn link_window(&mut self, window: &Arc<X11Window>, surface: WlSurface) {
        self.tell_scale(&surface);
        window.link(Some(surface));
        // It may have been drawn already.
        self.window_committed(&AppWindow::X11(Arc::clone(window)));
    }

    /// What we keep of an X11 window.
    pub(super) fn x11_window(&self, x11: &X11Surface) -> Option<Arc<X11Window>> {
        self.space.elements().chain(&self.unmapped).find_map(|window| match window {
            AppWindow::X11(window) if window.x11 == *x11 => Some(Arc::clone(window)),
            _ => None,
        })
    }
}

impl XWaylandShellHandler for State {
    fn xwayland_shell_state(&mut self) -> &mut XWaylandShellState {
        &mut self.x11.shell
    }

    fn surface_associated(&mut self, _: XwmId, surface: WlSurface, x11: X11Surface) {
        if let Some(window) = self.x11_window(&x11) {
            self.link_window(&window, surface);
        }
    }
}

smithay::delegate_xwayland_shell!(State);
