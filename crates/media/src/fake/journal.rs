//! An undo journal in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Journal, JournalError, UndoGuard, UndoRecord};

/// Keeps undo records in memory; what is left when everything was dropped is a leak.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    records: BTreeMap<u64, UndoRecord>,
    full: bool,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Every record in force, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<UndoRecord> {
        self.lock().records.values().cloned().collect()
    }

    /// From now on every write fails as on a full disk (or succeeds again).
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn record(self: Arc<Self>, record: UndoRecord) -> Result<UndoGuard, JournalError> {
        let id = {
            let mut state = self.lock();
            writable(&state)?;
            state.next += 1;
            let id = state.next;
            state.records.insert(id, record);
            id
        };
        Ok(UndoGuard::new(self, id))
    }

    fn replace(&self, id: u64, record: UndoRecord) -> Result<(), JournalError> {
        let mut state = self.lock();
        writable(&state)?;
        state.records.insert(id, record);
        Ok(())
    }

    fn remove(&self, id: u64) {
        self.lock().records.remove(&id);
    }
}

fn writable(state: &State) -> Result<(), JournalError> {
    if state.full {
        return Err(JournalError { path: "memory".into(), source: std::io::ErrorKind::StorageFull.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record(change: &str) -> UndoRecord {
        UndoRecord { backend: "fake".into(), change: change.into(), keep_for: Duration::ZERO, lease_until_ms: None }
    }

    #[test]
    fn a_record_lives_as_long_as_its_guard() {
        let journal = MemoryJournal::new();
        let first = Arc::<MemoryJournal>::clone(&journal).record(record("one")).expect("room");
        let second = Arc::<MemoryJournal>::clone(&journal).record(record("two")).expect("room");
        first.update(record("one, changed")).expect("room");
        let changes: Vec<_> = journal.records().into_iter().map(|r| r.change).collect();
        assert_eq!(changes, ["one, changed", "two"]);
        journal.set_full(true);
        assert!(Arc::<MemoryJournal>::clone(&journal).record(record("three")).is_err());
        drop((first, second));
        assert_eq!(journal.records(), []);
    }
}
