//! What people set in the console: `settings.json`, below flags, environment and configuration file.
//!
//! ```text
//! patch ─► checked against all layers ─► put into force (what can be) ─► saved ─┬─ nothing risky: done
//!                                                                               └─ on trial ─► confirm ─► kept
//!                                            15 s, revert, or a start that finds the trial ─► as before ◄┘
//! ```

mod keys;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use punktfunk_hub::events::{EventKind, Events};
use punktfunk_hub::state::{Document, Stored};
use punktfunk_media::reason;
use punktfunk_mgmt::Problem;
use punktfunk_mgmt::settings::{Applies, PinnedBy, SettingView, Settings, SettingsView, TrialView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::keys::{KEYS, Key};
use crate::cli::{CommonArgs, ListenArgs};
use crate::config::{Config, Layers};
use crate::live::Live;

/// `settings.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct SettingsFile {
    #[serde(default)]
    revision: u64,
    #[serde(default)]
    values: Map<String, Value>,
    /// A risky change that nobody confirmed yet. On disk, so that a host that dies meanwhile starts without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trial: Option<TrialFile>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct TrialFile {
    /// What the changed keys were; `null`: not set.
    before: Map<String, Value>,
}

impl Document for SettingsFile {
    const NAME: &'static str = "settings.json";
    const VERSION: u64 = 1;
}

impl SettingsFile {
    /// With a change on trial taken back.
    fn settled(mut self) -> Self {
        if let Some(trial) = self.trial.take() {
            self.revision += 1;
            trial.before.into_iter().for_each(|(key, value)| put(&mut self.values, key, value));
        }
        self
    }
}

fn put(values: &mut Map<String, Value>, key: String, value: Value) {
    if value.is_null() {
        values.remove(&key);
    } else {
        values.insert(key, value);
    }
}

/// Settings by key.
type Values = Map<String, Value>;

/// What was set, by key, without a change that nobody confirmed. A file that does not parse counts as empty; it is kept
/// aside when the host opens it.
#[must_use]
pub fn load(state: &Path) -> Map<String, Value> {
    let Ok(text) = std::fs::read(state.join(SettingsFile::NAME)) else { return Map::new() };
    serde_json::from_slice::<SettingsFile>(&text).map(|f| f.settled().values).unwrap_or_default()
}

/// Keeps the settings of the running host.
pub struct HostSettings {
    layers: Layers,
    /// What the host started with.
    started: Config,
    defaults: Config,
    live: Box<dyn Live>,
    events: Arc<Events>,
    state: Mutex<State>,
    /// For the thread that ends a trial.
    me: Weak<Self>,
}

struct State {
    stored: Stored<SettingsFile>,
    /// What the settings say now; in force as far as [`Applies`] tells.
    current: Config,
    /// When the trial ends.
    until: Option<Instant>,
}

impl HostSettings {
    /// For a host that runs with `running`, which was made from `layers`.
    #[must_use]
    pub fn new(layers: Layers, running: Config, folder: &Path, live: Box<dyn Live>, events: Arc<Events>) -> Arc<Self> {
        let (mut stored, problem) = Stored::<SettingsFile>::load(folder);
        if let Some(problem) = problem {
            tracing::warn!(%problem, fix = problem.reason.fix, "the settings could not be read");
        }
        if let Some(trial) = stored.get().trial.clone() {
            let keys: Vec<_> = trial.before.keys().cloned().collect();
            tracing::warn!(
                ?keys,
                "nobody confirmed these settings before the host ended: they are as they were before"
            );
            // When this cannot be saved, the next start does the same.
            let _ = stored.set_anyway(stored.get().clone().settled());
            events.send(EventKind::SettingsReverted { keys, why: "restart" });
        }
        let nothing = Layers { listen: ListenArgs::default(), common: CommonArgs::default(), file: toml::Table::new() };
        // Nothing given is always valid.
        let defaults = nothing.resolve(&Map::new()).unwrap_or_else(|_| running.clone());
        let state = Mutex::new(State { stored, current: running.clone(), until: None });
        Arc::new_cyclic(|me| Self { layers, started: running, defaults, live, events, state, me: me.clone() })
    }

    /// The state. A trial whose time is over has ended.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.until.is_some_and(|until| until <= Instant::now()) {
            self.take_back(&mut state, "nobody");
        }
        state
    }

    fn pinned(&self, key: &Key) -> Option<PinnedBy> {
        if (key.given)(&self.layers.listen, &self.layers.common) {
            return Some(PinnedBy::CommandLine);
        }
        self.layers.file_has(key.key).then_some(PinnedBy::File)
    }

    fn shown(&self, state: &State) -> SettingsView {
        let file = state.stored.get();
        let one = |key: &Key| SettingView {
            key: key.key.to_owned(),
            description: key.description.to_owned(),
            kind: key.kind,
            choices: key.choices.iter().map(|c| (*c).to_owned()).collect(),
            minimum: key.bounds.map(|b| b.0),
            maximum: key.bounds.map(|b| b.1),
            value: file.values.get(key.key).cloned(),
            running: (key.value)(if key.applies == Applies::Restart { &self.started } else { &state.current }),
            default: text(&(key.value)(&self.defaults)),
            applies: key.applies,
            risky: key.risky.is_some(),
            pinned_by: self.pinned(key),
        };
        let trial = file.trial.as_ref().zip(state.until).map(|(trial, until)| TrialView {
            revision: file.revision,
            keys: trial.before.keys().cloned().collect(),
            left_ms: u64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX),
            console_port: self.live.console_port(),
        });
        let waits =
            |key: &Key| key.applies == Applies::Restart && (key.value)(&self.started) != (key.value)(&state.current);
        SettingsView {
            revision: file.revision,
            restart_needed: KEYS.iter().any(waits),
            trial,
            settings: KEYS.iter().map(one).collect(),
        }
    }

    /// The values with these changes, and what they were.
    fn changed(&self, values: &Map<String, Value>, changes: &Map<String, Value>) -> Result<(Values, Values), Problem> {
        let (mut next, mut before) = (values.clone(), Map::new());
        for (name, value) in changes {
            let Some(key) = KEYS.iter().find(|k| k.key == name) else {
                return Err(Problem::new(&reason::SETTINGS_UNKNOWN_KEY).with_detail(format!("`{name}`")));
            };
            if self.pinned(key).is_some() {
                return Err(Problem::new(&reason::CONFIG_PINNED).with_detail(format!("`{name}`")));
            }
            if let (Some((least, most)), Some(number)) = (key.bounds, value.as_u64())
                && !(least..=most).contains(&number)
            {
                let detail = format!("`{name}`: {number} is not {least} to {most}");
                return Err(Problem::new(&reason::SETTINGS_INVALID).with_detail(detail));
            }
            before.insert(name.clone(), values.get(name).cloned().unwrap_or_default());
            put(&mut next, name.clone(), value.clone());
        }
        Ok((next, before))
    }

    fn resolved(&self, values: &Map<String, Value>) -> Result<Config, Problem> {
        self.layers.resolve(values).map_err(|e| Problem::new(&reason::SETTINGS_INVALID).with_detail(e.detail))
    }

    /// Looks again when the trial's time is over.
    fn watch(&self) {
        let me = self.me.clone();
        let body = move || {
            std::thread::sleep(TRIAL);
            if let Some(settings) = me.upgrade() {
                drop(settings.lock());
            }
        };
        if let Err(e) = std::thread::Builder::new().name("settings-trial".into()).spawn(body) {
            tracing::error!(%e, "no thread to watch a change on trial: it goes back when somebody looks");
        }
    }

    fn take_back(&self, state: &mut State, why: &'static str) {
        let before = state.stored.get().clone().settled();
        let keys = state.stored.get().trial.iter().flat_map(|t| t.before.keys().cloned()).collect();
        match self.resolved(&before.values) {
            Ok(config) => {
                if let Err(problem) = self.live.apply(&state.current, &config) {
                    tracing::error!(%problem, "not everything is as it was before");
                }
                state.current = config;
            }
            Err(problem) => tracing::error!(%problem, "the settings from before do not fit any more"),
        }
        state.until = None;
        // When this cannot be saved, the next start takes the change back.
        let _ = state.stored.set_anyway(before);
        tracing::info!(?keys, why, "settings are as they were before");
        self.events.send(EventKind::SettingsReverted { keys, why });
    }

    /// The state, if a change is on trial and is the one that the caller means.
    fn on_trial(&self, revision: Option<u64>) -> Result<MutexGuard<'_, State>, Problem> {
        let state = self.lock();
        if state.until.is_none() {
            return Err(Problem::new(&reason::SETTINGS_NOTHING_TO_CONFIRM));
        }
        if revision.is_some_and(|seen| seen != state.stored.get().revision) {
            return Err(Problem::new(&reason::SETTINGS_CONFLICT));
        }
        Ok(state)
    }
}

impl Settings for HostSettings {
    fn view(&self) -> SettingsView {
        self.shown(&self.lock())
    }

    fn patch(&self, revision: Option<u64>, changes: &Map<String, Value>) -> Result<SettingsView, Problem> {
        let mut state = self.lock();
        if state.until.is_some() {
            return Err(Problem::new(&reason::SETTINGS_TRIAL_RUNNING));
        }
        let file = state.stored.get();
        if revision.is_some_and(|seen| seen != file.revision) {
            return Err(Problem::new(&reason::SETTINGS_CONFLICT));
        }
        let (values, before) = self.changed(&file.values, changes)?;
        let config = self.resolved(&values)?;
        let differs = |key: &Key| (key.value)(&state.current) != (key.value)(&config);
        let risky =
            KEYS.iter().any(|k| before.contains_key(k.key) && differs(k) && k.risky.is_some_and(|r| r(&config)));
        let trial = risky.then_some(TrialFile { before });
        let next = SettingsFile { revision: file.revision + 1, values, trial, extra: file.extra.clone() };
        self.live.check(&state.current, &config)?;
        self.live.apply(&state.current, &config)?;
        if let Err(e) = state.stored.set(next) {
            if let Err(problem) = self.live.apply(&config, &state.current) {
                tracing::error!(%problem, "a change that could not be saved could not be taken back either");
            }
            return Err(Problem::new(e.reason).with_detail(e.to_string()));
        }
        state.current = config;
        if risky {
            state.until = Some(Instant::now() + TRIAL);
            self.watch();
        }
        self.events.send(EventKind::SettingsChanged { keys: changes.keys().cloned().collect() });
        Ok(self.shown(&state))
    }

    fn confirm(&self, revision: Option<u64>) -> Result<SettingsView, Problem> {
        let mut state = self.on_trial(revision)?;
        let mut kept = state.stored.get().clone();
        let keys = kept.trial.take().into_iter().flat_map(|t| t.before.into_iter().map(|(key, _)| key)).collect();
        state.stored.set(kept).map_err(|e| Problem::new(e.reason).with_detail(e.to_string()))?;
        state.until = None;
        self.live.keep();
        self.events.send(EventKind::SettingsChanged { keys });
        Ok(self.shown(&state))
    }

    fn revert(&self, revision: Option<u64>) -> Result<SettingsView, Problem> {
        let mut state = self.on_trial(revision)?;
        self.take_back(&mut state, "operator");
        Ok(self.shown(&state))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Long enough to read a question and to open the console at its new address, short enough to wait for.
const TRIAL: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what was put into force; refuses a taken port.
    #[derive(Clone, Default)]
    struct Noted(Arc<Mutex<Vec<String>>>);

    impl Noted {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("no panic"))
        }
    }

    impl Live for Noted {
        fn check(&self, _: &Config, to: &Config) -> Result<(), Problem> {
            match &to.gpu {
                crate::cli::GpuName::Bus(_) => Err(Problem::new(&reason::GPU_MISSING)),
                _ => Ok(()),
            }
        }

        fn apply(&self, from: &Config, to: &Config) -> Result<(), Problem> {
            if to.web_port == Some(1) {
                return Err(Problem::new(&reason::HOST_PORT_TAKEN));
            }
            let note = |what: &str, a: String, b: String| {
                if a != b {
                    self.0.lock().expect("no panic").push(format!("{what} {a} > {b}"));
                }
            };
            note("sessions", from.max_sessions.to_string(), to.max_sessions.to_string());
            note("web", format!("{:?}", from.web_port), format!("{:?}", to.web_port));
            note("pairing", format!("{:?}", from.pairing), format!("{:?}", to.pairing));
            Ok(())
        }

        fn keep(&self) {
            self.0.lock().expect("no panic").push("keep".into());
        }

        fn console_port(&self) -> Option<u16> {
            Some(7)
        }
    }

    fn with(dir: &Path, listen: ListenArgs, file: &str, live: Noted) -> Arc<HostSettings> {
        let layers = Layers { listen, common: CommonArgs::default(), file: file.parse().expect("TOML") };
        let running = layers.resolve(&load(dir)).expect("valid");
        HostSettings::new(layers, running, dir, Box::new(live), Arc::default())
    }

    fn settings(dir: &Path, listen: ListenArgs, file: &str) -> Arc<HostSettings> {
        with(dir, listen, file, Noted::default())
    }

    /// As if its 15 seconds were over.
    fn time_is_up(host: &HostSettings) {
        host.lock().until = Some(Instant::now());
    }

    fn change(json: Value) -> Map<String, Value> {
        json.as_object().expect("a map").clone()
    }

    #[test]
    fn a_change_is_in_force_when_its_key_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let live = Noted::default();
        let host = with(dir.path(), ListenArgs::default(), "", live.clone());
        let before = host.view();
        let changes = change(serde_json::json!({"network.name": "sofa", "host.max_sessions": 2}));
        let after = host.patch(Some(before.revision), &changes).expect("valid");
        assert!(!before.restart_needed && after.restart_needed && after.trial.is_none());
        assert_eq!(live.take(), ["sessions 4 > 2"]);
        let running =
            |view: &SettingsView, key| view.settings.iter().find(|s| s.key == key).expect("a key").running.clone();
        assert_eq!(running(&after, "host.max_sessions"), 2);
        assert_ne!(running(&after, "network.name"), "sofa", "that is for the next start");
        let stale = host.patch(Some(before.revision), &changes).expect_err("somebody was faster");
        assert_eq!(stale.code, "settings.conflict");
        let again = settings(dir.path(), ListenArgs::default(), "");
        assert_eq!((again.started.name.as_str(), again.started.max_sessions), ("sofa", 2));
        assert!(!again.view().restart_needed);
        again.patch(None, &change(serde_json::json!({"host.max_sessions": null}))).expect("back to the default");
        assert!(!load(dir.path()).contains_key("host.max_sessions"));
    }

    #[test]
    fn a_risky_change_goes_back_unless_it_is_confirmed() {
        let dir = tempfile::tempdir().expect("a folder");
        let live = Noted::default();
        let host = with(dir.path(), ListenArgs::default(), "", live.clone());
        let moved = change(serde_json::json!({"web.port": 48000, "host.max_sessions": 9}));
        let trial = host.patch(None, &moved).expect("valid").trial.expect("risky");
        assert_eq!((trial.keys.len(), trial.console_port), (2, Some(7)));
        assert!(trial.left_ms > 10_000 && trial.left_ms <= 15_000, "{}", trial.left_ms);
        assert_eq!(host.patch(None, &moved).expect_err("one at a time").code, "settings.trial_running");
        assert_eq!(host.confirm(Some(trial.revision + 1)).expect_err("another").code, "settings.conflict");
        assert_eq!(live.take(), ["sessions 4 > 9", "web Some(47992) > Some(48000)"]);
        assert!(load(dir.path()).is_empty(), "a host that dies now starts as before");
        time_is_up(&host);
        let view = host.view();
        assert!(view.trial.is_none() && view.revision > trial.revision);
        assert_eq!(live.take(), ["sessions 9 > 4", "web Some(48000) > Some(47992)"]);
        assert_eq!(host.confirm(None).expect_err("too late").code, "settings.nothing_to_confirm");

        host.patch(None, &moved).expect("valid");
        live.take();
        assert!(host.confirm(None).expect("in time").trial.is_none());
        assert_eq!(live.take(), ["keep"]);
        assert_eq!(load(dir.path())["web.port"], 48000);
        let open = change(serde_json::json!({"pairing.policy": "open"}));
        assert!(host.patch(None, &open).expect("valid").trial.is_some());
        assert!(host.revert(None).expect("it runs").trial.is_none());
        assert!(!load(dir.path()).contains_key("pairing.policy"));
        let same = change(serde_json::json!({"web.port": 48000, "pairing.policy": "required"}));
        assert!(host.patch(None, &same).expect("valid").trial.is_none(), "nothing became risky");
        let taken = host.patch(None, &change(serde_json::json!({"web.port": 1, "host.max_sessions": 3})));
        assert_eq!(taken.expect_err("it cannot be").code, "host.port_taken");
        assert_eq!(
            (load(dir.path())["web.port"].as_u64(), load(dir.path())["host.max_sessions"].as_u64()),
            (Some(48000), Some(9))
        );
    }

    #[test]
    fn a_start_takes_back_what_was_on_trial() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = settings(dir.path(), ListenArgs::default(), "");
        first.patch(None, &change(serde_json::json!({"host.max_sessions": 7}))).expect("valid");
        first.patch(None, &change(serde_json::json!({"web.enabled": false, "host.max_sessions": 8}))).expect("valid");
        let text = std::fs::read_to_string(dir.path().join("settings.json")).expect("saved");
        assert!(text.contains("trial"), "{text}");
        // The first is gone without an end.
        let second = settings(dir.path(), ListenArgs::default(), "");
        assert_eq!((second.started.web_port, second.started.max_sessions), (Some(47992), 7));
        assert!(second.view().trial.is_none());
        let text = std::fs::read_to_string(dir.path().join("settings.json")).expect("saved");
        assert!(!text.contains("trial"), "{text}");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_with_all_that_came_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let live = Noted::default();
        let host = with(dir.path(), ListenArgs::default(), "", live.clone());
        let gone = change(serde_json::json!({"video.gpu": "0000:01:00.0", "host.max_sessions": 2}));
        assert_eq!(host.patch(None, &gone).expect_err("not there").code, "gpu.missing");
        assert!(load(dir.path()).is_empty() && live.take().is_empty() && host.view().revision == 0);
        let there = host.patch(None, &change(serde_json::json!({"video.gpu": "renderD128"}))).expect("there");
        assert!(there.restart_needed && live.take().is_empty());
        // Taken out before the next start: the setting stays as it is, and the host says so elsewhere.
        let again = settings(dir.path(), ListenArgs::default(), "");
        assert_eq!(again.started.gpu.to_string(), "/dev/dri/renderD128");
        again.patch(None, &change(serde_json::json!({"host.max_sessions": 2}))).expect("another matter");
    }

    #[test]
    fn pinned_unknown_and_invalid_values_change_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let listen = ListenArgs { name: Some("x".into()), ..ListenArgs::default() };
        let host = settings(dir.path(), listen, "video.encoder = \"x264\"");
        for (json, code) in [
            (serde_json::json!({"network.name": "y"}), "config.pinned"),
            (serde_json::json!({"video.encoder": "auto"}), "config.pinned"),
            (serde_json::json!({"network.bind": "::"}), "settings.unknown_key"),
            (serde_json::json!({"host.max_sessions": 0}), "settings.invalid"),
            (serde_json::json!({"video.gpu": "/dev/dri/card0"}), "settings.invalid"),
            (serde_json::json!({"video.gpu": 128}), "settings.invalid"),
            (serde_json::json!({"web.port": 0}), "settings.invalid"),
            (serde_json::json!({"web.port": "x"}), "settings.invalid"),
            (serde_json::json!({"host.max_sessions": 2, "network.mdns": "x"}), "settings.invalid"),
        ] {
            assert_eq!(host.patch(None, &change(json.clone())).expect_err("refused").code, code, "{json}");
        }
        assert!(load(dir.path()).is_empty() && host.view().revision == 0);
        let pinned = |key| host.view().settings.into_iter().find(|s| s.key == key).expect("a setting").pinned_by;
        assert_eq!(pinned("network.name"), Some(PinnedBy::CommandLine));
        assert_eq!(pinned("video.encoder"), Some(PinnedBy::File));
        assert_eq!(pinned("network.mdns"), None);
    }

    #[test]
    fn every_setting_is_a_key_of_the_file() {
        assert!(KEYS.iter().all(|k| crate::config::KEYS.contains(&k.key)));
    }
}
