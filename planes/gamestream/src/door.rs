//! The seams inside this plane: what its doors (HTTP, RTSP, control) ask of the sessions behind them. The plane
//! implements all three; each door is tested against a fake.
//!
//! ```text
//! launch | resume ─► pending (10 s) ─► RTSP: setup, announce, play ─► streaming ─► paused (linger) ─► gone
//! ```

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use punktfunk_core::Fingerprint;
use punktfunk_media::Reason;

/// A boxed future, so that the seams are object-safe.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names a session inside this plane; never reused while the host runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct SessionKey(pub u64);

/// An answer that a client shows to its user: the XML status and its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// `status_code` of the root element, or the RTSP status.
    pub status: u16,
    /// `status_message`: a sentence and the fix, from the reason registry.
    pub message: String,
}

impl Refusal {
    /// A refusal in the registry's words.
    #[must_use]
    pub fn of(status: u16, reason: &Reason) -> Self {
        Self { status, message: format!("{} {}", reason.sentence, reason.fix) }
    }
}

/// What HTTPS asks of the sessions. `client` is the SHA-256 of the authenticated client's certificate.
pub trait Sessions: Send + Sync {
    /// The application of this client's own session or of the one that waits for it; `None` = free.
    fn current_app(&self, client: &Fingerprint) -> Option<u32>;

    /// Opens a pending session for `/launch`. On success RTSP already listens.
    fn launch<'a>(&'a self, client: &'a Fingerprint, request: LaunchRequest) -> Boxed<'a, Result<SessionUrl, Refusal>>;

    /// Opens a pending session for `/resume`: 503 without one to resume.
    fn resume<'a>(&'a self, client: &'a Fingerprint, request: LaunchRequest) -> Boxed<'a, Result<SessionUrl, Refusal>>;

    /// Ends the client's session and its application, and answers only when [`Self::current_app`] says so.
    fn cancel<'a>(&'a self, client: &'a Fingerprint) -> Boxed<'a, bool>;
}

/// The parameters of `/launch` and `/resume` (gamestream.md §3.7), checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchRequest {
    /// The client's name as its user knows it, sanitised; may be empty.
    pub device_name: String,
    /// The application; `None` in old `/resume` requests.
    pub app: Option<u32>,
    /// Width, height, frames per second; 0 frames per second = not told.
    pub mode: Option<(u32, u32, u32)>,
    /// The session's secret.
    pub rikey: [u8; 16],
    /// Its number, the low 32 bits.
    pub rikey_id: u32,
    /// The client wants 10 bits per colour.
    pub hdr: bool,
    /// The sound is also heard at the host.
    pub play_on_host: bool,
    /// (channel mask << 16) | channels; 0x30002 where it is not told.
    pub surround_info: u32,
    /// An Opus layout of the client's own (gamestream.md §9.2).
    pub surround_params: Option<String>,
    /// Send sound also while nothing plays.
    pub continuous_audio: bool,
    /// Gamepads attached at launch.
    pub pads: u32,
    /// Gamepads stay after a disconnect.
    pub keep_pads: bool,
    /// 0 where it is not told.
    pub core_version: u32,
    /// Where the HTTPS request arrived, unmapped.
    pub local: IpAddr,
    /// Where it came from, unmapped.
    pub peer: IpAddr,
}

/// The URL that a launch answers with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionUrl {
    /// `rtspenc` instead of `rtsp`.
    pub sealed: bool,
    /// The local address of the request, with RTSP's port.
    pub address: SocketAddr,
}

/// What RTSP asks of the sessions.
pub trait RtspSessions: Send + Sync {
    /// The sessions that a connection from `peer` may belong to, oldest first: pending ones, and those whose handshake is
    /// under way. Sealed ones are told apart by trial decryption, plain ones by address.
    fn candidates(&self, peer: IpAddr) -> Vec<RtspCandidate>;

    /// What DESCRIBE and SETUP tell.
    ///
    /// # Errors
    /// [`Refusal`] if the session is gone.
    fn describe(&self, session: SessionKey) -> Result<RtspOffer, Refusal>;

    /// Takes the announced stream: makes everything ready so that streaming starts when pings come.
    fn announce(&self, session: SessionKey, announce: Announce) -> Boxed<'_, Result<(), Refusal>>;

    /// PLAY was asked for. Must not wait for pings or for the control stream.
    fn play(&self, session: SessionKey) -> Boxed<'_, Result<(), Refusal>>;
}

/// A session that RTSP may bind a connection to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RtspCandidate {
    /// Which.
    pub session: SessionKey,
    /// Its secret.
    pub rikey: [u8; 16],
    /// Its messages are sealed.
    pub sealed: bool,
}

/// What the host offers this session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RtspOffer {
    /// `x-ss-general.featureFlags`.
    pub feature_flags: u32,
    /// `x-ss-general.encryptionSupported`.
    pub encryption_supported: u32,
    /// `x-ss-general.encryptionRequested`.
    pub encryption_requested: u32,
    /// The encoder honours reference frame invalidation.
    pub invalidation: bool,
    /// HEVC is encoded.
    pub hevc: bool,
    /// AV1 is encoded.
    pub av1: bool,
    /// The client's own Opus layout, to be offered before ours.
    pub surround_params: Option<String>,
    /// UDP ports.
    pub video_port: u16,
    /// See [`Self::video_port`].
    pub control_port: u16,
    /// See [`Self::video_port`].
    pub audio_port: u16,
    /// `X-SS-Ping-Payload`, the same for sound and video.
    pub ping: [u8; 16],
    /// `X-SS-Connect-Data`.
    pub connect_data: u32,
    /// The `Session` token.
    pub token: String,
}

/// What the client announced (gamestream.md §5.6), defaults applied, required attributes there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announce {
    /// `x-ml-general.featureFlags`.
    pub client_flags: u32,
    /// `x-ss-general.encryptionEnabled`, with the older way to enable sound's OR-ed in.
    pub encryption: u32,
    /// `clientViewportWd`.
    pub width: u32,
    /// `clientViewportHt`.
    pub height: u32,
    /// `maxFPS`.
    pub fps: u32,
    /// `clientRefreshRateX100`; 0 = not told.
    pub refresh_x100: u32,
    /// `packetSize` (P), a multiple of 16, already reduced for video encryption.
    pub packet_size: u16,
    /// 4:4:4.
    pub full_chroma: bool,
    /// Intra refresh is wished.
    pub intra_refresh: bool,
    /// `bw.maximumBitrateKbps`.
    pub maximum_kbps: u32,
    /// `configuredBitrateKbps`; 0 = not told.
    pub configured_kbps: u32,
    /// `fec.minRequiredFecPackets`.
    pub min_recovery: u8,
    /// `vqos qosTrafficType` ≠ 0.
    pub mark_video: bool,
    /// `aqos qosTrafficType` ≠ 0.
    pub mark_audio: bool,
    /// `videoEncoderSlicesPerFrame`.
    pub slices: u8,
    /// 0 H.264, 1 HEVC, 2 AV1.
    pub codec: u8,
    /// 10 bits.
    pub ten_bit: bool,
    /// `maxNumReferenceFrames`: 0 = the host may choose.
    pub reference_frames: u32,
    /// `encoderCscMode`: (colour space << 1) | full range.
    pub colour: u32,
    /// 2, 6 or 8.
    pub channels: u8,
    /// 0x3, 0x3F or 0x63F.
    pub channel_mask: u32,
    /// The high-quality surround layout.
    pub surround_high: bool,
    /// High-quality stereo: the `Host` header does not name 0.0.0.0.
    pub stereo_high: bool,
    /// 5 or 10 ms.
    pub packet_duration: Duration,
}

/// What the control stream asks of the sessions. Called from its thread: must not block.
pub trait ControlSessions: Send + Sync {
    /// Whether a session waits for a client that connects with this data from this address. Asked before a stranger's
    /// datagram costs anything; while places are scarce, who is not expected is not answered.
    fn expects(&self, _data: u32, _peer: IpAddr) -> bool {
        true
    }

    /// A client connected. `data` is its connect data (0 if none). `None`: nobody's, disconnect it at once. A secret serves
    /// for one connection: another one with the same is dropped, and this session hears nothing of it.
    fn connected(&self, data: u32, peer: SocketAddr, local: Option<IpAddr>) -> Option<ControlBinding>;

    /// A message of the client, decrypted.
    fn message(&self, session: SessionKey, message: crate::wire::control::ClientMessage<'_>);

    /// The client disconnected, or was silent for 10 s. Not called for what [`crate::control::ControlHandle`] ended.
    fn disconnected(&self, session: SessionKey);
}

/// How to talk to a client that connected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlBinding {
    /// Which session.
    pub session: SessionKey,
    /// Its secret.
    pub rikey: [u8; 16],
    /// V2 instead of V1.
    pub v2: bool,
}
