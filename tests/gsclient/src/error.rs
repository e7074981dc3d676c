//! What can go wrong on the client's side of the wire.

use std::io;

/// Why a step did not happen. What a host merely did wrongly on the way is in [`crate::Violations`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket or a file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS handshake or the key failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The host's answer cannot be understood.
    #[error("the host's answer is not valid: {0}")]
    Answer(String),
    /// The host answered with an error of its own.
    #[error("the host refused with {code}: {message}")]
    Refused {
        /// `status_code` of the XML root, or the RTSP status.
        code: i32,
        /// `status_message`, or the RTSP reason.
        message: String,
    },
    /// Pairing: the host's hash does not come from this PIN.
    #[error("the PIN is wrong")]
    WrongPin,
    /// Pairing: the host could not prove that it holds the certificate it showed.
    #[error("the host's signature is not valid: somebody sits in between")]
    Mitm,
    /// Pairing: the host answered `paired` = 0 in this phase.
    #[error("the host refused to pair in phase {0}")]
    NotPaired(u8),
    /// Something did not happen in time.
    #[error("timed out: {0}")]
    Timeout(&'static str),
    /// The caller asked for what cannot be.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// For `map_err` on I/O.
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(crate) fn answer(what: impl Into<String>) -> Self {
        Self::Answer(what.into())
    }
}
