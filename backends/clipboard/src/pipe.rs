//! The ends of pipes that the clipboard's data goes through, each of which waits a bounded time.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use punktfunk_media::CLIPBOARD_SLICE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};

/// What a program writes.
pub(crate) struct Reader(OwnedFd);

/// What a program reads.
pub(crate) struct Writer(OwnedFd);

/// A pipe: our end, and the one for the program.
pub(crate) fn incoming() -> io::Result<(Reader, OwnedFd)> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    do_not_block(&ours)?;
    Ok((Reader(ours), theirs))
}

impl Writer {
    /// The end that a program gave us.
    pub(crate) fn new(end: OwnedFd) -> io::Result<Self> {
        do_not_block(&end)?;
        Ok(Self(end))
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        wait(&self.0, PollFlags::IN)?;
        Ok(rustix::io::read(&self.0, into)?)
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait(&self.0, PollFlags::OUT)?;
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn do_not_block(end: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?)
}

fn wait(end: &OwnedFd, what: PollFlags) -> io::Result<()> {
    let slice = Timespec { tv_sec: 0, tv_nsec: CLIPBOARD_SLICE.subsec_nanos().into() };
    // An end that was closed or broke is ready, too: what follows tells.
    match poll(&mut [PollFd::new(end, what)], Some(&slice)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Err(ErrorKind::WouldBlock.into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
