//! Encoders and GPUs: what was found, and what is chosen.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Body, blocking};
use crate::settings::{PinnedBy, SettingView};
use crate::views::{EncoderView, GpuView};
use crate::{MgmtState, Problem};

/// What pictures are encoded and drawn with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct EncoderChoiceView {
    /// The encoder that sessions get from now on: `auto`, or its name.
    #[schema(example = "auto")]
    encoder: String,
    /// What fixes the encoder, if something does: it cannot be changed here then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder_pinned_by: Option<PinnedBy>,
    /// The GPU that private desktops and their programs draw with: `auto`, `none`, a render node, or a bus.
    #[schema(example = "0000:01:00.0")]
    gpu: String,
    /// What fixes the GPU, if something does: it cannot be changed here then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gpu_pinned_by: Option<PinnedBy>,
    /// Whether the host was started with another GPU: a restart puts this one in force.
    restart_needed: bool,
    /// Why the host goes on without the GPU that it was started with, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gpu_problem: Option<Problem>,
}

/// Chooses; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EncoderChoiceRequest {
    /// The encoder for sessions from now on: `auto`, or a name that `encoders` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "x264")]
    encoder: Option<String>,
    /// The GPU from the host's next start on: `auto`, `none`, or the node or bus of one that `encoders/gpus` lists as usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "auto")]
    gpu: Option<String>,
}

fn look(state: &MgmtState) -> EncoderChoiceView {
    let settings = state.settings.view().settings;
    let of = |key: &str| settings.iter().find(|setting| setting.key == key);
    let (encoder, gpu) = (of(ENCODER), of(GPU));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let now = |setting: Option<&SettingView>| setting.map_or_else(String::new, |s| text(&s.running));
    // What waits for a restart: what was set here, else the default.
    let next = gpu.filter(|s| s.pinned_by.is_none()).map(|s| s.value.as_ref().map_or_else(|| s.default.clone(), text));
    let running = now(gpu);
    let gpu_name = next.unwrap_or_else(|| running.clone());
    EncoderChoiceView {
        encoder: now(encoder),
        encoder_pinned_by: encoder.and_then(|s| s.pinned_by),
        restart_needed: gpu_name != running,
        gpu: gpu_name,
        gpu_pinned_by: gpu.and_then(|s| s.pinned_by),
        gpu_problem: (state.problems)().into_iter().find(|problem| problem.code.starts_with("gpu.")),
    }
}

/// The encoders, best first, and what their tests found
#[utoipa::path(
    get, path = "/api/v1/encoders", operation_id = "encoders", tag = "host",
    responses((status = 200, description = "The encoders", body = Vec<EncoderView>))
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Result<Json<Vec<EncoderView>>, Problem> {
    blocking(move || (state.encoders)()).await.map(Json)
}

/// The GPUs of the machine, whether the host may use them, and what the chosen one does
#[utoipa::path(
    get, path = "/api/v1/encoders/gpus", operation_id = "gpus", tag = "host",
    responses((status = 200, description = "The GPUs; none where there is none", body = Vec<GpuView>))
)]
pub(super) async fn gpus(State(state): State<MgmtState>) -> Result<Json<Vec<GpuView>>, Problem> {
    blocking(move || (state.gpus)()).await.map(Json)
}

/// Which encoder and which GPU are chosen
#[utoipa::path(
    get, path = "/api/v1/encoders/choice", operation_id = "encoder_choice", tag = "host",
    responses((status = 200, description = "The choice", body = EncoderChoiceView))
)]
pub(super) async fn choice(State(state): State<MgmtState>) -> Result<Json<EncoderChoiceView>, Problem> {
    blocking(move || look(&state)).await.map(Json)
}

/// Chooses an encoder, a GPU, or both: all or nothing
///
/// Sets `video.encoder` and `video.gpu`. What does not work here is refused, and the choice stays as it was.
#[utoipa::path(
    patch, path = "/api/v1/encoders/choice", operation_id = "encoder_choose", tag = "host",
    request_body = EncoderChoiceRequest,
    responses((status = 200, description = "The choice as it is now", body = EncoderChoiceView))
)]
pub(super) async fn choose(
    State(state): State<MgmtState>,
    Body(request): Body<EncoderChoiceRequest>,
) -> Result<Json<EncoderChoiceView>, Problem> {
    blocking(move || {
        let change = |key: &str, value: Option<String>| value.map(|value| (key.to_owned(), Value::from(value)));
        let changes: Map<_, _> =
            [change(ENCODER, request.encoder), change(GPU, request.gpu)].into_iter().flatten().collect();
        if !changes.is_empty() {
            state.settings.patch(None, &changes)?;
        }
        Ok(Json(look(&state)))
    })
    .await?
}

/// The settings behind it.
const ENCODER: &str = "video.encoder";
const GPU: &str = "video.gpu";
