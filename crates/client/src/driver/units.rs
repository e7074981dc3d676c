//! Access units on their way to the decoder: bounded, in order, closable.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::session::Unit;

/// A bounded queue between the receive thread and one decoder thread. Pushing never blocks.
#[derive(Debug)]
pub struct UnitQueue {
    state: Mutex<State>,
    filled: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State {
    units: VecDeque<Unit>,
    closed: bool,
}

impl UnitQueue {
    /// An empty queue for `capacity` units.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let state = State { units: VecDeque::with_capacity(capacity), closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    /// Adds a unit.
    ///
    /// # Errors
    /// The unit itself, if the queue is full or closed.
    pub(crate) fn push(&self, unit: Unit) -> Result<(), Box<Unit>> {
        let mut state = self.lock();
        if state.closed || state.units.len() == self.capacity {
            return Err(Box::new(unit));
        }
        state.units.push_back(unit);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// The next unit, and how many are left; `None` when `timeout` passes, or when the queue is closed and empty.
    pub(crate) fn pop(&self, timeout: Duration) -> Option<(Unit, usize)> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(unit) = state.units.pop_front() {
                return Some((unit, state.units.len()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&self, mut each: impl FnMut(Unit)) {
        self.lock().units.drain(..).for_each(&mut each);
    }

    /// Nothing more comes; what is in it can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
