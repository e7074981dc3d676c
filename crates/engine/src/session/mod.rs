//! One running session: its threads, its handle, its end.
//!
//! ```text
//! Session::start ─► held ──(all threads there)──► running ──(stop | failure | panic: the first one counts)──► stopping ─► join
//! ```
//!
//! Four threads: `capture-N` (which owns the stage), `encode-N`, `send-N` and `inject-N`; a fifth, `audio-N`, where the
//! client wants sound, `mic-N` where it could talk, and `pads-N` where the host has gamepads to offer. They start held: only when all exist does any of
//! them run. Whatever ends the session, every thread leaves its loop, held input is released, and
//! [`SessionHandle::join`] hands the stage back if it still lives.

mod control;
mod ending;
mod guard;
mod thumbnail;

use std::sync::Arc;
use std::thread::JoinHandle;

use punktfunk_core::Grants;
use punktfunk_media::{AudioCodec, EncoderFactory, Reason, Stage, reason};

pub(crate) use control::{EncodeOrders, Mailboxes};
pub use control::{SessionCommand, SessionControl};
pub use ending::{Ending, SessionEnd, StopReason};
pub(crate) use ending::{Shared, panic_text};
use guard::{Gate, StageSlot, spawn};
pub(crate) use thumbnail::WIDTH as THUMBNAIL_WIDTH;

use crate::clock::SessionClock;
use crate::link::{AudioLink, ClientLink};
use crate::pads::PadsSetup;
pub use crate::pipeline::PEN_SILENCE;
use crate::pipeline::{AudioLoop, CaptureLoop, EncodeLoop, InjectLoop, MicLoop, PadsLoop, Pipes, SendLoop};
use crate::plan::SessionPlan;
use crate::stats::SessionStats;

/// Everything a session needs.
pub struct SessionParams {
    /// Number of the session, for thread names and the log.
    pub id: u64,
    /// What it does.
    pub plan: SessionPlan,
    /// The output, open at the plan's mode.
    pub stage: Box<dyn Stage>,
    /// The host's encoders; the plan's names choose among them.
    pub encoders: Vec<Arc<dyn EncoderFactory>>,
    /// The way to the client.
    pub link: ClientLink,
    /// The way of sound to the client; `None`: it wants none.
    pub audio: Option<AudioLink>,
    /// Decodes the client's microphone; `None`: its protocol, or this host, has none.
    pub microphone: Option<Arc<dyn AudioCodec>>,
    /// Stamps everything.
    pub clock: SessionClock,
    /// End after so many frames were sent; 0 = never.
    pub frames: u32,
    /// What the client may do.
    pub grants: Grants,
    /// The client draws the pointer: pictures come without it, and [`crate::link::ClientEvents::cursor`] tells of it. Only for
    /// a stage that can do so.
    pub cursor_apart: bool,
    /// How it makes gamepads; `None` = it has none.
    pub pads: Option<PadsSetup>,
    /// Called first on every thread: name and role, for scheduling class and timer slack.
    pub on_thread_start: Option<ThreadHook>,
}

/// Called on a session thread before it does anything.
pub type ThreadHook = Arc<dyn Fn(ThreadRole) + Send + Sync>;

/// What a session thread does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ThreadRole {
    /// Owns the stage, takes pictures.
    Capture,
    /// Makes access units.
    Encode,
    /// Sends packets, paced.
    Send,
    /// Plays input back.
    Inject,
    /// Captures, codes and sends sound.
    Audio,
    /// Decodes and plays the client's microphone.
    Mic,
    /// Serves gamepads.
    Pads,
}

impl ThreadRole {
    /// The thread's name without the session number.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Encode => "encode",
            Self::Send => "send",
            Self::Inject => "inject",
            Self::Audio => "audio",
            Self::Mic => "mic",
            Self::Pads => "pads",
        }
    }
}

/// A session that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct StartError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
    /// The stage, untouched.
    pub stage: StageBox,
}

/// A stage on its way back, with a `Debug` that says little.
pub struct StageBox(pub Option<Box<dyn Stage>>);

impl std::fmt::Debug for StageBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Stage" } else { "no stage" })
    }
}

/// Starts sessions.
#[derive(Debug)]
pub struct Session;

impl Session {
    /// Starts the threads of a session. Does not wait for the first frame; failures from here on reach
    /// [`crate::link::ClientEvents::ended`].
    ///
    /// # Errors
    /// [`StartError`] with the stage, if the system gives no more threads.
    pub fn start(params: SessionParams) -> Result<SessionHandle, StartError> {
        let SessionParams {
            id,
            plan,
            mut stage,
            encoders,
            link,
            audio,
            microphone,
            clock,
            frames,
            grants,
            cursor_apart,
            pads,
            on_thread_start,
        } = params;
        let ladder: Vec<_> = plan
            .encoders
            .iter()
            .filter_map(|name| encoders.iter().find(|e| e.name() == *name))
            .map(Arc::clone)
            .collect();
        let ClientLink { packetizer, sink, events, shard_payload, audio_bps, repeat_every } = link;
        let mail = Arc::new(Mailboxes::new(pads.is_some(), microphone.is_some()));
        let shared = Arc::new(Shared::new(id, clock, events, &mail));
        let pipes = Arc::new(Pipes::new(&mail));
        let gate = Arc::new(Gate::default());

        let encode = EncodeLoop::new(
            &shared,
            &mail,
            &pipes,
            &plan,
            stage.mode(),
            ladder,
            frames,
            shard_payload,
            audio_bps,
            repeat_every,
        );
        let audio = audio.map(|link| AudioLoop::new(&shared, stage.sound(), link));
        let mic = microphone.map(|codec| {
            mail.mic(grants);
            MicLoop::new(&shared, &mail, stage.sound(), codec, grants)
        });
        let stage_slot = Arc::new(StageSlot::new(stage));
        let send = SendLoop::new(&shared, &mail, &pipes, packetizer, sink, frames, shard_payload);
        let capture = CaptureLoop::new(&shared, &mail, &pipes, plan.colour, cursor_apart);
        let inject = InjectLoop::new(&shared, &mail, grants);
        let pads = pads.map(|setup| PadsLoop::new(&shared, &mail, setup, grants));

        let start = |role, body| spawn(role, &shared, &gate, on_thread_start.clone(), body);
        let mut threads: Vec<JoinHandle<()>> = Vec::with_capacity(7);
        // In the order in which they are joined: what takes from others first.
        let mut bodies: Vec<(ThreadRole, Box<dyn FnOnce() + Send>)> = vec![
            (ThreadRole::Inject, Box::new(move || inject.run())),
            (ThreadRole::Send, Box::new(move || send.run())),
            (ThreadRole::Encode, Box::new(move || encode.run())),
            (ThreadRole::Capture, {
                let slot = Arc::clone(&stage_slot);
                Box::new(move || slot.lend(|stage| capture.run(stage)))
            }),
        ];
        if let Some(pads) = pads {
            bodies.insert(0, (ThreadRole::Pads, Box::new(move || pads.run())));
        }
        if let Some(mic) = mic {
            bodies.insert(0, (ThreadRole::Mic, Box::new(move || mic.run())));
        }
        if let Some(audio) = audio {
            bodies.insert(0, (ThreadRole::Audio, Box::new(move || audio.run())));
        }
        for (role, body) in bodies {
            match start(role, body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    gate.open(false);
                    threads.into_iter().for_each(|t| drop(t.join()));
                    let detail = format!("thread {}-{id}: {error}", role.name());
                    let stage = StageBox(stage_slot.take());
                    return Err(StartError { reason: &reason::INTERNAL_THREADS, detail, stage });
                }
            }
        }
        gate.open(true);
        Ok(SessionHandle { control: SessionControl::new(shared, mail), threads, stage: stage_slot })
    }
}

/// The owner's handle. Dropping it stops the session and waits for its threads.
#[derive(Debug)]
pub struct SessionHandle {
    control: SessionControl,
    threads: Vec<JoinHandle<()>>,
    stage: Arc<StageSlot>,
}

impl SessionHandle {
    /// The part that may be cloned and shared.
    #[must_use]
    pub fn control(&self) -> SessionControl {
        self.control.clone()
    }

    /// Asks the session to end. See [`SessionControl::stop`].
    pub fn stop(&self, why: StopReason) {
        self.control.stop(why);
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.control.stats()
    }

    /// Waits until every thread has ended. Blocking: for a stopped session about as long as the capturer takes to
    /// return from its wait (at once, or 25 ms for one that cannot be woken); for a running one until it ends.
    #[must_use]
    pub fn join(mut self) -> SessionEnd {
        self.join_threads();
        let ending = self.control.ending().unwrap_or_else(Ending::unexplained);
        let stage = self.stage.take().and_then(|mut stage| stage.is_alive().then_some(stage));
        SessionEnd { cause: ending.cause, reason: ending.reason, detail: ending.detail, stage, stats: self.stats() }
    }

    fn join_threads(&mut self) {
        for thread in self.threads.drain(..) {
            // Panics were caught and reported by the guard inside.
            drop(thread.join());
        }
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.control.stop(StopReason::HandleDropped);
            self.join_threads();
        }
    }
}
