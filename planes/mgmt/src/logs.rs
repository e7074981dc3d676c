//! The log's newest lines, for those who cannot read the journal.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use punktfunk_hub::is_hostile;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::lock;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For developers.
    Trace,
    /// For developers.
    Debug,
    /// Worth reading with nothing wrong.
    Info,
    /// The world misbehaved.
    Warn,
    /// A bug of the host.
    Error,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Rises by one per line since the host's start.
    pub seq: u64,
    /// Unix time in ms.
    pub at_ms: u64,
    /// How grave it is.
    pub level: LogLevel,
    /// The part of the program.
    #[schema(example = "punktfunk_native::session")]
    pub target: String,
    /// The sentence, with its fields as `name=value`.
    pub message: String,
}

/// Keeps the newest lines within bounds.
#[derive(Debug, Default)]
pub struct LogBuffer {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<LogLine>,
    bytes: usize,
    seq: u64,
}

/// Some lines, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Ask for what comes after this.
    pub cursor: u64,
    /// Lines after the asked cursor that are gone for good.
    pub missed: u64,
}

impl LogBuffer {
    /// Adds a line; the oldest go where there is no room. Lines are cut to 4 KiB.
    pub fn push(&self, level: LogLevel, target: &str, mut message: String) {
        if message.len() > MAX_LINE_BYTES {
            let end = (0..=MAX_LINE_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        // Peers have a say in what is logged; nothing in it may turn a reader's line around.
        if message.contains(is_hostile) {
            message = message.chars().map(|c| if is_hostile(c) { '\u{fffd}' } else { c }).collect();
        }
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let mut inner = lock(&self.inner);
        inner.seq += 1;
        inner.bytes += message.len();
        let seq = inner.seq;
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        inner.lines.push_back(LogLine { seq, at_ms, level, target: target.to_owned(), message });
        while inner.lines.len() > MAX_LINES || inner.bytes > MAX_BYTES {
            let gone = inner.lines.pop_front().map_or(0, |l| l.message.len());
            inner.bytes -= gone;
        }
    }

    /// Lines after `cursor` of at least this level, oldest first; with more than `limit` of them, the newest when `cursor`
    /// is 0 and the oldest otherwise.
    #[must_use]
    pub fn page(&self, cursor: u64, level: LogLevel, limit: usize) -> LogPage {
        let inner = lock(&self.inner);
        let oldest = inner.lines.front().map_or(inner.seq + 1, |l| l.seq);
        let missed = oldest.saturating_sub(cursor + 1);
        let fits = inner.lines.iter().filter(|l| l.seq > cursor && l.level >= level);
        let lines: Vec<_> = if cursor == 0 {
            let mut newest: Vec<_> = fits.rev().take(limit).cloned().collect();
            newest.reverse();
            newest
        } else {
            fits.take(limit).cloned().collect()
        };
        // A full page may have more behind it.
        let end =
            if cursor != 0 && lines.len() == limit { lines.last().map_or(inner.seq, |l| l.seq) } else { inner.seq };
        LogPage { lines, cursor: end, missed: if cursor == 0 { 0 } else { missed } }
    }
}

const MAX_LINES: usize = 2000;
/// Half of what an idle host may grow by.
const MAX_BYTES: usize = 512 * 1024;
const MAX_LINE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_with_a_cursor_gets_every_line_once() {
        let logs = LogBuffer::default();
        for n in 0..10 {
            logs.push(if n % 2 == 0 { LogLevel::Info } else { LogLevel::Debug }, "t", n.to_string());
        }
        let page = logs.page(0, LogLevel::Info, 3);
        assert_eq!(page.lines.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(), ["4", "6", "8"]);
        assert_eq!((page.cursor, page.missed), (10, 0));
        assert!(logs.page(10, LogLevel::Trace, 9).lines.is_empty());
        let page = logs.page(2, LogLevel::Trace, 3);
        assert_eq!((page.lines.len(), page.cursor), (3, 5));
        (0..MAX_LINES).for_each(|_| logs.push(LogLevel::Warn, "t", "x".into()));
        let page = logs.page(5, LogLevel::Trace, 1);
        assert_eq!((page.missed, page.lines[0].seq), (5, 11));
    }

    #[test]
    fn a_line_is_one_line_and_reads_as_it_looks() {
        let logs = LogBuffer::default();
        logs.push(LogLevel::Info, "t", "name=\u{202e}evil\n\u{1b}[2J <b>ä".into());
        let page = logs.page(0, LogLevel::Trace, 9);
        assert_eq!(page.lines[0].message, "name=\u{fffd}evil\u{fffd}\u{fffd}[2J <b>ä");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let logs = LogBuffer::default();
        (0..500).for_each(|_| logs.push(LogLevel::Info, "t", "ä".repeat(5000)));
        let inner = lock(&logs.inner);
        assert!(inner.bytes <= MAX_BYTES && inner.lines.len() > 100);
        assert!(inner.lines.iter().all(|l| l.message.len() <= MAX_LINE_BYTES + 3));
    }
}
