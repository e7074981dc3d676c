//! The desktop's programs: started as children, so that they have what the desktop has, and waited for when they end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use punktfunk_media::{EndedAtOnce, ErrorOutput};
use rustix::process::{WaitOptions, wait};

/// Starts and reaps.
#[derive(Debug)]
pub struct Programs {
    /// Name of the Wayland socket.
    display: &'static str,
    /// Number of the X11 display, where there is one.
    x11: Option<u32>,
    /// Readable when a child ended.
    ended: UnixStream,
    /// Where it is said that one ended at once.
    dir: PathBuf,
    /// What people started.
    watched: Vec<Watched>,
}

/// A program that somebody asked for: if it ends at once, they are told.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// As people know it.
    pub title: &'a str,
    /// So long its script may wait for something else (the desktop's sound) before the program begins.
    pub may_wait: Duration,
}

#[derive(Debug)]
struct Watched {
    pid: u32,
    title: String,
    started: Instant,
    may_wait: Duration,
    errors: Option<ErrorOutput>,
}

impl Programs {
    /// From now on the end of children is noticed, in the runtime folder `dir`. One per process.
    ///
    /// # Errors
    /// As the system says.
    pub fn new(dir: &Path, display: &'static str, x11: Option<u32>) -> io::Result<Self> {
        let (ended, tell) = UnixStream::pair()?;
        ended.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, tell)?;
        Ok(Self { display, x11, ended, dir: dir.to_owned(), watched: Vec::new() })
    }

    /// Starts `sh SCRIPT` with `env` (`NAME=value` each) added, in a session of its own. Does not wait for it. The
    /// error output of one that somebody `wanted` goes through a file of its own.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(&mut self, script: &Path, env: &[String], wanted: Option<Wanted<'_>>) -> io::Result<()> {
        let mut command = Command::new("sh");
        command.arg(script).env("WAYLAND_DISPLAY", self.display).stdin(Stdio::null());
        match self.x11 {
            Some(number) => command.env("DISPLAY", format!(":{number}")),
            None => command.env_remove("DISPLAY"),
        };
        for pair in env {
            let (name, value) = pair.split_once('=').ok_or(io::ErrorKind::InvalidInput)?;
            command.env(name, value);
        }
        // SAFETY: setsid is async-signal-safe and touches no memory of this process.
        unsafe {
            command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
        }
        // Without, it starts as well: the runtime folder may be full.
        let errors = wanted.and_then(|_| ErrorOutput::new(&self.dir).ok());
        if let Some(stdio) = errors.as_ref().and_then(|errors| errors.stdio().ok()) {
            command.stderr(stdio);
        }
        let started = Instant::now();
        // Its status is taken by `reap`.
        let pid = command.spawn()?.id();
        self.watched.extend(wanted.map(|Wanted { title, may_wait }| {
            let title = title.to_owned();
            Watched { pid, title, started, may_wait, errors }
        }));
        Ok(())
    }

    /// Takes the status of everything that ended.
    pub fn reap(&mut self) {
        use std::io::Read as _;
        let mut seen = [0; 64];
        if !matches!((&self.ended).read(&mut seen), Ok(1..)) {
            return;
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().cast_unsigned();
            if let Some(at) = self.watched.iter().position(|watched| watched.pid == pid) {
                self.watched.swap_remove(at).over(ExitStatus::from_raw(status.as_raw()), &self.dir);
            }
        }
    }
}

impl Watched {
    fn over(self, status: ExitStatus, dir: &Path) {
        let errors = self.errors.map(ErrorOutput::end).unwrap_or_default();
        let after = self.started.elapsed().saturating_sub(self.may_wait);
        if let Some(ended) = EndedAtOnce::of(&self.title, status, after, &errors) {
            tracing::info!("{}", ended.sentence());
            if let Err(e) = ended.tell(dir) {
                tracing::warn!("it could not be shown: {e}");
            }
        }
    }
}

impl AsFd for Programs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}
