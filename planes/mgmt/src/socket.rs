//! The control socket: the API for the command line on the same machine (DESIGN decision 16).
//!
//! ```text
//! bind:  folder (0700, ours) ─► lock beside the socket: held by another host ─► host.already_running
//!        ─► a socket file of a dead host is removed ─► bind ─► 0600
//! serve: accept ─► peer's uid = ours or 0, else 403 ─► HTTP/1.1 with bounds ─► until shutdown; then the file is removed
//! ```

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use punktfunk_media::{Reason, reason};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::Service as _;

use crate::Problem;
use crate::access::Caller;
use crate::door::enter;

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{reason} ({}: {detail})", path.display())]
pub struct SocketError {
    /// `host.already_running` or `host.control_socket`.
    pub reason: &'static Reason,
    /// The socket's path.
    pub path: PathBuf,
    /// What was in the way.
    pub detail: String,
}

/// A bound control socket. Its file goes when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    /// Declared after the listener: the file is removed when nobody listens any more.
    guard: FileGuard,
}

/// Binds and serves until `shutdown` resolves. `allowed_uid`: the host's own; root is always allowed.
///
/// # Errors
/// [`SocketError`].
pub async fn serve(
    path: &Path,
    router: Router,
    allowed_uid: u32,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SocketError> {
    ControlSocket::bind(path)?.serve(router, allowed_uid, shutdown).await;
    Ok(())
}

impl ControlSocket {
    /// Makes the socket, and its folder if that is missing. Call inside a tokio runtime.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let error =
            |detail: String| SocketError { reason: &reason::HOST_CONTROL_SOCKET, path: path.to_owned(), detail };
        let io_error = |e: io::Error| error(e.to_string());
        let folder = path.parent().ok_or_else(|| error("it has no folder".into()))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error)?;
        let owner = fs::metadata(folder).map_err(io_error)?;
        let me = rustix::process::geteuid().as_raw();
        // In a folder that others may write to, they could put their own socket in our place.
        if owner.uid() != me && owner.uid() != 0 {
            return Err(error(format!("its folder belongs to user {}", owner.uid())));
        }
        if owner.mode() & 0o022 != 0 && owner.mode() & 0o1000 == 0 {
            return Err(error(format!("others may write to its folder (mode {:o})", owner.mode() & 0o7777)));
        }
        let lock_path = path.with_extension("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&lock_path).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let detail = "another host serves it".to_owned();
                return Err(SocketError { reason: &reason::HOST_ALREADY_RUNNING, path: path.to_owned(), detail });
            }
            Err(TryLockError::Error(e)) => return Err(io_error(e)),
        }
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path).map_err(io_error)?,
            Ok(_) => return Err(error("there is something else at its path".into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error(e)),
        }
        let listener = UnixListener::bind(path).map_err(io_error)?;
        let guard = FileGuard { path: path.to_owned(), _lock: lock };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io_error)?;
        Ok(Self { listener, guard })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.guard.path
    }

    /// Serves until `shutdown` resolves, then lets running requests finish for at most half a second.
    pub async fn serve(self, router: Router, allowed_uid: u32, shutdown: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
                Ok((stream, _)) => {
                    let router = router.clone();
                    connections.spawn(async move {
                        let _place = place;
                        connection(stream, router, allowed_uid).await;
                    });
                }
                Err(e) => {
                    // Out of file descriptors, most likely: it passes, and spinning would not help.
                    tracing::warn!(%e, "a control connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let finish = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FINISH, finish).await;
    }
}

async fn connection(stream: UnixStream, router: Router, allowed_uid: u32) {
    let router = match stream.peer_cred() {
        Ok(peer) if peer.uid() == allowed_uid || peer.uid() == 0 => router,
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "another user tried the control socket");
            denied()
        }
        Err(e) => {
            tracing::warn!(%e, "a control connection has no peer");
            return;
        }
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES);
    let serve = service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        let request = enter(Caller::Socket, request);
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|e| match e {})) }
    });
    let serving = http.serve_connection(TokioIo::new(stream), serve);
    match tokio::time::timeout(CONNECTION_LIFE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::debug!(%e, "a control connection broke"),
        Err(_) => tracing::debug!("a control connection was open for too long"),
    }
}

fn denied() -> Router {
    Router::new().fallback(|| async { Problem::new(&reason::API_FORBIDDEN) })
}

#[derive(Debug)]
struct FileGuard {
    path: PathBuf,
    /// Given back after the file is gone: fields drop after `drop` ran.
    _lock: File,
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A person's shells and scripts; each connection holds one file descriptor.
const MAX_CONNECTIONS: usize = 32;
/// A header comes at once over a local socket; this also ends idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The smallest that hyper takes is 8 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A request may take 30 s; a body that trickles in must not hold a place for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const FINISH: Duration = Duration::from_millis(500);
