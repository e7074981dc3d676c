//! Who is streaming.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_hub::trust::short_id;
use punktfunk_media::reason;

use super::Path;
use crate::views::SessionView;
use crate::{MgmtState, Problem};

/// The live sessions, oldest first
#[utoipa::path(
    get, path = "/api/v1/sessions", operation_id = "sessions", tag = "sessions",
    responses(
        (status = 200, description = "The live sessions", body = Vec<SessionView>),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Json<Vec<SessionView>> {
    let view = |s: punktfunk_hub::admission::SessionInfo| SessionView {
        id: s.id,
        client: s.fingerprint.as_ref().map(short_id),
        age_s: s.since.elapsed().map_or(0, |d| d.as_secs()),
        leaving: s.leaving,
        details: (state.session_details)(s.id),
        name: s.name,
    };
    Json(state.hub.admission().sessions().into_iter().map(view).collect())
}

/// Ends a session
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", operation_id = "session_stop", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    responses(
        (status = 204, description = "It was asked to end, and does so within 1.5 s"),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn stop(State(state): State<MgmtState>, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    if state.hub.admission().evict(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(&reason::SESSION_NOT_FOUND))
    }
}
