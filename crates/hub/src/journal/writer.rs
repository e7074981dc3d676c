//! Appends lines to the journal so that a failed write never hides a later one, and a full disk does not stop the host.
//!
//! ```text
//! lines in force ‖ empty lines: room that the disk has already given us      used ─┘        └─ the file's end
//! ```

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
    /// The line survives this process: for what may be repeated, or means nothing after a power failure.
    No,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: Result<File, (io::ErrorKind, String)>,
    /// Bytes of whole lines in the file.
    used: u64,
    /// A failed write may have left part of a line between `used` and here.
    dirty_until: u64,
    /// Up to here the file had its length from the beginning.
    room: u64,
}

impl Writer {
    /// Writes a whole new file with these entries, and opens it.
    pub fn create(path: &Path, entries: &BTreeMap<u64, Entry>) -> io::Result<Self> {
        let mut bytes = Log::compact(entries);
        let used = bytes.len();
        bytes.resize(used + ROOM, b'\n');
        // Without room ahead it works as well, as long as the disk has some.
        let room = match write_atomically(path, &bytes) {
            Ok(()) => bytes.len(),
            Err(_) => {
                write_atomically(path, &bytes[..used])?;
                used
            }
        };
        let file = OpenOptions::new().write(true).open(path)?;
        let used = used as u64;
        Ok(Self { path: path.to_owned(), file: Ok(file), used, dirty_until: used, room: room as u64 })
    }

    /// A writer whose every write fails with this reason.
    pub fn broken(path: &Path, why: &StateError) -> Self {
        let full = why.reason == &punktfunk_media::reason::STATE_FULL;
        let kind = if full { io::ErrorKind::StorageFull } else { io::ErrorKind::PermissionDenied };
        Self { path: path.to_owned(), file: Err((kind, why.detail.clone())), used: 0, dirty_until: 0, room: 0 }
    }

    /// Adds a line.
    pub fn append(&mut self, line: &[u8], durable: Durable) -> io::Result<()> {
        let file = self.file.as_mut().map_err(|(kind, text)| io::Error::new(*kind, text.clone()))?;
        if self.dirty_until > self.used {
            blank(file, self.used, self.dirty_until, self.room)?;
            self.dirty_until = self.used;
        }
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(self.used))?;
            file.write_all(line)?;
            if durable == Durable::Yes { file.sync_data() } else { Ok(()) }
        };
        let end = self.used + line.len() as u64;
        if let Err(e) = write(file) {
            let blanked = blank(file, self.used, end, self.room);
            self.dirty_until = if blanked.is_ok() { self.used } else { end };
            return Err(e);
        }
        self.used = end;
        self.dirty_until = end;
        Ok(())
    }

    /// How many bytes of the file are lines.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Rewrites the file when most of it is history. Failing to is no harm: it only grows.
    pub fn compact_if_long(&mut self, entries: &BTreeMap<u64, Entry>) {
        if self.used < COMPACT_BYTES || self.file.is_err() {
            return;
        }
        match Self::create(&self.path, entries) {
            Ok(compact) => *self = compact,
            Err(e) => tracing::debug!(%e, "the journal was not compacted"),
        }
    }
}

/// Makes empty lines of what lies between `from` and `until`.
fn blank(file: &mut File, from: u64, until: u64, room: u64) -> io::Result<()> {
    let within = until.min(room).saturating_sub(from);
    file.seek(SeekFrom::Start(from))?;
    file.write_all(&vec![b'\n'; usize::try_from(within).unwrap_or(0)])?;
    file.set_len(from.max(room))
}

/// Some fifty records, a dozen sessions: rewriting costs a few milliseconds, and never before a session's first frame.
const COMPACT_BYTES: u64 = 16 * 1024;
/// As much again: when the disk is full, and the file cannot be rewritten, that many lines still find their place.
const ROOM: usize = 2 * COMPACT_BYTES as usize;
