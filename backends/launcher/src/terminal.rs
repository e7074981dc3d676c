//! The terminal's tile: which one is installed, and starting it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use punktfunk_media::{EndedAtOnce, ErrorOutput};

use crate::ended::runtime_dir;

/// What its tile says.
pub const TITLE: &str = "Terminal";

/// The script of the desktop's terminal, or the name of one that is installed.
pub fn terminal() -> Option<PathBuf> {
    let installed = |name: &str| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
    };
    let foot = installed("foot");
    let script = runtime_dir().map(|dir| dir.join(TERMINAL_SCRIPT));
    match script.filter(|script| foot.is_some() && script.is_file()) {
        Some(script) => Some(script),
        None => foot.or_else(|| TERMINALS.iter().find_map(|name| installed(name))),
    }
}

/// Starts it. One that ends at once is told of in the runtime folder, as every program is.
///
/// # Errors
/// A sentence for people.
pub fn start_terminal() -> Result<(), String> {
    let terminal = terminal().ok_or("No terminal is installed.")?;
    let mut command = match terminal.file_name() {
        Some(name) if name == TERMINAL_SCRIPT => {
            let mut command = Command::new("sh");
            command.arg(&terminal);
            command
        }
        _ => Command::new(&terminal),
    };
    // Without, it starts as well, and its errors go where ours go.
    let errors = runtime_dir().and_then(|dir| ErrorOutput::new(&dir).ok());
    if let Some(stdio) = errors.as_ref().and_then(|errors| errors.stdio().ok()) {
        command.stderr(stdio);
    }
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).spawn().map_err(|e| format!("{}: {e}", terminal.display()))?;
    // Takes its status when it ends, so that no zombie stays.
    let waits = std::thread::Builder::new().name("terminal".into()).spawn(move || wait(child, started, errors));
    waits.map(drop).map_err(|e| e.to_string())
}

fn wait(mut child: Child, started: Instant, errors: Option<ErrorOutput>) {
    let Ok(status) = child.wait() else { return };
    let errors = errors.map(ErrorOutput::end).unwrap_or_default();
    let ended = EndedAtOnce::of(TITLE, status, started.elapsed(), &errors);
    if let (Some(ended), Some(dir)) = (ended, runtime_dir())
        && let Err(e) = ended.tell(&dir)
    {
        tracing::warn!("{} It could not be shown: {e}", ended.sentence());
    }
}

/// What the desktop starts its own terminal with, in its runtime folder.
const TERMINAL_SCRIPT: &str = "terminal.sh";
/// Others that people have.
const TERMINALS: [&str; 6] = ["kitty", "alacritty", "weston-terminal", "konsole", "gnome-terminal", "xterm"];
