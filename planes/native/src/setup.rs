//! From `Hello` to a session that is ready to run: gate, plan, slot, display, data socket, `Welcome`, `Start`.
//!
//! Whatever was taken is given back when a later step fails: the slot and the stage travel in [`Seat`], whose
//! [`Seat::leave`] every path ends with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use punktfunk_core::handshake::{CompositorKind, Hello, Start, Welcome};
use punktfunk_core::{CloseCode, Mode};
use punktfunk_engine::plan::SessionPlan;
use punktfunk_hub::admission::{AdmitRequest, Refused, Ticket};
use punktfunk_hub::displays::Release;
use punktfunk_media::{Clipboard, InjectorCaps, OpenError, Stage, StageRequest, reason};
use punktfunk_net::identity::random_bytes;
use punktfunk_net::quic::Handshaken;
use punktfunk_net::udp::DataSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gate::{self, Access};
use crate::holder::SessionHolder;
use crate::limits::Pending;
use crate::negotiate::{self, Secrets, Terms};
use crate::plane::{Shared, blocking};
use crate::refusal::{Refusal, Stop};
use crate::sound::SoundTerms;
use crate::stream::{ControlReader, ControlWriter, timed_out};

/// A session between `Start` and its first frame.
pub(crate) struct Prepared {
    pub hello: Hello,
    pub welcome: Welcome,
    pub start: Start,
    pub plan: SessionPlan,
    pub access: Access,
    pub holder: Arc<SessionHolder>,
    pub socket: Arc<DataSocket>,
    /// Where video goes if no punch shows another address.
    pub fallback: SocketAddr,
    /// `None` = there is no sound.
    pub sound: Option<SoundTerms>,
    /// There is a microphone to speak into.
    pub can_talk: bool,
    /// `None` = the desktop has no clipboard for us.
    pub clipboard: Option<Arc<dyn Clipboard>>,
    pub seat: Seat,
}

/// A slot and the display in it.
pub(crate) struct Seat {
    pub ticket: Ticket,
    display: Display,
    identity: String,
    /// Nobody can come back for it: an anonymous client's.
    anonymous: bool,
    shared: Arc<Shared>,
}

/// Every display that was acquired must be released exactly once, also when the client left while it was opening.
enum Display {
    Closed,
    Opening(JoinHandle<Result<Opened, OpenError>>),
    /// `None`: a session has it, or lost it.
    Open(Option<Box<dyn Stage>>),
}

/// A display, and what it can do for a client.
type Opened = (Box<dyn Stage>, Able);

/// What a display can do for a client, so that nothing else is promised.
struct Able {
    /// Of its injector, if it has one.
    injector: Option<InjectorCaps>,
    /// It has sound, and so a microphone.
    sound: bool,
    /// Its programs' clipboard, if it gives it to us.
    clipboard: Option<Arc<dyn Clipboard>>,
    /// It tells of its pointer beside the pictures.
    cursor: bool,
}

impl Able {
    /// Blocking.
    fn of(stage: &mut dyn Stage, shared: &Shared) -> Self {
        let clipboard =
            stage.clipboard().inspect_err(|e| tracing::info!(code = e.reason.code, "no clipboard: {}", e.detail));
        Self {
            injector: shared.injector_caps(stage),
            sound: stage.sound().is_ok(),
            clipboard: clipboard.ok(),
            cursor: stage.tells_cursor(),
        }
    }
}

impl Seat {
    fn new(ticket: Ticket, identity: String, anonymous: bool, shared: Arc<Shared>) -> Self {
        Self { ticket, display: Display::Closed, identity, anonymous, shared }
    }

    /// Opens the display, and looks what it can do so that `Welcome` promises nothing else. When the future is
    /// dropped, [`Self::leave`] waits for what was begun.
    async fn open(&mut self, request: StageRequest) -> Result<(Mode, Able), Refusal> {
        let shared = Arc::clone(&self.shared);
        let asked = request.mode;
        self.display = Display::Opening(blocking(move || {
            let mut stage = shared.displays.acquire(&request)?;
            let able = Able::of(&mut *stage, &shared);
            Ok((stage, able))
        }));
        let Display::Opening(opening) = &mut self.display else {
            return Err(Refusal::setup(&reason::INTERNAL_PANIC, "the display was not asked for"));
        };
        match opening.await {
            Ok(Ok((stage, able))) => {
                let mode = stage.mode();
                if mode != asked {
                    tracing::info!(%asked, given = %mode, "the desktop gives another mode");
                }
                self.display = Display::Open(Some(stage));
                Ok((mode, able))
            }
            Ok(Err(error)) => {
                self.display = Display::Closed;
                Err(Refusal::setup(error.reason, error.detail))
            }
            Err(panic) => {
                self.display = Display::Open(None);
                Err(Refusal::setup(&reason::INTERNAL_PANIC, panic.to_string()))
            }
        }
    }

    /// Hands the display to a session.
    pub fn take_stage(&mut self) -> Option<Box<dyn Stage>> {
        match &mut self.display {
            Display::Open(stage) => stage.take(),
            Display::Closed | Display::Opening(_) => None,
        }
    }

    /// Takes it back, if it still lives.
    pub fn return_stage(&mut self, stage: Option<Box<dyn Stage>>) {
        self.display = Display::Open(stage);
    }

    /// Whose display it is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Gives the display back, then the slot: a newcomer must find the display.
    pub async fn leave(self, how: Release) {
        let Self { ticket, display, identity, anonymous, shared } = self;
        let how = if anonymous { Release::Now } else { how };
        let stage = match display {
            Display::Closed => return,
            Display::Opening(opening) => match opening.await {
                Ok(Ok((stage, _))) => Some(stage),
                Ok(Err(_)) => return,
                Err(_) => None,
            },
            Display::Open(stage) => stage,
        };
        let released = blocking(move || shared.displays.release(&identity, stage, how)).await;
        if let Err(panic) = released {
            tracing::error!(%panic, "giving the display back failed");
        }
        drop(ticket);
    }
}

/// Goes through the whole handshake.
pub(crate) async fn prepare(
    shared: &Arc<Shared>,
    client: &Handshaken,
    hello: Hello,
    pending: Pending,
    reader: &mut ControlReader,
    writer: &mut ControlWriter,
) -> Result<Prepared, Stop> {
    let connection = &client.connection;
    negotiate::check_version(&hello)?;
    let raw_name = hello.name.as_deref().unwrap_or_default();
    // The first message is judged from here on by whoever it goes to: the operator, admission.
    drop(pending);
    let access = tokio::select! {
        access = gate::pass(&shared.hub, connection, client.fingerprint, raw_name, client.remote.ip()) => access?,
        () = shared.stopping() => return Err(crate::session::host_stops().into()),
    };
    negotiate::check_launch(&hello, access.grants)?;
    let (identity, anonymous) = match client.fingerprint {
        Some(fingerprint) => (fingerprint.to_string(), false),
        None => (shared.anonymous_identity(), true),
    };
    let plan = negotiate::plan_session(&hello, &shared.offer(&identity))?;
    for downgrade in &plan.downgrades {
        tracing::info!(%downgrade, "not granted as asked");
    }

    let name = shared.display_name(raw_name, client.fingerprint);
    let holder = SessionHolder::new(connection.clone());
    let request = AdmitRequest {
        identity: identity.clone(),
        fingerprint: client.fingerprint,
        name: name.clone(),
        holder: holder.clone(),
    };
    let ticket = tokio::select! {
        admitted = shared.hub.admission().admit(request) => admitted.map_err(not_admitted)?,
        _ = connection.closed() => return Err(Stop::Gone),
        () = shared.stopping() => return Err(crate::session::host_stops().into()),
    };
    let mut seat = Seat::new(ticket, identity, anonymous, Arc::clone(shared));

    let step = open_and_welcome(shared, client, &hello, &plan, access, name, &mut seat, reader, writer);
    let outcome = tokio::select! {
        outcome = step => outcome,
        _ = connection.closed() => Err(Stop::Gone),
        why = holder.evicted() => Err(crate::session::evicted(why).into()),
        () = shared.stopping() => Err(crate::session::host_stops().into()),
    };
    match outcome {
        Ok(Agreed { welcome, start, socket, sound, can_talk, clipboard }) => {
            let port = if start.client_udp_port == 0 { client.remote.port() } else { start.client_udp_port };
            let fallback = SocketAddr::new(client.remote.ip(), port);
            Ok(Prepared {
                hello,
                welcome,
                start,
                plan,
                access,
                holder,
                socket,
                fallback,
                sound,
                can_talk,
                clipboard,
                seat,
            })
        }
        Err(stop) => {
            seat.leave(Release::Linger).await;
            Err(stop)
        }
    }
}

/// What both sides know once the display is open.
struct Agreed {
    welcome: Welcome,
    start: Start,
    socket: Arc<DataSocket>,
    sound: Option<SoundTerms>,
    can_talk: bool,
    clipboard: Option<Arc<dyn Clipboard>>,
}

#[expect(clippy::too_many_arguments, reason = "one straight path that is cut out only to be raced against the end")]
async fn open_and_welcome(
    shared: &Arc<Shared>,
    client: &Handshaken,
    hello: &Hello,
    plan: &SessionPlan,
    access: Access,
    name: String,
    seat: &mut Seat,
    reader: &mut ControlReader,
    writer: &mut ControlWriter,
) -> Result<Agreed, Stop> {
    let identity = seat.identity().to_owned();
    let (mode, able) = seat.open(StageRequest { identity, name, mode: plan.mode }).await?;
    let socket = bind_data_socket(shared, client)?;
    let udp_port = socket.local_addr().map_err(|e| Refusal::setup(&reason::NATIVE_DATA_SOCKET, e.to_string()))?.port();
    let mut random = [0; 52];
    random_bytes(&mut random).map_err(|e| Refusal::setup(&reason::HOST_NO_RANDOMNESS, e.to_string()))?;
    let fits = client.connection.max_datagram_size().unwrap_or(0);
    let sound = shared.config.sound.is_some().then(|| SoundTerms::new(hello, plan.wire_kbps, fits));
    if let Some((_, Some(downgrade))) = &sound {
        tracing::info!(%downgrade, code = downgrade.reason.code, "not granted as asked");
    }
    let sound = sound.map(|(terms, _)| terms);
    let can_talk = able.sound && shared.config.sound.is_some();
    let terms = Terms {
        udp_port,
        mode,
        client: client.remote.ip(),
        frames: shared.config.frames,
        compositor: CompositorKind::from_wire(shared.displays.info().wire_id).unwrap_or_default(),
        mgmt_port: shared.mgmt_port(),
        grants: crate::session::told(access.grants, can_talk),
        expires_in_secs: access.expires_in_secs(),
        injector: able.injector,
        gamepad: shared.config.pads.as_ref().and_then(|pads| pads.default_kind(hello.gamepad)),
        sound,
        clipboard: able.clipboard.is_some(),
        cursor: able.cursor,
    };
    let welcome = negotiate::welcome(hello, plan, &terms, &Secrets::from_random(&random));
    let exchange = async {
        writer.send(|out| welcome.encode(out)).await?;
        Start::decode(reader.next().await?)
            .map_err(|e| Stop::from(Refusal::setup(&reason::NATIVE_HANDSHAKE_INVALID, format!("Start: {e}"))))
    };
    let start: Start = match timeout(EXCHANGE, exchange).await {
        Ok(start) => start?,
        Err(_) => return Err(timed_out("no Start after Welcome").into()),
    };
    Ok(Agreed { welcome, start, socket: Arc::new(socket), sound, can_talk, clipboard: able.clipboard })
}

fn not_admitted(refused: Refused) -> Refusal {
    let reason = refused.reason();
    match refused {
        Refused::Busy { who } => Refusal::detailed(CloseCode::BUSY, reason, format!("in use by {}", who.join(", "))),
        Refused::Superseded => Refusal::new(CloseCode::SUPERSEDED, reason),
        Refused::ShuttingDown => crate::session::host_stops(),
    }
}

/// On the address that the client dialled: its socket takes packets from nowhere else (§5.9).
fn bind_data_socket(shared: &Shared, client: &Handshaken) -> Result<DataSocket, Refusal> {
    let scope_id = match client.remote {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let unspecified = || match client.remote.ip() {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    };
    let ip = client.local_ip.unwrap_or_else(unspecified);
    DataSocket::bind(ip, scope_id, shared.config.data_ports).map_err(|error| {
        let detail = format!("ports {} on {ip}: {error}", shared.config.data_ports);
        Refusal::setup(&reason::NATIVE_DATA_SOCKET, detail)
    })
}

/// §3.2.
const EXCHANGE: Duration = Duration::from_secs(10);
