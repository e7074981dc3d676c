//! Where things lie: the XDG folders, and the fixed runtime folder of the system user.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Runtime folder of a host that was started as root and became the system user. Made before root is dropped.
pub const SYSTEM_RUNTIME_DIR: &str = "/run/punktfunk";

/// The folders of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `$XDG_CONFIG_HOME/punktfunk`: what people write.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/punktfunk`: identity, clients, journal.
    pub state: PathBuf,
    /// Runtime folder: control socket and the private desktops' own runtime folders.
    pub runtime: PathBuf,
}

impl Paths {
    /// Reads the XDG variables of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::resolve(&|name| std::env::var_os(name).map(PathBuf::from), rustix::process::getuid().as_raw())
    }

    fn resolve(var: &dyn Fn(&str) -> Option<PathBuf>, uid: u32) -> Self {
        // The XDG base directory specification: relative paths are invalid and ignored.
        let absolute = |name: &str| var(name).filter(|p| p.is_absolute());
        let home = absolute("HOME").unwrap_or_else(|| PathBuf::from("/"));
        let runtime = match absolute("XDG_RUNTIME_DIR") {
            Some(dir) if dir == Path::new(SYSTEM_RUNTIME_DIR) => dir,
            Some(dir) => dir.join("punktfunk"),
            None => PathBuf::from(format!("/tmp/punktfunk-{uid}")),
        };
        Self {
            config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("punktfunk"),
            state: absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("punktfunk"),
            runtime,
        }
    }

    /// The control sockets to try, in order: the caller's own host, then the system user's.
    #[must_use]
    pub fn control_sockets(&self) -> Vec<PathBuf> {
        let mut sockets = vec![self.control_socket()];
        let system = Path::new(SYSTEM_RUNTIME_DIR).join("control.sock");
        if !sockets.contains(&system) {
            sockets.push(system);
        }
        sockets
    }

    /// This host's own control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }
}

/// Makes a folder that only this user may enter, and refuses one that somebody else owns.
///
/// # Errors
/// What the system said, or a sentence about the wrong owner.
pub fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = std::fs::metadata(dir)?;
    if meta.uid() != rustix::process::getuid().as_raw() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            format!("{} belongs to user {}, not to this one", dir.display(), meta.uid()),
        ));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(vars: &[(&str, &str)]) -> Paths {
        Paths::resolve(&|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| PathBuf::from(v)), 1000)
    }

    #[test]
    fn xdg_variables_win_and_relative_ones_are_ignored() {
        let p = paths(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s"), ("XDG_CONFIG_HOME", "relative")]);
        assert_eq!(p.state, Path::new("/s/punktfunk"));
        assert_eq!(p.config, Path::new("/home/a/.config/punktfunk"));
        assert_eq!(p.runtime, Path::new("/tmp/punktfunk-1000"));
    }

    #[test]
    fn the_system_user_uses_its_folder_itself() {
        let p = paths(&[("XDG_RUNTIME_DIR", SYSTEM_RUNTIME_DIR)]);
        assert_eq!(p.control_socket(), Path::new("/run/punktfunk/control.sock"));
        assert_eq!(p.control_sockets().len(), 1);
        let p = paths(&[("XDG_RUNTIME_DIR", "/run/user/1000")]);
        assert_eq!(p.control_sockets()[0], Path::new("/run/user/1000/punktfunk/control.sock"));
        assert_eq!(p.control_sockets()[1], Path::new("/run/punktfunk/control.sock"));
    }
}
