//! How the host says no, or good-bye: a close code for the client's program, and a text for the person before it.

use std::fmt;

use punktfunk_core::CloseCode;
use punktfunk_media::Reason;

/// An end of a connection that the host brings about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub code: CloseCode,
    /// `None` for an ordinary end.
    pub reason: Option<&'static Reason>,
    /// What the reason's sentence does not say; may be empty.
    pub detail: String,
}

impl Refusal {
    pub fn new(code: CloseCode, reason: &'static Reason) -> Self {
        Self { code, reason: Some(reason), detail: String::new() }
    }

    pub fn detailed(code: CloseCode, reason: &'static Reason, detail: impl Into<String>) -> Self {
        Self { code, reason: Some(reason), detail: detail.into() }
    }

    /// The session could not be set up.
    pub fn setup(reason: &'static Reason, detail: impl Into<String>) -> Self {
        Self::detailed(CloseCode::SETUP_FAILED, reason, detail)
    }

    /// Nothing went wrong.
    pub fn done() -> Self {
        Self { code: CloseCode::DONE, reason: None, detail: String::new() }
    }

    /// The reason's stable code, for logs.
    pub fn reason_code(&self) -> &'static str {
        self.reason.map_or("-", |r| r.code)
    }

    /// Closes the connection with code and text.
    pub fn close(&self, connection: &quinn::Connection) {
        let text = self.to_string();
        connection.close(self.code.0.into(), CloseCode::reason_text(&text).as_bytes());
    }
}

/// `area.what: Sentence. (detail)`, or `done`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            None => f.write_str("done"),
            Some(reason) if self.detail.is_empty() => write!(f, "{}: {}", reason.code, reason.sentence),
            Some(reason) => write!(f, "{}: {} ({})", reason.code, reason.sentence, self.detail),
        }
    }
}

/// What ends the conversation with a client: a refusal of ours, or the client's own going.
#[derive(Debug)]
pub(crate) enum Stop {
    /// We close, with this.
    Refuse(Refusal),
    /// The connection is gone, or the client ended it.
    Gone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}
