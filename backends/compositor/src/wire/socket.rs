//! `SOCK_SEQPACKET` sockets with a name, whose messages may carry one descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, recvmsg, sendmsg,
    socket_with, sockopt::socket_peercred,
};

/// One end of a connection. Never blocks but where it says so.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The other side is gone.
    #[error("the other side is gone")]
    Gone,
    /// Another user's process.
    #[error("a process of user {0} is at the other end")]
    Stranger(u32),
    /// The other side does not read.
    #[error("the other side does not read")]
    Full,
    /// The system said so.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for SocketError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Gone,
            Errno::AGAIN => Self::Full,
            other => Self::Io(other.into()),
        }
    }
}

/// A message that came.
#[derive(Debug)]
pub struct Received<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The descriptor that came with it.
    pub fd: Option<OwnedFd>,
}

impl Socket {
    /// Connects to the worker that listens at `path`. Fails for one that runs as neither `owner` nor root.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn connect(path: &Path, owner: u32) -> Result<Self, SocketError> {
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
        connect(&fd, &SocketAddrUnix::new(path)?)?;
        check_peer(&fd, owner)?;
        Ok(Self(fd))
    }

    /// Sends a message, with a descriptor if there is one.
    ///
    /// # Errors
    /// [`SocketError::Full`] where the other side has not read enough, else as the system says.
    pub fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), SocketError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            // There is room for exactly one.
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Sends a message, waiting for room until `deadline`.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn send_by(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>, deadline: Instant) -> Result<(), SocketError> {
        loop {
            match self.send(bytes, fd) {
                Err(SocketError::Full) if Instant::now() < deadline => {
                    // The kernel says "writable" only once most of what waits was read; there may be room long before.
                    self.ready_by(PollFlags::OUT, deadline.min(Instant::now() + TRY_AGAIN_AFTER))?;
                }
                other => return other,
            }
        }
    }

    /// The next message, if one is there. A message longer than the buffer counts as the other side's end: it does not
    /// speak this protocol.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<Received<'a>>, SocketError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                other => break other?,
            }
        };
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        // No message of ours is empty: this is the end.
        if message.bytes == 0 || message.flags.contains(rustix::net::ReturnFlags::TRUNC) {
            return Err(SocketError::Gone);
        }
        Ok(Some(Received { bytes: &buffer[..message.bytes], fd }))
    }

    /// The next message, waited for until `deadline`; `None` when that passed.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn receive_by<'a>(&self, buffer: &'a mut [u8], deadline: Instant) -> Result<Option<Received<'a>>, SocketError> {
        if !self.ready_by(PollFlags::IN, deadline)? {
            return Ok(None);
        }
        self.receive(buffer)
    }

    /// Waits until a message is there: true; or `bell` is readable, or `deadline` passed: false.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn message_or(&self, bell: BorrowedFd<'_>, deadline: Instant) -> Result<bool, SocketError> {
        loop {
            let left = timespec(deadline.saturating_duration_since(Instant::now()));
            let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::from_borrowed_fd(bell, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(_) => return Ok(!fds[0].revents().is_empty()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn ready_by(&self, what: PollFlags, deadline: Instant) -> Result<bool, SocketError> {
        loop {
            let left = timespec(deadline.saturating_duration_since(Instant::now()));
            match poll(&mut [PollFd::new(&self.0, what)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A named socket that hosts connect to. Dropping it removes the name.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`, which must not exist.
    ///
    /// # Errors
    /// As the system says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
        bind(&fd, &SocketAddrUnix::new(path)?)?;
        let this = Self { fd, path: path.to_owned() };
        listen(&this.fd, BACKLOG)?;
        Ok(this)
    }

    /// The next connection, if one waits. Connections of users other than our own and root are refused.
    ///
    /// # Errors
    /// As the system says.
    pub fn accept(&self) -> Result<Option<Socket>, SocketError> {
        match accept_with(&self.fd, FLAGS) {
            Ok(fd) => {
                check_peer(&fd, rustix::process::geteuid().as_raw())?;
                Ok(Some(Socket(fd)))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Gone already with its folder, as a rule.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn check_peer(fd: &OwnedFd, owner: u32) -> Result<(), SocketError> {
    let peer = socket_peercred(fd)?.uid.as_raw();
    if peer == owner || peer == 0 { Ok(()) } else { Err(SocketError::Stranger(peer)) }
}

/// For `poll`.
pub fn timespec(duration: Duration) -> Timespec {
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: i64::from(duration.subsec_nanos()) }
}

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
/// Between two tries to send.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(2);
/// A host opens three connections at once.
const BACKLOG: i32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn messages_keep_their_borders_and_carry_a_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        let owner = rustix::process::geteuid().as_raw();
        let near = Socket::connect(&path, owner).unwrap();
        let far = listener.accept().unwrap().expect("a connection waits");
        assert!(listener.accept().unwrap().is_none());

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inside").unwrap();
        near.send(b"one", None).unwrap();
        near.send(b"two", Some(file.as_fd())).unwrap();
        let mut buffer = [0; 16];
        let soon = Instant::now() + Duration::from_secs(10);
        let one = far.receive_by(&mut buffer, soon).unwrap().unwrap();
        assert!((one.bytes, one.fd.is_none()) == (b"one", true));
        let two = far.receive(&mut buffer).unwrap().unwrap();
        assert_eq!(two.bytes, b"two");
        let mut came = std::fs::File::from(two.fd.expect("a descriptor"));
        let mut text = String::new();
        came.rewind().unwrap();
        came.read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        assert!(far.receive(&mut buffer).unwrap().is_none());

        near.send(&[7; 17], None).unwrap();
        assert!(matches!(far.receive(&mut buffer), Err(SocketError::Gone)), "too long");
        drop(near);
        assert!(matches!(far.receive(&mut buffer), Err(SocketError::Gone)));
        assert!(matches!(far.send(b"x", None), Err(SocketError::Gone)));
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_side_that_does_not_read_stops_the_other_without_blocking_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        let near = Socket::connect(&path, rustix::process::geteuid().as_raw()).unwrap();
        let _far = listener.accept().unwrap().unwrap();
        let full = (0..1_000_000).find_map(|_| near.send(&[1; 64], None).err());
        assert!(matches!(full, Some(SocketError::Full)), "{full:?}");
    }

    #[test]
    fn another_users_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = Listener::bind(&path).unwrap();
        let me = rustix::process::geteuid().as_raw();
        // Root is always let in: this says something only where the test does not run as root.
        assert_eq!(Socket::connect(&path, me + 1).is_err(), me != 0);
    }
}
