//! What the API says and takes. Times are durations in whole seconds or Unix seconds, as their names tell.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// Whether the host is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `degraded`: it serves, but the problems below limit it.
    pub status: HealthStatus,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// The short answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Nothing known is wrong.
    Ok,
    /// Something is.
    Degraded,
}

/// What this host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Display name.
    #[schema(example = "living-room")]
    pub name: String,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// For how long it has been running.
    pub uptime_s: u64,
    /// SHA-256 of its certificate, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Where clients reach it, `ip:port`.
    #[schema(example = json!(["192.0.2.10:9777"]))]
    pub addresses: Vec<String>,
}

/// The PIN window and who waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairingView {
    /// Whether a PIN window is open.
    pub armed: bool,
    /// When it closes by itself.
    pub expires_in_s: Option<u64>,
    /// The only device it is for, 64 hexadecimal digits.
    pub bound: Option<String>,
    /// Whether everybody gets in without pairing.
    pub open: bool,
    /// Devices that wait for approval, oldest first.
    pub pending: Vec<PendingView>,
    /// Devices that show a PIN and wait until it is typed here, oldest first.
    #[serde(default)]
    pub pins_wanted: Vec<PinWantedView>,
}

/// A device that shows a PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PinWantedView {
    /// For typing the PIN and for deny.
    #[schema(example = "a1b2c3d4e5f6")]
    pub id: String,
    /// What it calls itself, cleaned.
    pub name: String,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Its address: compare it with the device at hand.
    #[schema(example = "192.0.2.20")]
    pub source: String,
    /// For how long it has been waiting.
    pub waiting_s: u64,
}

/// Types the PIN that a device shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// Its four digits.
    #[schema(example = "0042")]
    pub pin: String,
    /// Which device: its id, a unique beginning of its fingerprint, or its address; needed when several wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A device that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingView {
    /// For approve and deny.
    #[schema(example = "a1b2c3d4e5f6")]
    pub id: String,
    /// What it calls itself, cleaned.
    pub name: String,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Its address.
    pub source: String,
    /// For how long it has been waiting.
    pub waiting_s: u64,
    /// Whether it still waits. Approving one that left lets it in next time.
    pub connected: bool,
}

/// Opens a PIN window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmRequest {
    /// How long it stays open, 15 to 600; 120 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 15, maximum = 600, example = 120)]
    pub seconds: Option<u64>,
    /// Only for the device with this fingerprint, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// An open PIN window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Armed {
    /// Four digits to type on the client.
    #[schema(example = "0042")]
    pub pin: String,
    /// When the window closes by itself.
    pub expires_in_s: u64,
}

/// Lets a waiting device in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// What it may do, a bit mask (1 gamepad, 2 pointer, 4 keyboard, 8 clipboard, 16 microphone, 32 launch, 64 power);
    /// everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 127)]
    pub grants: Option<u32>,
    /// Or in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<crate::routes::Preset>,
    /// For how long; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// A device and its access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientView {
    /// For revoke and change; any unique beginning of the fingerprint of at least 4 digits does as well.
    #[schema(example = "a1b2c3d4e5f6")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Which protocol it speaks.
    #[serde(default)]
    pub kind: ClientKind,
    /// Whether it may come in.
    pub state: ClientState,
    /// What it may do, a bit mask.
    pub grants: u32,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Unix time at which it was paired; 0 while it waits for approval.
    pub paired_at_s: u64,
    /// Unix time at which its access ends.
    pub expires_at_s: Option<u64>,
    /// Whether it has a session now.
    pub streaming: bool,
    /// How large programs draw on its displays, in percent, if it has a scale of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_percent: Option<u32>,
    /// Its keyboard, `LAYOUT[:VARIANT[:OPTIONS]]` in XKB's words, if it has a layout of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "de:nodeadkeys")]
    pub keyboard_layout: Option<String>,
}

/// Which protocol a device speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// `punktfunk/1`.
    #[default]
    Native,
    /// GameStream: Moonlight and its relatives.
    Gamestream,
}

/// Whether a device may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    /// Yes.
    Paired,
    /// Not any more.
    Expired,
    /// It waits for approval.
    Pending,
}

/// Changes a client; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientChangeRequest {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<crate::routes::Preset>,
    /// What it may do, a bit mask. Reaches live sessions at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<u32>,
    /// Its access ends after this time from now; 0: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// How large programs draw on its displays, in percent: 100 to 300 in steps of 5; 0: as the host is set. Reaches live
    /// sessions at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 150)]
    pub scale_percent: Option<u32>,
    /// Its keyboard, `LAYOUT[:VARIANT[:OPTIONS]]` in XKB's words; empty: the layout of the desktop. Reaches live sessions at
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "de:nodeadkeys", max_length = 128)]
    pub keyboard_layout: Option<String>,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its number.
    pub id: u64,
    /// The client's name.
    pub name: String,
    /// The client's id, if it has an identity.
    pub client: Option<String>,
    /// For how long it has been running.
    pub age_s: u64,
    /// What the client may do, a bit mask, if it is paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<u32>,
    /// Whether it was asked to end.
    pub leaving: bool,
    /// What it streams; absent until the stream runs.
    pub details: Option<SessionDetails>,
}

/// What a session streams. Rates and stages are those of the last seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionDetails {
    /// The protocol: `native` or `gamestream`.
    #[schema(example = "native")]
    pub plane: String,
    /// Width, height and refresh rate.
    #[schema(example = "1920x1080@60")]
    pub mode: String,
    /// Video codec.
    #[schema(example = "h264")]
    pub codec: String,
    /// Encoder in use.
    #[schema(example = "x264")]
    pub encoder: String,
    /// Where the client is.
    pub peer: String,
    /// Wire budget of the video plane.
    pub budget_kbps: u32,
    /// What video packets really take.
    pub bitrate_kbps: u32,
    /// Frames per second that left.
    pub fps: f64,
    /// Loss that the client reported, in per cent.
    pub loss_percent: f64,
    /// What recovery packets and padding add to the video, in per cent.
    pub overhead_percent: f64,
    /// How long frames spend in each stage.
    pub stages: Vec<StageView>,
    /// From an input event's arrival until it was injected.
    pub input: StageView,
    /// Everything counted since its start, by name.
    #[schema(value_type = Object)]
    pub counters: serde_json::Map<String, serde_json::Value>,
}

/// How long something takes, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    /// `host` is the whole way; the others are its parts.
    #[schema(example = "encode")]
    pub name: String,
    /// Values looked at.
    pub count: u64,
    /// Half are below.
    pub p50_us: u64,
    /// 99 of 100 are below.
    pub p99_us: u64,
    /// The largest.
    pub max_us: u64,
}

/// The host at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// Whether it is well.
    pub status: HealthStatus,
    /// Display name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// For how long it has been running.
    pub uptime_s: u64,
    /// Sessions now.
    pub sessions: u64,
    /// Sessions at most.
    pub max_sessions: u64,
    /// Whether a PIN window is open.
    pub pairing_armed: bool,
    /// Devices that wait for approval.
    pub pending: u64,
    /// Whether everybody gets in without pairing.
    pub open: bool,
}

/// An encoder and what its test found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EncoderView {
    /// Its name, as `video.encoder` takes it.
    #[schema(example = "x264")]
    pub name: String,
    /// Its codec.
    #[schema(example = "h264")]
    pub codec: String,
    /// Whether sessions are offered it. The first that is offered is preferred.
    pub offered: bool,
    /// What was found.
    pub detail: String,
    /// What to do so that it works; empty when it does.
    pub fix: String,
}

/// A GPU: a render node of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuView {
    /// Its device node.
    #[schema(example = "/dev/dri/renderD128")]
    pub node: String,
    /// Where it is on its bus; empty when that is not told.
    #[schema(example = "0000:01:00.0")]
    pub bus: String,
    /// Who made it: a name, or the PCI vendor id.
    #[schema(example = "AMD")]
    pub vendor: String,
    /// Its PCI device id.
    #[schema(example = "744c")]
    pub device: String,
    /// The kernel's driver.
    #[schema(example = "amdgpu")]
    pub driver: String,
    /// Whether this host may open it.
    pub usable: bool,
    /// Why not; empty when it may.
    pub detail: String,
    /// Whether the running host uses it because it was chosen (`video.gpu`).
    #[serde(default)]
    pub chosen: bool,
    /// What for.
    #[serde(default)]
    pub used_for: Vec<GpuUse>,
}

/// What a GPU is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuUse {
    /// The compositor of private desktops draws with it.
    Desktop,
    /// Programs on private desktops are told to draw with it.
    Programs,
}

/// What the whole host can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// End every session and start again, with the settings as they are then.
    Restart,
    /// Put the machine to sleep.
    Sleep,
}

/// One finding of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    /// Stable name of the check.
    #[schema(example = "encode.x264")]
    pub id: String,
    /// How it went.
    pub status: DiagnosticStatus,
    /// What was found.
    pub detail: String,
    /// What to do; empty when nothing needs to be done.
    pub fix: String,
    /// The reason code behind it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "encode.ffmpeg_missing")]
    pub code: Option<String>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticStatus {
    /// As it should be.
    Ok,
    /// It works, but could be better.
    Warn,
    /// It does not work.
    Fail,
}
