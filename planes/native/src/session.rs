//! A session that runs: its control stream, its input, and everything that can end it.
//!
//! ```text
//! Prepared ─► control stream served at once ──┬── punch (≤ 2.5 s) ─► engine session ─► live
//!                                             └── any end: client | engine | trust | hub | host ─► stop, join, give back
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use punktfunk_core::clock::echo;
use punktfunk_core::control::ControlMessage;
use punktfunk_core::datagram::ClientDatagram;
use punktfunk_core::handshake::{HostCaps, VideoCaps};
use punktfunk_core::{CloseCode, Fingerprint, Grants};
use punktfunk_engine::clock::SessionClock;
use punktfunk_engine::link::{ClientLink, REPEAT_EVERY};
use punktfunk_engine::session::{
    Ending, Session, SessionCommand, SessionControl, SessionHandle, SessionParams, StopReason,
};
use punktfunk_hub::admission::Eviction;
use punktfunk_hub::apps::{Apps, ClientFacts};
use punktfunk_hub::displays::Release;
use punktfunk_hub::live::{Recorder, Registration, SessionFacts};
use punktfunk_media::{Stage, reason};
use punktfunk_net::quic::Handshaken;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::clipboard::Clip;
use crate::control::ControlState;
use crate::cursor::Shapes;
use crate::gate::{self, Access};
use crate::launch::{self, Launch};
use crate::link::{SocketSink, WelcomePacketizer};
use crate::outbox::{Outbox, Post, Timing};
use crate::plane::{Shared, blocking};
use crate::refusal::{Refusal, Stop};
use crate::setup::Prepared;
use crate::sound::LossMeter;
use crate::stream::{ControlReader, ControlWriter};

/// Runs a session to its end and gives everything back. Returns how to close the connection.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    client: &Handshaken,
    prepared: Prepared,
    reader: &mut ControlReader,
    writer: &mut ControlWriter,
) -> Stop {
    let Prepared {
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
        mut seat,
    } = prepared;
    let connection = &client.connection;
    tracing::Span::current().record("session", seat.ticket.session_id());
    let now = Instant::now();
    let clock = SessionClock::start();
    let ours = start.extensions.as_ref().is_some_and(|e| e.stage_timing());
    let timing = match hello.video_caps.contains(VideoCaps::HOST_TIMING) {
        false => Timing::Off,
        true if ours => Timing::Ours,
        true => Timing::Published,
    };
    let recorder = shared.hub.live().recorder(seat.ticket.session_id());
    let client_draws = welcome.host_caps.contains(HostCaps::CURSOR);
    let outbox = Arc::new(Outbox::new(connection.clone(), timing, Arc::clone(&recorder), client_draws));
    let facts = SessionFacts {
        plane: "native",
        mode: welcome.mode,
        codec: welcome.codec,
        peer: client.remote,
        shard_payload: welcome.shard_payload,
    };
    let packetizer = WelcomePacketizer::new(&welcome).map_err(|e| (&reason::NATIVE_PACKETIZE_FAILED, e.to_string()));
    let stage = seat.take_stage().ok_or((&reason::INTERNAL_PANIC, "the display is gone".to_owned()));
    let (packetizer, stage) = match (packetizer, stage) {
        (Ok(packetizer), Ok(stage)) => (packetizer, stage),
        (Err((reason, detail)), Ok(stage)) => {
            seat.return_stage(Some(stage));
            seat.leave(Release::Linger).await;
            return Refusal::setup(reason, detail).into();
        }
        (_, Err((reason, detail))) => {
            seat.leave(Release::Now).await;
            return Refusal::setup(reason, detail).into();
        }
    };
    let state = ControlState::new(&hello, &start, &plan, welcome.mode, shared.offer(seat.identity()), now);
    let loss = Arc::new(LossMeter::default());
    let sound = sound.zip(shared.config.sound.clone());
    let audio_bps = sound.as_ref().map_or(0, |(terms, _)| terms.wire_bps());
    let audio = sound.map(|(terms, codec)| terms.link(codec, connection.clone(), Arc::clone(&loss)));
    let asked = hello.launch.clone().map(|key| Asked {
        apps: shared.config.apps.clone(),
        identity: seat.identity().to_owned(),
        key,
        client: ClientFacts {
            mode: Some(welcome.mode),
            channels: welcome.audio_channels.wire(),
            ..ClientFacts::default()
        },
    });
    let engine = EngineStart {
        asked,
        punch: Punch { socket: Arc::clone(&socket), client: client.remote.ip(), fallback },
        params: SessionParams {
            id: seat.ticket.session_id(),
            plan,
            stage,
            encoders: shared.encoders(),
            link: ClientLink {
                packetizer: Box::new(packetizer),
                sink: Box::new(SocketSink(Arc::clone(&socket))),
                events: outbox.clone(),
                shard_payload: welcome.shard_payload,
                audio_bps,
                repeat_every: REPEAT_EVERY,
            },
            audio,
            microphone: shared.config.sound.clone().filter(|_| can_talk),
            clock,
            frames: welcome.frames,
            grants: access.grants,
            cursor_apart: client_draws,
            pads: shared.config.pads.as_ref().map(|pads| pads.setup(hello.gamepad)),
            on_thread_start: shared.config.on_thread_start.clone(),
        },
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let starting = blocking({
        let cancelled = Arc::clone(&cancelled);
        move || engine.go(&cancelled)
    });

    let clip = Clip::start(connection.clone(), clipboard, access.grants.contains(Grants::CLIPBOARD));
    let mut live = Live {
        shared: Arc::clone(shared),
        connection: connection.clone(),
        fingerprint: client.fingerprint,
        state,
        loss,
        clock,
        access,
        outbox,
        clip,
        shapes: Shapes::new(client_draws),
        starting: Some(starting),
        handle: None,
        returned: None,
        control: None,
        registering: Some((seat.ticket.session_id(), facts, recorder)),
        registration: None,
        input: None,
        identity: seat.identity().to_owned(),
        watched: None,
        granted: access.grants,
        can_talk,
        warned: AccessWarnings::default(),
        held_back: Vec::new(),
        ended: None,
    };
    let stop = live.serve(&holder, &socket, reader, writer).await;
    cancelled.store(true, Ordering::Relaxed);
    seat.return_stage(live.wind_up(&stop).await);
    if live.ended.as_ref().and_then(|e| e.reason).is_some_and(|r| *r == reason::ENCODE_NO_ENCODER_LEFT) {
        shared.leave_out(seat.identity(), welcome.codec);
    }
    let quit = matches!(connection.close_reason(), Some(quinn::ConnectionError::ApplicationClosed(ref close))
        if close.error_code == u64::from(CloseCode::QUIT.0).try_into().unwrap_or_default());
    // Closed before the display is put away: the client learns at once, and its next session waits for the slot.
    if let Stop::Refuse(refusal) = &stop {
        refusal.close(connection);
    }
    let revoked = matches!(&stop, Stop::Refuse(refusal) if refusal.code == CloseCode::ACCESS_ENDED);
    seat.leave(if quit || revoked { Release::Now } else { Release::Linger }).await;
    stop
}

/// What must happen on a blocking thread before there is a session.
struct EngineStart {
    asked: Option<Asked>,
    punch: Punch,
    params: SessionParams,
}

/// The client asked for a program.
struct Asked {
    apps: Option<Arc<Apps>>,
    identity: String,
    key: String,
    client: ClientFacts,
}

struct Punch {
    socket: Arc<punktfunk_net::udp::DataSocket>,
    client: IpAddr,
    fallback: std::net::SocketAddr,
}

/// The engine took over, and what became of the program that was asked for; or why not, with the display.
type Started = Result<(SessionHandle, Option<Launch>), (Refusal, Option<Box<dyn Stage>>)>;

impl EngineStart {
    /// Starts the program, waits for the client's punch, connects, starts the threads.
    fn go(self, cancelled: &AtomicBool) -> Started {
        let Self { asked, punch: Punch { socket, client, fallback }, mut params } = self;
        let launch = asked.map(|Asked { apps, identity, key, client }| {
            launch::launch(apps.as_deref(), &identity, &key, &mut *params.stage, &client)
        });
        let deadline = Instant::now() + PUNCH_WAIT;
        let peer = loop {
            if cancelled.load(Ordering::Relaxed) {
                return Err((Refusal::done(), Some(params.stage)));
            }
            let slice = (Instant::now() + PUNCH_SLICE).min(deadline);
            match socket.wait_for_punch(client.to_canonical(), slice) {
                Ok(Some(peer)) => break peer,
                Ok(None) if Instant::now() >= deadline => {
                    tracing::info!(%fallback, "no hole punch came, sending to the port that the client named");
                    break fallback;
                }
                Ok(None) => {}
                Err(error) => {
                    let refusal = Refusal::setup(&reason::NATIVE_DATA_SOCKET, error.to_string());
                    return Err((refusal, Some(params.stage)));
                }
            }
        };
        if let Err(error) = socket.connect(peer) {
            let detail = format!("video to {peer}: {error}");
            return Err((Refusal::setup(&reason::NATIVE_DATA_SOCKET, detail), Some(params.stage)));
        }
        tracing::info!(%peer, "sending video");
        match Session::start(params) {
            Ok(handle) => Ok((handle, launch)),
            Err(error) => Err((Refusal::setup(error.reason, error.detail), error.stage.0)),
        }
    }
}

struct Live {
    shared: Arc<Shared>,
    connection: quinn::Connection,
    fingerprint: Option<Fingerprint>,
    state: ControlState,
    /// What the client reports, for the audio thread.
    loss: Arc<LossMeter>,
    clock: SessionClock,
    access: Access,
    outbox: Arc<Outbox>,
    clip: Clip,
    /// What the pointer looks like, where the client draws it.
    shapes: Shapes,
    starting: Option<JoinHandle<Started>>,
    handle: Option<SessionHandle>,
    /// The display, where the engine did not take it.
    returned: Option<Box<dyn Stage>>,
    control: Option<SessionControl>,
    /// What the hub's list of live sessions is told once the engine runs.
    registering: Option<(u64, SessionFacts, Arc<Recorder>)>,
    registration: Option<Registration>,
    input: Option<JoinHandle<()>>,
    identity: String,
    /// The program whose exit ends the session.
    watched: Option<u32>,
    granted: Grants,
    /// There is a microphone to speak into.
    can_talk: bool,
    warned: AccessWarnings,
    /// Unasked messages that wait for the clock rounds.
    held_back: Vec<ControlMessage>,
    ended: Option<Ending>,
}

impl Live {
    /// Serves the client until something ends the session.
    async fn serve(
        &mut self,
        holder: &crate::holder::SessionHolder,
        socket: &punktfunk_net::udp::DataSocket,
        reader: &mut ControlReader,
        writer: &mut ControlWriter,
    ) -> Stop {
        let mut trust = self.shared.hub.trust().watch();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (outbox, clipboard) = (Arc::clone(&self.outbox), self.clip.outgoing());
        let mut apps = self.shared.config.apps.as_ref().map(|apps| apps.watch());
        // What changed between the gate and the line above was not told to `trust`.
        if let Err(stop) = self.check_access(writer).await {
            return stop;
        }
        loop {
            let may_speak = self.state.may_speak(Instant::now());
            let step = tokio::select! {
                payload = reader.next() => match payload {
                    Ok(payload) => {
                        let arrived = Instant::now();
                        self.on_payload(payload, arrived, writer).await
                    }
                    Err(stop) => Err(stop),
                },
                post = outbox.take() => self.on_post(post, writer).await,
                message = clipboard.next(), if may_speak => writer.send(|out| message.encode(out)).await,
                started = join_started(&mut self.starting) => self.on_started(started, writer).await,
                Ok(()) = trust.changed() => self.check_access(writer).await,
                () = changed(&mut apps) => self.check_program(),
                _ = tick.tick() => {
                    holder.look();
                    // Not before: the first punch is for the thread that waits for it.
                    if self.control.is_some() {
                        socket.discard_received();
                    }
                    self.on_tick(writer).await
                }
                why = holder.evicted() => Err(evicted(why).into()),
                _ = self.connection.closed() => Err(Stop::Gone),
                () = self.shared.stopping() => Err(host_stops().into()),
            };
            if let Err(stop) = step {
                return stop;
            }
        }
    }

    async fn on_payload(&mut self, payload: &[u8], arrived: Instant, writer: &mut ControlWriter) -> Result<(), Stop> {
        let message = match ControlMessage::decode(payload) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, len = payload.len(), "ignoring a control message");
                return Ok(());
            }
        };
        if let ControlMessage::ClockProbe { t1_ns } = message {
            let (clock, t2) = (self.clock, self.clock.at(arrived));
            writer.send(|out| echo(t1_ns, t2, clock.at(Instant::now())).encode(out)).await?;
            self.state.clock_answered();
            return self.tell_shape(writer).await;
        }
        match message {
            ControlMessage::ClipControl { enabled, files } => self.clip.control(enabled, files),
            ControlMessage::ClipOffer(offer) => self.clip.offered(offer),
            ControlMessage::CursorRenderMode { client_draws } => self.render_cursor(client_draws),
            message => return self.on_message(&message, arrived, writer).await,
        }
        Ok(())
    }

    /// The client draws the pointer from now on, or wants it in the pictures. Without CURSOR nothing comes of it.
    fn render_cursor(&mut self, client_draws: bool) {
        if self.shapes.set_client_draws(client_draws) {
            self.outbox.set_client_draws(client_draws);
            if let Some(control) = &self.control {
                control.command(SessionCommand::CursorApart(client_draws));
            }
        }
    }

    /// What the pointer looks like, if that is new and the client may be spoken to.
    async fn tell_shape(&mut self, writer: &mut ControlWriter) -> Result<(), Stop> {
        if !self.state.may_speak(Instant::now()) {
            return Ok(());
        }
        if let Some((serial, shape)) = self.shapes.next() {
            if let Some(shape) = shape {
                writer.send(|out| shape.encode(out)).await?;
            }
            self.outbox.reshaped(serial);
        }
        Ok(())
    }

    async fn on_message(
        &mut self,
        message: &ControlMessage,
        arrived: Instant,
        writer: &mut ControlWriter,
    ) -> Result<(), Stop> {
        let frames_sent = self.control.as_ref().map_or(0, |c| c.stats().counters.frames_sent);
        if let ControlMessage::LossReport { loss_ppm } = message {
            self.loss.report(*loss_ppm);
        }
        let answer = self.state.on_message(message, arrived, frames_sent);
        if let Some(reply) = answer.reply {
            writer.send(|out| reply.encode(out)).await?;
        }
        if let Some(control) = &self.control {
            if let Some(order) = answer.order {
                control.command(order);
            }
            if let Some(event) = answer.input {
                control.input(event);
            }
        }
        Ok(())
    }

    async fn on_started(
        &mut self,
        started: Result<Started, tokio::task::JoinError>,
        writer: &mut ControlWriter,
    ) -> Result<(), Stop> {
        self.starting = None;
        match started {
            Ok(Ok((handle, launch))) => {
                let control = handle.control();
                self.state.session_runs();
                if self.granted != self.access.grants {
                    control.command(SessionCommand::SetGrants(self.granted));
                }
                if !self.shapes.client_draws() {
                    // It may have been asked for meanwhile.
                    control.command(SessionCommand::CursorApart(false));
                }
                self.input = Some(tokio::spawn(read_datagrams(self.connection.clone(), control.clone())));
                if let Some((id, facts, recorder)) = self.registering.take() {
                    self.registration = Some(self.shared.hub.live().register(id, facts, control.clone(), recorder));
                }
                self.control = Some(control);
                self.handle = Some(handle);
                if let Some(launch) = launch {
                    self.watched = launch.watched;
                    self.tell(launch.outcome, writer).await?;
                }
                // It may have ended before anybody watched.
                self.check_program()
            }
            Ok(Err((refusal, stage))) => {
                self.returned = stage;
                Err(refusal.into())
            }
            Err(panic) => Err(Refusal::setup(&reason::INTERNAL_PANIC, panic.to_string()).into()),
        }
    }

    async fn on_post(&mut self, post: Post, writer: &mut ControlWriter) -> Result<(), Stop> {
        if let Some(message) = post.mode.and_then(|mode| self.state.on_mode(mode)) {
            self.tell(message, writer).await?;
        }
        if let Some(gap) = post.gap {
            let gap_ms = u32::try_from(gap.as_millis()).unwrap_or(u32::MAX);
            self.tell(ControlMessage::PipelineGap { gap_ms }, writer).await?;
        }
        if let Some(kbps) = post.kbps {
            let message = self.state.on_bitrate(kbps);
            writer.send(|out| message.encode(out)).await?;
        }
        if post.microphone_ended && std::mem::take(&mut self.can_talk) {
            // The client need not send what nobody can hear.
            let remaining_secs = self.access.expires_in_secs();
            let grants = told(self.granted, false);
            self.tell(ControlMessage::AccessUpdate { grants, remaining_secs }, writer).await?;
        }
        if let Some(shape) = post.shape {
            self.shapes.changed(shape);
            self.tell_shape(writer).await?;
        }
        if let Some(outcome) = post.probe {
            let message = self.state.on_probe_done(&outcome);
            writer.send(|out| message.encode(out)).await?;
        }
        match post.ended {
            Some(ending) => {
                let refusal = after_ending(&ending);
                self.ended = Some(ending);
                if refusal.reason.is_none() {
                    // The last packets and their timing are still on their way (§10.4 row 3).
                    tokio::select! {
                        () = tokio::time::sleep(LAST_FRAME_GRACE) => {}
                        _ = self.connection.closed() => return Err(Stop::Gone),
                    }
                }
                Err(refusal.into())
            }
            None => Ok(()),
        }
    }

    /// Says something unasked, now or once the clock rounds are over.
    async fn tell(&mut self, message: ControlMessage, writer: &mut ControlWriter) -> Result<(), Stop> {
        if self.state.may_speak(Instant::now()) {
            return writer.send(|out| message.encode(out)).await;
        }
        // A handful at most: each comes from a rare event of the first 2.5 s.
        self.held_back.push(message);
        Ok(())
    }

    async fn on_tick(&mut self, writer: &mut ControlWriter) -> Result<(), Stop> {
        if !self.held_back.is_empty() && self.state.may_speak(Instant::now()) {
            for message in std::mem::take(&mut self.held_back) {
                writer.send(|out| message.encode(out)).await?;
            }
        }
        self.tell_shape(writer).await?;
        if self.access.expires_in.is_some() {
            return self.check_access(writer).await;
        }
        Ok(())
    }

    /// The program that the client asked for may have ended: then the session has, too.
    fn check_program(&self) -> Result<(), Stop> {
        let Some((watched, apps)) = self.watched.zip(self.shared.config.apps.as_ref()) else { return Ok(()) };
        if apps.current(&self.identity) == Some(watched) {
            return Ok(());
        }
        Err(Refusal::new(CloseCode::APP_EXITED, &reason::APP_EXITED).into())
    }

    /// Asks the trust store again: a revocation or an expiry ends the session, other changes are told.
    async fn check_access(&mut self, writer: &mut ControlWriter) -> Result<(), Stop> {
        let Some(fingerprint) = self.fingerprint.filter(|_| self.access.trusted) else {
            return Ok(());
        };
        let Some(now) = gate::stored(&self.shared.hub, &fingerprint) else {
            let expired = self.access.expires_in.is_some();
            let reason = if expired { &reason::ACCESS_EXPIRED } else { &reason::ACCESS_REVOKED };
            return Err(Refusal::new(CloseCode::ACCESS_ENDED, reason).into());
        };
        let changed = now.grants != self.granted || now.expires_in.is_some() != self.access.expires_in.is_some();
        let warn = self.warned.due(now.expires_in);
        self.access.expires_in = now.expires_in;
        if now.grants != self.granted {
            self.granted = now.grants;
            // Before anything is said, which may take as long as a slow client reads.
            self.clip.permit(now.grants.contains(Grants::CLIPBOARD));
            if let Some(control) = &self.control {
                control.command(SessionCommand::SetGrants(now.grants));
            }
        }
        if changed || warn {
            let remaining_secs = now.expires_in_secs();
            let grants = told(now.grants, self.can_talk);
            self.tell(ControlMessage::AccessUpdate { grants, remaining_secs }, writer).await?;
        }
        Ok(())
    }

    /// Stops the engine and gets the display back.
    async fn wind_up(&mut self, stop: &Stop) -> Option<Box<dyn Stage>> {
        if let Some(input) = self.input.take() {
            input.abort();
        }
        self.registration = None;
        let cause = match stop {
            Stop::Gone if matches!(self.connection.close_reason(), Some(quinn::ConnectionError::TimedOut)) => {
                StopReason::ClientSilent
            }
            Stop::Gone => StopReason::ClientLeft,
            Stop::Refuse(refusal) => stop_reason(refusal),
        };
        let handle = match (self.handle.take(), self.starting.take()) {
            (Some(handle), _) => Some(handle),
            (None, Some(starting)) => match starting.await {
                Ok(Ok((handle, _))) => Some(handle),
                Ok(Err((_, stage))) => return stage,
                Err(_) => return None,
            },
            (None, None) => None,
        };
        let Some(handle) = handle else {
            return self.returned.take();
        };
        handle.stop(cause);
        let end = blocking(move || handle.join()).await.ok()?;
        let counters = &end.stats.counters;
        tracing::info!(
            cause = ?end.cause,
            frames = counters.frames_sent,
            packets = counters.packets_sent,
            dropped = counters.packets_dropped,
            input = counters.input_events,
            "session over"
        );
        end.stage
    }
}

/// Never ready when there is nothing to wait for.
async fn join_started(starting: &mut Option<JoinHandle<Started>>) -> Result<Started, tokio::task::JoinError> {
    match starting {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Never ready where there is no library.
async fn changed(apps: &mut Option<tokio::sync::watch::Receiver<u64>>) {
    if let Some(apps) = apps
        && apps.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Hands input and the microphone to the session until the connection ends.
async fn read_datagrams(connection: quinn::Connection, control: SessionControl) {
    while let Ok(datagram) = connection.read_datagram().await {
        match ClientDatagram::decode(&datagram) {
            Ok(ClientDatagram::Input(event)) => control.input(event),
            Ok(ClientDatagram::Rich(rich)) => control.rich(rich),
            Ok(ClientDatagram::Mic { seq, pts_ns, opus }) => control.voice(seq, pts_ns, opus),
            Err(error) => tracing::trace!(%error, "ignoring a datagram"),
        }
    }
}

/// What the client is told that it may do: not to talk where nothing hears it.
pub(crate) const fn told(grants: Grants, can_talk: bool) -> Grants {
    if can_talk { grants } else { grants.without(Grants::MIC) }
}

/// Access that runs out is announced at five minutes and at one minute before the end (§3.9.2).
#[derive(Debug, Default)]
struct AccessWarnings {
    told: usize,
}

impl AccessWarnings {
    fn due(&mut self, expires_in: Option<Duration>) -> bool {
        let Some(left) = expires_in else {
            self.told = 0;
            return false;
        };
        let passed = WARN_BEFORE.iter().filter(|at| left <= **at).count();
        let due = passed > self.told;
        self.told = passed;
        due
    }
}

/// The session's own end, as the client sees it.
fn after_ending(ending: &Ending) -> Refusal {
    match ending.reason {
        None => Refusal::done(),
        Some(reason) => Refusal::setup(reason, ending.detail.clone()),
    }
}

/// The hub took the slot.
pub(crate) fn evicted(why: Eviction) -> Refusal {
    match why {
        Eviction::SameIdentity => Refusal::new(CloseCode::SUPERSEDED, &reason::NATIVE_REPLACED),
        Eviction::Silent => Refusal::new(CloseCode::DONE, &reason::NATIVE_SILENT),
        Eviction::Operator => Refusal::new(CloseCode::DONE, &reason::NATIVE_ENDED_BY_OPERATOR),
    }
}

/// The host ends.
pub(crate) fn host_stops() -> Refusal {
    Refusal::new(CloseCode::DONE, &reason::HOST_SHUTTING_DOWN)
}

fn stop_reason(refusal: &Refusal) -> StopReason {
    match refusal.reason {
        None => StopReason::FramesDone,
        Some(r) if *r == reason::NATIVE_REPLACED => StopReason::Superseded,
        Some(r) if *r == reason::NATIVE_SILENT => StopReason::ClientSilent,
        Some(r) if *r == reason::NATIVE_ENDED_BY_OPERATOR => StopReason::Evicted,
        Some(r) if *r == reason::HOST_SHUTTING_DOWN => StopReason::HostShutdown,
        // What the client asked for is over.
        Some(r) if *r == reason::APP_EXITED => StopReason::FramesDone,
        Some(r) if *r == reason::ACCESS_REVOKED || *r == reason::ACCESS_EXPIRED => StopReason::Revoked,
        Some(_) => StopReason::Failed,
    }
}

/// §5.9.
const PUNCH_WAIT: Duration = Duration::from_millis(2500);
/// How fast a start is given up when the client is gone.
const PUNCH_SLICE: Duration = Duration::from_millis(25);
/// Well below the 1.5 s after which a silent peer's slot may be taken.
const TICK: Duration = Duration::from_millis(250);
/// A round trip of a slow path, and the client's own buffering.
const LAST_FRAME_GRACE: Duration = Duration::from_millis(500);
/// §3.9.2.
const WARN_BEFORE: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(60)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_that_runs_out_is_announced_twice_and_again_after_an_extension() {
        let mut warnings = AccessWarnings::default();
        let told: Vec<_> = [600, 301, 300, 200, 61, 60, 10, 900, 300]
            .into_iter()
            .filter(|secs| warnings.due(Some(Duration::from_secs(*secs))))
            .collect();
        assert_eq!(told, [300, 60, 300]);
        assert!(!warnings.due(None));
    }
}
