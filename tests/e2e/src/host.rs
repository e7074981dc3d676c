//! A host under test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::unprivileged::{Identity, binaries};

/// How to start a host.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Command and flags, e.g. `["serve", "--desktop", "private"]`. Loopback, a free port and no mDNS are added.
    pub args: Vec<String>,
    /// Extra environment.
    pub env: Vec<(String, String)>,
    /// Work in these folders (of an earlier host) instead of new ones.
    pub dirs: Option<PathBuf>,
    /// Goes in front of the host's command, changes to the tests' user, and ends in an `exec`: how to start it in a root
    /// folder of another suite. Empty: here.
    pub prefix: Vec<OsString>,
    /// Leave the console's port to the settings in the folders: no flag for it.
    pub web_port_from_settings: bool,
}

/// A running host. Dropping it kills it and everything that runs in its folders.
pub struct Host {
    child: Child,
    /// Where it listens.
    pub quic: SocketAddr,
    /// What it said on standard output up to and with that line.
    said: Vec<String>,
    /// Where its management API and its console are, if they are served.
    pub mgmt: Option<SocketAddr>,
    /// As above.
    pub web: Option<SocketAddr>,
    root: PathBuf,
    keep: Option<tempfile::TempDir>,
    identity: Identity,
}

/// Longer than anything takes on a busy machine: to be ready, to end, and for what it leaves to go.
const PATIENCE: Duration = Duration::from_secs(30);

impl Host {
    /// Starts a host and waits for its `listening` line.
    ///
    /// # Panics
    /// When it does not get ready; its log is in the message.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(&HostOptions { args: args.iter().map(|a| (*a).to_owned()).collect(), ..Default::default() })
    }

    /// Starts a host with everything settable.
    ///
    /// # Panics
    /// When it does not get ready; its log is in the message.
    #[must_use]
    pub fn start_with(options: &HostOptions) -> Self {
        Self::try_start(options).unwrap_or_else(|(status, log)| panic!("the host ended with {status:?}:\n{log}"))
    }

    /// Starts a host that may refuse to run.
    ///
    /// # Errors
    /// Its exit status and log, when it ended before it was ready.
    ///
    /// # Panics
    /// When it neither ends nor gets ready.
    pub fn try_start(options: &HostOptions) -> Result<Self, (ExitStatus, String)> {
        let identity = Identity::for_tests();
        let (root, keep) = match &options.dirs {
            Some(root) => (root.clone(), None),
            None => {
                let dir = tempfile::Builder::new().prefix("pf-e2e-").tempdir().expect("a temporary folder");
                identity.make_dir(dir.path());
                (dir.path().to_owned(), Some(dir))
            }
        };
        let log_path = root.join("host.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path).expect("a log file");
        let mut command = host_command(identity, &root, options);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("the host binary starts");
        let stdout = child.stdout.take().expect("piped above");
        let (lines, line) = mpsc::channel();
        std::thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(text).is_err() {
                    // The test has what it wants; keep draining so that the host never blocks on a full pipe.
                }
            }
        });
        let mut said = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        let log_text = || std::fs::read_to_string(&log_path).unwrap_or_default();
        loop {
            match line.recv_timeout(Duration::from_millis(100)) {
                Ok(text) => {
                    let quic = parse_listening(&text);
                    let (mgmt, web) = (parse_door(&text, "mgmt="), parse_door(&text, "web="));
                    said.push(text);
                    if let Some(quic) = quic {
                        return Ok(Self { child, quic, mgmt, web, said, root, keep, identity });
                    }
                }
                Err(_) => {
                    if let Some(status) = child.try_wait().expect("wait for the host") {
                        return Err((status, log_text()));
                    }
                }
            }
            assert!(Instant::now() < deadline, "the host is not ready after {PATIENCE:?}:\n{}", log_text());
        }
    }

    /// Runs another `punktfunk-host` command in this host's folders, e.g. `["pair", "arm", "--json"]`.
    ///
    /// # Panics
    /// When the binary cannot be started.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> std::process::Output {
        let mut command = base_command(self.identity, &self.root, &[]);
        command.args(args).stdin(Stdio::null()).output().expect("the host binary starts")
    }

    /// The line of its standard output that begins like this, up to the one that said it was ready.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn line(&self, begin: &str) -> &str {
        let line = self.said.iter().find(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("no line {begin:?} in {:?}", self.said))
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder everything of this host lies in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Who it runs as.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("host.log")).unwrap_or_default()
    }

    /// Waits until the log holds `text`.
    ///
    /// # Panics
    /// When it does not within `limit`.
    pub fn wait_for_log(&self, text: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in the log after {limit:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("signal the host");
    }

    /// Waits for the end; `None` if it does not come within 30 s.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Processes that run in this host's folders, the host itself included.
    #[must_use]
    pub fn processes(&self) -> Vec<(i32, String)> {
        crate::census::processes(self.identity.uid(), &self.root)
    }

    /// Waits until nothing but (perhaps) the host runs in its folders.
    ///
    /// # Panics
    /// When something still does after 30 s, with its command line.
    pub fn assert_nothing_left(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest: Vec<_> =
                self.processes().into_iter().filter(|(pid, _)| *pid != self.child.id().cast_signed()).collect();
            if rest.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind after {PATIENCE:?}: {rest:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.keep.is_none() && !std::thread::panicking() {
            return;
        }
        // The watchdog tidies up; what it must keep for a lease is ended here, so that tests leave nothing.
        for (pid, _) in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn base_command(identity: Identity, root: &Path, prefix: &[OsString]) -> Command {
    let binary = binaries().join("punktfunk-host");
    let mut command = match prefix {
        [] => {
            let mut command = Command::new(binary);
            identity.apply(&mut command);
            command
        }
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(binary);
            command
        }
    };
    command.env_clear().current_dir(root);
    for (name, dir) in [
        ("HOME", "home"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_RUNTIME_DIR", "run"),
    ] {
        let dir = root.join(dir);
        if !dir.exists() {
            identity.make_dir(&dir);
        }
        command.env(name, dir);
    }
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8").env("PUNKTFUNK_LOG", "info");
    command
}

fn host_command(identity: Identity, root: &Path, options: &HostOptions) -> Command {
    let mut command = base_command(identity, root, &options.prefix);
    command.args(&options.args);
    let has = |flag: &str| options.args.iter().any(|a| a == flag);
    if !has("--port") {
        command.args(["--port", "0"]);
    }
    if !has("--bind") {
        command.args(["--bind", "127.0.0.1"]);
    }
    // Hosts of tests run beside each other.
    for flag in ["--api-port", "--web-port"] {
        let from_settings = flag == "--web-port" && options.web_port_from_settings;
        if !has(flag) && !from_settings {
            command.args([flag, "0"]);
        }
    }
    command.arg("--no-mdns").envs(options.env.iter().cloned());
    command
}

fn parse_listening(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening quic=")?.split_whitespace().next()?.parse().ok()
}

fn parse_door(line: &str, name: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name))?.parse().ok()
}
