//! What programs say of themselves and need nothing done for: what their pictures are, which windows are dialogs, and tags.
//! And who wants the desktop's own keys.

use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::wayland::keyboard_shortcuts_inhibit::{
    KeyboardShortcutsInhibitHandler, KeyboardShortcutsInhibitState, KeyboardShortcutsInhibitor,
    KeyboardShortcutsInhibitorSeat as _,
};
use smithay::wayland::shell::xdg::dialog::XdgDialogHandler;
use smithay::wayland::text_input::TextInputSeat as _;
use smithay::wayland::xdg_toplevel_tag::XdgToplevelTagHandler;
use smithay::{
    delegate_alpha_modifier, delegate_content_type, delegate_keyboard_shortcuts_inhibit, delegate_xdg_dialog,
    delegate_xdg_toplevel_tag,
};

use crate::server::state::State;

// A dialog lies above its parent, modal or not; no tag is shown anywhere.
impl XdgDialogHandler for State {}
impl XdgToplevelTagHandler for State {}

impl KeyboardShortcutsInhibitHandler for State {
    fn keyboard_shortcuts_inhibit_state(&mut self) -> &mut KeyboardShortcutsInhibitState {
        &mut self.globals.shortcuts_inhibit
    }

    // A whole desktop in a window, or another machine's: Super+Escape takes the keys back.
    fn new_inhibitor(&mut self, inhibitor: KeyboardShortcutsInhibitor) {
        inhibitor.activate();
    }
}

impl State {
    /// The surface that has the keyboard; also while a key is being sorted, when the keyboard itself cannot be asked.
    fn keyboard_surface(&self) -> Option<WlSurface> {
        self.seat.text_input().focus()
    }

    /// Whether the program that has the keyboard wants all keys.
    pub(in crate::server) fn wants_every_key(&self) -> bool {
        let inhibitor = self.keyboard_surface().and_then(|s| self.seat.keyboard_shortcuts_inhibitor_for_surface(&s));
        inhibitor.is_some_and(|inhibitor| inhibitor.is_active())
    }

    /// Takes the desktop's own keys back from that program, or gives them to it again.
    pub(in crate::server) fn toggle_every_key(&mut self) {
        let inhibitor = self.keyboard_surface().and_then(|s| self.seat.keyboard_shortcuts_inhibitor_for_surface(&s));
        match inhibitor {
            Some(inhibitor) if inhibitor.is_active() => inhibitor.inactivate(),
            Some(inhibitor) => inhibitor.activate(),
            None => {}
        }
    }
}

delegate_content_type!(State);
delegate_alpha_modifier!(State);
delegate_xdg_dialog!(State);
delegate_xdg_toplevel_tag!(State);
delegate_keyboard_shortcuts_inhibit!(State);
