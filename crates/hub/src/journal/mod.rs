//! The undo journal's file (DESIGN decision 10): what must be undone when nobody is left who would.
//!
//! ```text
//! owner     record ─► make the change ─► … ─► undo it ─► drop(guard) removes the record
//! host      open (locks) ─► replay(undo map) ─► Displays::start adopts leases ─► … ─► exit (the lock goes with it)
//! watchdog  pipe closes ─► replay_after_death(path, …): undoes at once what policy does not keep, the rest when its
//!           lease runs out; ends when nothing is left or a new host has the lock
//! ```
//!
//! **Who holds the lock file may write the journal and undo what is in it.** The host holds it for its life, so a record
//! found by whoever gets the lock has no living owner. The watchdog holds it only while it works, so that a new host can
//! take over between; both look again at the file each time. Every undo function must be safe to call twice: a crash
//! between undoing and removing the record repeats it.

mod lockfile;
mod log;
mod replay;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use punktfunk_media::{Journal, JournalError, UndoGuard, UndoRecord, reason};

use self::lockfile::{LockFile, Role};
use self::log::{Entry, Log};
pub use self::replay::{Replayed, UndoFn, UndoMap, WatchdogEnd, replay_after_death};
use self::writer::{Durable, Writer};
use crate::events::unix_ms;
use crate::lock;
use crate::state::{StateError, keep_aside};

/// The journal of a running host.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    inner: Mutex<Inner>,
    /// How to undo what an earlier host left.
    undo: OnceLock<Arc<UndoMap>>,
}

#[derive(Debug)]
struct Inner {
    file: Writer,
    entries: BTreeMap<u64, Entry>,
    next_id: u64,
    /// Records of an earlier host: nobody here owns them. The others have a guard.
    inherited: BTreeSet<u64>,
    /// Inherited records whose undoing is under way.
    undoing: BTreeSet<u64>,
    /// Held as long as this host lives.
    _lock: Option<LockFile>,
}

impl FileJournal {
    /// Opens and locks the journal at `path`, whose folder must exist. Waits up to 3 s for a watchdog that is at work.
    /// The second value tells of a file that was damaged and kept aside; what could be read of it is still undone.
    ///
    /// # Errors
    /// `host.already_running` when another host has it, `state.unwritable` or `state.full` when it cannot be written.
    pub fn open(path: &Path) -> Result<(Arc<Self>, Option<StateError>), StateError> {
        let io_error = |e: io::Error| StateError::io(path, &e);
        let held = LockFile::acquire(path, Role::Host, HOST_PATIENCE).map_err(io_error)?;
        let Some(held) = held else {
            let detail = "another process holds its lock".to_owned();
            return Err(StateError { reason: &reason::HOST_ALREADY_RUNNING, path: path.to_owned(), detail });
        };
        let (log, problem) = read(path).map_err(io_error)?;
        let file = Writer::create(path, &log.entries).map_err(io_error)?;
        let inherited = log.entries.keys().copied().collect();
        let (entries, next_id) = (log.entries, log.next_id);
        let undoing = BTreeSet::new();
        let inner = Inner { file, entries, next_id, inherited, undoing, _lock: Some(held) };
        Ok((Arc::new(Self { path: path.to_owned(), inner: Mutex::new(inner), undo: OnceLock::new() }), problem))
    }

    /// A journal that cannot be written: every [`Journal::record`] tells why. With it the host still serves whatever
    /// changes nothing outside.
    #[must_use]
    pub fn unwritable(path: &Path, why: &StateError) -> Arc<Self> {
        let inner = Inner {
            file: Writer::broken(path, why),
            entries: BTreeMap::new(),
            next_id: 0,
            inherited: BTreeSet::new(),
            undoing: BTreeSet::new(),
            _lock: None,
        };
        Arc::new(Self { path: path.to_owned(), inner: Mutex::new(inner), undo: OnceLock::new() })
    }

    /// Takes over what is left in another journal, where an earlier host had to write because its first choice was not to
    /// be written. What cannot be locked or read stays there.
    pub(crate) fn import(&self, other: &Path) {
        let import = || -> io::Result<()> {
            let Some(_lock) = LockFile::acquire(other, Role::Watchdog, HOST_PATIENCE)? else { return Ok(()) };
            let (log, _) = read(other)?;
            for entry in log.entries.into_values() {
                let mut inner = lock(&self.inner);
                let id = inner.next_id;
                inner.file.append(&log::put(id, &entry), Durable::Yes)?;
                inner.next_id += 1;
                inner.entries.insert(id, entry);
                inner.inherited.insert(id);
            }
            std::fs::remove_file(other)
        };
        if other.exists()
            && let Err(e) = import()
        {
            tracing::warn!(journal = %other.display(), %e, "an older journal stays where it is");
        }
    }

    /// Where it lies: what the watchdog is started with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many records are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.inner).entries.len()
    }

    /// Whether no record is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Undoes what an earlier host left, as far as no lease keeps it; leases go on, and are ended by a thread of this
    /// journal when they run out, unless a desktop adopts them before. Blocking, about 1.5 s at most. Call once, before
    /// anything is recorded.
    pub fn replay(self: &Arc<Self>, undo: UndoMap) -> Replayed {
        let undo = Arc::clone(self.undo.get_or_init(|| Arc::new(undo)));
        let replayed = self.undo_due(unix_ms(SystemTime::now()), &undo, true);
        if replayed.leases > 0 {
            let journal = Arc::downgrade(self);
            let run = move || {
                loop {
                    std::thread::sleep(LEASE_POLL);
                    let Some(journal) = journal.upgrade() else { return };
                    if journal.undo_due(unix_ms(SystemTime::now()), &undo, false).leases == 0 {
                        return;
                    }
                }
            };
            if let Err(e) = std::thread::Builder::new().name("leases".into()).spawn(run) {
                tracing::error!(%e, "no thread for leases: they end with the next start");
            }
        }
        replayed
    }

    /// Undoes every lease of an earlier host that nobody adopted, whenever it would run out (SIGINT ends them all). What
    /// fails stays for the watchdog. Blocking, about 1.5 s at most.
    pub fn end_leases(&self) {
        if let Some(undo) = self.undo.get() {
            let mut inner = lock(&self.inner);
            let Inner { entries, inherited, .. } = &mut *inner;
            for id in inherited.iter() {
                if let Some(entry) = entries.get_mut(id) {
                    entry.record.lease_until_ms = Some(0);
                }
            }
            drop(inner);
            self.undo_due(unix_ms(SystemTime::now()), undo, false);
        }
    }

    /// Undoes every inherited record whose time is over. One without a lease begins it now: when its owner died is not
    /// known here.
    fn undo_due(&self, now_ms: u64, undo: &UndoMap, first: bool) -> Replayed {
        let due: Vec<(u64, Entry)> = {
            let mut inner = lock(&self.inner);
            let Inner { file, entries, inherited, undoing, .. } = &mut *inner;
            let ids: Vec<u64> = inherited.iter().copied().collect();
            let mut due = Vec::new();
            for id in ids {
                let Some(entry) = entries.get_mut(&id) else { continue };
                if replay::begin_lease(&mut entry.record, now_ms, first)
                    && let Err(e) = file.append(&log::put(id, entry), Durable::No)
                {
                    tracing::warn!(%e, "the lease of a record could not be written down");
                }
                if replay::is_due(&entry.record, now_ms) && !undoing.contains(&id) {
                    due.push((id, entry.clone()));
                    undoing.insert(id);
                }
            }
            due
        };
        let mut replayed = Replayed::default();
        for (id, entry, result) in replay::undo_all(due, undo) {
            let after = replay::settle(id, entry, result, now_ms, &mut replayed);
            let mut inner = lock(&self.inner);
            inner.undoing.remove(&id);
            match after {
                Some(entry) => {
                    let _ = inner.file.append(&log::put(id, &entry), Durable::No);
                    inner.entries.insert(id, entry);
                }
                None => inner.forget(id),
            }
        }
        replayed.leases = lock(&self.inner).inherited.len();
        replayed
    }

    /// The running leases of a desktop, for it to adopt: from here on their guards own them.
    #[must_use]
    pub fn hand_over(self: &Arc<Self>, backend: &str) -> Vec<(UndoRecord, UndoGuard)> {
        let mut inner = lock(&self.inner);
        let Inner { entries, inherited, undoing, .. } = &mut *inner;
        let ours = |id: &u64| !undoing.contains(id) && entries.get(id).is_some_and(|e| e.record.backend == backend);
        let handed: Vec<u64> = inherited.iter().copied().filter(ours).collect();
        let mut owned = Vec::new();
        for id in handed {
            inherited.remove(&id);
            if let Some(entry) = entries.get(&id) {
                owned.push((entry.record.clone(), UndoGuard::new(Arc::clone(self) as Arc<dyn Journal>, id)));
            }
        }
        owned
    }

    fn error(&self, source: io::Error) -> JournalError {
        JournalError { path: self.path.display().to_string(), source }
    }
}

impl Inner {
    /// Removes a record. Not synced to disk: after a power failure the undo is repeated, which is harmless.
    fn forget(&mut self, id: u64) {
        self.inherited.remove(&id);
        if self.entries.remove(&id).is_some()
            && let Err(e) = self.file.append(&log::del(id), Durable::No)
        {
            tracing::warn!(id, %e, "an undone record stays in the journal");
        }
        self.file.compact_if_long(&self.entries);
    }
}

impl Journal for FileJournal {
    fn record(self: Arc<Self>, record: UndoRecord) -> Result<UndoGuard, JournalError> {
        let id = {
            let mut inner = lock(&self.inner);
            let (id, entry) = (inner.next_id, Entry { record, tries: 0 });
            inner.file.append(&log::put(id, &entry), Durable::Yes).map_err(|e| self.error(e))?;
            inner.next_id += 1;
            inner.entries.insert(id, entry);
            id
        };
        Ok(UndoGuard::new(self, id))
    }

    fn replace(&self, id: u64, record: UndoRecord) -> Result<(), JournalError> {
        let mut inner = lock(&self.inner);
        let entry = Entry { record, tries: 0 };
        // Process ids and leases mean nothing after a power failure; that there is something to undo is on the disk already.
        inner.file.append(&log::put(id, &entry), Durable::No).map_err(|e| self.error(e))?;
        inner.entries.insert(id, entry);
        Ok(())
    }

    fn remove(&self, id: u64) {
        lock(&self.inner).forget(id);
    }
}

/// Reads a journal. A damaged one is kept aside (copied: what can be read of it is still in force).
fn read(path: &Path) -> io::Result<(Log, Option<StateError>)> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Log::default(), None)),
        Err(e) => return Err(e),
    };
    let log = Log::parse(&bytes);
    if !log.damaged {
        return Ok((log, None));
    }
    let aside = keep_aside(path)?;
    let detail = format!(
        "not a journal in every line; kept as {}; {} of its records could be read",
        aside.display(),
        log.entries.len()
    );
    Ok((log, Some(StateError { reason: &reason::STATE_UNPARSABLE, path: path.to_owned(), detail })))
}

/// Longer than a watchdog's undoing takes.
const HOST_PATIENCE: Duration = Duration::from_secs(3);
/// Leases end this late at most.
const LEASE_POLL: Duration = Duration::from_millis(250);
