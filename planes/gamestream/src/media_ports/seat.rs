//! One session's place at both ports: where its client is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use punktfunk_net::udp::Path;
use tokio::sync::watch;

use super::SessionTag;
use super::table::{Heard, PingTable, Stream};

/// Where a session's pings came from, `None` before the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pinged {
    /// At the port of video.
    pub video: Option<SocketAddr>,
    /// At the port of sound.
    pub audio: Option<SocketAddr>,
}

/// Shared by the table, the session and its sinks.
#[derive(Debug)]
pub(super) struct Seat {
    pub tag: SessionTag,
    video: Mutex<Way>,
    audio: Mutex<Way>,
    pinged: watch::Sender<Pinged>,
}

/// The way to the client from one port.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    path: Option<Path>,
    /// The newest ping's counter.
    counter: u32,
    /// The registration has ended.
    closed: bool,
}

impl Seat {
    pub fn new(tag: &SessionTag) -> Self {
        let (video, audio) = (Mutex::default(), Mutex::default());
        Self { tag: *tag, video, audio, pinged: watch::Sender::new(Pinged::default()) }
    }

    /// Where to send; `None` before the first ping and after the end.
    pub fn path(&self, stream: Stream) -> Option<Path> {
        self.way(stream).path
    }

    pub fn hear_tagged(&self, stream: Stream, counter: u32, path: Path) -> Heard {
        let mut way = self.way(stream);
        let newer = counter > way.counter;
        way.counter = way.counter.max(counter);
        // A ping from elsewhere must be new: one that was recorded on the network moves nothing.
        self.settle(stream, way, path, newer)
    }

    pub fn hear_legacy(&self, stream: Stream, path: Path) -> Heard {
        self.settle(stream, self.way(stream), path, true)
    }

    fn settle(&self, stream: Stream, mut way: MutexGuard<'_, Way>, path: Path, may_move: bool) -> Heard {
        let heard = match way.path {
            _ if way.closed => return Heard::Junk,
            Some(known) if known == path => return Heard::Again,
            Some(_) if !may_move => return Heard::Junk,
            Some(_) => Heard::Moved,
            None => Heard::First,
        };
        way.path = Some(path);
        drop(way);
        self.pinged.send_modify(|pinged| match stream {
            Stream::Video => pinged.video = Some(path.peer),
            Stream::Audio => pinged.audio = Some(path.peer),
        });
        heard
    }

    fn close(&self) {
        for stream in [Stream::Video, Stream::Audio] {
            *self.way(stream) = Way { closed: true, ..Way::default() };
        }
    }

    fn way(&self, stream: Stream) -> MutexGuard<'_, Way> {
        let way = match stream {
            Stream::Video => &self.video,
            Stream::Audio => &self.audio,
        };
        way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears a session's pings. Dropping it ends the registration.
#[derive(Debug)]
pub struct Pings {
    seat: Arc<Seat>,
    table: Arc<PingTable>,
    pinged: watch::Receiver<Pinged>,
}

impl Pings {
    pub(super) fn new(seat: Arc<Seat>, table: Arc<PingTable>) -> Self {
        let pinged = seat.pinged.subscribe();
        Self { seat, table, pinged }
    }

    /// Where the pings came from so far.
    #[must_use]
    pub fn now(&self) -> Pinged {
        *self.pinged.borrow()
    }

    /// Waits for the first ping at the port of video, for as long as it takes: the caller has a deadline of its own.
    /// Cancel-safe.
    pub async fn video(&mut self) -> SocketAddr {
        loop {
            if let Some(peer) = self.pinged.borrow_and_update().video {
                return peer;
            }
            self.changed().await;
        }
    }

    /// Waits until something is new: a first ping, or a client that moved. Cancel-safe.
    pub async fn changed(&mut self) {
        // The sender lives in the seat that this holds, so this never fails.
        let _ = self.pinged.changed().await;
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        self.table.remove(&self.seat);
        self.seat.close();
    }
}
