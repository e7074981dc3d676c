//! Real compositors under a harness: started as somebody who is not root, waited for, and always taken down again.
//!
//! ```text
//! Suite::Installed | Suite::Trixie ─► launch() ─► Launch { prefix, owner, environment }
//!                                                   ├─► TestSway::start   a session, as a person would have one
//!                                                   └─► a private desktop's launcher, owner and environment
//! ```

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Whose compositors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// What is installed on this machine. Never skipped.
    Installed,
    /// Those of a Debian 13 root folder named by `PUNKTFUNK_TRIXIE` (see `scripts/debian-tree`). Skipped without it, or
    /// when not root.
    Trixie,
    /// Those of a root folder named by `PUNKTFUNK_SID`, for compositors newer than Debian 13's.
    Sid,
}

/// How programs of a suite are started, and a scratch folder that they may write to.
#[derive(Debug)]
pub struct Launch {
    /// Goes in front of a command; ends in an `exec`.
    pub prefix: Vec<OsString>,
    /// Whom the prefix changes to; `None` where the test does not run as root.
    pub owner: Option<(u32, u32)>,
    /// What the programs need besides what the test sets itself.
    pub environment: Vec<(String, String)>,
    scratch: TempDir,
}

impl Suite {
    /// How to start programs of this suite. `None`: not there; said on stderr and counted in the file that
    /// `PUNKTFUNK_SKIPS` names.
    ///
    /// # Panics
    /// When no scratch folder can be made.
    #[must_use]
    pub fn launch(self) -> Option<Launch> {
        let root = rustix::process::geteuid().is_root();
        let (variable, what) = match self {
            Self::Installed => {
                let owner = root.then(unprivileged);
                let prefix =
                    owner.map(|(uid, gid)| words(&format!("setpriv --reuid {uid} --regid {gid} --clear-groups")));
                return Some(Launch::new(prefix.unwrap_or_default(), owner));
            }
            Self::Trixie => ("PUNKTFUNK_TRIXIE", "a Debian 13 root folder"),
            Self::Sid => ("PUNKTFUNK_SID", "a Debian sid root folder"),
        };
        let Some(folder) = std::env::var_os(variable).filter(|v| Path::new(v).join("usr/bin/sway").exists()) else {
            skip(&format!("{what} with sway ({variable} names none)"));
            return None;
        };
        if !root {
            skip(&format!("{what} can only be entered by root"));
            return None;
        }
        let (uid, gid) = unprivileged();
        // A mount namespace of its own: /tmp is the same inside and outside, and nothing stays mounted afterwards.
        let enter = format!(
            "mount --rbind /dev \"$0\"/dev && mount -t proc proc \"$0\"/proc && mount --bind /tmp \"$0\"/tmp && \
             exec /usr/sbin/chroot --userspec={uid}:{gid} --groups= \"$0\" \"$@\""
        );
        let mut prefix = words("unshare --mount --propagation private sh -c");
        prefix.extend([OsString::from(enter), folder]);
        Some(Launch::new(prefix, Some((uid, gid))))
    }
}

impl Launch {
    fn new(prefix: Vec<OsString>, owner: Option<(u32, u32)>) -> Self {
        let scratch = tempfile::Builder::new().prefix("pf-").tempdir_in("/tmp").expect("a scratch folder in /tmp");
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o711)).expect("open the folder");
        let launch = Self { prefix, owner, environment: Vec::new(), scratch };
        let home = launch.make_dir("home");
        let environment = [("HOME", home.to_str().expect("an ASCII path")), ("SHELL", "/bin/sh"), ("LANG", "C.UTF-8")];
        let environment = environment.into_iter().chain([("PATH", "/usr/local/bin:/usr/bin:/bin")]);
        Self { environment: environment.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(), ..launch }
    }

    /// Makes a folder that belongs to the programs' user alone.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let dir = self.scratch.path().join(name);
        std::fs::create_dir_all(&dir).expect("make a folder for a test");
        if let Some((uid, gid)) = self.owner {
            chown(&dir, Some(uid), Some(gid)).expect("give the folder away");
        }
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).expect("close the folder");
        dir
    }

    /// The scratch folder; everything in it goes with the launch.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The variables of [`Self::environment`] as pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// `program` behind the prefix, with nothing but this launch's environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut words = self.prefix.iter().cloned().chain([OsString::from(program)]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env_clear().envs(self.pairs()).stdin(Stdio::null());
        command
    }
}

/// A headless sway session as a person would have one, with one output of 1280x720 at 60 Hz. Ends with everything on it
/// when dropped.
#[derive(Debug)]
pub struct TestSway {
    child: Child,
    mark: String,
    /// Its `XDG_RUNTIME_DIR`.
    pub runtime_dir: PathBuf,
    /// Its IPC socket, named as sway does by itself.
    pub ipc: PathBuf,
    /// Its Wayland socket.
    pub display: PathBuf,
}

impl TestSway {
    /// Starts it and waits until it is ready. `config` is added to its configuration.
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start(launch: &Launch, config: &str) -> Self {
        Self::start_with(launch, config, &[("WLR_BACKENDS", "headless")])
    }

    /// The same inside another one: a window of its own there, and with it the keyboard of that seat, which this sway
    /// takes for a real one. `config` gives it its layout. [`Self::start`]'s output is there beside the window's.
    ///
    /// # Panics
    /// When it does not come up; with its log.
    #[must_use]
    pub fn start_inside(outer: &Self, launch: &Launch, config: &str) -> Self {
        let display = outer.display.to_str().expect("an ASCII path");
        Self::start_with(launch, config, &[("WLR_BACKENDS", "headless,wayland"), ("WAYLAND_DISPLAY", display)])
    }

    fn start_with(launch: &Launch, config: &str, backends: &[(&str, &str)]) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let runtime_dir = launch.make_dir(&format!("session{count}"));
        let config_file = runtime_dir.join("sway.conf");
        let text = format!("xwayland disable\noutput HEADLESS-1 mode --custom 1280x720@60Hz\n{config}\n");
        std::fs::write(&config_file, text).expect("write sway's configuration");
        let log = runtime_dir.join("log");
        let log_file = std::fs::File::create(&log).expect("make sway's log");
        let value = runtime_dir.to_str().expect("an ASCII path").to_owned();
        let mut command = launch.command("sway");
        command
            .arg("--config")
            .arg(&config_file)
            .env("XDG_RUNTIME_DIR", &runtime_dir)
            .env(MARK, &value)
            .envs([("WLR_RENDERER", "pixman"), ("WLR_LIBINPUT_NO_DEVICES", "1")])
            .envs(backends.iter().copied())
            .stdout(log_file.try_clone().expect("duplicate a descriptor"))
            .stderr(log_file)
            .process_group(0);
        let child = command.spawn().expect("start sway");
        let mut this =
            Self { child, mark: format!("{MARK}={value}"), ipc: PathBuf::new(), display: PathBuf::new(), runtime_dir };
        let until = Instant::now() + UP_WITHIN;
        while !this.find_sockets() {
            let ended = this.child.try_wait().expect("ask for a child's status");
            assert!(
                ended.is_none() && Instant::now() < until,
                "sway did not come up ({ended:?}): {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        this
    }

    fn find_sockets(&mut self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.runtime_dir) else { return false };
        for path in entries.flatten().map(|e| e.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("sway-ipc.") {
                self.ipc = path;
            } else if name.starts_with("wayland-") && !name.ends_with(".lock") {
                self.display = path;
            }
        }
        let there = |path: &Path| std::os::unix::net::UnixStream::connect(path).is_ok();
        there(&self.ipc) && there(&self.display)
    }

    /// Kills sway on the spot, as a crash would.
    pub fn crash(&mut self) {
        // Fails only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for TestSway {
    fn drop(&mut self) {
        self.crash();
        end_marked(&self.mark);
    }
}

/// Process ids of everything alive that carries `mark` (`NAME=value`) in its environment.
#[must_use]
pub fn marked(mark: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let carries = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|variable| variable == mark.as_bytes())
    };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(carries).collect()
}

pub(crate) fn end_marked(mark: &str) {
    for _ in 0..200 {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // Fails only when it is gone already.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    eprintln!("processes with {mark} did not end");
}

/// Says loudly that a test is skipped, and has it counted in the summary of `make test`.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: needs {why}");
    if let Some(path) = std::env::var_os("PUNKTFUNK_SKIPS") {
        let line = format!("{why}\n");
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        if let Err(e) = file.and_then(|mut f| f.write_all(line.as_bytes())) {
            eprintln!("the skip could not be counted: {e}");
        }
    }
}

/// The user that compositors run as when the test runs as root: `punktfunk` where it exists, else `nobody`.
fn unprivileged() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("punktfunk")).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    account.unwrap_or((65_534, 65_534))
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

const MARK: &str = "PUNKTFUNK_TEST_SESSION";
/// Started in 0.2 s on an idle machine; a loaded one may take seconds.
const UP_WITHIN: Duration = Duration::from_secs(15);
