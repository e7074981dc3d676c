//! Displays: those in use, those that are kept for their clients, and for how long they are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_core::Fingerprint;
use punktfunk_hub::displays::Linger;
use punktfunk_hub::trust::short_id;
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Body, Path, blocking, sessions};
use crate::settings::PinnedBy;
use crate::{MgmtState, Problem};

/// The desktop and what is kept on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DisplaysView {
    /// The kind of desktop.
    #[schema(example = "private")]
    pub desktop: String,
    /// Its version.
    pub version: String,
    /// How long a display outlives its client: `off`, seconds, or `forever`; set as `desktop.linger`.
    #[schema(example = "10")]
    pub linger: String,
    /// The preset that this is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<LingerPreset>,
    /// The presets there are.
    #[serde(default)]
    pub presets: Vec<PresetView>,
    /// What fixes it, if something does: it cannot be changed here then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<PinnedBy>,
    /// Displays that somebody looks at.
    #[serde(default)]
    pub in_use: Vec<InUseView>,
    /// Displays without a session.
    pub kept: Vec<KeptView>,
}

/// For how long a display outlives its client, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LingerPreset {
    /// Not at all.
    Off,
    /// Long enough to come back after a lost connection.
    Short,
    /// Long enough for a break.
    Long,
    /// Until the host ends.
    Always,
}

impl LingerPreset {
    const ALL: [Self; 4] = [Self::Off, Self::Short, Self::Long, Self::Always];

    /// As `desktop.linger` takes it.
    const fn linger(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Short => "10",
            Self::Long => "3600",
            Self::Always => "forever",
        }
    }

    const fn means(self) -> &'static str {
        match self {
            Self::Off => "A display and its programs end with their session.",
            Self::Short => "They wait ten seconds: for a device that lost its connection.",
            Self::Long => "They wait an hour: for somebody who takes a break, or another room.",
            Self::Always => "They wait until the host ends.",
        }
    }
}

/// A preset in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresetView {
    /// Its name.
    pub name: LingerPreset,
    /// What it sets `desktop.linger` to.
    #[schema(example = "10")]
    pub linger: String,
    /// What that means.
    pub means: String,
}

/// A display that a session shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InUseView {
    /// Number of the session.
    pub session: u64,
    /// The client's name.
    pub name: String,
    /// The client's id, if it has an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Width, height and refresh rate.
    #[schema(example = "1920x1080@60")]
    pub mode: String,
}

/// Changes for how long displays outlive their clients: by a preset, or exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisplaysChangeRequest {
    /// In a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "short")]
    pub preset: Option<LingerPreset>,
    /// `off`, seconds, or `forever`; counts more than a preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linger: Option<String>,
}

/// A display that waits for its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptView {
    /// For release: the client's id.
    pub id: String,
    /// The client's name, if it is paired.
    pub name: Option<String>,
    /// For how much longer; absent: for ever.
    pub for_s: Option<u64>,
}

/// The displays
#[utoipa::path(
    get, path = "/api/v1/displays", operation_id = "displays", tag = "displays",
    responses((status = 200, description = "The desktop and what is kept on it", body = DisplaysView))
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Result<Json<DisplaysView>, Problem> {
    blocking(move || view(&state)).await.map(Json)
}

fn view(state: &MgmtState) -> DisplaysView {
    let told = |linger| match linger {
        Linger::Off => "off".to_owned(),
        Linger::For(time) => time.as_secs().to_string(),
        Linger::Forever => "forever".to_owned(),
    };
    let displays = state.displays.get();
    let linger = told(displays.map_or(state.hub.config().displays.linger, |displays| displays.linger()));
    let settings = state.settings.view().settings;
    let preset =
        |name: LingerPreset| PresetView { name, linger: name.linger().to_owned(), means: name.means().to_owned() };
    let mut view = DisplaysView {
        preset: LingerPreset::ALL.into_iter().find(|preset| preset.linger() == linger),
        presets: LingerPreset::ALL.map(preset).to_vec(),
        pinned_by: settings.iter().find(|setting| setting.key == KEY).and_then(|setting| setting.pinned_by),
        in_use: in_use(state),
        linger,
        desktop: String::new(),
        version: String::new(),
        kept: Vec::new(),
    };
    let Some(displays) = displays else { return view };
    let clients = state.hub.trust().list();
    let name = |who: &Fingerprint| clients.iter().find(|c| c.fingerprint == *who).map(|c| c.name.clone());
    let kept = displays.kept().into_iter().map(|(identity, left)| {
        let fingerprint = Fingerprint::from_hex(&identity);
        KeptView {
            id: fingerprint.as_ref().map_or(identity, short_id),
            name: fingerprint.as_ref().and_then(name),
            for_s: left.map(|l| l.as_secs()),
        }
    });
    let info = displays.info();
    (view.desktop, view.version, view.kept) = (info.name, info.version, kept.collect());
    view
}

fn in_use(state: &MgmtState) -> Vec<InUseView> {
    let shown = sessions::views(state).into_iter();
    shown
        .filter_map(|s| Some(InUseView { session: s.id, name: s.name, client: s.client, mode: s.details?.mode }))
        .collect()
}

/// Decides for how long displays outlive their clients, for sessions that end from now on
///
/// Sets `desktop.linger`. What is kept already stays as long as it was promised.
#[utoipa::path(
    patch, path = "/api/v1/displays", operation_id = "displays_change", tag = "displays",
    request_body = DisplaysChangeRequest,
    responses((status = 200, description = "The displays as they are now", body = DisplaysView))
)]
pub(super) async fn change(
    State(state): State<MgmtState>,
    Body(request): Body<DisplaysChangeRequest>,
) -> Result<Json<DisplaysView>, Problem> {
    blocking(move || {
        let linger = request.linger.or_else(|| request.preset.map(|preset| preset.linger().to_owned()));
        if let Some(linger) = linger {
            state.settings.patch(None, &Map::from_iter([(KEY.to_owned(), Value::from(linger))]))?;
        }
        Ok(Json(view(&state)))
    })
    .await?
}

/// Ends a kept display and what runs on it
#[utoipa::path(
    delete, path = "/api/v1/displays/{id}", operation_id = "display_release", tag = "displays",
    params(("id" = String, Path, description = "Id of the client that it is kept for")),
    responses((status = 204, description = "It ends"))
)]
pub(super) async fn release(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let release = move || {
        let not_found = || Problem::new(&reason::DISPLAY_NOT_FOUND);
        let displays = state.displays.get().ok_or_else(not_found)?;
        let is_it = |identity: &str| {
            Fingerprint::from_hex(identity).as_ref().map_or(identity == id, |f| short_id(f) == id.to_ascii_lowercase())
        };
        let (identity, _) = displays.kept().into_iter().find(|(who, _)| is_it(who)).ok_or_else(not_found)?;
        displays.forget(&identity);
        Ok(StatusCode::NO_CONTENT)
    };
    blocking(release).await?
}

/// The setting behind it.
const KEY: &str = "desktop.linger";
