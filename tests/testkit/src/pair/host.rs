//! The host's end of a [`super::Pair`]: the core pieces of a native host, driven by hand.

use std::time::Duration;

use punktfunk_core::control::ControlMessage;
use punktfunk_core::fec::{FecScheme, RecoveryLimits, RecoverySizer, Strength};
use punktfunk_core::framing::frame_with;
use punktfunk_core::handshake::{Hello, Start, Welcome};
use punktfunk_core::pace::Pacer;
use punktfunk_core::packet::{PacketBatch, UserFlags, max_frame_bytes};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::rate::{FecController, split_bitrate};
use punktfunk_core::recover::{Decision, KeyframeGate};
use punktfunk_core::seal::{Direction, Sealer};
use punktfunk_core::{Codec, Mode, Timestamp};

use super::{PairConfig, Stream};
use crate::netem::{Link, Loss, Rng};

/// What recovery cost, in packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    /// Data packets.
    pub data: u64,
    /// Recovery packets.
    pub recovery: u64,
    /// The least recovery packets that leave at most one frame in 10 000 incomplete, had each loss come on its own:
    /// the binomial bound for each frame's k at the path's true loss rate.
    pub bound: u64,
}

impl Spending {
    /// Recovery packets per data packet.
    #[must_use]
    pub fn overhead(&self) -> f64 {
        self.recovery as f64 / self.data.max(1) as f64
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            data: self.data - earlier.data,
            recovery: self.recovery - earlier.recovery,
            bound: self.bound - earlier.bound,
        }
    }
}

pub(super) struct Host {
    welcome: Welcome,
    phase: Phase,
    packetizer: Packetizer,
    pacer: Pacer,
    fec: FecController,
    gate: KeyframeGate,
    batch: PacketBatch,
    /// Packets of `batch` that left.
    sent: usize,
    next_frame_at: Timestamp,
    interval: Duration,
    /// The wire budget; what recovery takes, the picture lacks.
    kbps: u32,
    /// Length of every access unit so far, by number.
    lengths: Vec<u32>,
    frames: u64,
    stop_after: u64,
    seed: u64,
    /// An IDR or an anchor is owed.
    owed: Option<UserFlags>,
    keyframes_on_request: u64,
    packets_at_report: u64,
    packets: u64,
    spending: Spending,
    bound: RecoverySizer,
    true_ppm: u32,
    au: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Hello,
    Start,
    Streaming,
}

impl Host {
    pub(super) fn new(config: &PairConfig, mode: Mode, now: Timestamp) -> Self {
        let mut welcome = Welcome::new(mode, Codec::H264, 5001, [0x42; 16], [9, 8, 7, 6]);
        welcome.shard_payload = config.shard_payload;
        welcome.bitrate_kbps = config.kbps;
        let aead = punktfunk_accel::aes128_gcm(&welcome.aes_key);
        let sealer = Sealer::new(aead, welcome.salt, Direction::HostToClient);
        let geometry = PacketizerConfig {
            shard_payload: welcome.shard_payload,
            max_data_per_block: welcome.max_data_per_block,
            scheme: FecScheme::Gf16,
            welcome_fec_percent: welcome.fec_percent,
            max_frame_bytes: max_frame_bytes(config.kbps, config.fps),
        };
        let fec = punktfunk_accel::fec(FecScheme::Gf16);
        let limits = RecoveryLimits {
            max_data_per_block: welcome.max_data_per_block,
            welcome_fec_percent: welcome.fec_percent,
            scheme: FecScheme::Gf16,
        };
        let mut host = Self {
            packetizer: Packetizer::new(geometry, sealer, fec).expect("a configuration of the protocol"),
            welcome,
            phase: Phase::Hello,
            pacer: Pacer::new(),
            fec: config.fec.clone(),
            gate: KeyframeGate::new(false),
            batch: PacketBatch::new(),
            sent: 0,
            next_frame_at: now,
            interval: Duration::from_secs(1) / config.fps,
            kbps: config.kbps,
            lengths: Vec::new(),
            frames: 0,
            stop_after: 0,
            seed: config.seed,
            owed: Some(UserFlags::KEYFRAME),
            keyframes_on_request: 0,
            packets_at_report: 0,
            packets: 0,
            spending: Spending::default(),
            bound: RecoverySizer::new(limits),
            true_ppm: 0,
            au: Vec::new(),
        };
        host.set_true_loss(config.down.loss);
        host
    }

    pub(super) fn set_true_loss(&mut self, loss: Loss) {
        let rate = match loss {
            Loss::None => 0.0,
            Loss::Random(rate) | Loss::Burst { rate, .. } => rate,
        };
        self.true_ppm = (rate * 1e6) as u32;
    }

    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn stop_after(&mut self, frames: u64) {
        self.stop_after = frames;
    }

    pub(super) const fn spending(&self) -> Spending {
        self.spending
    }

    pub(super) const fn keyframes_on_request(&self) -> u64 {
        self.keyframes_on_request
    }

    pub(super) const fn design_ppm(&self) -> u32 {
        self.fec.design_ppm()
    }

    /// The bytes of access unit `index`, which was packetized, written over `out`.
    pub(super) fn access_unit(&self, index: u32, out: &mut Vec<u8>) {
        let mut rng = Rng::new(self.seed ^ (u64::from(index) << 20));
        let len = self.lengths.get(index as usize).map_or(0, |&len| len as usize);
        out.clear();
        while out.len() < len {
            out.extend_from_slice(&rng.next_u64().to_le_bytes());
        }
        out.truncate(len);
    }

    /// How long the next access unit is: the picture's share of the wire budget, ± 30 %.
    fn next_length(&mut self, strength: Strength) -> u32 {
        let wire_bps = u64::from(self.kbps) * 1000;
        let of_all = (wire_bps as f64 / 8.0 * self.interval.as_secs_f64()) as usize;
        let overhead = self.packetizer.overhead_percent(strength, of_all);
        let video_bps = split_bitrate(wire_bps, 0, self.welcome.shard_payload, overhead);
        let mean = video_bps as f64 / 8.0 * self.interval.as_secs_f64();
        let mut rng = Rng::new(!self.seed ^ self.lengths.len() as u64);
        (mean * (0.7 + 0.6 * rng.unit())) as u32
    }

    pub(super) fn on_control(&mut self, now: Timestamp, payload: &[u8], reply: &mut Stream) {
        match self.phase {
            Phase::Hello => {
                Hello::decode(payload).expect("our own client's hello");
                self.reply(now, reply, |welcome, b| welcome.encode(b));
                self.phase = Phase::Start;
            }
            Phase::Start => {
                Start::decode(payload).expect("our own client's start");
                self.phase = Phase::Streaming;
                self.next_frame_at = now;
            }
            Phase::Streaming => match ControlMessage::decode(payload).expect("our own client's message") {
                ControlMessage::ClockProbe { t1_ns } => {
                    let echo = ControlMessage::ClockEcho { t1_ns, t2_ns: now.as_nanos(), t3_ns: now.as_nanos() };
                    self.reply(now, reply, |_, b| echo.encode(b));
                }
                ControlMessage::LossReport { loss_ppm } => {
                    let sent = self.packets - self.packets_at_report;
                    self.packets_at_report = self.packets;
                    self.fec.on_report(loss_ppm, sent as u32);
                    self.pacer.on_loss(loss_ppm);
                }
                ControlMessage::RequestKeyframe => {
                    self.fec.on_frame_lost();
                    let decision = self.gate.on_keyframe_request(now);
                    self.decide(decision);
                }
                ControlMessage::RfiRequest { first_frame, last_frame } => {
                    self.fec.on_frame_lost();
                    let decision = self.gate.on_rfi(first_frame, last_frame, now, true);
                    self.decide(decision);
                }
                _ => {}
            },
        }
    }

    /// When there is something to send.
    pub(super) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.phase != Phase::Streaming {
            return None;
        }
        if self.sent < self.batch.len() {
            return Some(self.pacer.next(self.sent).not_before);
        }
        (self.frames < self.stop_after).then(|| self.next_frame_at.max(now))
    }

    /// Sends what may leave by now.
    pub(super) fn advance(&mut self, now: Timestamp, link: &mut Link) {
        while self.due(now).is_some_and(|at| at <= now) {
            if self.sent == self.batch.len() {
                self.encode(now);
                continue;
            }
            let release = self.pacer.next(self.sent);
            for packet in self.sent..self.sent + release.count {
                link.send(now, self.batch.packet(packet));
            }
            self.sent += release.count;
        }
    }

    fn encode(&mut self, now: Timestamp) {
        let mut au = std::mem::take(&mut self.au);
        let index = self.packetizer.next_video_index();
        let strength = self.fec.strength();
        let len = self.next_length(strength);
        self.lengths.push(len);
        self.access_unit(index, &mut au);
        if let Some(decision) = self.gate.poll(now) {
            self.decide(decision);
        }
        let extra = self.owed.take();
        let user_flags = UserFlags::PICTURE | extra.unwrap_or_default();
        let meta = FrameMeta { pts_ns: now.as_nanos(), user_flags, strength, probe: false };
        self.packetizer.packetize(&au, &meta, &mut self.batch).expect("frames are small");
        match extra {
            Some(UserFlags::KEYFRAME) => {
                self.gate.on_keyframe_sent(now);
                self.keyframes_on_request += u64::from(index > 0);
            }
            Some(_) => self.gate.on_rfi_answered(now),
            None => {}
        }
        let k = au.len().div_ceil(self.welcome.shard_payload.into()).max(1);
        self.spending.data += k as u64;
        self.spending.recovery += (self.batch.len() - k) as u64;
        self.spending.bound += self.bound.recovery_shards(Strength::Loss { ppm: self.true_ppm }, k) as u64;
        self.packets += self.batch.len() as u64;
        let bits = u64::from(self.kbps) * 1000;
        self.pacer.plan(now, self.batch.len(), self.batch.packet_bytes(), bits, self.interval);
        self.sent = 0;
        self.frames += 1;
        self.next_frame_at = self.next_frame_at.max(now) + self.interval;
        self.au = au;
    }

    fn decide(&mut self, decision: Decision) {
        match decision {
            Decision::Keyframe => self.owed = Some(UserFlags::KEYFRAME),
            Decision::Invalidate { .. } if self.owed != Some(UserFlags::KEYFRAME) => {
                self.owed = Some(UserFlags::RECOVERY_ANCHOR);
            }
            _ => {}
        }
    }

    fn reply(&self, now: Timestamp, stream: &mut Stream, encode: impl FnOnce(&Welcome, &mut Vec<u8>)) {
        let mut bytes = Vec::new();
        frame_with(&mut bytes, |b| encode(&self.welcome, b)).expect("short");
        stream.send(now, &bytes);
    }
}
