//! Ends an Xwayland that keeps the compositor waiting.
//!
//! The window manager asks the X server questions and waits for the answers; a program that grabs the server, or a server
//! that hangs, would stop the whole desktop. This thread looks once a second, only while Xwayland runs, whether the loop
//! has been at the same piece of work for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};

/// Counts what the loop does: odd while it works, even while it sleeps.
#[derive(Debug)]
pub struct Beat(AtomicU64);

impl Default for Beat {
    /// At work: that is how a loop begins.
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Beat {
    /// The loop goes to sleep, or back to work.
    pub fn turn(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The thread's life. Dropping it ends the thread.
#[derive(Debug)]
pub struct StuckWatch(Arc<AtomicBool>);

impl StuckWatch {
    /// Watches `beat` from now on.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(beat: Arc<Beat>) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        std::thread::Builder::new().name("x11-watch".to_owned()).spawn(move || {
            let mut seen = 0;
            let mut same_for = 0;
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_EVERY);
                let now = beat.0.load(Ordering::Relaxed);
                same_for = if now == seen && now % 2 == 1 { same_for + 1 } else { 0 };
                seen = now;
                if same_for >= STUCK_AFTER {
                    tracing::warn!("Xwayland keeps the desktop waiting; it is ended");
                    kill_servers();
                    same_for = 0;
                }
            }
        })?;
        Ok(Self(over))
    }
}

impl Drop for StuckWatch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills every child of this process that is called Xwayland.
fn kill_servers() {
    let mut servers = children_called(NAME);
    servers.drain(..).for_each(|pid| {
        // Gone already, perhaps.
        let _ = kill_process(pid, Signal::KILL);
    });
}

fn children_called(name: &str) -> Vec<Pid> {
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // `PID (NAME) STATE PPID …`; the name may hold anything.
        let (head, tail) = stat.rsplit_once(") ")?;
        let parent: i32 = tail.split_ascii_whitespace().nth(1)?.parse().ok()?;
        let called = head.split_once('(')?.1;
        (called == name && parent == getpid().as_raw_nonzero().get()).then_some(Pid::from_raw(pid)?)
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

const NAME: &str = "Xwayland";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at the same piece of work: the desktop stood still for two to three seconds.
const STUCK_AFTER: u32 = 2;
