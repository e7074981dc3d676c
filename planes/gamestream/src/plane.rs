//! The plane: its doors, what the sessions share, its end.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use punktfunk_core::handshake::GamepadKind;
use punktfunk_engine::pads::{PadPolicy, PadsSetup};
use punktfunk_engine::plan::{EncoderOffer, HostOffer};
use punktfunk_engine::session::ThreadHook;
use punktfunk_hub::Hub;
use punktfunk_hub::apps::Apps;
use punktfunk_hub::displays::Displays;
use punktfunk_media::{
    AudioCodec, Codec, EncoderFactory, EncoderList, InjectorCaps, PadFactory, Reason, Stage, reason,
};
use punktfunk_net::identity::{GenerateError, random_bytes};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::control::{ControlHandle, ControlServer};
use crate::door::{ControlSessions, RtspOffer, RtspSessions, SessionKey, Sessions};
use crate::http::{self, CodecFacts, Deps, HttpConfig, Servers};
use crate::lock;
use crate::media_ports::{MediaPorts, MediaPortsConfig};
use crate::policy::{Encryption, Networks};
use crate::rtsp::RtspServer;
use crate::session::{Live, SessionDoors, Table};
use crate::wire::feedback::HostMessage;

/// How the plane listens and what it offers.
#[derive(Clone)]
pub struct GameStreamConfig {
    /// The address to listen on; `::` serves IPv4, too.
    pub bind: IpAddr,
    /// The HTTP port, to which all others are offsets (gamestream.md §2.1); 0 picks any free ports.
    pub base_port: u16,
    /// The name clients see.
    pub name: String,
    /// Where the identity is kept, and the native one's uuid, for an identity that must be made.
    pub state_dir: PathBuf,
    /// See [`Self::state_dir`].
    pub uuid: String,
    /// Caps, pins and defaults of session plans. `encoders` in here is ignored: it comes from the list handed over.
    pub offer: HostOffer,
    /// What must be encrypted.
    pub encryption: Encryption,
    /// From where clients may come.
    pub networks: Networks,
    /// Announce the host in the local network.
    pub mdns: bool,
    /// Codes sound; `None` = this host has none.
    pub sound: Option<Arc<dyn AudioCodec>>,
    /// Makes gamepads, and which kind; `None` = this host has none.
    pub pads: Option<(Arc<dyn PadFactory>, PadPolicy)>,
    /// Called first on every session thread.
    pub on_thread_start: Option<ThreadHook>,
}

impl GameStreamConfig {
    /// Listens at `bind` on the customary ports, without an advert, sound or gamepads.
    #[must_use]
    pub fn new(bind: IpAddr, name: impl Into<String>, state_dir: impl Into<PathBuf>, uuid: impl Into<String>) -> Self {
        Self {
            bind,
            base_port: http::BASE_PORT,
            name: name.into(),
            state_dir: state_dir.into(),
            uuid: uuid.into(),
            offer: HostOffer::default(),
            encryption: Encryption::default(),
            networks: Networks::default(),
            mdns: false,
            sound: None,
            pads: None,
            on_thread_start: None,
        }
    }
}

/// Where the doors listen, with the real ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doors {
    /// HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// RTSP.
    pub rtsp: u16,
    /// ENet.
    pub control: u16,
    /// Video.
    pub video: u16,
    /// Sound.
    pub audio: u16,
}

/// The plane could not start.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct StartError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// Which port or file, and what the system said.
    pub detail: String,
}

/// The running plane. Dropping it closes everything at once; [`Self::shutdown`] says good-bye.
pub struct GameStreamPlane {
    doors: Doors,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    http: Servers,
    // Dropped with the plane.
    _rtsp: RtspServer,
    _control: ControlServer,
}

impl GameStreamPlane {
    /// Binds all ports and serves. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if a port cannot be had.
    pub fn start(
        config: GameStreamConfig,
        hub: Arc<Hub>,
        encoders: impl Into<EncoderList>,
        displays: Arc<Displays>,
        apps: Arc<Apps>,
    ) -> Result<Self, StartError> {
        let at = |offset: i32| match config.base_port {
            0 => 0,
            base => u16::try_from(i32::from(base) + offset).unwrap_or(0),
        };
        let media = MediaPorts::start(&MediaPortsConfig {
            ip: (!config.bind.is_unspecified()).then_some(config.bind),
            video_port: at(VIDEO_OFFSET),
            audio_port: at(AUDIO_OFFSET),
        })
        .map_err(|e| StartError { reason: e.reason, detail: e.detail })?;
        let stop = watch::Sender::new(false);
        let shared = Arc::new(Shared {
            config: config.clone(),
            hub: Arc::clone(&hub),
            encoders: encoders.into(),
            displays,
            apps: Arc::clone(&apps),
            table: Table::default(),
            media,
            control: OnceLock::new(),
            ports: OnceLock::new(),
            stop: stop.subscribe(),
            tasks: Mutex::default(),
            injector: OnceLock::new(),
        });
        let sessions = Arc::new(SessionDoors(Arc::clone(&shared)));
        let taken = |what: &str, port: u16| {
            let what = format!("{what} port {port}");
            move |error: std::io::Error| StartError {
                reason: match error.kind() {
                    std::io::ErrorKind::AddrInUse => &reason::HOST_PORT_TAKEN,
                    _ => &reason::NETWORK_UNAVAILABLE,
                },
                detail: format!("{what}: {error}"),
            }
        };
        let port = at(CONTROL_OFFSET);
        let control =
            ControlServer::start(SocketAddr::new(config.bind, port), Arc::clone(&sessions) as Arc<dyn ControlSessions>)
                .map_err(taken("UDP", port))?;
        let port = at(RTSP_OFFSET);
        let rtsp =
            RtspServer::start(SocketAddr::new(config.bind, port), Arc::clone(&sessions) as Arc<dyn RtspSessions>)
                .map_err(taken("TCP", port))?;
        let ports = (rtsp.local_addr().port(), control.local_addr().port());
        // Both set once, before anybody can ask.
        let _ = shared.ports.set(ports);
        let _ = shared.control.set(control.handle());
        let codecs = Arc::clone(&shared);
        let http = Servers::start(
            HttpConfig {
                bind: config.bind,
                http_port: at(0),
                https_port: at(HTTPS_OFFSET),
                mdns_port: config.mdns.then_some(MDNS_PORT),
                ..HttpConfig::new(config.name.clone(), config.state_dir.clone(), config.uuid.clone())
            },
            Deps {
                hub,
                sessions: sessions as Arc<dyn Sessions>,
                apps: Arc::clone(apps.library()) as _,
                codecs: Arc::new(move || codecs.codec_facts()),
            },
        )
        .map_err(|e| StartError { reason: e.reason(), detail: e.to_string() })?;
        let addresses = http.local_addrs();
        let doors = Doors {
            http: addresses.http,
            https: addresses.https,
            rtsp: ports.0,
            control: ports.1,
            video: shared.media.video_port(),
            audio: shared.media.audio_port(),
        };
        Ok(Self { doors, stop, shared, http, _rtsp: rtsp, _control: control })
    }

    /// Where it listens.
    #[must_use]
    pub const fn doors(&self) -> Doors {
        self.doors
    }

    /// Ends all sessions, with a word to their clients, and stops listening. Takes at most about 3 s.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *lock(&self.shared.tasks));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(SESSIONS_END, ended).await.is_err() {
            tracing::warn!("GameStream sessions do not end in time");
        }
        self.http.shutdown().await;
        // The control stream's farewells leave before its thread ends.
    }
}

/// What every session needs.
pub(crate) struct Shared {
    pub config: GameStreamConfig,
    pub hub: Arc<Hub>,
    encoders: EncoderList,
    pub displays: Arc<Displays>,
    pub apps: Arc<Apps>,
    pub table: Table,
    pub media: MediaPorts,
    control: OnceLock<ControlHandle>,
    /// RTSP's and the control stream's.
    ports: OnceLock<(u16, u16)>,
    stop: watch::Receiver<bool>,
    tasks: Mutex<JoinSet<()>>,
    injector: OnceLock<InjectorCaps>,
}

impl Shared {
    /// Runs a session's task, which [`GameStreamPlane::shutdown`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(code = reason::INTERNAL_PANIC.code, %error, "a session's task panicked");
            }
        }
        tasks.spawn(task);
    }

    /// How a session makes gamepads.
    pub fn pads(&self) -> Option<PadsSetup> {
        let (factory, policy) = self.config.pads.as_ref()?;
        let default_kind = GamepadKind::Auto;
        Some(PadsSetup { factory: Arc::clone(factory), policy: *policy, default_kind })
    }

    /// The handle of the control streams; `None` only while the plane starts.
    pub fn control(&self) -> Option<ControlHandle> {
        self.control.get().cloned()
    }

    /// RTSP's port.
    pub fn rtsp_port(&self) -> u16 {
        self.ports.get().map_or(0, |(rtsp, _)| *rtsp)
    }

    fn codec_facts(&self) -> CodecFacts {
        let hevc = self.encodes(Codec::Hevc);
        let bits = [(true, H264_BIT), (hevc, HEVC_BIT), (self.encodes(Codec::Av1), AV1_BIT)];
        let mode_support = bits.iter().filter(|(can, _)| *can).fold(0, |all, (_, bit)| all | bit);
        CodecFacts { mode_support, max_luma_hevc: if hevc { MAX_LUMA_HEVC } else { 0 } }
    }

    /// What the host can do now.
    pub fn offer(&self) -> HostOffer {
        let encoders = self.encoders.snapshot().iter().map(|e| EncoderOffer::of(&**e)).collect();
        let max_kbps = self.hub.policy().max_kbps.unwrap_or(self.config.offer.max_kbps);
        HostOffer { encoders, max_kbps, ..self.config.offer.clone() }
    }

    /// The encoders, best first.
    pub fn encoders(&self) -> Vec<Arc<dyn EncoderFactory>> {
        self.encoders.snapshot()
    }

    /// Whether start-up tests showed an encoder of this codec.
    pub fn encodes(&self, codec: Codec) -> bool {
        self.encoders.snapshot().iter().any(|e| !e.carries_any_codec() && e.codec() == codec)
    }

    /// What injectors of this desktop can do; `None` if it gives none now. Blocking.
    pub fn injector_caps(&self, stage: &mut dyn Stage) -> Option<InjectorCaps> {
        if let Some(caps) = self.injector.get() {
            return Some(*caps);
        }
        match stage.injector() {
            Ok(injector) => Some(*self.injector.get_or_init(|| injector.caps())),
            Err(error) => {
                tracing::warn!(code = error.reason.code, "no input: {}", error.detail);
                None
            }
        }
    }

    /// What RTSP tells a session, with fresh secrets.
    pub fn rtsp_offer(&self, live: &Live) -> Result<RtspOffer, GenerateError> {
        let mut random = [0; 16];
        random_bytes(&mut random)?;
        let (_, control_port) = self.ports.get().copied().unwrap_or_default();
        let caps = self.injector.get().copied().unwrap_or_default();
        let mut ping = [0; 16];
        for (digits, byte) in ping.chunks_exact_mut(2).zip(random) {
            digits.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        }
        let first = self.encoders.snapshot().first().map(Arc::clone);
        let pads = self.config.pads.as_ref().is_some_and(|(factory, _)| !factory.kinds().is_empty());
        Ok(RtspOffer {
            feature_flags: if caps.touch { TOUCH_AND_PEN } else { 0 } | if pads { PAD_SENSORS } else { 0 },
            encryption_supported: self.config.encryption.supported(),
            encryption_requested: self.config.encryption.requested(),
            invalidation: first.is_some_and(|e| e.can_invalidate()),
            hevc: self.encodes(Codec::Hevc),
            av1: self.encodes(Codec::Av1),
            surround_params: live.request.surround_params.clone(),
            video_port: self.media.video_port(),
            control_port,
            audio_port: self.media.audio_port(),
            ping,
            // 0 means "none".
            connect_data: u32::from_be_bytes([random[8], random[9], random[10], random[11]]).max(1),
            token: String::from_utf8_lossy(&ping[..12]).into_owned(),
        })
    }

    /// Sends a message to a client, if its control stream is up.
    pub fn tell(&self, session: SessionKey, message: HostMessage) {
        if let Some(control) = self.control.get() {
            control.send(session, message);
        }
    }

    /// Tells a client that it ends, and closes its control stream.
    pub fn terminate(&self, session: SessionKey, code: u32) {
        if let Some(control) = self.control.get() {
            control.terminate(session, code);
        }
    }

    /// Closes a control stream whose client left.
    pub fn close_control(&self, session: SessionKey) {
        if let Some(control) = self.control.get() {
            control.close(session);
        }
    }

    /// Ready when the host ends. Cancel-safe.
    pub async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // An error means that the plane was dropped.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// Runs blocking work beside the runtime, logged under the caller's span.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// Offsets of gamestream.md §2.1.
const HTTPS_OFFSET: i32 = -5;
const VIDEO_OFFSET: i32 = 9;
const CONTROL_OFFSET: i32 = 10;
const AUDIO_OFFSET: i32 = 11;
const RTSP_OFFSET: i32 = 21;
const MDNS_PORT: u16 = 5353;
/// Bits of `ServerCodecModeSupport` (gamestream.md §3.4), 8-bit 4:2:0.
const H264_BIT: u32 = 0x1;
const HEVC_BIT: u32 = 0x100;
const AV1_BIT: u32 = 0x1_0000;
/// `MaxLumaPixelsHEVC` of a host that encodes HEVC (gamestream.md §3.3).
const MAX_LUMA_HEVC: u32 = 1_869_449_984;
/// Engine threads end within their capturer's wait; releasing a display may take a compositor's round trips.
const SESSIONS_END: Duration = Duration::from_millis(2500);
const HEX: [u8; 16] = *b"0123456789ABCDEF";
/// Bits of `x-ss-general.featureFlags`.
const TOUCH_AND_PEN: u32 = 0x1;
const PAD_SENSORS: u32 = 0x2;
