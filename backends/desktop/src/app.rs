//! Programs on a desktop, found again by a mark in their environment: they may start others and end themselves, and a
//! later host knows no process ids.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_media::{AppSpec, LaunchError, RunningApp, reason};
use serde::{Deserialize, Serialize};

use crate::process::{Patience, ProcessId, end_family, family};
use crate::random::random_id;
use crate::shell::quote;

/// A program and everything that it started.
#[derive(Debug)]
pub struct MarkedApp {
    /// `NAME=value`.
    mark: String,
    /// Those found when last looked: as long as one lives, nobody has to look through all processes.
    known: Mutex<Vec<ProcessId>>,
}

/// What the journal keeps about a program in somebody's session; on a private desktop it belongs to the desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRecord {
    /// `NAME=value` in the environment of the program and of what it started.
    pub mark: String,
}

impl MarkedApp {
    /// The one with this token.
    pub fn of(token: &str) -> Self {
        Self { mark: token.to_owned(), known: Mutex::default() }
    }

    /// As [`punktfunk_media::Desktop::app`] wants it.
    pub fn find(token: &str) -> Option<Box<dyn RunningApp>> {
        let app = Self::of(token);
        (token.starts_with(MARK) && app.is_running()).then(|| Box::new(app) as Box<dyn RunningApp>)
    }
}

impl RunningApp for MarkedApp {
    fn token(&self) -> String {
        self.mark.clone()
    }

    fn is_running(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|p| p.is_alive()) {
            return true;
        }
        // Twice: one that forked and ended during the first look was gone before it was read, and its child was not yet
        // there when the list was made.
        for _ in 0..2 {
            *known = family(&self.mark).into_iter().filter_map(ProcessId::of).collect();
            if !known.is_empty() {
                return true;
            }
        }
        false
    }

    fn end(&self) {
        if let Err(left) = end_app(&self.mark) {
            tracing::warn!(mark = self.mark, "processes {left:?} of a program did not end");
        }
    }
}

/// A mark that nothing else has.
///
/// # Errors
/// `app.failed` where the system has no randomness.
pub fn new_mark() -> Result<String, LaunchError> {
    random_id().map(|id| format!("{MARK}{id}")).map_err(|e| failed(format!("/dev/urandom: {e}")))
}

/// What starts scripts on a desktop, so that they have what every program of this desktop has, and end with it.
pub trait Starter {
    /// Starts `sh SCRIPT` with `mark` (`NAME=value`) in its environment.
    ///
    /// # Errors
    /// A sentence for the log.
    fn start(&mut self, script: &Path, mark: &str) -> Result<(), String>;
}

/// Starts `app` through `starter`, with `mark` (of [`new_mark`]), by a script in the desktop's folder `dir`. Waits until it
/// runs.
///
/// # Errors
/// `app.failed`.
pub fn launch(dir: &Path, starter: &mut dyn Starter, app: &AppSpec, mark: &str) -> Result<MarkedApp, LaunchError> {
    if let Some(dir) = app.working_dir.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(failed(format!("the working folder {} is none", dir.display())));
    }
    let name = mark.rsplit('=').next().unwrap_or_default();
    let script = dir.join(format!("punktfunk-app-{name}.sh"));
    let outcome = write(&script, dir, &text(app))
        .map_err(|e| format!("{}: {e}", script.display()))
        .and_then(|()| starter.start(&script, mark))
        .and_then(|()| wait_started(&script));
    if let Err(detail) = outcome {
        // It takes itself away when it starts.
        let _ = fs::remove_file(&script);
        return Err(failed(detail));
    }
    tracing::info!(app = app.name, "program started");
    Ok(MarkedApp::of(mark))
}

fn wait_started(script: &Path) -> Result<(), String> {
    let until = Instant::now() + STARTED_WITHIN;
    while script.exists() {
        if Instant::now() >= until {
            return Err(format!("the desktop did not start it within {STARTED_WITHIN:?}"));
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
    Ok(())
}

/// A script, since sway's own quoting of commands differs between versions.
fn text(app: &AppSpec) -> String {
    let mut text = "rm -f \"$0\"\n".to_owned();
    for (name, value) in &app.env {
        text += &format!("export {name}={}\n", quote(value));
    }
    match &app.working_dir {
        Some(dir) => text += &format!("cd {} || exit\n", quote(&dir.to_string_lossy())),
        None => text += "cd\n",
    }
    text + &app.command + "\n"
}

fn write(path: &Path, dir: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    // Root (a test that started the desktop as somebody else) gives it to whom the folder belongs to.
    if rustix::process::geteuid().is_root() {
        let owner = fs::metadata(dir)?;
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Ends a program with everything that carries its mark.
pub fn end_app(mark: &str) -> Result<(), Vec<i32>> {
    end_family(None, mark, Patience::PROGRAM)
}

fn failed(detail: String) -> LaunchError {
    LaunchError { reason: &reason::APP_FAILED, detail }
}

/// Environment variable of a program and of what it started, with its `=`.
const MARK: &str = "PUNKTFUNK_APP=";
/// A compositor forks at once; a loaded machine may take a while to run the shell.
const STARTED_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);
