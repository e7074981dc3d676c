//! An injector that remembers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{InjectError, Injector, InjectorCaps, InputAction, reason};

/// What injectors played back: the last [`Recording::DEPTH`] actions, oldest first. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Recording(Arc<Mutex<VecDeque<InputAction>>>);

impl Recording {
    /// Enough for any test; bounds the memory of a host that streams the synthetic source for days.
    pub const DEPTH: usize = 1024;

    /// The actions so far.
    #[must_use]
    pub fn actions(&self) -> Vec<InputAction> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// The newest action.
    #[must_use]
    pub fn last(&self) -> Option<InputAction> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().copied()
    }

    /// Makes room for all of it, so that recording never allocates.
    fn reserve(&self) {
        let mut actions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = Self::DEPTH.saturating_sub(actions.len());
        actions.reserve_exact(missing);
    }

    fn push(&self, action: InputAction) {
        let mut actions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if actions.len() == Self::DEPTH {
            actions.pop_front();
        }
        actions.push_back(action);
    }
}

/// Plays everything back into a [`Recording`].
#[derive(Debug)]
pub struct RecordingInjector {
    recording: Recording,
    caps: InjectorCaps,
    played: u64,
    fatal_after: Option<u64>,
    panic_after: Option<u64>,
}

impl RecordingInjector {
    /// An injector with every ability that fails after `fatal_after` actions and panics once after `panic_after`.
    #[must_use]
    pub fn new(recording: Recording, fatal_after: Option<u64>, panic_after: Option<u64>) -> Self {
        recording.reserve();
        let caps = InjectorCaps { text: true, touch: true, pen: true, precise_scroll: true };
        Self { recording, caps, played: 0, fatal_after, panic_after }
    }
}

impl Injector for RecordingInjector {
    fn caps(&self) -> InjectorCaps {
        self.caps
    }

    fn inject(&mut self, action: &InputAction) -> Result<(), InjectError> {
        if self.panic_after.is_some_and(|n| self.played >= n) {
            self.panic_after = None;
            panic!("the fake injector was told to panic after {} actions", self.played);
        }
        if self.fatal_after.is_some_and(|n| self.played >= n) {
            let detail = format!("the fake injector was told to fail after {} actions", self.played);
            return Err(InjectError { reason: &reason::INJECT_UNSUPPORTED, detail, fatal: true });
        }
        self.played += 1;
        self.recording.push(*action);
        Ok(())
    }
}
