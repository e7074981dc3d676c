//! Hears of programs that ended at once: whoever started them writes it into the desktop's runtime folder.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use punktfunk_media::{ENDED_FILE, EndedAtOnce};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

/// Readable when something was written there.
pub struct Ended {
    notify: OwnedFd,
    dir: PathBuf,
}

impl Ended {
    /// Begins to listen; what was told before is of no interest any more.
    ///
    /// # Errors
    /// As the system says.
    pub fn listen() -> io::Result<Self> {
        let dir = runtime_dir().ok_or(io::ErrorKind::NotFound)?;
        let notify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // Files that are moved there whole; others are none of ours.
        add_watch(&notify, &dir, WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)?;
        Ok(Self { notify, dir })
    }

    /// The newest one, if one was told since the last call, as a line for people.
    pub fn next(&self) -> Option<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.notify, &mut buffer);
        let mut told = false;
        while let Ok(event) = reader.next() {
            told |= event.file_name().is_some_and(|name| name.to_bytes() == ENDED_FILE.as_bytes());
        }
        told.then(|| EndedAtOnce::heard(&self.dir)).flatten().map(|ended| ended.sentence())
    }
}

impl AsFd for Ended {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notify.as_fd()
    }
}

/// The desktop's.
pub fn runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
}
