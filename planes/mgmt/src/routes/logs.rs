//! The log's newest lines.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Query;
use crate::MgmtState;
use crate::logs::{LogLevel, LogPage};

/// Which lines.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    level: Option<LogLevel>,
    #[serde(default)]
    limit: Option<usize>,
}

/// The log's newest lines
#[utoipa::path(
    get, path = "/api/v1/logs", operation_id = "logs", tag = "diagnostics",
    params(
        ("after" = Option<u64>, Query, description = "The cursor of the page before; absent: the newest lines"),
        ("level" = Option<LogLevel>, Query, description = "The least grave level"),
        ("limit" = Option<usize>, Query, description = "Lines at most, 1 to 1000; 200 if absent"),
    ),
    responses((status = 200, description = "Some lines, and where to go on", body = LogPage))
)]
pub(super) async fn page(State(state): State<MgmtState>, Query(wanted): Query<Wanted>) -> Json<LogPage> {
    let limit = wanted.limit.unwrap_or(200).clamp(1, 1000);
    Json(state.logs.page(wanted.after, wanted.level.unwrap_or(LogLevel::Trace), limit))
}
