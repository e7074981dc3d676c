//! What the journal keeps about desktops, and how it is undone by somebody who did not make it.

use std::path::PathBuf;
use std::time::Duration;

use punktfunk_media::{JournalError, OpenError, UndoRecord};
use serde::{Deserialize, Serialize};

use crate::app::AppRecord;
use crate::process::{Patience, ProcessId, end_family};
use punktfunk_compositor::{X11_DISPLAYS_FILE, remove_stale_x11_display};

/// `UndoRecord::backend` of the private desktop.
pub const BACKEND_PRIVATE: &str = "private-sway";
/// `UndoRecord::backend` of the built-in desktop.
pub const BACKEND_BUILTIN: &str = "private-builtin";
/// `UndoRecord::backend` of outputs in a running session.
pub const BACKEND_WLROOTS: &str = "wlroots";
/// `UndoRecord::backend` of programs that were started in a running session.
pub const BACKEND_APP: &str = "wlroots-app";

/// A private desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateRecord {
    /// Whose it is; `None` for the warm spare.
    pub identity: Option<String>,
    /// Its runtime folder, made by us and removed with it.
    pub runtime_dir: PathBuf,
    /// `NAME=value` in the environment of everything on it.
    pub mark: String,
    /// The first process; `None` until it was started.
    pub leader: Option<ProcessId>,
}

/// An output in a running session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The session's IPC socket.
    pub ipc: PathBuf,
    /// The sway that listened there: another one has other outputs.
    pub sway: Option<ProcessId>,
    /// The output; `None` until it was made.
    pub output: Option<String>,
    /// The outputs that were there before.
    pub before: Vec<String>,
    /// Touch devices that sway was told to map to it, by sway's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapped: Vec<String>,
}

/// A record in the journal's form, without a lease: whoever keeps it longer sets that.
pub fn undo_record(backend: &str, change: &impl Serialize) -> UndoRecord {
    UndoRecord {
        backend: backend.to_owned(),
        change: serde_json::to_string(change).expect("records hold texts and numbers only"),
        keep_for: Duration::ZERO,
        lease_until_ms: None,
    }
}

/// Without its record nothing is changed.
pub fn no_journal(error: JournalError) -> OpenError {
    OpenError { reason: error.reason(), detail: error.to_string() }
}

/// A record could not be undone.
#[derive(Debug, thiserror::Error)]
#[error("cannot undo {backend} {change}: {why}")]
pub struct UndoError {
    /// Whose record.
    pub backend: String,
    /// What it says.
    pub change: String,
    /// What was in the way.
    pub why: String,
}

/// Undoes what `record` describes, if it is still there: ends a private desktop with everything on it and removes its
/// folder; removes an output from a running session. Safe to call twice. Takes at most about 1.5 s.
///
/// # Errors
/// [`UndoError`] when something remains, or the record is not one of this crate's.
pub fn undo(record: &UndoRecord) -> Result<(), UndoError> {
    let error = |why: String| UndoError { backend: record.backend.clone(), change: record.change.clone(), why };
    match record.backend.as_str() {
        BACKEND_PRIVATE | BACKEND_BUILTIN => {
            let private: PrivateRecord = serde_json::from_str(&record.change).map_err(|e| error(e.to_string()))?;
            undo_private(&private).map_err(error)
        }
        BACKEND_WLROOTS => {
            let output: OutputRecord = serde_json::from_str(&record.change).map_err(|e| error(e.to_string()))?;
            crate::wlroots::undo_output(&output).map_err(error)
        }
        BACKEND_APP => {
            let app: AppRecord = serde_json::from_str(&record.change).map_err(|e| error(e.to_string()))?;
            // No time for manners: the watchdog must be through.
            end_family(None, &app.mark, Patience::DESKTOP)
                .map_err(|left| error(format!("processes {left:?} did not end")))
        }
        _ => Err(error("no such backend".to_owned())),
    }
}

/// Ends a private desktop.
pub fn undo_private(private: &PrivateRecord) -> Result<(), String> {
    let ended = end_family(private.leader, &private.mark, Patience::DESKTOP);
    remove_x11_displays(&private.runtime_dir);
    match std::fs::remove_dir_all(&private.runtime_dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {e}", private.runtime_dir.display()));
        }
        _ => {}
    }
    ended.map_err(|left| format!("processes {left:?} did not end"))
}

/// What a built-in desktop that was killed left in `/tmp`: X11 programs look for their server there and nowhere else.
fn remove_x11_displays(runtime_dir: &std::path::Path) {
    let numbers = std::fs::read_to_string(runtime_dir.join(X11_DISPLAYS_FILE)).unwrap_or_default();
    for number in numbers.lines().take(MOST_DISPLAYS).filter_map(|line| line.parse().ok()) {
        remove_stale_x11_display(number);
    }
}

/// A desktop has one for its programs and one that nobody uses.
const MOST_DISPLAYS: usize = 2;
