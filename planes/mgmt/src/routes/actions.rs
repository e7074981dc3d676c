//! What the whole host can be told to do.

use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_media::reason;

use super::{Path, blocking};
use crate::views::Action;
use crate::{MgmtState, Problem};

/// Restarts the host, or puts the machine to sleep
#[utoipa::path(
    post, path = "/api/v1/actions/{action}", operation_id = "action", tag = "host",
    params(("action" = Action, Path, description = "What to do")),
    responses((status = 202, description = "It will be done"))
)]
pub(super) async fn run(State(state): State<MgmtState>, Path(action): Path<Action>) -> Result<StatusCode, Problem> {
    let Some(run) = state.actions else {
        return Err(Problem::new(&reason::ACTION_FAILED).with_detail("this host takes no actions"));
    };
    tracing::info!(?action, "asked for by the management API");
    blocking(move || run(action)).await??;
    Ok(StatusCode::ACCEPTED)
}
