//! Sway's IPC socket, spoken natively: `i3-ipc` ‖ length u32 ‖ type u32 ‖ JSON, in the machine's byte order
//! (sway-ipc(7)).

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::tree::Node;

/// A connection to one sway. One request at a time.
#[derive(Debug)]
pub struct SwayIpc {
    stream: UnixStream,
    path: PathBuf,
}

/// What went wrong on the socket.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// The socket cannot be reached, or sway does not answer within [`ANSWER_WITHIN`].
    #[error("sway IPC {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Sway answered with something that is not what sway-ipc(7) says.
    #[error("sway IPC {}: unexpected answer: {what}", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
    /// Sway refused a command.
    #[error("sway refused `{command}`: {error}")]
    Refused {
        /// The command.
        command: String,
        /// Sway's words.
        error: String,
    },
}

/// One output, as `GET_OUTPUTS` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Output {
    /// Connector name, e.g. `HEADLESS-2`.
    pub name: String,
    /// Whether it is enabled.
    #[serde(default)]
    pub active: bool,
    /// The active mode; `None` while disabled.
    #[serde(default)]
    pub current_mode: Option<OutputMode>,
    /// Output pixels per logical pixel; `None` while disabled.
    #[serde(default)]
    pub scale: Option<f64>,
}

/// A mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct OutputMode {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Refresh rate in mHz.
    pub refresh: u32,
}

/// One input device, as `GET_INPUTS` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Input {
    /// `vendor:product:name`.
    pub identifier: String,
    /// `keyboard`, `pointer`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// How libinput drives it; only devices of the kernel have this.
    #[serde(default)]
    pub libinput: Option<serde::de::IgnoredAny>,
    /// Person-readable names of its layouts (keyboards only); `None` for a layout without a name.
    #[serde(default)]
    pub xkb_layout_names: Vec<Option<String>>,
    /// Which of them is active.
    #[serde(default)]
    pub xkb_active_layout_index: Option<usize>,
}

/// One workspace, as `GET_WORKSPACES` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Workspace {
    /// The output it is on.
    #[serde(default)]
    pub output: String,
    /// Whether it has the focus.
    #[serde(default)]
    pub focused: bool,
    /// Ids of the windows on it.
    #[serde(default)]
    pub focus: Vec<i64>,
}

/// Sway's version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Version {
    /// Major.
    #[serde(default)]
    pub major: u32,
    /// Minor.
    #[serde(default)]
    pub minor: u32,
    /// As it names itself, e.g. `1.7` or `sway version 1.10.1`.
    #[serde(default)]
    pub human_readable: String,
}

#[derive(Deserialize)]
struct CommandResult {
    success: bool,
    #[serde(default)]
    error: Option<String>,
}

impl SwayIpc {
    /// Connects.
    ///
    /// # Errors
    /// [`IpcError::Io`] when nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, IpcError> {
        let io = |source| IpcError::Io { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(io)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(io)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(io)?;
        Ok(Self { stream, path: path.to_owned() })
    }

    /// Process id of the sway behind the socket.
    ///
    /// # Errors
    /// [`IpcError::Io`] when the system does not tell.
    pub fn peer_pid(&self) -> Result<i32, IpcError> {
        peer_pid(&self.stream).map_err(|source| IpcError::Io { path: self.path.clone(), source })
    }

    /// Runs one command; every part of it must succeed.
    ///
    /// # Errors
    /// [`IpcError`].
    pub fn command(&mut self, command: &str) -> Result<(), IpcError> {
        let results: Vec<CommandResult> = self.ask(RUN_COMMAND, command)?;
        match results.into_iter().find(|r| !r.success) {
            None => Ok(()),
            Some(failed) => Err(IpcError::Refused {
                command: command.to_owned(),
                error: failed.error.unwrap_or_else(|| "no reason given".to_owned()),
            }),
        }
    }

    /// All outputs, disabled ones included.
    ///
    /// # Errors
    /// [`IpcError`].
    pub fn outputs(&mut self) -> Result<Vec<Output>, IpcError> {
        self.ask(GET_OUTPUTS, "")
    }

    /// All input devices.
    ///
    /// # Errors
    /// [`IpcError`].
    pub fn inputs(&mut self) -> Result<Vec<Input>, IpcError> {
        self.ask(GET_INPUTS, "")
    }

    /// All workspaces.
    ///
    /// # Errors
    /// [`IpcError`].
    pub fn workspaces(&mut self) -> Result<Vec<Workspace>, IpcError> {
        self.ask(GET_WORKSPACES, "")
    }

    /// Everything there is.
    ///
    /// # Errors
    /// [`IpcError`].
    pub fn tree(&mut self) -> Result<Node, IpcError> {
        self.ask(GET_TREE, "")
    }

    /// Sway's version.
    ///
    /// # Errors
    /// [`IpcError`].
    pub fn version(&mut self) -> Result<Version, IpcError> {
        self.ask(GET_VERSION, "")
    }

    fn ask<T: serde::de::DeserializeOwned>(&mut self, kind: u32, payload: &str) -> Result<T, IpcError> {
        let answer = self.exchange(kind, payload).map_err(|source| IpcError::Io { path: self.path.clone(), source })?;
        serde_json::from_slice(&answer)
            .map_err(|e| IpcError::Answer { path: self.path.clone(), what: format!("message type {kind}: {e}") })
    }

    fn exchange(&mut self, kind: u32, payload: &str) -> io::Result<Vec<u8>> {
        let length = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
        message.extend_from_slice(MAGIC);
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(payload.as_bytes());
        self.stream.write_all(&message)?;

        let mut header = [0u8; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let (magic, rest) = header.split_at(MAGIC.len());
        let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]);
        let answered = u32::from_ne_bytes([rest[4], rest[5], rest[6], rest[7]]);
        if magic != MAGIC || answered != kind || length > LONGEST_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a sway IPC answer"));
        }
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

/// Process id of whoever listens at the other end of a Unix socket.
///
/// # Errors
/// When the system does not tell.
pub fn peer_pid(socket: impl AsFd) -> io::Result<i32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.pid.as_raw_nonzero().get())
}

const MAGIC: &[u8] = b"i3-ipc";
const HEADER_BYTES: usize = MAGIC.len() + 8;
const RUN_COMMAND: u32 = 0;
const GET_WORKSPACES: u32 = 1;
const GET_TREE: u32 = 4;
const GET_OUTPUTS: u32 = 3;
const GET_VERSION: u32 = 7;
const GET_INPUTS: u32 = 100;
/// Sway answers in single milliseconds; a compositor that takes longer than this is stuck, and a client waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// `GET_OUTPUTS` of a machine with dozens of modes is some 100 KB; anything beyond this is not sway.
const LONGEST_ANSWER: u32 = 8 << 20;
