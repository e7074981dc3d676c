//! The default sink of somebody's session: taken, and given back as it was.
//!
//! WirePlumber keeps in its metadata `default` which sink was chosen (`default.configured.audio.sink`). [`DefaultKeeper`]
//! chooses ours, and says so again after WirePlumber was restarted; whoever chooses another one meanwhile keeps it.
//!
//! ```text
//! record ─► waiting ─ metadata there ─► ours ─ somebody chose another ─► overruled
//!             ▲                          │ └─► end: what was chosen before, or nothing ─► record removed
//!             └──── WirePlumber gone ────┘     host died: `undo(record)` by the watchdog or the next start
//! ```

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pipewire::core;
use pipewire::metadata::{Metadata, MetadataListener};
use pipewire::properties::PropertiesBox;
use pipewire::registry::{self, GlobalObject, RegistryRc};
use pipewire::spa::utils::result::AsyncSeq;
use pipewire::types::ObjectType;
use punktfunk_media::{Journal, JournalError, SinkStanding, UndoGuard, UndoRecord};
use serde::{Deserialize, Serialize};

use super::ServerFacts;
use super::connection::{Connection, Place, Resident, Stay, VisitError, visit};

/// `UndoRecord::backend` of a default sink that we chose.
pub const BACKEND_DEFAULT_SINK: &str = "pipewire-default";

/// What the journal keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DefaultRecord {
    /// The server's socket.
    socket: PathBuf,
    /// The sink that we chose.
    sink: String,
    /// What was chosen before, as the metadata has it; `None`: nothing.
    previous: Option<String>,
}

impl DefaultRecord {
    fn written(&self) -> UndoRecord {
        UndoRecord {
            backend: BACKEND_DEFAULT_SINK.to_owned(),
            change: serde_json::to_string(self).expect("a record holds texts only"),
            keep_for: Duration::ZERO,
            lease_until_ms: None,
        }
    }
}

/// Chooses what was chosen before a host died, unless somebody chose another sink meanwhile. Safe to call twice.
///
/// # Errors
/// A sentence when PipeWire runs, but its session manager does not answer yet.
pub fn undo(record: &UndoRecord) -> Result<(), String> {
    let record: DefaultRecord = serde_json::from_str(&record.change).map_err(|e| e.to_string())?;
    let given_back = visit(&record.socket, |place| {
        let watch = Watch::settled(place, UNDO_WITHIN)?;
        watch.give_back(place, &record.sink, record.previous.as_deref());
        Ok(())
    });
    match given_back {
        // The server is gone. WirePlumber takes what was chosen before by itself where a sink that was chosen is missing.
        Ok(()) | Err(VisitError::Nobody(_)) => Ok(()),
        Err(e @ VisitError::Failed(_)) => Err(e.to_string()),
    }
}

/// The sink that is chosen, unless that is `ours`.
pub fn chosen(socket: &Path, ours: &str) -> Option<String> {
    let seen = visit(socket, |place| {
        let watch = Watch::settled(place, FACTS_WITHIN)?;
        let seen = watch.seen.borrow();
        Ok(seen.metadata.as_ref().and_then(|bound| bound.configured.as_deref().and_then(name_in)))
    });
    let name = seen.inspect_err(|e| tracing::debug!("the sink that is chosen: {e}")).ok().flatten();
    name.filter(|name| name != ours)
}

/// What the server at `socket` is.
pub fn facts(socket: &Path) -> Result<ServerFacts, String> {
    let look = |place: &Place| {
        let version = Rc::new(RefCell::new(String::new()));
        let _info = place
            .core
            .add_listener_local()
            .info({
                let version = Rc::clone(&version);
                move |info| version.borrow_mut().replace_range(.., info.version())
            })
            .register();
        let watch = Watch::begin(place, None)?;
        // One for the globals, one for the metadata's values.
        if !(place.round_trip(FACTS_WITHIN) && place.round_trip(FACTS_WITHIN)) {
            return Err("it does not answer".to_owned());
        }
        let seen = watch.seen.borrow();
        let sink = seen.metadata.as_ref().and_then(|bound| bound.effective.as_deref().and_then(name_in));
        let version = version.borrow().clone();
        Ok(ServerFacts { version, session_manager: seen.metadata.is_some(), default_sink: sink })
    };
    visit(socket, look).map_err(|e| e.to_string())
}

/// Keeps a sink of ours the default one. Dropping it gives back what was chosen before.
#[derive(Debug)]
pub struct DefaultKeeper {
    claim: Arc<Shared>,
    connection: Option<Connection>,
}

/// What the keeper's thread and others both see.
#[derive(Debug)]
struct Shared {
    claim: Mutex<Claim>,
}

impl Shared {
    fn claim(&self) -> MutexGuard<'_, Claim> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DefaultKeeper {
    /// Writes down what it is about to change, and starts a thread that changes it as soon as that is possible.
    ///
    /// # Errors
    /// The journal cannot be written: then nothing is changed.
    pub fn start(socket: &Path, sink: &str, journal: &Arc<dyn Journal>) -> Result<Self, JournalError> {
        let record = DefaultRecord { socket: socket.to_owned(), sink: sink.to_owned(), previous: None };
        let guard = Arc::clone(journal).record(record.written())?;
        let claim = Claim { record, guard: Some(guard), standing: SinkStanding::Waiting, taken: false };
        let claim = Arc::new(Shared { claim: Mutex::new(claim) });
        let connection = Connection::start("pw-default", socket, Keeping { claim: Arc::clone(&claim) })
            .inspect_err(|e| tracing::warn!("the default sink stays as it is: {e}"))
            .ok();
        Ok(Self { claim, connection })
    }

    /// How it stands.
    pub fn standing(&self) -> SinkStanding {
        self.claim.claim().standing
    }

    /// The name of what was chosen before, as far as that is known.
    pub fn before(&self) -> Option<String> {
        self.claim.claim().record.previous.as_deref().and_then(name_in)
    }
}

impl Drop for DefaultKeeper {
    fn drop(&mut self) {
        drop(self.connection.take());
        // The session manager links programs anew one after the other, and some end when their sink goes before that.
        std::thread::sleep(MOVING);
        let mut claim = self.claim.claim();
        // One that was given back removes its record.
        if let (Some(guard), true) = (claim.guard.take(), claim.taken) {
            tracing::warn!("the default sink could not be given back yet; the journal keeps it");
            guard.leave();
        }
    }
}

/// What we want of the default sink, and how far we are.
#[derive(Debug)]
struct Claim {
    record: DefaultRecord,
    /// `None`: it was given back.
    guard: Option<UndoGuard>,
    standing: SinkStanding,
    /// We chose our sink, and did not give it back since.
    taken: bool,
}

impl Claim {
    /// The session manager told what is chosen; `first`: it just came. Returns whether to choose our sink.
    fn see(&mut self, configured: Option<&str>, first: bool) -> bool {
        let ours = configured.and_then(name_in).is_some_and(|name| name == self.record.sink);
        if ours {
            // Chosen by us; by a person, later; or kept by a session manager since an earlier run of ours, and then what
            // was before is not known, and to choose nothing is right: WirePlumber remembers.
            self.standing = SinkStanding::Default;
            self.taken = true;
            return false;
        }
        if !first || self.standing == SinkStanding::Overruled {
            if self.standing == SinkStanding::Default {
                tracing::info!(chosen = configured, "somebody chose another default sink; it stays");
            }
            self.standing = SinkStanding::Overruled;
            self.taken = false;
            return false;
        }
        // One that was killed may have forgotten what we know.
        self.record.previous = configured.map(str::to_owned).or(self.record.previous.take());
        if let Some(guard) = &self.guard
            && let Err(e) = guard.update(self.record.written())
        {
            tracing::warn!("the default sink stays as it is: {e}");
            return false;
        }
        self.taken = true;
        true
    }

    /// The session manager is gone.
    fn lose_sight(&mut self) {
        if self.standing == SinkStanding::Default {
            self.standing = SinkStanding::Waiting;
        }
    }
}

/// The sink that a value of the metadata names.
fn name_in(value: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(value).ok()?;
    Some(value.get("name")?.as_str()?.to_owned())
}

/// On the keeper's thread.
struct Keeping {
    claim: Arc<Shared>,
}

impl Resident for Keeping {
    fn move_in(&mut self, place: &Place) -> Result<Box<dyn Stay>, String> {
        Ok(Box::new(Kept {
            watch: Watch::begin(place, Some(Arc::clone(&self.claim)))?,
            claim: Arc::clone(&self.claim),
        }))
    }

    fn moved_out(&mut self) {
        self.claim.claim().lose_sight();
    }
}

struct Kept {
    watch: Watch,
    claim: Arc<Shared>,
}

impl Stay for Kept {
    fn looks_after(&self) -> Option<Duration> {
        // That it is there is told whatever happens, what it says may not be.
        let waiting = self.claim.claim().standing == SinkStanding::Waiting;
        (waiting && self.watch.seen.borrow().metadata.is_some()).then_some(LOOK_AGAIN)
    }

    fn look(&mut self) -> Result<(), String> {
        self.watch.look_again()
    }

    fn farewell(&mut self, place: &Place) {
        let record = match &*self.claim.claim() {
            claim if claim.taken => claim.record.clone(),
            _ => return,
        };
        // Looked at anew: what the watch saw may be old, see `Seen::property`.
        match Watch::settled(place, UNDO_WITHIN) {
            Ok(watch) => {
                watch.give_back(place, &record.sink, record.previous.as_deref());
                self.claim.claim().taken = false;
            }
            Err(why) => tracing::debug!("the default sink: {why}"),
        }
    }
}

/// The session manager's metadata on one connection.
struct Watch {
    seen: Rc<RefCell<Seen>>,
    _done: core::Listener,
    // Before the registry, which it listens to.
    _globals: registry::Listener,
    _registry: RegistryRc,
}

struct Seen {
    metadata: Option<Bound>,
    claim: Option<Arc<Shared>>,
    /// Asks the server to answer once it has done what it was told before.
    sync: Box<dyn Fn() -> Option<AsyncSeq>>,
    /// Binds a metadata and listens to it.
    bind: Box<Bind>,
    /// A session manager came.
    came: Rc<dyn Fn()>,
}

/// A metadata, as the registry tells of it.
type Global = GlobalObject<PropertiesBox>;
type Bind = dyn Fn(&Rc<Global>) -> Option<Bound>;

/// One metadata, from its appearance to its end.
struct Bound {
    // First: it belongs to the metadata behind it.
    _properties: MetadataListener,
    metadata: Metadata,
    global: Rc<Global>,
    configured: Option<String>,
    /// Where programs play to. Told: WirePlumber listens to choices from then on. One that starts up makes the metadata
    /// first, and does not hear what is chosen meanwhile.
    effective: Option<String>,
    /// Our sink was put forward.
    considered: bool,
    /// Answered once every value was told.
    sync: Option<AsyncSeq>,
    /// Answered once the server has our choice.
    chose: Option<AsyncSeq>,
}

impl Watch {
    /// Looks for it from now on, and chooses the sink of `claim`, if there is one, whenever it appears.
    fn begin(place: &Place, claim: Option<Arc<Shared>>) -> Result<Self, String> {
        let registry = place.core.get_registry_rc().map_err(|e| e.to_string())?;
        let seen = Rc::new_cyclic(|seen: &Weak<RefCell<Seen>>| {
            let (seen, core, registry) = (Weak::clone(seen), place.core.downgrade(), registry.downgrade());
            RefCell::new(Seen {
                metadata: None,
                came: if claim.is_some() { place.think_again() } else { Rc::new(|| ()) },
                claim,
                sync: Box::new(move || core.upgrade()?.sync(0).ok()),
                bind: Box::new(move |global| bind(&registry.upgrade()?, global, &seen)),
            })
        });
        let done = place
            .core
            .add_listener_local()
            .done({
                let seen = Rc::downgrade(&seen);
                move |_, seq| {
                    if let Some(seen) = seen.upgrade() {
                        seen.borrow_mut().told(seq);
                    }
                }
            })
            .register();
        let globals = registry
            .add_listener_local()
            .global({
                let seen = Rc::downgrade(&seen);
                move |global| {
                    let is_default = global.props.is_some_and(|p| p.get("metadata.name") == Some("default"));
                    if global.type_ == ObjectType::Metadata
                        && is_default
                        && let Some(seen) = seen.upgrade()
                    {
                        seen.borrow_mut().appeared(&Rc::new(global.to_owned()), false);
                    }
                }
            })
            .global_remove({
                let seen = Rc::downgrade(&seen);
                move |id| {
                    if let Some(seen) = seen.upgrade() {
                        seen.borrow_mut().removed(id);
                    }
                }
            })
            .register();
        Ok(Self { seen, _done: done, _globals: globals, _registry: registry })
    }

    /// Looks for it, and waits until every value is known.
    fn settled(place: &Place, within: Duration) -> Result<Self, String> {
        let watch = Self::begin(place, None)?;
        let until = Instant::now() + within;
        while !watch.is_settled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !place.round_trip(left) {
                return Err("no session manager answers".to_owned());
            }
        }
        Ok(watch)
    }

    /// Whether every value is known.
    fn is_settled(&self) -> bool {
        self.seen.borrow().metadata.as_ref().is_some_and(|bound| bound.sync.is_none())
    }

    /// Has every value told once more. PipeWire 0.3.65 now and then never answers a client that binds the metadata while
    /// its session manager starts: that one is to try again as another client.
    fn look_again(&self) -> Result<(), String> {
        let mut seen = self.seen.borrow_mut();
        let Some(bound) = &seen.metadata else { return Ok(()) };
        if bound.sync.is_some() {
            return Err("nothing is told of the metadata".to_owned());
        }
        let (global, considered) = (Rc::clone(&bound.global), bound.considered);
        seen.appeared(&global, considered);
        Ok(())
    }

    /// Chooses `previous`, if `sink` is chosen, and waits until programs moved.
    fn give_back(&self, place: &Place, sink: &str, previous: Option<&str>) {
        let names = |value: &Option<String>| value.as_deref().and_then(name_in).is_some_and(|name| name == sink);
        match &self.seen.borrow().metadata {
            Some(bound) if names(&bound.configured) => bound.choose(previous),
            _ => return,
        }
        let until = Instant::now() + FAREWELL;
        // At least one: what was said must reach the server before the connection goes.
        if !place.round_trip(FAREWELL) {
            return;
        }
        while self.seen.borrow().metadata.as_ref().is_some_and(|bound| names(&bound.effective)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !place.round_trip(left) {
                return;
            }
            std::thread::sleep(BREATH);
        }
    }
}

impl Seen {
    /// Listens to it. `considered`: our sink was put forward there before.
    fn appeared(&mut self, global: &Rc<Global>, considered: bool) {
        let Some(bound) = (self.bind)(global) else { return };
        self.metadata = Some(Bound { considered, sync: (self.sync)(), ..bound });
        (self.came)();
    }

    /// The server answered.
    fn told(&mut self, seq: AsyncSeq) {
        let is = |asked: &Option<AsyncSeq>| asked.as_ref().is_some_and(|s| *s == seq);
        match &mut self.metadata {
            Some(bound) if is(&bound.sync) => {
                bound.sync = None;
                self.consider();
            }
            // It has our choice, and whoever binds now is told what came of it: the two go the same way.
            Some(bound) if is(&bound.chose) => {
                let global = Rc::clone(&bound.global);
                self.appeared(&global, true);
            }
            _ => {}
        }
    }

    /// A value. While any client binds a metadata, PipeWire tells changes to that client alone (`metadata.c`: `pending`):
    /// others never hear of what changed in those milliseconds. So what matters is not waited for, but looked at anew.
    fn property(&mut self, subject: u32, key: Option<&str>, value: Option<&str>) {
        let Some(bound) = self.metadata.as_mut().filter(|_| subject == 0) else { return };
        match key {
            Some(EFFECTIVE) => {
                let news = bound.effective.is_none();
                bound.effective = value.map(str::to_owned);
                if !news {
                    return;
                }
            }
            Some(CONFIGURED) => bound.configured = value.map(str::to_owned),
            // All are gone.
            None => (bound.configured, bound.effective) = (None, None),
            Some(_) => return,
        }
        self.consider();
    }

    fn consider(&mut self) {
        let (Some(bound), Some(shared)) = (&mut self.metadata, &self.claim) else { return };
        if bound.sync.is_some() || bound.effective.is_none() {
            return;
        }
        let first = !std::mem::replace(&mut bound.considered, true);
        let mut claim = shared.claim();
        if claim.see(bound.configured.as_deref(), first) {
            let ours = serde_json::json!({ "name": claim.record.sink }).to_string();
            bound.choose(Some(&ours));
            bound.chose = (self.sync)();
        }
    }

    fn removed(&mut self, id: u32) {
        if self.metadata.take_if(|bound| bound.global.id == id).is_some()
            && let Some(shared) = &self.claim
        {
            shared.claim().lose_sight();
        }
    }
}

impl Bound {
    fn choose(&self, value: Option<&str>) {
        self.metadata.set_property(0, CONFIGURED, value.map(|_| "Spa:String:JSON"), value);
    }
}

/// Binds the metadata and listens to it.
fn bind(registry: &RegistryRc, global: &Rc<Global>, seen: &Weak<RefCell<Seen>>) -> Option<Bound> {
    let metadata: Metadata = registry.bind(&**global).inspect_err(|e| tracing::debug!("the metadata: {e}")).ok()?;
    let seen = Weak::clone(seen);
    let properties = metadata
        .add_listener_local()
        .property(move |subject, key, _, value| {
            if let Some(seen) = seen.upgrade() {
                seen.borrow_mut().property(subject, key, value);
            }
            0
        })
        .register();
    Some(Bound {
        _properties: properties,
        metadata,
        global: Rc::clone(global),
        configured: None,
        effective: None,
        considered: false,
        sync: None,
        chose: None,
    })
}

/// The key of the sink that was chosen; subject 0 is the core.
const CONFIGURED: &str = "default.configured.audio.sink";
/// The key of the sink that programs play to.
const EFFECTIVE: &str = "default.audio.sink";
/// One that starts takes some hundred milliseconds to say where programs play to.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The watchdog has two seconds for everything.
const UNDO_WITHIN: Duration = Duration::from_millis(1200);
/// For the last words; a server that does not answer has them anyway. (Where there is no other sink, programs cannot move.)
const FAREWELL: Duration = Duration::from_millis(300);
/// For a server that is well, some milliseconds are enough.
const FACTS_WITHIN: Duration = Duration::from_millis(500);
/// For a handful of programs on a busy machine.
const MOVING: Duration = Duration::from_millis(100);
/// Between two looks whether programs moved.
const BREATH: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_media::fake::MemoryJournal;

    const OURS: &str = r#"{"name":"punktfunk"}"#;
    const A: &str = r#"{ "name": "speakers" }"#;
    const B: &str = r#"{"name":"headphones"}"#;

    fn claim() -> Claim {
        let record = DefaultRecord { socket: "/nowhere".into(), sink: "punktfunk".into(), previous: None };
        Claim { record, guard: None, standing: SinkStanding::Waiting, taken: false }
    }

    #[test]
    fn what_was_chosen_before_is_written_down_before_ours_is_chosen() {
        let journal = MemoryJournal::new();
        let mut claim = claim();
        claim.guard = Some((Arc::clone(&journal) as Arc<dyn Journal>).record(claim.record.written()).unwrap());
        assert!(claim.see(Some(A), true) && claim.taken);
        let written = journal.records();
        assert_eq!(written.len(), 1);
        let written: DefaultRecord = serde_json::from_str(&written[0].change).unwrap();
        assert_eq!(written.previous.as_deref(), Some(A));
        assert!(!claim.see(Some(OURS), false));
        assert_eq!(claim.standing, SinkStanding::Default);
    }

    #[test]
    fn whoever_chooses_another_one_keeps_it_and_may_choose_ours_again() {
        let mut claim = claim();
        assert!(claim.see(Some(A), true));
        claim.see(Some(OURS), false);
        assert!(!claim.see(Some(B), false));
        assert_eq!((claim.standing, claim.taken), (SinkStanding::Overruled, false));
        // Also through a restart of the session manager.
        claim.lose_sight();
        assert!(!claim.see(Some(B), true) && !claim.taken);
        claim.see(Some(OURS), false);
        assert_eq!((claim.standing, claim.taken), (SinkStanding::Default, true));
        assert_eq!(claim.record.previous.as_deref(), Some(A));
    }

    #[test]
    fn a_session_manager_that_was_restarted_is_told_again() {
        let mut claim = claim();
        assert!(claim.see(None, true));
        claim.see(Some(OURS), false);
        claim.lose_sight();
        assert_eq!((claim.standing, claim.taken), (SinkStanding::Waiting, true));
        // It kept ours: what was before stays what we know.
        assert!(!claim.see(Some(OURS), true));
        assert_eq!((claim.standing, claim.record.previous.as_deref()), (SinkStanding::Default, None));
        claim.lose_sight();
        assert!(claim.see(Some(A), true));
        claim.see(Some(OURS), false);
        claim.lose_sight();
        assert!(claim.see(None, true));
        assert_eq!(claim.record.previous.as_deref(), Some(A));
    }

    #[test]
    fn only_what_names_a_sink_is_a_name() {
        assert_eq!(name_in(A).as_deref(), Some("speakers"));
        for text in ["", "{}", "speakers", r#"{"name":7}"#, "{ name = speakers }"] {
            assert_eq!(name_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_that_is_gone_has_nothing_to_undo_and_nonsense_is_refused() {
        let record = claim().record;
        assert_eq!(undo(&record.written()), Ok(()));
        assert!(undo(&UndoRecord { change: "x".into(), ..record.written() }).is_err());
    }
}
