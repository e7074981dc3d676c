//! The HTTP side (gamestream.md §2.2, §3, §4): what a client finds, pairs with, asks and launches through.
//!
//! ```text
//! accept ─► lobby (half-open: bounded, the oldest goes) ─► TLS on the HTTPS port ─► request head ─► routes
//!   HTTP    /serverinfo  /pair phases 1–4  /unpair                          nobody is known here
//!   HTTPS   /serverinfo  /pair phase 5  /applist  /appasset  /launch  /resume  /cancel
//!           only certificates of the hub's trust store; everybody else reads status 401 in XML
//! ```
//!
//! One request per connection. The RSA certificate is made in the background on first use; what needs it waits for it,
//! bounded.

mod apps;
mod art;
mod font;
mod identity;
mod lobby;
mod mdns;
mod pairing;
mod routes;
mod serve;
mod serverinfo;
mod sessions;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use punktfunk_hub::Hub;
use punktfunk_media::{Reason, reason};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::door::Sessions;
use identity::Keeper;
use lobby::Lobby;
use pairing::Pairings;

pub use apps::{App, Apps};
pub use lobby::Limits;

/// How the servers listen.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where both listen. `::` serves IPv4 too.
    pub bind: IpAddr,
    /// HTTP, the base port (gamestream.md §2.1); 0 takes any.
    pub http_port: u16,
    /// HTTPS; 0 takes any.
    pub https_port: u16,
    /// The host's display name.
    pub name: String,
    /// Where the GameStream identity is kept.
    pub state_dir: PathBuf,
    /// The native identity's uuid, for a GameStream identity that must be made.
    pub uuid: String,
    /// The advert: the port of mDNS itself, 5353 except in tests; `None` = none.
    pub mdns_port: Option<u16>,
    /// Bounds on strangers.
    pub limits: Limits,
    /// How long each phase of a pairing after the first may take.
    pub pairing_step: Duration,
}

impl HttpConfig {
    /// Listens at the default ports on every address, without an advert.
    #[must_use]
    pub fn new(name: impl Into<String>, state_dir: impl Into<PathBuf>, uuid: impl Into<String>) -> Self {
        Self {
            bind: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
            http_port: BASE_PORT,
            https_port: BASE_PORT - 5,
            name: name.into(),
            state_dir: state_dir.into(),
            uuid: uuid.into(),
            mdns_port: None,
            limits: Limits::default(),
            pairing_step: PAIRING_STEP,
        }
    }
}

/// Which codecs the host's encoders showed that they can do (gamestream.md §3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodecFacts {
    /// `ServerCodecModeSupport`.
    pub mode_support: u32,
    /// `MaxLumaPixelsHEVC`: 0 without HEVC.
    pub max_luma_hevc: u32,
}

impl CodecFacts {
    /// H.264 in 8 bits and nothing else.
    pub const H264: Self = Self { mode_support: 1, max_luma_hevc: 0 };
}

/// What the servers speak for.
#[derive(Clone)]
pub struct Deps {
    /// Who is paired, and who pairs.
    pub hub: Arc<Hub>,
    /// What `/launch` and its relatives reach.
    pub sessions: Arc<dyn Sessions>,
    /// What can be launched.
    pub apps: Arc<dyn Apps>,
    /// Asked for each serverinfo.
    pub codecs: Arc<dyn Fn() -> CodecFacts + Send + Sync>,
}

/// The servers could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("{} (TCP {address})", reason::HOST_PORT_TAKEN)]
    PortTaken {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("{} (TCP {address}: {source})", reason::NETWORK_UNAVAILABLE)]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StartError {
    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static Reason {
        match self {
            Self::PortTaken { .. } => &reason::HOST_PORT_TAKEN,
            Self::Bind { .. } => &reason::NETWORK_UNAVAILABLE,
        }
    }
}

/// Where the servers listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalAddrs {
    /// HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
}

/// The running servers. Dropping them ends them at once.
pub struct Servers {
    addresses: LocalAddrs,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    helpers: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: HttpConfig, deps: Deps) -> Result<Self, StartError> {
        let http = listen(SocketAddr::new(config.bind, config.http_port))?;
        let https = listen(SocketAddr::new(config.bind, config.https_port))?;
        let bound = |listener: &tokio::net::TcpListener, port| {
            listener
                .local_addr()
                .map_err(|source| StartError::Bind { address: SocketAddr::new(config.bind, port), source })
        };
        let addresses = LocalAddrs { http: bound(&http, config.http_port)?, https: bound(&https, config.https_port)? };
        let (keeper, making) = Keeper::start(config.state_dir.clone(), config.uuid.clone());
        let mut helpers = vec![making];
        if let Some(mdns_port) = config.mdns_port {
            let bound_to = (!config.bind.is_unspecified()).then_some(config.bind);
            helpers.push(tokio::spawn(mdns::advertise(
                mdns_port,
                config.name.clone(),
                addresses.http.port(),
                bound_to,
            )));
        }
        let (stop, stopped) = watch::channel(false);
        let lobby = Lobby::new(config.limits);
        let pairings = Pairings::new(config.pairing_step);
        let shared = Arc::new(Shared { name: config.name, addresses, deps, identity: keeper, lobby, pairings });
        let tasks = vec![
            tokio::spawn(serve::run(http, false, Arc::clone(&shared), stopped.clone())),
            tokio::spawn(serve::run(https, true, shared, stopped)),
        ];
        tracing::info!(http = %addresses.http, https = %addresses.https, "GameStream listens");
        Ok(Self { addresses, stop, tasks, helpers })
    }

    /// Where they listen.
    #[must_use]
    pub fn local_addrs(&self) -> LocalAddrs {
        self.addresses
    }

    /// Takes no more connections, lets running requests end for half a second, and closes the rest.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            if let Err(e) = task.await {
                tracing::error!("a GameStream server: {e}");
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.tasks.iter().chain(&self.helpers).for_each(JoinHandle::abort);
    }
}

/// What every connection needs.
struct Shared {
    name: String,
    addresses: LocalAddrs,
    deps: Deps,
    identity: Keeper,
    lobby: Arc<Lobby>,
    pairings: Arc<Pairings>,
}

fn listen(address: SocketAddr) -> Result<tokio::net::TcpListener, StartError> {
    punktfunk_net::tcp::listen(address).and_then(tokio::net::TcpListener::from_std).map_err(|source| {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            StartError::PortTaken { address }
        } else {
            StartError::Bind { address, source }
        }
    })
}

/// Locks a mutex whose data is valid between any two statements of its holders.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What a client shows to its user.
fn explain(reason: &Reason) -> String {
    format!("{} {}", reason.sentence, reason.fix)
}

/// The default HTTP port; every other port is an offset from it.
pub const BASE_PORT: u16 = 47_989;
/// gamestream.md §4.5.
const PAIRING_STEP: Duration = Duration::from_secs(10);
