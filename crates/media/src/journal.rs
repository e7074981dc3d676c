//! The undo journal: every change to the outside world is written down before it is made (DESIGN decision "nothing
//! left behind"). `hub` keeps the file; `apps/host` hands a record to replay to the backend it names.

use std::sync::Arc;
use std::time::Duration;

use crate::{Reason, reason};

/// Where changes are written down. Shared by all sessions.
pub trait Journal: Send + Sync {
    /// Writes `record` durably, before the change it describes is made. The guard removes it again when dropped, after
    /// the owner undid the change.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be written; the change must then not be made.
    fn record(self: Arc<Self>, record: UndoRecord) -> Result<UndoGuard, JournalError>;

    /// Replaces a record (a process id became known, a lease began or ended). Used by [`UndoGuard::update`].
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be written; the old record stays.
    fn replace(&self, id: u64, record: UndoRecord) -> Result<(), JournalError>;

    /// Removes a record. Used by [`UndoGuard`]'s drop; failures are logged by the journal.
    fn remove(&self, id: u64);
}

/// How to undo one change.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UndoRecord {
    /// The backend that replays it, e.g. `private-sway`, `wlroots`.
    pub backend: String,
    /// What was changed, in the backend's own words and format (JSON text).
    pub change: String,
    /// How long policy keeps it after its owner's death: 0 = undo at once. The watchdog counts from the death.
    pub keep_for: Duration,
    /// Unix time in ms at which a lease that is running out ends; `None` while in use.
    pub lease_until_ms: Option<u64>,
}

/// Holds a record in the journal; dropping it removes the record. Keep it beside what it undoes and drop it last.
pub struct UndoGuard {
    journal: Arc<dyn Journal>,
    id: u64,
}

impl UndoGuard {
    /// Made by implementations of [`Journal::record`].
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, id: u64) -> Self {
        Self { journal, id }
    }

    /// Replaces what is written.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be written; the old record stays.
    pub fn update(&self, record: UndoRecord) -> Result<(), JournalError> {
        self.journal.replace(self.id, record)
    }

    /// Lets go without removing the record: somebody else undoes it (the watchdog, the next start).
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for UndoGuard {
    fn drop(&mut self) {
        self.journal.remove(self.id);
    }
}

impl std::fmt::Debug for UndoGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UndoGuard").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The journal could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the undo journal {path} cannot be written: {source}")]
pub struct JournalError {
    /// The journal's file.
    pub path: String,
    /// What the system said.
    pub source: std::io::Error,
}

impl JournalError {
    /// `state.full` or `state.unwritable`.
    #[must_use]
    pub fn reason(&self) -> &'static Reason {
        match self.source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => &reason::STATE_FULL,
            _ => &reason::STATE_UNWRITABLE,
        }
    }
}
