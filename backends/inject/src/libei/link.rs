//! The connection: handshake, events, and writing without ever waiting.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use punktfunk_media::InjectError;
use reis::handshake::EiHandshaker;
use reis::{PendingRequestResult, ei};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::devices::Device;
use crate::{lost, wait_for_room};

/// A connection on which we are the sender of input.
pub struct Link {
    context: ei::Context,
    connection: ei::Connection,
    /// The server's last serial.
    pub serial: u32,
    /// Flushes in a row for which the socket got no room.
    stalled: u32,
}

impl Link {
    /// Shakes hands.
    pub fn open(stream: UnixStream, until: Instant) -> Result<Self, InjectError> {
        let context = ei::Context::new(stream).map_err(|e| lost(format!("EIS socket: {e}")))?;
        let mut handshake = EiHandshaker::new("punktfunk", ei::handshake::ContextType::Sender);
        loop {
            read(&context)?;
            while let Some(event) = next_event(&context)? {
                let answer = handshake.handle_event(event).map_err(|e| lost(format!("EIS handshake: {e}")))?;
                if let Some(done) = answer {
                    return Ok(Self { context, connection: done.connection, serial: done.serial, stalled: 0 });
                }
            }
            if !wait(&context, until)? {
                return Err(lost("the EIS server did not shake hands".to_owned()));
            }
        }
    }

    /// Has the server say when it has handled everything so far, by an event of the callback.
    pub fn sync(&self) {
        // Dropping the proxy drops nothing on the wire; the event names the object by itself.
        let _ = self.connection.sync(1);
    }

    /// Takes what is there from the socket.
    pub fn read(&self) -> Result<(), InjectError> {
        read(&self.context)
    }

    /// The next event among what was read.
    pub fn next_event(&self) -> Result<Option<ei::Event>, InjectError> {
        next_event(&self.context)
    }

    /// Waits for something to read; false once it is `until`.
    pub fn wait(&self, until: Instant) -> Result<bool, InjectError> {
        wait(&self.context, until)
    }

    /// Commits what was requested of `device`.
    pub fn frame(&self, device: &Device) {
        device.proto.frame(self.serial, now_us());
    }

    /// Sends what was requested. A socket that stays full is no error, the rest goes with the next call, unless the
    /// server reads nothing for so long that the rest would become large.
    pub fn flush(&mut self) -> Result<(), InjectError> {
        loop {
            match self.context.flush() {
                Ok(()) => break self.stalled = 0,
                Err(Errno::AGAIN | Errno::INTR) if wait_for_room(&self.context) => {}
                Err(Errno::AGAIN | Errno::INTR) if self.stalled < MOST_STALLED => break self.stalled += 1,
                Err(Errno::AGAIN | Errno::INTR) => return Err(lost("the EIS server reads nothing".to_owned())),
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(closed()),
                Err(e) => return Err(lost(format!("EIS socket: {e}"))),
            }
        }
        Ok(())
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        self.connection.disconnect();
        // Best effort: the socket closes right after, which says the same.
        let _ = self.context.flush();
    }
}

fn closed() -> InjectError {
    lost("the EIS server closed the connection".to_owned())
}

fn read(context: &ei::Context) -> Result<(), InjectError> {
    match context.read() {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
        // A reset where it left something of ours unread.
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Err(closed()),
        Err(e) => Err(lost(format!("EIS socket: {e}"))),
    }
}

fn next_event(context: &ei::Context) -> Result<Option<ei::Event>, InjectError> {
    loop {
        match context.pending_event() {
            None => return Ok(None),
            Some(PendingRequestResult::Request(event)) => return Ok(Some(event)),
            // About an object that is gone here already.
            Some(PendingRequestResult::InvalidObject(_)) => {}
            Some(PendingRequestResult::ParseError(e)) => return Err(lost(format!("the EIS server: {e}"))),
        }
    }
}

fn wait(context: &ei::Context, until: Instant) -> Result<bool, InjectError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(false);
    }
    // Less than a minute, whatever the caller says.
    let timeout = Timespec { tv_sec: left.as_secs().min(60) as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut [PollFd::new(context, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(true),
        Err(e) => Err(lost(format!("EIS socket: {e}"))),
    }
}

/// Microseconds of the monotonic clock, as frames want them.
fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Never negative: it counts from the start of the machine.
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Each took a moment, [`crate::ROOM_WITHIN`]: two seconds together. Servers read at once or are stuck.
const MOST_STALLED: u32 = 20;
