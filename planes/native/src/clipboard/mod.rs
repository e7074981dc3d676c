//! The clipboard of a session (punktfunk1.md §3.9.3), both ways.
//!
//! ```text
//! control stream ──► Clip ── wish, offer (newest each) ──► actor ──┬── ClipboardLink ◄──► the desktop
//!                ◄── Outgoing: ClipState, ClipOffer ◄───────────────┤
//!                                       transfer streams ◄──────────┴── a task each: serve | fetch
//! ```
//!
//! Until the client sends `ClipControl(enabled)`, and whenever it lacks the grant, the desktop's clipboard is not even
//! connected to, and every transfer stream is reset with 0x70. A grant that is taken away ends what runs in the same way.

mod actor;
mod follower;
mod transfer;

use std::sync::{Arc, Mutex, PoisonError};

use punktfunk_core::control::{ClipOffer, ControlMessage};
use punktfunk_media::Clipboard;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use actor::Actor;

/// What the client wants, and may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Wish {
    /// Counts its `ClipControl`s: each has an answer, as far as a newer one did not come in between.
    asked: u64,
    enabled: bool,
    /// Files too: the answer is that there are none.
    files: bool,
    permitted: bool,
}

impl Wish {
    const fn counts(self) -> bool {
        self.enabled && self.permitted
    }
}

/// The side of the control stream. Dropping it ends everything.
pub(crate) struct Clip {
    wish: watch::Sender<Wish>,
    offer: watch::Sender<ClipOffer>,
    outgoing: Arc<Outgoing>,
    actor: JoinHandle<()>,
}

impl Clip {
    /// Takes the connection's streams beside the control stream from now on. `desktop`: `None` = there is no clipboard.
    pub fn start(connection: quinn::Connection, desktop: Option<Arc<dyn Clipboard>>, permitted: bool) -> Self {
        let wish = watch::Sender::new(Wish { permitted, ..Wish::default() });
        let offer = watch::Sender::new(ClipOffer::default());
        let outgoing = Arc::<Outgoing>::default();
        let actor = Actor::new(connection, desktop, wish.subscribe(), offer.subscribe(), Arc::clone(&outgoing));
        Self { wish, offer, outgoing, actor: tokio::spawn(actor.run()) }
    }

    /// The client turns it on or off.
    pub fn control(&self, enabled: bool, files: bool) {
        self.wish.send_modify(|wish| {
            wish.asked += 1;
            (wish.enabled, wish.files) = (enabled, files);
        });
    }

    /// The client's grant is this now.
    pub fn permit(&self, permitted: bool) {
        self.wish.send_if_modified(|wish| std::mem::replace(&mut wish.permitted, permitted) != permitted);
    }

    /// The client copied something.
    pub fn offered(&self, offer: ClipOffer) {
        if self.wish.borrow().counts() {
            self.offer.send_replace(offer);
        }
    }

    /// What is to be said.
    pub fn outgoing(&self) -> Arc<Outgoing> {
        Arc::clone(&self.outgoing)
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        self.actor.abort();
    }
}

/// What waits to be said: the newest of each kind.
#[derive(Default)]
pub(crate) struct Outgoing {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    state: Option<ControlMessage>,
    offer: Option<ControlMessage>,
}

impl Outgoing {
    /// The next message, a state before an offer. Cancel-safe.
    pub async fn next(&self) -> ControlMessage {
        loop {
            let next = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.state.take().or_else(|| waiting.offer.take())
            };
            match next {
                Some(message) => return message,
                None => self.news.notified().await,
            }
        }
    }

    /// Whatever was to be offered counts no more if the state is off.
    fn state(&self, message: ControlMessage) {
        let off = matches!(message, ControlMessage::ClipState { enabled: false, .. });
        self.put(|waiting| {
            waiting.state = Some(message);
            waiting.offer.take_if(|_| off);
        });
    }

    fn offer(&self, offer: ClipOffer) {
        self.put(|waiting| waiting.offer = Some(ControlMessage::ClipOffer(offer)));
    }

    fn put(&self, write: impl FnOnce(&mut Waiting)) {
        write(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
    }
}
