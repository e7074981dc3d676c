//! Finds the desktops there are, in a fixed and logged order: a running sway session, else the private desktop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{AudioPolicyCell, Desktop, OpenError, reason};

use crate::builtin::{self, BuiltinDesktop};
use crate::private::{PrivateCompositor, PrivateConfig, PrivateDesktop};
use crate::wlroots::{SessionSockets, WlrootsDesktop};

/// Which desktops may be used (`--desktop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DesktopChoice {
    /// A running session if there is one, else the private desktop.
    #[default]
    Auto,
    /// Only a running wlroots session (sway).
    Wlroots,
    /// Only the private desktop.
    Private,
}

impl DesktopChoice {
    /// Every choice with its name on the command line.
    pub const ALL: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("wlroots", Self::Wlroots), ("private", Self::Private)];
}

impl std::str::FromStr for DesktopChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, choice)| *choice)
            .ok_or_else(|| format!("{text:?} is none of auto, wlroots, private"))
    }
}

/// The part of the environment that says where desktops are. A value, so that tests need not change the process's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's environment (what is not Unicode is left out).
    #[must_use]
    pub fn current() -> Self {
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// An environment made of the given variables.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// A variable; empty counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn runtime_dir(&self) -> Option<PathBuf> {
        self.get("XDG_RUNTIME_DIR").map(PathBuf::from)
    }
}

/// What [`detect`] goes by.
#[derive(Clone, Debug)]
pub struct DetectConfig {
    /// The operator's choice.
    pub choice: DesktopChoice,
    /// Where to look.
    pub environment: Environment,
    /// The layout of the configuration file, used where nobody else tells one.
    pub keyboard: Option<KeyboardLayout>,
    /// How to make private desktops.
    pub private: PrivateConfig,
    /// Who hears the programs of a running session.
    pub audio: AudioPolicyCell,
}

/// A desktop that was found, or why one was passed over.
pub struct Candidate {
    /// `sway`, `private-sway` or `private-builtin`.
    pub name: &'static str,
    /// What it was found by, for the log and `doctor`.
    pub why: String,
    /// The desktop, or why it cannot be used.
    pub desktop: Result<Arc<dyn Desktop>, OpenError>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = self.desktop.as_ref().map(|_| "usable");
        f.debug_struct("Candidate").field("name", &self.name).field("why", &self.why).field("is", &outcome).finish()
    }
}

/// Every desktop that `config` allows, best first. The caller takes the first usable one and logs the others; never
/// empty.
#[must_use]
pub fn detect(config: &DetectConfig) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    if config.choice != DesktopChoice::Private {
        let sessions = SessionSockets::find(&config.environment);
        if sessions.is_empty() && config.choice == DesktopChoice::Wlroots {
            let detail = "no sway IPC socket in SWAYSOCK or XDG_RUNTIME_DIR".to_owned();
            candidates.push(Candidate {
                name: "sway",
                why: "asked for".to_owned(),
                desktop: Err(OpenError { reason: &reason::DESKTOP_MISSING, detail }),
            });
        }
        for (sockets, why) in sessions {
            let (environment, keyboard) = (config.environment.clone(), config.keyboard.clone());
            let desktop = WlrootsDesktop::connect(sockets, environment, keyboard, config.audio.clone());
            candidates.push(Candidate { name: "sway", why, desktop: desktop.map(|d| Arc::new(d) as Arc<dyn Desktop>) });
        }
    }
    if config.choice != DesktopChoice::Wlroots {
        let why = match config.choice {
            DesktopChoice::Private => "asked for".to_owned(),
            _ => "works without a session".to_owned(),
        };
        candidates.push(private(config, why));
    }
    candidates
}

fn private(config: &DetectConfig, why: String) -> Candidate {
    let (private, environment) = (config.private.clone(), config.environment.clone());
    match &config.private.compositor {
        PrivateCompositor::Sway => {
            let desktop = PrivateDesktop::new(private, environment, config.keyboard.clone());
            Candidate { name: "private-sway", why, desktop: desktop.map(|d| Arc::new(d) as Arc<dyn Desktop>) }
        }
        PrivateCompositor::BuiltIn { worker } => {
            let desktop = BuiltinDesktop::new(private, worker.clone(), environment, config.keyboard.as_ref());
            Candidate { name: builtin::NAME, why, desktop: Ok(Arc::new(desktop)) }
        }
    }
}
