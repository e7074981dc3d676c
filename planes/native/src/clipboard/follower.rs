//! What the desktop says about its clipboard, on its way to the actor: never waits, and is bounded by its shape.

use std::sync::{Mutex, PoisonError};

use punktfunk_media::{ClipboardWatcher, Paste};
use tokio::sync::{Notify, mpsc};

/// Hears one link.
pub(super) struct Follower {
    seen: Mutex<Seen>,
    pub news: Notify,
    pastes: mpsc::Sender<Paste>,
}

/// What is new.
#[derive(Default)]
pub(super) struct Seen {
    /// The newest copy: generation, formats.
    pub copied: Option<(u64, Vec<String>)>,
    pub ended: bool,
}

impl Follower {
    pub fn new() -> (Self, mpsc::Receiver<Paste>) {
        let (pastes, wanted) = mpsc::channel(PASTES);
        (Self { seen: Mutex::default(), news: Notify::new(), pastes }, wanted)
    }

    /// What is new since the last time.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, write: impl FnOnce(&mut Seen)) {
        write(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
    }
}

impl ClipboardWatcher for Follower {
    fn copied(&self, generation: u64, formats: Vec<String>) {
        self.put(|seen| seen.copied = Some((generation, formats)));
    }

    fn pasted(&self, paste: Paste) {
        // Full: a program asks more often than anybody can paste. It gets nothing.
        let _ = self.pastes.try_send(paste);
    }

    fn ended(&self) {
        self.put(|seen| seen.ended = true);
    }
}

/// Programs that keep a history ask for every format at once.
const PASTES: usize = 16;
