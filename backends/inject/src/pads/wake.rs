//! A thread that sleeps until its device has something to say, a deadline passes, or it shall end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// Ends a pad's thread when it is dropped, and waits for it.
pub(super) struct PadThread {
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl PadThread {
    /// Starts a thread named `name`.
    pub fn start(name: String, body: impl FnOnce(Sleeper) + Send + 'static) -> io::Result<Self> {
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let sleeper = Sleeper(Arc::clone(&end));
        let thread = std::thread::Builder::new().name(name).spawn(move || body(sleeper))?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for PadThread {
    fn drop(&mut self) {
        // Fails only where the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&*self.end, &1_u64.to_ne_bytes());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("a pad's thread panicked");
        }
    }
}

/// The thread's side.
pub(super) struct Sleeper(Arc<OwnedFd>);

/// Why a thread woke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woke {
    /// There is something to read.
    Readable,
    /// The deadline passed.
    Deadline,
    /// The thread shall end, or its device is gone.
    End,
}

impl Sleeper {
    pub fn sleep(&self, device: BorrowedFd<'_>, until: Option<Instant>) -> Woke {
        loop {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| left.try_into().unwrap_or_default());
            let mut fds = [
                PollFd::from_borrowed_fd(device, PollFlags::IN),
                PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Woke::Deadline,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return Woke::End,
            }
            let [device, end] = fds.map(|fd| fd.revents());
            return if !end.is_empty() {
                Woke::End
            } else if device.contains(PollFlags::IN) {
                Woke::Readable
            } else {
                // Nothing but an error or a hang-up, which would wake us for ever.
                Woke::End
            };
        }
    }
}
