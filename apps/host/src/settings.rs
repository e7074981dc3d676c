//! What people set in the console: `settings.json`, below flags, environment and configuration file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use punktfunk_hub::state::{Document, Stored};
use punktfunk_media::{AudioPolicyCell, reason};
use punktfunk_mgmt::Problem;
use punktfunk_mgmt::settings::{Applies, PinnedBy, SettingKind, SettingView, Settings, SettingsView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cli::{CommonArgs, DesktopChoice, EncoderName, ListenArgs, PairingChoice};
use crate::config::{Config, Layers, Linger};

/// `settings.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct SettingsFile {
    #[serde(default)]
    revision: u64,
    #[serde(default)]
    values: Map<String, Value>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Document for SettingsFile {
    const NAME: &'static str = "settings.json";
    const VERSION: u64 = 1;
}

/// One key that can be set.
struct Key {
    key: &'static str,
    description: &'static str,
    kind: SettingKind,
    choices: &'static [&'static str],
    bounds: Option<(u64, u64)>,
    value: fn(&Config) -> Value,
    /// Whether a flag or an environment variable sets it.
    given: fn(&ListenArgs, &CommonArgs) -> bool,
    /// Puts it in force in a host that runs. `None`: a restart does.
    apply: Option<fn(&Live, &mut Config, &Config)>,
}

/// What follows a setting while the host runs.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// `audio.policy`.
    pub audio_policy: AudioPolicyCell,
}

/// Every key that can be set; what could lock its owner out of the console, or run programs, stays in the file.
const KEYS: [Key; 11] = [
    Key {
        key: "network.name",
        description: "The name that clients see.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| c.name.clone().into(),
        given: |l, _| l.name.is_some(),
        apply: None,
    },
    Key {
        key: "network.mdns",
        description: "Whether the host announces itself in the local network.",
        kind: SettingKind::Bool,
        choices: &[],
        bounds: None,
        value: |c| c.mdns.into(),
        given: |l, _| l.no_mdns,
        apply: None,
    },
    Key {
        key: "network.data_port",
        description: "UDP ports for video, one per session, e.g. 47000-47015: for firewalls.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| c.data_ports.as_ref().map_or(Value::Null, |p| format!("{}-{}", p.start(), p.end()).into()),
        given: |l, _| l.data_port.is_some(),
        apply: None,
    },
    Key {
        key: "pairing.policy",
        description: "Who may connect: only paired devices, or everybody.",
        kind: SettingKind::Choice,
        choices: &["required", "open"],
        bounds: None,
        value: |c| match c.pairing {
            PairingChoice::Required => "required".into(),
            PairingChoice::Open => "open".into(),
        },
        given: |l, _| l.pairing.is_some() || l.open,
        apply: None,
    },
    Key {
        key: "desktop.choice",
        description: "Which desktop is streamed: a running session, or a private one for every client.",
        kind: SettingKind::Choice,
        choices: &["auto", "wlroots", "private"],
        bounds: None,
        value: |c| match c.desktop {
            DesktopChoice::Auto => "auto".into(),
            DesktopChoice::Wlroots => "wlroots".into(),
            DesktopChoice::Private => "private".into(),
        },
        given: |_, c| c.desktop.is_some(),
        apply: None,
    },
    Key {
        key: "desktop.linger",
        description: "How long a display and its programs outlive their client: off, seconds, or forever.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| match c.linger {
            Linger::Off => "off".into(),
            Linger::For(time) => time.as_secs().to_string().into(),
            Linger::Forever => "forever".into(),
        },
        given: |l, _| l.linger.is_some(),
        apply: None,
    },
    Key {
        key: "desktop.keyboard_layout",
        description: "Keyboard layout where the desktop does not tell, e.g. us, de, fr.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| c.keyboard_layout.clone().map_or(Value::Null, Value::from),
        given: |_, c| c.keyboard_layout.is_some(),
        apply: None,
    },
    Key {
        key: "video.encoder",
        description: "Which video encoder is used.",
        kind: SettingKind::Choice,
        choices: &["auto", "x264", "openh264"],
        bounds: None,
        value: |c| match c.encoder {
            EncoderName::Auto => "auto".into(),
            EncoderName::X264 => "x264".into(),
            EncoderName::Openh264 => "openh264".into(),
        },
        given: |_, c| c.encoder.is_some(),
        apply: None,
    },
    Key {
        key: "video.max_bitrate_kbps",
        description: "Upper limit of a session's bitrate in kbit/s.",
        kind: SettingKind::Integer,
        choices: &[],
        bounds: Some((500, 8_000_000)),
        value: |c| c.max_bitrate_kbps.into(),
        given: |l, _| l.max_bitrate.is_some(),
        apply: None,
    },
    Key {
        key: "audio.policy",
        description: "Who hears the programs of a running session: the client, both, or wherever they play.",
        kind: SettingKind::Choice,
        choices: &["client_only", "host_and_client", "follow_default"],
        bounds: None,
        value: |c| c.audio_policy.name().into(),
        given: |_, c| c.audio_policy.is_some(),
        apply: Some(|live, running, next| {
            running.audio_policy = next.audio_policy;
            live.audio_policy.set(next.audio_policy);
        }),
    },
    Key {
        key: "host.max_sessions",
        description: "Sessions at once.",
        kind: SettingKind::Integer,
        choices: &[],
        bounds: Some((1, 1024)),
        value: |c| c.max_sessions.into(),
        given: |l, _| l.max_sessions.is_some(),
        apply: None,
    },
];

/// What was set, by key. A file that does not parse counts as empty; it is kept aside when the host opens it.
#[must_use]
pub fn load(state: &Path) -> Map<String, Value> {
    let Ok(text) = std::fs::read(state.join(SettingsFile::NAME)) else { return Map::new() };
    serde_json::from_slice::<SettingsFile>(&text).map(|f| f.values).unwrap_or_default()
}

/// Keeps the settings of the running host.
pub struct HostSettings {
    layers: Layers,
    running: Mutex<Config>,
    live: Live,
    defaults: Config,
    stored: Mutex<Stored<SettingsFile>>,
}

impl HostSettings {
    /// For a host that runs with `running`, which was made from `layers`. `live` follows what needs no restart.
    #[must_use]
    pub fn new(layers: Layers, running: Config, live: Live, state: &Path) -> Self {
        let (stored, problem) = Stored::load(state);
        if let Some(problem) = problem {
            tracing::warn!(%problem, fix = problem.reason.fix, "the settings could not be read");
        }
        let nothing = Layers { listen: ListenArgs::default(), common: CommonArgs::default(), file: toml::Table::new() };
        // Nothing given is always valid.
        let defaults = nothing.resolve(&Map::new()).unwrap_or_else(|_| running.clone());
        Self { layers, running: Mutex::new(running), live, defaults, stored: Mutex::new(stored) }
    }

    fn pinned(&self, key: &Key) -> Option<PinnedBy> {
        if (key.given)(&self.layers.listen, &self.layers.common) {
            return Some(PinnedBy::CommandLine);
        }
        self.layers.file_has(key.key).then_some(PinnedBy::File)
    }

    fn shown(&self, file: &SettingsFile) -> SettingsView {
        let next = self.layers.resolve(&file.values).ok();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |key: &Key| SettingView {
            key: key.key.to_owned(),
            description: key.description.to_owned(),
            kind: key.kind,
            choices: key.choices.iter().map(|c| (*c).to_owned()).collect(),
            minimum: key.bounds.map(|b| b.0),
            maximum: key.bounds.map(|b| b.1),
            value: file.values.get(key.key).cloned(),
            running: (key.value)(&running),
            default: text(&(key.value)(&self.defaults)),
            applies: if key.apply.is_some() { Applies::Now } else { Applies::Restart },
            pinned_by: self.pinned(key),
        };
        SettingsView {
            revision: file.revision,
            restart_needed: next.is_some_and(|next| next != *running),
            settings: KEYS.iter().map(one).collect(),
        }
    }
}

impl Settings for HostSettings {
    fn view(&self) -> SettingsView {
        self.shown(self.stored.lock().unwrap_or_else(PoisonError::into_inner).get())
    }

    fn patch(&self, revision: Option<u64>, changes: &Map<String, Value>) -> Result<SettingsView, Problem> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = stored.get().clone();
        if revision.is_some_and(|seen| seen != next.revision) {
            return Err(Problem::new(&reason::SETTINGS_CONFLICT));
        }
        for (name, value) in changes {
            let Some(key) = KEYS.iter().find(|k| k.key == name) else {
                return Err(Problem::new(&reason::SETTINGS_UNKNOWN_KEY).with_detail(format!("`{name}`")));
            };
            if self.pinned(key).is_some() {
                return Err(Problem::new(&reason::CONFIG_PINNED).with_detail(format!("`{name}`")));
            }
            if value.is_null() {
                next.values.remove(name);
            } else {
                next.values.insert(name.clone(), value.clone());
            }
        }
        let config = self.layers.resolve(&next.values);
        let config = config.map_err(|e| Problem::new(&reason::SETTINGS_INVALID).with_detail(e.detail))?;
        next.revision += 1;
        stored.set(next).map_err(|e| Problem::new(e.reason).with_detail(e.to_string()))?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        KEYS.iter().filter_map(|key| key.apply).for_each(|apply| apply(&self.live, &mut running, &config));
        drop(running);
        Ok(self.shown(stored.get()))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &Path, listen: ListenArgs, file: &str) -> HostSettings {
        let layers = Layers { listen, common: CommonArgs::default(), file: file.parse().expect("TOML") };
        let running = layers.resolve(&load(dir)).expect("valid");
        HostSettings::new(layers, running, Live::default(), dir)
    }

    fn running(host: &HostSettings) -> Config {
        host.running.lock().unwrap().clone()
    }

    #[test]
    fn the_audio_policy_is_in_force_at_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let host = settings(dir.path(), ListenArgs::default(), "");
        for policy in ["follow_default", "host_and_client", "client_only"] {
            let view = host.patch(None, &change(serde_json::json!({"audio.policy": policy}))).expect("valid");
            assert!(!view.restart_needed);
            assert_eq!((host.live.audio_policy.get().name(), running(&host).audio_policy.name()), (policy, policy));
        }
        let error = host.patch(None, &change(serde_json::json!({"audio.policy": "loud"}))).expect_err("no policy");
        assert_eq!((&*error.code, host.live.audio_policy.get().name()), ("settings.invalid", "client_only"));
    }

    fn change(json: Value) -> Map<String, Value> {
        json.as_object().expect("a map").clone()
    }

    #[test]
    fn a_change_is_kept_and_in_force_after_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let host = settings(dir.path(), ListenArgs::default(), "");
        let before = host.view();
        assert!(!before.restart_needed);
        let changes = change(serde_json::json!({"video.encoder": "openh264", "host.max_sessions": 2}));
        let after = host.patch(Some(before.revision), &changes).expect("valid");
        assert!(after.restart_needed);
        let stale = host.patch(Some(before.revision), &changes).expect_err("somebody was faster");
        assert_eq!(stale.code, "settings.conflict");
        let again = settings(dir.path(), ListenArgs::default(), "");
        assert_eq!((running(&again).encoder, running(&again).max_sessions), (EncoderName::Openh264, 2));
        assert!(!again.view().restart_needed);
        again.patch(None, &change(serde_json::json!({"video.encoder": null}))).expect("back to the default");
        assert!(load(dir.path()).get("video.encoder").is_none());
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
