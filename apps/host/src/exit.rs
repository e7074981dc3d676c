//! How the program ends: stable exit codes, one error type with a reason code, printed once.

use std::fmt;
use std::process::ExitCode;

use punktfunk_media::Reason;

/// Exit code for bad usage or a bad configuration.
pub const USAGE: u8 = 2;
/// Exit code when a port is taken.
pub const PORT_TAKEN: u8 = 3;
/// Exit code when no host is running.
pub const NOT_RUNNING: u8 = 5;

/// Why the program cannot go on.
#[derive(Debug)]
pub struct Failure {
    /// Process exit code.
    pub code: u8,
    /// Stable reason, with its sentence and fix.
    pub reason: &'static Reason,
    /// What exactly happened.
    pub detail: String,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(reason: &'static Reason, detail: impl Into<String>) -> Self {
        Self { code: 1, reason, detail: detail.into() }
    }

    /// The same failure with another exit code.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code, self.reason.sentence)?;
        if !self.detail.is_empty() {
            write!(f, "\n  {}", self.detail)?;
        }
        write!(f, "\n  fix: {}", self.reason.fix)
    }
}

/// Prints the failure, if any, and turns the result into the process's exit code.
pub fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("punktfunk-host: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
