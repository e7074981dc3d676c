//! The probe under test: a client identity of its own, one command at a time.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::unprivileged::{Identity, binaries};

/// A client with its own identity and folders.
pub struct Probe {
    dir: tempfile::TempDir,
    identity: Identity,
}

/// What a probe command gave.
#[derive(Debug)]
pub struct ProbeOutcome {
    /// Exit code; 0 ok, 1 failure, 2 usage, 3 refused, 4 no video.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The report (`--json`), where there is one.
    pub report: Option<serde_json::Value>,
}

impl ProbeOutcome {
    /// A number of the report, by JSON pointer, e.g. `/frames_received`.
    ///
    /// # Panics
    /// When there is no report or no such number.
    #[must_use]
    pub fn number(&self, pointer: &str) -> f64 {
        self.report
            .as_ref()
            .and_then(|r| r.pointer(pointer))
            .and_then(serde_json::Value::as_f64)
            .unwrap_or_else(|| panic!("no number {pointer} in {self:#?}"))
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// A client nobody has seen before.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let identity = Identity::for_tests();
        let dir = tempfile::Builder::new().prefix("pf-probe-").tempdir().expect("a temporary folder");
        identity.make_dir(dir.path());
        Self { dir, identity }
    }

    /// Its folder; `report.json` and pictures land here.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A command of the probe, ready to be started by hand.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binaries().join("punktfunk-probe"));
        self.identity.apply(&mut command);
        command.env_clear().current_dir(self.dir.path()).args(args).env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(name, self.dir.path());
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs `punktfunk-probe pair`.
    #[must_use]
    pub fn pair(&self, host: std::net::SocketAddr, pin: &str) -> ProbeOutcome {
        self.finish(self.command(&["pair", &host.to_string(), "--pin", pin]).output(), None)
    }

    /// Runs `punktfunk-probe stream` with a report.
    #[must_use]
    pub fn stream(&self, host: std::net::SocketAddr, args: &[&str]) -> ProbeOutcome {
        let report = self.dir.path().join("report.json");
        let _ = std::fs::remove_file(&report);
        let host = host.to_string();
        let mut all = vec!["stream", &host, "--json", "report.json"];
        all.extend(args);
        self.finish(self.command(&all).output(), Some(&report))
    }

    #[allow(clippy::unused_self)]
    fn finish(&self, output: std::io::Result<Output>, report: Option<&Path>) -> ProbeOutcome {
        let output = output.expect("the probe binary starts");
        ProbeOutcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            report: report
                .and_then(|path| std::fs::read_to_string(path).ok())
                .map(|text| serde_json::from_str(&text).expect("the report is JSON")),
        }
    }
}
