//! Undoing what a dead host left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use punktfunk_media::UndoRecord;

use super::lockfile::{LockFile, Role};
use super::log::{Entry, Log};
use crate::events::unix_ms;
use crate::state::write_atomically;

/// Undoes one record of a backend. Safe to call twice, also when nothing is left to undo; at most about 1.5 s.
pub type UndoFn = Box<dyn Fn(&UndoRecord) -> Result<(), String> + Send + Sync>;

/// Which function undoes the records of which backend.
#[derive(Default)]
pub struct UndoMap(BTreeMap<String, UndoFn>);

impl std::fmt::Debug for UndoMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl UndoMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend, named as in [`UndoRecord::backend`].
    #[must_use]
    pub fn with(
        mut self,
        backend: &str,
        undo: impl Fn(&UndoRecord) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(backend.to_owned(), Box::new(undo));
        self
    }

    fn undo(&self, record: &UndoRecord) -> Result<(), String> {
        let undo = self.0.get(&record.backend).ok_or("this host has no such backend")?;
        // A bug in one backend must not keep the others' changes in place.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| undo(record)))
            .unwrap_or_else(|_| Err("the undo function panicked".into()))
    }
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records undone and removed.
    pub undone: usize,
    /// Attempts that failed; each is repeated, more slowly each time.
    pub failed: usize,
    /// Records that failed too often and were dropped.
    pub dropped: usize,
    /// Records still in force: leases that have not run out, and attempts to be repeated.
    pub leases: usize,
}

/// Why the watchdog's work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogEnd {
    /// Nothing is left.
    Done,
    /// A new host has the journal.
    TakenOver,
    /// What is left is kept for ever.
    LeftForever,
}

/// The watchdog's work, from the moment its pipe closed: waits for the lock, gives every record that had an owner a lease
/// of its `keep_for` counted from `died_at`, undoes at once what has none, and the others as they run out. Returns when
/// nothing is left to do, or a new host took over; that may be as late as the longest lease.
///
/// # Errors
/// What the system said when the journal or its lock could not be read.
pub fn replay_after_death(path: &Path, died_at: SystemTime, undo: &UndoMap) -> io::Result<WatchdogEnd> {
    // From here on time is monotonic: a wall clock that is set does not stretch a lease.
    let (clock, wall) = (Instant::now(), unix_ms(SystemTime::now()));
    let now_ms = || wall.saturating_add(u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX));
    let died_ms = unix_ms(died_at).min(wall);
    // What was undone although the file could not be rewritten (a full disk): not to be undone again and again.
    let mut done: BTreeSet<(u64, String)> = BTreeSet::new();
    let mut first = true;
    loop {
        let Some(lock) = LockFile::acquire(path, Role::Watchdog, WATCHDOG_PATIENCE)? else {
            return Ok(WatchdogEnd::TakenOver);
        };
        let (mut log, problem) = super::read(path)?;
        if let Some(problem) = problem {
            tracing::error!(%problem, "the undo journal was damaged");
        }
        let mut began = 0;
        for entry in log.entries.values_mut() {
            began += usize::from(begin_lease(&mut entry.record, died_ms, first));
        }
        log.entries.retain(|id, e| !done.contains(&(*id, e.record.change.clone())));
        let due: Vec<(u64, Entry)> =
            log.entries.iter().filter(|(_, e)| is_due(&e.record, now_ms())).map(|(i, e)| (*i, e.clone())).collect();
        if began > 0 && !log.entries.is_empty() {
            // If this process ends now, the next start knows how long each lease runs.
            rewrite(path, &log);
        }
        let mut replayed = Replayed::default();
        let worked = !due.is_empty();
        for (id, entry, result) in undo_all(due, undo) {
            match settle(id, entry, result, now_ms(), &mut replayed) {
                Some(entry) => {
                    log.entries.insert(id, entry);
                }
                None => {
                    if let Some(gone) = log.entries.remove(&id) {
                        done.insert((id, gone.record.change));
                    }
                }
            }
        }
        if worked {
            rewrite(path, &log);
        }
        drop(lock);
        first = false;
        let Some(next) = log.entries.values().filter_map(|e| e.record.lease_until_ms).min() else {
            return Ok(WatchdogEnd::Done);
        };
        if next == u64::MAX {
            return Ok(WatchdogEnd::LeftForever);
        }
        std::thread::sleep(Duration::from_millis(next.saturating_sub(now_ms())).clamp(MIN_SLEEP, MAX_SLEEP));
    }
}

fn rewrite(path: &Path, log: &Log) {
    if let Err(e) = write_atomically(path, &Log::compact(&log.entries)) {
        tracing::warn!(%e, "the undo journal could not be rewritten");
    }
}

/// Gives a record without an owner its lease, counted from its owner's death; tells whether that changed it. `clamp`:
/// also shorten a lease that would last longer than policy says, as after a clock was set back.
pub(super) fn begin_lease(record: &mut UndoRecord, died_ms: u64, clamp: bool) -> bool {
    let keep_ms = u64::try_from(record.keep_for.as_millis()).unwrap_or(u64::MAX);
    let latest = died_ms.saturating_add(keep_ms);
    let until = match record.lease_until_ms {
        None => latest,
        Some(until) if clamp => until.min(latest),
        Some(until) => until,
    };
    let changed = record.lease_until_ms != Some(until);
    record.lease_until_ms = Some(until);
    changed
}

/// Whether a lease has run out. One without an end never does.
pub(super) fn is_due(record: &UndoRecord, now_ms: u64) -> bool {
    record.lease_until_ms.is_some_and(|until| until != u64::MAX && now_ms >= until)
}

/// Undoes these all at once: each may take a second and a half, and two seconds after the host's death all must be gone.
/// Records do not depend on each other (what does belongs into one record).
pub(super) fn undo_all(due: Vec<(u64, Entry)>, undo: &UndoMap) -> Vec<(u64, Entry, Result<(), String>)> {
    std::thread::scope(|scope| {
        let undoing: Vec<_> = due
            .into_iter()
            .map(|(id, entry)| {
                let record = entry.record.clone();
                let thread = std::thread::Builder::new().name("undo".into()).spawn_scoped(scope, {
                    let record = record.clone();
                    move || undo.undo(&record)
                });
                (id, entry, record, thread)
            })
            .collect();
        let finish = |(id, entry, record, thread): (u64, Entry, UndoRecord, io::Result<_>)| {
            let result = match thread {
                Ok(thread) => std::thread::ScopedJoinHandle::join(thread).unwrap_or_else(|_| Err("it panicked".into())),
                // No thread to be had: one after the other.
                Err(_) => undo.undo(&record),
            };
            (id, entry, result)
        };
        undoing.into_iter().map(finish).collect()
    })
}

/// What becomes of a record after an attempt: `None`, it is gone; `Some`, it is to be tried again later.
pub(super) fn settle(
    id: u64,
    mut entry: Entry,
    result: Result<(), String>,
    now_ms: u64,
    replayed: &mut Replayed,
) -> Option<Entry> {
    let (backend, change) = (&entry.record.backend, &entry.record.change);
    match result {
        Ok(()) => {
            tracing::info!(id, %backend, %change, "undone");
            replayed.undone += 1;
            None
        }
        Err(why) if entry.tries + 1 >= MAX_TRIES => {
            tracing::error!(id, %backend, %change, %why, "could not be undone; giving up");
            replayed.dropped += 1;
            None
        }
        Err(why) => {
            tracing::warn!(id, %backend, %change, %why, "could not be undone yet");
            replayed.failed += 1;
            entry.record.lease_until_ms = Some(now_ms.saturating_add(FIRST_RETRY_MS << entry.tries));
            entry.tries += 1;
            Some(entry)
        }
    }
}

/// Longer than anybody's work under the lock but a host's.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(5);
/// Attempts at 0, 0.3, 0.9, 2.1, 4.5, 9.3, 18.9 and 38.1 s: what does not go away in half a minute needs a person.
const MAX_TRIES: u32 = 8;
const FIRST_RETRY_MS: u64 = 300;
/// Never spin.
const MIN_SLEEP: Duration = Duration::from_millis(5);
/// A new host shows in the lock, and leases may have changed: look again now and then.
const MAX_SLEEP: Duration = Duration::from_secs(30);
