//! What a desktop's programs say goes into files of its folder, for as long as the desktop lives: weeks, where it is kept.
//! Their beginnings are let go of, so that a program that complains all day fills no disk and no memory.
//!
//! ```text
//! every EVERY ─► the folder's logs ─► more than LARGEST on disk ─► a hole from the start to KEPT before the end
//! ```
//!
//! The files are open for appending in the programs, who notice nothing: the end stays where it is.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Dir, FallocateFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Keeps the logs of a folder small until dropped.
#[derive(Debug)]
pub struct SmallLogs {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SmallLogs {
    /// Looks at those in `dir` from time to time.
    pub fn keep(dir: &Path) -> Self {
        Self::every(EVERY, dir.to_owned())
    }

    fn every(period: Duration, dir: PathBuf) -> Self {
        let (stop, stopped) = channel();
        let look = move || {
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                // The folder may be about to go.
                if let Err(error) = shorten_all(&dir) {
                    tracing::debug!(dir = %dir.display(), %error, "logs");
                }
            }
        };
        let thread = std::thread::Builder::new().name("logs".into()).spawn(look);
        let thread = thread.inspect_err(|e| tracing::warn!("logs may grow: {e}")).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for SmallLogs {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It does not panic.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The desktop's user owns the folder and can put anything there, while the host may be root: only that user's own regular
/// files are touched.
fn shorten_all(dir: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, OFlags::RDONLY | flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&dir)?.st_uid;
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        if !is_log(entry.file_name()) {
            continue;
        }
        // Not to wait for somebody at the other end of a pipe.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&dir, entry.file_name(), flags, Mode::empty()) else { continue };
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_uid == owner {
            shorten(&File::from(file), stat.st_size.cast_unsigned(), stat.st_blocks.cast_unsigned() * BLOCK)?;
        }
    }
    Ok(())
}

/// Size and disk space, both in bytes. A file with a hole keeps its size.
fn shorten(file: &File, size: u64, on_disk: u64) -> io::Result<()> {
    if on_disk <= LARGEST {
        return Ok(());
    }
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, hole, 0, size.saturating_sub(KEPT)) {
        // Whoever appends goes on at the new end.
        Err(Errno::OPNOTSUPP) => file.set_len(0),
        done => done.map_err(Into::into),
    }
}

fn is_log(name: &CStr) -> bool {
    let name = name.to_bytes();
    name == LOG.as_bytes() || name.ends_with(b".log")
}

/// What everything on the desktop writes to, unless it has a file of its own, `*.log`.
pub const LOG: &str = "log";
/// A chatty program writes some 100 kB in that time.
const EVERY: Duration = Duration::from_secs(20);
/// On disk. Files of hours, of most programs.
const LARGEST: u64 = 8 << 20;
/// Enough to see what happened last.
const KEPT: u64 = 1 << 20;
/// `st_blocks` counts these, whatever the file system's own are (stat(3type)).
const BLOCK: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::time::Instant;

    fn on_disk(path: &Path) -> u64 {
        fs::metadata(path).unwrap().blocks() * BLOCK
    }

    fn end_of(path: &Path, len: u64) -> Vec<u8> {
        let mut file = File::open(path).unwrap();
        file.seek(SeekFrom::End(-len.cast_signed())).unwrap();
        let mut end = Vec::new();
        file.read_to_end(&mut end).unwrap();
        end
    }

    #[test]
    fn the_beginning_of_a_long_log_goes_under_a_program_that_writes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("errors-7-0.log");
        let mut program = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        program.write_all(b"one line\n").unwrap();
        shorten_all(dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one line\n", "a short one is left alone");
        for round in 0..3 {
            program.write_all(&vec![b'x'; 20 << 20]).unwrap();
            program.write_all(b"the last words\n").unwrap();
            assert!(on_disk(&path) > 20 << 20);
            shorten_all(dir.path()).unwrap();
            assert!(on_disk(&path) <= KEPT + 8192, "round {round}: {}", on_disk(&path));
            assert_eq!(end_of(&path, 16), b"xthe last words\n", "round {round}");
        }
    }

    #[test]
    fn what_is_no_log_of_the_folders_owner_is_left_alone() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let big = vec![b'x'; 9 << 20];
        let (target, data) = (elsewhere.path().join("data"), dir.path().join("data"));
        fs::write(&target, &big).unwrap();
        fs::write(&data, &big).unwrap();
        symlink(&target, dir.path().join(LOG)).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("p.log"), FileType::Fifo, 0o600.into(), 0).unwrap();
        let foreign = dir.path().join("foreign.log");
        fs::write(&foreign, &big).unwrap();
        // Only root can give files away.
        let given = std::os::unix::fs::chown(&foreign, Some(65_534), None).is_ok();
        shorten_all(dir.path()).unwrap();
        assert!(on_disk(&target) >= 9 << 20 && on_disk(&data) >= 9 << 20);
        assert_eq!(on_disk(&foreign) >= 9 << 20, given);
    }

    #[test]
    fn they_are_looked_at_until_the_desktop_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG);
        fs::write(&path, vec![b'x'; 9 << 20]).unwrap();
        let logs = SmallLogs::every(Duration::from_millis(5), dir.path().to_owned());
        let begun = Instant::now();
        while on_disk(&path) > KEPT + 8192 && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(on_disk(&path) <= KEPT + 8192, "{}", on_disk(&path));
        drop(logs);
    }
}
