//! How a session ends: the first cause counts, everyone hears of it once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use punktfunk_media::{Reason, Stage, reason};

use super::{Mailboxes, ThreadRole};
use crate::clock::SessionClock;
use crate::link::ClientEvents;
use crate::pipeline::Bell;
use crate::queue::Signal;
use crate::stats::{SessionStats, Stats};

/// What ended a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StopReason {
    /// The client said good-bye.
    ClientLeft,
    /// The client was not heard of any more.
    ClientSilent,
    /// The same identity started a new session.
    Superseded,
    /// A newcomer or the operator took the slot.
    Evicted,
    /// The client's access expired or was taken away.
    Revoked,
    /// The host is shutting down.
    HostShutdown,
    /// All frames of a bounded session were sent.
    FramesDone,
    /// The owner dropped the handle.
    HandleDropped,
    /// Something failed: see the reason.
    Failed,
}

/// How a session ended, known as soon as its fate is decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// What ended it.
    pub cause: StopReason,
    /// Stable reason, for [`StopReason::Failed`].
    pub reason: Option<&'static Reason>,
    /// What happened, for the log; may be empty.
    pub detail: String,
}

impl Ending {
    /// Ended on purpose.
    #[must_use]
    pub const fn stopped(cause: StopReason) -> Self {
        Self { cause, reason: None, detail: String::new() }
    }

    /// Ended by a failure.
    #[must_use]
    pub const fn failed(reason: &'static Reason, detail: String) -> Self {
        Self { cause: StopReason::Failed, reason: Some(reason), detail }
    }

    /// Every thread left its loop without a word, which no code path does.
    pub(super) fn unexplained() -> Self {
        Self::failed(&reason::INTERNAL_PANIC, "the session's threads ended without a cause".into())
    }
}

/// How a session ended, after all its threads did.
pub struct SessionEnd {
    /// What ended it.
    pub cause: StopReason,
    /// Stable reason, for [`StopReason::Failed`].
    pub reason: Option<&'static Reason>,
    /// What happened, for the log; may be empty.
    pub detail: String,
    /// The stage, if it still lives: it may be kept and used again.
    pub stage: Option<Box<dyn Stage>>,
    /// The last figures.
    pub stats: SessionStats,
}

impl std::fmt::Debug for SessionEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionEnd")
            .field("cause", &self.cause)
            .field("reason", &self.reason.map(|r| r.code))
            .field("detail", &self.detail)
            .field("stage", &self.stage.is_some())
            .finish_non_exhaustive()
    }
}

/// What all threads of a session share.
pub(crate) struct Shared {
    pub id: u64,
    pub clock: SessionClock,
    pub events: Arc<dyn ClientEvents>,
    pub stats: Stats,
    stopping: AtomicBool,
    ending: Mutex<Option<Ending>>,
    wake: [Arc<Signal>; 5],
    bell: Arc<Bell>,
}

impl Shared {
    pub fn new(id: u64, clock: SessionClock, events: Arc<dyn ClientEvents>, mail: &Mailboxes) -> Self {
        let (stopping, ending) = (AtomicBool::new(false), Mutex::new(None));
        let (wake, bell) = (mail.signals(), Arc::clone(&mail.capture_bell));
        Self { id, clock, events, stats: Stats::new(), stopping, ending, wake, bell }
    }

    /// Whether every thread shall leave its loop.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends the session; only the first ending counts.
    pub fn end(&self, ending: Ending) {
        {
            let mut first = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_some() {
                return;
            }
            *first = Some(ending.clone());
        }
        self.stopping.store(true, Ordering::Release);
        self.wake.iter().for_each(|signal| signal.raise());
        self.bell.ring();
        match ending.reason {
            Some(reason) => tracing::warn!(session = self.id, code = reason.code, "session failed: {}", ending.detail),
            None => tracing::info!(session = self.id, cause = ?ending.cause, "session ends"),
        }
        // A plane that panics here must not keep the session from ending.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.events.ended(&ending))) {
            tracing::error!(session = self.id, "the plane panicked at a session's end: {}", panic_text(&*panic));
        }
    }

    pub fn end_by_panic(&self, role: ThreadRole, panic: &(dyn Any + Send)) {
        let detail = format!("{}-{} panicked: {}", role.name(), self.id, panic_text(panic));
        tracing::error!(session = self.id, "{detail}");
        self.end(Ending::failed(&reason::INTERNAL_PANIC, detail));
    }

    pub fn ending(&self) -> Option<Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}
