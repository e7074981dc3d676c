//! Clipboard, primary selection, drag and drop: between programs; smithay carries the data.

use std::os::fd::OwnedFd;

use smithay::input::Seat;
use smithay::reexports::wayland_server::protocol::{wl_data_source::WlDataSource, wl_surface::WlSurface};
use smithay::wayland::selection::data_device::{
    ClientDndGrabHandler, DataDeviceHandler, DataDeviceState, ServerDndGrabHandler,
};
use smithay::wayland::selection::primary_selection::{PrimarySelectionHandler, PrimarySelectionState};
use smithay::wayland::selection::{SelectionHandler, SelectionSource, SelectionTarget};
use smithay::wayland::selection::{ext_data_control, wlr_data_control};
use smithay::{delegate_data_control, delegate_data_device, delegate_ext_data_control, delegate_primary_selection};

use crate::server::state::State;

impl SelectionHandler for State {
    /// What no Wayland program offers, an X11 program does.
    type SelectionUserData = ();

    fn new_selection(&mut self, target: SelectionTarget, source: Option<SelectionSource>, _seat: Seat<Self>) {
        self.tell_x11_selection(target, source.map(|source| source.mime_types()));
    }

    fn send_selection(&mut self, target: SelectionTarget, mime_type: String, to: OwnedFd, _: Seat<Self>, _: &()) {
        self.read_x11_selection(target, mime_type, to);
    }
}

impl DataDeviceHandler for State {
    fn data_device_state(&self) -> &DataDeviceState {
        &self.globals.data_device
    }
}

impl PrimarySelectionHandler for State {
    fn primary_selection_state(&self) -> &PrimarySelectionState {
        &self.globals.primary
    }
}

impl wlr_data_control::DataControlHandler for State {
    fn data_control_state(&self) -> &wlr_data_control::DataControlState {
        &self.globals.wlr_data_control
    }
}

impl ext_data_control::DataControlHandler for State {
    fn data_control_state(&self) -> &ext_data_control::DataControlState {
        &self.globals.ext_data_control
    }
}

impl ClientDndGrabHandler for State {
    fn started(&mut self, _source: Option<WlDataSource>, icon: Option<WlSurface>, _seat: Seat<Self>) {
        self.drag_icon = icon;
        self.changed(None);
    }

    fn dropped(&mut self, _target: Option<WlSurface>, _validated: bool, _seat: Seat<Self>) {
        self.drag_icon = None;
        self.changed(None);
    }
}

// Nothing is dragged from outside of the desktop.
impl ServerDndGrabHandler for State {}

delegate_data_device!(State);
delegate_primary_selection!(State);
delegate_data_control!(State);
delegate_ext_data_control!(State);
