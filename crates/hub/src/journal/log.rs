//! The journal's bytes: a line per change, each with its checksum, read by whoever comes after a crash.
//!
//! ```text
//! 5a1b… {"op":"open","version":1}        always the first line; the file is born whole (temp, fsync, rename)
//! 0c44… {"op":"put","id":3,"tries":0,"record":{…}}
//! 91fe… {"op":"del","id":3}
//! ```
//!
//! A line is `CRC-32 of the JSON, 8 hex digits ‖ space ‖ JSON ‖ LF`; empty lines mean nothing. A torn last line was never
//! acknowledged, so it is left out. Any other bad line is damage: the file is kept aside, and what can be read is still
//! undone.

use std::collections::BTreeMap;

use punktfunk_media::UndoRecord;
use serde::{Deserialize, Serialize};

/// One record in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub record: UndoRecord,
    /// How often undoing it has failed.
    pub tries: u32,
}

/// What a journal file says.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Records in force, in the order in which they were made.
    pub entries: BTreeMap<u64, Entry>,
    /// Larger than every id in the file.
    pub next_id: u64,
    /// Something other than a torn last line is wrong with it.
    pub damaged: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Line {
    Open {
        version: u64,
    },
    Put {
        id: u64,
        #[serde(default)]
        tries: u32,
        record: UndoRecord,
    },
    Del {
        id: u64,
    },
}

impl Log {
    /// Reads a whole file. Any bytes are acceptable.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut log = Self::default();
        let mut lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            match (index, parse_line(line)) {
                (0, Some(Line::Open { version })) if version <= VERSION => {}
                // A torn line; the first one cannot be: it is written before the file has its name.
                (1.., None) if lines.peek().is_none() => {}
                (0, _) | (_, None | Some(Line::Open { .. })) => log.damaged = true,
                (_, Some(Line::Put { id, tries, record })) => {
                    log.next_id = log.next_id.max(id.saturating_add(1));
                    log.entries.insert(id, Entry { record, tries });
                }
                (_, Some(Line::Del { id })) => {
                    log.entries.remove(&id);
                }
            }
        }
        log
    }

    /// A whole file that says the same with as few lines as possible.
    pub fn compact(entries: &BTreeMap<u64, Entry>) -> Vec<u8> {
        let mut bytes = line(&Line::Open { version: VERSION });
        for (id, entry) in entries {
            bytes.extend(put(*id, entry));
        }
        bytes
    }
}

/// The line that records (or replaces) an entry.
pub(super) fn put(id: u64, entry: &Entry) -> Vec<u8> {
    line(&Line::Put { id, tries: entry.tries, record: entry.record.clone() })
}

/// The line that removes an entry.
pub(super) fn del(id: u64) -> Vec<u8> {
    line(&Line::Del { id })
}

fn line(line: &Line) -> Vec<u8> {
    // Plain data with text keys always serialises; JSON escapes line feeds, so that a line is one line.
    let json = serde_json::to_string(line).unwrap_or_default();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes()
}

fn parse_line(line: &[u8]) -> Option<Line> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if line[8] != b' ' || crc32fast::hash(json) != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Rises when an older release could not read the file.
const VERSION: u64 = 1;
