//! Questions to a worker, and connections for pictures and input.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{CaptureError, InjectError, Mode, reason};

use super::{WorkerCapturer, WorkerInjector};
use crate::server::CONTROL_SOCKET;
use crate::wire::{Answer, LONGEST, Question, Role, Socket, SocketError, WindowInfo};

/// A worker that listens in some runtime folder.
#[derive(Debug)]
pub struct WorkerLink {
    path: PathBuf,
    owner: u32,
    control: Socket,
}

/// A worker did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It refused, and goes on as before.
    #[error("the compositor refused: {0}")]
    Refused(String),
    /// It cannot be reached, or does not answer.
    #[error("the compositor at {path}: {why}")]
    Gone {
        /// Its socket.
        path: PathBuf,
        /// What was wrong.
        why: String,
    },
}

impl WorkerLink {
    /// Connects to the worker in `runtime_dir`, which must run as `owner` (or root).
    ///
    /// # Errors
    /// [`LinkError::Gone`].
    pub fn connect(runtime_dir: &Path, owner: u32) -> Result<Self, LinkError> {
        let path = runtime_dir.join(CONTROL_SOCKET);
        let control = open(&path, owner, Role::Control)?;
        Ok(Self { path, owner, control })
    }

    /// Its mode now, and output pixels per logical pixel.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn mode_and_scale(&mut self) -> Result<(Mode, f64), LinkError> {
        match self.ask(&Question::State)? {
            Answer::State { width, height, refresh_hz, scale, .. } => Ok((Mode { width, height, refresh_hz }, scale)),
            _ => Err(self.nonsense()),
        }
    }

    /// Its mode now.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn mode(&mut self) -> Result<Mode, LinkError> {
        self.ask(&Question::State)?.mode().ok_or_else(|| self.nonsense())
    }

    /// Its windows, top first.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn windows(&mut self) -> Result<Vec<WindowInfo>, LinkError> {
        match self.ask(&Question::State)? {
            Answer::State { windows, .. } => Ok(windows),
            _ => Err(self.nonsense()),
        }
    }

    /// Brings a window to the front.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where there is none with this id.
    pub fn focus_window(&mut self, window: u64) -> Result<(), LinkError> {
        self.ask(&Question::Focus { window }).map(drop)
    }

    /// Asks a window to close.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where there is none with this id.
    pub fn close_window(&mut self, window: u64) -> Result<(), LinkError> {
        self.ask(&Question::Close { window }).map(drop)
    }

    /// Gives the output another mode, and a scale if there is one.
    ///
    /// # Errors
    /// [`LinkError`]; the old mode stays where it was refused.
    pub fn set_mode(&mut self, mode: Mode, scale: Option<f64>) -> Result<Mode, LinkError> {
        let Mode { width, height, refresh_hz } = mode;
        let answer = self.ask(&Question::SetMode { width, height, refresh_hz, scale })?;
        answer.mode().ok_or_else(|| self.nonsense())
    }

    /// Gives the seat's keyboard another layout.
    ///
    /// # Errors
    /// [`LinkError`]; the old one stays where XKB does not know this one.
    pub fn set_keyboard(&mut self, layout: &KeyboardLayout) -> Result<(), LinkError> {
        let KeyboardLayout { model, layout, variant, options } = layout.clone();
        self.ask(&Question::SetKeyboard { model, layout, variant, options }).map(drop)
    }

    /// Starts `sh SCRIPT` on the desktop, with `env` (`NAME=value` each) added to its environment. `title`: somebody asked for
    /// it by this name, and is told if it ends at once.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn start(&mut self, script: &Path, env: &[String], title: Option<&str>) -> Result<(), LinkError> {
        let script = script.to_str().ok_or_else(|| LinkError::Refused(format!("{} is no text", script.display())))?;
        // A name may be of any length, a message may not.
        let title = title.map(|title| title.chars().take(LONGEST_TITLE).collect());
        self.ask(&Question::Start { script: script.to_owned(), env: env.to_vec(), title }).map(drop)
    }

    /// A connection for pictures. The one before, if there was one, ends.
    ///
    /// # Errors
    /// `desktop.died`.
    pub fn capturer(&self) -> Result<WorkerCapturer, CaptureError> {
        let died = |detail: String| CaptureError { reason: &reason::DESKTOP_DIED, detail, fatal: true };
        let socket = open(&self.path, self.owner, Role::Capture).map_err(|e| died(e.to_string()))?;
        WorkerCapturer::begin(socket)
    }

    /// A connection for input.
    ///
    /// # Errors
    /// `inject.lost`.
    pub fn injector(&self) -> Result<WorkerInjector, InjectError> {
        let lost = |detail: String| InjectError { reason: &reason::INJECT_LOST, detail, fatal: true };
        let socket = open(&self.path, self.owner, Role::Input).map_err(|e| lost(e.to_string()))?;
        WorkerInjector::begin(socket)
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, LinkError> {
        match self.exchange(question) {
            Ok(Answer::Refused { why }) => Err(LinkError::Refused(why)),
            Ok(answer) => Ok(answer),
            Err(why) => Err(LinkError::Gone { path: self.path.clone(), why }),
        }
    }

    fn exchange(&mut self, question: &Question) -> Result<Answer, String> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let text = serde_json::to_vec(question).map_err(|e| e.to_string())?;
        if text.len() > LONGEST {
            return Err("the question is too long".to_owned());
        }
        self.control.send_by(&text, None, deadline).map_err(|e| e.to_string())?;
        let mut buffer = vec![0; LONGEST];
        let message = self.control.receive_by(&mut buffer, deadline).map_err(|e| e.to_string())?;
        let message = message.ok_or_else(|| format!("no answer within {ANSWER_WITHIN:?}"))?;
        serde_json::from_slice(message.bytes).map_err(|e| format!("its answer: {e}"))
    }

    fn nonsense(&self) -> LinkError {
        LinkError::Gone { path: self.path.clone(), why: "an answer to another question".to_owned() }
    }
}

fn open(path: &Path, owner: u32, role: Role) -> Result<Socket, LinkError> {
    let connect = || {
        let socket = Socket::connect(path, owner)?;
        socket.send_by(&role.hello(), None, Instant::now() + ANSWER_WITHIN)?;
        Ok(socket)
    };
    connect().map_err(|e: SocketError| LinkError::Gone { path: path.to_owned(), why: e.to_string() })
}

/// A worker answers within a millisecond; one that takes longer than this is stuck, and a client waits.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// More than anybody shows.
const LONGEST_TITLE: usize = 120;
