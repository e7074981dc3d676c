//! What X11 windows ask of their manager.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use smithay::utils::{Logical, Rectangle, Size};
use smithay::wayland::selection::SelectionTarget;
use smithay::wayland::selection::data_device::{
    clear_data_device_selection, current_data_device_selection_userdata, request_data_device_client_selection,
    set_data_device_selection,
};
use smithay::wayland::selection::primary_selection::{
    clear_primary_selection, current_primary_selection_userdata, request_primary_client_selection,
    set_primary_selection,
};
use smithay::xwayland::xwm::{Reorder, ResizeEdge, WmWindowProperty, X11Window as WindowId, XwmId};
use smithay::xwayland::{X11Surface, X11Wm, XwmHandler};

use crate::server::focus::KeyFocus;
use crate::server::input::Moment;
use crate::server::moving::Holder;
use crate::server::state::State;
use crate::server::window::{AppWindow, X11Window};

impl State {
    fn add_x11_window(&mut self, x11: X11Surface, listed: bool) {
        let there = self.space.elements().chain(&self.unmapped).filter(|w| matches!(w, AppWindow::X11(_))).count();
        if there >= MOST_WINDOWS {
            tracing::warn!("more than {MOST_WINDOWS} X11 windows; one is not shown");
            return;
        }
        let memory = self.new_window_memory(listed);
        let window = AppWindow::X11(X11Window::new(x11, memory));
        self.tell_names(&window, window.names());
        self.unmapped.push(window);
    }

    fn with_x11_window(&mut self, x11: &X11Surface, act: impl FnOnce(&mut Self, &AppWindow, &Arc<X11Window>)) {
        if let Some(window) = self.x11_window(x11) {
            act(self, &AppWindow::X11(Arc::clone(&window)), &window);
        }
    }

    /// Puts a window anew that may have changed its kind or its size.
    fn rearrange_x11(&mut self, window: &AppWindow) {
        self.arrange(window);
        if self.space.elements().any(|w| w == window) {
            self.place(window);
            self.changed(None);
        }
    }

    fn x11_has_keyboard(&self) -> bool {
        let focus = self.seat.get_keyboard().and_then(|keyboard| keyboard.current_focus());
        matches!(focus, Some(KeyFocus::X11(..)))
    }

    /// A Wayland program reads what an X11 program offers.
    pub(in crate::server) fn read_x11_selection(&mut self, target: SelectionTarget, mime: String, to: OwnedFd) {
        let handle = self.x11.handle.clone();
        if let Some(manager) = &mut self.x11.manager
            && let Err(e) = manager.send_selection(target, mime, to, handle)
        {
            tracing::debug!("an X11 program's selection was not read: {e}");
        }
    }

    /// X11 programs hear what Wayland programs offer.
    pub(in crate::server) fn tell_x11_selection(&mut self, target: SelectionTarget, mimes: Option<Vec<String>>) {
        if let Some(manager) = &mut self.x11.manager
            && let Err(e) = manager.new_selection(target, mimes)
        {
            tracing::debug!("X11 programs were not told of a selection: {e}");
        }
    }
}

impl XwmHandler for State {
    fn xwm_state(&mut self, _: XwmId) -> &mut X11Wm {
        // smithay asks only while it handles what a manager got, and the last one is kept.
        self.x11.manager.as_mut().expect("a manager that speaks is there")
    }

    fn new_window(&mut self, _: XwmId, window: X11Surface) {
        self.add_x11_window(window, true);
    }

    fn new_override_redirect_window(&mut self, _: XwmId, window: X11Surface) {
        self.add_x11_window(window, false);
    }

    fn map_window_request(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, _| desktop.arrange(app));
        if let Err(e) = window.set_mapped(true) {
            tracing::debug!("an X11 window was not mapped: {e}");
        }
    }

    fn mapped_override_redirect_window(&mut self, _: XwmId, _: X11Surface) {
        // It appears with its first picture.
    }

    fn unmapped_window(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, kept| {
            kept.link(None);
            desktop.hide_window(app);
        });
        if !window.is_override_redirect()
            && let Err(e) = window.set_mapped(false)
        {
            tracing::debug!("an X11 window was not unmapped: {e}");
        }
    }

    fn destroyed_window(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, _| desktop.remove_window(app));
    }

    fn configure_request(
        &mut self,
        _: XwmId,
        window: X11Surface,
        x: Option<i32>,
        y: Option<i32>,
        w: Option<u32>,
        h: Option<u32>,
        _: Option<Reorder>,
    ) {
        let mut wanted = window.geometry();
        let side = |asked: Option<u32>, now: i32| asked.map_or(now, |v| v.clamp(1, LARGEST_SIDE) as i32);
        wanted.size = Size::from((side(w, wanted.size.w), side(h, wanted.size.h)));
        (wanted.loc.x, wanted.loc.y) = (x.unwrap_or(wanted.loc.x), y.unwrap_or(wanted.loc.y));
        // What is to fill the room gets its size back at once; what floats keeps the new one, in the middle.
        if let Err(e) = window.configure(wanted) {
            tracing::debug!("an X11 window was not configured: {e}");
        }
        self.with_x11_window(&window, |desktop, app, _| desktop.rearrange_x11(app));
    }

    fn configure_notify(&mut self, _: XwmId, window: X11Surface, _: Rectangle<i32, Logical>, _: Option<WindowId>) {
        self.with_x11_window(&window, |desktop, app, _| {
            if app.is_unmanaged() && desktop.space.elements().any(|w| w == app) {
                desktop.place(app);
                desktop.changed(None);
            }
        });
    }

    fn property_notify(&mut self, _: XwmId, window: X11Surface, property: WmWindowProperty) {
        self.with_x11_window(&window, |desktop, app, _| match property {
            WmWindowProperty::Title | WmWindowProperty::Class => desktop.tell_names(app, app.names()),
            WmWindowProperty::NormalHints | WmWindowProperty::TransientFor | WmWindowProperty::WindowType => {
                desktop.rearrange_x11(app);
            }
            _ => {}
        });
    }

    fn fullscreen_request(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, _| desktop.set_fullscreen(app, true));
    }

    fn unfullscreen_request(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, _| desktop.set_fullscreen(app, false));
    }

    fn resize_request(&mut self, _: XwmId, _: X11Surface, _: u32, _: ResizeEdge) {
        // Windows have the size that the desktop or their program gives them.
    }

    fn move_request(&mut self, _: XwmId, window: X11Surface, _: u32) {
        let held = self.seat.get_pointer().is_some_and(|pointer| pointer.is_grabbed());
        self.with_x11_window(&window, |desktop, app, _| {
            if held {
                desktop.take_window(app, Holder::Pointer, desktop.pointer.location, Moment::now());
            }
        });
    }

    fn maximize_request(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, kept| {
            kept.memory.put(None);
            desktop.rearrange_x11(app);
        });
    }

    fn unmaximize_request(&mut self, _: XwmId, window: X11Surface) {
        self.with_x11_window(&window, |desktop, app, _| desktop.loosen(app));
    }

    fn allow_selection_access(&mut self, _: XwmId, _: SelectionTarget) -> bool {
        // As for Wayland programs: whoever has the keyboard.
        self.x11_has_keyboard()
    }

    fn send_selection(&mut self, _: XwmId, target: SelectionTarget, mime_type: String, to: OwnedFd) {
        let asked = match target {
            SelectionTarget::Clipboard => {
                request_data_device_client_selection(&self.seat, mime_type, to).map_err(|e| e.to_string())
            }
            SelectionTarget::Primary => {
                request_primary_client_selection(&self.seat, mime_type, to).map_err(|e| e.to_string())
            }
        };
        if let Err(e) = asked {
            tracing::debug!("an X11 program does not get the selection: {e}");
        }
    }

    fn new_selection(&mut self, _: XwmId, target: SelectionTarget, mimes: Vec<String>) {
        match target {
            SelectionTarget::Clipboard => set_data_device_selection(&self.display, &self.seat, mimes, ()),
            SelectionTarget::Primary => set_primary_selection(&self.display, &self.seat, mimes, ()),
        }
    }

    fn cleared_selection(&mut self, _: XwmId, target: SelectionTarget) {
        // Only what came from X11: a Wayland program may have offered something since.
        match target {
            SelectionTarget::Clipboard if current_data_device_selection_userdata(&self.seat).is_some() => {
                clear_data_device_selection(&self.display, &self.seat);
            }
            SelectionTarget::Primary if current_primary_selection_userdata(&self.seat).is_some() => {
                clear_primary_selection(&self.display, &self.seat);
            }
            _ => {}
        }
    }

    fn disconnected(&mut self, _: XwmId) {
        self.x11_ended("it closed its connection");
    }
}

/// Of all X11 programs together, seen or not: each of them has a dozen that nobody ever sees.
const MOST_WINDOWS: usize = 4096;
/// Of the X11 protocol.
const LARGEST_SIDE: u32 = 32_767;
