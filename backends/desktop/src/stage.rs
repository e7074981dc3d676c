//! The stage on a sway output, whoever made the output.

use std::path::Path;
use std::sync::Arc;

use punktfunk_media::{
    AppSpec, AudioError, CaptureError, Capturer, Clipboard, ClipboardError, InjectError, Injector, JournalError, Keep,
    LaunchError, Mode, RunningApp, Sound, Stage, StageEnvironment, StageError, StageWindow, WindowError, reason,
};

use punktfunk_compositor::X11_DISPLAYS_FILE;
use punktfunk_inject::LiveLayout;

use crate::app::{self, MarkedApp, Starter};
use crate::ipc::SwayIpc;
use crate::keyboard::{self, FoundLayout};
use crate::output;
use crate::touch::{NoTouch, TouchDevices};
use crate::wlroots::SessionSockets;

/// What a stage stands on. Dropping it undoes it.
pub trait Backing: Send {
    /// Whether the compositor still runs. Cheap.
    fn is_alive(&mut self) -> bool;

    /// What leads to its session bus and marks its members; the sockets are the stage's to name.
    fn environment(&self) -> StageEnvironment {
        StageEnvironment::default()
    }

    /// A program with this mark is about to be started: it must end with what this stands on.
    ///
    /// # Errors
    /// The journal cannot be written; then nothing is started.
    fn about_to_start(&mut self, _mark: &str) -> Result<(), JournalError> {
        Ok(())
    }

    /// Where programs show that a client starts; `None`: wherever the person's session puts them.
    fn workspace_of_programs(&self) -> Option<&'static str> {
        None
    }

    /// Writes down how long it is kept, if it can live on without this host; see [`Stage::keep`].
    fn keep(&mut self, _keep: Keep) -> bool {
        false
    }
}

/// An output of a sway.
pub struct SwayStage {
    sockets: SessionSockets,
    output: String,
    mode: Mode,
    scale_percent: u32,
    /// The desktop's own.
    keyboard: FoundLayout,
    /// Its client's, if it has one.
    own_keyboard: Option<FoundLayout>,
    /// The one of them that injectors have.
    layout: LiveLayout,
    /// Keeps a pointer and a keyboard on the seat between sessions. Without, programs would lose the seat's keyboard
    /// whenever a client leaves, and the first keys of the next one. `None` where the compositor takes no input.
    keeper: Option<Box<dyn Injector>>,
    /// Touch and pen; `None`: there is none. Before the output that it is mapped to.
    touch: Option<TouchDevices>,
    // After the keeper, which hangs on it.
    backing: Box<dyn Backing>,
    /// What is heard on it; `None`: nothing.
    sound: Option<Arc<dyn Sound>>,
    /// The programs that were started.
    programs: Vec<MarkedApp>,
    /// Nobody watches: the output runs at [`RESTING_HZ`], and with it everything that moves.
    resting: bool,
}

impl SwayStage {
    /// A stage on `output`, which has `mode`.
    pub fn new(
        sockets: SessionSockets,
        output: String,
        mode: Mode,
        keyboard: FoundLayout,
        backing: Box<dyn Backing>,
    ) -> Self {
        let layout = LiveLayout::new(keyboard.layout.clone());
        let keeper = punktfunk_inject::open(&sockets.display, &output, &layout)
            .inspect_err(|e| tracing::warn!(output, "no input on this desktop: {e}"))
            .ok();
        tracing::info!(output, %mode, %keyboard, "stage open");
        Self {
            sockets,
            output,
            mode,
            scale_percent: 100,
            keyboard,
            own_keyboard: None,
            layout,
            keeper,
            touch: None,
            backing,
            sound: None,
            programs: Vec::new(),
            resting: false,
        }
    }

    /// The same with sound.
    pub fn with_sound(self, sound: Arc<dyn Sound>) -> Self {
        Self { sound: Some(sound), ..self }
    }

    /// The same on an output with `scale` pixels per logical pixel; 1 unless said.
    pub fn with_scale(self, scale: f64) -> Self {
        // A sway's scale is at most two digits.
        Self { scale_percent: (scale * 100.0).round() as u32, ..self }
    }

    /// The same with touch and pen.
    pub fn with_touch(self, touch: TouchDevices) -> Self {
        Self { touch: Some(touch), ..self }
    }
}

impl SwayStage {
    fn layout_in_use(&self) -> &FoundLayout {
        self.own_keyboard.as_ref().unwrap_or(&self.keyboard)
    }

    /// Tells sway where to go on. Only the view depends on it.
    fn go(&self, command: &str) {
        if let Err(e) = SwayIpc::connect(&self.sockets.ipc).and_then(|mut ipc| ipc.command(command)) {
            tracing::warn!(output = self.output, "programs may show elsewhere: {e}");
        }
    }

    /// A command for one of the output's own windows.
    fn tell_window(&mut self, id: u64, command: &str) -> Result<(), WindowError> {
        if !self.windows()?.iter().any(|window| window.id == id) {
            let detail = format!("there is no window {id}");
            return Err(WindowError { reason: &reason::DISPLAY_WINDOW_NOT_FOUND, detail });
        }
        let done =
            SwayIpc::connect(&self.sockets.ipc).and_then(|mut ipc| ipc.command(&format!("[con_id={id}] {command}")));
        done.map_err(|e| WindowError { reason: &reason::DISPLAY_WINDOWS_UNKNOWN, detail: e.to_string() })
    }

    /// Slows the output down, or back to its mode.
    fn rest(&mut self, resting: bool) -> Result<(), StageError> {
        if self.resting != resting {
            let slow = Mode { refresh_hz: RESTING_HZ.min(self.mode.refresh_hz), ..self.mode };
            let (old, new) = if resting { (self.mode, slow) } else { (slow, self.mode) };
            output::change_mode(&self.sockets.ipc, &self.output, old, new)?;
            self.resting = resting;
        }
        Ok(())
    }
}

impl Stage for SwayStage {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        self.mode = output::change_mode(&self.sockets.ipc, &self.output, self.mode, mode)?;
        self.resting = false;
        tracing::info!(output = self.output, %mode, "mode changed");
        Ok(self.mode)
    }

    fn scale_percent(&self) -> u32 {
        self.scale_percent
    }

    fn set_scale_percent(&mut self, percent: u32) -> Result<(), StageError> {
        output::change_scale(&self.sockets.ipc, &self.output, percent)?;
        self.scale_percent = percent;
        tracing::info!(output = self.output, percent, "scale changed");
        Ok(())
    }

    fn set_keyboard_layout(&mut self, layout: Option<&str>) -> Result<(), StageError> {
        let own = layout.map(keyboard::of_client).transpose()?;
        if own != self.own_keyboard {
            self.own_keyboard = own;
            self.layout.set(self.layout_in_use().layout.clone());
            tracing::info!(output = self.output, keyboard = %self.layout_in_use(), "keyboard layout changed");
        }
        Ok(())
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        self.program_ended();
        self.rest(false).map_err(|e| CaptureError { reason: e.reason, detail: e.detail, fatal: e.fatal })?;
        punktfunk_capture::open(&self.sockets.display, &self.output)
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        let open = || punktfunk_inject::open(&self.sockets.display, &self.output, &self.layout);
        let injector = open()?;
        // A fresh one, since nobody reads what the compositor tells the keeper, and its buffers are finite.
        self.keeper = open().ok();
        let Some(touch) = &mut self.touch else { return Ok(injector) };
        touch.on(injector).or_else(|(NoTouch { reason, detail }, injector)| {
            tracing::warn!(code = reason.code, output = self.output, "no touch and no pen: {detail}");
            self.touch = None;
            Ok(injector)
        })
    }

    fn windows(&mut self) -> Result<Vec<StageWindow>, WindowError> {
        let tree = SwayIpc::connect(&self.sockets.ipc).and_then(|mut ipc| ipc.tree());
        let tree = tree.map_err(|e| WindowError { reason: &reason::DISPLAY_WINDOWS_UNKNOWN, detail: e.to_string() })?;
        Ok(tree.windows_on(&self.output))
    }

    fn focus_window(&mut self, id: u64) -> Result<(), WindowError> {
        self.tell_window(id, "focus")
    }

    fn close_window(&mut self, id: u64) -> Result<(), WindowError> {
        self.tell_window(id, "kill")
    }

    fn launch(&mut self, spec: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        let mark = app::new_mark()?;
        self.backing.about_to_start(&mark).map_err(|e| LaunchError { reason: e.reason(), detail: e.to_string() })?;
        // In somebody's session their own output may have the focus, and windows open where that is.
        let mut place = format!("focus output {}", self.output);
        if let Some(workspace) = self.backing.workspace_of_programs() {
            place += &format!("; workspace {workspace}");
        }
        self.go(&place);
        let member = self.backing.environment().member.map(|(name, value)| format!("{name}={value}"));
        let dir = self.sockets.ipc.parent().unwrap_or(Path::new("/")).to_owned();
        let started = app::launch(&dir, &mut OnSway(&self.sockets.ipc), spec, &mark, member.as_deref())?;
        self.programs.push(MarkedApp::of(&started.token()));
        Ok(Box::new(started))
    }

    fn program_ended(&mut self) {
        let before = self.programs.len();
        self.programs.retain(RunningApp::is_running);
        if before > 0 && self.programs.is_empty() && self.backing.workspace_of_programs().is_some() {
            // The programs' workspace is empty, and somebody looks.
            self.go("workspace number 1");
        }
    }

    fn environment(&self) -> StageEnvironment {
        let mut environment = self.backing.environment();
        let sockets = [("WAYLAND_DISPLAY", &self.sockets.display), ("SWAYSOCK", &self.sockets.ipc)];
        let sockets = sockets.map(|(name, path)| (name.to_owned(), path.display().to_string()));
        environment.display.extend(sockets);
        if let Some(number) = self.sockets.ipc.parent().and_then(x11_display) {
            environment.display.push(("DISPLAY".to_owned(), format!(":{number}")));
        }
        environment
    }

    fn sound(&mut self) -> Result<Arc<dyn Sound>, AudioError> {
        let none = || AudioError {
            reason: &reason::AUDIO_UNSUPPORTED,
            detail: "this session has no sound server".to_owned(),
            fatal: true,
        };
        self.sound.clone().ok_or_else(none)
    }

    fn clipboard(&mut self) -> Result<Arc<dyn Clipboard>, ClipboardError> {
        punktfunk_clipboard::find(&self.sockets.display)
    }

    fn is_alive(&mut self) -> bool {
        self.backing.is_alive()
    }

    fn keyboard_layout(&self) -> String {
        self.layout_in_use().to_string()
    }

    fn keep(&mut self, keep: Keep) -> bool {
        let kept = self.backing.keep(keep);
        // A kept desktop whose wave nobody sees need not draw it at full rate.
        if let Err(e) = self.rest(kept && keep.lease_until_ms.is_some()) {
            tracing::debug!(output = self.output, "the output keeps its pace: {e}");
        }
        kept
    }
}

/// Number of the X11 display of the private desktop with this runtime folder, where X11 programs run.
pub fn x11_display(runtime_dir: &Path) -> Option<u32> {
    let numbers = std::fs::read_to_string(runtime_dir.join(X11_DISPLAYS_FILE)).ok()?;
    numbers.lines().next()?.parse().ok()
}

struct OnSway<'a>(&'a Path);

impl Starter for OnSway<'_> {
    fn start(&mut self, script: &Path, mark: &str) -> Result<(), String> {
        let mut sway = SwayIpc::connect(self.0).map_err(|e| e.to_string())?;
        // The second `exec` is the shell's, so that no process without the mark waits for one with it.
        let command = format!("exec exec env {mark} sh '{}'", script.display());
        sway.command(&command).map_err(|e| e.to_string())
    }
}

/// Slow enough to cost nothing, fast enough that a picture that is under way does not hold the next client up.
const RESTING_HZ: u32 = 5;
