//! Programs of the library, started for clients: one at a time for each identity, outliving its sessions as its display
//! does.
//!
//! ```text
//! launch ── runs already ──────────────────────────────────────────────────────► Resumed
//!   │         └─ another one ─► ended first
//!   └─ record ─► prepare commands ─► Stage::launch ─► watched ── exits | display ends ─► undo commands ─► record removed
//!                  └─ one fails ─► undo what was begun            └─ end() ─► ended ───┘
//! host dies ─► the watchdog undoes, once the display's lease is over; a new host in time takes the program over
//! ```
//!
//! One thread, `apps`, notices what exits. [`Apps::launch`] and [`Apps::end`] block: planes call them from a blocking
//! thread. Whoever waits for an exit watches [`Apps::watch`] and asks [`Apps::current`].

mod client;
mod commands;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use punktfunk_media::{AppSpec, Journal, LaunchError, RunningApp, Stage, StageEnvironment, UndoGuard, reason};
use tokio::sync::watch;

pub use self::client::ClientFacts;
use self::record::{AppRecord, UndoStep};
pub use self::record::{BACKEND, undo};
use crate::catalogue::App;
use crate::displays::{AtEnd, Displays, Visitor};
use crate::events::{EventKind, Events, unix_ms};
use crate::journal::FileJournal;
use crate::library::{CatalogueView, Library};
use crate::lock;

/// The programs that run for clients.
pub struct Apps {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How a launch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launched {
    /// It was started.
    Started,
    /// It had been started before and still runs.
    Resumed,
}

struct Shared {
    library: Arc<Library>,
    displays: Arc<Displays>,
    journal: Arc<dyn Journal>,
    events: Arc<Events>,
    state: Mutex<State>,
    /// Something to watch, or an identity is no longer busy.
    wake: Condvar,
    /// Rises whenever [`Apps::current`] may have changed for anybody.
    generation: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<String, Running>,
    /// What the operator started beside it.
    beside: Vec<Running>,
    /// Identities for which something is being started or ended.
    busy: BTreeSet<String>,
    closed: bool,
}

struct Running {
    number: u32,
    /// `None`: the bare desktop, which runs as long as there is a display.
    program: Option<Box<dyn RunningApp>>,
    record: AppRecord,
    guard: UndoGuard,
    /// How often in a row it was found gone: between use and keeping a display is for a moment in neither list.
    missed: u32,
}

impl Apps {
    /// Starts watching. Takes over programs of an earlier host whose displays `displays` took over, and undoes what was
    /// prepared for the others.
    #[must_use]
    pub fn start(
        library: Arc<Library>,
        displays: Arc<Displays>,
        journal: &Arc<FileJournal>,
        events: Arc<Events>,
    ) -> Arc<Self> {
        let all = Arc::clone(journal) as Arc<dyn Journal>;
        let (state, wake) = (Mutex::default(), Condvar::new());
        let generation = watch::Sender::new(0);
        let shared = Arc::new(Shared { library, displays, journal: all, events, state, wake, generation });
        shared.take_over(journal);
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("apps".into()).spawn(move || worker.run());
        let thread = thread.inspect_err(|e| tracing::error!(%e, "no thread for programs: exits go unnoticed")).ok();
        Arc::new(Self { shared, thread: Mutex::new(thread) })
    }

    /// What can be started.
    #[must_use]
    pub fn catalogue(&self) -> Arc<CatalogueView> {
        self.shared.library.catalogue()
    }

    /// Where it comes from.
    #[must_use]
    pub fn library(&self) -> &Arc<Library> {
        &self.shared.library
    }

    /// Starts the program with this [`App::number`] on `stage`, which belongs to `identity`. If it runs already, it goes on;
    /// another one of this identity is ended first. Blocking: the prepare commands' timeouts, and up to 5 s.
    ///
    /// # Errors
    /// `app.unknown`, `app.prepare_failed`, or why the stage could not start it. What was prepared is undone, and nothing
    /// runs.
    pub fn launch(
        &self,
        identity: &str,
        number: u32,
        stage: &mut dyn Stage,
        client: &ClientFacts,
    ) -> Result<Launched, LaunchError> {
        let shared = &self.shared;
        let catalogue = shared.library.catalogue();
        let app = catalogue.by_number(number).ok_or_else(|| unknown(&number.to_string()))?;
        let _busy = shared.busy(identity)?;
        let before = lock(&shared.state).running.remove(identity);
        if let Some(running) = before {
            if running.number == number && running.program.as_ref().is_none_or(|p| p.is_running()) {
                lock(&shared.state).running.insert(identity.to_owned(), running);
                shared.tell(identity, &app.key, "resumed");
                return Ok(Launched::Resumed);
            }
            shared.end(running);
        }
        let running = shared.begin(identity, app, &mut OfSession(stage), &client.variables(app), false)?;
        lock(&shared.state).running.insert(identity.to_owned(), running);
        shared.wake.notify_all();
        shared.tell(identity, &app.key, "started");
        Ok(Launched::Started)
    }

    /// Starts a program on the display of a session that streams, beside what runs there; its exit ends no session.
    /// Blocking, as [`Self::launch`].
    ///
    /// # Errors
    /// As [`Self::launch`]; `display.not_found` where this identity streams nothing.
    pub fn launch_beside(&self, identity: &str, key: &str) -> Result<Launched, LaunchError> {
        let shared = &self.shared;
        let catalogue = shared.library.catalogue();
        let app = catalogue.by_key(key).filter(|app| app.spec.is_some()).ok_or_else(|| unknown(key))?;
        let detail = || "this device streams nothing".to_owned();
        let nothing = || LaunchError { reason: &reason::DISPLAY_NOT_FOUND, detail: detail() };
        let mut visitor = shared.displays.visit(identity).ok_or_else(nothing)?;
        let _busy = shared.busy(identity)?;
        if self.running(identity).contains(&app.number()) {
            return Ok(Launched::Resumed);
        }
        if lock(&shared.state).beside.iter().filter(|r| r.record.identity == identity).count() >= MAX_BESIDE {
            let detail = format!("{MAX_BESIDE} programs were started there already");
            return Err(LaunchError { reason: &reason::APP_FAILED, detail });
        }
        // The variables of a client are those of what it asked for itself; here the operator asks.
        let variables = ClientFacts::default().variables(app);
        let running = shared.begin(identity, app, &mut visitor, &variables, true)?;
        lock(&shared.state).beside.push(running);
        shared.wake.notify_all();
        shared.tell(identity, &app.key, "started");
        Ok(Launched::Started)
    }

    /// [`App::number`] of what runs for this identity.
    #[must_use]
    pub fn current(&self, identity: &str) -> Option<u32> {
        lock(&self.shared.state).running.get(identity).map(|r| r.number)
    }

    /// [`App::number`] of everything that runs for this identity, the operator's included.
    #[must_use]
    pub fn running(&self, identity: &str) -> Vec<u32> {
        let state = lock(&self.shared.state);
        let beside = state.beside.iter().filter(|r| r.record.identity == identity);
        state.running.get(identity).into_iter().chain(beside).map(|r| r.number).collect()
    }

    /// Ends what runs for this identity, and undoes what was prepared for it. Blocking, up to about 5 s; afterwards
    /// [`Self::current`] is `None`. Returns whether anything ran.
    pub fn end(&self, identity: &str) -> bool {
        let shared = &self.shared;
        let Ok(_busy) = shared.busy(identity) else { return false };
        let running = {
            let mut state = lock(&shared.state);
            let beside = state.beside.extract_if(.., |r| r.record.identity == identity).collect::<Vec<_>>();
            state.running.remove(identity).into_iter().chain(beside).collect::<Vec<_>>()
        };
        let any = !running.is_empty();
        running.into_iter().for_each(|running| shared.end(running));
        any
    }

    /// Rises whenever [`Self::current`] may have changed for anybody.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// The host ends. Call after [`Displays::shutdown`]: programs end with their displays, and what was left with a lease
    /// keeps its program.
    pub fn shutdown(&self, at_end: AtEnd) {
        let shared = &self.shared;
        let running = {
            let mut state = lock(&shared.state);
            state.closed = true;
            let beside = std::mem::take(&mut state.beside);
            std::mem::take(&mut state.running).into_values().chain(beside).collect::<Vec<_>>()
        };
        shared.wake.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        let keep_for = shared.displays.keep_for();
        for running in running {
            let lives = running.program.as_ref().is_none_or(|p| p.is_running());
            let until = u64::try_from(keep_for.as_millis()).unwrap_or(u64::MAX);
            let until = unix_ms(SystemTime::now()).saturating_add(until);
            if at_end == AtEnd::LeaveLeases
                && lives
                && !keep_for.is_zero()
                && running.guard.update(running.record.written(keep_for, Some(until))).is_ok()
            {
                running.guard.leave();
            } else {
                shared.end(running);
            }
        }
    }
}

impl Drop for Apps {
    fn drop(&mut self) {
        self.shutdown(AtEnd::EndLeases);
    }
}

impl Shared {
    /// Waits until nothing is being started or ended for this identity.
    fn busy(&self, identity: &str) -> Result<Busy<'_>, LaunchError> {
        let mut state = lock(&self.state);
        while !state.closed && state.busy.contains(identity) {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            let detail = "the host is shutting down".to_owned();
            return Err(LaunchError { reason: &reason::HOST_SHUTTING_DOWN, detail });
        }
        state.busy.insert(identity.to_owned());
        Ok(Busy { shared: self, identity: identity.to_owned() })
    }

    /// Prepares and starts.
    fn begin(
        &self,
        identity: &str,
        app: &App,
        place: &mut dyn Place,
        variables: &[(String, String)],
        beside: bool,
    ) -> Result<Running, LaunchError> {
        let mut environment = place.environment();
        environment.display.extend_from_slice(variables);
        let mut record = AppRecord {
            identity: identity.to_owned(),
            key: app.key.clone(),
            token: None,
            undo: Vec::new(),
            beside,
            display: environment.display.clone(),
        };
        let keep_for = self.displays.keep_for();
        let unwritten = |e: punktfunk_media::JournalError| LaunchError { reason: e.reason(), detail: e.to_string() };
        let guard = Arc::clone(&self.journal).record(record.written(keep_for, None)).map_err(unwritten)?;
        let started = (|| -> Result<_, LaunchError> {
            let shared = self.library.prepare().iter().filter(|_| app.library_prepare);
            for step in shared.chain(&app.prepare) {
                if let Some(run) = &step.undo {
                    // Before it runs: half of it may have to be undone.
                    record.undo.push(UndoStep { run: run.clone(), timeout: step.timeout });
                    guard.update(record.written(keep_for, None)).map_err(unwritten)?;
                }
                commands::prepare(step, &environment)
                    .map_err(|detail| LaunchError { reason: &reason::APP_PREPARE_FAILED, detail })?;
            }
            let with_variables = |spec: &AppSpec| {
                // What the entry sets wins.
                let env = variables.iter().chain(&spec.env).cloned().collect();
                place.launch(&AppSpec { env, ..spec.clone() })
            };
            let program = app.spec.as_ref().map(with_variables).transpose()?;
            record.token = program.as_ref().map(|p| p.token());
            if let Err(e) = guard.update(record.written(keep_for, None)) {
                // It runs; only a later host would not find it again.
                tracing::warn!(app = app.key, "the program's record could not be written: {e}");
            }
            Ok(program)
        })();
        match started {
            Ok(program) => Ok(Running { number: app.number(), program, record, guard, missed: 0 }),
            Err(error) => {
                tracing::warn!(app = app.key, code = error.reason.code, "not started: {}", error.detail);
                record.undo();
                Err(error)
            }
        }
    }

    /// Ends a program that may still run, and tidies up.
    fn end(&self, running: Running) {
        if let Some(program) = &running.program {
            program.end();
        }
        self.tidy_up(running, "ended");
    }

    /// It runs no more: undoes what was prepared. Dropping `running` removes the record.
    fn tidy_up(&self, running: Running, what: &'static str) {
        running.record.undo();
        self.tell(&running.record.identity, &running.record.key, what);
    }

    fn tell(&self, identity: &str, app: &str, what: &'static str) {
        tracing::info!(client = identity, app, what, "program");
        self.events.send(EventKind::AppChanged { identity: identity.to_owned(), app: app.to_owned(), what });
        self.generation.send_modify(|g| *g += 1);
    }

    fn take_over(&self, journal: &Arc<FileJournal>) {
        for (written, guard) in journal.hand_over(BACKEND) {
            let Ok(record) = serde_json::from_str::<AppRecord>(&written.change) else {
                tracing::error!(change = written.change, "a program's record cannot be read");
                continue;
            };
            let program = record.token.as_ref().and_then(|token| self.displays.desktop().app(token));
            let app = self.library.entry(&record.key);
            // A record without a token is one of a launch that its host did not live to see, or of the bare desktop.
            let whole = app.as_ref().is_some_and(|app| app.spec.is_some() == program.is_some());
            let number = app.map_or(0, |app| app.number());
            let running = Running { number, program, record, guard, missed: 0 };
            if whole && self.displays.holds(&running.record.identity) {
                // In use from here on: the lease begins anew with the host's next end.
                if let Err(e) = running.guard.update(running.record.written(self.displays.keep_for(), None)) {
                    tracing::warn!("the program's record could not be written: {e}");
                }
                self.tell(&running.record.identity, &running.record.key, "adopted");
                let mut state = lock(&self.state);
                if running.record.beside {
                    state.beside.push(running);
                } else {
                    state.running.insert(running.record.identity.clone(), running);
                }
            } else {
                self.end(running);
            }
        }
    }

    /// The body of the thread.
    fn run(&self) {
        let mut state = lock(&self.state);
        while !state.closed {
            if state.running.is_empty() && state.beside.is_empty() {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (after, _) = self.wake.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner);
            state = after;
            let gone = self.gone(&mut state);
            if !gone.is_empty() {
                drop(state);
                for running in gone {
                    if let Some(visitor) = self.displays.visit(&running.record.identity) {
                        visitor.program_ended();
                    }
                    self.tidy_up(running, "exited");
                }
                state = lock(&self.state);
            }
        }
    }

    /// Takes out what runs no more.
    fn gone(&self, state: &mut State) -> Vec<Running> {
        let is_gone = |running: &mut Running| {
            let lives = match &running.program {
                Some(program) => program.is_running(),
                None => self.displays.holds(&running.record.identity),
            };
            running.missed = if lives { 0 } else { running.missed + 1 };
            running.missed >= GONE_AFTER
        };
        let all = state.running.iter_mut();
        let gone: Vec<String> = all.filter_map(|(who, running)| is_gone(running).then(|| who.clone())).collect();
        let gone: Vec<Running> = gone.iter().filter_map(|identity| state.running.remove(identity)).collect();
        gone.into_iter().chain(state.beside.extract_if(.., is_gone)).collect()
    }
}

/// Where a program is started.
trait Place {
    fn environment(&self) -> StageEnvironment;
    fn launch(&mut self, spec: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError>;
}

/// The session itself asks, before it hands its stage on.
struct OfSession<'a>(&'a mut dyn Stage);

impl Place for OfSession<'_> {
    fn environment(&self) -> StageEnvironment {
        self.0.environment()
    }

    fn launch(&mut self, spec: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        self.0.launch(spec)
    }
}

impl Place for Visitor {
    fn environment(&self) -> StageEnvironment {
        Self::environment(self)
    }

    fn launch(&mut self, spec: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        Self::launch(self, spec)
    }
}

/// Holds [`State::busy`].
struct Busy<'a> {
    shared: &'a Shared,
    identity: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.shared.state).busy.remove(&self.identity);
        self.shared.wake.notify_all();
    }
}

fn unknown(what: &str) -> LaunchError {
    LaunchError { reason: &reason::APP_UNKNOWN, detail: format!("`{what}` was asked for") }
}

/// An exit is noticed within two of these; looking costs one file of /proc for each program.
const POLL: Duration = Duration::from_millis(200);
const GONE_AFTER: u32 = 2;
/// More windows than anybody looks at.
const MAX_BESIDE: usize = 16;
