//! The private desktop: a headless sway of its own for every client identity.

mod config;

use std::sync::Arc;

pub use config::{PrivateConfig, PrivateContent};
use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{Desktop, DesktopInfo, Journal, OpenError, Stage, StageRequest, reason};

use crate::detect::Environment;

/// Makes a headless sway for every identity.
#[derive(Debug)]
pub struct PrivateDesktop {
    info: DesktopInfo,
}

impl PrivateDesktop {
    /// Looks whether the programs are there; starts nothing.
    ///
    /// # Errors
    /// [`OpenError`] with `desktop.missing` when sway is not installed, `desktop.root` when it would run as root.
    pub fn new(
        config: PrivateConfig,
        _environment: Environment,
        _configured: Option<KeyboardLayout>,
    ) -> Result<Self, OpenError> {
        Err(OpenError { reason: &reason::DESKTOP_MISSING, detail: config.runtime_dir.display().to_string() })
    }
}

impl Desktop for PrivateDesktop {
    fn info(&self) -> DesktopInfo {
        self.info.clone()
    }

    fn open(&self, request: &StageRequest, _journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        Err(OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail: request.name.clone() })
    }
}
