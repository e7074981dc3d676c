//! The task of one session: takes the slot, the display and the program, answers the launch, and then whatever comes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use punktfunk_core::{Grants, Mode};
use punktfunk_engine::session::{Ending, Session, SessionCommand, SessionHandle, SessionParams, StopReason};
use punktfunk_hub::admission::{AdmitRequest, Eviction, Refused, Ticket};
use punktfunk_hub::apps::ClientFacts;
use punktfunk_hub::displays::Release;
use punktfunk_hub::live::Registration;
use punktfunk_hub::trust::TrustState;
use punktfunk_media::{Reason, Stage, StageRequest, reason};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

use super::announce::{self, Announced};
use super::figures;
use super::live::{Ask, Live, Phase};
use super::paused::Paused;
use crate::door::Refusal;
use crate::plane::{Shared, blocking};
use crate::wire::feedback::{HostMessage, REASON_ENDED, REASON_VIDEO_FAILED};

/// Runs a session to its end and gives everything back. `answer` hears whether the launch succeeded.
pub(crate) async fn run(
    shared: Arc<Shared>,
    live: Arc<Live>,
    mut inbox: mpsc::Receiver<Ask>,
    answer: oneshot::Sender<Result<(), Refusal>>,
) {
    let request = AdmitRequest {
        identity: live.identity.clone(),
        fingerprint: Some(live.client),
        name: live.name.clone(),
        holder: Arc::clone(&live) as Arc<_>,
    };
    let admitted = tokio::select! {
        admitted = shared.hub.admission().admit(request) => admitted,
        () = shared.stopping() => Err(Refused::ShuttingDown),
    };
    let ticket = match admitted {
        Ok(ticket) => ticket,
        Err(refused) => {
            shared.table.remove(live.key);
            let _ = answer.send(Err(Refusal { status: 503, message: refused.to_string() }));
            return;
        }
    };
    tracing::Span::current().record("session", ticket.session_id());
    let mut actor = Actor {
        shared,
        live,
        ticket,
        stage: None,
        announced: None,
        handle: None,
        registration: None,
        granted: Grants::ALL,
        controlled: false,
        ends_with_program: true,
    };
    match actor.open().await {
        Ok(()) => {
            actor.live.set_phase(Phase::Pending);
            // The request went away: the session waits for RTSP all the same, and is given up if nobody comes.
            let _ = answer.send(Ok(()));
            let end = actor.serve(&mut inbox).await;
            actor.finish(end, &mut inbox).await;
        }
        Err(refusal) => {
            let _ = answer.send(Err(refusal));
            actor.finish(End::NotStarted, &mut inbox).await;
        }
    }
}

struct Actor {
    shared: Arc<Shared>,
    live: Arc<Live>,
    ticket: Ticket,
    /// The display, while no engine has it.
    stage: Option<Box<dyn Stage>>,
    /// What ANNOUNCE settled, until the engine takes it.
    announced: Option<Announced>,
    handle: Option<SessionHandle>,
    /// Its place in the list of live sessions, and at the media ports.
    registration: Option<(Registration, crate::media_ports::Pings)>,
    granted: Grants,
    /// The control stream is up.
    controlled: bool,
    /// The program's exit ends the session.
    ends_with_program: bool,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The launch was refused.
    NotStarted,
    /// Nobody came within the time that clients need.
    NeverCame,
    /// The client left, or was silent: it may come back.
    Left,
    /// The client quits.
    Cancelled(oneshot::Sender<()>),
    /// The program ended.
    AppExited,
    /// Somebody else got the slot.
    Evicted(Eviction),
    /// Access was taken away.
    Revoked,
    /// The engine ended.
    Engine(Ending),
    /// The host ends.
    HostStops,
}

impl Actor {
    /// Opens the display and starts the program on it.
    async fn open(&mut self) -> Result<(), Refusal> {
        let (width, height, fps) = self.live.request.mode.unwrap_or(DEFAULT_MODE);
        // 0 frames per second comes from very old clients; ANNOUNCE tells the real rate.
        let mode = Mode { width, height, refresh_hz: if fps == 0 { DEFAULT_MODE.2 } else { fps } };
        let request = StageRequest { identity: self.live.identity.clone(), name: self.live.name.clone(), mode };
        let shared = Arc::clone(&self.shared);
        let opened = blocking(move || {
            let mut stage = shared.displays.acquire(&request)?;
            let _ = shared.injector_caps(&mut *stage);
            Ok(stage)
        });
        let stage = match opened.await {
            Ok(Ok(stage)) => stage,
            Ok(Err(error)) => {
                let error: punktfunk_media::OpenError = error;
                tracing::warn!(code = error.reason.code, "no display: {}", error.detail);
                return Err(Refusal::of(503, error.reason));
            }
            Err(panic) => {
                tracing::error!(%panic, "opening a display failed");
                return Err(Refusal::of(503, &reason::INTERNAL_PANIC));
            }
        };
        self.stage = Some(stage);
        self.launch().await?;
        let offer = self.shared.rtsp_offer(&self.live).map_err(|e| {
            tracing::error!("no randomness: {e}");
            Refusal::of(503, &reason::HOST_NO_RANDOMNESS)
        })?;
        // Set once, here.
        let _ = self.live.offer.set(offer);
        Ok(())
    }

    /// Starts the client's program, unless it runs already.
    async fn launch(&mut self) -> Result<(), Refusal> {
        let Some(mut stage) = self.stage.take() else { return Ok(()) };
        self.ends_with_program =
            self.shared.apps.catalogue().by_number(self.live.app).is_none_or(|app| app.ends_session);
        let (shared, live) = (Arc::clone(&self.shared), Arc::clone(&self.live));
        let started = blocking(move || {
            let asked = &live.request;
            let client = ClientFacts {
                mode: Some(stage.mode()),
                hdr: asked.hdr,
                gamepads: asked.pads,
                host_audio: asked.play_on_host,
                channels: u8::try_from(asked.surround_info & 0xffff).unwrap_or(2),
                surround_params: asked.surround_params.clone().unwrap_or_default(),
            };
            let outcome = shared.apps.launch(&live.identity, live.app, &mut *stage, &client);
            (stage, outcome)
        });
        match started.await {
            Ok((stage, outcome)) => {
                self.stage = Some(stage);
                outcome.map(drop).map_err(|error| {
                    tracing::warn!(code = error.reason.code, "the program did not start: {}", error.detail);
                    Refusal::of(500, error.reason)
                })
            }
            Err(panic) => {
                tracing::error!(%panic, "starting a program failed");
                Err(Refusal::of(500, &reason::INTERNAL_PANIC))
            }
        }
    }

    /// Serves the session until something ends it.
    async fn serve(&mut self, inbox: &mut mpsc::Receiver<Ask>) -> End {
        let mut trust = self.shared.hub.trust().watch();
        if let Some(end) = self.check_access() {
            return end;
        }
        let mut programs = self.shared.apps.watch();
        let mut deadline = Instant::now() + STEP;
        // An access that runs out changes nothing in the store, so nobody wakes us for it.
        let mut expiry = tokio::time::interval(EXPIRY_CHECK);
        expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if !self.program_runs() {
                return End::AppExited;
            }
            let waiting = self.handle.is_none() || !self.controlled;
            let ask = tokio::select! {
                ask = inbox.recv() => ask,
                () = first_ping(&mut self.announced) => {
                    if let Some(end) = self.start_engine().await {
                        return end;
                    }
                    continue;
                }
                Ok(()) = programs.changed() => continue,
                Ok(()) = trust.changed() => {
                    if let Some(end) = self.check_access() {
                        return end;
                    }
                    continue;
                }
                _ = expiry.tick() => {
                    if let Some(end) = self.check_access() {
                        return end;
                    }
                    continue;
                }
                () = sleep_until(deadline.into()), if waiting => return End::NeverCame,
                () = self.shared.stopping() => return End::HostStops,
            };
            // The table holds a sender as long as this task lives.
            let Some(ask) = ask else { return End::HostStops };
            match ask {
                Ask::Announce(announce, answer) => {
                    let outcome = announce::settle(
                        &self.shared,
                        &self.live,
                        self.ticket.session_id(),
                        &mut self.stage,
                        *announce,
                    )
                    .await;
                    let outcome = outcome.map(|announced| self.announced = Some(announced));
                    if outcome.is_ok() {
                        self.live.set_phase(Phase::Announced);
                        deadline = Instant::now() + STEP;
                    }
                    let _ = answer.send(outcome);
                }
                Ask::Play(answer) => {
                    let ready = self.announced.is_some() || self.handle.is_some();
                    let _ =
                        answer.send(if ready { Ok(()) } else { Err(Refusal::of(455, &reason::GAMESTREAM_RTSP_ORDER)) });
                }
                Ask::ControlUp => {
                    self.controlled = true;
                    self.live.heard();
                    // An 8-bit stream; without the message clients keep whatever state they had.
                    self.shared.tell(self.live.key, HostMessage::Hdr(None));
                }
                Ask::ControlDown => return End::Left,
                Ask::Ended(ending) => return End::Engine(ending),
                Ask::Evicted(why) => return End::Evicted(why),
                Ask::Cancel(answer) => return End::Cancelled(answer),
            }
        }
    }

    /// The program still runs, or its end is not the session's; a bare desktop always does.
    fn program_runs(&self) -> bool {
        self.shared.apps.current(&self.live.identity) == Some(self.live.app) || !self.ends_with_program
    }

    /// The first ping told where video goes: from now on pictures are encoded, the first as a keyframe.
    async fn start_engine(&mut self) -> Option<End> {
        let (Some(announced), Some(stage)) = (self.announced.take(), self.stage.take()) else { return None };
        let Announced { plan, link, audio, clock, pings, reports, facts, recorder } = announced;
        let facts = punktfunk_hub::live::SessionFacts { peer: pings.now().video.unwrap_or(facts.peer), ..facts };
        let params = SessionParams {
            id: self.ticket.session_id(),
            plan,
            stage,
            encoders: self.shared.encoders(),
            link,
            audio,
            microphone: None,
            clock,
            frames: 0,
            grants: self.granted,
            cursor_apart: false,
            pads: self.shared.pads(),
            on_thread_start: self.shared.config.on_thread_start.clone(),
        };
        match blocking(move || Session::start(params)).await {
            Ok(Ok(handle)) => {
                let control = handle.control();
                self.live.connect_engine(control.clone(), reports);
                let listed = self.shared.hub.live().register(self.ticket.session_id(), facts, control, recorder);
                self.registration = Some((listed, pings));
                self.handle = Some(handle);
                self.live.set_phase(Phase::Streaming);
                tracing::info!("streaming");
                None
            }
            Ok(Err(mut error)) => {
                self.stage = error.stage.0.take();
                Some(End::Engine(Ending::failed(error.reason, error.detail)))
            }
            Err(panic) => Some(End::Engine(Ending::failed(&reason::INTERNAL_PANIC, panic.to_string()))),
        }
    }

    /// What the trust store says now reaches the engine at once.
    fn check_access(&mut self) -> Option<End> {
        match self.shared.hub.trust().state(&self.live.client, SystemTime::now()) {
            TrustState::Paired { grants, .. } => {
                if grants != self.granted {
                    self.granted = grants;
                    if let Some(engine) = self.live.engine() {
                        engine.command(SessionCommand::SetGrants(grants));
                    }
                }
                None
            }
            TrustState::Expired | TrustState::Unknown => Some(End::Revoked),
        }
    }

    /// Ends everything in the order that lets the client know first and the next session start at once.
    async fn finish(mut self, end: End, inbox: &mut mpsc::Receiver<Ask>) {
        tracing::info!(?end, "the session ends");
        let live = Arc::clone(&self.live);
        let told = end.termination();
        if let Some(code) = told {
            self.shared.terminate(live.key, code);
        }
        let reason = end.reason();
        self.announced = None;
        self.registration = None;
        if let Some(handle) = self.handle.take() {
            handle.stop(end.stop_reason());
            let stopped = timeout(JOIN, blocking(move || handle.join())).await;
            match stopped {
                Ok(Ok(session)) => {
                    figures::tell(&session);
                    self.stage = session.stage;
                }
                Ok(Err(panic)) => tracing::error!(%panic, "ending a session failed"),
                Err(_) => tracing::error!("a session's threads do not end"),
            }
        }
        // What nobody has seen yet is nobody's to come back to.
        let may_resume = end.may_resume() && (live.resumed || live.engine().is_some());
        if !may_resume {
            let (shared, identity) = (Arc::clone(&self.shared), live.identity.clone());
            let ended = blocking(move || shared.apps.end(&identity)).await;
            if let Err(panic) = ended {
                tracing::error!(%panic, "ending a program failed");
            }
            self.shared.table.forget(&live.client);
        } else if self.stage.is_some() {
            // Whose displays are gone have nothing to resume any more.
            let kept = self.shared.displays.kept();
            self.shared.table.forget_unless(|client| kept.iter().any(|(who, _)| *who == client.to_string()));
            self.shared.table.pause(live.client, Paused { app: live.app, request: live.request.clone() });
        }
        let release = if may_resume { Release::Linger } else { Release::Now };
        if let Some(stage) = self.stage.take() {
            let shared = Arc::clone(&self.shared);
            let identity = live.identity.clone();
            if let Err(panic) = blocking(move || shared.displays.release(&identity, Some(stage), release)).await {
                tracing::error!(%panic, "giving the display back failed");
            }
        } else {
            self.shared.displays.release(&live.identity, None, release);
        }
        self.shared.table.remove(live.key);
        if told.is_none() {
            self.shared.close_control(live.key);
        }
        drop(self.ticket);
        if let Some(reason) = reason {
            tracing::warn!(code = reason.code, fix = reason.fix, "{}", reason.sentence);
        }
        if let End::Cancelled(answer) = end {
            let _ = answer.send(());
        }
        // Whoever asked meanwhile.
        inbox.close();
        while let Ok(ask) = inbox.try_recv() {
            match ask {
                Ask::Cancel(answer) => drop(answer.send(())),
                Ask::Announce(_, answer) | Ask::Play(answer) => {
                    let _ = answer.send(Err(Refusal::of(454, &reason::SESSION_NOT_FOUND)));
                }
                _ => {}
            }
        }
    }
}

impl End {
    /// What the client is told on its control stream; `None` if it left by itself.
    fn termination(&self) -> Option<u32> {
        match self {
            Self::NotStarted | Self::NeverCame | Self::Left => None,
            Self::Cancelled(_) | Self::AppExited | Self::Evicted(_) | Self::Revoked | Self::HostStops => {
                Some(REASON_ENDED)
            }
            Self::Engine(ending) => Some(match ending.reason {
                Some(r) if r.code.starts_with("encode.") => REASON_VIDEO_FAILED,
                Some(_) => FAILED,
                None => REASON_ENDED,
            }),
        }
    }

    /// The display and its program stay for a while.
    fn may_resume(&self) -> bool {
        match self {
            Self::NeverCame | Self::Left | Self::HostStops | Self::Engine(_) => true,
            Self::Evicted(why) => *why != Eviction::Operator,
            Self::NotStarted | Self::Cancelled(_) | Self::AppExited | Self::Revoked => false,
        }
    }

    fn stop_reason(&self) -> StopReason {
        match self {
            Self::NotStarted | Self::NeverCame => StopReason::ClientSilent,
            Self::Left | Self::Cancelled(_) | Self::AppExited => StopReason::ClientLeft,
            Self::Evicted(Eviction::SameIdentity) => StopReason::Superseded,
            Self::Evicted(Eviction::Silent) => StopReason::ClientSilent,
            Self::Evicted(Eviction::Operator) => StopReason::Evicted,
            Self::Revoked => StopReason::Revoked,
            Self::Engine(_) => StopReason::Failed,
            Self::HostStops => StopReason::HostShutdown,
        }
    }

    fn reason(&self) -> Option<&'static Reason> {
        match self {
            Self::NeverCame => Some(&reason::GAMESTREAM_NEVER_CAME),
            Self::Revoked => Some(&reason::ACCESS_REVOKED),
            Self::Engine(ending) => ending.reason,
            _ => None,
        }
    }
}

/// Ready when the client of an announced session sent its first ping for video. Cancel-safe.
async fn first_ping(announced: &mut Option<Announced>) {
    match announced {
        Some(announced) => {
            announced.pings.video().await;
        }
        None => std::future::pending().await,
    }
}

/// Where a client names no mode.
const DEFAULT_MODE: (u32, u32, u32) = (1280, 720, 60);
/// launch → RTSP, and ANNOUNCE → pings and control stream (gamestream.md §10.1).
const STEP: Duration = Duration::from_secs(10);
/// How often a session looks whether its access has run out.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);
/// Engine threads end within their capturer's wait of 25 ms; a compositor that hangs must not hold the slot.
const JOIN: Duration = Duration::from_secs(5);
/// Any other failure; clients show the number.
const FAILED: u32 = 0x8003_0001;
