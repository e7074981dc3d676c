//! Connections: accepted, secured, read, answered, closed.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use punktfunk_core::Fingerprint;
use punktfunk_net::identity::fingerprint;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::lobby::Guest;
use super::{Shared, lock, routes};

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Over HTTPS.
    pub secure: bool,
    /// Where the request came from, unmapped.
    pub address: SocketAddr,
    /// Where it arrived, unmapped.
    pub local: SocketAddr,
    /// SHA-256 of the certificate that it proved to own.
    pub certificate: Option<Fingerprint>,
}

/// Accepts until `stopped`.
pub(super) async fn run(listener: TcpListener, secure: bool, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    // Here, where they come in order: whoever came last is nobody's oldest. And the bytes of who waited
                    // long to be accepted count before its task had a turn to look at them.
                    let guest = shared.lobby.enter(canonical(address).ip(), secure, has_spoken(&stream));
                    connections.spawn(connection(stream, address, secure, guest, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::debug!(%error, "accept");
                    // Out of descriptors, most likely: those in use must end first.
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "a GameStream request panicked");
                }
            }
            () = stop(&mut stopped) => break,
        }
    }
    drop(listener);
    let _ = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    // What is left is aborted with the set.
}

/// An error means that the sender is gone: the same.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Whether anything can be read already; tokio knows only after it has looked at its next events.
fn has_spoken(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|len| len > 0)
}

async fn connection(stream: TcpStream, address: SocketAddr, secure: bool, guest: Guest, shared: Arc<Shared>) {
    let address = canonical(address);
    let head_due = Instant::now() + shared.lobby.limits().head;
    let Ok(local) = stream.local_addr().map(canonical) else { return };
    // Answers are one write.
    let _ = stream.set_nodelay(true);
    let mut peer = Peer { secure, address, local, certificate: None };
    let eviction = guest.eviction();
    tokio::select! {
        // An error shows where the stream is read.
        _ = stream.readable() => guest.spoke(),
        () = eviction.notified() => return,
        () = sleep_until(head_due) => return,
    }
    if !secure {
        return answer(stream, peer, guest, head_due, shared).await;
    }
    let handshake = tokio::select! {
        done = handshake(stream, &shared) => done,
        () = eviction.notified() => return,
        () = sleep_until(head_due) => return,
    };
    match handshake {
        Ok(stream) => {
            peer.certificate = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| fingerprint(c));
            answer(stream, peer, guest, head_due, shared).await;
        }
        Err(error) => tracing::debug!(%address, %error, "TLS handshake"),
    }
}

async fn handshake(stream: TcpStream, shared: &Shared) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let identity = shared.identity.ready().await.ok_or_else(|| io::Error::other("the certificate is not ready"))?;
    TlsAcceptor::from(Arc::clone(&identity.tls)).accept(stream).await
}

/// Reads one request and answers it. A client that closes its side while the answer is being made ends the request: its
/// future is dropped.
async fn answer<S>(stream: S, peer: Peer, guest: Guest, head_due: Instant, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = *shared.lobby.limits();
    let (eviction, answered) = (guest.eviction(), Arc::new(Notify::new()));
    let guest = Arc::new(Mutex::new(Some(guest)));
    let service = service_fn({
        let (guest, answered) = (Arc::clone(&guest), Arc::clone(&answered));
        move |request| {
            let place = lock(&guest).take().and_then(Guest::asks);
            let (shared, answered) = (Arc::clone(&shared), Arc::clone(&answered));
            async move {
                let response = match &place {
                    Some(_) => routes::answer(&shared, &peer, &request).await,
                    None => routes::busy(),
                };
                answered.notify_one();
                Ok::<_, Infallible>(response)
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(limits.head)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES + 4096)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let slow_head = async {
        sleep_until(head_due).await;
        if lock(&guest).is_none() {
            std::future::pending::<()>().await;
        }
    };
    let slow_reader = async {
        answered.notified().await;
        sleep(limits.answer).await;
    };
    tokio::select! {
        done = connection => if let Err(error) = done {
            tracing::debug!(address = %peer.address, %error, "request");
        },
        () = eviction.notified() => tracing::debug!(address = %peer.address, "made room for a newer connection"),
        () = slow_head => tracing::debug!(address = %peer.address, "no request in time"),
        () = slow_reader => tracing::debug!(address = %peer.address, "the answer was not taken"),
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Phase 1 of pairing is 4 KB or so; request lines of at least 16 KiB must pass (gamestream.md §3.1).
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Clients send a handful.
const MAX_HEADERS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const DRAIN: Duration = Duration::from_millis(500);
