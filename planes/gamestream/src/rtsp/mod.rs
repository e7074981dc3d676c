//! The RTSP door: plain and sealed, one request per connection.
//!
//! ```text
//! accept ─► crowd (a newcomer may push out who waits longest) ─► inbox ─► whose? (key or address) ─► answer ─► FIN ─► drain
//! ```
//!
//! A request carries no credential. A sealed one belongs to the session whose secret opens it; a plain one to the oldest
//! plain session of its address. A connection that belongs to nobody is closed without a word.

mod answer;
mod crowd;
mod records;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::door::RtspSessions;
use crate::sockets;
use crate::wire::rtsp::{Arrived, Inbox};
pub(crate) use crowd::source;

use answer::answer;
use crowd::{Crowd, CrowdLimits, Place};
use records::{Opened, Records};

/// The listener. Dropping it closes it and every connection.
#[derive(Debug)]
pub struct RtspServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl RtspServer {
    /// Listens at `address` (port 0: any; `[::]` takes IPv4, too) and serves `sessions`. Call within a tokio runtime.
    ///
    /// # Errors
    /// As the system tells: `AddrInUse` if another program has the port.
    pub fn start(address: SocketAddr, sessions: Arc<dyn RtspSessions>) -> io::Result<Self> {
        let listener = TcpListener::from_std(sockets::tcp(address)?)?;
        let address = listener.local_addr()?;
        let door = Arc::new(Door { sessions, records: Records::default(), crowd: Crowd::new(CrowdLimits::default()) });
        Ok(Self { address, accepting: tokio::spawn(accept(listener, door)) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Door {
    sessions: Arc<dyn RtspSessions>,
    records: Records,
    crowd: Crowd,
}

async fn accept(listener: TcpListener, door: Arc<Door>) {
    // The connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let place = door.crowd.enter(peer.ip());
                connections.spawn(serve(stream, peer, place, Arc::clone(&door)));
                while connections.try_join_next().is_some() {}
            }
            // Out of descriptors, most likely: those who wait give theirs back within seconds.
            Err(error) => {
                tracing::warn!(%error, "RTSP cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, peer: SocketAddr, mut place: Place, door: Arc<Door>) {
    // Pushed out only while the request is not there: from then on, the sessions know of it.
    let whole = tokio::select! {
        () = place.pushed_out() => None,
        whole = timeout(REQUEST_TIME, read_request(&mut stream)) => whole.ok().flatten(),
    };
    let Some(mut inbox) = whole else { return };
    place.settle();
    let Some(bytes) = respond(&mut inbox, peer, &door).await else { return };
    let sent = timeout(SEND_TIME, async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    });
    if let Ok(Ok(())) = sent.await {
        // What the client may still send is read, or closing would reset the connection under the answer.
        let _ = timeout(DRAIN_TIME, drain(&mut stream)).await;
    }
}

/// Reads until the request is whole. `None`: it ended before, or is none.
async fn read_request(stream: &mut TcpStream) -> Option<Inbox> {
    let mut inbox = Inbox::default();
    let mut piece = [0; 4096];
    loop {
        let len = stream.read(&mut piece).await.ok().filter(|len| *len > 0)?;
        inbox.push(piece.get(..len)?).ok()?;
        if inbox.arrived().ok()?.is_some() {
            return Some(inbox);
        }
    }
}

async fn drain(stream: &mut TcpStream) {
    let mut piece = [0; 1024];
    let mut left = DRAIN_BYTES;
    while let Ok(len) = stream.read(&mut piece).await {
        if len == 0 || left < len {
            return;
        }
        left -= len;
    }
}

/// The bytes of the answer; `None` for a request that belongs to no session.
async fn respond(inbox: &mut Inbox, peer: SocketAddr, door: &Door) -> Option<Vec<u8>> {
    let ip = peer.ip().to_canonical();
    let candidates = door.sessions.candidates(ip);
    match inbox.arrived().ok()?? {
        Arrived::Plain(bytes) => {
            let Some(candidate) = candidates.iter().find(|c| !c.sealed) else {
                tracing::debug!(%ip, waiting = candidates.len(), "a plain RTSP request that belongs to no session");
                return None;
            };
            answer(bytes, candidate.session, &*door.sessions).await
        }
        Arrived::Sealed(record) => {
            let Some(Opened { session, rikey, text }) = door.records.open(record, &candidates) else {
                tracing::debug!(%ip, waiting = candidates.len(), "a sealed RTSP request that belongs to no session");
                return None;
            };
            let bytes = answer(&text, session, &*door.sessions).await?;
            door.records.seal(session, &rikey, &bytes)
        }
    }
}

/// A client sends its request with the connection; this is for one behind a very slow line.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// An answer fits a socket's buffer: only a dead client takes longer.
const SEND_TIME: Duration = Duration::from_secs(5);
/// A client closes when it has read the answer.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// More than any client sends after its request.
const DRAIN_BYTES: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
