//! Questions and answers of a control connection, as JSON: they are rare, and a log can show them.

use punktfunk_media::Mode;
use serde::{Deserialize, Serialize};

/// Host to worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Question {
    /// What there is.
    State,
    /// Another mode, at once.
    SetMode {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pictures a second.
        refresh_hz: u32,
        /// Output pixels per logical pixel; as it is if `None`.
        scale: Option<f64>,
    },
    /// Another keyboard layout, at once; in XKB's words, empty for its defaults.
    SetKeyboard {
        /// Model.
        model: String,
        /// Layouts.
        layout: String,
        /// Their variants.
        variant: String,
        /// Options.
        options: String,
    },
    /// Starts `sh FILE` as a program of the desktop.
    Start {
        /// The script, on this machine.
        script: String,
        /// `NAME=value` added to its environment.
        env: Vec<String>,
        /// As people know it, if somebody asked for it: they are told when it ends at once.
        #[serde(default)]
        title: Option<String>,
    },
    /// Brings a window to the front.
    Focus {
        /// Its id.
        window: u64,
    },
    /// Asks a window to close.
    Close {
        /// Its id.
        window: u64,
    },
}

/// Worker to host.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// To [`Question::State`] and [`Question::SetMode`].
    State {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pictures a second.
        refresh_hz: u32,
        /// Output pixels per logical pixel.
        scale: f64,
        /// Its windows, top first.
        windows: Vec<WindowInfo>,
    },
    /// It was done.
    Done,
    /// It was not done, and why.
    Refused {
        /// For the log.
        why: String,
    },
}

impl Answer {
    /// The mode in a state.
    pub fn mode(&self) -> Option<Mode> {
        match *self {
            Self::State { width, height, refresh_hz, .. } => Some(Mode { width, height, refresh_hz }),
            _ => None,
        }
    }
}

/// A window of the desktop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WindowInfo {
    /// Unique in this desktop's life.
    pub id: u64,
    /// As the program names it.
    pub title: String,
    /// The program's application id.
    pub app_id: String,
    /// Whether it has the keyboard.
    pub focused: bool,
    /// Its place: left, top, width, height in logical pixels.
    pub place: [i32; 4],
}
