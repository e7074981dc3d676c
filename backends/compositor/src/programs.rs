//! The desktop's programs: started as children, so that they have what the desktop has, and waited for when they end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
}

impl Programs {
    /// From now on the end of children is noticed. One per process.
    ///
    /// # Errors
    /// As the system says.
    pub fn new(display: &'static str, x11: Option<u32>) -> io::Result<Self> {
        let (ended, tell) = UnixStream::pair()?;
        ended.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, tell)?;
        Ok(Self { display, x11, ended })
    }

    /// Starts `sh SCRIPT` with `env` (`NAME=value` each) added, in a session of its own. Does not wait for it.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(&self, script: &Path, env: &[String]) -> io::Result<()> {
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
        // Its status is taken by `reap`.
        command.spawn().map(drop)
    }

    /// Takes the status of everything that ended.
    pub fn reap(&self) {
        use std::io::Read as _;
        let mut seen = [0; 64];
        if !matches!((&self.ended).read(&mut seen), Ok(1..)) {
            return;
        }
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
    }
}

impl AsFd for Programs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}
