//! Sound: who hears the programs of a running session.

use axum::Json;
use axum::extract::State;
use punktfunk_media::{AudioPolicy, SinkStanding, SoundState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Body, blocking};
use crate::settings::PinnedBy;
use crate::views::Diagnostic;
use crate::{MgmtState, Problem};

/// Sound.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct AudioView {
    /// Who hears the programs of a running session.
    policy: PolicyName,
    /// What fixes the policy, if something does: it cannot be changed here then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned_by: Option<PinnedBy>,
    /// The sink that this host made for the running session, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sink: Option<SinkView>,
    /// Who listens to the running session, by the devices' names.
    listeners: Vec<String>,
    /// What was found about sound servers.
    findings: Vec<Diagnostic>,
}

/// Who hears the programs of a running session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PolicyName {
    /// The devices that watch. The host's speakers are silent, unless every device wants them.
    #[default]
    ClientOnly,
    /// The devices and the host's speakers.
    HostAndClient,
    /// Nothing is changed at the host; devices hear what its default sink plays.
    FollowDefault,
}

/// A sink that this host made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct SinkView {
    /// Its node name.
    #[schema(example = "punktfunk")]
    name: String,
    /// How many speakers it has: 2, 6 or 8.
    channels: u64,
    /// Whether programs play to it.
    standing: StandingName,
    /// Whether it plays on to the host's speakers.
    speakers: bool,
}

/// Whether programs play to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StandingName {
    /// No session manager answers.
    Waiting,
    /// It is the default one.
    Default,
    /// Somebody at the host chose another one.
    Overruled,
}

/// Changes the policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AudioChangeRequest {
    /// Who is to hear the programs of a running session from now on.
    #[serde(default)]
    policy: Option<PolicyName>,
}

impl From<AudioPolicy> for PolicyName {
    fn from(policy: AudioPolicy) -> Self {
        match policy {
            AudioPolicy::ClientOnly => Self::ClientOnly,
            AudioPolicy::HostAndClient => Self::HostAndClient,
            AudioPolicy::FollowDefault => Self::FollowDefault,
        }
    }
}

impl From<SinkStanding> for StandingName {
    fn from(standing: SinkStanding) -> Self {
        match standing {
            SinkStanding::Waiting => Self::Waiting,
            SinkStanding::Default => Self::Default,
            SinkStanding::Overruled => Self::Overruled,
        }
    }
}

fn look(state: &MgmtState) -> AudioView {
    let settings = state.settings.view();
    let setting = settings.settings.iter().find(|setting| setting.key == KEY);
    let running = setting.and_then(|s| serde_json::from_value(s.running.clone()).ok());
    let sound = state.displays.get().and_then(|displays| displays.sound_state());
    let SoundState { sink, listeners } = sound.unwrap_or_default();
    let mut findings = (state.diagnostics)();
    findings.retain(|row| row.id.starts_with("audio."));
    AudioView {
        policy: running.unwrap_or_default(),
        pinned_by: setting.and_then(|s| s.pinned_by),
        sink: sink.map(|sink| SinkView {
            name: sink.name,
            channels: sink.channels as u64,
            standing: sink.standing.into(),
            speakers: sink.speakers,
        }),
        listeners,
        findings,
    }
}

/// Who hears a running session, and where sound comes from
#[utoipa::path(
    get, path = "/api/v1/audio", operation_id = "audio", tag = "host",
    responses((status = 200, description = "Sound", body = AudioView))
)]
pub(super) async fn get(State(state): State<MgmtState>) -> Result<Json<AudioView>, Problem> {
    blocking(move || look(&state)).await.map(Json)
}

/// Decides who hears a running session, also of those that run
#[utoipa::path(
    patch, path = "/api/v1/audio", operation_id = "audio_change", tag = "host",
    request_body = AudioChangeRequest,
    responses((status = 200, description = "Sound as it is now; sessions that run follow in a moment", body = AudioView))
)]
pub(super) async fn change(
    State(state): State<MgmtState>,
    Body(request): Body<AudioChangeRequest>,
) -> Result<Json<AudioView>, Problem> {
    blocking(move || {
        if let Some(policy) = request.policy {
            let value = serde_json::to_value(policy).unwrap_or(Value::Null);
            state.settings.patch(None, &Map::from_iter([(KEY.to_owned(), value)]))?;
        }
        Ok(Json(look(&state)))
    })
    .await?
}

/// The setting behind it.
const KEY: &str = "audio.policy";
