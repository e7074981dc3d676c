//! The library of the running host: what the configuration names, what people added, and what their stores installed.
//!
//! ```text
//! configuration ─┐
//! library.json ──┼─► catalogue (what clients see) ◄── Apps, planes: catalogue(), a pointer
//! scanners ──────┘    └─► everything, also what is hidden ◄── API: view()
//! ```
//!
//! One thread, `library`, scans: at start, when a file of a store changes (looked at every few seconds), and when asked.
//! Each scanner runs on a thread of its own: one that hangs on a dead network drive keeps what was found before, and
//! nobody waits for it.

mod file;
mod scans;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_library::{COVER_BYTES, Roots, Scanner, picture_type, to_png};
use punktfunk_media::{Reason, reason};

pub use punktfunk_library as stores;

pub use self::file::Custom;
use self::file::LibraryFile;
pub use self::scans::ScannerState;
use self::scans::Scans;
use crate::catalogue::{App, Catalogue, Source, Step, key_of};
use crate::events::{EventKind, Events};
use crate::lock;
use crate::state::{StateError, Stored, make_folder, write_atomically};

/// What the configuration says about the library.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LibraryConfig {
    /// The programs that it names.
    pub apps: Catalogue,
    /// Scanners that it turns on or off, which then cannot be done elsewhere.
    pub scanners: Vec<(Scanner, bool)>,
    /// Entries that it hides.
    pub hidden: BTreeSet<String>,
    /// Commands around every program, before its own.
    pub prepare: Vec<Step>,
    /// Whether the exit of a program ends the session that asked for it, unless the program's own entry says so.
    pub ends_session: bool,
}

/// What can be started. Shared by everything that launches.
pub struct Library {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Shared {
    config: LibraryConfig,
    roots: Option<Roots>,
    /// Where covers of custom entries are.
    covers: PathBuf,
    events: Arc<Events>,
    state: Mutex<State>,
    wake: Condvar,
    /// Held while a picture is made.
    drawing: Mutex<()>,
}

struct State {
    stored: Stored<LibraryFile>,
    scans: Scans,
    current: Arc<Current>,
    /// How often somebody wanted a scan, and up to which of them scanners were started.
    asked: u64,
    answered: u64,
    closed: bool,
}

/// One state of the library.
#[derive(Debug, Default)]
struct Current {
    visible: Catalogue,
    hidden: Vec<App>,
}

/// Everything, for the API.
#[derive(Clone, Debug)]
pub struct LibraryView {
    /// Rises with every change that people make.
    pub revision: u64,
    /// What clients see, in their order.
    pub visible: Vec<App>,
    /// What is hidden.
    pub hidden: Vec<App>,
    /// Ids that the configuration hides.
    pub pinned: BTreeSet<String>,
    /// The scanners.
    pub scanners: Vec<ScannerState>,
    /// Whether a scan runs.
    pub scanning: bool,
}

/// A change was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct LibraryError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What exactly.
    pub detail: String,
}

impl LibraryError {
    fn new(reason: &'static Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<StateError> for LibraryError {
    fn from(error: StateError) -> Self {
        Self { reason: error.reason, detail: error.to_string() }
    }
}

impl Library {
    /// The programs of the configuration, and nothing else: for tests and measurements.
    #[must_use]
    pub fn fixed(apps: Catalogue) -> Arc<Self> {
        let config = LibraryConfig { apps, ..LibraryConfig::default() };
        // There is no such folder: every change is refused.
        Self::open(config, None, Path::new("/proc/punktfunk"), Arc::default())
    }

    /// Reads what people set, and starts to scan below `roots`. Waits a moment for the first scan, so that programs of
    /// stores can be taken over from an earlier host; a slow disk does not keep the host from starting.
    #[must_use]
    pub fn open(config: LibraryConfig, roots: Option<Roots>, state_dir: &Path, events: Arc<Events>) -> Arc<Self> {
        let (stored, problem) = Stored::load(state_dir);
        if let Some(problem) = problem {
            tracing::warn!(%problem, fix = problem.reason.fix, "the library's changes could not be read");
            events.send(EventKind::StateProblem { reason: problem.reason.code, detail: problem.to_string() });
        }
        let state =
            State { stored, scans: Scans::default(), current: Arc::default(), asked: 1, answered: 0, closed: false };
        let covers = state_dir.join("covers");
        let shared = Shared {
            config,
            roots,
            covers,
            events,
            state: Mutex::new(state),
            wake: Condvar::new(),
            drawing: Mutex::default(),
        };
        let shared = Arc::new(shared);
        shared.rebuild(&mut lock(&shared.state));
        let thread = shared.roots.is_some().then(|| {
            let worker = Arc::clone(&shared);
            std::thread::Builder::new().name("library".into()).spawn(move || worker.run())
        });
        let thread = thread.transpose().inspect_err(|e| tracing::error!(%e, "no thread to scan stores")).ok().flatten();
        let library = Self { shared, thread: Mutex::new(thread) };
        library.wait(FIRST_SCAN);
        Arc::new(library)
    }

    /// What clients may start. Cheap: nothing is read.
    #[must_use]
    pub fn catalogue(&self) -> Arc<CatalogueView> {
        let current = Arc::clone(&lock(&self.shared.state).current);
        Arc::new(CatalogueView(current))
    }

    /// The commands around every program.
    #[must_use]
    pub fn prepare(&self) -> &[Step] {
        &self.shared.config.prepare
    }

    /// Everything, for the API.
    #[must_use]
    pub fn view(&self) -> LibraryView {
        let state = lock(&self.shared.state);
        LibraryView {
            revision: state.stored.get().revision,
            visible: state.current.visible.apps().to_vec(),
            hidden: state.current.hidden.clone(),
            pinned: self.shared.config.hidden.clone(),
            scanners: self.shared.scanners(&state),
            scanning: state.scans.running() > 0,
        }
    }

    /// The entry with this key, also one that is hidden.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<App> {
        let current = Arc::clone(&lock(&self.shared.state).current);
        current.visible.by_key(key).or_else(|| current.hidden.iter().find(|a| a.key == key)).cloned()
    }

    /// What is kept about an entry that people added.
    #[must_use]
    pub fn custom(&self, key: &str) -> Option<Custom> {
        lock(&self.shared.state).stored.get().custom.get(key).cloned()
    }

    /// Scans everything anew. Blocking, at most `patience`; returns whether it is complete.
    pub fn rescan(&self, patience: Duration) -> bool {
        {
            let mut state = lock(&self.shared.state);
            state.asked += 1;
            state.scans.forget();
        }
        self.shared.wake.notify_all();
        self.wait(patience)
    }

    /// Waits until what was asked for is scanned, at most `patience`; returns whether it is.
    pub fn settle(&self, patience: Duration) -> bool {
        self.wait(patience)
    }

    fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = lock(&self.shared.state);
        let has_thread = lock(&self.thread).is_some();
        while has_thread && (state.asked > state.answered || state.scans.running() > 0) {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            state = self.shared.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Hides an entry from clients, or shows it again. `revision`: what the caller saw.
    ///
    /// # Errors
    /// `library.not_found`, `library.conflict`, `config.pinned`, or the disk's.
    pub fn hide(&self, key: &str, hide: bool, revision: Option<u64>) -> Result<u64, LibraryError> {
        if self.shared.config.hidden.contains(key) {
            return Err(LibraryError::new(&reason::CONFIG_PINNED, format!("`{key}` is in library.hidden")));
        }
        let entry = self.entry(key).filter(|app| app.source != Source::Desktop);
        self.change(revision, |file| {
            if entry.is_none() && !file.hidden.contains(key) {
                return Err(LibraryError::new(&reason::LIBRARY_NOT_FOUND, format!("`{key}`")));
            }
            if hide && file.hidden.len() >= MAX_HIDDEN {
                return Err(LibraryError::new(&reason::LIBRARY_FULL, format!("{MAX_HIDDEN} are hidden")));
            }
            if hide {
                file.hidden.insert(key.to_owned())
            } else {
                file.hidden.remove(key)
            };
            Ok(())
        })
    }

    /// Turns a scanner on or off.
    ///
    /// # Errors
    /// `library.conflict`, `config.pinned`, or the disk's.
    pub fn switch(&self, scanner: Scanner, on: bool, revision: Option<u64>) -> Result<u64, LibraryError> {
        if self.shared.config.scanners.iter().any(|(pinned, _)| *pinned == scanner) {
            let detail = format!("`{}` is in library.scanners", scanner.name());
            return Err(LibraryError::new(&reason::CONFIG_PINNED, detail));
        }
        let changed = self.change(revision, |file| {
            file.scanners.insert(scanner.name().to_owned(), on);
            Ok(())
        })?;
        lock(&self.shared.state).asked += 1;
        self.shared.wake.notify_all();
        Ok(changed)
    }

    /// Adds an entry; tells its key.
    ///
    /// # Errors
    /// `library.invalid`, `library.conflict`, `library.full`, or the disk's.
    pub fn add(&self, custom: Custom, revision: Option<u64>) -> Result<(String, u64), LibraryError> {
        let custom = custom.checked()?;
        let mut added = String::new();
        let taken = |key: &str| self.entry(key).is_some();
        let revision = self.change(revision, |file| {
            if file.custom.len() >= MAX_CUSTOM {
                return Err(LibraryError::new(&reason::LIBRARY_FULL, format!("{MAX_CUSTOM} entries are enough")));
            }
            added = free_key(&custom.title, |key| taken(key) || file.custom.contains_key(key));
            file.custom.insert(added.clone(), custom);
            Ok(())
        })?;
        Ok((added, revision))
    }

    /// Changes an entry that people added; its key and cover stay.
    ///
    /// # Errors
    /// `library.invalid`, `library.not_found`, `library.pinned`, `library.conflict`, or the disk's.
    pub fn edit(&self, key: &str, custom: Custom, revision: Option<u64>) -> Result<u64, LibraryError> {
        let custom = custom.checked()?;
        self.change(revision, |file| {
            let place = file.custom.get_mut(key).ok_or_else(|| self.not_custom(key))?;
            let cover = place.cover.take();
            *place = Custom { cover, ..custom };
            Ok(())
        })
    }

    /// Removes an entry that people added, and its cover.
    ///
    /// # Errors
    /// `library.not_found`, `library.pinned`, `library.conflict`, or the disk's.
    pub fn remove(&self, key: &str, revision: Option<u64>) -> Result<u64, LibraryError> {
        let mut cover = None;
        let revision = self.change(revision, |file| {
            cover = file.custom.remove(key).ok_or_else(|| self.not_custom(key))?.cover;
            file.hidden.remove(key);
            Ok(())
        })?;
        self.remove_file(cover.as_deref());
        Ok(revision)
    }

    /// Gives an entry that people added a cover, made anew from `picture`; none takes it away.
    ///
    /// # Errors
    /// `library.cover_invalid`, `library.not_found`, `library.pinned`, `library.conflict`, or the disk's.
    pub fn set_cover(&self, key: &str, picture: Option<&[u8]>, revision: Option<u64>) -> Result<u64, LibraryError> {
        let before = self.custom(key).ok_or_else(|| self.not_custom(key))?.cover;
        let name = picture.map(|picture| self.write_cover(key, picture)).transpose()?;
        let changed = self.change(revision, |file| {
            file.custom.get_mut(key).ok_or_else(|| self.not_custom(key))?.cover.clone_from(&name);
            Ok(())
        });
        let (gone, kept) = if changed.is_ok() { (&before, &name) } else { (&name, &before) };
        if gone != kept {
            self.remove_file(gone.as_deref());
        }
        changed
    }

    /// The cover of what clients see by this key, as it is kept: its media type and its bytes. Blocking.
    #[must_use]
    pub fn cover(&self, key: &str) -> Option<(&'static str, Vec<u8>)> {
        let path = self.catalogue().by_key(key)?.cover.clone()?;
        read_cover(&path)
    }

    /// The cover of what clients see by this number, as PNG. Blocking, up to some tenths of a second.
    #[must_use]
    pub fn cover_png(&self, number: u32) -> Option<Vec<u8>> {
        let path = self.catalogue().by_number(number)?.cover.clone()?;
        let (kind, bytes) = read_cover(&path)?;
        if kind == "image/png" {
            return Some(bytes);
        }
        // One at a time: a client that asks for a whole library must not take the cores from those who stream.
        let _turn = lock(&self.shared.drawing);
        to_png(&bytes).inspect_err(|error| tracing::debug!(path = %path.display(), %error, "no cover")).ok()
    }

    fn write_cover(&self, key: &str, picture: &[u8]) -> Result<String, LibraryError> {
        let turn = lock(&self.shared.drawing);
        let png = to_png(picture).map_err(|e| LibraryError::new(&reason::LIBRARY_COVER_INVALID, e.to_string()))?;
        drop(turn);
        let folder = &self.shared.covers;
        make_folder(folder).map_err(|e| StateError::io(folder, &e))?;
        // Made of hashes alone: what people call an entry is never a part of a path.
        let name = format!("{:08x}-{:08x}.png", crc32fast::hash(key.as_bytes()), crc32fast::hash(&png));
        let path = folder.join(&name);
        write_atomically(&path, &png).map_err(|e| StateError::io(&path, &e))?;
        Ok(name)
    }

    fn remove_file(&self, name: Option<&str>) {
        if let Some(name) = name
            && let Err(error) = std::fs::remove_file(self.shared.covers.join(name))
        {
            tracing::debug!(name, %error, "a cover stays behind");
        }
    }

    fn not_custom(&self, key: &str) -> LibraryError {
        match self.entry(key) {
            Some(_) => LibraryError::new(&reason::LIBRARY_PINNED, format!("`{key}`")),
            None => LibraryError::new(&reason::LIBRARY_NOT_FOUND, format!("`{key}`")),
        }
    }

    /// One change: all of it or none, first on disk.
    fn change(
        &self,
        revision: Option<u64>,
        change: impl FnOnce(&mut LibraryFile) -> Result<(), LibraryError>,
    ) -> Result<u64, LibraryError> {
        // `change` looks at the library itself, so it must not be locked then; a revision that moved meanwhile is found
        // out below.
        let before = lock(&self.shared.state).stored.get().clone();
        let conflict = |now: u64| LibraryError::new(&reason::LIBRARY_CONFLICT, format!("the revision is {now}"));
        if revision.is_some_and(|seen| seen != before.revision) {
            return Err(conflict(before.revision));
        }
        let mut next = before.clone();
        change(&mut next)?;
        next.revision += 1;
        let mut state = lock(&self.shared.state);
        if state.stored.get().revision != before.revision {
            return Err(conflict(state.stored.get().revision));
        }
        let revision = next.revision;
        state.stored.set(next)?;
        self.shared.rebuild(&mut state);
        Ok(revision)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.wake.notify_all();
        // It waits for no scanner.
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

/// A [`Catalogue`] that stays as it is while somebody looks at it.
#[derive(Debug)]
pub struct CatalogueView(Arc<Current>);

impl std::ops::Deref for CatalogueView {
    type Target = Catalogue;

    fn deref(&self) -> &Catalogue {
        &self.0.visible
    }
}

impl Shared {
    /// Whether a scanner is on, and what decides it.
    fn is_on(&self, file: &LibraryFile, scanner: Scanner) -> (bool, bool) {
        let pinned = self.config.scanners.iter().find(|(pinned, _)| *pinned == scanner).map(|(_, on)| *on);
        let on = pinned.unwrap_or_else(|| file.scanners.get(scanner.name()).copied().unwrap_or(true));
        (on && self.roots.is_some(), pinned.is_some())
    }

    fn scanners(&self, state: &State) -> Vec<ScannerState> {
        let one = |scanner| {
            let (on, pinned) = self.is_on(state.stored.get(), scanner);
            state.scans.state(scanner, on, pinned)
        };
        Scanner::ALL.map(one).to_vec()
    }

    /// Puts the library together anew, and tells if it is another one.
    fn rebuild(&self, state: &mut State) {
        let file = state.stored.get();
        let mut next = Current::default();
        let mut add = |app: App| {
            let hidden = app.source != Source::Desktop
                && (self.config.hidden.contains(&app.key) || file.hidden.contains(&app.key));
            if hidden {
                next.hidden.push(app);
            } else if let Err(error) = next.visible.add(app) {
                // Two stores know the same game, or the lottery was won: the first stays.
                tracing::debug!(%error, "left out of the library");
            }
        };
        // The desktop is there already.
        for app in self.config.apps.apps().iter().skip(1) {
            add(app.clone());
        }
        for (key, custom) in &file.custom {
            add(custom.app(key, &self.covers, self.config.ends_session));
        }
        for scanner in Scanner::ALL {
            if self.is_on(file, scanner).0 {
                state.scans.titles(scanner).iter().for_each(|title| add(scans::app(title, scanner, &self.config)));
            }
        }
        if next.visible != state.current.visible || next.hidden != state.current.hidden {
            let (revision, entries) = (file.revision, next.visible.apps().len());
            state.current = Arc::new(next);
            self.events.send(EventKind::LibraryChanged { revision, entries });
        }
    }

    /// The body of the thread.
    fn run(self: &Arc<Self>) {
        let Some(roots) = &self.roots else { return };
        let mut state = lock(&self.state);
        while !state.closed {
            let on: Vec<Scanner> = Scanner::ALL.into_iter().filter(|s| self.is_on(state.stored.get(), *s).0).collect();
            let asked = state.asked;
            // Looking at some thousand files takes milliseconds, and others want the lock.
            let looks = state.scans.looks();
            drop(state);
            let stale: Vec<Scanner> =
                looks.into_iter().filter(|(_, scan)| !scan.is_current()).map(|(s, _)| s).collect();
            state = lock(&self.state);
            for scanner in on {
                let due = stale.contains(&scanner) || !state.scans.has(scanner);
                if due && state.scans.begin(scanner) {
                    let (shared, roots) = (Arc::clone(self), roots.clone());
                    let started = std::thread::Builder::new()
                        .name(format!("scan-{}", scanner.name()))
                        .spawn(move || shared.finish(scanner, scanner.scan(&roots)));
                    if let Err(error) = started {
                        tracing::warn!(%error, "a store could not be scanned");
                        state.scans.give_up(scanner);
                    }
                }
            }
            state.answered = asked;
            self.wake.notify_all();
            while !state.closed && state.asked == state.answered {
                let (after, timeout) = self.wake.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
                state = after;
                if timeout.timed_out() {
                    break;
                }
            }
        }
    }

    fn finish(&self, scanner: Scanner, scan: punktfunk_library::Scan) {
        for problem in &scan.problems {
            let (code, path) = (problem.reason.code, problem.path.display());
            tracing::info!(code, store = scanner.name(), %path, "a store's file: {}", problem.detail);
        }
        let mut state = lock(&self.state);
        state.scans.end(scanner, scan);
        self.rebuild(&mut state);
        drop(state);
        self.wake.notify_all();
    }
}

/// A file that is a picture of a sane size; no other file leaves the host.
fn read_cover(path: &Path) -> Option<(&'static str, Vec<u8>)> {
    let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    let bytes = if size <= COVER_BYTES { std::fs::read(path).ok()? } else { return None };
    Some((picture_type(&bytes)?, bytes))
}

/// `custom:` and the title, with a number where there is one of that name already.
fn free_key(title: &str, taken: impl Fn(&str) -> bool) -> String {
    let words = key_of(title);
    let words = words.strip_prefix("app:").filter(|w| !w.is_empty()).unwrap_or("entry");
    let words: String = words.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 100).map(|(_, c)| c).collect();
    let numbered = (2_u32..).map(|n| format!("custom:{words}-{n}"));
    let mut keys = std::iter::once(format!("custom:{words}")).chain(numbered);
    keys.find(|key| !taken(key)).unwrap_or_default()
}

/// How long the start waits for the first scan: 5 000 titles take a fraction of it.
const FIRST_SCAN: Duration = Duration::from_millis(1500);
/// How often a change of a store is looked for. A poll costs a question for each file that was read; a watch for each
/// folder would cost descriptors, and does not see network drives.
const LOOK: Duration = Duration::from_secs(5);
/// More than anybody writes by hand; each is kept in one small file.
const MAX_CUSTOM: usize = 1000;
const MAX_HIDDEN: usize = 20_000;
