//! The processes and the folder of a private desktop, whoever composites it: started, found again, kept, and ended with
//! everything on it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{Journal, Keep, OpenError, StageEnvironment, UndoGuard, UndoRecord, end_of_log};

use super::config::PrivateConfig;
use super::logs::{LOG, SmallLogs};
use super::{content, open_failed, sound};
use crate::detect::Environment;
use crate::gpu;
use crate::process::{ProcessId, number_of, take_number};
use crate::random::random_id;
use crate::record::{PrivateRecord, no_journal, undo_private, undo_record};

/// A private desktop's own; dropping ends it all and removes the record.
#[derive(Debug)]
pub struct Family {
    record: PrivateRecord,
    /// Whose record it is in the journal.
    backend: &'static str,
    /// What policy says about its life beyond this host's; nothing is kept before the hub said so.
    keep: Keep,
    guard: Option<UndoGuard>,
    /// Only in the host that started it.
    child: Option<Child>,
    logs: Option<SmallLogs>,
}

/// What a compositor adds to its family.
pub struct Recipe<'a> {
    /// Whose record it is in the journal.
    pub backend: &'static str,
    /// Its files beside [`content::START_SCRIPT`]: name and text.
    pub files: &'a [(&'static str, String)],
    /// The file with the longest path that it listens at.
    pub socket: &'a str,
    /// Its own variables, given the runtime folder.
    pub variables: &'a dyn Fn(&Path) -> Vec<(&'static str, OsString)>,
    /// Words after the start script.
    pub words: &'a [OsString],
}

impl Family {
    /// Starts the compositor; does not wait for it.
    pub fn start(
        config: &PrivateConfig,
        environment: &Environment,
        keyboard: &KeyboardLayout,
        journal: &Arc<dyn Journal>,
        identity: Option<&str>,
        recipe: &Recipe<'_>,
    ) -> Result<Self, OpenError> {
        let id = random_id().map_err(|e| open_failed(format!("/dev/urandom: {e}")))?;
        let runtime_dir = config.runtime_dir.join(&id);
        if runtime_dir.join(recipe.socket).as_os_str().len() >= LONGEST_SOCKET_PATH {
            return Err(open_failed(format!("{} is too long for a socket's path", runtime_dir.display())));
        }
        let record = PrivateRecord {
            identity: identity.map(str::to_owned),
            runtime_dir,
            mark: format!("{MARK}={id}"),
            leader: None,
        };
        let guard = Arc::clone(journal).record(undo_record(recipe.backend, &record)).map_err(no_journal)?;
        let mut family =
            Self { record, backend: recipe.backend, keep: AT_ONCE, guard: Some(guard), child: None, logs: None };
        let dir = family.record.runtime_dir.clone();
        make_files(config, &dir, recipe.files).map_err(|e| open_failed(format!("{}: {e}", dir.display())))?;
        let child = command(config, environment, keyboard, &family.record, recipe)
            .and_then(|mut command| command.spawn())
            .map_err(|e| open_failed(format!("the compositor could not be started: {e}")))?;
        family.record.leader = i32::try_from(child.id()).ok().and_then(ProcessId::of);
        family.child = Some(child);
        family.logs = Some(SmallLogs::keep(&dir));
        family.write_down()?;
        Ok(family)
    }

    /// Takes over one that an earlier host started. `None` when it is gone; what was left of it is then removed.
    pub fn adopt(record: PrivateRecord, backend: &'static str, guard: UndoGuard) -> Option<Self> {
        let mut family = Self { record, backend, keep: AT_ONCE, guard: Some(guard), child: None, logs: None };
        if !family.is_alive() {
            return None;
        }
        family.logs = Some(SmallLogs::keep(family.runtime_dir()));
        Some(family)
    }

    /// Its own runtime folder.
    pub fn runtime_dir(&self) -> &Path {
        &self.record.runtime_dir
    }

    /// Makes the spare somebody's own.
    pub fn assign(&mut self, identity: &str) -> Result<(), OpenError> {
        self.record.identity = Some(identity.to_owned());
        self.write_down()
    }

    /// Whether its first process lives.
    pub fn is_alive(&mut self) -> bool {
        // Also takes the exit status, so that no zombie stays.
        let ended = self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        !ended && self.record.leader.is_some_and(ProcessId::is_alive)
    }

    /// What leads to its session bus and marks its members.
    pub fn environment(&self) -> StageEnvironment {
        let dir = &self.record.runtime_dir;
        let display = [("XDG_RUNTIME_DIR", dir.display().to_string()), ("DBUS_SESSION_BUS_ADDRESS", bus_address(dir))];
        let member = self.record.mark.split_once('=');
        StageEnvironment {
            display: display.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            member: member.map(|(name, value)| (name.to_owned(), value.to_owned())),
        }
    }

    /// Writes down how long it is kept; see [`punktfunk_media::Stage::keep`].
    pub fn keep(&mut self, keep: Keep) -> bool {
        let before = std::mem::replace(&mut self.keep, keep);
        match self.write_down() {
            Ok(()) => true,
            Err(e) => {
                tracing::warn!("the private desktop ends with this host: {e}");
                self.keep = before;
                false
            }
        }
    }

    /// Waits until `ready` says so, or the compositor ends, or takes too long.
    pub fn wait_ready<T>(&mut self, mut ready: impl FnMut(&Path) -> Option<T>) -> Result<T, OpenError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            if let Some(ready) = ready(&self.record.runtime_dir) {
                return Ok(ready);
            }
            if !self.is_alive() {
                return Err(open_failed(format!("the compositor ended at once; {}", self.last_words())));
            }
            if Instant::now() >= until {
                let words = self.last_words();
                return Err(open_failed(format!("the compositor is not ready after {READY_WITHIN:?}; {words}")));
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// Writes the programs into its folder; returns the scripts of those that are to be seen from the start.
    pub fn write_programs(
        &self,
        config: &PrivateConfig,
        environment: &Environment,
        name: &str,
    ) -> Result<Vec<std::path::PathBuf>, OpenError> {
        let dir = &self.record.runtime_dir;
        let mut scripts = Vec::new();
        let built_in = self.backend == crate::record::BACKEND_BUILTIN;
        let owner = content::Owner { name, launches_as: self.record.identity.as_deref().filter(|_| built_in) };
        for script in content::programs(&config.content, environment, owner) {
            let path = dir.join(script.name);
            write_file(config, &path, &script.text).map_err(|e| open_failed(format!("{}: {e}", path.display())))?;
            scripts.extend(Some(path).filter(|_| script.at_once));
        }
        Ok(scripts)
    }

    fn write_down(&self) -> Result<(), OpenError> {
        match &self.guard {
            Some(guard) => {
                let Keep { keep_for, lease_until_ms } = self.keep;
                let record = undo_record(self.backend, &self.record);
                guard.update(UndoRecord { keep_for, lease_until_ms, ..record }).map_err(no_journal)
            }
            None => Ok(()),
        }
    }

    /// The end of the log, in one line.
    fn last_words(&self) -> String {
        let log = File::open(self.record.runtime_dir.join(LOG)).map(|file| end_of_log(&file)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().rev().take(4).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        if lines.is_empty() { "its log is empty".to_owned() } else { format!("its log ends: {}", lines.join(" | ")) }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        drop(self.logs.take());
        let undone = undo_private(&self.record);
        if let Some(child) = &mut self.child {
            // Ended above. Once more, and known to be ours: where `/proc` cannot be read nobody was found, and a wait would
            // have no end.
            let _ = child.kill();
            let _ = child.wait();
        }
        match undone {
            Ok(()) => drop(self.guard.take()),
            Err(why) => {
                tracing::warn!(why, "a private desktop did not end; the journal keeps it");
                if let Some(guard) = self.guard.take() {
                    guard.leave();
                }
            }
        }
    }
}

fn make_files(config: &PrivateConfig, dir: &Path, files: &[(&'static str, String)]) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.runtime_dir)?;
    fs::DirBuilder::new().mode(0o700).create(dir)?;
    for (name, text) in files {
        write_file(config, &dir.join(name), text)?;
    }
    for (name, text) in sound::files() {
        let path = dir.join(name);
        make_folders(config, dir, &path)?;
        write_file(config, &path, text)?;
    }
    if let Some((uid, gid)) = config.owner {
        chown(dir, Some(uid), Some(gid))?;
        // Only to be passed through on the way to its own folder.
        fs::set_permissions(&config.runtime_dir, fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// The folders between `dir` and the file `path`.
fn make_folders(config: &PrivateConfig, dir: &Path, path: &Path) -> std::io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| *folder != dir && !folder.exists()) else { return Ok(()) };
    make_folders(config, dir, folder)?;
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    config.owner.map_or(Ok(()), |(uid, gid)| chown(folder, Some(uid), Some(gid)))
}

fn write_file(config: &PrivateConfig, path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    match config.owner {
        Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

fn command(
    config: &PrivateConfig,
    environment: &Environment,
    keyboard: &KeyboardLayout,
    record: &PrivateRecord,
    recipe: &Recipe<'_>,
) -> std::io::Result<Command> {
    let dir = &record.runtime_dir;
    let log: File = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(LOG))?;
    if let Some((uid, gid)) = config.owner {
        fchown(&log, Some(uid), Some(gid))?;
    }
    let mut command = prefixed(config, "sh")?;
    command.arg(dir.join(content::START_SCRIPT)).args(recipe.words);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = environment.get(name) {
            command.env(name, value);
        }
    }
    if !["LC_ALL", "LC_CTYPE", "LANG"].iter().any(|n| environment.get(n).is_some_and(|v| v.contains("UTF-8"))) {
        command.env("LANG", "C.UTF-8");
    }
    command.env("PATH", path(environment));
    command.env("XDG_RUNTIME_DIR", dir);
    command.env("DBUS_SESSION_BUS_ADDRESS", bus_address(dir));
    command.env("XDG_SESSION_TYPE", "wayland").envs(gpu::variables(config.gpu.choice())).envs((recipe.variables)(dir));
    for (name, value) in [
        ("XKB_DEFAULT_MODEL", &keyboard.model),
        ("XKB_DEFAULT_LAYOUT", &keyboard.layout),
        ("XKB_DEFAULT_VARIANT", &keyboard.variant),
        ("XKB_DEFAULT_OPTIONS", &keyboard.options),
    ] {
        if !value.is_empty() {
            command.env(name, value);
        }
    }
    if let Some((name, value)) = record.mark.split_once('=') {
        command.env(name, value);
    }
    let number = number_of(&record.mark);
    // SAFETY: these system calls are async-signal-safe and touch no memory of this process.
    unsafe {
        command.pre_exec(move || {
            // Refused (by a sandbox, say), the mark alone has to do: a session matters more.
            let _ = take_number(number);
            rustix::process::setsid().map(drop).map_err(Into::into)
        });
    }
    Ok(command)
}

/// `program`, behind the configured launcher.
pub fn prefixed(config: &PrivateConfig, program: &str) -> std::io::Result<Command> {
    let mut words = config.launcher.iter().cloned().chain([OsString::from(program)]);
    let mut command = Command::new(words.next().ok_or(std::io::ErrorKind::InvalidInput)?);
    command.args(words);
    Ok(command)
}

fn bus_address(dir: &Path) -> String {
    format!("unix:path={}/bus", dir.display())
}

pub fn path(environment: &Environment) -> &str {
    environment.get("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin")
}

/// What holds until the hub told its policy: a private desktop ends with its host.
const AT_ONCE: Keep = Keep { keep_for: Duration::ZERO, lease_until_ms: None };
/// Environment variable that everything on a private desktop carries.
const MARK: &str = "PUNKTFUNK_DESKTOP";
/// `sun_path` of unix(7), with its NUL.
const LONGEST_SOCKET_PATH: usize = 108;
/// Started in 0.2 s at most on an idle machine; a loaded one may take seconds.
const READY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(4);
/// What a person's programs need of the host's environment. Everything else, above all other sessions' sockets, stays
/// out.
const INHERITED: [&str; 18] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_TIME",
    "LC_MESSAGES",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XKB_CONFIG_ROOT",
];
