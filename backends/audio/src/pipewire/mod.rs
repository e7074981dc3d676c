//! PipeWire: a sink of a session's own, and a microphone.
//!
//! ```text
//! programs ─► our sink (a stream that is a sink) ─► process callback ─► ring ─► PipeWireSource::read      audio-N
//! programs ◄─ our source (a stream that is one) ◄── process callback ◄─ ring ◄─ PipeWireMic::write          mic-N
//!                                                    PipeWire's data thread
//! ```
//!
//! Each of them has a client thread of its own, which connects, comes back after PipeWire was restarted, and rebuilds a
//! stream that somebody destroyed.

mod client;
mod connection;
mod default;
mod desktop;
mod mic;
mod session_mic;
mod shared_sink;
mod sink;

use std::path::PathBuf;
use std::time::Duration;

use punktfunk_media::{AudioError, AudioRequest, AudioSource, MicSink, reason};

pub use default::{BACKEND_DEFAULT_SINK, undo};
pub use desktop::DesktopSound;
pub use mic::PipeWireMic;
pub use sink::PipeWireSource;

/// A running PipeWire, or one that will run soon.
#[derive(Clone, Debug)]
pub struct PipeWire {
    /// Its socket, e.g. `$XDG_RUNTIME_DIR/pipewire-0`.
    pub socket: PathBuf,
}

/// What a PipeWire is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Whether a session manager says where programs play to.
    pub session_manager: bool,
    /// The sink that they play to.
    pub default_sink: Option<String>,
}

/// What a session listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// To a sink of its own, which programs see under this node name and description.
    OwnSink {
        /// `node.name`, unique on this server.
        name: String,
        /// What a person reads in a mixer.
        description: String,
        /// The server serves nobody but this session: it may be made to run at the session's pace (exactly so where
        /// `clock.power-of-two-quantum` is off).
        alone: bool,
    },
    /// To whatever plays on the default sink, which is left as it is.
    DefaultSink,
}

impl PipeWire {
    /// Opens a source. Blocking, 3 s at most.
    ///
    /// # Errors
    /// [`AudioError`], not fatal: `audio.lost` while the server does not answer.
    pub fn source(&self, listen: &Listen, request: &AudioRequest) -> Result<Box<dyn AudioSource>, AudioError> {
        Ok(Box::new(PipeWireSource::open(&self.socket, listen, request)?))
    }

    /// What it is, for `doctor`. Blocking, a second at most.
    ///
    /// # Errors
    /// A sentence when it does not answer.
    pub fn facts(&self) -> Result<ServerFacts, String> {
        default::facts(&self.socket)
    }

    /// Opens a microphone that programs see under this node name and description. Blocking, 3 s at most.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub fn microphone(&self, name: &str, description: &str) -> Result<Box<dyn MicSink>, AudioError> {
        Ok(Box::new(PipeWireMic::open(&self.socket, name, description)?))
    }
}

fn lost(detail: impl ToString) -> AudioError {
    AudioError { reason: &reason::AUDIO_LOST, detail: detail.to_string(), fatal: false }
}

/// How long opening waits for the server. Starting one, with its session manager, takes about a second.
const READY_WITHIN: Duration = Duration::from_secs(3);
