//! A host core and a client core at the two ends of an emulated network, in virtual time.
//!
//! ```text
//!            packetizer ─► pacer ══ down: Link ══► client session ─► access units, compared byte for byte
//!  Host                                                 │                                        Client
//!            FEC controller, keyframe gate ◄── control stream (reliable, delayed) ──┘
//! ```
//!
//! Nothing here knows a socket, a thread or a real clock: hours of streaming run in seconds, and the same seed gives
//! the same run. The client is `punktfunk-client`'s own session, handshake, clock rounds and reports included.

mod host;

use std::collections::VecDeque;
use std::time::Duration;

use punktfunk_client::{Event, Input, Output, Session, SessionConfig};
use punktfunk_core::framing::FrameReader;
use punktfunk_core::packet::UserFlags;
use punktfunk_core::rate::FecController;
use punktfunk_core::{Codec, CodecSet, Mode, Timestamp};

use crate::netem::{Link, LinkConfig, LinkStats, Loss};
use host::Host;
pub use host::Spending;

/// What is streamed over what.
#[derive(Clone, Debug)]
pub struct PairConfig {
    /// Frames per second.
    pub fps: u32,
    /// Wire budget in kbit/s, recovery and headers included; frames are within ± 30 % of the picture's share.
    pub kbps: u32,
    /// Shard size.
    pub shard_payload: u16,
    /// How strongly frames are protected.
    pub fec: FecController,
    /// Host → client, video.
    pub down: LinkConfig,
    /// One-way delay of the control stream, both ways.
    pub control_delay: Duration,
    /// Seed of frame sizes.
    pub seed: u64,
}

impl Default for PairConfig {
    /// 60 fps, 20 Mbit/s, adaptive FEC, 5 ms each way, nothing lost.
    fn default() -> Self {
        Self {
            fps: 60,
            kbps: 20_000,
            shard_payload: 1408,
            fec: FecController::adaptive(),
            down: LinkConfig { delay: Duration::from_millis(5), ..LinkConfig::default() },
            control_delay: Duration::from_millis(5),
            seed: 1,
        }
    }
}

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Access units that the host packetized.
    pub frames: u64,
    /// Handed to the decoder.
    pub delivered: u64,
    /// Frames handed over whose bytes differ from the host's: must be 0.
    pub wrong: u64,
    /// Frames handed over not later than the one before: must be 0.
    pub out_of_order: u64,
    /// Frames that FEC completed.
    pub recovered: u64,
    /// Keyframes that the host sent because it was asked to.
    pub healed_by_keyframe: u64,
    /// Worst time from a frame's first packet leaving to its delivery.
    pub worst_delay: Duration,
    /// What recovery cost.
    pub spending: Spending,
    /// What the network did.
    pub network: LinkStats,
    /// Loss that the controller sizes for at the end, in ppm.
    pub design_ppm: u32,
}

impl Outcome {
    /// Share of frames that did not arrive.
    #[must_use]
    pub fn residual(&self) -> f64 {
        (self.frames - self.delivered) as f64 / self.frames.max(1) as f64
    }

    /// What happened after `earlier`, an outcome of the same run.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            frames: self.frames - earlier.frames,
            delivered: self.delivered - earlier.delivered,
            wrong: self.wrong - earlier.wrong,
            out_of_order: self.out_of_order - earlier.out_of_order,
            recovered: self.recovered - earlier.recovered,
            healed_by_keyframe: self.healed_by_keyframe - earlier.healed_by_keyframe,
            spending: self.spending.since(&earlier.spending),
            ..self.clone()
        }
    }
}

/// The two ends and what lies between.
pub struct Pair {
    now: Timestamp,
    host: Host,
    client: Session,
    down: Link,
    to_host: Stream,
    to_client: Stream,
    client_wait: Timestamp,
    next_expected: u32,
    outcome: Outcome,
    expected: Vec<u8>,
}

impl Pair {
    /// Both ends before the handshake.
    #[must_use]
    pub fn new(config: &PairConfig) -> Self {
        let mode = Mode { width: 1280, height: 720, refresh_hz: config.fps };
        let mut session = SessionConfig::new(mode, CodecSet::only(Codec::H264), None);
        session.hello.bitrate_kbps = config.kbps;
        // The session clock is a wall clock in life: somewhere in 2026, and not zero.
        let now = Timestamp(1_790_000_000_000_000_000);
        Self {
            now,
            host: Host::new(config, mode, now),
            client: Session::new(session),
            down: Link::new(config.down.clone()),
            to_host: Stream::new(config.control_delay),
            to_client: Stream::new(config.control_delay),
            client_wait: now,
            next_expected: 0,
            outcome: Outcome::default(),
            expected: Vec::new(),
        }
    }

    /// Streams `frames` more frames and returns the totals so far, with nothing left on the way.
    pub fn run(&mut self, frames: u64) -> Outcome {
        let stop_after = self.host.frames() + frames;
        self.host.stop_after(stop_after);
        let mut quiet_from = None;
        loop {
            self.turn();
            let video = [self.host.due(self.now), self.down.next_at()].into_iter().flatten().min();
            if video.is_none() && self.host.frames() >= stop_after {
                // Nothing on the way: give the client its hold and expiry times, then stop.
                let from = *quiet_from.get_or_insert(self.now);
                if self.now.since(from) > LINGER {
                    break;
                }
            }
            let control = [self.to_host.next_at(), self.to_client.next_at(), Some(self.client_wait)];
            let wake = control.into_iter().chain([video]).flatten().min().unwrap_or(self.client_wait);
            self.now = wake.max(self.now + Duration::from_nanos(1));
        }
        let mut outcome = self.outcome.clone();
        outcome.frames = self.host.frames();
        outcome.spending = self.host.spending();
        outcome.healed_by_keyframe = self.host.keyframes_on_request();
        outcome.design_ppm = self.host.design_ppm();
        outcome.network = *self.down.stats();
        outcome
    }

    /// Changes the loss of the video path.
    pub fn set_loss(&mut self, loss: Loss) {
        self.host.set_true_loss(loss);
        self.down.set_loss(loss);
    }

    /// Everything that is due now.
    fn turn(&mut self) {
        let now = self.now;
        while let Some(payload) = self.to_host.receive(now) {
            self.host.on_control(now, &payload, &mut self.to_client);
        }
        self.host.advance(now, &mut self.down);
        while let Some(payload) = self.to_client.receive(now) {
            self.client.handle(now, Input::Control(&payload)).expect("our own host's welcome");
        }
        while let Some(mut packet) = self.down.receive(now) {
            self.client.handle(now, Input::Packet(&mut packet)).expect("running");
            self.down.recycle(packet);
            // As a driver does: units leave as soon as they are whole.
            self.drain_client();
        }
        self.drain_client();
    }

    fn drain_client(&mut self) {
        let now = self.now;
        loop {
            match self.client.poll(now) {
                Output::Stream(bytes) => self.to_host.send(now, &bytes),
                Output::Unit(unit) => {
                    self.check(&unit.au);
                    let (took, age_ns) = (Duration::from_micros(1), unit.age_at(now));
                    self.client.recycle(unit.au);
                    let decoded = Input::Decoded { picture: true, took, age_ns };
                    self.client.handle(now, decoded).expect("running");
                }
                Output::Event(Event::Welcomed { .. }) => self.client.start(now, 5000),
                Output::Event(_) | Output::Punch | Output::Datagram(_) => {}
                Output::Wait(until) => {
                    // A driver would spin on a time that has passed.
                    assert!(until > now, "the client waits for {until:?} at {now:?}");
                    self.client_wait = until;
                    return;
                }
            }
        }
    }

    fn check(&mut self, au: &punktfunk_core::reassemble::AccessUnit) {
        let o = &mut self.outcome;
        o.delivered += 1;
        o.recovered += u64::from(au.recovered_shards > 0);
        o.out_of_order += u64::from(au.index < self.next_expected);
        self.next_expected = au.index + 1;
        self.host.access_unit(au.index, &mut self.expected);
        let flags = au.user_flags.contains(UserFlags::PICTURE);
        o.wrong += u64::from(au.data[..] != self.expected[..] || !flags);
        o.worst_delay = o.worst_delay.max(self.now.since(Timestamp(au.pts_ns)));
    }
}

/// How long the client is given after the last packet: its longest wait is the 120 ms of an incomplete frame.
const LINGER: Duration = Duration::from_millis(200);

/// One direction of the control stream: reliable, in order, delayed; hands out payloads.
pub(crate) struct Stream {
    delay: Duration,
    reader: FrameReader,
    flying: VecDeque<(Timestamp, Vec<u8>)>,
}

impl Stream {
    fn new(delay: Duration) -> Self {
        Self { delay, reader: FrameReader::new(), flying: VecDeque::new() }
    }

    /// Sends framed bytes.
    pub(crate) fn send(&mut self, now: Timestamp, bytes: &[u8]) {
        self.reader.push(bytes);
        while let Some(payload) = self.reader.next() {
            self.flying.push_back((now + self.delay, payload.to_vec()));
        }
    }

    fn next_at(&self) -> Option<Timestamp> {
        self.flying.front().map(|(at, _)| *at)
    }

    fn receive(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.next_at()? > now {
            return None;
        }
        self.flying.pop_front().map(|(_, payload)| payload)
    }
}
