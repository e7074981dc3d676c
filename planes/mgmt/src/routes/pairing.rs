//! PIN windows, knocks, and PINs that devices show.

use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::PairingPolicy;
use punktfunk_hub::pairing::{ArmError, DEFAULT_WINDOW_SECONDS, PairingStatus, PendingKnock, PendingPin};
use punktfunk_media::reason;

use super::{Body, Path, blocking};
use crate::routes::clients;
use crate::views::{
    ApproveRequest, ArmRequest, Armed, ClientView, PairingView, PendingView, PinRequest, PinWantedView,
};
use crate::{MgmtState, Problem};

/// The PIN window, and who waits for approval
#[utoipa::path(
    get, path = "/api/v1/pairing", operation_id = "pairing", tag = "pairing",
    responses((status = 200, description = "The window and who waits", body = PairingView))
)]
pub(super) async fn status(State(state): State<MgmtState>) -> Json<PairingView> {
    let pairing = state.hub.pairing();
    let (armed, expires_in_s, bound) = match pairing.status() {
        PairingStatus::Closed => (false, None, None),
        PairingStatus::Armed { expires_in, bound } => (true, Some(expires_in.as_secs()), bound.map(|b| b.to_string())),
    };
    let open = state.hub.policy().pairing == PairingPolicy::Open;
    let pending = pairing.pending().into_iter().map(pending_view).collect();
    let pins_wanted = pairing.pins_wanted().into_iter().map(pin_view).collect();
    Json(PairingView { armed, expires_in_s, bound, open, pending, pins_wanted })
}

fn pin_view(device: PendingPin) -> PinWantedView {
    PinWantedView {
        id: device.id(),
        fingerprint: device.fingerprint.to_string(),
        name: device.name,
        source: device.source.to_string(),
        waiting_s: device.age.as_secs(),
    }
}

fn pending_view(knock: PendingKnock) -> PendingView {
    PendingView {
        id: knock.id(),
        fingerprint: knock.fingerprint.to_string(),
        name: knock.name,
        source: knock.source.to_string(),
        waiting_s: knock.age.as_secs(),
        connected: knock.connected,
    }
}

/// Opens a PIN window for one attempt; an open one is replaced
#[utoipa::path(
    post, path = "/api/v1/pairing/arm", operation_id = "pairing_arm", tag = "pairing",
    request_body = ArmRequest,
    responses((status = 200, description = "The PIN to type on the client", body = Armed))
)]
pub(super) async fn arm(
    State(state): State<MgmtState>,
    Body(request): Body<ArmRequest>,
) -> Result<Json<Armed>, Problem> {
    let bound = match &request.fingerprint {
        None => None,
        Some(text) => Some(Fingerprint::from_hex(text).ok_or_else(|| {
            Problem::new(&reason::API_BAD_REQUEST).with_detail("fingerprint: 64 hexadecimal digits are needed")
        })?),
    };
    let seconds = request.seconds.unwrap_or(DEFAULT_WINDOW_SECONDS);
    let armed = state.hub.pairing().arm(seconds, bound).map_err(|e| match &e {
        ArmError::BadWindow => Problem::new(e.reason()).with_detail(format!("{seconds} s")),
        ArmError::Random(why) => Problem::new(e.reason()).with_detail(why.clone()),
    })?;
    Ok(Json(Armed { pin: armed.pin, expires_in_s: armed.expires_in.as_secs() }))
}

/// Closes the PIN window, if one is open
#[utoipa::path(
    post, path = "/api/v1/pairing/disarm", operation_id = "pairing_disarm", tag = "pairing",
    responses((status = 204, description = "No window is open"))
)]
pub(super) async fn disarm(State(state): State<MgmtState>) -> StatusCode {
    state.hub.pairing().disarm();
    StatusCode::NO_CONTENT
}

/// Types the PIN that a waiting device shows, and tells whether the device is paired then
#[utoipa::path(
    post, path = "/api/v1/pairing/pin", operation_id = "pairing_pin", tag = "pairing",
    request_body = PinRequest,
    responses(
        (status = 200, description = "The paired client", body = ClientView),
        (status = "4XX", description = "Refused, or the PIN was wrong", body = Problem),
    )
)]
pub(super) async fn pin(
    State(state): State<MgmtState>,
    Body(request): Body<PinRequest>,
) -> Result<Json<ClientView>, Problem> {
    let outcome =
        state.hub.pairing().submit_pin(request.id.as_deref(), &request.pin).map_err(|e| Problem::new(e.reason()))?;
    let who = outcome.device.fingerprint;
    let failed = || Problem::new(&reason::GAMESTREAM_PAIRING_FAILED);
    if !outcome.paired().await {
        return Err(failed());
    }
    // Revoked in the same moment: not paired either.
    let record = state.hub.trust().get(&who).ok_or_else(failed)?;
    Ok(Json(clients::view(&state, &record, SystemTime::now())))
}

/// Pairs a waiting device and lets it in
#[utoipa::path(
    post, path = "/api/v1/pairing/pending/{id}/approve", operation_id = "pairing_approve", tag = "pairing",
    params(("id" = String, Path, description = "Id of the device, or a unique beginning of its fingerprint")),
    request_body = ApproveRequest,
    responses((status = 200, description = "The paired client", body = ClientView))
)]
pub(super) async fn approve(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Body(request): Body<ApproveRequest>,
) -> Result<Json<ClientView>, Problem> {
    let grants = clients::wanted(request.preset, request.grants)?.unwrap_or(Grants::ALL);
    let expires_at = clients::expires_at(request.expires_in_s);
    let pairing = state.hub.pairing().clone();
    let record = blocking(move || pairing.approve(&id, grants, expires_at))
        .await?
        .map_err(|e| Problem::new(e.reason()).with_detail(e.to_string()))?;
    Ok(Json(clients::view(&state, &record, SystemTime::now())))
}

/// Turns a waiting device away
#[utoipa::path(
    post, path = "/api/v1/pairing/pending/{id}/deny", operation_id = "pairing_deny", tag = "pairing",
    params(("id" = String, Path, description = "Id of the device, or a unique beginning of its fingerprint")),
    responses((status = 204, description = "Turned away"))
)]
pub(super) async fn deny(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    state.hub.pairing().deny(&id).map_err(|e| Problem::new(e.reason()))?;
    Ok(StatusCode::NO_CONTENT)
}
