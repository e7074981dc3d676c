//! The seat: who has the keyboard, what the pointer looks like, who may hold it.

use smithay::backend::input::TabletToolDescriptor;
use smithay::input::pointer::{CursorImageStatus, PointerHandle};
use smithay::input::{Seat, SeatHandler, SeatState};
use smithay::reexports::wayland_server::Resource as _;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{Logical, Point};
use smithay::wayland::pointer_constraints::PointerConstraintsHandler;
use smithay::wayland::selection::data_device::set_data_device_focus;
use smithay::wayland::selection::primary_selection::set_primary_focus;
use smithay::wayland::tablet_manager::TabletSeatHandler;
use smithay::{
    delegate_cursor_shape, delegate_pointer_constraints, delegate_pointer_gestures, delegate_relative_pointer,
    delegate_seat, delegate_tablet_manager,
};

use crate::server::focus::KeyFocus;
use crate::server::state::State;

impl SeatHandler for State {
    type KeyboardFocus = KeyFocus;
    type PointerFocus = WlSurface;
    type TouchFocus = WlSurface;

    fn seat_state(&mut self) -> &mut SeatState<Self> {
        &mut self.seats
    }

    fn focus_changed(&mut self, seat: &Seat<Self>, focused: Option<&KeyFocus>) {
        let client = focused.and_then(|focus| self.display.get_client(focus.surface().id()).ok());
        set_data_device_focus(&self.display, seat, client.clone());
        set_primary_focus(&self.display, seat, client);
    }

    fn cursor_image(&mut self, _seat: &Seat<Self>, image: CursorImageStatus) {
        if let CursorImageStatus::Surface(surface) = &image {
            self.tell_scale(surface);
        }
        self.cursor.set_image(image);
        self.apart.reshaped();
        self.pointer_changed();
    }
}

impl PointerConstraintsHandler for State {
    fn new_constraint(&mut self, surface: &WlSurface, pointer: &PointerHandle<Self>) {
        // At once where the pointer is on the surface already: games ask in their menus.
        let under = self.surface_under(self.pointer.location).filter(|(under, _)| under == surface);
        if pointer.current_focus().as_ref() == Some(surface) {
            self.take_hold(pointer, under.as_ref());
        }
    }

    fn cursor_position_hint(&mut self, surface: &WlSurface, pointer: &PointerHandle<Self>, hint: Point<f64, Logical>) {
        // Where a program that lets go wants the pointer to be.
        let under = self.surface_under(self.pointer.location);
        if let Some((_, corner)) = under.filter(|(under, _)| under == surface) {
            self.pointer.location = corner + hint;
            pointer.set_location(self.pointer.location);
        }
    }
}

impl TabletSeatHandler for State {
    fn tablet_tool_image(&mut self, _: &TabletToolDescriptor, image: CursorImageStatus) {
        if let CursorImageStatus::Surface(surface) = &image {
            self.tell_scale(surface);
        }
        self.cursor.set_image(image);
        self.apart.reshaped();
        self.pointer_changed();
    }
}

delegate_seat!(State);
delegate_cursor_shape!(State);
delegate_relative_pointer!(State);
delegate_pointer_constraints!(State);
delegate_pointer_gestures!(State);
delegate_tablet_manager!(State);
