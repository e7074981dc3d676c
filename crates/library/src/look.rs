//! How scanners read: bounded, remembering what they saw, and telling what they could not read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use punktfunk_media::{Reason, reason};

/// Something of a store that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `library.store_…`.
    pub reason: &'static Reason,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system or the parser said.
    pub detail: String,
}

/// How a file or folder looked: a change is seen without reading it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    /// How it looks now; `None`: it is not there.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let m = fs::metadata(path).ok()?;
        Some(Self { modified: (m.mtime(), m.mtime_nsec()), size: m.len(), inode: m.ino() })
    }
}

/// What one scan reads with.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub stamps: Vec<(PathBuf, Option<Stamp>)>,
    pub problems: Vec<Problem>,
}

impl Look {
    /// A whole file. `None`: it is not there, or cannot be read, which is told.
    pub fn bytes(&mut self, path: &Path, at_most: u64) -> Option<Vec<u8>> {
        self.stamp(path);
        match read(path, at_most) {
            Ok(bytes) => Some(bytes),
            Err(e) if is_missing(&e) => None,
            Err(e) => {
                self.unreadable(path, &e);
                None
            }
        }
    }

    /// A whole file as text; what is no UTF-8 is replaced.
    pub fn text(&mut self, path: &Path, at_most: u64) -> Option<String> {
        let bytes = self.bytes(path, at_most)?;
        Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// A whole file as JSON.
    pub fn json(&mut self, path: &Path) -> Option<serde_json::Value> {
        let bytes = self.bytes(path, MAX_FILE)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(e) => {
                self.broken(path, e);
                None
            }
        }
    }

    /// The names in a folder, sorted; none if it is not there.
    pub fn names(&mut self, path: &Path) -> Vec<String> {
        self.stamp(path);
        match list(path) {
            Ok(names) if names.len() > MAX_NAMES => {
                self.too_much(path, format!("more than {MAX_NAMES} files"));
                names.into_iter().take(MAX_NAMES).collect()
            }
            Ok(names) => names,
            Err(e) => {
                if !is_missing(&e) {
                    self.unreadable(path, &e);
                }
                Vec::new()
            }
        }
    }

    /// Remembers how it looks now, so that a change is noticed.
    pub fn stamp(&mut self, path: &Path) {
        self.stamps.push((path.to_owned(), Stamp::of(path)));
    }

    /// It is not what it should be.
    pub fn broken(&mut self, path: &Path, detail: impl ToString) {
        self.tell(&reason::LIBRARY_STORE_BROKEN, path, detail.to_string());
    }

    /// It holds more than any store does.
    pub fn too_much(&mut self, path: &Path, detail: impl ToString) {
        self.tell(&reason::LIBRARY_STORE_TOO_LARGE, path, detail.to_string());
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::FileTooLarge => self.too_much(path, error),
            _ => self.tell(&reason::LIBRARY_STORE_UNREADABLE, path, error.to_string()),
        }
    }

    fn tell(&mut self, reason: &'static Reason, path: &Path, detail: String) {
        if self.problems.len() < MAX_PROBLEMS {
            let detail = detail.chars().filter(|c| !c.is_control()).take(300).collect();
            self.problems.push(Problem { reason, path: path.to_owned(), detail });
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Never waits: a FIFO or a device where a file should be is refused before it is opened.
fn read(path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
    let before = fs::metadata(path)?;
    if !before.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {at_most} bytes"));
    if before.len() > at_most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0));
    // It may grow meanwhile.
    File::open(path)?.take(at_most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > at_most { Err(too_large()) } else { Ok(bytes) }
}

fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)?.take(MAX_NAMES + 1) {
        // A name that is no UTF-8 cannot be one of a store's.
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// The largest of these files, Heroic's list of an Epic account with all it gave away, is some ten MB.
pub(crate) const MAX_FILE: u64 = 64 << 20;
/// In a folder; the largest Steam libraries have some thousand.
const MAX_NAMES: usize = 50_000;
const MAX_PROBLEMS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_sane_size_are_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, [0xff, b'x', b'\n']).expect("written");
        let mut look = Look::default();
        assert_eq!(look.text(&path, 3).as_deref(), Some("\u{fffd}x\n"));
        assert_eq!(look.bytes(&path, 2), None);
        assert_eq!(look.bytes(dir.path(), 99), None);
        assert_eq!(look.bytes(&dir.path().join("none"), 99), None);
        assert!(look.names(&dir.path().join("none")).is_empty());
        assert_eq!(look.json(&path), None);
        let codes: Vec<_> = look.problems.iter().map(|p| p.reason.code).collect();
        assert_eq!(codes, ["library.store_too_large", "library.store_unreadable", "library.store_broken"]);
        let stamp = Stamp::of(&path);
        std::fs::write(&path, "longer than before").expect("written");
        assert_ne!(Stamp::of(&path), stamp);
    }
}
