//! The watchdog: the same binary in a process of its own, started before anything outside is changed. It holds the read
//! end of a pipe whose write end only the host has; when the host dies, however it dies, the pipe closes, and the
//! watchdog undoes what the journal says.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::SystemTime;

use punktfunk_hub::journal::{UndoMap, WatchdogEnd, replay_after_death};
use punktfunk_media::{UndoRecord, reason};

use crate::exit::Failure;

/// The host's side. Dropping it after the journal is empty lets the watchdog end by itself.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    /// Closed by the system when this process ends.
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the watchdog and waits until it watches.
    ///
    /// # Errors
    /// When the process cannot be started: the host must then change nothing.
    ///
    /// `socket` is removed with a host that died; one that ends in order removes it itself.
    pub fn start(journal: &Path, socket: Option<&Path>) -> std::io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("punktfunk-host")
            .arg("watchdog")
            .arg("--journal")
            .arg(journal)
            .args(socket.iter().flat_map(|s| [OsStr::new("--socket"), s.as_os_str()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A group of its own: Ctrl-C in the host's terminal is for the host.
            .process_group(0);
        let mut child = command.spawn()?;
        let mut ready = [0; READY.len()];
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_exact(&mut ready)?;
        }
        if ready != *READY {
            return Err(std::io::Error::other("the watchdog did not get ready"));
        }
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Lets the watchdog go on with what the host leaves on purpose, and end by itself. Waits for its end where nothing
    /// is left, so that nothing outlives a host that ended in order.
    pub fn release(mut self, nothing_left: bool) {
        drop(self.pipe.take());
        if nothing_left && let Err(e) = self.child.wait() {
            tracing::warn!("waiting for the watchdog: {e}");
        }
    }
}

/// The watchdog's own process: waits for the host's end, then cleans up.
///
/// # Errors
/// When the journal cannot be read.
pub fn run(journal: &Path, socket: Option<&Path>) -> Result<(), Failure> {
    let fail = |e: std::io::Error| Failure::new(&reason::STATE_UNWRITABLE, format!("{}: {e}", journal.display()));
    let mut stdout = std::io::stdout();
    stdout.write_all(READY).and_then(|()| stdout.flush()).map_err(fail)?;
    // Nobody writes to the pipe: reading ends when the host's end of it is gone.
    let mut nothing = Vec::new();
    std::io::stdin().take(1).read_to_end(&mut nothing).map_err(fail)?;
    if let Some(socket) = socket.filter(|s| UnixStream::connect(s).is_err()) {
        // Nobody listens on it any more; a new host would replace it, but until then it only misleads.
        let _ = std::fs::remove_file(socket);
    }
    match replay_after_death(journal, SystemTime::now(), &undo_map()).map_err(fail)? {
        WatchdogEnd::Done => tracing::debug!("nothing is left"),
        WatchdogEnd::TakenOver => tracing::info!("a new host took over"),
        WatchdogEnd::LeftForever => tracing::info!("what is left is kept for ever"),
    }
    Ok(())
}

/// Which backend undoes which record.
#[must_use]
pub fn undo_map() -> UndoMap {
    let desktop = |record: &UndoRecord| punktfunk_desktop::undo(record).map_err(|e| e.to_string());
    UndoMap::new()
        .with(punktfunk_desktop::BACKEND_PRIVATE, desktop)
        .with(punktfunk_desktop::BACKEND_BUILTIN, desktop)
        .with(punktfunk_desktop::BACKEND_WLROOTS, desktop)
        .with(punktfunk_desktop::BACKEND_APP, desktop)
        .with(punktfunk_audio::BACKEND_DEFAULT_SINK, punktfunk_audio::undo)
        .with(punktfunk_hub::apps::BACKEND, punktfunk_hub::apps::undo)
}

const READY: &[u8; 9] = b"watching\n";
