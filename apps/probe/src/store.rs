//! What the probe keeps: its identity and the hosts it has met, in `$XDG_STATE_HOME/punktfunk-probe`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use punktfunk_client::Target;
use punktfunk_core::Fingerprint;
use punktfunk_net::Identity;
use punktfunk_net::identity::load_or_create;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The folder and what is in it.
pub struct Store {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Hosts {
    version: u32,
    /// `HOST:PORT` as given → fingerprint in hex.
    hosts: BTreeMap<String, String>,
}

impl Store {
    /// Finds the folder by the XDG variables; makes nothing.
    pub fn from_env() -> Self {
        // The XDG base directory specification: relative paths are invalid and ignored.
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = absolute("HOME").unwrap_or_else(|| PathBuf::from("/"));
        let state = absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        Self { dir: state.join("punktfunk-probe") }
    }

    /// Our certificate, made on first use.
    pub fn identity(&self) -> Result<Identity, Failure> {
        load_or_create(&self.dir, &["punktfunk-client".to_owned()]).map_err(|e| Failure::new(e.to_string()))
    }

    /// The host's fingerprint, if it was met before.
    pub fn pin(&self, target: &Target) -> Result<Option<Fingerprint>, Failure> {
        let hosts = self.load()?;
        Ok(hosts.hosts.get(&target.to_string()).and_then(|hex| Fingerprint::from_hex(hex)))
    }

    /// Remembers a host.
    pub fn remember(&self, target: &Target, host: Fingerprint) -> Result<(), Failure> {
        self.change(|hosts| hosts.insert(target.to_string(), host.to_string())).map(drop)
    }

    /// Forgets a host; false if it was not known.
    pub fn forget(&self, target: &Target) -> Result<bool, Failure> {
        self.change(|hosts| hosts.remove(&target.to_string())).map(|old| old.is_some())
    }

    fn change<T>(&self, with: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> Result<T, Failure> {
        let path = self.path();
        let failed = |e: io::Error| Failure::new(format!("{}: {e}", path.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        // Several probes may share the folder; the lock covers reading, too, so that none forgets what another learned.
        let lock =
            OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.join("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut all = self.load()?;
        let outcome = with(&mut all.hosts);
        write_atomically(&self.dir, &path, &all).map_err(failed)?;
        Ok(outcome)
    }

    fn load(&self) -> Result<Hosts, Failure> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Hosts { version: VERSION, hosts: BTreeMap::new() });
            }
            Err(e) => return Err(Failure::new(format!("{}: {e}", path.display()))),
        };
        let keep = "Correct it or move it away; every host is then trusted on first use again.";
        match serde_json::from_str::<Hosts>(&text) {
            Ok(hosts) if hosts.version == VERSION => Ok(hosts),
            Ok(hosts) => {
                Err(Failure::new(format!("{}: version {} is not known", path.display(), hosts.version)).with_fix(keep))
            }
            Err(e) => Err(Failure::new(format!("{}: {e}", path.display())).with_fix(keep)),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("hosts.json")
    }
}

fn write_atomically(dir: &Path, path: &Path, hosts: &Hosts) -> io::Result<()> {
    let temporary = dir.join(format!(".hosts.json.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(hosts)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_remembered_replaced_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store { dir: dir.path().join("deep/probe") };
        let target: Target = "example:1".parse().unwrap();
        let other: Target = "example:2".parse().unwrap();
        assert_eq!(store.pin(&target).unwrap(), None);
        store.remember(&target, Fingerprint([1; 32])).unwrap();
        store.remember(&other, Fingerprint([3; 32])).unwrap();
        store.remember(&target, Fingerprint([2; 32])).unwrap();
        assert_eq!(store.pin(&target).unwrap(), Some(Fingerprint([2; 32])));
        assert!(store.forget(&target).unwrap());
        assert!(!store.forget(&target).unwrap());
        assert_eq!(store.pin(&other).unwrap(), Some(Fingerprint([3; 32])));
    }

    #[test]
    fn a_broken_file_is_an_error_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store { dir: dir.path().to_owned() };
        for broken in ["{", r#"{"version":9,"hosts":{}}"#] {
            fs::write(store.path(), broken).unwrap();
            assert!(store.pin(&"h".parse().unwrap()).is_err());
            assert!(store.remember(&"h".parse().unwrap(), Fingerprint([1; 32])).is_err());
            assert_eq!(fs::read_to_string(store.path()).unwrap(), broken);
        }
    }
}
