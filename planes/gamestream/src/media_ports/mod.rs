//! The UDP ports of video and sound, which all sessions share.
//!
//! ```text
//! register(tag) ─► Registration { video, audio, pings }
//!                      │ send thread      audio thread │            session: waits for the first ping, then starts
//!  client ─► ping ─► ping-video | ping-audio ─► table: payload (or address) ─► seat: the way to the client
//! ```
//!
//! A client pings both ports for as long as it streams; where its newest ping came from, its streams go, from the address
//! that it pinged. Whatever else arrives is dropped and costs nobody but its sender. Dropping [`Pings`] ends a
//! registration: its sinks then send nothing more.

mod seat;
mod sinks;
mod table;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use punktfunk_media::{Reason, reason};
use punktfunk_net::udp::{Flow, Mark, SharedSocket};

pub use seat::{Pinged, Pings};
pub use sinks::{AudioSocket, VideoSink};
pub use table::{Stream, fuzz_pings};

use crate::wire::ping::MAX_PING_BYTES;
use seat::Seat;
use table::{Heard, PingTable};

/// Where to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaPortsConfig {
    /// `None`: on every address, of both families where there are both.
    pub ip: Option<IpAddr>,
    /// The port of video; 0 = any.
    pub video_port: u16,
    /// The port of sound; 0 = any.
    pub audio_port: u16,
}

/// What tells a session's pings from others'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTag {
    /// Its `X-SS-Ping-Payload`: random, told to the client alone, and never given twice.
    pub ping: [u8; 16],
    /// The client knows no payload: a bare `PING` from its address is its own.
    pub legacy: bool,
    /// The client's address, as its handshake came from it.
    pub peer: IpAddr,
    /// Video may be marked for routers.
    pub mark_video: bool,
    /// So may sound.
    pub mark_audio: bool,
}

/// A session's place at both ports.
#[derive(Debug)]
pub struct Registration {
    /// Sends its video.
    pub video: VideoSink,
    /// Sends its sound.
    pub audio: AudioSocket,
    /// Hears its pings, and holds the place.
    pub pings: Pings,
}

/// The ports could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct MediaPortsError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// Which port, and what the system said.
    pub detail: String,
}

/// Both ports, and the threads that read pings from them. Dropping it closes them.
#[derive(Debug)]
pub struct MediaPorts {
    table: Arc<PingTable>,
    video: Port,
    audio: Port,
}

#[derive(Debug)]
struct Port {
    socket: Arc<SharedSocket>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MediaPorts {
    /// Binds both ports and starts reading.
    ///
    /// # Errors
    /// `gamestream.media_socket` with the port that is taken, `internal.threads` without threads.
    pub fn start(config: &MediaPortsConfig) -> Result<Self, MediaPortsError> {
        let table = Arc::<PingTable>::default();
        let open = |stream, port| Port::open(&table, stream, config.ip, port);
        let video = open(Stream::Video, config.video_port)?;
        let audio = open(Stream::Audio, config.audio_port)?;
        Ok(Self { table, video, audio })
    }

    /// The port of video.
    #[must_use]
    pub const fn video_port(&self) -> u16 {
        self.video.address.port()
    }

    /// The port of sound.
    #[must_use]
    pub const fn audio_port(&self) -> u16 {
        self.audio.address.port()
    }

    /// Takes a session's pings from now on.
    #[must_use]
    pub fn register(&self, tag: &SessionTag) -> Registration {
        let seat = Arc::new(Seat::new(tag));
        self.table.add(&seat);
        let mark = |allowed, mark| if allowed { mark } else { Mark::None };
        let video = Flow::new(Arc::clone(&self.video.socket), mark(tag.mark_video, Mark::Video));
        let audio = Flow::new(Arc::clone(&self.audio.socket), mark(tag.mark_audio, Mark::Audio));
        Registration {
            video: VideoSink::new(Arc::clone(&seat), video),
            audio: AudioSocket::new(Arc::clone(&seat), audio),
            pings: Pings::new(seat, Arc::clone(&self.table)),
        }
    }
}

impl Port {
    fn open(table: &Arc<PingTable>, stream: Stream, ip: Option<IpAddr>, port: u16) -> Result<Self, MediaPortsError> {
        let failed = |error: io::Error| MediaPortsError {
            reason: &reason::GAMESTREAM_MEDIA_SOCKET,
            detail: format!("UDP port {port} of {}: {error}", stream.name()),
        };
        let bound = ip.map_or_else(|| SharedSocket::bind_any(port), |ip| SharedSocket::bind(ip, port));
        let socket = Arc::new(bound.map_err(failed)?);
        socket.set_recv_timeout(Some(LOOK_UP)).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let stop = Arc::<AtomicBool>::default();
        let reader = {
            let (socket, table, stop) = (Arc::clone(&socket), Arc::clone(table), Arc::clone(&stop));
            move || read(&socket, &table, stream, &stop)
        };
        let thread = thread::Builder::new().name(format!("ping-{}", stream.name())).spawn(reader);
        let thread = thread.map_err(|error| MediaPortsError {
            reason: &reason::INTERNAL_THREADS,
            detail: format!("thread ping-{}: {error}", stream.name()),
        })?;
        Ok(Self { socket, address, stop, thread: Some(thread) })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(true, Ordering::Relaxed);
        // A datagram to ourselves wakes the reader; where none gets through, it looks up by itself soon.
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        if let Ok(waker) = std::net::UdpSocket::bind((any, 0)) {
            let _ = waker.send_to(&[], (ip, self.address.port()));
        }
        if thread.join().is_err() {
            tracing::error!("the thread of a media port panicked");
        }
    }
}

fn read(socket: &SharedSocket, table: &PingTable, stream: Stream, stop: &AtomicBool) {
    // One byte more than the longest ping, so that longer datagrams show.
    let mut buffer = [0; MAX_PING_BYTES + 1];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv(&mut buffer) {
            Ok(Some(arrival)) => {
                let peer = arrival.path.peer;
                match table.hear(stream, &buffer[..arrival.len], arrival.path) {
                    Heard::First => tracing::debug!(%peer, stream = stream.name(), "a client's first ping"),
                    Heard::Moved => tracing::info!(%peer, stream = stream.name(), "a client's address changed"),
                    Heard::Again => {}
                    Heard::Junk => tracing::trace!(%peer, stream = stream.name(), "not a ping of any session"),
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, stream = stream.name(), "a media port cannot be read");
                thread::sleep(LOOK_UP);
            }
        }
    }
}

/// How often a reader looks whether it is to end, should the datagram that wakes it not get through.
const LOOK_UP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
