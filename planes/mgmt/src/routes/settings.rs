//! Settings.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use punktfunk_media::reason;

use super::{Body, blocking};
use crate::door::Leaving;
use crate::settings::{SettingsChangeRequest, SettingsView, TrialRequest};
use crate::{MgmtState, Problem};

/// Every setting, what values it takes and when a change is in force
#[utoipa::path(
    get, path = "/api/v1/settings", operation_id = "settings", tag = "settings",
    responses((status = 200, description = "The settings", body = SettingsView))
)]
pub(super) async fn get(State(state): State<MgmtState>) -> Result<Json<SettingsView>, Problem> {
    blocking(move || state.settings.view()).await.map(Json)
}

/// Changes settings, all of those named or none
///
/// A risky change is answered with `trial`: it is in force, and goes back by itself unless it is confirmed in time.
#[utoipa::path(
    patch, path = "/api/v1/settings", operation_id = "settings_change", tag = "settings",
    request_body = SettingsChangeRequest,
    responses((status = 200, description = "The settings as they are now", body = SettingsView))
)]
pub(super) async fn change(
    State(state): State<MgmtState>,
    Body(request): Body<SettingsChangeRequest>,
) -> Result<Json<SettingsView>, Problem> {
    let settings = Arc::clone(&state.settings);
    blocking(move || settings.patch(request.revision, &request.changes)).await?.map(Json)
}

/// Keeps a risky change
///
/// Refused at a door that the change closes: whoever confirms shows that there is another way in.
#[utoipa::path(
    post, path = "/api/v1/settings/confirm", operation_id = "settings_confirm", tag = "settings",
    request_body = TrialRequest,
    responses((status = 200, description = "It stays", body = SettingsView))
)]
pub(super) async fn confirm(
    State(state): State<MgmtState>,
    leaving: Option<Extension<Leaving>>,
    Body(request): Body<TrialRequest>,
) -> Result<Json<SettingsView>, Problem> {
    if leaving.is_some_and(|Extension(door)| door.is_set()) {
        return Err(Problem::new(&reason::SETTINGS_CONFIRM_ELSEWHERE));
    }
    blocking(move || state.settings.confirm(request.revision)).await?.map(Json)
}

/// Takes a risky change back before its time is over
#[utoipa::path(
    post, path = "/api/v1/settings/revert", operation_id = "settings_revert", tag = "settings",
    request_body = TrialRequest,
    responses((status = 200, description = "The settings as they were before", body = SettingsView))
)]
pub(super) async fn revert(
    State(state): State<MgmtState>,
    Body(request): Body<TrialRequest>,
) -> Result<Json<SettingsView>, Problem> {
    blocking(move || state.settings.revert(request.revision)).await?.map(Json)
}
