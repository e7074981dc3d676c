//! Running the binaries as somebody who is not root.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Who the programs under test run as.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    uid: u32,
    gid: u32,
}

impl Identity {
    /// The caller, or the user `punktfunk` (else `nobody`) when the caller is root.
    #[must_use]
    pub fn for_tests() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let gid = rustix::process::getgid().as_raw();
        if uid != 0 {
            return Self { uid, gid };
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = passwd.lines().find_map(|line| {
            let f: Vec<&str> = line.split(':').collect();
            (f[0] == "punktfunk").then(|| Some((f.get(2)?.parse().ok()?, f.get(3)?.parse().ok()?)))?
        });
        let (uid, gid) = account.unwrap_or((65534, 65534));
        Self { uid, gid }
    }

    /// The numeric user id.
    #[must_use]
    pub fn uid(self) -> u32 {
        self.uid
    }

    /// The numeric group id.
    #[must_use]
    pub fn gid(self) -> u32 {
        self.gid
    }

    /// Makes `command` run as this identity.
    pub fn apply(self, command: &mut Command) {
        if rustix::process::getuid().is_root() {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Makes a folder that belongs to this identity alone.
    ///
    /// # Panics
    /// When the folder cannot be made: the test cannot go on.
    pub fn make_dir(self, dir: &Path) {
        std::fs::create_dir_all(dir).expect("make a folder for a test");
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(dir, Some(self.uid), Some(self.gid)).expect("give the folder away");
        }
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).expect("close the folder");
    }
}

/// The folder with `punktfunk-host` and `punktfunk-probe`, reachable by [`Identity::for_tests`].
///
/// # Panics
/// When the binaries are not built and cannot be.
pub fn binaries() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        // tests run from <target>/<profile>/deps
        let exe = std::env::current_exe().expect("own path");
        let built = exe.parent().and_then(Path::parent).expect("a test binary lies in deps").to_owned();
        let programs = ["punktfunk-host", "punktfunk-probe"];
        if programs.iter().any(|p| !built.join(p).exists()) {
            let profile = if built.ends_with("release") { "release" } else { "dev" };
            let status = Command::new(env!("CARGO"))
                .args(["build", "--profile", profile, "-p", "punktfunk-host", "-p", "punktfunk-probe"])
                .status();
            assert!(status.is_ok_and(|s| s.success()), "the programs under test could not be built");
        }
        if !rustix::process::getuid().is_root() {
            return built;
        }
        // Root's home is closed to others: work from copies. The folder's name carries the pid, so that runs beside
        // each other do not meet; the operating system clears /tmp.
        let dir = std::env::temp_dir().join(format!("punktfunk-e2e-bin-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make a folder for the binaries");
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("open the folder");
        for program in programs {
            let to = dir.join(program);
            if std::fs::hard_link(built.join(program), &to).is_err() {
                std::fs::copy(built.join(program), &to).expect("copy a binary");
            }
        }
        let doomed = std::ffi::CString::new(dir.to_str().expect("temp paths are UTF-8")).expect("no NUL");
        REMOVE.get_or_init(|| doomed);
        // SAFETY: `remove_copies` is an extern "C" function without arguments that touches only a static that is set
        // once, above, before it is registered.
        unsafe { libc::atexit(remove_copies) };
        dir
    })
}

static REMOVE: OnceLock<std::ffi::CString> = OnceLock::new();

extern "C" fn remove_copies() {
    if let Some(dir) = REMOVE.get().and_then(|d| d.to_str().ok()) {
        // Nobody is left to report a failure to; the folder is in /tmp.
        let _ = std::fs::remove_dir_all(dir);
    }
}
