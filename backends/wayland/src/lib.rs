//! What capture and injection share of a Wayland connection: reaching the compositor, and its outputs by name.
//!
//! Each of the two has a connection and a state of its own, with the globals that it needs; the state holds [`Outputs`]
//! and hands it the registry's and the outputs' events with [`delegate_outputs!`]. What went wrong comes back as a
//! sentence, for the user's own error.
#![forbid(unsafe_code)]

mod outputs;

use std::os::unix::net::UnixStream;
use std::path::Path;

pub use outputs::{Outputs, transform};
use wayland_client::backend::WaylandError;
use wayland_client::{Connection, EventQueue};

/// Connects to the compositor that listens at the Wayland socket `display`.
///
/// # Errors
/// A sentence that names the socket.
pub fn connect(display: &Path) -> Result<Connection, String> {
    let stream = UnixStream::connect(display).map_err(|e| format!("{}: {e}", display.display()))?;
    Connection::from_socket(stream).map_err(|e| format!("{}: {e}", display.display()))
}

/// Sends what was requested. A full socket is no error: the rest goes with the next call.
///
/// # Errors
/// A sentence: the connection is broken.
pub fn flush<S>(queue: &EventQueue<S>) -> Result<(), String> {
    match queue.flush() {
        Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        other => other.map_err(|e| e.to_string()),
    }
}

/// Hands the events of the registry and of outputs to the [`Outputs`] that `AsMut` of the state `$state` finds.
#[macro_export]
macro_rules! delegate_outputs {
    ($state:ty) => {
        wayland_client::delegate_dispatch!($state: [
            wayland_client::protocol::wl_registry::WlRegistry: wayland_client::globals::GlobalListContents
        ] => $crate::Outputs);
        wayland_client::delegate_dispatch!($state: [
            wayland_client::protocol::wl_output::WlOutput: u32
        ] => $crate::Outputs);
    };
}
