//! Admission: who holds a session slot. Never stuck (DESIGN decision 11).
//!
//! A plane calls [`Admission::admit`] after the gate and before it opens a display, keeps the [`Ticket`] for the life of
//! the session, and drops it last, after the display was released: the next session of the same identity starts then.

mod machine;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use punktfunk_core::Fingerprint;
use punktfunk_media::{Reason, reason};
use tokio::sync::oneshot;

use self::machine::{Action, Machine, SessionId, WaiterId};
use crate::events::{EventKind, Events};
use crate::lock;

/// What admission asks of a session that holds a slot. All methods are quick and never block.
pub trait Holder: Send + Sync {
    /// How long ago the peer was last heard, while we keep sending packets that it must acknowledge.
    fn silent_for(&self) -> Duration;
    /// Leave: end the session and drop its ticket. After 1.5 s the slot is given away without it. Called at most once.
    fn evict(&self, why: Eviction);
}

/// Why a session must leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The same identity connected again.
    SameIdentity,
    /// Its peer was silent, and somebody else needs the slot.
    Silent,
    /// The operator ended it.
    Operator,
}

/// Who wants a slot.
#[derive(Clone)]
pub struct AdmitRequest {
    /// Stable key of the identity: the fingerprint's 64 hexadecimal digits, or a text of its own for a peer without one.
    pub identity: String,
    /// The peer's certificate, if it showed one.
    pub fingerprint: Option<Fingerprint>,
    /// Its name, sanitised.
    pub name: String,
    /// Where to reach the session.
    pub holder: Arc<dyn Holder>,
}

/// Why a newcomer got no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every slot is held by a live session: close 0x42 with this text.
    #[error("{} Held by: {}.", reason::HUB_BUSY.sentence, who.join(", "))]
    Busy {
        /// The names of those who hold them.
        who: Vec<String>,
    },
    /// A newer request of the same identity took its place: close 0x66.
    #[error("{}", reason::ACCESS_SUPERSEDED.sentence)]
    Superseded,
    /// The host ends.
    #[error("{}", reason::HOST_SHUTTING_DOWN.sentence)]
    ShuttingDown,
}

impl Refused {
    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static Reason {
        match self {
            Self::Busy { .. } => &reason::HUB_BUSY,
            Self::Superseded => &reason::ACCESS_SUPERSEDED,
            Self::ShuttingDown => &reason::HOST_SHUTTING_DOWN,
        }
    }
}

/// A session slot. Dropping it gives the slot back.
#[derive(Debug)]
pub struct Ticket {
    session_id: u64,
    admission: Weak<Inner>,
}

impl Ticket {
    /// The session's number, unique for this run of the host. It names threads, spans and API resources.
    #[must_use]
    pub fn session_id(&self) -> u64 {
        self.session_id
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(inner) = self.admission.upgrade() {
            inner.released(self.session_id);
        }
    }
}

/// A live session, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// [`Ticket::session_id`].
    pub id: u64,
    /// As in the request.
    pub identity: String,
    /// As in the request.
    pub fingerprint: Option<Fingerprint>,
    /// As in the request.
    pub name: String,
    /// When it got its slot.
    pub since: SystemTime,
    /// Whether it was asked to leave.
    pub leaving: bool,
}

/// The slots. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    events: Arc<Events>,
}

struct State {
    machine: Machine,
    sessions: HashMap<SessionId, Session>,
    waiters: HashMap<WaiterId, Waiting>,
    next_waiter: WaiterId,
    closed: bool,
}

struct Session {
    request: AdmitRequest,
    since: SystemTime,
}

/// Where a waiter hears its result.
type Answer = oneshot::Sender<Result<Ticket, Refused>>;

struct Waiting {
    request: AdmitRequest,
    answer: Answer,
}

impl Admission {
    /// `max_sessions` slots, at least one.
    #[must_use]
    pub fn new(max_sessions: usize, events: Arc<Events>) -> Self {
        let state = State {
            machine: Machine::new(max_sessions),
            sessions: HashMap::new(),
            waiters: HashMap::new(),
            next_waiter: 0,
            closed: false,
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state), events }) }
    }

    /// Waits for a slot, at most 2 s. Dropping the future gives up; nothing is left behind.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn admit(&self, request: AdmitRequest) -> Result<Ticket, Refused> {
        let (answer, mut answered) = oneshot::channel();
        let waiter = self.inner.request(request, answer)?;
        // Dropped after `answered`, whose ticket (if one is in it) then gives its slot back.
        let _gone = CancelOnDrop { inner: &self.inner, waiter };
        loop {
            let pause = self.inner.pause();
            match tokio::time::timeout(pause, &mut answered).await {
                Ok(answer) => return answer.unwrap_or(Err(Refused::ShuttingDown)),
                Err(_) => self.inner.poll(),
            }
        }
    }

    /// Asks a session to leave; false if there is none with this number.
    #[must_use]
    pub fn evict(&self, session: u64) -> bool {
        let now = Instant::now();
        let mut state = lock(&self.inner.state);
        let Some(actions) = state.machine.evict(session, now) else { return false };
        let done = self.inner.carry_out(&mut state, actions);
        drop(state);
        done.finish(&self.inner.events);
        true
    }

    /// How many slots there are.
    #[must_use]
    pub fn max_sessions(&self) -> usize {
        lock(&self.inner.state).machine.max()
    }

    /// From now on so many slots, at least one. Sessions that hold more than that stay until they end.
    pub fn set_max_sessions(&self, max: usize) {
        let mut state = lock(&self.inner.state);
        let State { machine, sessions, .. } = &mut *state;
        let actions = machine.set_max(max, Instant::now(), &silence(sessions));
        let done = self.inner.carry_out(&mut state, actions);
        drop(state);
        done.finish(&self.inner.events);
    }

    /// Refuses all who wait and all who come: the host ends. Sessions stay until their planes end them.
    pub fn close(&self) {
        let waiting = {
            let mut state = lock(&self.inner.state);
            state.closed = true;
            std::mem::take(&mut state.waiters)
        };
        for (waiter, waiting) in waiting {
            lock(&self.inner.state).machine.cancelled(waiter);
            let _ = waiting.answer.send(Err(Refused::ShuttingDown));
        }
    }

    /// The live sessions, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let state = lock(&self.inner.state);
        let info = |slot: &machine::Slot| {
            let session = state.sessions.get(&slot.session)?;
            Some(SessionInfo {
                id: slot.session,
                identity: slot.identity.clone(),
                fingerprint: session.request.fingerprint,
                name: slot.name.clone(),
                since: session.since,
                leaving: slot.leaving.is_some(),
            })
        };
        let mut sessions: Vec<_> = state.machine.slots().iter().filter_map(info).collect();
        sessions.sort_by_key(|s| s.id);
        sessions
    }
}

impl Inner {
    fn request(self: &Arc<Self>, request: AdmitRequest, answer: Answer) -> Result<WaiterId, Refused> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Refused::ShuttingDown);
        }
        state.next_waiter += 1;
        let waiter = state.next_waiter;
        let (identity, name) = (request.identity.clone(), request.name.clone());
        state.waiters.insert(waiter, Waiting { request, answer });
        let State { machine, sessions, .. } = &mut *state;
        let actions = machine.request(waiter, &identity, &name, Instant::now(), &silence(sessions));
        let done = self.carry_out(&mut state, actions);
        drop(state);
        done.finish(&self.events);
        Ok(waiter)
    }

    fn poll(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let State { machine, sessions, .. } = &mut *state;
        let actions = machine.poll(Instant::now(), &silence(sessions));
        let done = self.carry_out(&mut state, actions);
        drop(state);
        done.finish(&self.events);
    }

    fn released(self: &Arc<Self>, session: SessionId) {
        let mut state = lock(&self.state);
        let name = state.sessions.remove(&session).map(|s| s.request.name);
        let State { machine, sessions, .. } = &mut *state;
        let actions = machine.released(session, Instant::now(), &silence(sessions));
        let done = self.carry_out(&mut state, actions);
        drop(state);
        if let Some(name) = name {
            self.events.send(EventKind::SessionReleased { session, name });
        }
        done.finish(&self.events);
    }

    fn cancelled(&self, waiter: WaiterId) {
        let mut state = lock(&self.state);
        state.machine.cancelled(waiter);
        state.waiters.remove(&waiter);
    }

    /// How long a waiter may sleep before it must poll.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        let deadline = lock(&self.state).machine.deadline(now);
        deadline.map_or(POLL, |d| d.saturating_duration_since(now).min(POLL))
    }

    /// Does what needs the lock; the rest, which calls out, is done with [`Done::finish`] after it is released.
    fn carry_out(self: &Arc<Self>, state: &mut State, actions: Vec<Action>) -> Done {
        let mut done = Done::default();
        for action in actions {
            match action {
                Action::Admit { waiter, session } => {
                    // The machine knows no waiter that this map does not hold: both are changed under one lock.
                    let Some(waiting) = state.waiters.remove(&waiter) else { continue };
                    let name = waiting.request.name.clone();
                    state.sessions.insert(session, Session { request: waiting.request, since: SystemTime::now() });
                    let ticket = Ticket { session_id: session, admission: Arc::downgrade(self) };
                    done.answers.push((waiting.answer, Ok(ticket)));
                    done.events.push(EventKind::SessionAdmitted { session, name });
                }
                Action::Busy { waiter, who } => done.refuse(state.waiters.remove(&waiter), Refused::Busy { who }),
                Action::Superseded { waiter } => done.refuse(state.waiters.remove(&waiter), Refused::Superseded),
                Action::Evict { session, why } => {
                    if let Some(session) = state.sessions.get(&session) {
                        done.evictions.push((Arc::clone(&session.request.holder), why));
                    }
                }
                Action::GivenUp { session } => {
                    if let Some(gone) = state.sessions.remove(&session) {
                        tracing::warn!(session, name = %gone.request.name, "did not leave in time; its slot is given away");
                        done.events.push(EventKind::SessionReleased { session, name: gone.request.name });
                    }
                }
            }
        }
        done
    }
}

fn silence(sessions: &HashMap<SessionId, Session>) -> impl Fn(SessionId) -> Duration {
    // A session that is gone from the map has no holder to ask; it counts as heard just now.
    |id| sessions.get(&id).map_or(Duration::ZERO, |s| s.request.holder.silent_for())
}

/// What calls out of this module, and so must happen without the lock.
#[derive(Default)]
struct Done {
    answers: Vec<(Answer, Result<Ticket, Refused>)>,
    evictions: Vec<(Arc<dyn Holder>, Eviction)>,
    events: Vec<EventKind>,
}

impl Done {
    fn refuse(&mut self, waiting: Option<Waiting>, why: Refused) {
        if let Some(waiting) = waiting {
            let (name, reason) = (waiting.request.name, why.reason().code);
            self.events.push(EventKind::SessionRefused { name, reason });
            self.answers.push((waiting.answer, Err(why)));
        }
    }

    fn finish(self, events: &Events) {
        for event in self.events {
            events.send(event);
        }
        for (holder, why) in self.evictions {
            holder.evict(why);
        }
        for (answer, result) in self.answers {
            // If the waiter is gone, its ticket drops here and gives the slot back.
            let _ = answer.send(result);
        }
    }
}

struct CancelOnDrop<'a> {
    inner: &'a Arc<Inner>,
    waiter: WaiterId,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.inner.cancelled(self.waiter);
    }
}

/// Silence grows without telling: look this often while somebody waits.
const POLL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A session: what it was told, and how long its peer has been silent.
    #[derive(Default)]
    struct TestHolder {
        silent_ms: AtomicU64,
        told: Mutex<Vec<Eviction>>,
    }

    impl Holder for TestHolder {
        fn silent_for(&self) -> Duration {
            Duration::from_millis(self.silent_ms.load(Ordering::SeqCst))
        }

        fn evict(&self, why: Eviction) {
            lock(&self.told).push(why);
        }
    }

    fn request(identity: &str, holder: &Arc<TestHolder>) -> AdmitRequest {
        let holder = Arc::clone(holder) as Arc<dyn Holder>;
        AdmitRequest { identity: identity.into(), fingerprint: None, name: identity.to_uppercase(), holder }
    }

    #[tokio::test]
    async fn a_silent_holder_is_evicted_and_then_given_up() {
        let admission = Admission::new(1, Arc::default());
        let (old, new) = (Arc::<TestHolder>::default(), Arc::<TestHolder>::default());
        let ticket = admission.admit(request("a", &old)).await.expect("free");
        old.silent_ms.store(60_000, Ordering::SeqCst);
        let second = admission.admit(request("b", &new)).await.expect("taken from the silent one");
        assert_eq!(*lock(&old.told), [Eviction::Silent]);
        assert_eq!(admission.sessions().iter().map(|s| s.id).collect::<Vec<_>>(), [second.session_id()]);
        drop(ticket);
        assert_eq!(admission.sessions().len(), 1, "the late release changes nothing");
        drop(second);
        assert!(admission.sessions().is_empty());
    }

    #[tokio::test]
    async fn live_holders_are_named() {
        let admission = Admission::new(1, Arc::default());
        let holder = Arc::<TestHolder>::default();
        let _ticket = admission.admit(request("a", &holder)).await.expect("free");
        let refused = admission.admit(request("b", &holder)).await.expect_err("live");
        assert_eq!(refused, Refused::Busy { who: vec!["A".into()] });
        assert!(refused.to_string().ends_with("Held by: A."), "{refused}");
        assert!(lock(&holder.told).is_empty());
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_nothing_behind() {
        let admission = Admission::new(1, Arc::default());
        let holder = Arc::<TestHolder>::default();
        let ticket = admission.admit(request("a", &holder)).await.expect("free");
        let waiting = tokio::spawn({
            let (admission, request) = (admission.clone(), request("b", &holder));
            async move { admission.admit(request).await.map(drop) }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        waiting.abort();
        assert!(waiting.await.expect_err("aborted").is_cancelled());
        drop(ticket);
        assert!(admission.sessions().is_empty());
        assert!(lock(&admission.inner.state).waiters.is_empty());
        drop(admission.admit(request("c", &holder)).await.expect("free again"));
    }

    #[tokio::test]
    async fn the_end_of_the_host_tells_everybody() {
        let admission = Admission::new(1, Arc::default());
        let holder = Arc::<TestHolder>::default();
        let _ticket = admission.admit(request("a", &holder)).await.expect("free");
        let (waiting, ()) = tokio::join!(admission.admit(request("b", &holder)), async {
            tokio::task::yield_now().await;
            admission.close();
        });
        assert_eq!(waiting.map(drop), Err(Refused::ShuttingDown));
        assert_eq!(admission.admit(request("c", &holder)).await.map(drop), Err(Refused::ShuttingDown));
    }

    #[tokio::test]
    async fn the_operator_ends_a_session_once() {
        let admission = Admission::new(2, Arc::default());
        let holder = Arc::<TestHolder>::default();
        let ticket = admission.admit(request("a", &holder)).await.expect("free");
        assert!(admission.evict(ticket.session_id()) && admission.evict(ticket.session_id()));
        assert_eq!(*lock(&holder.told), [Eviction::Operator]);
        assert!(admission.sessions()[0].leaving);
        assert!(!admission.evict(99));
    }
}
