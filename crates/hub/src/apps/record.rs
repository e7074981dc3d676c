//! What the journal keeps about a program: enough to find it again, and to undo what was prepared for it.

use std::time::Duration;

use punktfunk_media::UndoRecord;
use serde::{Deserialize, Serialize};

use super::commands;

/// `UndoRecord::backend` of programs.
pub const BACKEND: &str = "apps";

/// A program of the library that was started for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppRecord {
    /// Whose it is.
    pub identity: String,
    /// [`crate::catalogue::App::key`].
    pub key: String,
    /// [`punktfunk_media::RunningApp::token`]; `None` until it was started, and for the bare desktop.
    pub token: Option<String>,
    /// What undoes the steps begun so far, in their order.
    pub undo: Vec<UndoStep>,
    /// Whether the operator started it beside what its client asked for.
    #[serde(default)]
    pub beside: bool,
    /// Variables for the undo commands.
    pub display: Vec<(String, String)>,
}

/// A command that undoes a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoStep {
    pub run: String,
    pub timeout: Duration,
}

impl AppRecord {
    /// In the journal's form.
    pub fn written(&self, keep_for: Duration, lease_until_ms: Option<u64>) -> UndoRecord {
        let change = serde_json::to_string(self).expect("texts and numbers only");
        UndoRecord { backend: BACKEND.to_owned(), change, keep_for, lease_until_ms }
    }

    pub fn undo(&self) {
        commands::undo(&self.undo, &self.display);
    }
}

/// Undoes what was prepared for a program whose host died. The program itself ends with its desktop.
///
/// # Errors
/// A record that is not one of this module's.
pub fn undo(record: &UndoRecord) -> Result<(), String> {
    let app: AppRecord = serde_json::from_str(&record.change).map_err(|e| e.to_string())?;
    app.undo();
    Ok(())
}
