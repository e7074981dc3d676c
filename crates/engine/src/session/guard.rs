//! Starting threads held, and catching what panics in them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use punktfunk_media::Stage;

use super::{Shared, ThreadHook, ThreadRole, panic_text};

/// Where threads wait until all of a session exist.
#[derive(Debug, Default)]
pub(super) struct Gate {
    run: Mutex<Option<bool>>,
    opened: Condvar,
}

impl Gate {
    /// Lets the threads run, or go home.
    pub fn open(&self, run: bool) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        self.opened.notify_all();
    }

    fn pass(&self) -> bool {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *run {
                Some(run) => return run,
                None => run = self.opened.wait(run).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Starts a named thread that waits at `gate`, runs `hook` and `body` under the panic guard, and ends the session if
/// either panics.
pub(super) fn spawn(
    role: ThreadRole,
    shared: &Arc<Shared>,
    gate: &Arc<Gate>,
    hook: Option<ThreadHook>,
    body: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    let (shared, gate) = (Arc::clone(shared), Arc::clone(gate));
    thread::Builder::new().name(format!("{}-{}", role.name(), shared.id)).spawn(move || {
        if !gate.pass() {
            return;
        }
        let guarded = AssertUnwindSafe(|| {
            if let Some(hook) = &hook {
                hook(role);
            }
            body();
        });
        if let Err(panic) = catch_unwind(guarded) {
            shared.end_by_panic(role, &*panic);
        }
    })
}

/// Holds the stage while the capture thread works with it, and brings it back.
pub(super) struct StageSlot(Mutex<Option<Box<dyn Stage>>>);

impl StageSlot {
    pub fn new(stage: Box<dyn Stage>) -> Self {
        Self(Mutex::new(Some(stage)))
    }

    /// Runs `work` with the stage. If it panics, the stage is not trusted any more: it is undone, and the panic goes on.
    pub fn lend(&self, work: impl FnOnce(&mut dyn Stage)) {
        let Some(mut stage) = self.take() else { return };
        match catch_unwind(AssertUnwindSafe(|| work(&mut *stage))) {
            Ok(()) => *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage),
            Err(panic) => {
                if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(stage))) {
                    tracing::error!("undoing a stage after a panic panicked: {}", panic_text(&*second));
                }
                std::panic::resume_unwind(panic);
            }
        }
    }

    pub fn take(&self) -> Option<Box<dyn Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for StageSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StageSlot")
    }
}
