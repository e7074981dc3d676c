//! The name by which X11 programs find their server: a display number with its lock file and socket, made as X servers do.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid, test_kill_process};

/// A display of ours. Dropping it gives the number back.
#[derive(Debug)]
pub struct DisplayName {
    number: u32,
    folder: PathBuf,
    socket: UnixListener,
}

impl DisplayName {
    /// Takes the first number that is free. Programs can connect when this returns; nobody hears them yet.
    ///
    /// # Errors
    /// As the system says; `AddrInUse` where all numbers are taken.
    pub fn claim() -> io::Result<Self> {
        Self::claim_in(Path::new("/tmp"))
    }

    fn claim_in(folder: &Path) -> io::Result<Self> {
        let sockets = folder.join(SOCKETS);
        match fs::create_dir(&sockets) {
            // Where no X server ever ran. As X servers make it: everybody's, and nobody can take another's socket away.
            Ok(()) => fs::set_permissions(&sockets, fs::Permissions::from_mode(0o1777))?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        let _alone = alone(&sockets);
        for number in 0..NUMBERS {
            if !lock(folder, number)? {
                continue;
            }
            match listen(folder, number) {
                Ok(socket) => return Ok(Self { number, folder: folder.to_owned(), socket }),
                Err(e) => {
                    tracing::debug!("X11 display {number}: {e}");
                    // Ours, made a moment ago.
                    let _ = fs::remove_file(lock_path(folder, number));
                }
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The number after the colon in `DISPLAY`.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl AsFd for DisplayName {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for DisplayName {
    fn drop(&mut self) {
        // Gone already where somebody tidied up.
        let _ = fs::remove_file(socket_path(&self.folder, self.number));
        let _ = fs::remove_file(lock_path(&self.folder, self.number));
    }
}

/// Removes lock and socket of a display whose server was killed. Those of a server that lives stay.
pub fn remove_stale(number: u32) {
    let folder = Path::new("/tmp");
    let _alone = alone(&folder.join(SOCKETS));
    remove_stale_in(folder, number);
}

/// Keeps other desktops of ours from taking or clearing numbers meanwhile: between looking at a lock and removing it, another
/// one could have made it its own. As long as the result lives; in vain where somebody holds it for no reason.
fn alone(sockets: &Path) -> Option<fs::File> {
    let folder = fs::File::open(sockets).ok()?;
    for _ in 0..TRIES {
        match rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(rustix::io::Errno::AGAIN) => std::thread::sleep(TRY_AGAIN_AFTER),
            Err(_) => return None,
        }
    }
    None
}

fn remove_stale_in(folder: &Path, number: u32) {
    let lock = lock_path(folder, number);
    if holder(&lock).is_some_and(|pid| !lives(pid)) {
        // Somebody else may have come first.
        let _ = fs::remove_file(socket_path(folder, number));
        let _ = fs::remove_file(lock);
    }
}

/// Makes the lock file. False: another server has the number.
fn lock(folder: &Path, number: u32) -> io::Result<bool> {
    remove_stale_in(folder, number);
    let path = lock_path(folder, number);
    match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
        Ok(mut file) => {
            let written = file.write_all(format!("{:>10}\n", getpid().as_raw_nonzero()).as_bytes());
            if written.is_err() {
                let _ = fs::remove_file(&path);
            }
            written.map(|()| true)
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::PermissionDenied) => Ok(false),
        Err(e) => Err(e),
    }
}

fn listen(folder: &Path, number: u32) -> io::Result<UnixListener> {
    let path = socket_path(folder, number);
    // The lock is ours: what is there was left behind, or belongs to a server that takes no locks.
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let socket = UnixListener::bind(&path)?;
    // Other people's programs have no business here.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// Whose lock it is; `None` if there is none that can be read.
fn holder(lock: &Path) -> Option<Pid> {
    // wlroots ends the number with a NUL where X servers have a line's end.
    let padding = |c: char| c.is_whitespace() || c == '\0';
    Pid::from_raw(fs::read_to_string(lock).ok()?.trim_matches(padding).parse().ok()?)
}

/// Whether a process still runs; one that ended and waits to be noticed does not.
fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let ended = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    !ended && test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

fn lock_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!(".X{number}-lock"))
}

fn socket_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(SOCKETS).join(format!("X{number}"))
}

const SOCKETS: &str = ".X11-unix";
/// Half a second in all; taking a number takes some tens of microseconds.
const TRIES: u32 = 250;
const TRY_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(2);
/// More desktops than one machine carries.
const NUMBERS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_in_turn_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let first = DisplayName::claim_in(folder.path()).unwrap();
        let second = DisplayName::claim_in(folder.path()).unwrap();
        assert_eq!((first.number(), second.number()), (0, 1));
        assert!(std::os::unix::net::UnixStream::connect(socket_path(folder.path(), 1)).is_ok());
        drop(first);
        assert!(!lock_path(folder.path(), 0).exists() && !socket_path(folder.path(), 0).exists());
        assert_eq!(DisplayName::claim_in(folder.path()).unwrap().number(), 0);
    }

    #[test]
    fn what_a_killed_server_left_is_taken_over_and_what_a_living_one_has_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        fs::write(lock_path(folder.path(), 0), format!("{:>10}\n", gone.id())).unwrap();
        fs::write(lock_path(folder.path(), 1), format!("{:>10}\n", 1)).unwrap();
        assert_eq!(holder(&lock_path(folder.path(), 1)), Pid::from_raw(1));
        let wlroots = folder.path().join("wlroots");
        fs::write(&wlroots, format!("{:>10}\0", 17)).unwrap();
        assert_eq!(holder(&wlroots), Pid::from_raw(17));
        // Ended, whether its parent has looked or not.
        while lives(Pid::from_raw(i32::try_from(gone.id()).unwrap()).unwrap()) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let first = DisplayName::claim_in(folder.path()).unwrap();
        let next = DisplayName::claim_in(folder.path()).unwrap();
        assert_eq!((first.number(), next.number()), (0, 2));
        gone.wait().unwrap();
        remove_stale_in(folder.path(), 1);
        assert!(lock_path(folder.path(), 1).exists(), "process 1 lives");
    }

    #[test]
    fn many_that_start_at_once_over_what_others_left_get_numbers_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        for round in 0..20 {
            for number in 0..8 {
                fs::write(lock_path(folder.path(), number), format!("{:>10}\n", gone.id())).unwrap();
            }
            let claimed: Vec<_> = std::thread::scope(|scope| {
                let claim = || DisplayName::claim_in(folder.path()).unwrap();
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let mut numbers: Vec<_> = claimed.iter().map(DisplayName::number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..8).collect::<Vec<_>>(), "round {round}");
            for number in numbers {
                assert!(std::os::unix::net::UnixStream::connect(socket_path(folder.path(), number)).is_ok());
            }
        }
    }

    #[test]
    fn a_server_without_a_lock_keeps_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(SOCKETS)).unwrap();
        let _other = UnixListener::bind(socket_path(folder.path(), 0)).unwrap();
        assert_eq!(DisplayName::claim_in(folder.path()).unwrap().number(), 1);
        assert!(!lock_path(folder.path(), 0).exists());
    }
}
