//! A host on loopback with a fake desktop, and a raw client that says exactly what a test tells it to.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_core::control::ControlMessage;
use punktfunk_core::framing::{FrameReader, frame_with, write_frame};
use punktfunk_core::handshake::{Cipher, Hello, Start, VideoCaps, Welcome};
use punktfunk_core::pairing::{ClientCeremony, PairMessage};
use punktfunk_core::reassemble::{Reassembler, ReassemblerConfig};
use punktfunk_core::seal::{Direction, Opener};
use punktfunk_core::{Codec, CodecSet, Fingerprint, Grants, Mode, Timestamp};
use punktfunk_hub::apps::Apps;
use punktfunk_hub::catalogue::{App, Catalogue};
use punktfunk_hub::displays::{AtEnd, DisplayConfig, Displays};
use punktfunk_hub::library::Library;
use punktfunk_hub::trust::ClientRecord;
use punktfunk_hub::{Hub, HubConfig, PairingPolicy};
use punktfunk_media::EncoderFactory;
use punktfunk_media::fake::{SyntheticDesktop, SyntheticOptions, TransportEncoderFactory, pft1};
use punktfunk_native::{NativeConfig, NativePlane};
use punktfunk_net::Identity;
use punktfunk_net::identity::random_bytes;
use punktfunk_net::quic::{DialError, DialOptions, client_endpoint, dial};
use punktfunk_net::udp::{DataSocket, PUNCH, PortRange, RecvBatch};
use tokio::time::timeout;

pub const HD: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };

/// No step of a test takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a test may change about its host.
pub struct Options {
    pub bind: &'static str,
    pub policy: PairingPolicy,
    pub max_sessions: usize,
    pub desktop: SyntheticOptions,
    pub encoders: Vec<Arc<dyn EncoderFactory>>,
    pub displays: DisplayConfig,
    pub library: Vec<App>,
    pub approval_wait: Duration,
    pub config: fn(&mut NativeConfig),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:0",
            policy: PairingPolicy::Required,
            max_sessions: 4,
            desktop: SyntheticOptions { background: false, ..SyntheticOptions::default() },
            encoders: vec![Arc::new(TransportEncoderFactory)],
            displays: DisplayConfig { warm: false, ..DisplayConfig::default() },
            library: Vec::new(),
            approval_wait: PATIENCE * 2,
            config: |_| {},
        }
    }
}

impl Options {
    pub fn open() -> Self {
        Self { policy: PairingPolicy::Open, ..Self::default() }
    }
}

/// A running host. [`Self::stop`] ends it in order.
pub struct TestHost {
    pub plane: NativePlane,
    pub hub: Arc<Hub>,
    pub displays: Arc<Displays>,
    pub apps: Arc<Apps>,
    pub desktop: Arc<SyntheticDesktop>,
    pub identity: Arc<Identity>,
    pub address: SocketAddr,
    _state: tempfile::TempDir,
}

impl TestHost {
    pub fn start(options: Options) -> Self {
        // RUST_LOG=punktfunk=debug shows what the host does.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let state = tempfile::tempdir().expect("a temporary folder");
        let mut hub_config = HubConfig::new(state.path());
        hub_config.max_sessions = options.max_sessions;
        hub_config.pairing_policy = options.policy;
        hub_config.displays = options.displays;
        hub_config.approval_wait = options.approval_wait;
        let hub = Hub::open(hub_config).expect("a fresh folder");
        let desktop = Arc::new(SyntheticDesktop::new(options.desktop));
        let displays = hub.open_displays(desktop.clone());
        let library = Library::fixed(Catalogue::new(options.library).expect("all different"));
        let apps = hub.open_apps(library, &displays);
        let identity = Arc::new(Identity::generate(&["test-host".into()]).expect("an identity"));
        let mut config = NativeConfig::new(options.bind.parse().expect("an address"));
        config.apps = Some(Arc::clone(&apps));
        (options.config)(&mut config);
        let plane = NativePlane::start(config, identity.clone(), hub.clone(), options.encoders, displays.clone())
            .expect("starts");
        let address = plane.local_addr();
        Self { plane, hub, displays, apps, desktop, identity, address, _state: state }
    }

    /// Pairs an identity without a ceremony.
    pub fn trust(&self, client: &Identity, grants: Grants) {
        let record = ClientRecord::new(client.fingerprint(), "test client".into(), grants);
        self.hub.trust().add(record).expect("saved");
    }

    pub async fn stop(self) {
        self.plane.shutdown().await;
        let (displays, apps) = (self.displays, self.apps);
        let down = move || {
            displays.shutdown(AtEnd::EndLeases);
            apps.shutdown(AtEnd::EndLeases);
        };
        tokio::task::spawn_blocking(down).await.expect("no panic");
        assert_eq!(self.desktop.open_stages(), 0, "no display may stay behind");
    }
}

pub fn client_identity() -> Identity {
    Identity::generate(&["punktfunk-client".into()]).expect("an identity")
}

/// How the host closed: code and text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    pub code: u64,
    pub text: String,
}

/// A connection with a control stream.
pub struct RawClient {
    pub endpoint: quinn::Endpoint,
    pub connection: quinn::Connection,
    pub send: quinn::SendStream,
    recv: quinn::RecvStream,
    frames: FrameReader,
    pub host: Fingerprint,
}

/// Dials from an address, with an identity or none.
pub async fn connect_from(
    from: &str,
    address: SocketAddr,
    identity: Option<&Identity>,
) -> Result<(quinn::Endpoint, quinn::Connection, Fingerprint), DialError> {
    let from: IpAddr = from.parse().expect("an address");
    let endpoint = client_endpoint(SocketAddr::new(from, 0)).expect("a socket");
    let dialed =
        timeout(PATIENCE, dial(&endpoint, address, DialOptions::new(identity, None))).await.expect("in time")?;
    Ok((endpoint, dialed.connection, dialed.host))
}

impl RawClient {
    pub async fn connect(address: SocketAddr, identity: Option<&Identity>) -> Self {
        let from = if address.is_ipv4() { "127.0.0.1" } else { "::1" };
        Self::connect_from(from, address, identity).await
    }

    pub async fn connect_from(from: &str, address: SocketAddr, identity: Option<&Identity>) -> Self {
        let (endpoint, connection, host) = connect_from(from, address, identity).await.expect("connects");
        let (send, recv) = connection.open_bi().await.expect("a stream");
        Self { endpoint, connection, send, recv, frames: FrameReader::new(), host }
    }

    pub async fn say(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::new();
        frame_with(&mut frame, encode).expect("fits");
        // The host may have closed already; what it said is asked for elsewhere.
        let _ = self.send.write_all(&frame).await;
    }

    pub async fn control(&mut self, message: ControlMessage) {
        self.say(|out| message.encode(out)).await;
    }

    pub async fn say_bytes(&mut self, payload: &[u8]) {
        let mut frame = Vec::new();
        write_frame(payload, &mut frame).expect("fits");
        let _ = self.send.write_all(&frame).await;
    }

    /// The next payload; `None` when the host closed.
    pub async fn hear(&mut self) -> Option<Vec<u8>> {
        timeout(PATIENCE, async {
            loop {
                if let Some(frame) = self.frames.next() {
                    return Some(frame.to_vec());
                }
                let chunk = self.recv.read_chunk(4096, true).await.ok()??;
                self.frames.push(&chunk.bytes);
            }
        })
        .await
        .expect("the host answers in time")
    }

    /// The next control message that `wanted` recognises; others are skipped.
    pub async fn hear_control<T>(&mut self, mut wanted: impl FnMut(ControlMessage) -> Option<T>) -> T {
        loop {
            let payload = self.hear().await.expect("the connection lives");
            if let Some(found) = ControlMessage::decode(&payload).ok().and_then(&mut wanted) {
                return found;
            }
        }
    }

    /// Waits for the host's close.
    pub async fn closed(&self) -> Closed {
        closed(&self.connection).await
    }

    pub async fn hello(&mut self, hello: &Hello) -> Option<Welcome> {
        self.say(|out| hello.encode(out)).await;
        self.hear().await.map(|payload| Welcome::decode(&payload).expect("a Welcome"))
    }

    /// Says `Hello` and expects to be refused.
    pub async fn refused(&mut self, hello: &Hello) -> Closed {
        assert!(self.hello(hello).await.is_none(), "a Welcome where a refusal was due");
        self.closed().await
    }

    /// The whole handshake of a session, with a punch.
    pub async fn start_session(&mut self, hello: &Hello) -> Video {
        let welcome = self.hello(hello).await.expect("welcome");
        let video = Video::open(self.connection.remote_address(), &welcome);
        let mut start = Start { client_udp_port: video.port(), extensions: None };
        let mut extensions = punktfunk_core::handshake::ExtensionBlock::new();
        extensions.push_stage_timing().expect("fits");
        start.extensions = Some(extensions);
        self.say(|out| start.encode(out)).await;
        video.socket.send_one(PUNCH).expect("sent");
        video
    }
}

pub async fn closed(connection: &quinn::Connection) -> Closed {
    let error = timeout(PATIENCE, connection.closed()).await.expect("the host closes in time");
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            Closed { code: close.error_code.into_inner(), text: String::from_utf8_lossy(&close.reason).into_owned() }
        }
        other => panic!("not closed by the host: {other}"),
    }
}

/// A `Hello` for the transport encoder.
pub fn hello() -> Hello {
    let mut hello = Hello::new(HD);
    hello.video_codecs = CodecSet::only(Codec::H264);
    hello.bitrate_kbps = 10_000;
    hello.name = Some("test client".into());
    hello.video_caps = VideoCaps::HOST_TIMING | VideoCaps::PROBE_SEQ;
    hello
}

/// The receiving end of the data plane.
pub struct Video {
    pub socket: DataSocket,
    pub welcome: Welcome,
    opener: Opener,
    reassembler: Reassembler,
    batch: RecvBatch,
    started: Instant,
    /// Units that came with the last one asked for.
    ahead: VecDeque<Unit>,
}

/// A received access unit that holds what the fake encoder made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unit {
    pub index: u32,
    pub pts_ns: u64,
    pub keyframe: bool,
    /// The encoder's own count.
    pub content: u32,
    pub bytes: usize,
}

impl Video {
    pub fn open(host: SocketAddr, welcome: &Welcome) -> Self {
        let any: IpAddr = if host.is_ipv4() { [127, 0, 0, 1].into() } else { "::1".parse().expect("an address") };
        let socket = DataSocket::bind(any, 0, PortRange::ANY).expect("a socket");
        socket.connect(SocketAddr::new(host.ip(), welcome.udp_port)).expect("connects");
        let aead = match &welcome.cipher {
            Cipher::Aes128Gcm => punktfunk_accel::aes128_gcm(&welcome.aes_key),
            Cipher::ChaCha20Poly1305(key) => punktfunk_accel::chacha20_poly1305(key),
        };
        let scheme = welcome.fec_scheme;
        let config = ReassemblerConfig {
            max_data_per_block: welcome.max_data_per_block,
            shard_payload: welcome.shard_payload,
            max_shard_payload: 0,
            scheme,
            fec_percent: welcome.fec_percent,
            bitrate_kbps: welcome.bitrate_kbps,
            refresh_hz: welcome.mode.refresh_hz,
        };
        Self {
            socket,
            opener: Opener::new(aead, welcome.salt, Direction::HostToClient),
            reassembler: Reassembler::new(config, punktfunk_accel::fec(scheme)),
            batch: RecvBatch::new(16),
            welcome: welcome.clone(),
            started: Instant::now(),
            ahead: VecDeque::new(),
        }
    }

    pub fn port(&self) -> u16 {
        self.socket.local_addr().expect("bound").port()
    }

    /// The next `count` access units; fewer if none came for [`PATIENCE`]. Blocking.
    pub fn receive(&mut self, count: usize) -> Vec<Unit> {
        while self.ahead.len() < count {
            if self.socket.recv(&mut self.batch, PATIENCE).expect("receives") == 0 {
                break;
            }
            let now = Timestamp(self.started.elapsed().as_nanos() as u64);
            for packet in self.batch.packets() {
                if let Ok(plaintext) = self.opener.open(packet.bytes) {
                    self.reassembler.push(plaintext, now);
                }
            }
            while let Some(unit) = self.reassembler.next(now) {
                self.ahead.push_back(Unit {
                    index: unit.index,
                    pts_ns: unit.pts_ns,
                    keyframe: unit.user_flags.contains(punktfunk_core::packet::UserFlags::KEYFRAME),
                    content: pft1::check(&unit.data).expect("never wrong bytes"),
                    bytes: unit.data.len(),
                });
                self.reassembler.recycle(unit);
            }
        }
        self.ahead.drain(..count.min(self.ahead.len())).collect()
    }

    /// Whether anything at all arrives within `within`. Blocking.
    pub fn is_quiet(&mut self, within: Duration) -> bool {
        self.socket.recv(&mut self.batch, within).expect("receives") == 0
    }

    pub fn reassembler(&mut self) -> &mut Reassembler {
        &mut self.reassembler
    }
}

/// Runs blocking work beside the runtime and gives the receiver back.
pub async fn receive(mut video: Video, count: usize) -> (Video, Vec<Unit>) {
    tokio::task::spawn_blocking(move || {
        let units = video.receive(count);
        assert_eq!(units.len(), count, "the video stopped");
        (video, units)
    })
    .await
    .expect("no panic")
}

/// The client's side of the ceremony, as far as the host lets it. `Ok(ok)` is the host's verdict.
pub async fn try_pair(client: &mut RawClient, identity: &Identity, pin: &str) -> Result<bool, PairFailed> {
    let mut random = [0; 64];
    random_bytes(&mut random).expect("randomness");
    let ceremony = ClientCeremony::start(pin, &identity.fingerprint(), &client.host, random);
    let request =
        PairMessage::Request { name: "my tablet".into(), spake_a: ceremony.message().to_vec(), device_key: None };
    client.say(|out| request.encode(out)).await;
    let Some(payload) = client.hear().await else { return Err(PairFailed::Refused(client.closed().await)) };
    let PairMessage::Challenge { spake_b, confirm } = PairMessage::decode(&payload).expect("a challenge") else {
        panic!("not a challenge");
    };
    let Ok(pending) = ceremony.confirm(&spake_b, &confirm) else { return Err(PairFailed::WrongPin) };
    let proof = PairMessage::Proof { confirm: pending.proof() };
    client.say(|out| proof.encode(out)).await;
    let payload = client.hear().await.expect("a result");
    let PairMessage::Result { ok } = PairMessage::decode(&payload).expect("a result") else { panic!("not a result") };
    client.connection.close(u32::from(!ok).into(), b"pair done");
    Ok(ok)
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PairFailed {
    /// The host closed.
    Refused(Closed),
    /// The host's proof did not match our PIN.
    WrongPin,
}

/// Waits until something holds, at most [`PATIENCE`].
pub async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
