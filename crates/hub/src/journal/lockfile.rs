//! Who may touch the journal: an advisory lock beside it, which the system takes back when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the lock's holder is, written into the file for whoever has to decide whether waiting makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Keeps the lock for its life.
    Host,
    /// Keeps the lock while it undoes something, seconds at most.
    Watchdog,
}

/// The lock. Dropping it, or dying, gives it back.
#[derive(Debug)]
pub(super) struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock that belongs to the journal at `path`, waiting at most `patience` for a watchdog, and only
    /// [`HOST_PATIENCE`] for a host. `Ok(None)`: somebody else keeps it.
    pub fn acquire(path: &Path, role: Role, patience: Duration) -> io::Result<Option<Self>> {
        let lock_path = lock_path(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&lock_path)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    // The word may be of an earlier holder, for as long as the present one takes to write its own.
                    let host = fs::read(&lock_path).is_ok_and(|text| text.starts_with(HOST_WORD));
                    if since.elapsed() >= if host { HOST_PATIENCE.min(patience) } else { patience } {
                        return Ok(None);
                    }
                    std::thread::sleep(RETRY);
                }
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        let word = if role == Role::Host { HOST_WORD } else { WATCHDOG_WORD };
        // On a full disk the word may stay the old one: others then wait a little longer or shorter than they need to.
        let _ = file.set_len(0).and_then(|()| file.write_all(word));
        Ok(Some(Self { _file: file }))
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    path.with_file_name(name)
}

const HOST_WORD: &[u8] = b"host\n";
const WATCHDOG_WORD: &[u8] = b"watchdog\n";
/// A host does not give its lock back; this only covers a word that is being replaced.
const HOST_PATIENCE: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_millis(10);
