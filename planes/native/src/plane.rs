//! The plane: its endpoint, its accept loop, its end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use punktfunk_core::{Codec, CodecSet, Fingerprint};
use punktfunk_engine::plan::{EncoderOffer, HostOffer};
use punktfunk_engine::session::ThreadHook;
use punktfunk_hub::apps::Apps;
use punktfunk_hub::displays::Displays;
use punktfunk_hub::{Hub, PairingPolicy, Policy};
use punktfunk_media::{AudioCodec, EncoderFactory, EncoderList, InjectorCaps, Reason, Stage, reason};
use punktfunk_net::Identity;
use punktfunk_net::quic::{EndpointError, EndpointOptions, Server, server_endpoint};
use punktfunk_net::udp::PortRange;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::conn;
use crate::limits::{Doorman, Judgement, Limits};
use crate::mdns::{self, Advert, MdnsConfig};
use crate::pads::NativePads;

/// How the plane listens and what it offers.
#[derive(Clone)]
pub struct NativeConfig {
    /// Where QUIC listens; port 0 takes any. `[::]` serves IPv4 too.
    pub bind: SocketAddr,
    /// Ports for video, one per session.
    pub data_ports: PortRange,
    /// Silence after which a client counts as gone (1 s … 1 h).
    pub idle: Duration,
    /// Caps, pins and defaults of session plans. `encoders` in here is ignored: it comes from the list handed over.
    pub offer: HostOffer,
    /// `Welcome.frames`: sessions end after so many frames; 0 = never.
    pub frames: u32,
    /// `Welcome.mgmt_port`: the management API's TCP port on the network; 0 = not told.
    pub mgmt_port: u16,
    /// The advert; `None` = none.
    pub mdns: Option<MdnsConfig>,
    /// Gamepads; `None` = this host has none.
    pub pads: Option<NativePads>,
    /// Codes sound; `None` = this host has none.
    pub sound: Option<Arc<dyn AudioCodec>>,
    /// The library that `Hello.launch` names entries of, on the same displays; `None` = there is none.
    pub apps: Option<Arc<Apps>>,
    /// Called first on every session thread.
    pub on_thread_start: Option<ThreadHook>,
}

impl NativeConfig {
    /// Listens at `bind` with the protocol's defaults and without an advert.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            data_ports: PortRange::ANY,
            idle: EndpointOptions::default().idle,
            offer: HostOffer::default(),
            frames: 0,
            mgmt_port: 0,
            mdns: None,
            pads: None,
            sound: None,
            apps: None,
            on_thread_start: None,
        }
    }
}

/// The plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("{}", reason::HOST_PORT_TAKEN)]
    PortTaken(#[source] EndpointError),
    /// Anything else about the endpoint.
    #[error(transparent)]
    Endpoint(EndpointError),
    /// The endpoint does not tell where it is bound.
    #[error("the endpoint has no address: {0}")]
    Address(#[source] std::io::Error),
}

impl StartError {
    /// The stable reason, where there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&'static Reason> {
        matches!(self, Self::PortTaken(_)).then_some(&reason::HOST_PORT_TAKEN)
    }
}

impl From<EndpointError> for StartError {
    fn from(error: EndpointError) -> Self {
        match &error {
            EndpointError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                Self::PortTaken(error)
            }
            _ => Self::Endpoint(error),
        }
    }
}

/// The running plane. Dropping it closes everything at once; [`Self::shutdown`] says good-bye.
pub struct NativePlane {
    local_addr: SocketAddr,
    server: Server,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    advertising: Option<JoinHandle<()>>,
}

impl NativePlane {
    /// Binds and serves. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if the address cannot be had.
    pub fn start(
        config: NativeConfig,
        identity: Arc<Identity>,
        hub: Arc<Hub>,
        encoders: impl Into<EncoderList>,
        displays: Arc<Displays>,
    ) -> Result<Self, StartError> {
        let server = server_endpoint(config.bind, &identity, EndpointOptions { idle: config.idle })?;
        let local_addr = server.local_addr().map_err(StartError::Address)?;
        let stop = watch::Sender::new(false);
        let advertising = config.mdns.clone().map(|mdns| {
            let ip = config.bind.ip();
            let advert = Advert {
                config: mdns,
                fingerprint: identity.fingerprint(),
                uuid: identity.uuid().to_owned(),
                pairing_required: true,
                quic_port: local_addr.port(),
                bound_to: (!ip.is_unspecified()).then_some(ip),
            };
            tokio::spawn(advertise(advert, hub.watch_policy()))
        });
        let shared = Arc::new(Shared {
            config,
            identity,
            hub,
            encoders: encoders.into(),
            displays,
            stop: stop.subscribe(),
            anonymous: AtomicU64::new(0),
            left_out: Mutex::default(),
            injector: OnceLock::new(),
        });
        let accepting = tokio::spawn(accept_loop(server.clone(), shared));
        tracing::info!(address = %local_addr, "native plane listens");
        Ok(Self { local_addr, server, stop, accepting, advertising })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends all sessions with `host.shutting_down`, waits until their displays are given back and the clients heard of
    /// it, and stops listening. Takes at most about 2.5 s.
    pub async fn shutdown(mut self) {
        if let Some(advertising) = self.advertising.take() {
            advertising.abort();
        }
        self.stop.send_replace(true);
        if timeout(SESSIONS_END, &mut self.accepting).await.is_err() {
            tracing::warn!("sessions do not end in time");
            self.accepting.abort();
        }
        self.server.close(0, b"host.shutting_down");
        // Lost close frames are repeated to whoever still sends; a dead client must not hold the host.
        let _ = timeout(CLOSES_LEAVE, self.server.wait_idle()).await;
    }
}

impl Drop for NativePlane {
    fn drop(&mut self) {
        if let Some(advertising) = &self.advertising {
            advertising.abort();
        }
        self.stop.send_replace(true);
        self.server.close(0, b"host.shutting_down");
    }
}

/// Advertises what counts now, and anew when that changes.
async fn advertise(mut advert: Advert, mut policy: watch::Receiver<Policy>) {
    loop {
        let now = *policy.borrow_and_update();
        advert.pairing_required = now.pairing == PairingPolicy::Required;
        advert.config.mgmt_port = now.api_port.unwrap_or(advert.config.mgmt_port);
        let stale = async {
            let same = |p: &Policy| (p.pairing, p.api_port) == (now.pairing, now.api_port);
            policy.wait_for(|p| !same(p)).await.is_ok()
        };
        tokio::select! {
            () = mdns::advertise(advert.clone()) => return,
            changed = stale => if !changed { return },
        }
    }
}

/// What every connection needs.
pub(crate) struct Shared {
    pub config: NativeConfig,
    pub identity: Arc<Identity>,
    pub hub: Arc<Hub>,
    encoders: EncoderList,
    pub displays: Arc<Displays>,
    stop: watch::Receiver<bool>,
    anonymous: AtomicU64,
    /// Codecs of which every encoder failed, per client identity, oldest first.
    left_out: Mutex<VecDeque<(String, CodecSet)>>,
    /// What injectors of this desktop can do; looked up once, because making one costs a compositor some round trips.
    injector: OnceLock<InjectorCaps>,
}

impl Shared {
    /// What the host can do now for this client.
    pub fn offer(&self, identity: &str) -> HostOffer {
        let encoders = self.encoders.snapshot().iter().map(|e| EncoderOffer::of(&**e)).collect();
        let known = lock(&self.left_out).iter().find(|(who, _)| who == identity).map(|(_, codecs)| *codecs);
        let left_out = CodecSet(self.config.offer.left_out.0 | known.unwrap_or_default().0);
        let max_kbps = self.hub.policy().max_kbps.unwrap_or(self.config.offer.max_kbps);
        HostOffer { encoders, left_out, max_kbps, ..self.config.offer.clone() }
    }

    /// TCP port of the management API on the network; 0 = not told.
    pub fn mgmt_port(&self) -> u16 {
        self.hub.policy().api_port.unwrap_or(self.config.mgmt_port)
    }

    /// The encoders, best first.
    pub fn encoders(&self) -> Vec<Arc<dyn EncoderFactory>> {
        self.encoders.snapshot()
    }

    /// Every encoder of this codec failed this client: next time it gets another one, if there is one.
    pub fn leave_out(&self, identity: &str, codec: Codec) {
        let mut left_out = lock(&self.left_out);
        if let Some((_, codecs)) = left_out.iter_mut().find(|(who, _)| who == identity) {
            *codecs = codecs.with(codec);
            return;
        }
        if left_out.len() == MAX_LEFT_OUT {
            left_out.pop_front();
        }
        left_out.push_back((identity.to_owned(), CodecSet::only(codec)));
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

    /// A name that nobody has: a client without a certificate has no identity to share a slot or a display by.
    pub fn anonymous_identity(&self) -> String {
        format!("anonymous-{}", self.anonymous.fetch_add(1, Ordering::Relaxed))
    }

    /// The name to show for a client: the one that the operator knows it by, else what it calls itself.
    pub fn display_name(&self, raw: &str, fingerprint: Option<Fingerprint>) -> String {
        let known = fingerprint.and_then(|who| self.hub.trust().get(&who));
        match known {
            Some(client) => client.name,
            None => punktfunk_hub::sanitise_name(raw, &fingerprint.unwrap_or(Fingerprint([0; 32]))),
        }
    }

    /// Ready when the host ends. Cancel-safe.
    pub async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // An error means that the plane was dropped.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// Takes clients until told to stop, then waits for those it has.
async fn accept_loop(server: Server, shared: Arc<Shared>) {
    let doorman = Doorman::new(Limits::default());
    let mut clients = JoinSet::new();
    loop {
        let arrival = tokio::select! {
            arrival = server.accept() => arrival,
            Some(ended) = clients.join_next() => {
                log_panic(ended);
                continue;
            }
            () = shared.stopping() => break,
        };
        let Some(arrival) = arrival else { break };
        match doorman.judge(arrival.remote().ip(), arrival.is_validated()) {
            Judgement::Admit(pending) => {
                clients.spawn(conn::serve(Arc::clone(&shared), arrival, pending));
            }
            Judgement::Retry => arrival.retry(),
            Judgement::Refuse => {
                tracing::debug!(remote = %arrival.remote(), "too many handshakes at once");
                arrival.refuse();
            }
        }
    }
    while let Some(ended) = clients.join_next().await {
        log_panic(ended);
    }
}

/// A panic in a connection's task ends that connection alone.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(code = reason::INTERNAL_PANIC.code, %error, "a connection's task panicked");
    }
}

/// Runs blocking work beside the runtime, logged under the caller's span.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// A panic elsewhere leaves these lists valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More clients than any host has; a flood of identities makes the oldest be forgotten.
const MAX_LEFT_OUT: usize = 256;
/// Engine threads end within their capturer's wait (25 ms); releasing a display may take a compositor's round trips.
const SESSIONS_END: Duration = Duration::from_millis(2000);
/// quinn keeps a closed connection for three probe timeouts.
const CLOSES_LEAVE: Duration = Duration::from_millis(500);
