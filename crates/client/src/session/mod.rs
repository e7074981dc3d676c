//! One client session, sans-IO: from `Hello` to the last access unit.
//!
//! ```text
//!  new ──Hello──► Waiting ──Welcome──► Welcomed ──start(port): Start──► Running ──(whoever owns the connection)──► end
//!                    │                    │
//!                    └── broken Welcome ──┴──► SessionError: close the connection with code 1
//! ```
//!
//! **Calling rule.** Give [`Session::handle`] whatever happened, then call [`Session::poll`] until it says
//! [`Output::Wait`], and again at that time. Outputs are in the order in which they are to be carried out. All times are
//! on one clock of the caller's, which also stamps the clock probes: wall clock sampled once plus monotonic time since.
//!
//! Nothing is allocated per frame once it runs: give access units back with [`Session::recycle`].

mod config;
mod cursor;
mod running;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use punktfunk_core::control::{ClipOffer, ClipPolicy, ClipReason, ControlMessage, LaunchKind};
use punktfunk_core::datagram::{HidOutput, RichInput, Rumble};
use punktfunk_core::framing::frame_with;
use punktfunk_core::handshake::{ExtensionBlock, HostCaps, HostCaps2, Start, Welcome};
use punktfunk_core::input::InputEvent;
use punktfunk_core::reassemble::AccessUnit;
use punktfunk_core::{DecodeError, Grants, Mode, Timestamp};

use crate::policy::SpeedOutcome;
use crate::summary::Summary;
pub use config::SessionConfig;
pub use cursor::CursorState;
use running::Running;

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// One payload of the control stream (without its length).
    Control(&'a [u8]),
    /// A QUIC datagram.
    Datagram(&'a [u8]),
    /// A datagram of the data plane, opened in place.
    Packet(&'a mut [u8]),
    /// The decoder finished with a unit.
    Decoded {
        /// It made a picture.
        picture: bool,
        /// How long it took.
        took: Duration,
        /// [`Unit::age_at`] of the moment at which it was done.
        age_ns: Option<i64>,
    },
    /// A unit that [`Output::Unit`] handed out reached the decoder, `waited` after its last packet came in; `depth` more
    /// are in its queue.
    Fed {
        /// Since [`AccessUnit::last_packet_at`].
        waited: Duration,
        /// Units still queued.
        depth: usize,
    },
    /// Units were thrown away before the decoder saw them (its queue was full).
    Discarded,
    /// Something was copied on this side; the owner serves what is fetched of it.
    ClipOffer(&'a ClipOffer),
    /// Somebody wants something.
    Command(Command),
}

/// What a person or program asks of a running session.
#[derive(Clone, Copy, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "a pen's batch; it passes through by value once and is never stored")]
pub enum Command {
    /// Send input.
    Input(InputEvent),
    /// Send touchpads and motion of pads, or a pen.
    Rich(RichInput),
    /// Switch to another mode; at most one per second goes out, the last one wins.
    SetMode(Mode),
    /// Ask for a keyframe.
    Keyframe,
    /// Turn the clipboard on or off; files never cross it.
    Clipboard {
        /// Wished state.
        enabled: bool,
    },
    /// Draw the pointer on this side, or let the host do it; only in a session with [`HostCaps::CURSOR`].
    RenderCursor {
        /// This side draws.
        client_draws: bool,
    },
    /// Run a speed test; ignored while one runs.
    SpeedTest {
        /// kbit/s.
        target_kbps: u32,
        /// Milliseconds.
        duration_ms: u32,
    },
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes to the control stream; they are framed.
    Stream(Vec<u8>),
    /// Send a QUIC datagram.
    Datagram(Vec<u8>),
    /// Send a hole punch on the data socket.
    Punch,
    /// Decode this.
    Unit(Unit),
    /// Take note of this.
    Event(Event),
    /// Nothing until then, unless something happens.
    Wait(Timestamp),
}

/// An access unit on its way to the decoder.
#[derive(Debug)]
pub struct Unit {
    /// The unit.
    pub au: AccessUnit,
    /// False while pictures depend on something lost: decode at will, show nothing.
    pub show: bool,
    /// Drawn on the host → last packet in, nanoseconds; `None` while the host's clock is unknown, negative where it is not
    /// known that well.
    pub age_ns: Option<i64>,
}

impl Unit {
    /// Drawn on the host → `at`, a moment of the session's clock after the last packet came in, nanoseconds.
    #[must_use]
    pub fn age_at(&self, at: Timestamp) -> Option<i64> {
        let since = i64::try_from(at.since(self.au.last_packet_at).as_nanos()).unwrap_or(i64::MAX);
        Some(self.age_ns?.saturating_add(since))
    }
}

/// What a session tells its owner.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The host answered: bind and connect the data socket to `udp_port`, then call [`Session::start`].
    Welcomed {
        /// The host's data port.
        udp_port: u16,
    },
    /// The connect-time clock exchange is over.
    ClockKnown {
        /// Host clock minus ours; `None` if no round was answered.
        offset_ns: Option<i64>,
    },
    /// The backlog is to be thrown away: it plays too late.
    JumpToLive,
    /// The host's answer to a mode change, or its news of one.
    Mode {
        /// Whether the request was accepted.
        accepted: bool,
        /// What is active.
        mode: Mode,
    },
    /// The wire budget changed.
    Bitrate {
        /// kbit/s.
        kbps: u32,
    },
    /// A speed test ended.
    Speed(SpeedOutcome),
    /// What this device may do changed.
    Access {
        /// The mask.
        grants: Grants,
        /// Seconds left, 0 = permanent.
        remaining_secs: u32,
    },
    /// What became of the program that `Hello.launch` asked for.
    Launch {
        /// Whether it runs.
        kind: LaunchKind,
        /// Its title, or why not.
        message: String,
    },
    /// The clipboard is on or off now, and why.
    ClipState {
        /// Whether it is on.
        enabled: bool,
        /// What may cross.
        policy: ClipPolicy,
        /// Why.
        reason: ClipReason,
    },
    /// Something was copied on the host; no formats: its clipboard is empty.
    ClipOffer(ClipOffer),
    /// Motors of a pad, from now on. Only news: what came late or twice is left out; without another one within its time
    /// to live the motors stop.
    Rumble(Rumble),
    /// Lights or triggers of a pad.
    HidOutput(HidOutput),
}

/// Why a session cannot go on. Close the connection with code 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// The host's answer is no usable `Welcome`.
    #[error("the host's answer cannot be used: {0}")]
    Welcome(#[from] DecodeError),
    /// The host has no data port for us.
    #[error("the host offers no data port")]
    NoDataPort,
}

/// The session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    out: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    Waiting,
    Welcomed(Box<Welcome>),
    Running(Box<Running>),
}

impl Session {
    /// Begins with `Hello`.
    #[must_use]
    pub fn new(config: SessionConfig) -> Self {
        let mut out = VecDeque::with_capacity(OUTPUTS);
        out.push_back(stream(|b| config.hello.encode(b)));
        Self { config, phase: Phase::Waiting, out }
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// [`SessionError`] only for the host's `Welcome`; afterwards whatever cannot be understood is dropped.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Result<(), SessionError> {
        match (&mut self.phase, input) {
            (Phase::Waiting, Input::Control(payload)) => {
                let welcome = Welcome::decode(payload)?;
                welcome.validate()?;
                if welcome.udp_port == 0 {
                    return Err(SessionError::NoDataPort);
                }
                self.out.push_back(Output::Event(Event::Welcomed { udp_port: welcome.udp_port }));
                self.phase = Phase::Welcomed(Box::new(welcome));
            }
            (Phase::Running(running), input) => running.handle(now, input, &mut self.out),
            // Before Start nothing is expected, and nothing can be done with it.
            _ => {}
        }
        Ok(())
    }

    /// The data socket is bound to `local_port` and connected: sends `Start`. Does nothing unless the host welcomed us.
    pub fn start(&mut self, now: Timestamp, local_port: u16) {
        match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Welcomed(welcome) => {
                let extensions = welcome.host_caps2.contains(HostCaps2::EXT).then(|| self.extensions());
                let start = Start { client_udp_port: local_port, extensions };
                self.out.push_back(stream(|b| start.encode(b)));
                self.phase = Phase::Running(Box::new(Running::new(now, &self.config, *welcome)));
            }
            other => self.phase = other,
        }
    }

    /// The next thing to do; see the calling rule.
    pub fn poll(&mut self, now: Timestamp) -> Output {
        loop {
            if let Some(output) = self.out.pop_front() {
                return output;
            }
            match &mut self.phase {
                Phase::Running(running) => {
                    if let Some(until) = running.advance(now, &mut self.out) {
                        return Output::Wait(until);
                    }
                }
                // The host may think for minutes (approval); the connection's own timers watch it.
                Phase::Waiting | Phase::Welcomed(_) => return Output::Wait(now + Duration::from_secs(1)),
            }
        }
    }

    /// Takes the memory of an access unit back.
    pub fn recycle(&mut self, unit: AccessUnit) {
        if let Phase::Running(running) = &mut self.phase {
            running.recycle(unit);
        }
    }

    /// The host's answer, once it came.
    #[must_use]
    pub fn welcome(&self) -> Option<&Welcome> {
        match &self.phase {
            Phase::Waiting => None,
            Phase::Welcomed(welcome) => Some(welcome),
            Phase::Running(running) => Some(running.welcome()),
        }
    }

    /// What the session measured so far; `None` before it runs.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        match &self.phase {
            Phase::Running(running) => Some(running.summary()),
            _ => None,
        }
    }

    /// The host's pointer; `None` where the host draws it, as long as there is no session with [`HostCaps::CURSOR`].
    #[must_use]
    pub fn cursor(&self) -> Option<CursorState> {
        match &self.phase {
            Phase::Running(running) if running.welcome().host_caps.contains(HostCaps::CURSOR) => Some(running.cursor()),
            _ => None,
        }
    }

    fn extensions(&self) -> ExtensionBlock {
        let mut block = ExtensionBlock::new();
        // A block of three small entries is far from its limits, and each tag occurs once.
        let pushed = [
            self.config.label.as_deref().map_or(Ok(()), |label| block.push_client_label(label)),
            block.push_reads_bitrate_reason(),
            block.push_stage_timing(),
        ];
        debug_assert!(pushed.iter().all(Result::is_ok));
        block
    }
}

/// A payload as bytes for the control stream.
fn stream(encode: impl FnOnce(&mut Vec<u8>)) -> Output {
    let mut bytes = Vec::new();
    let framed = frame_with(&mut bytes, encode);
    debug_assert!(framed.is_ok(), "no message of a client comes near 64 KiB");
    Output::Stream(bytes)
}

/// A control message as bytes for the control stream.
fn message(message: &ControlMessage) -> Output {
    stream(|b| message.encode(b))
}

/// A burst of units after a hole was filled, and what they trigger.
const OUTPUTS: usize = 64;
