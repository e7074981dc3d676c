//! What can be set without a text editor. Who keeps the settings implements [`Settings`]; the API only asks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::Problem;

/// Keeps the settings. Called on a blocking thread.
pub trait Settings: Send + Sync {
    /// Every setting, as it is now.
    fn view(&self) -> SettingsView;

    /// Changes some, all or none: `null` goes back to the default. `revision`: the one that the caller saw.
    ///
    /// # Errors
    /// `settings.*`, `config.pinned`, `state.*`.
    fn patch(&self, revision: Option<u64>, changes: &Map<String, Value>) -> Result<SettingsView, Problem>;

    /// Keeps the change that is on trial. `revision`: that of the change, as far as the caller tells.
    ///
    /// # Errors
    /// `settings.nothing_to_confirm`, `settings.conflict`, `state.*`.
    fn confirm(&self, revision: Option<u64>) -> Result<SettingsView, Problem>;

    /// Takes the change that is on trial back at once.
    ///
    /// # Errors
    /// `settings.nothing_to_confirm`, `settings.conflict`.
    fn revert(&self, revision: Option<u64>) -> Result<SettingsView, Problem>;
}

/// Every setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingsView {
    /// Rises with every change. Send it with a change, so that two people do not undo each other's.
    pub revision: u64,
    /// Whether something waits for a restart of the host.
    pub restart_needed: bool,
    /// A risky change that is in force and goes back by itself unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialView>,
    /// The settings, by key.
    pub settings: Vec<SettingView>,
}

/// A change that could lock its owner out, or let others in: it is tried, and goes back by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialView {
    /// The revision to confirm.
    pub revision: u64,
    /// What was changed.
    pub keys: Vec<String>,
    /// When it goes back unless it is confirmed.
    pub left_ms: u64,
    /// TCP port of the console from now on; absent: there is none. At another port than this one, confirm there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_port: Option<u16>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingView {
    /// As in the configuration file.
    #[schema(example = "video.encoder")]
    pub key: String,
    /// What it is about.
    pub description: String,
    /// What values it takes.
    pub kind: SettingKind,
    /// For a choice: the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// For an integer: the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u64>,
    /// For an integer: the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u64>,
    /// The value that was set here; absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub value: Option<Value>,
    /// The value in force.
    #[schema(value_type = Value)]
    pub running: Value,
    /// What it is when nobody sets it.
    pub default: String,
    /// When a change is in force.
    pub applies: Applies,
    /// Whether a change goes back by itself after 15 s unless it is confirmed. For a choice, it may depend on the value.
    #[serde(default)]
    pub risky: bool,
    /// What fixes it, if something does: it cannot be changed here then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<PinnedBy>,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// Yes or no.
    Bool,
    /// A whole number.
    Integer,
    /// One of its choices.
    Choice,
    /// Text.
    Text,
}

/// When a change is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Applies {
    /// At once.
    Now,
    /// For sessions that begin later.
    NextSession,
    /// When the host is started again.
    Restart,
}

/// What fixes a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinnedBy {
    /// A flag or an environment variable.
    CommandLine,
    /// The configuration file.
    File,
}

/// Changes settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChangeRequest {
    /// The revision that the caller saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// New values by key; `null` goes back to the default.
    #[schema(value_type = Object, example = json!({"video.encoder": "x264"}))]
    pub changes: Map<String, Value>,
}

/// Keeps or takes back a change on trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// The revision of the change, so that nobody confirms what they did not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A host without settings.
pub(crate) struct NoSettings;

impl Settings for NoSettings {
    fn view(&self) -> SettingsView {
        SettingsView::default()
    }

    fn patch(&self, _: Option<u64>, changes: &Map<String, Value>) -> Result<SettingsView, Problem> {
        match changes.keys().next() {
            None => Ok(self.view()),
            Some(key) => {
                Err(Problem::new(&punktfunk_media::reason::SETTINGS_UNKNOWN_KEY).with_detail(format!("`{key}`")))
            }
        }
    }

    fn confirm(&self, _: Option<u64>) -> Result<SettingsView, Problem> {
        Err(Problem::new(&punktfunk_media::reason::SETTINGS_NOTHING_TO_CONFIRM))
    }

    fn revert(&self, _: Option<u64>) -> Result<SettingsView, Problem> {
        Err(Problem::new(&punktfunk_media::reason::SETTINGS_NOTHING_TO_CONFIRM))
    }
}
