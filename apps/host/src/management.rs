//! The management API in this process: the control socket for the local command line, and two HTTPS doors.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use punktfunk_hub::Hub;
use punktfunk_hub::apps::Apps;
use punktfunk_hub::displays::Displays;
use punktfunk_media::{AudioPolicyCell, EncoderList, GpuInUse, reason};
use punktfunk_mgmt::socket::ControlSocket;
use punktfunk_mgmt::{Action, EncoderView, HostFacts, MgmtState, Problem, router};
use punktfunk_net::Identity;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Config, Layers};
use crate::doctor;
use crate::doors::{Doors, Ports};
use crate::encoders::Encoders;
use crate::exit::Failure;
use crate::gpus;
use crate::live;
use crate::logging;
use crate::paths::Paths;
use crate::settings::HostSettings;

/// What the API speaks for.
pub struct Parts<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// What it was made from.
    pub layers: &'a Layers,
    /// The folders.
    pub paths: &'a Paths,
    /// Everything that outlives a session.
    pub hub: &'a Arc<Hub>,
    /// Who this host is.
    pub identity: &'a Arc<Identity>,
    /// What it encodes with.
    pub encoders: &'a Encoders,
    /// What private desktops draw with.
    pub gpu: &'a GpuInUse,
    /// Its displays.
    pub displays: &'a Arc<Displays>,
    /// The programs that clients start.
    pub apps: &'a Arc<Apps>,
    /// Who hears a running session.
    pub audio: &'a AudioPolicyCell,
    /// Told when somebody asks for a restart.
    pub restart: watch::Sender<bool>,
    /// Whether there are doors on the network.
    pub doors: bool,
}

/// The running API.
pub struct Management {
    stop: watch::Sender<bool>,
    socket: JoinHandle<()>,
    doors: Arc<Doors>,
    address: watch::Sender<Option<SocketAddr>>,
    state: MgmtState,
}

/// Binds the control socket and the doors, and serves. Inside a tokio runtime. A door that cannot be opened is a problem
/// that the host tells, not a reason not to stream.
///
/// # Errors
/// `host.already_running`, or why the socket cannot be made.
pub fn start(parts: Parts<'_>) -> Result<Management, Failure> {
    let Parts { config, layers, paths, hub, identity, encoders, gpu, displays, apps, audio, restart, doors } = parts;
    let facts = HostFacts {
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint: identity.fingerprint(),
    };
    let socket = ControlSocket::bind(&paths.control_socket()).map_err(|e| Failure::new(e.reason, e.to_string()))?;
    let network = Doors::new(config.bind, identity);
    let ports = Ports { api: config.api_port.filter(|_| doors), web: config.web_port.filter(|_| doors) };

    let (address, known) = watch::channel(None);
    let (for_doctor, doctor_paths, doctor_gpu) = (config.clone(), paths.clone(), gpu.clone());
    let (gpu, drawing, drawn) = (gpu.clone(), gpu.clone(), Arc::clone(displays));
    let list = encoders.list().clone();
    // The doors serve what holds the state: the state must not hold them.
    let (for_problems, for_addresses) = (Arc::downgrade(&network), Arc::downgrade(&network));
    let live = live::Parts {
        hub: Arc::clone(hub),
        displays: Arc::clone(displays),
        encoders: encoders.clone(),
        audio: audio.clone(),
        doors: Arc::downgrade(&network),
        with_doors: doors,
    };
    let events = Arc::clone(hub.events());
    let settings = HostSettings::new(layers.clone(), config.clone(), &paths.state, Box::new(live), events);
    let state = MgmtState::new(Arc::clone(hub), facts)
        .with_names(config.web_hosts.iter().cloned())
        .with_problems(move || {
            let of_gpu = gpu.trouble().map(|e| Problem::new(e.reason).with_detail(e.detail.clone()));
            for_problems.upgrade().map(|doors| doors.problems()).unwrap_or_default().into_iter().chain(of_gpu).collect()
        })
        .with_addresses(move || known.borrow().map(addresses).unwrap_or_default())
        .with_console_addresses(move || {
            for_addresses.upgrade().and_then(|doors| doors.web()).map(addresses).unwrap_or_default()
        })
        .with_diagnostics(move || doctor::checks(&for_doctor, &doctor_paths, &doctor_gpu))
        .with_encoders(move || encoder_views(&list))
        .with_gpus(move || gpus::views(&drawing, Some(&drawn.info().name)))
        .with_actions(move |action| act(action, &restart))
        .with_logs(Arc::clone(logging::buffer()))
        .with_settings(settings);
    state.set_displays(Arc::clone(displays));
    state.set_apps(Arc::clone(apps));

    let (stop, mut stopped) = watch::channel(false);
    let uid = rustix::process::getuid().as_raw();
    let serving = tokio::spawn(socket.serve(router(state.clone()), uid, async move {
        // An error means that the sender is gone: the same.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    network.start(&state, ports);
    hub.set_policy(|policy| policy.api_port = Some(network.api().map_or(0, |a| a.port())));
    Ok(Management { stop, socket: serving, doors: network, address, state })
}

/// The encoders that are offered in their order, then the others.
fn encoder_views(list: &EncoderList) -> Vec<EncoderView> {
    let offered: Vec<_> = list.snapshot().iter().map(|e| e.name()).collect();
    let mut views: Vec<_> = punktfunk_encode::facts()
        .into_iter()
        .map(|fact| EncoderView {
            offered: offered.contains(&fact.name),
            name: fact.name.to_owned(),
            codec: fact.codec.to_string(),
            detail: fact.detail,
            fix: fact.fix.to_string(),
        })
        .collect();
    let place = |view: &EncoderView| offered.iter().position(|name| *name == view.name).unwrap_or(usize::MAX);
    views.sort_by_key(place);
    views
}

fn act(action: Action, restart: &watch::Sender<bool>) -> Result<(), Problem> {
    match action {
        Action::Restart => {
            restart.send_replace(true);
            Ok(())
        }
        Action::Sleep => {
            let failed = |detail: String| Problem::new(&reason::ACTION_FAILED).with_detail(detail);
            let output =
                Command::new("systemctl").arg("suspend").output().map_err(|e| failed(format!("systemctl: {e}")))?;
            if output.status.success() {
                return Ok(());
            }
            Err(failed(String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect()))
        }
    }
}

impl Management {
    /// Tells where clients reach the host, once that is known.
    pub fn set_address(&self, address: SocketAddr) {
        self.address.send_replace(Some(address));
    }

    /// Where the API's door is, if it is open.
    pub fn api(&self) -> Option<SocketAddr> {
        self.doors.api()
    }

    /// Where the console's door is, if it is open.
    pub fn web(&self) -> Option<SocketAddr> {
        self.doors.web()
    }

    /// What to open in a browser: the one-time link, or the console's address once it has a password.
    pub fn console_url(&self) -> Option<String> {
        self.state.console_url()
    }

    /// Closes the doors and waits until their requests are answered.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        self.doors.shutdown().await;
        if let Err(e) = self.socket.await {
            tracing::error!("the control socket: {e}");
        }
    }
}

/// The OpenAPI document, as JSON.
///
/// # Errors
/// Never for the document this program has; a failure is a bug that is reported as one.
pub fn openapi() -> Result<String, Failure> {
    punktfunk_mgmt::openapi()
        .to_pretty_json()
        .map_err(|e| Failure::new(&reason::INTERNAL_PANIC, format!("the OpenAPI document: {e}")))
}

/// A wildcard address is told as the addresses that other machines would use.
fn addresses(bound: SocketAddr) -> Vec<String> {
    if !bound.ip().is_unspecified() {
        return vec![bound.to_string()];
    }
    // Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, but chooses the source.
    let route = |bind: &str, to: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    [route("0.0.0.0:0", "192.0.2.1:9"), route("[::]:0", "[2001:db8::1]:9")]
        .into_iter()
        .flatten()
        .map(|ip| SocketAddr::new(ip, bound.port()).to_string())
        .collect()
}
