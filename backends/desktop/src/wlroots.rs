//! A running sway session.

use std::path::PathBuf;
use std::sync::Arc;

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{Desktop, DesktopInfo, Journal, OpenError, Stage, StageRequest, reason};

use crate::detect::Environment;

/// Where a running sway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSockets {
    /// Its IPC socket.
    pub ipc: PathBuf,
    /// Its Wayland socket.
    pub display: PathBuf,
}

impl SessionSockets {
    /// Every running session that the environment leads to, each with the reason, best first.
    #[must_use]
    pub fn find(_environment: &Environment) -> Vec<(Self, String)> {
        Vec::new()
    }
}

/// A running sway session, shared by all clients.
#[derive(Debug)]
pub struct WlrootsDesktop {
    info: DesktopInfo,
}

impl WlrootsDesktop {
    /// Looks at the session behind `sockets`.
    ///
    /// # Errors
    /// [`OpenError`] when it does not answer or lacks a protocol that a stage needs.
    pub fn connect(
        sockets: SessionSockets,
        _environment: Environment,
        _configured: Option<KeyboardLayout>,
    ) -> Result<Self, OpenError> {
        Err(OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail: sockets.ipc.display().to_string() })
    }
}

impl Desktop for WlrootsDesktop {
    fn info(&self) -> DesktopInfo {
        self.info.clone()
    }

    fn open(&self, request: &StageRequest, _journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        Err(OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail: request.name.clone() })
    }
}

/// Removes an output that a host made, if that very sway still runs.
pub fn undo_output(_record: &crate::record::OutputRecord) -> Result<(), String> {
    Ok(())
}
