//! The hub: everything that outlives a session, opened together.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use punktfunk_media::{Desktop, reason};

use crate::admission::Admission;
use crate::displays::{DisplayConfig, Displays};
use crate::events::{EventKind, Events};
use crate::journal::FileJournal;
use crate::lock;
use crate::pairing::Pairing;
use crate::state::{StateError, make_folder, probe_folder};
use crate::trust::Trust;

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

/// Everything that outlives a session.
pub struct Hub {
    config: HubConfig,
    events: Arc<Events>,
    trust: Arc<Trust>,
    pairing: Pairing,
    admission: Admission,
    journal: Arc<FileJournal>,
    problems: Mutex<Vec<StateError>>,
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
        if let Err(e) = make_folder(&config.state_dir) {
            problems.push(StateError::io(&config.state_dir, &e));
        } else if let Err(e) = probe_folder(&config.state_dir) {
            problems.push(e);
        }
        let journal = open_journal(&config, &mut problems)?;
        let (trust, problem) = Trust::open(&config.state_dir, Arc::clone(&events));
        problems.extend(problem);
        for problem in &problems {
            tracing::warn!(%problem, fix = problem.reason.fix, "the state folder has a problem");
            let (reason, detail) = (problem.reason.code, problem.to_string());
            events.send(EventKind::StateProblem { reason, detail });
        }
        let trust = Arc::new(trust);
        let pairing = Pairing::new(Arc::clone(&trust), Arc::clone(&events));
        let admission = Admission::new(config.max_sessions, Arc::clone(&events));
        let problems = Mutex::new(problems);
        Ok(Arc::new(Self { config, events, trust, pairing, admission, journal, problems }))
    }

    /// How it was set up.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.config
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

    /// What happens.
    #[must_use]
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Starts keeping the displays of a desktop; adopts what an earlier host left. Call after [`FileJournal::replay`].
    #[must_use]
    pub fn open_displays(&self, desktop: Arc<dyn Desktop>) -> Arc<Displays> {
        Displays::start(desktop, &self.journal, self.config.displays, Arc::clone(&self.events))
    }

    /// What is wrong with the state folder: found at start and, while it cannot be written, looked at anew.
    #[must_use]
    pub fn problems(&self) -> Vec<StateError> {
        let kept = |p: &StateError| p.reason == &reason::STATE_UNPARSABLE;
        let mut problems = lock(&self.problems);
        problems.retain(kept);
        if let Err(now) = probe_folder(&self.config.state_dir) {
            problems.push(now);
        }
        problems.clone()
    }
}

fn open_journal(config: &HubConfig, problems: &mut Vec<StateError>) -> Result<Arc<FileJournal>, StateError> {
    let path = config.state_dir.join(JOURNAL);
    let mut first_error = None;
    let fallback = config.fallback_dir.as_ref().map(|dir| dir.join(JOURNAL));
    for candidate in std::iter::once(&path).chain(&fallback) {
        if Some(candidate) == fallback.as_ref() && make_folder(parent(candidate)).is_err() {
            continue;
        }
        match FileJournal::open(candidate) {
            Ok((journal, problem)) => {
                problems.extend(problem);
                return Ok(journal);
            }
            Err(e) if e.reason == &reason::HOST_ALREADY_RUNNING => return Err(e),
            Err(e) => first_error = first_error.or(Some(e)),
        }
    }
    // The loop ran at least once, and only its errors lead here.
    let why = first_error.unwrap_or_else(|| StateError::io(&path, &std::io::ErrorKind::NotFound.into()));
    if !problems.iter().any(|p| p.reason == why.reason) {
        problems.push(why.clone());
    }
    Ok(FileJournal::unwritable(&path, &why))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The journal's file name.
pub const JOURNAL: &str = "journal";
