//! Displays: opened for a session, kept for its client, handed out again.
//!
//! ```text
//! acquire ── kept for this identity ── alive ── same mode ──────────► the session's
//!    │                 │                 └── set_mode ── taken ──────►
//!    │                 └── dead, or the mode was not taken ─► dropped ─┐
//!    └── nothing kept ─────────────────────────────────── Desktop::open┴►
//! release ── Linger ─► kept (a lease in the journal) ── runs out | dies ─► dropped
//!         └─ Now, or linger is off ─────────────────────────────────────► dropped
//! ```
//!
//! One thread, `displays`, drops stages (which may take seconds), ends leases, notices kept stages whose compositor died,
//! and prepares the warm spare while nothing else happens. [`Displays::acquire`] blocks: planes call it from a blocking
//! thread. A stage that is not released but dropped (a session that failed, a handshake that was cancelled) ends; nothing
//! has to be told then. After [`Displays::shutdown`] nothing can be acquired.

mod held;
mod keeper;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use punktfunk_media::{
    Desktop, DesktopInfo, Journal, Keep, OpenError, SoundState, Stage, StageError, StageRequest, StageWindow,
    WindowError, reason,
};

pub(crate) use self::held::Visitor;
use self::held::{Fit, Held};
use self::keeper::Keeper;
pub use self::keeper::Linger;
use crate::events::{EventKind, Events, unix_ms};
use crate::journal::FileJournal;
use crate::lock;

/// The displays of one desktop.
pub struct Displays {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    desktop: Arc<dyn Desktop>,
    journal: Arc<dyn Journal>,
    linger: Mutex<Linger>,
    events: Arc<Events>,
    /// What is known of the identities.
    clients: Box<dyn ClientFacts>,
    /// In percent, for those with none of their own.
    scale: AtomicU32,
    /// Where an earlier host's leases are.
    inherited: Option<Arc<FileJournal>>,
    state: Mutex<State>,
    wake: Condvar,
}

/// What displays must know of their clients, by identity.
pub trait ClientFacts: Send + Sync {
    /// Whether a display may (still) be kept for it: not for one whose access was revoked.
    fn may_keep(&self, identity: &str) -> bool;

    /// What its displays have of its own.
    fn own(&self, identity: &str) -> OwnFit;
}

/// What a client's displays have that the host's others have not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFit {
    /// How large programs draw, in percent; `None`: as the host is set.
    pub scale_percent: Option<u32>,
    /// Its keyboard, `LAYOUT[:VARIANT[:OPTIONS]]`; `None`: the desktop's own.
    pub keyboard_layout: Option<String>,
}

/// Nothing is known of anybody: every display may be kept.
impl ClientFacts for () {
    fn may_keep(&self, _identity: &str) -> bool {
        true
    }

    fn own(&self, _identity: &str) -> OwnFit {
        OwnFit::default()
    }
}

struct State {
    keeper: Keeper<Box<dyn Stage>>,
    /// The newest stage that a session of each identity uses.
    in_use: BTreeMap<String, Weak<held::Slot>>,
    /// Stages on their way out; dropped by the thread.
    gone: Vec<Box<dyn Stage>>,
    /// When to prepare a spare, unless something happens before.
    warm_at: Option<Instant>,
    closed: bool,
}

/// How displays are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisplayConfig {
    /// How long a display stays after its session.
    pub linger: Linger,
    /// How many displays are kept at most: each may hold a whole desktop with its apps.
    pub max_kept: usize,
    /// Prepare a spare while idle.
    pub warm: bool,
    /// How large programs draw, in percent, for clients with no scale of their own.
    pub scale_percent: u32,
}

impl Default for DisplayConfig {
    fn default() -> Self {
        Self { linger: Linger::default(), max_kept: 8, warm: true, scale_percent: 100 }
    }
}

/// What happens to a session's display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Keep it as the linger policy says.
    Linger,
    /// End it: the client quit on purpose (close 0x51), or its access was revoked.
    Now,
}

/// What happens to kept displays when the host ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// They end (SIGINT).
    EndLeases,
    /// Those that can live on without us do, until their leases run out (SIGTERM: a restart finds them again).
    LeaveLeases,
}

impl Displays {
    /// Starts keeping displays of `desktop`. Adopts what an earlier host left (its records in `journal`), if the desktop
    /// can. Call after [`FileJournal::replay`].
    #[must_use]
    pub fn start(
        desktop: Arc<dyn Desktop>,
        journal: &Arc<FileJournal>,
        config: DisplayConfig,
        events: Arc<Events>,
        clients: Box<dyn ClientFacts>,
    ) -> Arc<Self> {
        let all = Arc::clone(journal) as Arc<dyn Journal>;
        let displays = Self::build(desktop, all, Some(Arc::clone(journal)), config, events, clients);
        displays.adopt(journal);
        displays
    }

    /// As [`Self::start`], for any journal and without adopting anything.
    #[must_use]
    pub fn new(
        desktop: Arc<dyn Desktop>,
        journal: Arc<dyn Journal>,
        config: DisplayConfig,
        events: Arc<Events>,
    ) -> Arc<Self> {
        Self::build(desktop, journal, None, config, events, Box::new(()))
    }

    fn build(
        desktop: Arc<dyn Desktop>,
        journal: Arc<dyn Journal>,
        inherited: Option<Arc<FileJournal>>,
        config: DisplayConfig,
        events: Arc<Events>,
        clients: Box<dyn ClientFacts>,
    ) -> Arc<Self> {
        let state = State {
            keeper: Keeper::new(config.max_kept),
            in_use: BTreeMap::new(),
            gone: Vec::new(),
            warm_at: config.warm.then(Instant::now),
            closed: false,
        };
        let (state, wake, linger) = (Mutex::new(state), Condvar::new(), Mutex::new(config.linger));
        let scale = AtomicU32::new(config.scale_percent);
        let shared = Arc::new(Shared { desktop, journal, linger, events, clients, scale, inherited, state, wake });
        let worker = Arc::clone(&shared);
        let warm = config.warm;
        let thread = std::thread::Builder::new().name("displays".into()).spawn(move || worker.run(warm));
        let thread =
            thread.inspect_err(|e| tracing::error!(%e, "no thread for displays: they end with their sessions")).ok();
        if thread.is_none() {
            lock(&shared.state).closed = true;
        }
        Arc::new(Self { shared, thread: Mutex::new(thread) })
    }

    fn adopt(&self, journal: &Arc<FileJournal>) {
        let shared = &self.shared;
        for (record, guard) in journal.hand_over(&shared.desktop.info().name) {
            // What cannot be adopted is gone: the desktop undid it, and dropped the guard.
            let Some(adopted) = shared.desktop.adopt(&record, guard) else { continue };
            let until = record.lease_until_ms.unwrap_or(0);
            let left = Duration::from_millis(until.saturating_sub(unix_ms(SystemTime::now())));
            let mut stage = Held::new(adopted.stage, Arc::downgrade(shared), &adopted.identity);
            stage.keep(shared.keep_of(Some(left)));
            shared.changed(&adopted.identity, "adopted");
            let mut state = lock(&shared.state);
            let gone = state.keeper.keep(&adopted.identity, stage, left, Instant::now());
            state.gone.extend(gone);
            drop(state);
            shared.wake.notify_one();
        }
    }

    /// What desktop this is.
    #[must_use]
    pub fn info(&self) -> DesktopInfo {
        self.shared.desktop.info()
    }

    /// How long a display outlives its session.
    #[must_use]
    pub fn linger(&self) -> Linger {
        *lock(&self.shared.linger)
    }

    /// Changes that for sessions that end from now on. What is kept already stays as long as it was promised.
    pub fn set_linger(&self, linger: Linger) {
        *lock(&self.shared.linger) = linger;
    }

    /// A display at exactly this mode: the one kept for the identity, else a new one. Blocking, up to a few seconds.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left behind.
    pub fn acquire(&self, request: &StageRequest) -> Result<Box<dyn Stage>, OpenError> {
        let shared = &self.shared;
        let kept = {
            let mut state = lock(&shared.state);
            if state.closed {
                let detail = "the host is shutting down".to_owned();
                return Err(OpenError { reason: &reason::HOST_SHUTTING_DOWN, detail });
            }
            state.warm_at = None;
            state.keeper.take(&request.identity)
        };
        let result = match kept.map(|stage| reuse(stage, request)) {
            Some(Ok(stage)) => {
                shared.changed(&request.identity, "reused");
                Ok(stage)
            }
            Some(Err(stage)) => {
                shared.drop_later(stage);
                shared.open(request)
            }
            None => shared.open(request),
        };
        let result = result.map(|mut stage| {
            stage.keep(shared.keep_of(None));
            // One that does not fit is still one to be seen.
            if let Err(e) = held::fit(&mut *stage, &shared.fit_for(&request.identity)) {
                tracing::warn!(code = e.reason.code, identity = %request.identity, "the display stays as it was: {e}");
            }
            stage
        });
        let mut state = lock(&shared.state);
        state.warm_at = Some(Instant::now() + WARM_DELAY);
        // An earlier session of the identity may have given its own back meanwhile; this one is newer.
        let older = if result.is_ok() { state.keeper.take(&request.identity) } else { None };
        state.gone.extend(older);
        drop(state);
        shared.wake.notify_one();
        result
    }

    /// The session of this identity is over. `stage`: the display, if it is still usable. Never blocks for long: what must
    /// go is dropped by the thread.
    pub fn release(&self, identity: &str, stage: Option<Box<dyn Stage>>, release: Release) {
        let shared = &self.shared;
        let keep = match (release, self.linger()) {
            (Release::Now, _) | (_, Linger::Off) => None,
            (Release::Linger, Linger::For(time)) => Some(time),
            (Release::Linger, Linger::Forever) => Some(Duration::MAX),
        };
        let Some(mut stage) = stage else { return };
        let Some(time) = keep.filter(|_| stage.is_alive() && shared.clients.may_keep(identity)) else {
            shared.changed(identity, "ended");
            return shared.drop_later(stage);
        };
        stage.keep(shared.keep_of(Some(time)));
        let mut state = lock(&shared.state);
        if state.closed {
            drop(state);
            shared.changed(identity, "ended");
            return shared.drop_later(stage);
        }
        let gone = state.keeper.keep(identity, stage, time, Instant::now());
        state.gone.extend(gone);
        drop(state);
        shared.changed(identity, "kept");
        shared.wake.notify_one();
    }

    /// Ends what is kept for an identity (it was revoked, or the operator wants the place).
    pub fn forget(&self, identity: &str) {
        if let Some(stage) = { lock(&self.shared.state).keeper.take(identity) } {
            self.shared.changed(identity, "ended");
            self.shared.drop_later(stage);
        }
    }

    /// Whether this identity has a display, in use or kept.
    #[must_use]
    pub fn holds(&self, identity: &str) -> bool {
        lock(&self.shared.state).keeper.holds(identity)
    }

    /// How large programs draw, in percent, for clients with no scale of their own.
    #[must_use]
    pub fn scale_percent(&self) -> u32 {
        self.shared.scale.load(Ordering::Relaxed)
    }

    /// Changes that, also on displays in use.
    pub fn set_scale_percent(&self, percent: u32) {
        self.shared.scale.store(percent, Ordering::Relaxed);
        let in_use: Vec<_> = lock(&self.shared.state).in_use.keys().cloned().collect();
        for identity in in_use {
            if let Err(e) = self.refit(&identity) {
                tracing::warn!(code = e.reason.code, identity, "the display stays as it was: {e}");
            }
        }
    }

    /// Gives the display that a session of this identity uses, if there is one, the scale and the keyboard layout that its
    /// client has now. Blocking.
    ///
    /// # Errors
    /// [`StageError`]: it keeps what it had.
    pub fn refit(&self, identity: &str) -> Result<(), StageError> {
        self.visit(identity).map_or(Ok(()), |display| display.fit(&self.shared.fit_for(identity)))
    }

    /// As [`Desktop::check_keyboard_layout`].
    ///
    /// # Errors
    /// [`StageError`] with `desktop.layout_refused`.
    pub fn check_keyboard_layout(&self, layout: &str) -> Result<(), StageError> {
        self.shared.desktop.check_keyboard_layout(layout)
    }

    /// The display that a session of this identity uses now, for starting programs on it.
    pub(crate) fn visit(&self, identity: &str) -> Option<Visitor> {
        lock(&self.shared.state).in_use.get(identity).cloned().map(Visitor::new)
    }

    /// The windows on the display that a session of this identity uses, the one on top first. Blocking.
    ///
    /// # Errors
    /// [`WindowError`]; `display.not_found` where this identity streams nothing.
    pub fn windows(&self, identity: &str) -> Result<Vec<StageWindow>, WindowError> {
        self.visit(identity).ok_or_else(held::no_windows)?.windows()
    }

    /// Brings one of them to the front. Blocking.
    ///
    /// # Errors
    /// As [`Self::close_window`].
    pub fn focus_window(&self, identity: &str, window: u64) -> Result<(), WindowError> {
        self.visit(identity).ok_or_else(held::no_windows)?.focus_window(window)
    }

    /// Asks the program of one of them to close it. Blocking.
    ///
    /// # Errors
    /// [`WindowError`]; `display.not_found` where this identity streams nothing, `display.window_not_found` where there is no
    /// such window.
    pub fn close_window(&self, identity: &str, window: u64) -> Result<(), WindowError> {
        self.visit(identity).ok_or_else(held::no_windows)?.close_window(window)
    }

    /// How the sound stands that clients of one desktop share. May wait half a second for a change that is under way.
    #[must_use]
    pub fn sound_state(&self) -> Option<SoundState> {
        self.shared.desktop.sound_state()
    }

    /// The desktop behind them.
    pub(crate) fn desktop(&self) -> &Arc<dyn Desktop> {
        &self.shared.desktop
    }

    /// How long what belongs to a display may outlive its use and this host: nothing does in somebody's own session.
    pub(crate) fn keep_for(&self) -> Duration {
        if self.shared.desktop.info().private { self.shared.keep_of(None).keep_for } else { Duration::ZERO }
    }

    /// For whom a display is kept, and for how much longer (`None`: for ever).
    #[must_use]
    pub fn kept(&self) -> Vec<(String, Option<Duration>)> {
        let now = Instant::now();
        let state = lock(&self.shared.state);
        state.keeper.kept().map(|(i, u)| (i.to_owned(), u.map(|u| u.saturating_duration_since(now)))).collect()
    }

    /// Ends the displays, after every session released its own. Blocks until all that has to go is gone.
    pub fn shutdown(&self, at_end: AtEnd) {
        let shared = &self.shared;
        let kept = {
            let mut state = lock(&shared.state);
            state.closed = true;
            state.warm_at = None;
            state.keeper.take_all()
        };
        for (identity, mut stage, until) in kept {
            let left = until.map_or(Duration::MAX, |u| u.saturating_duration_since(Instant::now()));
            if at_end == AtEnd::LeaveLeases && stage.is_alive() && stage.keep(shared.keep_of(Some(left))) {
                shared.changed(&identity, "left");
                // Its record is a lease now: the watchdog or the next start owns it.
                stage.leave();
            } else {
                shared.changed(&identity, "ended");
                lock(&shared.state).gone.push(stage);
            }
        }
        shared.wake.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        // Without a thread nobody else drops them.
        let rest = std::mem::take(&mut lock(&shared.state).gone);
        rest.into_iter().for_each(|stage| guarded(|| drop(stage)));
        if let (AtEnd::EndLeases, Some(journal)) = (at_end, &shared.inherited) {
            journal.end_leases();
        }
    }
}

impl Drop for Displays {
    fn drop(&mut self) {
        self.shutdown(AtEnd::EndLeases);
    }
}

/// A kept stage for this request; given back when it is of no use.
fn reuse(mut stage: Box<dyn Stage>, request: &StageRequest) -> Result<Box<dyn Stage>, Box<dyn Stage>> {
    if !stage.is_alive() {
        tracing::warn!(identity = %request.identity, "the kept display died; opening a new one");
        return Err(stage);
    }
    if stage.mode() == request.mode {
        return Ok(stage);
    }
    match stage.set_mode(request.mode) {
        Ok(mode) if mode == request.mode => Ok(stage),
        Ok(mode) => {
            tracing::warn!(wanted = %request.mode, got = %mode, "the kept display took another mode; opening a new one");
            Err(stage)
        }
        Err(e) => {
            tracing::warn!(wanted = %request.mode, error = %e, "the kept display refused the mode; opening a new one");
            Err(stage)
        }
    }
}

impl Shared {
    fn open(self: &Arc<Self>, request: &StageRequest) -> Result<Box<dyn Stage>, OpenError> {
        let stage = self.desktop.open(request, &self.journal)?;
        self.changed(&request.identity, "opened");
        Ok(Held::new(stage, Arc::downgrade(self), &request.identity))
    }

    fn fit_for(&self, identity: &str) -> Fit {
        let own = self.clients.own(identity);
        let scale_percent = own.scale_percent.unwrap_or_else(|| self.scale.load(Ordering::Relaxed));
        Fit { scale_percent, keyboard_layout: own.keyboard_layout }
    }

    fn changed(&self, identity: &str, what: &'static str) {
        self.events.send(EventKind::DisplayChanged { identity: identity.to_owned(), what });
    }

    /// Leaves the dropping to the thread, or does it here when that has ended.
    fn drop_later(&self, stage: Box<dyn Stage>) {
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return guarded(|| drop(stage));
        }
        state.gone.push(stage);
        drop(state);
        self.wake.notify_one();
    }

    /// What a stage is told: in use (`None`), or kept for this long from now on.
    fn keep_of(&self, left: Option<Duration>) -> Keep {
        let keep_for = match *lock(&self.linger) {
            Linger::Off => Duration::ZERO,
            Linger::For(time) => time,
            Linger::Forever => Duration::MAX,
        };
        let until = |left: Duration| {
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            unix_ms(SystemTime::now()).saturating_add(left)
        };
        Keep { keep_for, lease_until_ms: left.map(until) }
    }

    /// The body of the thread.
    fn run(&self, warm: bool) {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            let expired = state.keeper.expire(now, |who, stage| !stage.is_alive() || !self.clients.may_keep(who));
            let gone = std::mem::take(&mut state.gone);
            let warm_now = warm && !state.closed && state.warm_at.is_some_and(|at| now >= at);
            if warm_now {
                state.warm_at = None;
            }
            if !expired.is_empty() || !gone.is_empty() || warm_now {
                drop(state);
                for (identity, stage) in expired {
                    self.changed(&identity, "ended");
                    guarded(|| drop(stage));
                }
                gone.into_iter().for_each(|stage| guarded(|| drop(stage)));
                if warm_now {
                    guarded(|| self.desktop.warm(&self.journal));
                }
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                return;
            }
            let next = [state.keeper.next_expiry(), state.warm_at].into_iter().flatten().min();
            // Dead kept stages are looked for; with nothing kept there is nothing to look for.
            let look = if state.keeper.kept().next().is_some() { LOOK } else { Duration::from_secs(3600) };
            let pause = next.map_or(look, |n| n.saturating_duration_since(now).min(look));
            state = self.wake.wait_timeout(state, pause).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

/// A bug in a desktop must not end the thread that everybody's displays depend on.
fn guarded(work: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
        tracing::error!("a desktop panicked while a display was dropped or prepared");
    }
}

/// How long nobody may have asked for a display before a spare is prepared: a client's first seconds need the machine.
const WARM_DELAY: Duration = Duration::from_secs(3);
/// How often kept stages are checked for life, so that a dead desktop does not hold its place until a client returns.
const LOOK: Duration = Duration::from_secs(1);
