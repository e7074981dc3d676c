//! Wishes of programs, from the pads' own threads to the pads thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use punktfunk_core::input::MAX_PADS;
use punktfunk_media::{PadEvents, PadFeedback};

use super::slot::Slot;
use super::wishes::Wishes;
use crate::session::Mailboxes;

/// The newest wishes of each slot, and which device they came from.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<[Waiting; MAX_PADS as usize]>);

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// The device that may write here; counts up with every plug.
    generation: u64,
    wishes: Wishes,
}

impl Mailbox {
    /// Opens a slot for a new device; what an older one still says is not heard any more.
    pub(super) fn open(&self, slot: u8, generation: u64) {
        if let Some(waiting) = self.lock().get_mut(usize::from(slot)) {
            *waiting = Waiting { generation, wishes: Wishes::default() };
        }
    }

    /// Moves what waits for `slot` to it.
    pub(super) fn drain(&self, slot: &mut Slot) {
        let waiting = self.lock().get_mut(usize::from(slot.number())).map(|w| std::mem::take(&mut w.wishes));
        if let Some(wishes) = waiting {
            slot.wish(&wishes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Waiting; MAX_PADS as usize]> {
        // Only assignments happen under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ear of one device.
pub(super) struct Ear {
    pub mail: Arc<Mailboxes>,
    pub slot: u8,
    pub generation: u64,
}

impl PadEvents for Ear {
    fn feedback(&self, feedback: &PadFeedback) {
        if let Some(waiting) = self.mail.pad_wishes.lock().get_mut(usize::from(self.slot))
            && waiting.generation == self.generation
        {
            waiting.wishes.note(feedback);
        } else {
            return;
        }
        self.mail.pads_signal.raise();
    }
}
