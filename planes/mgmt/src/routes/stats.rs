//! Figures: live, recorded, and for Prometheus.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use punktfunk_hub::live::{BOUNDS_US, FrameRow, STAGES};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Path, Query, blocking, sessions};
use crate::recordings::RecordingView;
use crate::views::SessionView;
use crate::{MgmtState, Problem};

/// The figures of every live session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsView {
    /// Unix time in ms.
    pub at_ms: u64,
    /// The sessions.
    pub sessions: Vec<SessionView>,
    /// Memory of the process in bytes.
    pub memory_bytes: u64,
}

/// Frames of the flight recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FramesView {
    /// The stages, in the order of `stages_us`.
    pub stages: Vec<String>,
    /// Oldest first.
    pub frames: Vec<FrameView>,
    /// Ask for what comes after this.
    pub cursor: u64,
}

/// A frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameView {
    /// When its last packet left: Unix time in microseconds, by the session's clock.
    pub sent_us: u64,
    /// Its index on the wire.
    pub index: u32,
    /// Bytes of the access unit.
    pub bytes: u32,
    /// Packets, recovery included.
    pub packets: u32,
    /// Whether it is a keyframe.
    pub keyframe: bool,
    /// Whether it repeats the picture before.
    pub repeat: bool,
    /// Microseconds in each stage.
    pub stages_us: Vec<u32>,
}

/// Which frames.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    limit: Option<u64>,
}

/// Live figures of every session
#[utoipa::path(
    get, path = "/api/v1/stats", operation_id = "stats", tag = "stats",
    responses((status = 200, description = "The figures", body = StatsView))
)]
pub(super) async fn live(State(state): State<MgmtState>) -> Json<StatsView> {
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    Json(StatsView {
        at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX),
        sessions: sessions::views(&state),
        memory_bytes: process().memory_bytes,
    })
}

/// The flight recorder of a session: its last frames, for at least two minutes
#[utoipa::path(
    get, path = "/api/v1/stats/sessions/{id}/frames", operation_id = "stats_frames", tag = "stats",
    params(
        ("id" = u64, Path, description = "Number of the session"),
        ("after" = Option<u64>, Query, description = "The cursor of the page before; absent: the newest frames"),
        ("limit" = Option<u64>, Query, description = "Frames at most, 1 to 5000; 300 if absent"),
    ),
    responses((status = 200, description = "Some frames", body = FramesView))
)]
pub(super) async fn frames(
    State(state): State<MgmtState>,
    Path(id): Path<u64>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<FramesView>, Problem> {
    let session = sessions::streaming(&state, id)?;
    let limit = wanted.limit.unwrap_or(300).clamp(1, 5000);
    let (mut rows, mut cursor) = match wanted.after {
        None => session.recorder.recent(limit),
        Some(after) => session.recorder.rows(after),
    };
    let beyond = rows.len().saturating_sub(limit as usize);
    rows.truncate(limit as usize);
    cursor -= beyond as u64;
    let stages = STAGES.iter().map(|s| (*s).to_owned()).collect();
    Ok(Json(FramesView { stages, frames: rows.iter().map(frame).collect(), cursor }))
}

fn frame(row: &FrameRow) -> FrameView {
    FrameView {
        sent_us: row.sent_us,
        index: row.index,
        bytes: row.bytes,
        packets: row.packets,
        keyframe: row.keyframe,
        repeat: row.repeat,
        stages_us: row.stages_us.to_vec(),
    }
}

/// The recordings, newest first
#[utoipa::path(
    get, path = "/api/v1/stats/recordings", operation_id = "recordings", tag = "stats",
    responses((status = 200, description = "The recordings", body = Vec<RecordingView>))
)]
pub(super) async fn recordings(State(state): State<MgmtState>) -> Result<Json<Vec<RecordingView>>, Problem> {
    blocking(move || state.recordings.list()).await.map(Json)
}

/// Starts recording every frame of every session
#[utoipa::path(
    post, path = "/api/v1/stats/recordings/start", operation_id = "recording_start", tag = "stats",
    responses(
        (status = 200, description = "It runs until stopped, for an hour at most", body = RecordingView),
    )
)]
pub(super) async fn record_start(State(state): State<MgmtState>) -> Result<Json<RecordingView>, Problem> {
    blocking(move || state.recordings.start()).await?.map(Json)
}

/// Stops the recording, if one runs
#[utoipa::path(
    post, path = "/api/v1/stats/recordings/stop", operation_id = "recording_stop", tag = "stats",
    responses((status = 204, description = "None runs"))
)]
pub(super) async fn record_stop(State(state): State<MgmtState>) -> Result<StatusCode, Problem> {
    blocking(move || state.recordings.stop()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Saves what the flight recorders hold: at least the last two minutes
#[utoipa::path(
    post, path = "/api/v1/stats/recordings/save", operation_id = "recording_save", tag = "stats",
    responses((status = 200, description = "Saved", body = RecordingView))
)]
pub(super) async fn record_save(State(state): State<MgmtState>) -> Result<Json<RecordingView>, Problem> {
    blocking(move || state.recordings.save()).await?.map(Json)
}

/// Downloads a recording
#[utoipa::path(
    get, path = "/api/v1/stats/recordings/{id}", operation_id = "recording", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording")),
    responses((status = 200, description = "One line per frame", content_type = "text/csv", body = String))
)]
pub(super) async fn download(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
) -> Result<([(header::HeaderName, String); 2], Bytes), Problem> {
    let name = format!("attachment; filename=\"punktfunk-{id}.csv\"");
    let table = blocking(move || state.recordings.read(&id)).await??;
    Ok(([(header::CONTENT_TYPE, "text/csv".to_owned()), (header::CONTENT_DISPOSITION, name)], table.into()))
}

/// Deletes a recording
#[utoipa::path(
    delete, path = "/api/v1/stats/recordings/{id}", operation_id = "recording_delete", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording")),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || state.recordings.delete(&id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Figures in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "stats",
    responses((status = 200, description = "The figures", content_type = "text/plain", body = String))
)]
pub(super) async fn metrics(State(state): State<MgmtState>) -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], prometheus(&state))
}

fn prometheus(state: &MgmtState) -> String {
    let mut page = Page(String::new());
    let live = state.hub.live();
    let views = sessions::views(state);
    let totals = live.totals();
    page.head("punktfunk_info", "gauge", "The host's version.");
    page.line("punktfunk_info", &[("version", &state.host.version)], 1.0);
    page.one(
        "punktfunk_uptime_seconds",
        "gauge",
        "For how long the host has been running.",
        state.started.elapsed().as_secs_f64(),
    );
    page.one("punktfunk_sessions", "gauge", "Sessions now.", views.len() as f64);
    page.one("punktfunk_sessions_streamed_total", "counter", "Sessions that streamed.", totals.sessions as f64);
    page.one("punktfunk_clients", "gauge", "Paired devices.", state.hub.trust().list().len() as f64);
    page.one(
        "punktfunk_video_wire_bytes_total",
        "counter",
        "Payload of video packets, recovery and padding included.",
        totals.wire_bytes as f64,
    );
    for (name, value) in totals.counters.iter() {
        page.one(&format!("punktfunk_{name}_total"), "counter", "As the sessions count it.", value as f64);
    }
    page.head("punktfunk_drops_total", "counter", "Pictures, packets and input that were dropped, by reason.");
    let c = &totals.counters;
    for (reason, value) in [
        ("newer_picture", c.replaced),
        ("capture_error", c.capture_errors),
        ("frame_damaged", c.frames_damaged),
        ("packet_refused_by_kernel", c.packets_dropped),
        ("input_without_grant", c.input_refused),
        ("input_overflow", c.input_overflowed),
    ] {
        page.line("punktfunk_drops_total", &[("reason", reason)], value as f64);
    }
    for (name, help, of) in PER_SESSION {
        page.head(name, "gauge", help);
        for view in &views {
            if let Some(details) = &view.details {
                page.line(name, &[("session", &view.id.to_string()), ("plane", &details.plane)], of(details));
            }
        }
    }
    page.head(
        "punktfunk_stage_seconds",
        "histogram",
        "How long frames spend in each stage; `queue` is the wait for encoder and sender.",
    );
    for (stage, histogram) in live.stages().snapshot() {
        let mut count = 0;
        for (at, bucket) in histogram.buckets.iter().enumerate() {
            count += bucket;
            let bound = BOUNDS_US.get(at).map_or("+Inf".to_owned(), |us| (f64::from(*us) / 1e6).to_string());
            page.line("punktfunk_stage_seconds_bucket", &[("stage", stage), ("le", &bound)], count as f64);
        }
        page.line("punktfunk_stage_seconds_sum", &[("stage", stage)], histogram.sum_us as f64 / 1e6);
        page.line("punktfunk_stage_seconds_count", &[("stage", stage)], count as f64);
    }
    let process = process();
    page.one("process_resident_memory_bytes", "gauge", "Memory of the process.", process.memory_bytes as f64);
    page.one("process_open_fds", "gauge", "Open file descriptors.", process.fds as f64);
    page.0
}

/// A gauge of each session.
type Gauge = (&'static str, &'static str, fn(&crate::views::SessionDetails) -> f64);

const PER_SESSION: [Gauge; 5] = [
    ("punktfunk_session_fps", "Frames per second that left, over the last seconds.", |d| d.fps),
    ("punktfunk_session_bitrate_bps", "What video packets take, over the last seconds.", |d| {
        f64::from(d.bitrate_kbps) * 1e3
    }),
    ("punktfunk_session_budget_bps", "Wire budget of the video plane.", |d| f64::from(d.budget_kbps) * 1e3),
    ("punktfunk_session_loss_ratio", "Loss that the client reported.", |d| d.loss_percent / 100.0),
    ("punktfunk_session_fec_overhead_ratio", "What recovery packets and padding add to the video.", |d| {
        d.overhead_percent / 100.0
    }),
];

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}=\"{}\"", escaped(v))).collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{braces} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }
}

struct Process {
    memory_bytes: u64,
    fds: u64,
}

/// What the kernel says of this process; 0 where it says nothing.
fn process() -> Process {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    let kib: u64 = resident.unwrap_or(0);
    let fds = std::fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as u64);
    Process { memory_bytes: kib * 1024, fds }
}
