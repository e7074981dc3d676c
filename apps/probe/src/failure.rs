//! How the program fails: one sentence, the fix where there is one, and a stable exit code.

use std::fmt;

use punktfunk_client::{DialFailed, End, StreamError, Target};
use punktfunk_net::quic::DialError;

/// Exit code for bad usage, also of the input script.
pub const USAGE: u8 = 2;
/// Exit code when the host said no.
pub const REFUSED: u8 = 3;
/// Exit code when no video came.
pub const NO_VIDEO: u8 = 4;

/// Why the program ends with another code than 0.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    what: String,
    fix: Option<String>,
}

impl Failure {
    /// Exit code 1.
    pub fn new(what: impl Into<String>) -> Self {
        Self { code: 1, what: what.into(), fix: None }
    }

    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The host ended the connection, or it broke.
    pub fn of_end(end: &End) -> Self {
        let mut failure = Self::new(end.to_string());
        if end.is_refusal() {
            failure.code = REFUSED;
        }
        failure.fix = end.fix().map(str::to_owned);
        failure
    }

    /// No connection came about.
    pub fn of_dial(error: &DialFailed, target: &Target) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            DialFailed::Dial(_, DialError::OtherHost { .. }) => failure.with_fix(format!(
                "If the host was reinstalled on purpose, pair again (`punktfunk-probe pair {target} --pin PIN`) or run \
                 `punktfunk-probe forget {target}`. If not, somebody sits in between: do not."
            )),
            DialFailed::Dial(_, DialError::NoCommonProtocol) => {
                failure.with_fix("This client speaks punktfunk/1 (ALPN pkf1): update the older end.")
            }
            DialFailed::Dial(_, DialError::NoAnswer) => failure.with_fix(format!(
                "Is the host running, and does a firewall let UDP {} and its data port through?",
                target.port
            )),
            DialFailed::Resolve(..) => failure.with_fix("Check the name, or use the address the host printed."),
            DialFailed::Dial(..) | DialFailed::Endpoint(_) => failure,
        }
    }

    /// No stream came about on a connection.
    pub fn of_stream(error: &StreamError) -> Self {
        match error {
            StreamError::Ended(end) => Self::of_end(end),
            other => Self::new(other.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.fix {
            Some(fix) => write!(f, "\n  fix: {fix}"),
            None => Ok(()),
        }
    }
}
