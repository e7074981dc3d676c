//! The hub: everything that outlives a session, opened together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use punktfunk_core::Fingerprint;
use punktfunk_library::Roots;
use punktfunk_media::{Desktop, reason};
use tokio::sync::watch;

use crate::admission::Admission;
use crate::apps::Apps;
use crate::displays::{ClientFacts, DisplayConfig, Displays, OwnFit};
use crate::events::{EventKind, Events};
use crate::journal::FileJournal;
use crate::library::{Library, LibraryConfig};
use crate::live::Live;
use crate::pairing::{APPROVAL_WAIT, Pairing};
use crate::state::{StateError, make_folder, probe_folder};
use crate::trust::{Trust, TrustState};

/// How the hub is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Folder of the state files; made if it is missing.
    pub state_dir: PathBuf,
    /// Where the journal goes when the state folder cannot be written (the runtime folder), so that displays still work.
    pub fallback_dir: Option<PathBuf>,
    /// Sessions at once, at least 1.
    pub max_sessions: usize,
    /// Whether unpaired clients get in.
    pub pairing_policy: PairingPolicy,
    /// How long an unpaired client waits for the operator.
    pub approval_wait: Duration,
    /// How displays are kept.
    pub displays: DisplayConfig,
}

impl HubConfig {
    /// The defaults for a state folder: 4 sessions (punktfunk1.md §8.2), pairing required.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            fallback_dir: None,
            max_sessions: 4,
            pairing_policy: PairingPolicy::Required,
            approval_wait: APPROVAL_WAIT,
            displays: DisplayConfig::default(),
        }
    }
}

/// Who gets past the gate (punktfunk1.md §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PairingPolicy {
    /// Only paired clients, and those the operator approves.
    #[default]
    Required,
    /// Everybody, with full grants.
    Open,
}

/// What may change while the host runs, as far as planes ask for it: for sessions that begin later, and for adverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether unpaired clients get in.
    pub pairing: PairingPolicy,
    /// Upper limit of a session's bitrate in kbit/s; `None`: what the plane was set up with.
    pub max_kbps: Option<u32>,
    /// TCP port of the management API on the network, 0 when it is not served; `None`: what the plane was set up with.
    pub api_port: Option<u16>,
}

/// Everything that outlives a session.
pub struct Hub {
    config: HubConfig,
    policy: watch::Sender<Policy>,
    events: Arc<Events>,
    trust: Arc<Trust>,
    pairing: Pairing,
    admission: Admission,
    journal: Arc<FileJournal>,
    live: Arc<Live>,
    /// Found at start, and true until the next one.
    problems: Vec<StateError>,
}

impl Hub {
    /// Opens the state folder and locks the journal. A folder that cannot be read or written does not stop the host: it
    /// is told in [`Hub::problems`], and what needs it is refused with its reason.
    ///
    /// # Errors
    /// `host.already_running`: another host has this state folder.
    pub fn open(config: HubConfig) -> Result<Arc<Self>, StateError> {
        let events = Arc::new(Events::default());
        let mut problems = Vec::new();
        let folder = make_folder(&config.state_dir)
            .map_err(|e| StateError::io(&config.state_dir, &e))
            .and_then(|()| probe_folder(&config.state_dir));
        let journal = open_journal(&config, &mut problems)?;
        let (trust, problem) = Trust::open(&config.state_dir, Arc::clone(&events));
        problems.extend(problem);
        for problem in folder.as_ref().err().into_iter().chain(&problems) {
            tracing::warn!(%problem, fix = problem.reason.fix, "the state folder has a problem");
            let (reason, detail) = (problem.reason.code, problem.to_string());
            events.send(EventKind::StateProblem { reason, detail });
        }
        let trust = Arc::new(trust);
        let pairing = Pairing::new(Arc::clone(&trust), Arc::clone(&events), config.approval_wait);
        let admission = Admission::new(config.max_sessions, Arc::clone(&events));
        let live = Live::new(Arc::clone(&events));
        let policy = Policy { pairing: config.pairing_policy, max_kbps: None, api_port: None };
        let policy = watch::Sender::new(policy);
        Ok(Arc::new(Self { config, policy, events, trust, pairing, admission, journal, live, problems }))
    }

    /// How it was set up.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// What counts now.
    #[must_use]
    pub fn policy(&self) -> Policy {
        *self.policy.borrow()
    }

    /// Tells when it changes.
    #[must_use]
    pub fn watch_policy(&self) -> watch::Receiver<Policy> {
        self.policy.subscribe()
    }

    /// Changes what counts from now on. Who came in only because everybody may is asked to leave when that ends.
    pub fn set_policy(&self, change: impl FnOnce(&mut Policy)) {
        let mut closed = false;
        self.policy.send_if_modified(|policy| {
            let before = *policy;
            change(policy);
            closed = before.pairing == PairingPolicy::Open && policy.pairing == PairingPolicy::Required;
            *policy != before
        });
        if closed {
            let now = SystemTime::now();
            let paired = |who: &Fingerprint| matches!(self.trust.state(who, now), TrustState::Paired { .. });
            let guests = self.admission.sessions().into_iter().filter(|s| !s.fingerprint.as_ref().is_some_and(paired));
            // One that left meanwhile is what we want.
            guests.for_each(|s| {
                let _ = self.admission.evict(s.id);
            });
        }
    }

    /// Who may come in.
    #[must_use]
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// PIN windows and knocks.
    #[must_use]
    pub fn pairing(&self) -> &Pairing {
        &self.pairing
    }

    /// Session slots.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// What must be undone.
    #[must_use]
    pub fn journal(&self) -> &Arc<FileJournal> {
        &self.journal
    }

    /// Who streams.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What happens.
    #[must_use]
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Starts keeping the displays of a desktop; adopts what an earlier host left. What is kept for a client ends when its
    /// access does. Call after [`FileJournal::replay`].
    #[must_use]
    pub fn open_displays(&self, desktop: Arc<dyn Desktop>) -> Arc<Displays> {
        let clients = Trusted { trust: Arc::clone(&self.trust), policy: self.policy.subscribe() };
        let events = Arc::clone(&self.events);
        Displays::start(desktop, &self.journal, self.config.displays, events, Box::new(clients))
    }

    /// Opens the library: what the configuration names, what people added, and what stores installed below `roots`.
    #[must_use]
    pub fn open_library(&self, config: LibraryConfig, roots: Option<Roots>) -> Arc<Library> {
        Library::open(config, roots, &self.config.state_dir, Arc::clone(&self.events))
    }

    /// Starts watching the library's programs on these displays; takes over what an earlier host left.
    #[must_use]
    pub fn open_apps(&self, library: Arc<Library>, displays: &Arc<Displays>) -> Arc<Apps> {
        Apps::start(library, Arc::clone(displays), &self.journal, Arc::clone(&self.events))
    }

    /// What is wrong with the state folder: what was found at start, and whether it can be written now. Quick, but asks
    /// the disk.
    #[must_use]
    pub fn problems(&self) -> Vec<StateError> {
        probe_folder(&self.config.state_dir).err().into_iter().chain(self.problems.iter().cloned()).collect()
    }
}

/// What displays ask about their clients.
struct Trusted {
    trust: Arc<Trust>,
    policy: watch::Receiver<Policy>,
}

impl ClientFacts for Trusted {
    fn may_keep(&self, identity: &str) -> bool {
        match Fingerprint::from_hex(identity) {
            Some(who) if self.policy.borrow().pairing == PairingPolicy::Required => {
                matches!(self.trust.state(&who, SystemTime::now()), TrustState::Paired { .. })
            }
            _ => true,
        }
    }

    fn own(&self, identity: &str) -> OwnFit {
        let record = Fingerprint::from_hex(identity).and_then(|who| self.trust.get(&who));
        record.map_or_else(OwnFit::default, |r| OwnFit {
            scale_percent: r.scale_percent,
            keyboard_layout: r.keyboard_layout,
        })
    }
}

fn open_journal(config: &HubConfig, problems: &mut Vec<StateError>) -> Result<Arc<FileJournal>, StateError> {
    let path = config.state_dir.join(JOURNAL);
    let mut first_error = None;
    let folders = || std::iter::once(&config.state_dir).chain(&config.fallback_dir);
    for folder in folders() {
        if make_folder(folder).is_err() {
            continue;
        }
        match FileJournal::open(&folder.join(JOURNAL)) {
            Ok((journal, problem)) => {
                problems.extend(problem);
                folders().filter(|other| *other != folder).for_each(|other| journal.import(&other.join(JOURNAL)));
                return Ok(journal);
            }
            Err(e) if e.reason == &reason::HOST_ALREADY_RUNNING => return Err(e),
            Err(e) => first_error = first_error.or(Some(e)),
        }
    }
    let why = first_error.unwrap_or_else(|| StateError::io(&path, &std::io::ErrorKind::NotFound.into()));
    problems.push(why.clone());
    Ok(FileJournal::unwritable(&path, &why))
}

/// The journal's file name.
pub const JOURNAL: &str = "journal";

#[cfg(test)]
mod tests {
    use punktfunk_core::{Fingerprint, Grants};
    use punktfunk_media::{Journal, UndoRecord};

    use super::*;
    use crate::trust::ClientRecord;

    fn record() -> UndoRecord {
        UndoRecord { backend: "test".into(), change: "x".into(), keep_for: Duration::ZERO, lease_until_ms: None }
    }

    #[test]
    fn a_second_host_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
        assert!(hub.problems().is_empty());
        let refused = Hub::open(HubConfig::new(dir.path().join("state"))).map(drop).expect_err("it lives");
        assert_eq!(refused.reason, &reason::HOST_ALREADY_RUNNING);
        drop(hub);
        Hub::open(HubConfig::new(dir.path().join("state"))).expect("free again");
    }

    #[test]
    fn with_a_broken_state_folder_the_host_serves_what_it_can() {
        let dir = tempfile::tempdir().expect("a folder");
        // A file where the folder should be: nobody, not even root, can write into it.
        let state = dir.path().join("state");
        std::fs::write(&state, "in the way").expect("writable");
        let hub = Hub::open(HubConfig::new(&state)).expect("not a reason to stop");
        assert_eq!(hub.problems()[0].reason, &reason::STATE_UNWRITABLE);
        let refused = Arc::clone(hub.journal()).record(record()).expect_err("not written, so not made");
        assert_eq!(refused.reason(), &reason::STATE_UNWRITABLE);
        let client = ClientRecord::new(Fingerprint([1; 32]), "x".into(), Grants::ALL);
        assert_eq!(hub.trust().add(client).expect_err("not saved").reason, &reason::STATE_UNWRITABLE);

        let fallback = dir.path().join("run");
        let config = HubConfig { fallback_dir: Some(fallback.clone()), ..HubConfig::new(&state) };
        let hub = Hub::open(config).expect("not a reason to stop");
        drop(Arc::clone(hub.journal()).record(record()).expect("the journal is elsewhere: displays work"));
        assert_eq!(hub.journal().path(), fallback.join(JOURNAL));
        std::fs::remove_file(&state).expect("ours");
        std::fs::create_dir(&state).expect("ours");
        assert!(hub.problems().is_empty(), "repaired while running");

        // What it left in the other journal is not forgotten by a host that finds its folder in order.
        Arc::clone(hub.journal()).record(record()).expect("room").leave();
        let config = hub.config().clone();
        std::fs::copy(fallback.join(JOURNAL), dir.path().join("left")).expect("a copy of what a killed host leaves");
        let config = HubConfig { fallback_dir: Some(dir.path().join("run2")), ..config };
        std::fs::create_dir(dir.path().join("run2")).expect("ours");
        std::fs::rename(dir.path().join("left"), dir.path().join("run2").join(JOURNAL)).expect("ours");
        let hub = Hub::open(config).expect("free");
        assert_eq!((hub.journal().path(), hub.journal().len()), (state.join(JOURNAL).as_path(), 1));
        let replayed = hub.journal().replay(crate::journal::UndoMap::new().with("test", |_| Ok(())));
        assert_eq!(replayed.undone, 1);
        assert!(!dir.path().join("run2").join(JOURNAL).exists());
    }

    #[test]
    fn a_file_that_does_not_parse_is_told_until_the_next_start() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("clients.json"), "{").expect("writable");
        let hub = Hub::open(HubConfig::new(dir.path())).expect("free");
        let reasons = |hub: &Hub| hub.problems().iter().map(|p| p.reason.code).collect::<Vec<_>>();
        assert_eq!(reasons(&hub), ["state.unparsable"]);
        assert_eq!(reasons(&hub), ["state.unparsable"]);
    }
}
