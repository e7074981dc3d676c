//! Who is streaming, and how to steer it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use punktfunk_core::Fingerprint;
use punktfunk_engine::session::SessionCommand;
use punktfunk_hub::admission::SessionInfo;
use punktfunk_hub::displays::Displays;
use punktfunk_hub::live::{FrameRow, LiveSession, STAGES};
use punktfunk_hub::trust::{TrustState, short_id};
use punktfunk_media::{StageWindow, WindowError, reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, Path, blocking, clients};
use crate::access::lock;
use crate::views::{SessionDetails, SessionView, StageView};
use crate::{MgmtState, Problem};

/// A new wire budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BitrateRequest {
    /// In kbit/s; 0: the host decides. Limits of the host and the protocol apply.
    #[schema(example = 20000)]
    pub kbps: u32,
}

/// What the session's client may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantsRequest {
    /// `full`, `controller` or `view`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "view")]
    pub preset: Option<clients::Preset>,
    /// Or a bit mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<u32>,
}

/// The live sessions, oldest first
#[utoipa::path(
    get, path = "/api/v1/sessions", operation_id = "sessions", tag = "sessions",
    responses((status = 200, description = "The live sessions", body = Vec<SessionView>))
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Json<Vec<SessionView>> {
    Json(views(&state))
}

pub(super) fn views(state: &MgmtState) -> Vec<SessionView> {
    let (live, clients) = (state.hub.live(), state.hub.trust().list());
    let grants = |who: Fingerprint| clients.iter().find(|c| c.fingerprint == who).map(|c| c.grants.0);
    let view = |s: SessionInfo| SessionView {
        id: s.id,
        client: s.fingerprint.as_ref().map(short_id),
        age_s: s.since.elapsed().map_or(0, |d| d.as_secs()),
        grants: s.fingerprint.and_then(grants),
        leaving: s.leaving,
        details: live.get(s.id).map(|session| details(&session)),
        name: s.name,
    };
    state.hub.admission().sessions().into_iter().map(view).collect()
}

/// Ends a session
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", operation_id = "session_stop", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    responses((status = 204, description = "It was asked to end, and does so within 1.5 s"))
)]
pub(super) async fn stop(State(state): State<MgmtState>, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    if state.hub.admission().evict(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(&reason::SESSION_NOT_FOUND))
    }
}

/// Sends a keyframe
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/keyframe", operation_id = "session_keyframe", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    responses((status = 204, description = "The next picture is a keyframe"))
)]
pub(super) async fn keyframe(State(state): State<MgmtState>, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    streaming(&state, id)?.control.command(SessionCommand::Keyframe);
    Ok(StatusCode::NO_CONTENT)
}

/// What a session shows, small
///
/// At most one new picture a second; made only when somebody asks.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/thumbnail", operation_id = "session_thumbnail", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    responses(
        (status = 200, description = "At most 480 pixels wide", content_type = "image/png", body = Vec<u8>),
    )
)]
pub(super) async fn thumbnail(
    State(state): State<MgmtState>,
    Path(id): Path<u64>,
) -> Result<([(HeaderName, &'static str); 1], Bytes), Problem> {
    let session = streaming(&state, id)?;
    let png = blocking(move || lock(&state.thumbnails).get(&session, state.hub.live())).await??;
    Ok(([(CONTENT_TYPE, "image/png")], png))
}

/// A window on a session's display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WindowView {
    /// Its number, for closing it.
    pub id: u64,
    /// As its program names it.
    #[schema(example = "Terminal")]
    pub title: String,
    /// The program's application id.
    #[schema(example = "foot")]
    pub app_id: String,
    /// Whether it has the keyboard.
    pub focused: bool,
}

/// The windows on a session's display, the one on top first
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/windows", operation_id = "session_windows", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    responses((status = 200, description = "The windows", body = Vec<WindowView>))
)]
pub(super) async fn windows(
    State(state): State<MgmtState>,
    Path(id): Path<u64>,
) -> Result<Json<Vec<WindowView>>, Problem> {
    let (displays, identity) = display(&state, id)?;
    let windows = blocking(move || displays.windows(&identity)).await?.map_err(window_problem)?;
    let view = |w: StageWindow| WindowView { id: w.id, title: w.title, app_id: w.app_id, focused: w.focused };
    Ok(Json(windows.into_iter().map(view).collect()))
}

/// Brings a window to the front
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/windows/{window}/focus", operation_id = "session_window_focus", tag = "sessions",
    params(
        ("id" = u64, Path, description = "Number of the session"),
        ("window" = u64, Path, description = "Number of the window"),
    ),
    responses((status = 204, description = "It is on top and has the keyboard"))
)]
pub(super) async fn focus_window(
    State(state): State<MgmtState>,
    Path((id, window)): Path<(u64, u64)>,
) -> Result<StatusCode, Problem> {
    let (displays, identity) = display(&state, id)?;
    blocking(move || displays.focus_window(&identity, window)).await?.map_err(window_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the program of a window to close it
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/windows/{window}", operation_id = "session_window_close", tag = "sessions",
    params(
        ("id" = u64, Path, description = "Number of the session"),
        ("window" = u64, Path, description = "Number of the window"),
    ),
    responses((status = 204, description = "Its program was asked"))
)]
pub(super) async fn close_window(
    State(state): State<MgmtState>,
    Path((id, window)): Path<(u64, u64)>,
) -> Result<StatusCode, Problem> {
    let (displays, identity) = display(&state, id)?;
    blocking(move || displays.close_window(&identity, window)).await?.map_err(window_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The displays, and whose a session's is.
fn display(state: &MgmtState, id: u64) -> Result<(Arc<Displays>, String), Problem> {
    let sessions = state.hub.admission().sessions();
    let session = sessions.iter().find(|s| s.id == id).ok_or_else(|| Problem::new(&reason::SESSION_NOT_FOUND))?;
    let none = || Problem::new(&reason::DISPLAY_NOT_FOUND);
    let identity = session.fingerprint.ok_or_else(none)?.to_string();
    Ok((state.displays.get().cloned().ok_or_else(none)?, identity))
}

fn window_problem(error: WindowError) -> Problem {
    Problem::new(error.reason).with_detail(error.detail)
}

/// Changes a session's bitrate
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/bitrate", operation_id = "session_bitrate", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    request_body = BitrateRequest,
    responses((status = 204, description = "In force with the next picture; the client is told"))
)]
pub(super) async fn bitrate(
    State(state): State<MgmtState>,
    Path(id): Path<u64>,
    Body(request): Body<BitrateRequest>,
) -> Result<StatusCode, Problem> {
    streaming(&state, id)?.control.command(SessionCommand::SetBitrate { kbps: request.kbps });
    Ok(StatusCode::NO_CONTENT)
}

/// Changes what a session's client may do, at once; for a paired device also from now on
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/grants", operation_id = "session_grants", tag = "sessions",
    params(("id" = u64, Path, description = "Number of the session")),
    request_body = GrantsRequest,
    responses((status = 204, description = "In force; what it holds and may no longer hold is released"))
)]
pub(super) async fn grants(
    State(state): State<MgmtState>,
    Path(id): Path<u64>,
    Body(request): Body<GrantsRequest>,
) -> Result<StatusCode, Problem> {
    let grants = clients::wanted(request.preset, request.grants)?
        .ok_or_else(|| Problem::new(&reason::API_BAD_REQUEST).with_detail("preset or grants is needed"))?;
    let sessions = state.hub.admission().sessions();
    let Some(session) = sessions.iter().find(|s| s.id == id) else {
        return Err(Problem::new(&reason::SESSION_NOT_FOUND));
    };
    let trust = Arc::clone(state.hub.trust());
    let known = session.fingerprint.filter(|f| trust.state(f, std::time::SystemTime::now()) != TrustState::Unknown);
    match known {
        Some(fingerprint) => {
            let change = move || trust.set_grants(&fingerprint.to_string(), grants);
            blocking(change).await?.map_err(|e| clients::problem(&e))?;
        }
        None => streaming(&state, id)?.control.command(SessionCommand::SetGrants(grants)),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The session with this number, if it streams.
pub(super) fn streaming(state: &MgmtState, id: u64) -> Result<Arc<LiveSession>, Problem> {
    state.hub.live().get(id).ok_or_else(|| {
        let exists = state.hub.admission().sessions().iter().any(|s| s.id == id);
        Problem::new(if exists { &reason::SESSION_NOT_STREAMING } else { &reason::SESSION_NOT_FOUND })
    })
}

fn details(session: &LiveSession) -> SessionDetails {
    let stats = session.stats();
    let (rows, _) = session.recorder.recent(WINDOW_ROWS);
    let window = window(&rows);
    let seconds = match (window.first(), window.last()) {
        (Some(first), Some(last)) => last.sent_us.saturating_sub(first.sent_us) as f64 / 1e6,
        _ => 0.0,
    };
    let payload = u64::from(session.facts.shard_payload);
    // The first row only tells when the window begins.
    let counted = window.get(1..).unwrap_or_default();
    let wire: u64 = counted.iter().map(|r| u64::from(r.packets) * payload).sum();
    let video: u64 = counted.iter().map(|r| u64::from(r.bytes)).sum();
    let per_second = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
    let input = &stats.input;
    SessionDetails {
        plane: session.facts.plane.to_owned(),
        mode: session.mode().to_string(),
        codec: session.facts.codec.to_string(),
        encoder: stats.encoder.to_owned(),
        peer: session.facts.peer.to_string(),
        budget_kbps: stats.wire_kbps,
        bitrate_kbps: per_second(wire as f64 * 8.0 / 1000.0).round() as u32,
        fps: (per_second(counted.len() as f64) * 10.0).round() / 10.0,
        loss_percent: f64::from(stats.loss_ppm) / 1e4,
        overhead_percent: if video == 0 { 0.0 } else { ((wire as f64 / video as f64 - 1.0) * 1000.0).round() / 10.0 },
        stages: stages(window),
        input: StageView {
            name: "input".to_owned(),
            count: input.count,
            p50_us: input.p50,
            p99_us: input.p99,
            max_us: input.max,
        },
        counters: stats.counters.iter().map(|(name, value)| (name.to_owned(), value.into())).collect(),
    }
}

/// The rows of the last seconds.
fn window(rows: &[FrameRow]) -> &[FrameRow] {
    let Some(last) = rows.last() else { return rows };
    let from = rows.partition_point(|r| r.sent_us + WINDOW_US < last.sent_us);
    &rows[from..]
}

fn stages(rows: &[FrameRow]) -> Vec<StageView> {
    STAGES
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let mut values: Vec<u32> = rows.iter().map(|r| r.stages_us[at]).collect();
            values.sort_unstable();
            let quantile = |q: usize| values.get((values.len() * q / 100).min(values.len().saturating_sub(1))).copied();
            let or_zero = |value: Option<u32>| u64::from(value.unwrap_or(0));
            StageView {
                name: (*name).to_owned(),
                count: values.len() as u64,
                p50_us: or_zero(quantile(50)),
                p99_us: or_zero(quantile(99)),
                max_us: or_zero(values.last().copied()),
            }
        })
        .collect()
}

/// Rates and percentiles of the last 5 s: quick to follow, steady enough to read.
const WINDOW_US: u64 = 5_000_000;
/// 5 s at 240 Hz, and some.
const WINDOW_ROWS: u64 = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_and_its_percentiles_follow_the_newest_frames() {
        let row = |n: u64| FrameRow { sent_us: n * 100_000, stages_us: [n as u32; 7], ..FrameRow::default() };
        let rows: Vec<_> = (1..=100).map(row).collect();
        let window = window(&rows);
        assert_eq!((window.len(), window[0].sent_us), (51, 5_000_000));
        let stage = &stages(window)[0];
        assert_eq!(
            (stage.name.as_str(), stage.count, stage.p50_us, stage.p99_us, stage.max_us),
            ("host", 51, 75, 100, 100)
        );
        assert!(super::window(&[]).is_empty() && stages(&[])[0].count == 0);
    }
}
