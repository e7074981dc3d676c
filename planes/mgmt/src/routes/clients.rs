//! Paired devices.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_core::Grants;
use punktfunk_hub::trust::{self, ClientChange, ClientRecord, TrustError, TrustState};

use super::{Body, Path, blocking};
use crate::views::{ClientChangeRequest, ClientKind, ClientState, ClientView};
use crate::{MgmtState, Problem};

/// Every paired device, oldest first
#[utoipa::path(
    get, path = "/api/v1/clients", operation_id = "clients", tag = "clients",
    responses(
        (status = 200, description = "The paired devices", body = Vec<ClientView>),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Json<Vec<ClientView>> {
    let now = SystemTime::now();
    Json(state.hub.trust().list().iter().map(|record| view(&state, record, now)).collect())
}

/// Changes a device's name or access; live sessions feel it at once
#[utoipa::path(
    patch, path = "/api/v1/clients/{id}", operation_id = "client_change", tag = "clients",
    params(("id" = String, Path, description = "Id of the device, or a unique beginning of its fingerprint")),
    request_body = ClientChangeRequest,
    responses(
        (status = 200, description = "The device as it is now", body = ClientView),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn change(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Body(request): Body<ClientChangeRequest>,
) -> Result<Json<ClientView>, Problem> {
    let expires_at = match request.expires_in_s {
        None => None,
        Some(0) => Some(None),
        some => Some(expires_at(some)),
    };
    let change = ClientChange { name: request.name, grants: request.grants.map(Grants), expires_at };
    let hub = state.hub.clone();
    let record = blocking(move || hub.trust().change(&id, change)).await?.map_err(|e| problem(&e))?;
    Ok(Json(view(&state, &record, SystemTime::now())))
}

/// Takes a device's access away; its session ends
#[utoipa::path(
    delete, path = "/api/v1/clients/{id}", operation_id = "client_revoke", tag = "clients",
    params(("id" = String, Path, description = "Id of the device, or a unique beginning of its fingerprint")),
    responses(
        (status = 204, description = "Revoked"),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Revoked, but not saved", body = Problem),
    )
)]
pub(super) async fn revoke(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || state.hub.trust().revoke(&id)).await?.map_err(|e| problem(&e))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn view(state: &MgmtState, record: &ClientRecord, now: SystemTime) -> ClientView {
    let trusted = state.hub.trust().state(&record.fingerprint, now);
    let sessions = state.hub.admission().sessions();
    ClientView {
        id: record.id(),
        name: record.name.clone(),
        kind: match record.kind {
            trust::ClientKind::Native => ClientKind::Native,
            trust::ClientKind::Gamestream => ClientKind::Gamestream,
        },
        state: if trusted == TrustState::Expired { ClientState::Expired } else { ClientState::Paired },
        grants: record.grants.0,
        fingerprint: record.fingerprint.to_string(),
        paired_at_s: record.paired_at,
        expires_at_s: record.expires_at,
        streaming: sessions.iter().any(|s| s.fingerprint == Some(record.fingerprint)),
    }
}

/// The Unix time that lies this far ahead.
pub(super) fn expires_at(expires_in_s: Option<u64>) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    expires_in_s.map(|s| now.saturating_add(s))
}

fn problem(error: &TrustError) -> Problem {
    let problem = Problem::new(error.reason());
    if let TrustError::State(e) = error { problem.with_detail(e.to_string()) } else { problem }
}
