//! Paired devices.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_core::Grants;
use punktfunk_hub::trust::{self, ClientChange, ClientRecord, TrustError, TrustState};
use punktfunk_media::{StageError, is_keyboard_layout, is_scale_percent, reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, Path, blocking};
use crate::views::{ClientChangeRequest, ClientKind, ClientState, ClientView};
use crate::{MgmtState, Problem};

/// What a device may do, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Everything.
    Full,
    /// Gamepads only: for a guest on the sofa.
    Controller,
    /// Watching only.
    View,
}

impl Preset {
    /// The bits behind it.
    #[must_use]
    pub const fn grants(self) -> Grants {
        match self {
            Self::Full => Grants::ALL,
            Self::Controller => Grants::GAMEPAD,
            Self::View => Grants::VIEW,
        }
    }
}

/// The grants that a request asks for, by preset or by bits.
pub(super) fn wanted(preset: Option<Preset>, grants: Option<u32>) -> Result<Option<Grants>, Problem> {
    match (preset, grants) {
        (Some(_), Some(_)) => Err(Problem::new(&reason::API_BAD_REQUEST).with_detail("preset or grants, not both")),
        (Some(preset), None) => Ok(Some(preset.grants())),
        (None, Some(bits)) if bits & !Grants::ALL.0 != 0 => {
            Err(Problem::new(&reason::API_BAD_REQUEST)
                .with_detail(format!("grants: {bits} has bits without a meaning")))
        }
        (None, bits) => Ok(bits.map(Grants)),
    }
}

/// Every paired device, oldest first
#[utoipa::path(
    get, path = "/api/v1/clients", operation_id = "clients", tag = "clients",
    responses((status = 200, description = "The paired devices", body = Vec<ClientView>))
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Json<Vec<ClientView>> {
    let now = SystemTime::now();
    Json(state.hub.trust().list().iter().map(|record| view(&state, record, now)).collect())
}

/// Changes a device's name, access, scale or keyboard layout; live sessions feel it at once
#[utoipa::path(
    patch, path = "/api/v1/clients/{id}", operation_id = "client_change", tag = "clients",
    params(("id" = String, Path, description = "Id of the device, or a unique beginning of its fingerprint")),
    request_body = ClientChangeRequest,
    responses((status = 200, description = "The device as it is now", body = ClientView))
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
    let grants = wanted(request.preset, request.grants)?;
    let scale_percent = match request.scale_percent {
        None => None,
        Some(0) => Some(None),
        Some(percent) if is_scale_percent(percent) => Some(Some(percent)),
        Some(percent) => {
            return Err(Problem::new(&reason::DESKTOP_SCALE_REFUSED).with_detail(format!("{percent} %")));
        }
    };
    let keyboard_layout = match request.keyboard_layout {
        None => None,
        Some(layout) if layout.is_empty() => Some(None),
        Some(layout) if is_keyboard_layout(&layout) => Some(Some(layout)),
        Some(layout) => return Err(Problem::new(&reason::DESKTOP_LAYOUT_REFUSED).with_detail(layout)),
    };
    let fits = scale_percent.is_some() || keyboard_layout.is_some();
    let displays = state.displays.get().filter(|_| fits).cloned();
    let change = ClientChange { name: request.name, grants, expires_at, scale_percent, keyboard_layout };
    let hub = state.hub.clone();
    let change = move || {
        let refused = |e: StageError| Problem::new(e.reason).with_detail(e.detail);
        if let (Some(displays), Some(Some(layout))) = (&displays, &change.keyboard_layout) {
            displays.check_keyboard_layout(layout).map_err(refused)?;
        }
        let before = hub.trust().list();
        let record = hub.trust().change(&id, change).map_err(|e| problem(&e))?;
        let fitted = displays.map_or(Ok(()), |displays| displays.refit(&record.fingerprint.to_string()));
        if let Err(e) = fitted {
            // What its display refuses is not kept for the next one.
            if let Some(before) = before.into_iter().find(|b| b.fingerprint == record.fingerprint) {
                let (scale_percent, keyboard_layout) = (Some(before.scale_percent), Some(before.keyboard_layout));
                let back = ClientChange { scale_percent, keyboard_layout, ..ClientChange::default() };
                hub.trust().change(&id, back).map_err(|e| problem(&e))?;
            }
            return Err(refused(e));
        }
        Ok::<_, Problem>(record)
    };
    let record = blocking(change).await??;
    Ok(Json(view(&state, &record, SystemTime::now())))
}

/// Takes a device's access away; its session ends
#[utoipa::path(
    delete, path = "/api/v1/clients/{id}", operation_id = "client_revoke", tag = "clients",
    params(("id" = String, Path, description = "Id of the device, or a unique beginning of its fingerprint")),
    responses(
        (status = 204, description = "Revoked"),
        (status = "5XX", description = "Revoked, but not saved", body = Problem),
    )
)]
pub(super) async fn revoke(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || state.hub.trust().revoke(&id)).await?.map_err(|e| problem(&e))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes every device's access away; their sessions end
#[utoipa::path(
    delete, path = "/api/v1/clients", operation_id = "clients_revoke_all", tag = "clients",
    responses(
        (status = 204, description = "Nobody is paired any more"),
        (status = "5XX", description = "Refused, maybe half-way", body = Problem),
    )
)]
pub(super) async fn revoke_all(State(state): State<MgmtState>) -> Result<StatusCode, Problem> {
    let revoke = move || {
        let trust = state.hub.trust();
        for client in trust.list() {
            match trust.revoke(&client.fingerprint.to_string()) {
                // Somebody else was faster.
                Ok(_) | Err(TrustError::NotFound) => {}
                Err(e) => return Err(problem(&e)),
            }
        }
        Ok(StatusCode::NO_CONTENT)
    };
    blocking(revoke).await?
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
        scale_percent: record.scale_percent,
        keyboard_layout: record.keyboard_layout.clone(),
        streaming: sessions.iter().any(|s| s.fingerprint == Some(record.fingerprint)),
    }
}

/// The Unix time that lies this far ahead.
pub(super) fn expires_at(expires_in_s: Option<u64>) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    expires_in_s.map(|s| now.saturating_add(s))
}

pub(super) fn problem(error: &TrustError) -> Problem {
    let problem = Problem::new(error.reason());
    if let TrustError::State(e) = error { problem.with_detail(e.to_string()) } else { problem }
}
