//! Small pictures on demand: nobody asks, nothing happens.
//!
//! ```text
//! SessionControl::thumbnail ─► wanted ─► encode thread, when it has nothing else to do ─► made ─► whoever waits
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_media::Thumbnail;

/// Between those who ask and the encode thread.
#[derive(Default)]
pub(crate) struct Thumbnails {
    /// A look costs the encode thread this much.
    wanted: AtomicBool,
    state: Mutex<State>,
    made: Condvar,
}

#[derive(Default)]
struct State {
    since: Option<Instant>,
    newest: Option<Arc<Thumbnail>>,
    /// Rises with every picture.
    count: u64,
}

impl Thumbnails {
    /// Asks, and waits. `wake` wakes the encode thread.
    pub fn ask(&self, within: Duration, wake: impl FnOnce()) -> Option<Arc<Thumbnail>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.count;
        state.since.get_or_insert_with(Instant::now);
        self.wanted.store(true, Ordering::Release);
        wake();
        let waiting = |state: &mut State| state.count == before;
        let (state, _) = self.made.wait_timeout_while(state, within, waiting).unwrap_or_else(PoisonError::into_inner);
        if state.count == before { None } else { state.newest.clone() }
    }

    /// Whether somebody waits.
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Whether somebody has been waiting for so long that a busy encode thread must find the time.
    pub fn overdue(&self) -> bool {
        self.wanted() && {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.since.is_some_and(|since| since.elapsed() > PATIENCE)
        }
    }

    /// Hands it to those who wait.
    pub fn answer(&self, thumbnail: Option<Thumbnail>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.store(false, Ordering::Release);
        state.since = None;
        state.newest = thumbnail.map(Arc::new);
        state.count += 1;
        drop(state);
        self.made.notify_all();
    }
}

/// Some pictures at any frame rate.
const PATIENCE: Duration = Duration::from_millis(200);
/// Wide enough to see what goes on, small enough for a list of sessions.
pub(crate) const WIDTH: u32 = 480;
