//! The identity files, `identity.json` and `identity-gamestream.json`: version 1, mode 0600, written through a temporary
//! file, `fsync`, a link that cannot replace an existing file, and an `fsync` of the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{GenerateError, Identity};

/// Name of the native identity's file inside the state folder.
pub const FILE_NAME: &str = "identity.json";
/// Name of the GameStream identity's file inside the state folder.
pub const RSA_FILE_NAME: &str = "identity-gamestream.json";

/// Loads the identity kept in `dir`, or makes one if the file does not exist. `names` go into a new certificate and
/// are otherwise ignored. Two processes that start at once agree on one identity.
///
/// # Errors
/// [`IdentityError::Unreadable`] if the file exists but is not an identity: it is left as it is, untouched.
/// [`IdentityError::Io`] if the folder or the file cannot be read or written.
pub fn load_or_create(dir: &Path, names: &[String]) -> Result<Identity, IdentityError> {
    load_or(dir, FILE_NAME, || Identity::generate(names))
}

/// The same for the RSA-2048 identity that GameStream clients pin. `uuid` is the native identity's and goes into a new
/// file; one that exists keeps its own, because clients know the host by it. Making one takes up to some seconds.
///
/// # Errors
/// As [`load_or_create`].
pub fn load_or_create_rsa(dir: &Path, uuid: &str) -> Result<Identity, IdentityError> {
    load_or(dir, RSA_FILE_NAME, || Identity::generate_rsa(uuid))
}

fn load_or(
    dir: &Path,
    name: &str,
    generate: impl FnOnce() -> Result<Identity, GenerateError>,
) -> Result<Identity, IdentityError> {
    let path = dir.join(name);
    if let Some(identity) = load(&path)? {
        return Ok(identity);
    }
    let identity = generate()?;
    let io_error = |source| IdentityError::Io { path: path.clone(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error)?;
    if create(dir, &path, &identity).map_err(io_error)? {
        tracing::info!(path = %path.display(), fingerprint = %identity.fingerprint(), "made a new identity");
        return Ok(identity);
    }
    // Somebody else was faster: theirs counts.
    load(&path)?.ok_or_else(|| io_error(io::ErrorKind::NotFound.into()))
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file exists but does not hold an identity.
    #[error(
        "{path} does not hold an identity ({detail}). It was left as it is: restore it from a backup, or move it away \
         to get a new identity, after which every device must pair again"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The file or its folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No new identity could be made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    uuid: String,
    certificate: String,
    private_key: String,
}

const VERSION: u32 = 1;

fn load(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return Err(IdentityError::Unreadable { path: path.into(), detail: "not text".into() });
        }
        Err(source) => return Err(IdentityError::Io { path: path.into(), source }),
    };
    let unreadable = |detail: String| IdentityError::Unreadable { path: path.into(), detail };
    let stored: Stored = serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
    if stored.version != VERSION {
        return Err(unreadable(format!("version {}, this program reads version {VERSION}", stored.version)));
    }
    let identity = Identity::from_pem(&stored.uuid, &stored.certificate, &stored.private_key)
        .map_err(|e| unreadable(e.to_string()))?;
    warn_if_others_can_read(path);
    Ok(Some(identity))
}

/// False if the file appeared meanwhile.
fn create(dir: &Path, path: &Path, identity: &Identity) -> io::Result<bool> {
    let stored = Stored {
        version: VERSION,
        uuid: identity.uuid().to_owned(),
        certificate: identity.cert_pem().to_owned(),
        private_key: identity.key_pem().to_owned(),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The fingerprint tells apart what two threads of one process make at once.
    let temporary = dir.join(format!(".{name}.{}.{}", std::process::id(), identity.fingerprint()));
    let outcome = write_and_link(&temporary, path, &stored);
    fs::remove_file(&temporary).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    if outcome? {
        File::open(dir)?.sync_all()?;
        return Ok(true);
    }
    Ok(false)
}

fn write_and_link(temporary: &Path, path: &Path, stored: &Stored) -> io::Result<bool> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    let mut text = serde_json::to_vec_pretty(stored)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

fn warn_if_others_can_read(path: &Path) {
    if let Ok(meta) = fs::metadata(path)
        && meta.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "the private key can be read by other users; run chmod 600 on it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_survives_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let first = load_or_create(&state, &["host".into()]).unwrap();
        let again = load_or_create(&state, &["other".into()]).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.uuid(), again.uuid());
        let mode = fs::metadata(state.join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<_> = fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [FILE_NAME], "no temporary file may stay behind");
    }

    #[test]
    fn a_broken_file_is_an_error_and_stays_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let whole = {
            load_or_create(dir.path(), &[]).unwrap();
            fs::read(&path).unwrap()
        };
        let version2 = String::from_utf8(whole.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
        for broken in [&b""[..], b"{", b"\xff\xfe", &whole[..whole.len() / 2], version2.as_bytes()] {
            fs::write(&path, broken).unwrap();
            assert!(matches!(load_or_create(dir.path(), &[]), Err(IdentityError::Unreadable { .. })));
            assert_eq!(fs::read(&path).unwrap(), broken);
        }
    }

    #[test]
    fn the_gamestream_identity_stands_beside_the_native_one_and_keeps_its_uuid() {
        let dir = tempfile::tempdir().unwrap();
        let native = load_or_create(dir.path(), &[]).unwrap();
        let written = fs::read(dir.path().join(FILE_NAME)).unwrap();
        let rsa = load_or_create_rsa(dir.path(), native.uuid()).unwrap();
        assert_eq!(rsa.uuid(), native.uuid());
        assert_eq!(fs::read(dir.path().join(FILE_NAME)).unwrap(), written, "the native identity is never rewritten");
        let again = load_or_create_rsa(dir.path(), "another").unwrap();
        assert_eq!((again.fingerprint(), again.uuid()), (rsa.fingerprint(), native.uuid()));
        let path = dir.path().join(RSA_FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{").unwrap();
        assert!(matches!(load_or_create_rsa(dir.path(), "x"), Err(IdentityError::Unreadable { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"{", "never silently made anew");
    }

    #[test]
    fn two_starts_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let seen: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| load_or_create(dir.path(), &[]).unwrap().fingerprint())).collect();
            starts.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(seen.windows(2).all(|w| w[0] == w[1]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_io_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(load_or_create(&file.join("state"), &[]), Err(IdentityError::Io { .. })));
    }
}
