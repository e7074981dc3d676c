//! Settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use punktfunk_hub::events::EventKind;

use super::{Body, blocking};
use crate::settings::{SettingsChangeRequest, SettingsView};
use crate::{MgmtState, Problem};

/// Every setting, what values it takes and when a change is in force
#[utoipa::path(
    get, path = "/api/v1/settings", operation_id = "settings", tag = "settings",
    responses(
        (status = 200, description = "The settings", body = SettingsView),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn get(State(state): State<MgmtState>) -> Result<Json<SettingsView>, Problem> {
    blocking(move || state.settings.view()).await.map(Json)
}

/// Changes settings, all of those named or none
#[utoipa::path(
    patch, path = "/api/v1/settings", operation_id = "settings_change", tag = "settings",
    request_body = SettingsChangeRequest,
    responses(
        (status = 200, description = "The settings as they are now", body = SettingsView),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn change(
    State(state): State<MgmtState>,
    Body(request): Body<SettingsChangeRequest>,
) -> Result<Json<SettingsView>, Problem> {
    let (settings, events) = (Arc::clone(&state.settings), Arc::clone(state.hub.events()));
    blocking(move || {
        let view = settings.patch(request.revision, &request.changes)?;
        events.send(EventKind::SettingsChanged { keys: request.changes.keys().cloned().collect() });
        Ok(Json(view))
    })
    .await?
}
