//! Desktops and the stages they open.
//!
//! A desktop opens a [`Stage`]: the output at its final mode, its capturer, its injector, and the guard that undoes it
//! all. They belong together because some desktops hand out all three through one object.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    AppSpec, AudioError, CaptureError, Capturer, Clipboard, ClipboardError, InjectError, Injector, Journal,
    LaunchError, Mode, Reason, RunningApp, Sound, SoundState, StageEnvironment, StageWindow, UndoGuard, UndoRecord,
    WindowError, reason,
};

/// A desktop environment that can give a client an output of its own. Shared by all sessions.
pub trait Desktop: Send + Sync {
    /// What this desktop is, for logs, `doctor` and `probe-compositor`.
    fn info(&self) -> DesktopInfo;

    /// The keyboard layout that a stage opened now would have, and where it comes from, for `doctor`; `None` where the
    /// desktop does not tell. Blocking, one question to the compositor.
    fn keyboard_layout(&self) -> Option<String> {
        None
    }

    /// Whether its stages take this keyboard layout (`LAYOUT[:VARIANT[:OPTIONS]]` in XKB's words). Blocking, some
    /// milliseconds.
    ///
    /// # Errors
    /// [`StageError`] with `desktop.layout_refused`: its stages keep their own, or nobody knows this one.
    fn check_keyboard_layout(&self, _layout: &str) -> Result<(), StageError> {
        Err(own_layout())
    }

    /// Whether a stage opened now would take touch and pen, for `doctor`; if not, why. Blocking, one question to the
    /// compositor.
    ///
    /// # Errors
    /// The reason.
    fn touch(&self) -> Result<(), &'static Reason> {
        Err(&reason::INPUT_TOUCH_UNSUPPORTED)
    }

    /// Opens a stage at exactly the requested mode. Blocking (up to a few seconds); called from a blocking thread.
    /// Everything it changes is recorded in `journal` before it is made.
    ///
    /// # Errors
    /// [`OpenError`] with a stable reason; nothing is left behind.
    fn open(&self, request: &StageRequest, journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError>;

    /// Prepares so that the next [`Self::open`] is fast (a warm spare). Called when the host is idle; may do nothing.
    fn warm(&self, _journal: &Arc<dyn Journal>) {}

    /// Takes over what an earlier host left behind as a lease (`record`, with the guard that the journal made for it on
    /// loading). `None`: not a record of this desktop (its backend has another name), or what it names is gone.
    /// Asked only for records in force (lease not run out); on `None` what such a record names is undone already.
    fn adopt(&self, _record: &UndoRecord, _guard: UndoGuard) -> Option<Adopted> {
        None
    }

    /// How the sound that its clients share stands, where they share one.
    fn sound_state(&self) -> Option<SoundState> {
        None
    }

    /// A program that a stage of this desktop started, maybe in an earlier host, by its [`RunningApp::token`]. `None` if it
    /// runs no more.
    fn app(&self, _token: &str) -> Option<Box<dyn RunningApp>> {
        None
    }
}

/// A stage taken over from an earlier host by [`Desktop::adopt`].
pub struct Adopted {
    /// The identity it belongs to, as in [`StageRequest::identity`].
    pub identity: String,
    /// The stage, alive and usable at once.
    pub stage: Box<dyn Stage>,
}

/// How long policy keeps a stage beyond its use and beyond its host's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// For [`UndoRecord::keep_for`].
    pub keep_for: Duration,
    /// For [`UndoRecord::lease_until_ms`]: `None` while a session uses the stage.
    pub lease_until_ms: Option<u64>,
}

/// Facts about a desktop.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DesktopInfo {
    /// Short stable name: `sway`, `private-sway`, `synthetic`, …
    pub name: String,
    /// Name and version as the desktop tells it, e.g. `sway 1.7`.
    pub version: String,
    /// Protocols and abilities found, for `probe-compositor` and `doctor`.
    pub protocols: Vec<String>,
    /// `Welcome.compositor` value: 0 auto, 1 KWin, 2 wlroots, 3 Mutter, 4 gamescope, 5 Hyprland, 6 Windows.
    pub wire_id: u8,
    /// Whether every identity has a desktop of its own here (a private desktop) or sessions share one seat.
    pub private: bool,
}

/// What a client needs.
#[derive(Clone, Debug)]
pub struct StageRequest {
    /// Stable key of the client identity (64 hex digits of its fingerprint, or another unique text).
    pub identity: String,
    /// The person-readable client name, already sanitised.
    pub name: String,
    /// The exact mode.
    pub mode: Mode,
}

/// An output with everything that belongs to it. Dropping it undoes it (output removed, private desktop ended).
pub trait Stage: Send {
    /// The mode that is really active.
    fn mode(&self) -> Mode;

    /// Changes the mode of the live output. The capturer then reports `LayoutChanged`. Blocking.
    ///
    /// # Errors
    /// [`StageError`]; the old mode stays active.
    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError>;

    /// How large programs draw, in percent: 100 is one pixel of the output per unit of theirs.
    fn scale_percent(&self) -> u32 {
        100
    }

    /// Changes that while programs run: they draw anew at the output's own pixels, whose number stays. Not more than a
    /// round trip to the compositor.
    ///
    /// # Errors
    /// [`StageError`] with `desktop.scale_refused`, never fatal by itself: this desktop has its own scale, or not this one.
    fn set_scale_percent(&mut self, percent: u32) -> Result<(), StageError> {
        if percent == self.scale_percent() {
            return Ok(());
        }
        let detail = "this desktop keeps its own scale".to_owned();
        Err(StageError { reason: &reason::DESKTOP_SCALE_REFUSED, detail, fatal: false })
    }

    /// Gives the keyboard another layout (as for [`Desktop::check_keyboard_layout`]) while programs run; `None`: the
    /// desktop's own. Keys that are held stay held. Not more than a round trip to the compositor.
    ///
    /// # Errors
    /// [`StageError`] with `desktop.layout_refused`, never fatal by itself: the keyboard stays as it was.
    fn set_keyboard_layout(&mut self, layout: Option<&str>) -> Result<(), StageError> {
        layout.map_or(Ok(()), |_| Err(own_layout()))
    }

    /// A capturer for this output. One at a time; the previous one must be gone.
    ///
    /// # Errors
    /// [`CaptureError`] where no capture means works, with its reason.
    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError>;

    /// Whether its capturers can leave the pointer out of the pictures and tell of it beside them. Cheap.
    fn tells_cursor(&self) -> bool {
        false
    }

    /// An injector whose coordinates are this output's pixels. One at a time.
    ///
    /// # Errors
    /// [`InjectError`] where injection is not possible; a session may go on without input.
    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError>;

    /// The sound of this stage. Cheap; what it hands out may take long, and works on its own while the stage is used for
    /// pictures.
    ///
    /// # Errors
    /// [`AudioError`] where there is no sound to be had; a session goes on without.
    fn sound(&mut self) -> Result<Arc<dyn Sound>, AudioError> {
        let detail = "this desktop has no sound".to_owned();
        Err(AudioError { reason: &reason::AUDIO_UNSUPPORTED, detail, fatal: true })
    }

    /// The clipboard of the programs on this stage. One question to the compositor at most; nothing of the clipboard is
    /// looked at before it is opened.
    ///
    /// # Errors
    /// [`ClipboardError`] where the desktop has none for us; a session goes on without.
    fn clipboard(&mut self) -> Result<Arc<dyn Clipboard>, ClipboardError> {
        let detail = "this desktop has no clipboard for us".to_owned();
        Err(ClipboardError { reason: &reason::CLIPBOARD_UNSUPPORTED, detail })
    }

    /// The windows on it, the one on top first. Blocking, a question to the compositor.
    ///
    /// # Errors
    /// [`WindowError`] where the desktop does not tell.
    fn windows(&mut self) -> Result<Vec<StageWindow>, WindowError> {
        let detail = "this desktop tells nobody of its windows".to_owned();
        Err(WindowError { reason: &reason::DISPLAY_WINDOWS_UNSUPPORTED, detail })
    }

    /// Brings one of [`Self::windows`] to the front and gives it the keyboard.
    ///
    /// # Errors
    /// As [`Self::close_window`].
    fn focus_window(&mut self, _id: u64) -> Result<(), WindowError> {
        self.windows().map(drop)
    }

    /// Asks the program of a window to close it. Blocking, a question to the compositor.
    ///
    /// # Errors
    /// [`WindowError`], `display.window_not_found` where there is none with this id.
    fn close_window(&mut self, _id: u64) -> Result<(), WindowError> {
        self.windows().map(drop)
    }

    /// Starts a program so that it shows on this stage and is heard on it. It may outlive the session, and ends with the
    /// stage. Blocking, but does not wait for the program.
    ///
    /// # Errors
    /// [`LaunchError`].
    fn launch(&mut self, _app: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        let detail = "this desktop starts no programs".to_owned();
        Err(LaunchError { reason: &reason::APP_UNSUPPORTED, detail })
    }

    /// A program that was started here exited by itself while a session watches. Where programs have a place of their own,
    /// the view goes back to the desktop once none is left. Quick.
    fn program_ended(&mut self) {}

    /// How commands that prepare for a program, or tidy up after it, find this stage.
    fn environment(&self) -> StageEnvironment {
        StageEnvironment::default()
    }

    /// Whether the compositor behind it still lives. Cheap; asked before a kept stage is handed out again.
    fn is_alive(&mut self) -> bool;

    /// The keyboard layout in force and where it came from, for the log and `doctor`.
    fn keyboard_layout(&self) -> String;

    /// The hub tells what policy says: when a session takes the stage, when it leaves it, and before the host ends. A stage
    /// that can live on without its host writes this into its journal record and answers true; the hub may then
    /// [`Self::leave`] it. All others answer false, and are dropped at the host's end.
    fn keep(&mut self, _keep: Keep) -> bool {
        false
    }

    /// Lets go without undoing: what it made lives on under its journal record as a lease (SIGTERM, DESIGN decision 13).
    /// Called just before the process ends.
    fn leave(self: Box<Self>) {
        std::mem::forget(self);
    }
}

/// A stage could not be opened: the next desktop may be tried.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct OpenError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}

/// Whether a display can be scaled by this many percent: 100 to 300 in steps of 5, which `wp_fractional_scale_v1`'s 120ths
/// tell exactly.
#[must_use]
pub const fn is_scale_percent(percent: u32) -> bool {
    percent >= 100 && percent <= 300 && percent.is_multiple_of(5)
}

/// Whether this can be a keyboard layout, `LAYOUT[:VARIANT[:OPTIONS]]`: what XKB's names are made of, and not more than
/// [`LONGEST_LAYOUT`] bytes. Whether XKB knows it is another matter.
#[must_use]
pub fn is_keyboard_layout(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+:,.()".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= LONGEST_LAYOUT && text.chars().all(plain)
}

/// A dozen layouts with their variants fit.
pub const LONGEST_LAYOUT: usize = 128;

fn own_layout() -> StageError {
    let detail = "this desktop keeps its own keyboard layout".to_owned();
    StageError { reason: &reason::DESKTOP_LAYOUT_REFUSED, detail, fatal: false }
}

/// A running stage failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct StageError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
    /// True: the stage is gone; open a new one. False: it goes on as before.
    pub fatal: bool,
}
