//! The command line's side of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use punktfunk_media::reason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::Problem;
use crate::views::{
    ApproveRequest, ArmRequest, Armed, ClientChangeRequest, ClientKind, ClientState, ClientView, Diagnostic, Health,
    Host, PairingView, PinRequest, SessionView,
};

/// Talks to the running host.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `host.not_running`: no socket answers. Exit code 5.
    #[error("{} (tried {})", reason::HOST_NOT_RUNNING.sentence, list(tried))]
    NotRunning {
        /// The sockets that were tried.
        tried: Vec<PathBuf>,
    },
    /// The host refused, or `host.control_denied`, or the connection broke.
    #[error("{0}")]
    Refused(Problem),
}

impl ClientError {
    /// The refusal as the API would tell it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::NotRunning { tried } => {
                Problem::new(&reason::HOST_NOT_RUNNING).with_detail(format!("tried {}", list(tried)))
            }
            Self::Refused(problem) => problem.clone(),
        }
    }
}

impl Client {
    /// Finds the running host: the first of `paths` (the caller's own socket, then the system user's) that answers.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] when none does.
    pub async fn connect(paths: &[PathBuf]) -> Result<Self, ClientError> {
        let mut denied = None;
        for path in paths {
            match UnixStream::connect(path).await {
                Ok(_) => return Ok(Self { path: path.clone() }),
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => denied = denied.or(Some(path)),
                // No file, nobody listening, no folder: nobody there.
                Err(_) => {}
            }
        }
        Err(match denied {
            Some(path) => refused(&reason::HOST_CONTROL_DENIED, path.display().to_string()),
            None => ClientError::NotRunning { tried: paths.to_vec() },
        })
    }

    /// The socket in use.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the host is well.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get("/api/v1/health").await
    }

    /// What the host is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn host(&self) -> Result<Host, ClientError> {
        self.get("/api/v1/host").await
    }

    /// What works there and what does not.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn diagnostics(&self) -> Result<Vec<Diagnostic>, ClientError> {
        self.get("/api/v1/diagnostics").await
    }

    /// The PIN window, and who waits.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pairing(&self) -> Result<PairingView, ClientError> {
        self.get("/api/v1/pairing").await
    }

    /// Opens a PIN window.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn arm(&self, request: &ArmRequest) -> Result<Armed, ClientError> {
        self.send(Method::POST, "/api/v1/pairing/arm", Some(request)).await
    }

    /// Closes it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn disarm(&self) -> Result<(), ClientError> {
        self.send::<(), ()>(Method::POST, "/api/v1/pairing/disarm", None).await
    }

    /// Types the PIN that a waiting device shows.
    ///
    /// # Errors
    /// [`ClientError`]; `gamestream.pairing_failed` if the PIN was wrong.
    pub async fn pin(&self, request: &PinRequest) -> Result<ClientView, ClientError> {
        self.send(Method::POST, "/api/v1/pairing/pin", Some(request)).await
    }

    /// Lets a waiting device in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve(&self, id: &str, request: &ApproveRequest) -> Result<ClientView, ClientError> {
        self.send(Method::POST, &format!("/api/v1/pairing/pending/{}/approve", segment(id)), Some(request)).await
    }

    /// Turns a waiting device away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deny(&self, id: &str) -> Result<(), ClientError> {
        self.send::<(), ()>(Method::POST, &format!("/api/v1/pairing/pending/{}/deny", segment(id)), None).await
    }

    /// The paired devices.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn clients(&self) -> Result<Vec<ClientView>, ClientError> {
        self.get("/api/v1/clients").await
    }

    /// The paired devices and those that wait for approval or for their PIN: what `pair list` prints. A waiting device has no grants.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn devices(&self) -> Result<Vec<ClientView>, ClientError> {
        let mut devices = self.clients().await?;
        let pairing = self.pairing().await?;
        let knocks = pairing.pending.into_iter().map(|w| (w.id, w.name, w.fingerprint, ClientKind::Native));
        let pins = pairing.pins_wanted.into_iter().map(|w| (w.id, w.name, w.fingerprint, ClientKind::Gamestream));
        for (id, name, fingerprint, kind) in knocks.chain(pins) {
            // One whose access expired is in both lists; what matters now is that it waits.
            devices.retain(|d| d.fingerprint != fingerprint);
            let (state, grants, paired_at_s) = (ClientState::Pending, 0, 0);
            let (expires_at_s, streaming) = (None, false);
            devices.push(ClientView {
                id,
                name,
                kind,
                state,
                grants,
                fingerprint,
                paired_at_s,
                expires_at_s,
                scale_percent: None,
                keyboard_layout: None,
                streaming,
            });
        }
        Ok(devices)
    }

    /// Changes a client.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change(&self, id: &str, request: &ClientChangeRequest) -> Result<ClientView, ClientError> {
        self.send(Method::PATCH, &format!("/api/v1/clients/{}", segment(id)), Some(request)).await
    }

    /// Takes a client's access away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke(&self, id: &str) -> Result<(), ClientError> {
        self.send::<(), ()>(Method::DELETE, &format!("/api/v1/clients/{}", segment(id)), None).await
    }

    /// The live sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sessions(&self) -> Result<Vec<SessionView>, ClientError> {
        self.get("/api/v1/sessions").await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stop_session(&self, id: u64) -> Result<(), ClientError> {
        self.send::<(), ()>(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await
    }

    /// Any request whose answer is JSON, or nothing (then `null`).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        self.send(method, path, body).await
    }

    /// Any request, with what it answers handed over as it comes. Ends with the answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream(&self, path: &str, mut sink: impl FnMut(&[u8])) -> Result<(), ClientError> {
        let broken =
            |e: &dyn std::fmt::Display| refused(&reason::HOST_NOT_RUNNING, format!("the connection broke: {e}"));
        let request = Request::builder().uri(path).header("host", "localhost").body(Body::empty());
        let request = request.map_err(|e| refused(&reason::API_BAD_REQUEST, e.to_string()))?;
        let stream = UnixStream::connect(&self.path).await.map_err(|e| broken(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
        let _driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let bytes = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|e| broken(&e))?.to_bytes();
            return read(status, &bytes);
        }
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.map_err(|e| broken(&e))?.data_ref() {
                sink(data);
            }
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send::<(), T>(Method::GET, path, None).await
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|e| refused(&reason::API_BAD_REQUEST, e.to_string()))?,
            None => Vec::new(),
        };
        self.exchange(method, path, "application/json", body).await
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_file(&self, path: &str, content: Vec<u8>) -> Result<Value, ClientError> {
        self.exchange(Method::PUT, path, "application/octet-stream", content).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let broken =
            |e: &dyn std::fmt::Display| refused(&reason::HOST_NOT_RUNNING, format!("the connection broke: {e}"));
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !body.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(Body::from(body)).map_err(|e| refused(&reason::API_BAD_REQUEST, e.to_string()))?;
        let exchange = async {
            let stream = UnixStream::connect(&self.path).await.map_err(|e| broken(&e))?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
            let driver = tokio::spawn(connection);
            let answer = async {
                let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
                let status = response.status();
                let body =
                    Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(|e| broken(&e))?;
                Ok((status, body.to_bytes()))
            }
            .await;
            driver.abort();
            answer
        };
        let (status, bytes) = match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer?,
            Err(_) => return Err(refused(&reason::API_TIMEOUT, format!("after {} s", TIMEOUT.as_secs()))),
        };
        read(status, &bytes)
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, bytes: &Bytes) -> Result<T, ClientError> {
    if !status.is_success() {
        let unknown = |_| Problem::new(&reason::API_INTERNAL).with_detail(format!("status {status}"));
        return Err(ClientError::Refused(serde_json::from_slice(bytes).unwrap_or_else(unknown)));
    }
    // "No content" reads as null, which is what `()` is.
    let bytes: &[u8] = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|e| refused(&reason::API_INTERNAL, format!("the answer is not understood: {e}")))
}

fn refused(reason: &'static punktfunk_media::Reason, detail: String) -> ClientError {
    ClientError::Refused(Problem::new(reason).with_detail(detail))
}

/// An id as one segment of a path: whatever is not plain is escaped.
#[must_use]
pub fn segment(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    id.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The API gives up after 30 s.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Most answers are some kilobytes; a library of 5 000 titles is one megabyte.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
