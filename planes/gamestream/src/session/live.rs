//! What the doors' threads and the session's task share.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use punktfunk_core::datagram::RichInput;
use punktfunk_core::{Fingerprint, Timestamp};
use punktfunk_engine::session::{Ending, SessionCommand, SessionControl};
use punktfunk_hub::admission::{Eviction, Holder};
use punktfunk_media::{PadBattery, PadBatteryState};
use tokio::sync::{mpsc, oneshot};

use crate::door::{Announce, LaunchRequest, Refusal, RtspOffer, SessionKey};
use crate::input::{Decoded, InputDecoder};
use crate::lock;
use crate::wire::control::ClientMessage;
use crate::wire::input::{Battery, BatteryState};
use crate::wire::loss::LossMeter;
use crate::wire::video::engine_index;

/// One session, seen from the doors.
pub(crate) struct Live {
    pub key: SessionKey,
    pub client: Fingerprint,
    /// The client's key in admission and displays.
    pub identity: String,
    /// Its name, sanitised.
    pub name: String,
    /// The application.
    pub app: u32,
    /// It goes on with what an earlier session left.
    pub resumed: bool,
    pub request: LaunchRequest,
    /// What RTSP tells; complete before the launch is answered.
    pub offer: OnceLock<RtspOffer>,
    asks: mpsc::Sender<Ask>,
    started: Instant,
    /// Milliseconds from `started` until the client was last heard.
    heard_ms: AtomicU64,
    phase: AtomicU8,
    /// The control stream is sealed as V2.
    v2: AtomicBool,
    /// The client asked for a keyframe: the first time it only says that it is there.
    asked: AtomicBool,
    control: OnceLock<SessionControl>,
    input: Mutex<InputDecoder>,
    losses: Mutex<LossMeter>,
}

/// How far a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The display is being opened.
    Opening = 0,
    /// The launch was answered; RTSP may come.
    Pending = 1,
    /// ANNOUNCE was taken.
    Announced = 2,
    /// The engine runs.
    Streaming = 3,
}

/// What the session's task is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    Announce(Box<Announce>, oneshot::Sender<Result<(), Refusal>>),
    Play(oneshot::Sender<Result<(), Refusal>>),
    /// The control stream is up.
    ControlUp,
    /// The control stream is gone.
    ControlDown,
    /// The engine decided to end.
    Ended(Ending),
    /// Somebody needs the slot.
    Evicted(Eviction),
    /// The client quits: answered when everything is gone.
    Cancel(oneshot::Sender<()>),
}

impl Live {
    pub fn new(
        key: SessionKey,
        client: Fingerprint,
        name: String,
        app: u32,
        resumed: bool,
        request: LaunchRequest,
    ) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, inbox) = mpsc::channel(ASKS);
        let live = Self {
            key,
            client,
            identity: client.to_string(),
            name,
            app,
            resumed,
            request,
            offer: OnceLock::new(),
            asks,
            started: Instant::now(),
            heard_ms: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Opening as u8),
            v2: AtomicBool::new(true),
            control: OnceLock::new(),
            asked: AtomicBool::new(false),
            input: Mutex::default(),
            losses: Mutex::new(LossMeter::new(false, Timestamp(0))),
        };
        (live, inbox)
    }

    /// Asks the session's task. Never blocks; a task that does not keep up ends soon anyway.
    pub fn ask(&self, ask: Ask) {
        if let Err(error) = self.asks.try_send(ask) {
            tracing::debug!(session = self.key.0, %error, "the session's task takes no more");
        }
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Opening,
            1 => Phase::Pending,
            2 => Phase::Announced,
            _ => Phase::Streaming,
        }
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// The launch was answered with a URL: RTSP may ask for it.
    pub fn is_reachable(&self) -> bool {
        matches!(self.phase(), Phase::Pending | Phase::Announced)
    }

    pub fn sealed_rtsp(&self) -> bool {
        self.request.core_version >= 1
    }

    pub fn v2(&self) -> bool {
        self.v2.load(Ordering::Acquire)
    }

    pub fn set_v2(&self, v2: bool) {
        self.v2.store(v2, Ordering::Release);
    }

    /// The client gave a sign of life.
    pub fn heard(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(now, Ordering::Relaxed);
    }

    /// From now on messages of the client reach the engine. `reports`: the client sends FEC status.
    pub fn connect_engine(&self, control: SessionControl, reports: bool) {
        *lock(&self.losses) = LossMeter::new(reports, self.now());
        // Started once per session.
        let _ = self.control.set(control);
    }

    pub fn engine(&self) -> Option<&SessionControl> {
        self.control.get()
    }

    /// A frame left. From the send thread.
    pub fn frame_sent(&self, frame: u32, packets: usize) {
        lock(&self.losses).on_sent(frame, packets);
    }

    /// A message of the control stream. From its thread; does not block.
    pub fn message(&self, message: ClientMessage<'_>) {
        self.heard();
        let begins = matches!(message, ClientMessage::Keyframe) && !self.asked.swap(true, Ordering::Relaxed);
        let Some(engine) = self.control.get() else { return };
        if matches!(message, ClientMessage::Keyframe) {
            lock(&self.losses).on_keyframe_request();
        }
        match message {
            // Says only that the client is there: the first picture is a keyframe anyway.
            ClientMessage::Keyframe if begins => engine.command(SessionCommand::Keyframe),
            ClientMessage::Keyframe => engine.command(SessionCommand::OnlyKeyframe),
            ClientMessage::Invalidate { first, last } => {
                lock(&self.losses).on_invalidate(first, last);
                let (first, last) = (engine_index(first), engine_index(last));
                engine.command(if first <= last {
                    SessionCommand::Invalidate { first, last }
                } else {
                    SessionCommand::OnlyKeyframe
                });
            }
            ClientMessage::FecStatus(status) => lock(&self.losses).on_fec_status(&status),
            ClientMessage::LossStats { last_good } => lock(&self.losses).on_loss_stats(last_good),
            ClientMessage::Input(packet) => self.input(engine, packet),
            ClientMessage::Ping
            | ClientMessage::Started
            | ClientMessage::LongTermReceived { .. }
            | ClientMessage::Unknown(_) => {}
        }
        // Pings come ten times a second, so that windows end in time.
        let window = lock(&self.losses).poll(self.now());
        if let Some(ppm) = window.and_then(|window| window.ppm) {
            engine.command(SessionCommand::LossReport { ppm });
        }
    }

    fn input(&self, engine: &SessionControl, packet: &[u8]) {
        let outcome = lock(&self.input).packet(packet, |decoded| match decoded {
            Decoded::Event(event) => engine.input(event),
            // Its clients tell only changes of a pen.
            Decoded::Rich(RichInput::Pen(batch)) => engine.pen(&batch, false),
            Decoded::Rich(rich) => engine.rich(rich),
            Decoded::Battery(battery) => engine.battery(battery.pad, pad_battery(&battery)),
            Decoded::PadArrival(_) | Decoded::Haptics { .. } => {}
        });
        if let Err(error) = outcome {
            tracing::debug!(session = self.key.0, %error, "an input packet makes no sense");
        }
    }

    /// By the session's own clock.
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

fn pad_battery(battery: &Battery) -> PadBattery {
    let state = match battery.state {
        BatteryState::Unknown => PadBatteryState::Unknown,
        BatteryState::Absent => PadBatteryState::Absent,
        BatteryState::Discharging => PadBatteryState::Discharging,
        BatteryState::Charging => PadBatteryState::Charging,
        BatteryState::PluggedNotCharging => PadBatteryState::NotCharging,
        BatteryState::Full => PadBatteryState::Full,
    };
    PadBattery { state, percent: battery.percent }
}

impl Holder for Live {
    fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(heard)
    }

    fn evict(&self, why: Eviction) {
        self.ask(Ask::Evicted(why));
    }
}

/// Every kind of request a few times over.
const ASKS: usize = 32;
