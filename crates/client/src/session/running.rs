//! A session after `Start`: packets to access units, and every policy wired to the control stream.

use std::collections::VecDeque;
use std::time::Duration;

use punktfunk_core::clock::{ClockOutput, ClockSync};
use punktfunk_core::control::ControlMessage;
use punktfunk_core::datagram::{ClientDatagram, HostDatagram, Rumble};
use punktfunk_core::handshake::{Cipher, HostCaps2, MIN_SHARD_PAYLOAD, Welcome};
use punktfunk_core::input::{InputEvent, MAX_PADS, seq_is_newer};
use punktfunk_core::packet::{PacketHeader, SEQUENCE_BYTES, UserFlags};
use punktfunk_core::reassemble::{AccessUnit, Event as ReassemblyEvent, Reassembler, ReassemblerConfig};
use punktfunk_core::seal::{Direction, Opener};
use punktfunk_core::{Mode, Timestamp};

use super::cursor::{Cursor, CursorState};
use super::{Command, Event, Input, Output, SessionConfig, Unit, message};
use crate::latency::{Latency, Stage};
use crate::policy::{
    Abr, AbrWindow, Arrivals, Ask, Decision, LiveGuard, Punching, Recovery, Reports, SpeedOutcome, SpeedTest, Verdict,
};
use crate::summary::{Counts, Summary};

#[derive(Debug)]
pub(super) struct Running {
    welcome: Welcome,
    max_shard_payload: u16,
    opener: Opener,
    reassembler: Reassembler,
    clock: ClockSync,
    punching: Punching,
    recovery: Recovery,
    live: LiveGuard,
    arrivals: Arrivals,
    reports: Reports,
    abr: Option<Abr>,
    /// When automatic mode fires its own speed test.
    auto_probe_at: Option<Timestamp>,
    speed: Option<SpeedTest>,
    mode: ModeChange,
    /// The last rumble of each pad, by its number.
    rumble: [Option<u8>; MAX_PADS as usize],
    cursor: Cursor,
    latency: Latency,
    window: WindowSamples,
    counts: Counts,
}

/// What adaptive bitrate wants to know of a window. Buffers are reused.
#[derive(Debug)]
struct WindowSamples {
    ages_ns: Vec<i64>,
    /// Without the host's own time: a busy host is no full queue.
    underway_ns: Vec<i64>,
    /// The host tells its own time.
    host_tells: bool,
    decodes_ns: Vec<i64>,
    recoveries: u32,
}

#[derive(Debug, Default)]
struct ModeChange {
    wanted: Option<Mode>,
    sent_at: Option<Timestamp>,
}

impl WindowSamples {
    /// The window's one-way delay, always of the same kind: a change of kind would look like a queue.
    fn delay(&mut self) -> Option<Duration> {
        let (ages, underway) = (median(&mut self.ages_ns), median(&mut self.underway_ns));
        if self.host_tells { underway } else { ages }
    }
}

impl Running {
    pub(super) fn new(now: Timestamp, config: &SessionConfig, welcome: Welcome) -> Self {
        let aead = match &welcome.cipher {
            Cipher::Aes128Gcm => punktfunk_accel::aes128_gcm(&welcome.aes_key),
            Cipher::ChaCha20Poly1305(key) => punktfunk_accel::chacha20_poly1305(key),
        };
        let shape = ReassemblerConfig {
            max_data_per_block: welcome.max_data_per_block,
            shard_payload: welcome.shard_payload,
            max_shard_payload: config.hello.max_shard_payload,
            scheme: welcome.fec_scheme,
            fec_percent: welcome.fec_percent,
            bitrate_kbps: welcome.bitrate_kbps,
            refresh_hz: welcome.mode.refresh_hz,
        };
        let automatic = config.hello.bitrate_kbps == 0;
        let abr = automatic.then(|| Abr::new(now, welcome.bitrate_kbps, welcome.mode.refresh_hz)).flatten();
        Self {
            max_shard_payload: config.hello.max_shard_payload,
            opener: Opener::new(aead, welcome.salt, Direction::HostToClient),
            reassembler: Reassembler::new(shape, punktfunk_accel::fec(welcome.fec_scheme)),
            clock: ClockSync::new(),
            punching: Punching::new(now),
            recovery: Recovery::new(config.decoder_bridges_gaps),
            live: LiveGuard::default(),
            arrivals: Arrivals::default(),
            reports: Reports::new(now),
            auto_probe_at: (abr.is_some() && config.probe_in_automatic).then(|| now + AUTO_PROBE_AFTER),
            abr,
            speed: None,
            mode: ModeChange::default(),
            rumble: [None; MAX_PADS as usize],
            cursor: Cursor::new(),
            latency: Latency::new(),
            window: WindowSamples {
                ages_ns: Vec::with_capacity(WINDOW_SAMPLES),
                underway_ns: Vec::with_capacity(WINDOW_SAMPLES),
                host_tells: false,
                decodes_ns: Vec::with_capacity(WINDOW_SAMPLES),
                recoveries: 0,
            },
            counts: Counts::new(welcome.mode, welcome.bitrate_kbps),
            welcome,
        }
    }

    pub(super) fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    pub(super) fn cursor(&self) -> CursorState {
        self.cursor.state()
    }

    pub(super) fn recycle(&mut self, unit: AccessUnit) {
        self.reassembler.recycle(unit);
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::new(&self.counts, &self.latency, self.reassembler.stats(), &self.arrivals, &self.clock)
    }

    pub(super) fn handle(&mut self, now: Timestamp, input: Input<'_>, out: &mut VecDeque<Output>) {
        match input {
            Input::Packet(packet) => self.on_packet(now, packet),
            Input::Control(payload) => match ControlMessage::decode(payload) {
                Ok(message) => self.on_control(now, message, out),
                Err(_) => self.counts.ignored_messages += 1,
            },
            Input::Datagram(bytes) => match HostDatagram::decode(bytes) {
                Ok(HostDatagram::HostTiming(timing)) => {
                    self.window.host_tells = true;
                    let underway = self.latency.on_timing(&timing);
                    if let Some(ns) = underway {
                        sample(&mut self.window.underway_ns, ns);
                    }
                }
                Ok(HostDatagram::Audio { .. } | HostDatagram::AudioRed { .. } | HostDatagram::Pcm { .. }) => {
                    self.counts.audio_packets += 1;
                }
                Ok(HostDatagram::Rumble(rumble)) => {
                    if self.is_new(&rumble) {
                        out.push_back(Output::Event(Event::Rumble(rumble)));
                    }
                }
                Ok(HostDatagram::CursorPosition { serial, visible, grabbed, x, y }) => {
                    self.cursor.on_place(serial, visible, grabbed, x, y);
                }
                Ok(HostDatagram::HidOutput(output)) => out.push_back(Output::Event(Event::HidOutput(output))),
                Ok(_) => {}
                Err(_) => self.counts.ignored_datagrams += 1,
            },
            Input::Fed { waited, depth } => {
                self.latency.on_local(Stage::Receive, waited);
                self.live.on_queue(now, depth);
            }
            Input::Decoded { picture, took, age_ns } => {
                self.latency.on_local(Stage::Decode, took);
                if let (true, Some(age_ns)) = (picture, age_ns) {
                    self.latency.on_picture(age_ns);
                }
                sample(&mut self.window.decodes_ns, i64::try_from(took.as_nanos()).unwrap_or(i64::MAX));
                self.recovery.on_decoded(picture);
            }
            Input::Discarded => self.recovery.on_discarded(now),
            Input::ClipOffer(offer) => out.push_back(message(&ControlMessage::ClipOffer(offer.clone()))),
            Input::Command(command) => self.on_command(now, command, out),
        }
    }

    /// Whether a rumble is newer than the last of its pad (§4.5); the oldest form has no number and always is.
    fn is_new(&mut self, rumble: &Rumble) -> bool {
        let Some(timing) = rumble.timing else { return true };
        let Some(last) = self.rumble.get_mut(usize::from(rumble.pad)) else { return false };
        let new = seq_is_newer(timing.seq, *last);
        if new {
            *last = Some(timing.seq);
        }
        new
    }

    /// Does what is due. `None` if something was put into `out`, else when to ask again.
    pub(super) fn advance(&mut self, now: Timestamp, out: &mut VecDeque<Output>) -> Option<Timestamp> {
        self.units(now, out);
        self.recover(now, out);
        self.report(now, out);
        self.speed(now, out);
        self.change_mode(now, out);
        if self.punching.poll(now) {
            out.push_back(Output::Punch);
        }
        let clock = loop {
            match self.clock.poll(now) {
                ClockOutput::Probe { t1_ns } => out.push_back(message(&ControlMessage::ClockProbe { t1_ns })),
                ClockOutput::Connected(sample) => {
                    out.push_back(Output::Event(Event::ClockKnown { offset_ns: sample.map(|s| s.offset_ns) }));
                }
                ClockOutput::Adjusted(_) => {}
                ClockOutput::Wait(until) => break until,
            }
        };
        if !out.is_empty() {
            return None;
        }
        let due = [
            Some(clock),
            Some(self.punching.deadline()),
            Some(self.reports.deadline()),
            self.reassembler.next_deadline(),
            self.recovery.deadline(),
            self.speed.as_ref().map(SpeedTest::deadline),
            self.auto_probe_at,
            self.mode.wanted.and(self.mode.sent_at).map(|at| at + MODE_SPACING),
        ];
        due.into_iter().flatten().min()
    }

    fn on_packet(&mut self, now: Timestamp, packet: &mut [u8]) {
        let bytes = packet.len();
        let sequence = packet.first_chunk::<SEQUENCE_BYTES>().map_or(0, |prefix| u64::from_be_bytes(*prefix));
        let Ok(plaintext) = self.opener.open(packet) else {
            self.counts.unopened_packets += 1;
            return;
        };
        self.arrivals.on_packet(sequence, bytes);
        if let Some(speed) = &mut self.speed
            && PacketHeader::decode(plaintext).is_ok_and(|h| h.user_flags.contains(UserFlags::PROBE))
        {
            speed.on_filler(bytes);
        }
        self.reassembler.push(plaintext, now);
    }

    fn on_control(&mut self, now: Timestamp, control: ControlMessage, out: &mut VecDeque<Output>) {
        match control {
            ControlMessage::ClockEcho { t1_ns, t2_ns, t3_ns } => self.clock.on_echo(t1_ns, t2_ns, t3_ns, now),
            ControlMessage::BitrateChanged { kbps, .. } => {
                if let Some(abr) = &mut self.abr {
                    abr.on_bitrate_changed(now, kbps);
                }
                self.counts.bitrate_kbps = kbps;
                self.follow_rate();
                out.push_back(Output::Event(Event::Bitrate { kbps }));
            }
            ControlMessage::Reconfigured { accepted, mode } => {
                self.counts.mode = mode;
                self.follow_rate();
                out.push_back(Output::Event(Event::Mode { accepted, mode }));
            }
            ControlMessage::ShardPayloadChanged { shard_payload } => {
                let fits = (MIN_SHARD_PAYLOAD..=self.max_shard_payload).contains(&shard_payload);
                if fits && shard_payload.is_multiple_of(2) {
                    out.push_back(message(&ControlMessage::ShardPayloadAck { shard_payload }));
                }
            }
            ControlMessage::PipelineGap { .. } => self.reports.discard_window(),
            ControlMessage::ProbeResult { .. } => {
                if let Some(speed) = &mut self.speed {
                    speed.on_result(now, control);
                }
            }
            ControlMessage::AccessUpdate { grants, remaining_secs } => {
                out.push_back(Output::Event(Event::Access { grants, remaining_secs }));
            }
            ControlMessage::LaunchOutcome { kind, message } => {
                out.push_back(Output::Event(Event::Launch { kind, message }));
            }
            ControlMessage::ClipState { enabled, policy, reason } => {
                out.push_back(Output::Event(Event::ClipState { enabled, policy, reason }));
            }
            ControlMessage::ClipOffer(offer) => out.push_back(Output::Event(Event::ClipOffer(offer))),
            ControlMessage::CursorShape(shape) => self.cursor.on_shape(shape),
            // Pads are for clients that asked for them.
            _ => {}
        }
    }

    fn on_command(&mut self, now: Timestamp, command: Command, out: &mut VecDeque<Output>) {
        match command {
            Command::Input(event) => out.push_back(self.input(event)),
            Command::Rich(rich) => {
                let mut bytes = Vec::new();
                ClientDatagram::Rich(rich).encode(&mut bytes);
                out.push_back(Output::Datagram(bytes));
            }
            Command::SetMode(mode) => self.mode.wanted = Some(mode),
            Command::Clipboard { enabled } => {
                out.push_back(message(&ControlMessage::ClipControl { enabled, files: false }));
            }
            Command::RenderCursor { client_draws } => {
                self.cursor.set_drawing(client_draws);
                out.push_back(message(&ControlMessage::CursorRenderMode { client_draws }));
            }
            Command::Keyframe => out.push_back(message(&ControlMessage::RequestKeyframe)),
            Command::SpeedTest { target_kbps, duration_ms } => self.start_speed(now, target_kbps, duration_ms, out),
        }
    }

    /// Edges that must not be lost go over the stream where the host reads them there.
    fn input(&self, event: InputEvent) -> Output {
        let edge = matches!(event, InputEvent::Key { .. } | InputEvent::MouseButton { .. } | InputEvent::Text(_));
        if edge && self.welcome.host_caps2.contains(HostCaps2::INPUT_EDGES) {
            return message(&ControlMessage::InputEdge(event));
        }
        let mut bytes = Vec::with_capacity(punktfunk_core::input::INPUT_EVENT_BYTES);
        event.encode(&mut bytes);
        Output::Datagram(bytes)
    }

    fn units(&mut self, now: Timestamp, out: &mut VecDeque<Output>) {
        while let Some(au) = self.reassembler.next(now) {
            let verdict = self.recovery.on_unit(now, au.index, au.user_flags);
            self.counts.on_unit(&au, verdict == Verdict::Show);
            let age_ns = self.clock.best_rtt_ns().map(|_| {
                let (age_ns, underway) = self.latency.on_unit(au.pts_ns, au.last_packet_at, self.clock.offset_ns());
                sample(&mut self.window.ages_ns, age_ns);
                if let Some(ns) = underway {
                    sample(&mut self.window.underway_ns, ns);
                }
                self.live.on_unit(now, Duration::from_nanos(u64::try_from(age_ns).unwrap_or(0)));
                age_ns
            });
            match verdict {
                Verdict::Stale => self.reassembler.recycle(au),
                Verdict::Show => out.push_back(Output::Unit(Unit { au, show: true, age_ns })),
                Verdict::Freeze => out.push_back(Output::Unit(Unit { au, show: false, age_ns })),
            }
        }
        while let Some(ReassemblyEvent::Lost { last, .. }) = self.reassembler.poll_event() {
            self.recovery.on_lost(now, last);
        }
    }

    fn recover(&mut self, now: Timestamp, out: &mut VecDeque<Output>) {
        if self.live.poll(now) {
            self.counts.jumps_to_live += 1;
            out.push_back(Output::Event(Event::JumpToLive));
            self.recovery.on_discarded(now);
        }
        while let Some(ask) = self.recovery.poll(now) {
            self.window.recoveries += 1;
            out.push_back(message(&match ask {
                Ask::Keyframe => {
                    self.counts.keyframe_requests += 1;
                    ControlMessage::RequestKeyframe
                }
                Ask::Invalidate { first, last } => {
                    self.counts.invalidation_requests += 1;
                    ControlMessage::RfiRequest { first_frame: first, last_frame: last }
                }
            }));
        }
    }

    fn report(&mut self, now: Timestamp, out: &mut VecDeque<Output>) {
        if let Some(first) = self.reports.first_delivery(&self.arrivals) {
            out.push_back(message(&first));
        }
        if self.speed.is_some() {
            // A burst beyond what the path carries says nothing about the session.
            self.reports.discard_window();
        }
        let Some(window) = self.reports.poll(now, &self.arrivals) else {
            return;
        };
        self.counts.on_window(window.loss_ppm);
        out.extend(window.messages(&self.arrivals).iter().map(message));
        let figures = AbrWindow {
            loss_ppm: window.loss_ppm,
            delay: self.window.delay(),
            recoveries: std::mem::take(&mut self.window.recoveries),
            decode: median(&mut self.window.decodes_ns),
        };
        if let Some(abr) = &mut self.abr
            && let Decision::Set(kbps) = abr.on_window(now, &figures)
        {
            self.counts.bitrate_requests += 1;
            out.push_back(message(&ControlMessage::SetBitrate { kbps }));
        }
    }

    fn speed(&mut self, now: Timestamp, out: &mut VecDeque<Output>) {
        if self.auto_probe_at.is_some_and(|at| now >= at) {
            self.auto_probe_at = None;
            self.start_speed(now, AUTO_PROBE_KBPS, AUTO_PROBE_MS, out);
        }
        let Some(outcome) = self.speed.as_ref().and_then(|speed| speed.poll(now)) else { return };
        self.speed = None;
        self.reports.discard_window();
        if let (Some(abr), SpeedOutcome::Measured { delivered_kbps, .. }) = (&mut self.abr, outcome) {
            abr.on_speed(delivered_kbps);
        }
        out.push_back(Output::Event(Event::Speed(outcome)));
    }

    fn start_speed(&mut self, now: Timestamp, target_kbps: u32, duration_ms: u32, out: &mut VecDeque<Output>) {
        if self.speed.is_none() {
            let (speed, request) = SpeedTest::start(now, target_kbps, duration_ms);
            self.speed = Some(speed);
            out.push_back(message(&request));
        }
    }

    fn change_mode(&mut self, now: Timestamp, out: &mut VecDeque<Output>) {
        if self.mode.sent_at.is_some_and(|at| now.since(at) < MODE_SPACING) {
            return;
        }
        if let Some(mode) = self.mode.wanted.take() {
            self.mode.sent_at = Some(now);
            out.push_back(message(&ControlMessage::Reconfigure { mode }));
        }
    }

    fn follow_rate(&mut self) {
        // A frame's size limit follows the larger budget: frames of the old rate may still be in flight.
        let kbps = match (self.welcome.bitrate_kbps, self.counts.bitrate_kbps) {
            (0, _) | (_, 0) => 0,
            (a, b) => a.max(b),
        };
        self.reassembler.set_rate(kbps, self.counts.mode.refresh_hz);
    }
}

fn sample(samples: &mut Vec<i64>, ns: i64) {
    if samples.len() < WINDOW_SAMPLES {
        samples.push(ns);
    }
}

/// The median, and an empty buffer for the next window. Below zero reads as zero.
fn median(samples: &mut Vec<i64>) -> Option<Duration> {
    if samples.is_empty() {
        return None;
    }
    let middle = samples.len() / 2;
    let (_, median, _) = samples.select_nth_unstable(middle);
    let median = Duration::from_nanos(u64::try_from(*median).unwrap_or(0));
    samples.clear();
    Some(median)
}

/// 750 ms at 240 Hz is 180.
const WINDOW_SAMPLES: usize = 256;
/// §3.9.2: clients limit themselves to one mode change per second.
const MODE_SPACING: Duration = Duration::from_secs(1);
/// §3.9.2: what existing clients do.
const AUTO_PROBE_AFTER: Duration = Duration::from_secs(2);
/// §3.9.2.
const AUTO_PROBE_KBPS: u32 = 2_000_000;
/// §3.9.2.
const AUTO_PROBE_MS: u32 = 800;
