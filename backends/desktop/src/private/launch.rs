//! Starting, finding again and taking over one headless sway.

use std::ffi::{OsStr, OsString};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{
    Gpu, GpuChoice, GpuTrouble, Journal, Keep, Mode, OpenError, StageEnvironment, UndoGuard, reason,
};

use super::config::PrivateConfig;
use super::family::{Family, Recipe, path, prefixed};
use super::{content, open_failed};
use crate::detect::Environment;
use crate::ipc::SwayIpc;
use crate::record::{BACKEND_PRIVATE, PrivateRecord};
use crate::stage::Backing;
use crate::wlroots::SessionSockets;

/// A running private sway. Dropping it ends it with everything on it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub sockets: SessionSockets,
    /// Its only output.
    pub output: String,
    family: Family,
}

impl Running {
    /// Starts a sway at `mode` and waits until it is ready. One that cannot draw with the chosen GPU is started again
    /// without, and the trouble told: a session matters more than what draws it.
    pub fn start(
        config: &PrivateConfig,
        environment: &Environment,
        keyboard: &KeyboardLayout,
        journal: &Arc<dyn Journal>,
        identity: Option<&str>,
        mode: Mode,
    ) -> Result<Self, OpenError> {
        let start = |gpu| Self::start_with(config, environment, keyboard, journal, identity, mode, gpu);
        match config.gpu.choice() {
            GpuChoice::One(gpu) if config.gpu.trouble().is_none() => start(Some(gpu)).or_else(|failed| {
                let running = start(None)?;
                tracing::warn!("{}: {}", reason::GPU_FAILED, failed.detail);
                config.gpu.tell(GpuTrouble { reason: &reason::GPU_FAILED, detail: failed.detail });
                Ok(running)
            }),
            _ => start(None),
        }
    }

    fn start_with(
        config: &PrivateConfig,
        environment: &Environment,
        keyboard: &KeyboardLayout,
        journal: &Arc<dyn Journal>,
        identity: Option<&str>,
        mode: Mode,
        gpu: Option<&Gpu>,
    ) -> Result<Self, OpenError> {
        let started = Instant::now();
        let x11 = punktfunk_compositor::find_xwayland(OsStr::new(path(environment))).is_some();
        let recipe = Recipe {
            backend: BACKEND_PRIVATE,
            files: &content::files(&config.content, mode, x11),
            socket: IPC_SOCKET,
            variables: &|dir| variables(dir, gpu),
            words: &[],
        };
        let mut family = Family::start(config, environment, keyboard, journal, identity, &recipe)?;
        let sockets = family.wait_ready(|dir| {
            let ipc = dir.join(IPC_SOCKET);
            let active = SwayIpc::connect(&ipc)
                .and_then(|mut ipc| ipc.outputs())
                .is_ok_and(|outputs| outputs.iter().any(|o| o.active && o.name == OUTPUT));
            if active { SessionSockets::beside(&ipc) } else { None }
        })?;
        tracing::info!(dir = %family.runtime_dir().display(), took = ?started.elapsed(), "private desktop started");
        Ok(Self { sockets, output: OUTPUT.to_owned(), family })
    }

    /// Takes over one that an earlier host started. `None` when it is gone; what was left of it is then removed.
    pub fn adopt(record: PrivateRecord, guard: UndoGuard) -> Option<Self> {
        let ipc = record.runtime_dir.join(IPC_SOCKET);
        let family = Family::adopt(record, BACKEND_PRIVATE, guard)?;
        let sockets = SessionSockets::beside(&ipc)?;
        tracing::info!(dir = %family.runtime_dir().display(), "private desktop taken over");
        Some(Self { sockets, output: OUTPUT.to_owned(), family })
    }

    /// Its own runtime folder.
    pub fn runtime_dir(&self) -> &Path {
        self.family.runtime_dir()
    }

    /// Makes the spare somebody's own.
    pub fn assign(&mut self, identity: &str) -> Result<(), OpenError> {
        self.family.assign(identity)
    }

    /// Starts the programs that are to be seen.
    pub fn show(
        &mut self,
        ipc: &mut SwayIpc,
        config: &PrivateConfig,
        environment: &Environment,
        name: &str,
    ) -> Result<(), OpenError> {
        for script in self.family.write_programs(config, environment, name)? {
            ipc.command(&format!("exec sh '{}'", script.display())).map_err(open_failed)?;
        }
        Ok(())
    }
}

impl Backing for Running {
    fn is_alive(&mut self) -> bool {
        // A killed process closes its sockets a moment before it counts as ended.
        self.family.is_alive() && UnixStream::connect(&self.sockets.ipc).is_ok()
    }

    fn environment(&self) -> StageEnvironment {
        self.family.environment()
    }

    fn workspace_of_programs(&self) -> Option<&'static str> {
        Some(content::PROGRAMS)
    }

    fn keep(&mut self, keep: Keep) -> bool {
        self.family.keep(keep)
    }
}

/// wlroots' variables are those of its `docs/env_vars.md`.
fn variables(dir: &Path, gpu: Option<&Gpu>) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![
        ("SWAYSOCK", dir.join(IPC_SOCKET).into_os_string()),
        ("XDG_CURRENT_DESKTOP", "sway".into()),
        ("WLR_BACKENDS", "headless".into()),
        ("WLR_RENDERER", if gpu.is_some() { "gles2" } else { "pixman" }.into()),
        ("WLR_LIBINPUT_NO_DEVICES", "1".into()),
    ];
    variables.extend(gpu.map(|gpu| ("WLR_RENDER_DRM_DEVICE", gpu.node.clone().into_os_string())));
    variables
}

/// Version of the sway that would be started.
pub fn sway_version(config: &PrivateConfig, environment: &Environment) -> Result<String, String> {
    let mut command = prefixed(config, "sway").map_err(|e| e.to_string())?;
    command.arg("--version").env_clear().env("PATH", path(environment)).stdin(Stdio::null());
    let output = command.output().map_err(|e| format!("sway: {e}"))?;
    if !output.status.success() {
        return Err(format!("sway --version: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().replace("sway version", "sway"))
}

/// A headless sway's first output; a private one has no other.
const OUTPUT: &str = "HEADLESS-1";
const IPC_SOCKET: &str = "sway.sock";
