//! What scanners found last, and which of them run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_library::{Problem, Scan, Scanner, Title};
use punktfunk_media::{AppSpec, reason};

use super::LibraryConfig;
use crate::catalogue::{App, Source};

/// A scanner, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannerState {
    /// Which.
    pub scanner: Scanner,
    /// Whether it is used.
    pub on: bool,
    /// Whether the configuration says so.
    pub pinned: bool,
    /// How many games it found.
    pub found: usize,
    /// How long it took; `None`: not yet.
    pub took: Option<Duration>,
    /// What it could not read.
    pub problems: Vec<Problem>,
}

#[derive(Default)]
pub(super) struct Scans {
    last: BTreeMap<Scanner, Arc<Scan>>,
    running: BTreeMap<Scanner, Instant>,
    /// Found, but not to be relied on any more.
    forgotten: Vec<Scanner>,
}

impl Scans {
    /// Marks a scanner as running, unless it does already.
    pub fn begin(&mut self, scanner: Scanner) -> bool {
        if self.running.contains_key(&scanner) {
            return false;
        }
        self.forgotten.retain(|s| *s != scanner);
        self.running.insert(scanner, Instant::now());
        true
    }

    pub fn end(&mut self, scanner: Scanner, scan: Scan) {
        self.running.remove(&scanner);
        self.last.insert(scanner, Arc::new(scan));
    }

    pub fn give_up(&mut self, scanner: Scanner) {
        self.running.remove(&scanner);
    }

    /// How many run that may still answer soon.
    pub fn running(&self) -> usize {
        self.running.values().filter(|since| since.elapsed() < PATIENCE).count()
    }

    /// The next round scans everything, whether it changed or not.
    pub fn forget(&mut self) {
        self.forgotten = self.last.keys().copied().collect();
    }

    pub fn has(&self, scanner: Scanner) -> bool {
        self.last.contains_key(&scanner) && !self.forgotten.contains(&scanner)
    }

    pub fn looks(&self) -> Vec<(Scanner, Arc<Scan>)> {
        let idle = self.last.iter().filter(|(s, _)| !self.running.contains_key(s));
        idle.map(|(s, scan)| (*s, Arc::clone(scan))).collect()
    }

    pub fn titles(&self, scanner: Scanner) -> &[Title] {
        self.last.get(&scanner).map_or(&[], |scan| scan.titles.as_slice())
    }

    pub fn state(&self, scanner: Scanner, on: bool, pinned: bool) -> ScannerState {
        let last = self.last.get(&scanner).filter(|_| on);
        let mut problems = last.map(|scan| scan.problems.clone()).unwrap_or_default();
        if let Some(since) = self.running.get(&scanner).filter(|since| on && since.elapsed() >= PATIENCE) {
            let detail = format!("for {} s already", since.elapsed().as_secs());
            problems.insert(0, Problem { reason: &reason::LIBRARY_STORE_SLOW, path: "/".into(), detail });
        }
        let found = last.map_or(0, |scan| scan.titles.len());
        ScannerState { scanner, on, pinned, found, took: last.map(|scan| scan.took), problems }
    }
}

/// A title as an entry of the library.
pub(super) fn app(title: &Title, scanner: Scanner, config: &LibraryConfig) -> App {
    App {
        key: title.id.clone(),
        title: title.title.clone(),
        source: Source::Store(scanner),
        cover: title.cover.clone(),
        spec: Some(AppSpec {
            name: title.title.clone(),
            command: title.command.clone(),
            working_dir: title.working_dir.clone(),
            env: Vec::new(),
            mark: title.mark.clone(),
        }),
        prepare: Vec::new(),
        library_prepare: true,
        ends_session: config.ends_session,
    }
}

/// Longer than any scan of a disk that answers.
const PATIENCE: Duration = Duration::from_secs(10);
