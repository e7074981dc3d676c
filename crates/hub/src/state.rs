//! State files: small, versioned, atomic, owner-only.
//!
//! ```text
//! read:   absent ─► default      parses ─► value      else ─► moved to NAME.unparsable-N, default, problem reported
//!                                                     cannot be moved ─► default, and every save refused
//! write:  .NAME.tmp (0600) ─► fsync ─► rename over NAME ─► fsync of the folder
//! ```
//!
//! A folder that cannot be written does not stop the host: reading goes on, and each save tells its reason.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use punktfunk_media::{Reason, reason};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state file could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason} ({}: {detail})", path.display())]
pub struct StateError {
    /// `state.unwritable`, `state.full`, `state.unparsable` or `host.already_running`.
    pub reason: &'static Reason,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system or the parser said.
    pub detail: String,
}

impl StateError {
    /// Sorts what the system said into a reason.
    #[must_use]
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => &reason::STATE_FULL,
            _ => &reason::STATE_UNWRITABLE,
        };
        Self { reason, path: path.to_owned(), detail: error.to_string() }
    }
}

/// The content of a state file.
pub trait Document: Serialize + DeserializeOwned + Default + Clone {
    /// File name.
    const NAME: &'static str;
    /// Format version, written as `version`. It rises only when the previous release could not read the file.
    const VERSION: u64;
}

/// A state file and its content in memory.
#[derive(Debug)]
pub struct Stored<T> {
    folder: PathBuf,
    value: T,
    /// Set when a file that does not parse could not be kept aside: it must not be overwritten.
    blocked: Option<StateError>,
}

impl<T: Document> Stored<T> {
    /// Reads the file. The second value is what must be told to the operator.
    #[must_use]
    pub fn load(folder: &Path) -> (Self, Option<StateError>) {
        let path = folder.join(T::NAME);
        let stored = |value, blocked| Self { folder: folder.to_owned(), value, blocked };
        let text = match fs::read(&path) {
            Ok(text) => text,
            // Without a folder there is no file either; that the folder is missing shows in every save.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return (stored(T::default(), None), None);
            }
            Err(e) => {
                // There is something that may not be lost, and that this user cannot see.
                let detail = format!("it cannot be read: {e}");
                let error = StateError { detail, ..StateError::io(&path, &e) };
                return (stored(T::default(), Some(error.clone())), Some(error));
            }
        };
        match parse::<T>(&text) {
            Ok(value) => (stored(value, None), None),
            Err(why) => {
                let (detail, kept) = match keep_aside(&path) {
                    Ok(aside) => (format!("{why}; kept as {}", aside.display()), true),
                    Err(e) => (format!("{why}; it cannot be kept aside either: {e}"), false),
                };
                let error = StateError { reason: &reason::STATE_UNPARSABLE, path, detail };
                (stored(T::default(), (!kept).then(|| error.clone())), Some(error))
            }
        }
    }

    /// What is in memory.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Changes the content: first on disk, then in memory.
    ///
    /// # Errors
    /// [`StateError`]; memory then stays as it was.
    pub fn set(&mut self, value: T) -> Result<(), StateError> {
        self.save(&value)?;
        self.value = value;
        Ok(())
    }

    /// Changes the content in memory whatever the disk says: for changes that take something away.
    ///
    /// # Errors
    /// [`StateError`] when the change will be lost with this process.
    pub fn set_anyway(&mut self, value: T) -> Result<(), StateError> {
        let saved = self.save(&value);
        self.value = value;
        saved
    }

    fn save(&self, value: &T) -> Result<(), StateError> {
        if let Some(error) = &self.blocked {
            return Err(error.clone());
        }
        let path = self.folder.join(T::NAME);
        let mut json = serde_json::to_value(value).map_err(|e| StateError::io(&path, &io::Error::other(e)))?;
        if let Some(object) = json.as_object_mut() {
            object.insert("version".into(), T::VERSION.into());
        }
        let mut text = serde_json::to_vec_pretty(&json).map_err(|e| StateError::io(&path, &io::Error::other(e)))?;
        text.push(b'\n');
        write_atomically(&path, &text).map_err(|e| {
            let error = StateError::io(&path, &e);
            tracing::warn!(%error, fix = error.reason.fix, "a change could not be saved");
            error
        })
    }
}

fn parse<T: Document>(text: &[u8]) -> Result<T, String> {
    let json: serde_json::Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    match json.get("version").and_then(serde_json::Value::as_u64) {
        None => return Err("it has no version".into()),
        Some(version) if version > T::VERSION => {
            return Err(format!("it has version {version}, this host reads up to {}", T::VERSION));
        }
        Some(_) => {}
    }
    serde_json::from_value(json).map_err(|e| e.to_string())
}

/// Makes the state folder, for its owner only. An existing one is left as it is.
///
/// # Errors
/// What the system said.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whether something can be created in `folder`: tells an unwritable folder at start rather than at the first save.
///
/// # Errors
/// [`StateError`] with the reason.
pub fn probe_folder(folder: &Path) -> Result<(), StateError> {
    let path = folder.join(".probe.tmp");
    let probe = || {
        let mut file = create_private(&path)?;
        file.write_all(b"punktfunk\n")?;
        file.sync_data()
    };
    let result = probe().map_err(|e| StateError::io(folder, &e));
    let _ = fs::remove_file(&path);
    result
}

/// Writes a whole file so that after a crash at any moment there is the old one or the new one.
///
/// # Errors
/// What the system said; the old file is then in place.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let (folder, name) = split(path)?;
    let temporary = folder.join(format!(".{name}.tmp"));
    let write = || {
        let mut file = create_private(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Moves a file away without overwriting an earlier one; tells the new path.
///
/// # Errors
/// What the system said; the file is then still in place.
pub fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    let (folder, name) = split(path)?;
    for n in 1..=MAX_ASIDE {
        let aside = folder.join(format!("{name}.unparsable-{n}"));
        // `create_new` reserves the name; rename then replaces our own empty file.
        match OpenOptions::new().write(true).create_new(true).open(&aside) {
            Ok(_) => {
                fs::rename(path, &aside).inspect_err(|_| {
                    let _ = fs::remove_file(&aside);
                })?;
                sync_folder(folder)?;
                return Ok(aside);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other(format!("{MAX_ASIDE} files were kept aside before it")))
}

/// Creates or empties a file that only its owner may read.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a rename in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    match (path.parent(), path.file_name().and_then(|n| n.to_str())) {
        (Some(folder), Some(name)) => Ok((folder, name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file in a folder")),
    }
}

/// Enough for a person to notice; more would fill the disk when something breaks the file at every start.
const MAX_ASIDE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
    struct Note {
        text: String,
    }

    impl Document for Note {
        const NAME: &'static str = "note.json";
        const VERSION: u64 = 3;
    }

    fn note(text: &str) -> Note {
        Note { text: text.into() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("it is there")
            .map(|e| e.expect("readable").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_saved_is_read_again_and_only_the_owner_may() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut stored, problem) = Stored::<Note>::load(dir.path());
        assert!(problem.is_none() && *stored.get() == Note::default());
        stored.set(note("hello")).expect("writable");
        let (again, problem) = Stored::<Note>::load(dir.path());
        assert!(problem.is_none());
        assert_eq!(again.get(), &note("hello"));
        assert_eq!(names(dir.path()), ["note.json"], "no temporary file stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |p: &Path| fs::metadata(p).expect("it is there").permissions().mode() & 0o777;
            assert_eq!(mode(&dir.path().join("note.json")), 0o600);
            let made = dir.path().join("a/b");
            make_folder(&made).expect("writable");
            assert_eq!(mode(&made), 0o700);
        }
    }

    #[test]
    fn what_does_not_parse_is_kept_aside_every_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("note.json");
        let whole = b"{\"version\":3,\"text\":\"x\"}";
        let mut broken: Vec<Vec<u8>> = (0..whole.len()).map(|cut| whole[..cut].to_vec()).collect();
        broken.extend([b"{\"text\":\"no version\"}".to_vec(), b"{\"version\":4,\"text\":\"newer\"}".to_vec()]);
        for (n, content) in broken.iter().enumerate().take(MAX_ASIDE as usize) {
            fs::write(&file, content).expect("writable");
            let (mut stored, problem) = Stored::<Note>::load(dir.path());
            assert_eq!(problem.expect("told").reason, &reason::STATE_UNPARSABLE);
            assert_eq!(stored.get(), &Note::default());
            stored.set(note("new")).expect("the broken one is out of the way");
            let aside = dir.path().join(format!("note.json.unparsable-{}", n + 1));
            assert_eq!(&fs::read(aside).expect("kept"), content);
        }
    }

    #[test]
    fn what_cannot_be_kept_aside_is_never_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("note.json");
        for n in 1..=MAX_ASIDE {
            fs::write(dir.path().join(format!("note.json.unparsable-{n}")), "").expect("writable");
        }
        fs::write(&file, "precious").expect("writable");
        let (mut stored, _) = Stored::<Note>::load(dir.path());
        assert_eq!(stored.set(note("new")).expect_err("it would be lost").reason, &reason::STATE_UNPARSABLE);
        assert_eq!(fs::read(&file).expect("it is there"), b"precious");
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_memory_stays_as_on_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("state");
        make_folder(&folder).expect("writable");
        let (mut stored, _) = Stored::<Note>::load(&folder);
        stored.set(note("old")).expect("writable");
        fs::remove_dir_all(&folder).expect("ours");
        assert_eq!(stored.set(note("new")).expect_err("no folder").reason, &reason::STATE_UNWRITABLE);
        assert_eq!(stored.get(), &note("old"));
        assert!(stored.set_anyway(note("newer")).is_err());
        assert_eq!(stored.get(), &note("newer"));
        assert_eq!(probe_folder(&folder).expect_err("no folder").reason, &reason::STATE_UNWRITABLE);
    }

    #[test]
    fn full_disks_have_a_reason_of_their_own() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert_eq!(StateError::io(Path::new("x"), &kind.into()).reason, &reason::STATE_FULL);
        }
    }
}
