//! A running sway session: an output for every client, beside the person's own.
//!
//! ```text
//! open:  record ─► create_output (or take a parked one, sway < 1.8) ─► mode, focus ─► stage
//! drop:  unplug, or park where sway cannot unplug ─► record removed
//! ```
//!
//! An output is never given a place: sway puts one without a place to the right of all others, and keeps the person's
//! own where they are. (One that we placed would push those aside that have no place of their own.)
//!
//! Sway 1.7 can neither remove nor disable a headless output. It is *parked*: its windows go to another output, it
//! shrinks to 16x16 at 1 Hz, where it costs nothing, and the next stage takes it. The mode marks it, so that a later
//! host knows it too.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use punktfunk_audio::{DesktopSound, PipeWire};
use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{
    AudioPolicyCell, Desktop, DesktopInfo, Journal, JournalError, Mode, OpenError, Reason, RunningApp, SoundState,
    Stage, StageError, StageRequest, UndoGuard, UndoRecord, reason,
};

use crate::app::{AppRecord, MarkedApp, end_app};
use crate::detect::Environment;
use crate::ipc::{Input, IpcError, Output, SwayIpc, Version, peer_pid};
use crate::keyboard::{self, FoundLayout};
use crate::output::{self, ModeError};
use crate::process::{ProcessId, family};
use crate::record::{BACKEND_APP, BACKEND_WLROOTS, OutputRecord, no_journal};
use crate::stage::{Backing, SwayStage};
use crate::touch::{self, NoTouch, TouchDevices};

/// Where a running sway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSockets {
    /// Its IPC socket.
    pub ipc: PathBuf,
    /// Its Wayland socket.
    pub display: PathBuf,
}

impl SessionSockets {
    /// Every running session that the environment leads to, each with the reason, best first: `SWAYSOCK`, then the
    /// sockets in `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn find(environment: &Environment) -> Vec<(Self, String)> {
        let runtime_dir = environment.runtime_dir();
        let mut ipc_paths: Vec<(PathBuf, String)> = Vec::new();
        if let Some(path) = environment.get("SWAYSOCK") {
            ipc_paths.push((path.into(), "SWAYSOCK in the environment".to_owned()));
        }
        for path in runtime_dir.iter().flat_map(|dir| sockets_in(dir, "sway-ipc.")) {
            if ipc_paths.iter().all(|(known, _)| *known != path) {
                let why = format!("IPC socket {}", path.display());
                ipc_paths.push((path, why));
            }
        }
        let named = environment.get("WAYLAND_DISPLAY").map(|name| match &runtime_dir {
            Some(dir) => dir.join(name),
            None => PathBuf::from(name),
        });
        ipc_paths
            .into_iter()
            .filter_map(|(ipc, why)| {
                let display = Self::display_of(&ipc, named.as_deref(), runtime_dir.as_deref())?;
                Some((Self { ipc, display }, why))
            })
            .collect()
    }

    /// The sockets of the sway whose IPC socket is `ipc`, with its Wayland socket beside it.
    pub fn beside(ipc: &Path) -> Option<Self> {
        let display = Self::display_of(ipc, None, ipc.parent())?;
        Some(Self { ipc: ipc.to_owned(), display })
    }

    /// The Wayland socket that the same process listens at. Where the system does not tell, the named one.
    fn display_of(ipc: &Path, named: Option<&Path>, runtime_dir: Option<&Path>) -> Option<PathBuf> {
        let listener = |path: &Path| UnixStream::connect(path).and_then(peer_pid).ok();
        let sway = listener(ipc)?;
        let beside = [ipc.parent(), runtime_dir].into_iter().flatten().flat_map(|dir| sockets_in(dir, "wayland-"));
        named
            .map(Path::to_owned)
            .into_iter()
            .chain(beside)
            .find(|path| listener(path) == Some(sway))
            .or_else(|| named.filter(|path| listener(path).is_some()).map(Path::to_owned))
    }
}

fn sockets_in(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries
        .flatten()
        .filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with(prefix) && !n.ends_with(".lock")))
        .map(|e| e.path())
        .collect();
    paths.sort_unstable();
    paths
}

/// A running sway session, shared by all clients.
#[derive(Debug)]
pub struct WlrootsDesktop {
    sockets: SessionSockets,
    sway: ProcessId,
    version: Version,
    info: DesktopInfo,
    environment: Environment,
    configured: Option<KeyboardLayout>,
    /// What its programs play; `None`: nothing says where its PipeWire would be.
    sound: Option<Arc<DesktopSound>>,
    /// Outputs that stages of this host use now. Held while one is made, so that two stages never claim the same.
    in_use: Arc<Mutex<Vec<String>>>,
}

impl WlrootsDesktop {
    /// Looks at the session behind `sockets`. `configured` is the keyboard layout of the configuration file, `audio` says
    /// who hears the session's programs.
    ///
    /// # Errors
    /// [`OpenError`] when it does not answer or lacks a protocol that a stage needs.
    pub fn connect(
        sockets: SessionSockets,
        environment: Environment,
        configured: Option<KeyboardLayout>,
        audio: AudioPolicyCell,
    ) -> Result<Self, OpenError> {
        let mut ipc = SwayIpc::connect(&sockets.ipc).map_err(open_failed)?;
        let version = ipc.version().map_err(open_failed)?;
        let sway = ipc.peer_pid().map_err(open_failed)?;
        let sway = ProcessId::of(sway).ok_or_else(|| open_failed("the session's sway cannot be seen"))?;
        let protocols = punktfunk_capture::globals(&sockets.display)
            .map_err(|e| OpenError { reason: e.reason, detail: e.detail })?;
        if !["ext_image_copy_capture_manager_v1 ", "zwlr_screencopy_manager_v1 3"]
            .iter()
            .any(|wanted| protocols.iter().any(|p| p.starts_with(wanted)))
        {
            let detail = format!("{} offers neither", sockets.display.display());
            return Err(OpenError { reason: &reason::CAPTURE_UNSUPPORTED, detail });
        }
        let info = DesktopInfo {
            name: "sway".to_owned(),
            version: format!("sway {}", version.human_readable),
            protocols,
            wire_id: crate::WIRE_ID_WLROOTS,
            private: false,
        };
        let sound = sound_server(&environment, &sockets).map(|server| DesktopSound::new(server.socket, audio));
        Ok(Self { sockets, sway, version, info, environment, configured, sound, in_use: Arc::default() })
    }

    /// Makes an output, or takes a parked one. Returns its name.
    fn claim(&self, ipc: &mut SwayIpc, guard: &UndoGuard, before: &[Output]) -> Result<String, OpenError> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let reusable = (self.version.major, self.version.minor) < CAN_UNPLUG;
        let old = before.iter().find(|o| reusable && is_parked(o) && !in_use.contains(&o.name));
        let name = match old {
            Some(output) => output.name.clone(),
            None => {
                let known: Vec<_> = ipc.outputs().map_err(open_failed)?.into_iter().map(|o| o.name).collect();
                ipc.command("create_output").map_err(open_failed)?;
                let now = ipc.outputs().map_err(open_failed)?;
                let new = now.into_iter().map(|o| o.name).find(|n| n.starts_with(HEADLESS) && !known.contains(n));
                new.ok_or_else(|| open_failed("create_output made no output"))?
            }
        };
        guard.update(self.record(before, Some(name.clone()))).map_err(no_journal)?;
        in_use.push(name.clone());
        Ok(name)
    }

    /// Devices for touch and pen on the output of `backing`.
    fn touch_on(
        &self,
        output: &str,
        inputs: &[Input],
        ipc: &mut SwayIpc,
        backing: &mut OutputBacking,
    ) -> Result<TouchDevices, NoTouch> {
        touch::possible(inputs, self.sway).map_err(|reason| NoTouch { reason, detail: String::new() })?;
        backing.record.mapped = touch::identifiers(output);
        if let Some(guard) = &backing.guard {
            let recorded = guard.update(crate::record::undo_record(BACKEND_WLROOTS, &backing.record));
            recorded.map_err(|e| NoTouch { reason: e.reason(), detail: e.to_string() })?;
        }
        TouchDevices::plug(&self.sockets.ipc, ipc, output)
    }

    fn layout(&self, ipc: &mut SwayIpc) -> Result<FoundLayout, IpcError> {
        Ok(keyboard::find(&ipc.inputs()?, &self.environment, self.configured.as_ref()))
    }

    fn output_record(&self, before: &[Output], output: Option<String>) -> OutputRecord {
        OutputRecord {
            ipc: self.sockets.ipc.clone(),
            sway: Some(self.sway),
            output,
            before: before.iter().map(|o| o.name.clone()).collect(),
            mapped: Vec::new(),
        }
    }

    fn record(&self, before: &[Output], output: Option<String>) -> UndoRecord {
        crate::record::undo_record(BACKEND_WLROOTS, &self.output_record(before, output))
    }
}

impl Desktop for WlrootsDesktop {
    fn info(&self) -> DesktopInfo {
        self.info.clone()
    }

    fn keyboard_layout(&self) -> Option<String> {
        let layout = SwayIpc::connect(&self.sockets.ipc).and_then(|mut ipc| self.layout(&mut ipc));
        layout.inspect_err(|e| tracing::debug!("no keyboard layout: {e}")).ok().map(|l| l.to_string())
    }

    fn check_keyboard_layout(&self, layout: &str) -> Result<(), StageError> {
        keyboard::of_client(layout).map(drop)
    }

    fn touch(&self) -> Result<(), &'static Reason> {
        let inputs = SwayIpc::connect(&self.sockets.ipc).and_then(|mut ipc| ipc.inputs());
        touch::possible(&inputs.unwrap_or_default(), self.sway)
    }

    fn open(&self, request: &StageRequest, journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        output::check(request.mode).map_err(|e| ModeError::Refused(e).into_open_error())?;
        let mut ipc = SwayIpc::connect(&self.sockets.ipc).map_err(open_failed)?;
        let before = ipc.outputs().map_err(open_failed)?;
        let guard = Arc::clone(journal).record(self.record(&before, None)).map_err(no_journal)?;
        let name = self.claim(&mut ipc, &guard, &before)?;
        // From here on dropping it undoes everything.
        let mut backing = OutputBacking {
            record: self.output_record(&before, Some(name.clone())),
            in_use: Arc::clone(&self.in_use),
            journal: Arc::clone(journal),
            apps: Vec::new(),
            guard: Some(guard),
        };
        let upright = "enable scale 1 transform normal";
        output::set_mode(&mut ipc, &name, request.mode, upright).map_err(ModeError::into_open_error)?;
        ipc.command(&format!("focus output {name}")).map_err(open_failed)?;
        let inputs = ipc.inputs().map_err(open_failed)?;
        let layout = keyboard::find(&inputs, &self.environment, self.configured.as_ref());
        let touch = self.touch_on(&name, &inputs, &mut ipc, &mut backing);
        let mut stage = SwayStage::new(self.sockets.clone(), name, request.mode, layout, Box::new(backing));
        if let Some(sound) = &self.sound {
            stage = stage.with_sound(sound.stage(&request.name, journal));
        }
        Ok(Box::new(match touch {
            Ok(touch) => stage.with_touch(touch),
            Err(NoTouch { reason, detail }) => {
                tracing::info!(code = reason.code, "no touch and no pen: {} {detail}", reason.sentence);
                stage
            }
        }))
    }

    fn app(&self, token: &str) -> Option<Box<dyn RunningApp>> {
        MarkedApp::find(token)
    }

    fn sound_state(&self) -> Option<SoundState> {
        self.sound.as_ref().map(|sound| sound.state())
    }
}

/// The PipeWire of the session that the environment belongs to: where any program would look for it. `None`: nothing
/// tells.
#[must_use]
pub fn session_sound_server(environment: &Environment) -> Option<PipeWire> {
    let folder = environment.get("PIPEWIRE_RUNTIME_DIR").map(PathBuf::from).or_else(|| environment.runtime_dir())?;
    Some(server_in(&folder, environment))
}

/// The same, else the one beside the session's own sockets.
fn sound_server(environment: &Environment, sockets: &SessionSockets) -> Option<PipeWire> {
    session_sound_server(environment).or_else(|| Some(server_in(sockets.ipc.parent()?, environment)))
}

fn server_in(folder: &Path, environment: &Environment) -> PipeWire {
    // A relative name is one in the folder.
    PipeWire { socket: folder.join(environment.get("PIPEWIRE_REMOTE").unwrap_or("pipewire-0")) }
}

/// An output that we made in somebody's session.
struct OutputBacking {
    record: OutputRecord,
    in_use: Arc<Mutex<Vec<String>>>,
    journal: Arc<dyn Journal>,
    /// Programs that were started on it, by their marks.
    apps: Vec<(String, UndoGuard)>,
    guard: Option<UndoGuard>,
}

impl Backing for OutputBacking {
    fn about_to_start(&mut self, mark: &str) -> Result<(), JournalError> {
        self.apps.retain(|(mark, _)| !family(mark).is_empty());
        let record = crate::record::undo_record(BACKEND_APP, &AppRecord { mark: mark.to_owned() });
        self.apps.push((mark.to_owned(), Arc::clone(&self.journal).record(record)?));
        Ok(())
    }

    fn is_alive(&mut self) -> bool {
        let sway = self.record.sway.is_some_and(ProcessId::is_alive);
        sway && SwayIpc::connect(&self.record.ipc).and_then(|mut ipc| ipc.outputs()).is_ok_and(|all| {
            all.iter().any(|o| o.active && !is_parked(o) && Some(&o.name) == self.record.output.as_ref())
        })
    }
}

impl Drop for OutputBacking {
    fn drop(&mut self) {
        for (mark, guard) in self.apps.drain(..) {
            if let Err(left) = end_app(&mark) {
                tracing::warn!("processes {left:?} of a program did not end; the journal keeps them");
                guard.leave();
            }
        }
        match undo_output(&self.record) {
            Ok(()) => drop(self.guard.take()),
            Err(why) => {
                tracing::warn!(
                    output = self.record.output,
                    why,
                    "the output could not be removed; the journal keeps it"
                );
                if let Some(guard) = self.guard.take() {
                    guard.leave();
                }
            }
        }
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|name| Some(name) != self.record.output.as_ref());
    }
}

/// Removes an output that a host made, if that very sway still runs; where sway cannot remove outputs, it is parked.
pub fn undo_output(record: &OutputRecord) -> Result<(), String> {
    let Ok(mut ipc) = SwayIpc::connect(&record.ipc) else {
        // Nobody listens: the session is gone, and its outputs with it.
        return Ok(());
    };
    let listening = ipc.peer_pid().ok().and_then(ProcessId::of);
    if record.sway.is_some() && listening != record.sway {
        return Ok(());
    }
    // What a host that died had made of it is gone with the host.
    if let Err(e) = touch::unmap(&mut ipc, &record.mapped) {
        // Names of devices that nobody else has: they may stay in sway's memory.
        tracing::debug!("the touch devices stay mapped: {e}");
    }
    let outputs = ipc.outputs().map_err(|e| e.to_string())?;
    let ours = |o: &&Output| match &record.output {
        Some(name) => o.name == *name,
        // Died between "about to make one" and "made it": what came since is it.
        None => o.name.starts_with(HEADLESS) && !record.before.contains(&o.name),
    };
    for output in outputs.iter().filter(ours) {
        match ipc.command(&format!("output {} unplug", output.name)) {
            Ok(()) => {}
            Err(IpcError::Refused { .. }) => park(&mut ipc, output, &outputs)?,
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

fn is_parked(output: &Output) -> bool {
    output.active && output.name.starts_with(HEADLESS) && output::mode_of(output) == Some(PARKED)
}

/// Makes an output that cannot be removed as good as gone.
fn park(ipc: &mut SwayIpc, output: &Output, all: &[Output]) -> Result<(), String> {
    if is_parked(output) {
        return Ok(());
    }
    let shelter = all.iter().find(|o| o.active && o.name != output.name && !is_parked(o));
    if let Some(shelter) = shelter {
        // What is left on it stays reachable for the person. Best effort: without it only windows would be hidden.
        if let Err(e) = evacuate(ipc, &output.name, &shelter.name) {
            tracing::warn!(output = output.name, "windows could not be moved away: {e}");
        }
    }
    output::set_mode(ipc, &output.name, PARKED, "").map(drop).map_err(|e| format!("{e:?}"))
}

/// Moves every window of `from` to `to`, and the focus back to where it was, or to `to`.
fn evacuate(ipc: &mut SwayIpc, from: &str, to: &str) -> Result<(), IpcError> {
    let workspaces = ipc.workspaces()?;
    for workspace in workspaces.iter().filter(|w| w.output == from) {
        for window in &workspace.focus {
            ipc.command(&format!("[con_id={window}] move container to output {to}"))?;
        }
    }
    match workspaces.iter().any(|w| w.focused && w.output == from) {
        true => ipc.command(&format!("focus output {to}")),
        false => Ok(()),
    }
}

fn open_failed(detail: impl ToString) -> OpenError {
    OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail: detail.to_string() }
}

/// How sway names outputs that it makes.
const HEADLESS: &str = "HEADLESS-";
/// The mode of an output that waits for the next stage.
const PARKED: Mode = Mode { width: 16, height: 16, refresh_hz: 1 };
/// The first version that knows `output … unplug`.
const CAN_UNPLUG: (u32, u32) = (1, 8);
