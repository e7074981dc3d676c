//! Where a user's programs keep their files.

use std::env;
use std::path::{Path, PathBuf};

/// The folders that scanners look below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The home folder.
    pub home: PathBuf,
    /// `$XDG_CONFIG_HOME`.
    pub config: PathBuf,
    /// `$XDG_DATA_HOME`.
    pub data: PathBuf,
    /// `$XDG_CACHE_HOME`.
    pub cache: PathBuf,
    /// `$XDG_DATA_DIRS`, and where Flatpak exports to for everybody.
    pub data_dirs: Vec<PathBuf>,
    /// `$PATH`.
    pub path: Vec<PathBuf>,
}

impl Roots {
    /// Those of this process's user.
    #[must_use]
    pub fn from_env() -> Self {
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = absolute("HOME").unwrap_or_else(|| PathBuf::from("/"));
        let list = |name: &str, default: &str| {
            let value = env::var_os(name).filter(|v| !v.is_empty()).unwrap_or_else(|| default.into());
            env::split_paths(&value).filter(|p| p.is_absolute()).collect::<Vec<_>>()
        };
        // XDG Base Directory Specification 0.8.
        let mut data_dirs = list("XDG_DATA_DIRS", "/usr/local/share:/usr/share");
        // A service's environment lacks what a login shell's has.
        let flatpak = PathBuf::from("/var/lib/flatpak/exports/share");
        if !data_dirs.contains(&flatpak) {
            data_dirs.push(flatpak);
        }
        Self {
            config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            data: absolute("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")),
            cache: absolute("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache")),
            path: list("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/games"),
            data_dirs,
            home,
        }
    }

    /// Everything below one home folder, and nothing of the system.
    #[must_use]
    pub fn below(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self {
            config: home.join(".config"),
            data: home.join(".local/share"),
            cache: home.join(".cache"),
            data_dirs: vec![home.join("usr/share")],
            path: vec![home.join("usr/bin")],
            home,
        }
    }

    /// Where a Flatpak keeps its files.
    pub(crate) fn flatpak(&self, app: &str) -> PathBuf {
        self.home.join(".var/app").join(app)
    }

    /// Whether a program can be run, by path or by name.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        let runs = |path: &Path| {
            use std::os::unix::fs::PermissionsExt;
            path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        };
        if name.contains('/') { runs(Path::new(name)) } else { self.path.iter().any(|dir| runs(&dir.join(name))) }
    }
}
