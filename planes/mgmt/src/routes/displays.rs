//! Displays that are kept for their clients.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_core::Fingerprint;
use punktfunk_hub::displays::Linger;
use punktfunk_hub::trust::short_id;
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Path, blocking};
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
    /// Displays without a session.
    pub kept: Vec<KeptView>,
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
    let Some(displays) = state.displays.get() else {
        let linger = told(state.hub.config().displays.linger);
        return DisplaysView { desktop: String::new(), version: String::new(), linger, kept: Vec::new() };
    };
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
    let (info, linger) = (displays.info(), told(displays.linger()));
    DisplaysView { desktop: info.name.to_string(), version: info.version.to_string(), linger, kept: kept.collect() }
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
