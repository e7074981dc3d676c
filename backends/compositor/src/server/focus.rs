//! What can have the keyboard.

use std::borrow::Cow;

use smithay::backend::input::KeyState;
use smithay::desktop::PopupKind;
use smithay::input::Seat;
use smithay::input::keyboard::{KeyboardTarget, KeysymHandle, ModifiersState};
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{IsAlive, Serial};
use smithay::wayland::seat::WaylandFocus;
use smithay::xwayland::X11Surface;

use super::state::State;

/// A surface; with it the window of the X server that has the focus there.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyFocus {
    /// Of a Wayland program.
    Wayland(WlSurface),
    /// Of an X11 program.
    X11(Box<X11Surface>, WlSurface),
}

impl KeyFocus {
    /// The surface that keys go to.
    pub fn surface(&self) -> &WlSurface {
        match self {
            Self::Wayland(surface) | Self::X11(_, surface) => surface,
        }
    }

    /// The X server's window, and the surface where smithay does not pass on to it what the window gets: it does only where
    /// it linked the two itself.
    fn targets(&self) -> (Option<&X11Surface>, Option<&WlSurface>) {
        match self {
            Self::Wayland(surface) => (None, Some(surface)),
            Self::X11(x11, surface) => (Some(&**x11), x11.wl_surface().is_none().then_some(surface)),
        }
    }
}

impl KeyboardTarget<State> for KeyFocus {
    fn enter(&self, seat: &Seat<State>, data: &mut State, mut keys: Vec<KeysymHandle<'_>>, serial: Serial) {
        let (x11, surface) = self.targets();
        if let Some(x11) = x11 {
            let passed_on = if surface.is_none() { std::mem::take(&mut keys) } else { Vec::new() };
            KeyboardTarget::enter(x11, seat, data, passed_on, serial);
        }
        if let Some(surface) = surface {
            KeyboardTarget::enter(surface, seat, data, keys, serial);
        }
    }

    fn leave(&self, seat: &Seat<State>, data: &mut State, serial: Serial) {
        let (x11, surface) = self.targets();
        if let Some(x11) = x11 {
            KeyboardTarget::leave(x11, seat, data, serial);
        }
        if let Some(surface) = surface {
            KeyboardTarget::leave(surface, seat, data, serial);
        }
    }

    fn key(
        &self,
        seat: &Seat<State>,
        data: &mut State,
        key: KeysymHandle<'_>,
        state: KeyState,
        serial: Serial,
        time: u32,
    ) {
        match self.targets() {
            (_, Some(surface)) => KeyboardTarget::key(surface, seat, data, key, state, serial, time),
            (Some(x11), None) => KeyboardTarget::key(x11, seat, data, key, state, serial, time),
            (None, None) => {}
        }
    }

    fn modifiers(&self, seat: &Seat<State>, data: &mut State, modifiers: ModifiersState, serial: Serial) {
        match self.targets() {
            (_, Some(surface)) => KeyboardTarget::modifiers(surface, seat, data, modifiers, serial),
            (Some(x11), None) => KeyboardTarget::modifiers(x11, seat, data, modifiers, serial),
            (None, None) => {}
        }
    }
}

impl IsAlive for KeyFocus {
    fn alive(&self) -> bool {
        match self {
            Self::Wayland(surface) => surface.alive(),
            Self::X11(x11, surface) => x11.alive() && surface.alive(),
        }
    }
}

impl WaylandFocus for KeyFocus {
    fn wl_surface(&self) -> Option<Cow<'_, WlSurface>> {
        Some(Cow::Borrowed(self.surface()))
    }
}

impl From<PopupKind> for KeyFocus {
    fn from(popup: PopupKind) -> Self {
        Self::Wayland(popup.wl_surface().clone())
    }
}

impl From<KeyFocus> for WlSurface {
    fn from(focus: KeyFocus) -> Self {
        focus.surface().clone()
    }
}
