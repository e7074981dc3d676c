//! Programs started on a stage for a client.

use std::path::PathBuf;

use crate::Reason;

/// A program to start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AppSpec {
    /// A person-readable name, for the log.
    pub name: String,
    /// A shell command.
    pub command: String,
    /// Where it runs; the home folder if `None`.
    pub working_dir: Option<PathBuf>,
    /// Added to the desktop's environment.
    pub env: Vec<(String, String)>,
    /// `NAME=value` that the program's own processes have in their environment, where what `command` starts is a store's
    /// launcher: it stays when the program ends, or hands over to one of its kind that runs already.
    pub mark: Option<String>,
}

/// What a command needs to act on a stage's display from outside of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StageEnvironment {
    /// Variables that lead to the display, its session bus and its compositor.
    pub display: Vec<(String, String)>,
    /// A variable that makes its carrier one of the stage's own: what carries it ends with the stage. `None` where the
    /// stage is part of somebody's session.
    pub member: Option<(String, String)>,
}

/// A program that was started. Dropping it leaves the program running.
pub trait RunningApp: Send + Sync {
    /// What finds it again with [`crate::Desktop::app`], also in a later host.
    fn token(&self) -> String;

    /// Whether it, or a program that it left behind, still runs. Cheap.
    fn is_running(&self) -> bool;

    /// Ends it with everything that it started: politely first, by force after a moment. Blocking, at most about 3 s.
    fn end(&self);
}

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct LaunchError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}
