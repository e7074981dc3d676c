//! The built-in desktop: a compositor of our own for every client identity, in a process of its own (the host's binary,
//! started anew), with the same family, runtime folder, bus, sound and programs as a private sway.
//!
//! ```text
//! warm ─► spare (a worker without programs) ──┐
//! open ─► take the spare, or start one ───────┴─► mode ─► programs ─► stage ─► drop: family ended, folder removed
//! adopt(record) ─► the same stage in a new host
//! ```

mod stage;
mod worker;

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{
    Adopted, Desktop, DesktopInfo, Journal, Mode, OpenError, Reason, RunningApp, Stage, StageError, StageRequest,
    UndoGuard, UndoRecord, reason,
};

use crate::app::MarkedApp;
use crate::detect::Environment;
use crate::keyboard::{self, FoundLayout};
use crate::private::PrivateConfig;
use crate::record::{BACKEND_BUILTIN, PrivateRecord};
use stage::BuiltinStage;
use worker::Worker;

/// Makes a compositor for every identity.
#[derive(Debug)]
pub struct BuiltinDesktop {
    config: PrivateConfig,
    /// The command that runs [`punktfunk_compositor::run_worker`].
    command: Vec<OsString>,
    environment: Environment,
    keyboard: FoundLayout,
    /// Found with the first desktop that ran.
    protocols: Mutex<Vec<String>>,
    spare: Mutex<Option<Worker>>,
}

impl BuiltinDesktop {
    /// Needs nothing but the host's own binary; starts nothing. `command` runs [`punktfunk_compositor::run_worker`],
    /// `configured` is the keyboard layout of the configuration file.
    #[must_use]
    pub fn new(
        config: PrivateConfig,
        command: Vec<OsString>,
        environment: Environment,
        configured: Option<&KeyboardLayout>,
    ) -> Self {
        let keyboard = keyboard::of_builtin(&environment, configured);
        Self { config, command, environment, keyboard, protocols: Mutex::default(), spare: Mutex::default() }
    }

    fn start(&self, journal: &Arc<dyn Journal>, identity: Option<&str>, mode: Mode) -> Result<Worker, OpenError> {
        let layout = &self.keyboard.layout;
        Worker::start(&self.config, &self.command, &self.environment, layout, journal, identity, mode)
    }

    fn stage(&self, worker: Worker, mode: Mode, scale: f64, fresh: bool) -> BuiltinStage {
        let mut protocols = self.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        if protocols.is_empty() {
            *protocols = punktfunk_capture::globals(&worker.display()).unwrap_or_default();
        }
        drop(protocols);
        BuiltinStage::new(worker, mode, scale, self.keyboard.clone(), fresh)
    }

    fn take_spare(&self) -> Option<Worker> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        spare.is_alive().then_some(spare)
    }
}

impl Desktop for BuiltinDesktop {
    fn info(&self) -> DesktopInfo {
        DesktopInfo {
            name: NAME.to_owned(),
            version: concat!("built-in ", env!("CARGO_PKG_VERSION")).to_owned(),
            protocols: self.protocols.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            wire_id: WIRE_ID_OTHER,
            private: true,
        }
    }

    fn keyboard_layout(&self) -> Option<String> {
        Some(self.keyboard.to_string())
    }

    fn check_keyboard_layout(&self, layout: &str) -> Result<(), StageError> {
        keyboard::of_client(layout).map(drop)
    }

    fn touch(&self) -> Result<(), &'static Reason> {
        Ok(())
    }

    fn open(&self, request: &StageRequest, journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        punktfunk_compositor::check_mode(request.mode, 1.0)
            .map_err(|detail| OpenError { reason: &reason::DESKTOP_MODE_REFUSED, detail })?;
        let mut worker = match self.take_spare() {
            Some(mut spare) => {
                spare.assign(&request.identity)?;
                spare
            }
            None => self.start(journal, Some(&request.identity), request.mode)?,
        };
        worker.set_mode(request.mode)?;
        worker.show(&self.config, &self.environment, &request.name)?;
        Ok(Box::new(self.stage(worker, request.mode, 1.0, true)))
    }

    fn warm(&self, journal: &Arc<dyn Journal>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.as_mut().is_some_and(Worker::is_alive) {
            return;
        }
        match self.start(journal, None, SPARE_MODE) {
            Ok(worker) => *spare = Some(worker),
            Err(e) => tracing::warn!("no warm spare: {e}"),
        }
    }

    fn adopt(&self, record: &UndoRecord, guard: UndoGuard) -> Option<Adopted> {
        if record.backend != BACKEND_BUILTIN {
            return None;
        }
        let private: PrivateRecord = serde_json::from_str(&record.change).ok()?;
        let identity = private.identity.clone();
        // What cannot be taken over ends here: dropping it undoes it.
        let (worker, mode, scale) = Worker::adopt(&self.config, private, guard)?;
        Some(Adopted { identity: identity?, stage: Box::new(self.stage(worker, mode, scale, false)) })
    }

    fn app(&self, token: &str) -> Option<Box<dyn RunningApp>> {
        MarkedApp::find(token)
    }
}

/// `DesktopInfo::name`, and the name of the candidate.
pub const NAME: &str = "private-builtin";
/// `Welcome.compositor` knows no number for it.
const WIRE_ID_OTHER: u8 = 0;
/// The commonest first guess; the mode is set anew when the spare is taken.
const SPARE_MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
