//! The host itself.

use axum::Json;
use axum::extract::State;

use super::blocking;
use crate::views::{Diagnostic, Health, HealthStatus, Host};
use crate::{MgmtState, Problem};

/// Whether the host is well
#[utoipa::path(
    get, path = "/api/v1/health", operation_id = "health", tag = "host",
    responses(
        (status = 200, description = "It answers", body = Health),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn health(State(state): State<MgmtState>) -> Result<Json<Health>, Problem> {
    let problems = blocking(move || state.hub.problems()).await?;
    let problems: Vec<Problem> = problems
        .into_iter()
        .map(|p| Problem::new(p.reason).with_detail(format!("{}: {}", p.path.display(), p.detail)))
        .collect();
    let status = if problems.is_empty() { HealthStatus::Ok } else { HealthStatus::Degraded };
    Ok(Json(Health { status, problems }))
}

/// What this host is and where clients reach it
#[utoipa::path(
    get, path = "/api/v1/host", operation_id = "host", tag = "host",
    responses(
        (status = 200, description = "Facts about the host", body = Host),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn host(State(state): State<MgmtState>) -> Json<Host> {
    Json(Host {
        name: state.host.name.clone(),
        version: state.host.version.clone(),
        uptime_s: state.started.elapsed().as_secs(),
        fingerprint: state.host.fingerprint.to_string(),
        addresses: (state.addresses)(),
    })
}

/// What works here, what does not, and the fix
#[utoipa::path(
    get, path = "/api/v1/diagnostics", operation_id = "diagnostics", tag = "host",
    responses(
        (status = 200, description = "The findings of `doctor`, made anew", body = Vec<Diagnostic>),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn diagnostics(State(state): State<MgmtState>) -> Result<Json<Vec<Diagnostic>>, Problem> {
    blocking(move || (state.diagnostics)()).await.map(Json)
}
