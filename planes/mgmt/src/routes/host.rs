//! The host itself.

use axum::Json;
use axum::extract::State;

use punktfunk_hub::PairingPolicy;
use punktfunk_hub::pairing::PairingStatus;

use super::blocking;
use crate::views::{Diagnostic, Health, HealthStatus, Host, StatusView};
use crate::{MgmtState, Problem};

/// Whether the host is well
#[utoipa::path(
    get, path = "/api/v1/health", operation_id = "health", tag = "host",
    responses((status = 200, description = "It answers", body = Health))
)]
pub(super) async fn health(State(state): State<MgmtState>) -> Result<Json<Health>, Problem> {
    blocking(move || look(&state)).await.map(Json)
}

fn look(state: &MgmtState) -> Health {
    let of_state = state.hub.problems();
    let of_state =
        of_state.into_iter().map(|p| Problem::new(p.reason).with_detail(format!("{}: {}", p.path.display(), p.detail)));
    let problems: Vec<_> = of_state.chain(state.unreadable.iter().cloned()).chain((state.problems)()).collect();
    let status = if problems.is_empty() { HealthStatus::Ok } else { HealthStatus::Degraded };
    Health { status, problems }
}

/// The host at a glance
#[utoipa::path(
    get, path = "/api/v1/status", operation_id = "status", tag = "host",
    responses((status = 200, description = "What matters most", body = StatusView))
)]
pub(super) async fn status(State(state): State<MgmtState>) -> Result<Json<StatusView>, Problem> {
    let look = move || {
        let (hub, pairing) = (&state.hub, state.hub.pairing());
        StatusView {
            status: look(&state).status,
            name: state.host.name.clone(),
            version: state.host.version.clone(),
            uptime_s: state.started.elapsed().as_secs(),
            sessions: hub.admission().sessions().len() as u64,
            max_sessions: hub.admission().max_sessions() as u64,
            pairing_armed: matches!(pairing.status(), PairingStatus::Armed { .. }),
            pending: pairing.pending().len() as u64,
            open: hub.policy().pairing == PairingPolicy::Open,
        }
    };
    blocking(look).await.map(Json)
}

/// What this host is and where clients reach it
#[utoipa::path(
    get, path = "/api/v1/host", operation_id = "host", tag = "host",
    responses((status = 200, description = "Facts about the host", body = Host))
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
    responses((status = 200, description = "The findings of `doctor`, made anew", body = Vec<Diagnostic>))
)]
pub(super) async fn diagnostics(State(state): State<MgmtState>) -> Result<Json<Vec<Diagnostic>>, Problem> {
    blocking(move || (state.diagnostics)()).await.map(Json)
}
