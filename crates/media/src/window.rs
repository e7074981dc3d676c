//! Windows on a stage, for people who look at it from outside.

use crate::Reason;

/// A window of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageWindow {
    /// Unique in its stage's life.
    pub id: u64,
    /// As the program names it; any text.
    pub title: String,
    /// The program's application id, or its class; any text.
    pub app_id: String,
    /// Whether it has the keyboard.
    pub focused: bool,
}

/// Windows could not be listed, or not closed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct WindowError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}
