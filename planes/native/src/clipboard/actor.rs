//! Decides what happens with the clipboard. One task per session; nothing in it waits for the peer or the desktop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use punktfunk_core::control::{ClipFormat, ClipOffer, ClipPolicy, ClipReason, ControlMessage};
use punktfunk_media::{CLIPBOARD_KINDS, Clipboard, ClipboardError, ClipboardLink, Paste};
use punktfunk_net::quic::Transfer;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::follower::Follower;
use super::{Outgoing, Wish, transfer};
use crate::plane::blocking;

/// The task's own.
pub(super) struct Actor {
    connection: quinn::Connection,
    desktop: Option<Arc<dyn Clipboard>>,
    wish: watch::Receiver<Wish>,
    offers: watch::Receiver<ClipOffer>,
    outgoing: Arc<Outgoing>,
    /// At most one, also when the client changes its mind meanwhile.
    opening: Option<JoinHandle<Result<Opened, JoinError>>>,
    /// When the next one may begin.
    may_open: Instant,
    running: Option<Running>,
    transfers: JoinSet<()>,
    limits: Limits,
    /// Number of our last offer.
    seq: u32,
    /// `ClipControl`s that were answered, and how.
    answered: u64,
    told: Option<ControlMessage>,
    /// The desktop took its clipboard away, until the client asks again.
    broken: bool,
}

type Opened = Result<(Arc<dyn ClipboardLink>, Arc<Follower>, mpsc::Receiver<Paste>), ClipboardError>;

/// How much at once. Permits stay with the threads that read and write until these end.
struct Limits {
    serving: Arc<Semaphore>,
    fetching: Arc<Semaphore>,
}

/// An open clipboard.
struct Running {
    link: Arc<dyn ClipboardLink>,
    follower: Arc<Follower>,
    pastes: mpsc::Receiver<Paste>,
    /// A copy that is not told yet.
    copied: Option<(u64, Vec<String>)>,
    /// When the next one may be told.
    may_tell: Instant,
    /// What the client may fetch.
    held: Arc<Mutex<Option<Held>>>,
    /// Number of the client's last offer.
    peer_seq: Option<u32>,
    /// When the next one counts.
    may_take: Instant,
}

/// What a program copied, and the client knows of.
#[derive(Clone)]
pub(super) struct Held {
    pub seq: u32,
    pub generation: u64,
    pub formats: Vec<String>,
}

/// What woke the actor.
enum Woken {
    Wish,
    Offer,
    Stream(Transfer),
    Opened(Result<Opened, JoinError>),
    Desktop,
    Paste(Paste),
    Tell,
    TransferOver,
    End,
}

impl Actor {
    pub fn new(
        connection: quinn::Connection,
        desktop: Option<Arc<dyn Clipboard>>,
        wish: watch::Receiver<Wish>,
        offers: watch::Receiver<ClipOffer>,
        outgoing: Arc<Outgoing>,
    ) -> Self {
        let limits =
            Limits { serving: Arc::new(Semaphore::new(MAX_SERVING)), fetching: Arc::new(Semaphore::new(MAX_FETCHING)) };
        Self {
            connection,
            desktop,
            wish,
            offers,
            outgoing,
            opening: None,
            may_open: Instant::now(),
            running: None,
            transfers: JoinSet::new(),
            limits,
            seq: 0,
            answered: 0,
            told: None,
            broken: false,
        }
    }

    pub async fn run(mut self) {
        loop {
            match self.wait().await {
                Woken::Wish => self.on_wish(),
                Woken::Offer => self.on_offer(),
                Woken::Stream(stream) => self.on_stream(stream),
                Woken::Opened(opened) => self.on_opened(opened),
                Woken::Desktop => self.on_desktop(),
                Woken::Paste(paste) => self.on_paste(paste),
                Woken::Tell => self.tell_copy(),
                Woken::TransferOver => {}
                Woken::End => return,
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let Self { connection, wish, offers, opening, running, transfers, .. } = self;
        let room = transfers.len() < MAX_TRANSFERS;
        let has_transfers = !transfers.is_empty();
        let (on, is_opening) = (running.is_some(), opening.is_some());
        let opened = async {
            match opening {
                Some(opening) => opening.await.and_then(|opened| opened),
                None => std::future::pending().await,
            }
        };
        let desktop = async {
            let Some(Running { follower, pastes, copied, may_tell, may_take, .. }) = running else {
                return std::future::pending().await;
            };
            let offered = async {
                sleep_until(*may_take).await;
                offers.changed().await
            };
            tokio::select! {
                Ok(()) = offered => Woken::Offer,
                () = follower.news.notified() => Woken::Desktop,
                Some(paste) = pastes.recv(), if room => Woken::Paste(paste),
                () = sleep_until(*may_tell), if copied.is_some() => Woken::Tell,
            }
        };
        // The wish first: what it forbids must not go on for one step more.
        tokio::select! {
            biased;
            changed = wish.changed() => changed.map_or(Woken::End, |()| Woken::Wish),
            opened = opened, if is_opening => Woken::Opened(opened),
            woken = desktop, if on => woken,
            Some(_) = transfers.join_next(), if has_transfers => Woken::TransferOver,
            stream = connection.accept_bi() => match stream {
                Ok(stream) => Woken::Stream(Transfer::new(stream)),
                Err(_) => Woken::End,
            },
        }
    }

    fn on_wish(&mut self) {
        let wish = *self.wish.borrow_and_update();
        self.broken &= wish.asked == self.answered;
        if !wish.counts() {
            self.stop();
        } else if self.running.is_none() && self.opening.is_none() && !self.broken {
            self.open();
        }
        if self.opening.is_none() || !wish.counts() {
            self.tell_state();
        }
    }

    fn open(&mut self) {
        let Some(desktop) = self.desktop.clone() else { return };
        let at = self.may_open;
        let open = move || {
            let (follower, pastes) = Follower::new();
            let follower = Arc::new(follower);
            let link = desktop.open(Arc::clone(&follower) as _)?;
            Ok((link, follower, pastes))
        };
        self.opening = Some(tokio::spawn(async move {
            sleep_until(at).await;
            blocking(open).await
        }));
    }

    /// Ends whatever runs: streams are reset as their tasks go.
    fn stop(&mut self) {
        self.running = None;
        self.transfers.abort_all();
        self.offers.mark_unchanged();
    }

    fn on_opened(&mut self, opened: Result<Opened, JoinError>) {
        self.opening = None;
        self.may_open = Instant::now() + BETWEEN_OPENINGS;
        match opened {
            // Nobody wants it any more, which was told.
            Ok(Ok(_)) if !self.wish.borrow().counts() => return,
            Ok(Ok((link, follower, pastes))) => {
                let held = Arc::default();
                let now = Instant::now();
                self.running = Some(Running {
                    link,
                    follower,
                    pastes,
                    copied: None,
                    may_tell: now,
                    held,
                    peer_seq: None,
                    may_take: now,
                });
            }
            Ok(Err(error)) => {
                self.broken = true;
                tracing::warn!(code = error.reason.code, "no clipboard: {}", error.detail);
            }
            Err(error) => {
                self.broken = true;
                tracing::error!(%error, "opening the clipboard panicked");
            }
        }
        self.tell_state();
    }

    /// Answers a `ClipControl`, and tells changes since.
    fn tell_state(&mut self) {
        let wish = *self.wish.borrow();
        if wish.asked == 0 {
            return;
        }
        let reason = match &self.running {
            _ if self.desktop.is_none() => ClipReason::Unavailable,
            _ if !wish.enabled => ClipReason::Ok,
            _ if !wish.permitted => ClipReason::NotPermitted,
            Some(_) if wish.files => ClipReason::NoFiles,
            Some(_) => ClipReason::Ok,
            None => ClipReason::Unavailable,
        };
        let enabled = self.running.is_some();
        let policy = if enabled { ClipPolicy::TEXT } else { ClipPolicy::default() };
        let state = ControlMessage::ClipState { enabled, policy, reason };
        if self.answered != wish.asked || self.told.as_ref() != Some(&state) {
            tracing::info!(enabled, ?reason, "clipboard");
            self.answered = wish.asked;
            self.told = Some(state.clone());
            self.outgoing.state(state);
        }
    }

    fn on_desktop(&mut self) {
        let Some(running) = &mut self.running else { return };
        let seen = running.follower.take();
        if seen.ended {
            self.broken = true;
            self.stop();
            return self.tell_state();
        }
        if seen.copied.is_some() {
            running.copied = seen.copied;
        }
    }

    /// Announces what a program copied.
    fn tell_copy(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some((generation, formats)) = running.copied.take() else { return };
        let mut held = running.held.lock().unwrap_or_else(PoisonError::into_inner);
        if formats.is_empty() && held.is_none() {
            // It was empty, and still is.
            return;
        }
        self.seq = self.seq.wrapping_add(1);
        let named = formats.iter().map(|mime| ClipFormat { mime: mime.clone(), size_hint: 0 }).collect();
        *held = (!formats.is_empty()).then_some(Held { seq: self.seq, generation, formats });
        running.may_tell = Instant::now() + BETWEEN_OFFERS;
        self.outgoing.offer(ClipOffer { seq: self.seq, formats: named });
    }

    /// The client copied something.
    fn on_offer(&mut self) {
        let offer = self.offers.borrow_and_update().clone();
        let Some(running) = &mut self.running else { return };
        let newer = |last: u32| offer.seq.wrapping_sub(last).cast_signed() > 0;
        if !running.peer_seq.is_none_or(newer) {
            tracing::debug!(seq = offer.seq, "ignoring an old offer of the client's");
            return;
        }
        running.peer_seq = Some(offer.seq);
        running.may_take = Instant::now() + BETWEEN_OFFERS;
        let known = |kind: &&str| offer.formats.iter().any(|format| format.mime == **kind);
        let formats: Vec<_> = CLIPBOARD_KINDS.iter().filter(|k| known(k)).map(|kind| (*kind).to_owned()).collect();
        running.link.offer(offer.seq, &formats);
    }

    /// The client opened a stream: it wants to paste.
    fn on_stream(&mut self, stream: Transfer) {
        let wish = *self.wish.borrow();
        let Ok(permit) = Arc::clone(&self.limits.serving).try_acquire_owned() else { return };
        match &self.running {
            Some(running) => {
                let (link, held) = (Arc::clone(&running.link), Arc::clone(&running.held));
                self.transfers.spawn(transfer::serve(stream, link, held, permit));
            }
            None if wish.enabled && !wish.permitted => {
                self.transfers.spawn(transfer::deny(stream, permit));
            }
            // Dropping it resets it.
            None => {}
        }
    }

    /// A program wants to paste what the client copied.
    fn on_paste(&mut self, paste: Paste) {
        let (connection, limit) = (self.connection.clone(), Arc::clone(&self.limits.fetching));
        self.transfers.spawn(transfer::fetch(connection, paste, limit));
    }
}

/// Fetches of the client's at once; a person pastes one thing at a time.
const MAX_SERVING: usize = 4;
/// Data of the client's that programs do not read waits in QUIC's window, 1.25 MB a stream of 4 MiB for all: two leave
/// room for the control stream.
const MAX_FETCHING: usize = 2;
/// With those that wait for their turn.
const MAX_TRANSFERS: usize = 32;
/// A program, or a client, that copies all the time is followed, not repeated.
const BETWEEN_OFFERS: Duration = Duration::from_millis(50);
/// A client that turns it on and off all the time costs the compositor a few connections, no more.
const BETWEEN_OPENINGS: Duration = Duration::from_millis(250);
