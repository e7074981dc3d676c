//! The private desktop: a headless sway of its own for every client identity, with its own runtime folder, D-Bus
//! session bus and programs. It is no child in spirit: it has a session of its own and outlives a crashed host, until
//! the journal's watchdog or the next start ends it or takes it over.
//!
//! ```text
//! warm ─► spare (sway without programs) ──┐
//! open ─► take the spare, or start one ───┴─► mode ─► programs ─► stage ─► drop: family ended, folder removed
//! adopt(record) ─► the same stage in a new host
//! ```

mod config;
mod content;
mod family;
mod launch;
mod logs;
pub mod sound;

use std::sync::{Arc, Mutex, PoisonError};

pub use config::{PrivateCompositor, PrivateConfig, PrivateContent};
pub use content::builtin_files;
pub use family::{Family, Recipe};
use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{
    Adopted, Desktop, DesktopInfo, Journal, Mode, OpenError, RunningApp, Stage, StageError, StageRequest, UndoGuard,
    UndoRecord, reason,
};
pub use sound::{PrivateSound, SOUND_SCRIPT};

use crate::app::MarkedApp;
use crate::detect::Environment;
use crate::ipc::SwayIpc;
use crate::keyboard::{self, FoundLayout};
use crate::output::{self, ModeError};
use crate::record::{BACKEND_PRIVATE, PrivateRecord};
use crate::stage::SwayStage;
use launch::Running;

/// Makes a headless sway for every identity.
#[derive(Debug)]
pub struct PrivateDesktop {
    config: PrivateConfig,
    environment: Environment,
    keyboard: FoundLayout,
    version: String,
    /// Found with the first desktop that ran.
    protocols: Mutex<Vec<String>>,
    spare: Mutex<Option<Running>>,
}

impl PrivateDesktop {
    /// Looks whether the programs are there; starts no desktop. `configured` is the keyboard layout of the
    /// configuration file.
    ///
    /// # Errors
    /// [`OpenError`] with `desktop.missing` when sway is not installed, `desktop.root` when it would run as root.
    pub fn new(
        config: PrivateConfig,
        environment: Environment,
        configured: Option<KeyboardLayout>,
    ) -> Result<Self, OpenError> {
        if config.owner.is_none() && rustix::process::geteuid().is_root() {
            let detail = "sway refuses root".to_owned();
            return Err(OpenError { reason: &reason::DESKTOP_ROOT, detail });
        }
        let version = launch::sway_version(&config, &environment)
            .map_err(|detail| OpenError { reason: &reason::DESKTOP_MISSING, detail })?;
        let keyboard = keyboard::find(&[], &environment, configured.as_ref());
        Ok(Self { config, environment, keyboard, version, protocols: Mutex::default(), spare: Mutex::default() })
    }

    fn start(&self, journal: &Arc<dyn Journal>, identity: Option<&str>, mode: Mode) -> Result<Running, OpenError> {
        Running::start(&self.config, &self.environment, &self.keyboard.layout, journal, identity, mode)
    }

    fn stage(&self, running: Running, mode: Mode, scale: f64) -> SwayStage {
        let mut protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        if protocols.is_empty() {
            *protocols = punktfunk_capture::globals(&running.sockets.display).unwrap_or_default();
        }
        drop(protocols);
        let (sockets, output) = (running.sockets.clone(), running.output.clone());
        let sound = PrivateSound { runtime_dir: running.runtime_dir().to_owned() };
        SwayStage::new(sockets, output, mode, self.keyboard.clone(), Box::new(running))
            .with_sound(Arc::new(sound))
            .with_scale(scale)
    }

    fn take_spare(&self) -> Option<Running> {
        let mut running = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        crate::stage::Backing::is_alive(&mut running).then_some(running)
    }
}

impl Desktop for PrivateDesktop {
    fn info(&self) -> DesktopInfo {
        DesktopInfo {
            name: "private-sway".to_owned(),
            version: self.version.clone(),
            protocols: self.protocols.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            wire_id: crate::WIRE_ID_WLROOTS,
            private: true,
        }
    }

    fn keyboard_layout(&self) -> Option<String> {
        Some(self.keyboard.to_string())
    }

    fn check_keyboard_layout(&self, layout: &str) -> Result<(), StageError> {
        keyboard::of_client(layout).map(drop)
    }

    fn open(&self, request: &StageRequest, journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        output::check(request.mode).map_err(|e| ModeError::Refused(e).into_open_error())?;
        let mut running = match self.take_spare() {
            Some(mut spare) => {
                spare.assign(&request.identity)?;
                spare
            }
            None => self.start(journal, Some(&request.identity), request.mode)?,
        };
        let mut ipc = SwayIpc::connect(&running.sockets.ipc).map_err(open_failed)?;
        output::set_mode(&mut ipc, &running.output, request.mode, "").map_err(ModeError::into_open_error)?;
        running.show(&mut ipc, &self.config, &self.environment, &request.name)?;
        Ok(Box::new(self.stage(running, request.mode, 1.0)))
    }

    fn warm(&self, journal: &Arc<dyn Journal>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.as_mut().is_some_and(crate::stage::Backing::is_alive) {
            return;
        }
        match self.start(journal, None, SPARE_MODE) {
            Ok(running) => *spare = Some(running),
            Err(e) => tracing::warn!("no warm spare: {e}"),
        }
    }

    fn adopt(&self, record: &UndoRecord, guard: UndoGuard) -> Option<Adopted> {
        if record.backend != BACKEND_PRIVATE {
            return None;
        }
        let private: PrivateRecord = serde_json::from_str(&record.change).ok()?;
        let identity = private.identity.clone();
        // What cannot be taken over ends here: dropping `running` undoes it.
        let running = Running::adopt(private, guard)?;
        let mut ipc = SwayIpc::connect(&running.sockets.ipc).ok()?;
        let outputs = ipc.outputs().ok()?;
        let output = outputs.iter().find(|o| o.name == running.output)?;
        let (mode, scale) = (output::mode_of(output)?, output.scale.unwrap_or(1.0));
        Some(Adopted { identity: identity?, stage: Box::new(self.stage(running, mode, scale)) })
    }

    fn app(&self, token: &str) -> Option<Box<dyn RunningApp>> {
        MarkedApp::find(token)
    }
}

fn open_failed(detail: impl ToString) -> OpenError {
    OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail: detail.to_string() }
}

/// The commonest first guess; the mode is set anew when the spare is taken.
const SPARE_MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
