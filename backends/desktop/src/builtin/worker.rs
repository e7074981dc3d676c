//! Starting, finding again and taking over one worker.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use punktfunk_compositor::{CONTROL_SOCKET, DISPLAY_SOCKET, LinkError, WorkerLink};
use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{Journal, Mode, OpenError, UndoGuard, reason};

use crate::detect::Environment;
use crate::private::{Family, PrivateConfig, Recipe, SOUND_SCRIPT, builtin_files};
use crate::record::{BACKEND_BUILTIN, PrivateRecord};
use crate::stage::x11_display;

/// A running worker. Dropping it ends it with everything on it.
#[derive(Debug)]
pub struct Worker {
    /// What answers.
    pub link: WorkerLink,
    /// Whom it runs as.
    owner: u32,
    /// Its processes and its folder.
    pub family: Family,
}

impl Worker {
    /// Starts a worker at `mode` and waits until it answers.
    pub fn start(
        config: &PrivateConfig,
        command: &[OsString],
        environment: &Environment,
        keyboard: &KeyboardLayout,
        journal: &Arc<dyn Journal>,
        identity: Option<&str>,
        mode: Mode,
    ) -> Result<Self, OpenError> {
        let started = Instant::now();
        let words: Vec<_> = command.iter().cloned().chain([mode.to_string().into(), SOUND_SCRIPT.into()]).collect();
        let recipe = Recipe {
            backend: BACKEND_BUILTIN,
            files: &builtin_files(),
            socket: CONTROL_SOCKET,
            variables: &|_| vec![("XDG_CURRENT_DESKTOP", "punktfunk".into())],
            words: &words,
        };
        let mut family = Family::start(config, environment, keyboard, journal, identity, &recipe)?;
        let owner = owner(config);
        let link = family.wait_ready(|dir| WorkerLink::connect(dir, owner).ok())?;
        tracing::info!(dir = %family.runtime_dir().display(), took = ?started.elapsed(), "built-in desktop started");
        Ok(Self { link, owner, family })
    }

    /// Takes over one that an earlier host started, with its mode and scale. `None` when it is gone; what was left of it is then
    /// removed.
    pub fn adopt(config: &PrivateConfig, record: PrivateRecord, guard: UndoGuard) -> Option<(Self, Mode, f64)> {
        let family = Family::adopt(record, BACKEND_BUILTIN, guard)?;
        let owner = owner(config);
        let mut link = WorkerLink::connect(family.runtime_dir(), owner).ok()?;
        let (mode, scale) = link.mode_and_scale().ok()?;
        tracing::info!(dir = %family.runtime_dir().display(), "built-in desktop taken over");
        Some((Self { link, owner, family }, mode, scale))
    }

    /// Its Wayland socket.
    pub fn display(&self) -> PathBuf {
        self.family.runtime_dir().join(DISPLAY_SOCKET)
    }

    /// Number of its X11 display, where an Xwayland is installed.
    pub fn x11_display(&self) -> Option<u32> {
        x11_display(self.family.runtime_dir())
    }

    /// Whether it lives and answers.
    pub fn is_alive(&mut self) -> bool {
        self.family.is_alive() && (self.link.mode().is_ok() || self.connect_again())
    }

    /// A connection that broke once may be one that was cut, not a worker that ended.
    fn connect_again(&mut self) -> bool {
        match WorkerLink::connect(self.family.runtime_dir(), self.owner) {
            Ok(link) => self.link = link,
            Err(_) => return false,
        }
        self.link.mode().is_ok()
    }

    /// Makes the spare somebody's own.
    pub fn assign(&mut self, identity: &str) -> Result<(), OpenError> {
        self.family.assign(identity)
    }

    /// Gives it the mode that it is opened with.
    pub fn set_mode(&mut self, mode: Mode) -> Result<(), OpenError> {
        self.link.set_mode(mode, None).map(drop).map_err(|error| {
            let reason = match &error {
                LinkError::Refused(_) => &reason::DESKTOP_MODE_REFUSED,
                LinkError::Gone { .. } => &reason::DESKTOP_OPEN_FAILED,
            };
            OpenError { reason, detail: error.to_string() }
        })
    }

    /// Starts the programs that are to be seen.
    pub fn show(&mut self, config: &PrivateConfig, environment: &Environment, name: &str) -> Result<(), OpenError> {
        for script in self.family.write_programs(config, environment, name)? {
            self.start_script(&script, &[], None)
                .map_err(|e| OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail: e.to_string() })?;
        }
        Ok(())
    }

    /// Starts a script on it; with a title, for somebody.
    pub fn start_script(&mut self, script: &Path, env: &[String], title: Option<&str>) -> Result<(), LinkError> {
        self.link.start(script, env, title)
    }
}

fn owner(config: &PrivateConfig) -> u32 {
    config.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid)
}
