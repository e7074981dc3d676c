//! The HTTPS doors: 47990 for tokens and paired certificates, 47992 for the console and its own API.
//!
//! ```text
//! bind ─► accept (places; places per source) ─► TLS ≤ 10 s ─► Caller ─► HTTP/1.1 with bounds ─► router ─► until shutdown
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use punktfunk_media::{Reason, reason};
use punktfunk_net::Identity;
use punktfunk_net::tls::{ClientCertificate, acceptor, peer_fingerprint};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::access::{Caller, lock};

/// Which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// The API for programs: asks for a client certificate.
    Lan,
    /// The console: asks for none, so that browsers show no chooser.
    Console,
}

/// A door could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{reason} ({address}: {detail})")]
pub struct DoorError {
    /// `host.port_taken` or `network.unavailable`.
    pub reason: &'static Reason,
    /// Where it was to be.
    pub address: SocketAddr,
    /// What the system said.
    pub detail: String,
}

/// Whether a door closes soon because of a change that waits to be confirmed: what comes through it proves nothing about
/// the change. Cheap to clone; every request carries it.
#[derive(Clone, Debug, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// The door closes unless the change is taken back.
    pub fn set(&self, leaving: bool) {
        self.0.store(leaving, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A bound door.
pub struct Door {
    leaving: Leaving,
    listener: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    kind: DoorKind,
}

impl Door {
    /// Binds; port 0 takes any, `[::]` serves IPv4 too. Call inside a tokio runtime.
    ///
    /// # Errors
    /// [`DoorError`].
    pub fn bind(address: SocketAddr, kind: DoorKind, identity: &Identity) -> Result<Self, DoorError> {
        let error = |reason, detail: String| DoorError { reason, address, detail };
        let certificate = match kind {
            DoorKind::Lan => ClientCertificate::Asked,
            DoorKind::Console => ClientCertificate::NotAsked,
        };
        let acceptor =
            acceptor(identity, certificate).map_err(|e| error(&reason::NETWORK_UNAVAILABLE, e.to_string()))?;
        let listener = listen(address).map_err(|e| match e.kind() {
            io::ErrorKind::AddrInUse => error(&reason::HOST_PORT_TAKEN, e.to_string()),
            _ => error(&reason::NETWORK_UNAVAILABLE, e.to_string()),
        })?;
        let address = listener.local_addr().map_err(|e| error(&reason::NETWORK_UNAVAILABLE, e.to_string()))?;
        Ok(Self { leaving: Leaving::default(), listener, address, acceptor, kind })
    }

    /// Where it is, with the real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The mark that its requests carry.
    #[must_use]
    pub fn leaving(&self) -> Leaving {
        self.leaving.clone()
    }

    /// Serves until `shutdown` resolves, then lets running requests finish for at most half a second.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let sources = Arc::new(Sources::default());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // With every place taken newcomers wait in the listener's queue.
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (self.listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = &mut shutdown => break,
                accepted = accepted => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    let Some(seat) = sources.seat(peer) else {
                        tracing::debug!(%peer, "too many connections from one address");
                        continue;
                    };
                    let (router, acceptor, kind) = (router.clone(), self.acceptor.clone(), self.kind);
                    let leaving = self.leaving.clone();
                    connections.spawn(async move {
                        let _held = (place, seat);
                        connection(stream, peer, &acceptor, kind, leaving, router).await;
                    });
                }
                Err(e) => {
                    // Out of file descriptors, most likely: it passes, and spinning would not help.
                    tracing::warn!(%e, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let finish = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FINISH, finish).await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted host takes its port again at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    acceptor: &TlsAcceptor,
    kind: DoorKind,
    leaving: Leaving,
    router: Router,
) {
    let raw = socket2::SockRef::from(&stream);
    // Best effort: a peer that does not read, or is gone, gives its place back after this.
    let _ = raw.set_tcp_user_timeout(Some(STUCK));
    let _ = raw.set_tcp_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return tracing::debug!(%peer, %e, "no TLS connection"),
        Err(_) => return tracing::debug!(%peer, "a TLS handshake took too long"),
    };
    let caller = match kind {
        DoorKind::Lan => Caller::Lan { peer, certificate: peer_fingerprint(stream.get_ref().1) },
        DoorKind::Console => Caller::Console { peer },
    };
    let serve = service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        let mut request = enter(caller, request);
        request.extensions_mut().insert(leaving.clone());
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|e| match e {})) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES);
    if let Err(e) = http.serve_connection(TokioIo::new(stream), serve).await {
        tracing::debug!(%peer, %e, "a connection broke");
    }
}

/// Notes where a request came in.
pub(crate) fn enter(caller: Caller, request: hyper::Request<Incoming>) -> Request {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(caller);
    request
}

/// How many connections each source has.
#[derive(Default)]
struct Sources(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
struct Seat {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    fn seat(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let source = network(peer);
        let mut counts = lock(&self.0);
        let count = counts.entry(source).or_default();
        if *count >= MAX_PER_SOURCE {
            return None;
        }
        *count += 1;
        Some(Seat { sources: Arc::clone(self), source })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = lock(&self.sources.0);
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

/// An IPv6 host has a /64 of addresses to rotate through.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Every stream of events that there may be, and room for requests beside them; each costs some 40 KB.
const MAX_CONNECTIONS: usize = 1536;
/// One program gone wild leaves room for the others.
const MAX_PER_SOURCE: usize = 1152;
const BACKLOG: i32 = 128;
/// A slow phone on a bad network is done in two seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Also ends idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// Cookies and a token are some hundred bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How long sent bytes may stay unacknowledged.
const STUCK: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const FINISH: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_share_and_an_ipv6_network_is_one_source() {
        let sources = Arc::new(Sources::default());
        let at = |n: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | n));
        let seats: Vec<_> = (0..MAX_PER_SOURCE as u128).map(|n| sources.seat(at(n)).expect("room")).collect();
        assert!(sources.seat(at(7)).is_none());
        assert!(sources.seat(at(1 << 64)).is_some(), "another network");
        drop(seats);
        assert!(sources.seat(at(7)).is_some());
        assert!(lock(&sources.0).is_empty(), "nothing is kept of those who left");
    }
}
