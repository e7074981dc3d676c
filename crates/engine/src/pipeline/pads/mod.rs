//! The pads thread: the client's gamepads, the devices that stand for them, and what programs wish of them.
//!
//! ```text
//! PadQueue ──► PadState (what the client says) ──► Slot: plug · apply · unplug ──► Pad
//! client  ◄── ClientEvents ◄── Told (newest of each, renewal) ◄── Mailbox ◄── PadEvents   (each pad's own thread)
//! ```
//!
//! A pad that cannot be made is tried again later, not at every event; a storm of arrivals and removals makes at most one
//! device per slot and quarter of a second.

mod mailbox;
mod queue;
mod slot;
mod state;
mod wishes;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use punktfunk_core::Grants;
use punktfunk_core::input::MAX_PADS;

pub(crate) use mailbox::Mailbox;
pub(crate) use queue::{PadQueue, QueuedPad};
pub(crate) use state::PadInput;
pub use wishes::{RUMBLE_RENEWAL, RUMBLE_TTL};

use crate::pads::PadsSetup;
use crate::session::{Mailboxes, Shared, panic_text};
use slot::Slot;
use state::Step;

pub(crate) struct PadsLoop {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
    setup: PadsSetup,
    grants: Grants,
}

impl PadsLoop {
    pub fn new(shared: &Arc<Shared>, mail: &Arc<Mailboxes>, setup: PadsSetup, grants: Grants) -> Self {
        Self { shared: Arc::clone(shared), mail: Arc::clone(mail), setup, grants }
    }

    /// Runs until the session stops. Whatever ends it, a panic here included, nothing stays held and every pad is
    /// unplugged.
    pub fn run(mut self) {
        let mut slots: Vec<Slot> = (0..MAX_PADS).map(Slot::new).collect();
        let worked = catch_unwind(AssertUnwindSafe(|| self.work(&mut slots)));
        for slot in &mut slots {
            // Each under its own guard: a pad that panics must not keep the others plugged in.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| slot.unplug(&self.shared))) {
                tracing::error!(session = self.shared.id, "unplugging a pad panicked: {}", panic_text(&*panic));
            }
        }
        if let Err(panic) = worked {
            resume_unwind(panic);
        }
    }

    fn work(&mut self, slots: &mut [Slot]) {
        loop {
            let seen = self.mail.pads_signal.epoch();
            if self.shared.stopping() {
                return;
            }
            if let Some(grants) = self.mail.take_pads() {
                self.grants = grants;
                if !grants.contains(Grants::GAMEPAD) {
                    slots.iter_mut().for_each(|slot| slot.unplug(&self.shared));
                }
            }
            while let Some((queued, came)) = self.mail.pads.pop() {
                self.take(slots, queued, came);
                if self.shared.stopping() {
                    return;
                }
            }
            let now = Instant::now();
            let mut next: Option<Instant> = None;
            for slot in slots.iter_mut() {
                self.mail.pad_wishes.drain(slot);
                slot.serve(&self.shared, &self.mail, &self.setup, now);
                next = [next, slot.next()].into_iter().flatten().min();
            }
            self.mail.pads_signal.wait(seen, next);
        }
    }

    fn take(&self, slots: &mut [Slot], queued: QueuedPad, came: Instant) {
        let counters = &self.shared.stats.counters;
        let QueuedPad::Input(input) = queued else {
            return slots.iter_mut().for_each(|slot| slot.release(&self.shared));
        };
        if !self.grants.contains(Grants::GAMEPAD) {
            return counters.input_refused.one();
        }
        let slot = input.slot().and_then(|slot| slots.get_mut(usize::from(slot)));
        let Some(slot) = slot else { return counters.input_unsupported.one() };
        let now = Instant::now();
        match slot.note(&input, now) {
            Step::Redundant => counters.input_redundant.one(),
            Step::Unsupported => counters.input_unsupported.one(),
            Step::Gone => slot.unplug(&self.shared),
            Step::Changed => {
                if slot.serve(&self.shared, &self.mail, &self.setup, now) {
                    let took = u64::try_from(came.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.shared.stats.record_input(took);
                }
            }
        }
    }
}
