//! `serve` and `punktfunk1-host`: connects the parts in the one order that leaves nothing behind, runs, takes down.
//!
//! ```text
//! folders ─► hub (locks the journal) ─► watchdog ─► replay of what an earlier host left ─► desktop, displays (adopt
//! leases), programs ─► control socket ─► planes ─► "listening" ─► signal ─► planes down ─► displays, programs down ─► watchdog released
//! ```

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_audio::OpusCodec;
use punktfunk_engine::pads::PadPolicy;
use punktfunk_engine::plan::HostOffer;
use punktfunk_hub::displays::{AtEnd, DisplayConfig, Linger as HubLinger};
use punktfunk_hub::library::stores::Roots;
use punktfunk_hub::{Hub, HubConfig, PairingPolicy};
use punktfunk_media::fake::{SyntheticDesktop, SyntheticOptions, TransportEncoderFactory};
use punktfunk_media::{AudioPolicyCell, Desktop, EncoderFactory, reason};
use punktfunk_native::{MdnsConfig, NativeConfig, NativePlane, StartError};
use punktfunk_net::identity::IdentityError;
use punktfunk_net::udp::PortRange;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{ListenerCodec, PairingChoice, Punktfunk1Args, Source};
use crate::config::{Config, Layers, Linger};
use crate::desktops;
use crate::encoders::Encoders;
use crate::exit::{Failure, PORT_TAKEN};
use crate::gamepads;
use crate::gamestream;
use crate::gpus;
use crate::management::{self, Management, Parts};
use crate::paths::{Paths, make_private_dir};
use crate::watchdog::{Watchdog, undo_map};

/// What a listener for measurements does differently from `serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Measurement {
    /// Pictures from the test source instead of a desktop.
    pub synthetic: bool,
    /// Access units without an encoder.
    pub no_encoder: bool,
    /// Fixed bitrate in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Highest frame rate.
    pub fps: Option<u32>,
    /// End each session after this many frames; 0 never.
    pub frames: u32,
    /// End the host after this long.
    pub run_for: Option<Duration>,
    /// No management API and no console on the network.
    pub no_doors: bool,
}

impl From<&Punktfunk1Args> for Measurement {
    fn from(args: &Punktfunk1Args) -> Self {
        Self {
            synthetic: args.source == Source::Synthetic,
            no_encoder: args.codec == ListenerCodec::None,
            bitrate_kbps: args.bitrate,
            fps: args.fps,
            frames: args.frames,
            run_for: args.seconds.map(Duration::from_secs),
            no_doors: true,
        }
    }
}

/// Runs a host until a signal (or the measurement's time) ends it.
///
/// # Errors
/// Whatever keeps it from starting. Once it listens, it does not fail.
pub fn run(config: &Config, layers: &Layers, paths: &Paths, measurement: Measurement) -> Result<End, Failure> {
    // Sleeps of the pacer are meant to the microsecond; threads inherit this from the one that starts them.
    if let Err(e) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        tracing::debug!("timer slack: {e}");
    }
    raise_file_limit();
    make_private_dir(&paths.runtime).map_err(|e| {
        Failure::new(&reason::STATE_UNWRITABLE, format!("the runtime folder {}: {e}", paths.runtime.display()))
    })?;
    let hub = Hub::open(hub_config(config, paths)).map_err(|e| Failure::new(e.reason, e.to_string()))?;
    let watchdog = Watchdog::start(hub.journal().path(), Some(&paths.control_socket()))
        .map_err(|e| Failure::new(&reason::HOST_WATCHDOG, e.to_string()))?;
    let replayed = hub.journal().replay(undo_map());
    if replayed.undone + replayed.failed + replayed.leases > 0 {
        tracing::info!(?replayed, "an earlier host ended without cleaning up");
    }
    let result = run_locked(config, layers, paths, measurement, &hub);
    let nothing_left = hub.journal().is_empty();
    // The journal's lock goes first, so that the watchdog gets it.
    drop(hub);
    watchdog.release(nothing_left);
    result
}

fn run_locked(
    config: &Config,
    layers: &Layers,
    paths: &Paths,
    measurement: Measurement,
    hub: &Arc<Hub>,
) -> Result<End, Failure> {
    let names = [config.name.clone(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let identity = punktfunk_net::identity::load_or_create(&paths.state, &names).map_err(identity_failure)?;
    let identity = Arc::new(identity);
    let audio = AudioPolicyCell::new(config.audio_policy);
    let gpu = gpus::settle(&config.gpu);
    let desktop: Arc<dyn Desktop> = if measurement.synthetic {
        let options = SyntheticOptions { background: !measurement.no_encoder, ..SyntheticOptions::default() };
        Arc::new(SyntheticDesktop::new(options))
    } else {
        desktops::choose(config, paths, &audio, &gpu)?
    };
    let encoders = if measurement.no_encoder {
        Encoders::fixed(vec![Arc::new(TransportEncoderFactory) as Arc<dyn EncoderFactory>].into())
    } else {
        Encoders::start(config)?
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(&reason::INTERNAL_THREADS, e.to_string()))?;
    let displays = hub.open_displays(desktop);
    // Measurements are not to be disturbed by a scan.
    let roots = (!measurement.no_doors).then(Roots::from_env);
    let library = hub.open_library(config.library.clone(), roots);
    let apps = hub.open_apps(library, &displays);

    let end = runtime.block_on(async {
        // Before anything that takes time: a signal must never find the host without a handler.
        let mut signals = Signals::new().map_err(|e| Failure::new(&reason::INTERNAL_THREADS, e.to_string()))?;
        let (restart, mut restarting) = watch::channel(false);
        let management = management::start(Parts {
            config,
            layers,
            paths,
            hub,
            identity: &identity,
            encoders: &encoders,
            gpu: &gpu,
            displays: &displays,
            apps: &apps,
            audio: &audio,
            restart,
            doors: !measurement.no_doors,
        })?;
        let mgmt_port = management.api().map_or(0, |a| a.port());
        let bind = SocketAddr::new(config.bind, config.port);
        let native = NativeConfig {
            data_ports: data_ports(config)?,
            offer: offer(config, measurement),
            frames: measurement.frames,
            mgmt_port,
            mdns: config.mdns.then(|| MdnsConfig { mgmt_port, ..MdnsConfig::new(config.name.clone()) }),
            sound: Some(Arc::new(OpusCodec)),
            apps: Some(Arc::clone(&apps)),
            pads: Some(gamepads::choose(measurement.synthetic, PadPolicy::Auto)),
            ..NativeConfig::new(bind)
        };
        let gamestream = gamestream::config(config, paths, &identity, &native);
        let plane = NativePlane::start(
            native,
            Arc::clone(&identity),
            Arc::clone(hub),
            encoders.list().clone(),
            Arc::clone(&displays),
        )
        .map_err(|e| start_failure(e, bind))?;
        let gamestream = gamestream
            .map(|gamestream| gamestream::start(gamestream, hub, encoders.list().clone(), &displays, &apps))
            .transpose()?;
        management.set_address(plane.local_addr());
        announce(plane.local_addr(), &management, config, &identity.fingerprint());
        let end = tokio::select! {
            end = signals.wait(measurement.run_for) => end,
            // The sender lives in the management API.
            Ok(_) = restarting.wait_for(|asked| *asked) => End::Restart,
        };
        tracing::info!(?end, "ending");
        signals.exit_at_the_second();
        tokio::join!(plane.shutdown(), async {
            if let Some(gamestream) = gamestream {
                gamestream.shutdown().await;
            }
        });
        management.shutdown().await;
        Ok(end)
    });
    let at_end = match end {
        Ok(End::Terminate | End::Restart) => AtEnd::LeaveLeases,
        Ok(End::Interrupt | End::TimeIsUp) | Err(_) => AtEnd::EndLeases,
    };
    displays.shutdown(at_end);
    apps.shutdown(at_end);
    runtime.shutdown_timeout(Duration::from_secs(1));
    end
}

/// Every connection and every pipe is a file: idle browsers must not keep a session from its socket. The soft limit is
/// usually 1024, for programs that use `select`.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |most| most.min(FILES));
    if current.is_some_and(|now| now < wanted)
        && let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!("the limit of open files: {e}");
    }
}

/// Both doors full, four sessions with their desktops, and as much again.
const FILES: u64 = 8192;

/// Why the host ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Somebody asked for a restart: the program starts anew in the same process.
    Restart,
    /// SIGINT: everything goes.
    Interrupt,
    /// SIGTERM, a restart: what policy keeps stays.
    Terminate,
    /// `--seconds` is over.
    TimeIsUp,
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self, run_for: Option<Duration>) -> End {
        let time_is_up = async {
            match run_for {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => End::Interrupt,
            _ = self.terminate.recv() => End::Terminate,
            () = time_is_up => End::TimeIsUp,
        }
    }

    /// From now on a signal ends the process at once; the watchdog does the rest.
    fn exit_at_the_second(mut self) {
        tokio::spawn(async move {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            tracing::warn!("a second signal: leaving the rest to the watchdog");
            std::process::exit(1);
        });
    }
}

/// How long displays stay, as the hub takes it.
pub const fn hub_linger(linger: Linger) -> HubLinger {
    match linger {
        Linger::Off => HubLinger::Off,
        Linger::For(time) => HubLinger::For(time),
        Linger::Forever => HubLinger::Forever,
    }
}

/// Who gets in, as the hub takes it.
pub const fn hub_pairing(pairing: PairingChoice) -> PairingPolicy {
    match pairing {
        PairingChoice::Required => PairingPolicy::Required,
        PairingChoice::Open => PairingPolicy::Open,
    }
}

fn hub_config(config: &Config, paths: &Paths) -> HubConfig {
    HubConfig {
        fallback_dir: Some(paths.runtime.clone()),
        max_sessions: config.max_sessions as usize,
        pairing_policy: hub_pairing(config.pairing),
        displays: DisplayConfig {
            linger: hub_linger(config.linger),
            scale_percent: config.scale_percent,
            ..DisplayConfig::default()
        },
        ..HubConfig::new(&paths.state)
    }
}

fn offer(config: &Config, measurement: Measurement) -> HostOffer {
    let mut offer = HostOffer { max_kbps: config.max_bitrate_kbps, ..HostOffer::default() };
    if let Some(kbps) = measurement.bitrate_kbps {
        offer.max_kbps = kbps;
        offer.default_kbps = kbps;
    }
    if let Some(fps) = measurement.fps {
        offer.max_refresh_hz = fps;
    }
    offer
}

fn data_ports(config: &Config) -> Result<PortRange, Failure> {
    match &config.data_ports {
        None => Ok(PortRange::ANY),
        Some(range) => PortRange::new(*range.start(), *range.end())
            .map_err(|e| Failure::new(&reason::CONFIG_INVALID, e.to_string()).with_code(crate::exit::USAGE)),
    }
}

fn identity_failure(error: IdentityError) -> Failure {
    let reason = match &error {
        IdentityError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => &reason::STATE_FULL,
        IdentityError::Io { .. } => &reason::STATE_UNWRITABLE,
        IdentityError::Unreadable { .. } => &reason::STATE_UNPARSABLE,
        IdentityError::Generate(_) => &reason::HOST_NO_RANDOMNESS,
    };
    Failure::new(reason, error.to_string())
}

fn start_failure(error: StartError, bind: SocketAddr) -> Failure {
    let code = if matches!(error, StartError::PortTaken(_)) { PORT_TAKEN } else { 1 };
    let reason = error.reason().unwrap_or(&reason::NETWORK_UNAVAILABLE);
    Failure::new(reason, format!("{bind}: {error}")).with_code(code)
}

/// One line for scripts on standard output, the rest for a person in the log.
fn announce(address: SocketAddr, management: &Management, config: &Config, fingerprint: &punktfunk_core::Fingerprint) {
    let mut stdout = std::io::stdout();
    // Nobody may be reading; that is no reason to end.
    let or_none = |address: Option<SocketAddr>| address.map_or_else(|| "-".to_owned(), |a| a.to_string());
    let (mgmt, web) = (or_none(management.api()), or_none(management.web()));
    let _ = writeln!(stdout, "listening quic={address} mgmt={mgmt} web={web}").and_then(|()| stdout.flush());
    tracing::info!(%fingerprint, name = config.name, since_start_ms = started_ms(), "ready");
    if let Some(url) = management.console_url() {
        // To the terminal, not to the log: the link is a secret.
        let _ = writeln!(stdout, "console {url}").and_then(|()| stdout.flush());
    }
    let port = address.port();
    match config.pairing {
        PairingChoice::Open => {
            tracing::info!("everybody may connect: punktfunk-probe stream HOST:{port} --mode 1280x720@60")
        }
        PairingChoice::Required => tracing::info!(
            "to let a client in: `punktfunk-host pair arm` here, then on the client `punktfunk-probe pair HOST:{port} --pin PIN`"
        ),
    }
}

fn started_ms() -> u128 {
    STARTED.get().map_or(0, |s| s.elapsed().as_millis())
}

/// When `main` began.
pub static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
