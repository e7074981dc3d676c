//! Appends lines to the journal so that a failed write never hides a later one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::log::{Entry, Log};
use crate::state::{StateError, write_atomically};

/// Whether a line must be on the disk before the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// The line survives a power failure: for what is written before a change.
    Yes,
    /// The line survives this process: for what may be repeated.
    No,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: Result<File, (io::ErrorKind, String)>,
    /// Bytes of whole lines in the file.
    len: u64,
    /// A failed write may have left part of a line after them.
    dirty: bool,
}

impl Writer {
    /// Writes a whole new file with these entries, and opens it.
    pub fn create(path: &Path, entries: &BTreeMap<u64, Entry>) -> io::Result<Self> {
        let (file, len) = rewrite(path, entries)?;
        Ok(Self { path: path.to_owned(), file: Ok(file), len, dirty: false })
    }

    /// A writer whose every write fails with this reason.
    pub fn broken(path: &Path, why: &StateError) -> Self {
        let full = why.reason == &punktfunk_media::reason::STATE_FULL;
        let kind = if full { io::ErrorKind::StorageFull } else { io::ErrorKind::PermissionDenied };
        Self { path: path.to_owned(), file: Err((kind, why.detail.clone())), len: 0, dirty: false }
    }

    /// Adds a line.
    pub fn append(&mut self, line: &[u8], durable: Durable) -> io::Result<()> {
        let file = self.file.as_mut().map_err(|(kind, text)| io::Error::new(*kind, text.clone()))?;
        if self.dirty {
            cut(file, self.len)?;
            self.dirty = false;
        }
        let write = |file: &mut File| {
            file.write_all(line)?;
            if durable == Durable::Yes { file.sync_data() } else { Ok(()) }
        };
        if let Err(e) = write(file) {
            self.dirty = cut(file, self.len).is_err();
            return Err(e);
        }
        self.len += line.len() as u64;
        Ok(())
    }

    /// Rewrites the file when most of it is history. Failing to is no harm: it only grows.
    pub fn compact_if_long(&mut self, entries: &BTreeMap<u64, Entry>) {
        if self.len < COMPACT_BYTES || self.file.is_err() {
            return;
        }
        match rewrite(&self.path, entries) {
            Ok((file, len)) => *self = Self { path: self.path.clone(), file: Ok(file), len, dirty: false },
            Err(e) => tracing::debug!(%e, "the journal was not compacted"),
        }
    }
}

fn rewrite(path: &Path, entries: &BTreeMap<u64, Entry>) -> io::Result<(File, u64)> {
    let bytes = Log::compact(entries);
    write_atomically(path, &bytes)?;
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::End(0))?;
    Ok((file, bytes.len() as u64))
}

fn cut(file: &mut File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    file.seek(SeekFrom::Start(len)).map(drop)
}

/// Some hundred records: rewriting costs less than a millisecond per session, and reading at start nothing.
const COMPACT_BYTES: u64 = 64 * 1024;
