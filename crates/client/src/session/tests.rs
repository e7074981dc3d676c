//! Whole sessions in virtual time: a host made of the core's own packetizer, and a path between them that delays and
//! loses what the test says.

use std::collections::BTreeMap;

use super::*;
use punktfunk_core::clock;
use punktfunk_core::datagram::{HostDatagram, HostTiming};
use punktfunk_core::fec::Strength;
use punktfunk_core::framing::FrameReader;
use punktfunk_core::handshake::{Hello, HostCaps2};
use punktfunk_core::input::InputEvent;
use punktfunk_core::packet::{PacketBatch, UserFlags, max_frame_bytes};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::seal::{Direction, Sealer, scalar};
use punktfunk_core::{Codec, CodecSet};

use crate::latency::Stage;

const MS: u64 = 1_000_000;
const MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
const KEY: UserFlags = UserFlags(UserFlags::PICTURE.0 | UserFlags::KEYFRAME.0);
/// Host clock minus client clock.
const OFFSET: u64 = 5_000 * MS;

/// Both ends and everything underway. One tick is a millisecond; the path takes 4 ms each way.
struct World {
    session: Session,
    now: u64,
    packetizer: Packetizer,
    batch: PacketBatch,
    to_client: BTreeMap<(u64, u64), Arriving>,
    arrivals: u64,
    reader: FrameReader,
    /// Control messages the host read, with the time.
    said: Vec<(u64, ControlMessage)>,
    datagrams: Vec<Vec<u8>>,
    punches: Vec<u64>,
    units: Vec<(u64, u32, bool, Vec<u8>)>,
    events: Vec<Event>,
    echo: bool,
    /// What the decoder needs for a unit; `None`: there is none. Every fifth unit gives it no picture.
    decodes_in: Option<Duration>,
}

enum Arriving {
    Control(Vec<u8>),
    Datagram(Vec<u8>),
    Packet(Vec<u8>),
}

fn welcome() -> Welcome {
    let mut welcome = Welcome::new(MODE, Codec::H264, 50_000, [7; 16], [0xa1, 2, 3, 4]);
    welcome.bitrate_kbps = 20_000;
    welcome.host_caps2 = HostCaps2::EXT;
    welcome
}

fn config(bitrate_kbps: u32) -> SessionConfig {
    let mut config = SessionConfig::new(MODE, CodecSet::only(Codec::H264), None);
    config.hello.bitrate_kbps = bitrate_kbps;
    config.label = Some("test".to_owned());
    config
}

impl World {
    /// Past `Start`, before anything else happened.
    fn new(config: SessionConfig, welcome: &Welcome) -> Self {
        let mut session = Session::new(config);
        let now = 1_000_000 * MS;
        let Output::Stream(hello) = session.poll(Timestamp(now)) else { panic!("Hello comes first") };
        let mut reader = FrameReader::new();
        reader.push(&hello);
        assert_eq!(Hello::decode(reader.next().unwrap()).unwrap().mode, MODE);
        assert!(matches!(session.poll(Timestamp(now)), Output::Wait(_)));
        let mut bytes = Vec::new();
        welcome.encode(&mut bytes);
        session.handle(Timestamp(now), Input::Control(&bytes)).unwrap();
        assert!(matches!(session.poll(Timestamp(now)), Output::Event(Event::Welcomed { udp_port: 50_000 })));
        session.start(Timestamp(now), 40_000);
        let Output::Stream(start) = session.poll(Timestamp(now)) else { panic!("Start comes next") };
        reader.push(&start);
        let start = Start::decode(reader.next().unwrap()).unwrap();
        assert_eq!(start.client_udp_port, 40_000);
        let extensions = start.extensions.unwrap();
        assert!(extensions.stage_timing() && extensions.reads_bitrate_reason());
        assert_eq!(extensions.client_label(), Some("test"));

        let shape = PacketizerConfig {
            shard_payload: welcome.shard_payload,
            max_data_per_block: welcome.max_data_per_block,
            scheme: welcome.fec_scheme,
            welcome_fec_percent: welcome.fec_percent,
            max_frame_bytes: max_frame_bytes(welcome.bitrate_kbps, 60),
        };
        let aead = Box::new(scalar::Aes128Gcm::new(&welcome.aes_key));
        let sealer = Sealer::new(aead, welcome.salt, Direction::HostToClient);
        let packetizer = Packetizer::new(shape, sealer, punktfunk_accel::fec(welcome.fec_scheme)).unwrap();
        Self {
            session,
            now,
            packetizer,
            batch: PacketBatch::default(),
            to_client: BTreeMap::new(),
            arrivals: 0,
            reader,
            said: Vec::new(),
            datagrams: Vec::new(),
            punches: Vec::new(),
            units: Vec::new(),
            events: Vec::new(),
            echo: true,
            decodes_in: None,
        }
    }

    /// After the clock exchange.
    fn running(bitrate_kbps: u32) -> Self {
        let mut world = Self::new(config(bitrate_kbps), &welcome());
        world.run(100);
        world
    }

    fn host_now(&self) -> u64 {
        self.now + OFFSET
    }

    fn deliver(&mut self, arriving: Arriving) {
        self.arrivals += 1;
        self.to_client.insert((self.now + 4 * MS, self.arrivals), arriving);
    }

    fn say(&mut self, message: &ControlMessage) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.deliver(Arriving::Control(bytes));
    }

    /// Sends an access unit, but for the packets that `lose` picks.
    fn send(&mut self, au: &[u8], flags: UserFlags, lose: impl Fn(usize) -> bool) {
        let meta =
            FrameMeta { pts_ns: self.host_now(), user_flags: flags, strength: Strength::Percent(20), probe: false };
        self.packetize(au, &meta, lose);
    }

    fn packetize(&mut self, au: &[u8], meta: &FrameMeta, lose: impl Fn(usize) -> bool) {
        self.packetizer.packetize(au, meta, &mut self.batch).unwrap();
        let kept: Vec<_> = self.batch.iter().enumerate().filter(|(i, _)| !lose(*i)).map(|(_, p)| p.to_vec()).collect();
        kept.into_iter().for_each(|packet| self.deliver(Arriving::Packet(packet)));
    }

    fn tell(&mut self, pts_ns: u64, host_us: u32) {
        let timing = HostTiming { pts_ns, host_us, stages: None, applied_phase_ns: None, ours: None };
        let mut bytes = Vec::new();
        HostDatagram::HostTiming(timing).encode(&mut bytes);
        self.deliver(Arriving::Datagram(bytes));
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.drain();
            self.now += MS;
            while let Some(entry) = self.to_client.first_entry()
                && entry.key().0 <= self.now
            {
                let now = Timestamp(self.now);
                match entry.remove() {
                    Arriving::Control(bytes) => self.session.handle(now, Input::Control(&bytes)).unwrap(),
                    Arriving::Datagram(bytes) => self.session.handle(now, Input::Datagram(&bytes)).unwrap(),
                    Arriving::Packet(mut bytes) => self.session.handle(now, Input::Packet(&mut bytes)).unwrap(),
                }
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll(Timestamp(self.now)) {
                Output::Wait(until) => {
                    assert!(until.0 > self.now, "a deadline in the past would spin");
                    return;
                }
                Output::Stream(bytes) => self.host_reads(&bytes),
                Output::Datagram(bytes) => self.datagrams.push(bytes),
                Output::Punch => self.punches.push(self.now),
                Output::Unit(unit) => {
                    self.units.push((self.now, unit.au.index, unit.show, unit.au.data.to_vec()));
                    let (now, picture) = (Timestamp(self.now), unit.au.index % 5 != 4);
                    let decoded = self.decodes_in.map(|took| (took, unit.age_at(now + took)));
                    self.session.recycle(unit.au);
                    if let Some((took, age_ns)) = decoded {
                        self.session.handle(now, Input::Decoded { picture, took, age_ns }).unwrap();
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn host_reads(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
        let mut echoes = Vec::new();
        while let Some(payload) = self.reader.next() {
            let message = ControlMessage::decode(payload).expect("clients say what hosts understand");
            if let (ControlMessage::ClockProbe { t1_ns }, true) = (&message, self.echo) {
                let at = Timestamp(self.now + 4 * MS + OFFSET);
                echoes.push(clock::echo(*t1_ns, at, at));
            }
            self.said.push((self.now, message));
        }
        for echo in echoes {
            self.now += 4 * MS;
            self.say(&echo);
            self.now -= 4 * MS;
        }
    }

    fn asked(&self, what: impl Fn(&ControlMessage) -> bool) -> Vec<u64> {
        self.said.iter().filter(|(_, m)| what(m)).map(|(at, _)| *at).collect()
    }

    /// 60 Hz for a while, every unit of `bytes`, losing what `lose(unit, packet)` says.
    fn stream(&mut self, units: usize, bytes: usize, lose: impl Fn(usize, usize) -> bool) {
        for unit in 0..units {
            let au = vec![unit as u8; bytes];
            self.send(&au, UserFlags::PICTURE, |packet| lose(unit, packet));
            self.run(16);
        }
    }
}

fn is_keyframe_request(m: &ControlMessage) -> bool {
    *m == ControlMessage::RequestKeyframe
}

#[test]
fn the_clock_is_known_after_eight_rounds_and_punching_begins_at_once() {
    let world = World::running(20_000);
    assert_eq!(world.asked(|m| matches!(m, ControlMessage::ClockProbe { .. })).len(), 8);
    let offset_ns = Some(i64::try_from(OFFSET).unwrap());
    assert!(world.events.contains(&Event::ClockKnown { offset_ns }));
    assert_eq!(world.punches.first(), Some(&(1_000_000 * MS)), "a host waits only 2.5 s for the first");
}

#[test]
fn a_host_that_answers_no_clock_probe_costs_nothing_but_the_latency() {
    let mut world = World::new(config(20_000), &welcome());
    world.echo = false;
    world.decodes_in = Some(Duration::from_millis(2));
    world.send(&[1; 5000], KEY, |_| false);
    world.run(2100);
    assert!(world.events.contains(&Event::ClockKnown { offset_ns: None }));
    let summary = world.session.summary().unwrap();
    assert_eq!((summary.frames_received, summary.stage(Stage::Total), summary.stage(Stage::Decoded)), (1, None, None));
    assert_eq!(summary.clock, None);
}

#[test]
fn units_arrive_whole_in_order_and_their_time_is_accounted_for() {
    let mut world = World::running(20_000);
    for index in 0..30_u32 {
        let au = vec![index as u8; 20_000];
        world.send(&au, if index == 0 { KEY } else { UserFlags::PICTURE }, |packet| packet == 3);
        let pts = world.host_now();
        world.tell(pts, 1000);
        world.run(16);
    }
    assert_eq!(world.units.len(), 30);
    for (i, (_, index, show, data)) in world.units.iter().enumerate() {
        assert_eq!((*index as usize, *show), (i, true));
        assert!(data.len() == 20_000 && data.iter().all(|b| *b == i as u8));
    }
    let summary = world.session.summary().unwrap();
    assert_eq!((summary.frames_lost, summary.frames_recovered_by_fec, summary.keyframes), (0, 30, 1));
    assert_eq!(summary.packets_lost, 30);
    let total = summary.stage(Stage::Total).unwrap();
    assert!((3_990..=5_010).contains(&total.p50_us), "{total:?}");
    let network = summary.stage(Stage::Network).unwrap();
    assert!((2_990..=4_010).contains(&network.p50_us), "{network:?}");
    assert!(world.asked(is_keyframe_request).is_empty());
}

#[test]
fn the_whole_way_ends_where_the_decoder_gives_the_picture_back() {
    let mut world = World::running(20_000);
    world.decodes_in = Some(Duration::from_millis(2));
    world.stream(30, 3000, |_, _| false);
    let summary = world.session.summary().unwrap();
    let of = |stage| summary.stage(stage).unwrap();
    let (latency, decode, decoded) = (of(Stage::Total), of(Stage::Decode), of(Stage::Decoded));
    assert_eq!((latency.count, decode.count, decoded.count), (30, 30, 24), "every fifth gave no picture");
    // All of them took as long, and the histogram keeps three digits.
    for (whole, arrived) in
        [(decoded.p50_us, latency.p50_us), (decoded.p90_us, latency.p90_us), (decoded.p99_us, latency.p99_us)]
    {
        assert!((1_990..=2_010).contains(&(whole - arrived)), "{latency:?} {decoded:?}");
    }
}

#[test]
fn a_lost_unit_is_asked_for_by_its_number_and_pictures_freeze_until_an_anchor() {
    let mut world = World::running(20_000);
    world.send(&[0; 3000], KEY, |_| false);
    world.run(16);
    world.stream(3, 3000, |unit, _| unit == 1);
    let wanted = ControlMessage::RfiRequest { first_frame: 2, last_frame: 2 };
    assert_eq!(world.asked(|m| *m == wanted).len(), 1);
    assert!(world.asked(is_keyframe_request).is_empty(), "the invalidation covers it");
    world.send(&[9; 3000], UserFlags::PICTURE | UserFlags::RECOVERY_ANCHOR, |_| false);
    world.run(16);
    world.stream(1, 3000, |_, _| false);
    let shown: Vec<_> = world.units.iter().map(|(_, index, show, _)| (*index, *show)).collect();
    assert_eq!(shown, [(0, true), (1, true), (3, false), (4, true), (5, true)]);
    assert_eq!(world.session.summary().unwrap().frames_lost, 1);
}

#[test]
fn loss_and_delivery_are_reported_every_750_ms() {
    let mut world = World::running(20_000);
    world.send(&[0; 3000], KEY, |_| false);
    world.run(16);
    // 20 000 bytes are 15 shards and 3 recovery shards: one of 18 lost.
    world.stream(180, 20_000, |_, packet| packet == 5);
    let reports: Vec<_> = world
        .said
        .iter()
        .filter_map(
            |(at, m)| if let ControlMessage::LossReport { loss_ppm } = m { Some((*at, *loss_ppm)) } else { None },
        )
        .collect();
    assert!(reports.len() >= 3);
    assert!(reports.windows(2).all(|w| (750 * MS..760 * MS).contains(&(w[1].0 - w[0].0))));
    assert!(reports[1..].iter().all(|(_, ppm)| (50_000..62_000).contains(ppm)), "1/18: {reports:?}");
    let delivered: Vec<_> = world
        .said
        .iter()
        .filter_map(|(_, m)| {
            if let ControlMessage::DeliveryReport { packets_received } = m { Some(*packets_received) } else { None }
        })
        .collect();
    assert!(delivered.len() > reports.len() && delivered.is_sorted() && delivered[0] > 0, "{delivered:?}");
}

#[test]
fn automatic_bitrate_backs_off_under_loss_and_recovers() {
    let mut config = config(0);
    config.probe_in_automatic = false;
    let mut world = World::new(config, &welcome());
    world.run(100);
    world.send(&[0; 3000], KEY, |_| false);
    world.run(16);
    let mut rate = 20_000;
    let mut lowest = rate;
    let mut grant = |world: &mut World| {
        let kbps_asked = |(_, m): &(u64, ControlMessage)| match m {
            ControlMessage::SetBitrate { kbps } => Some(*kbps),
            _ => None,
        };
        let last = world.said.iter().rev().find_map(kbps_asked);
        world.said.clear();
        if let Some(kbps) = last {
            rate = kbps;
            world.say(&ControlMessage::BitrateChanged { kbps, reason: None });
        }
        rate
    };
    for _ in 0..20 {
        let congested = grant(&mut world) > 10_000;
        world.stream(15, 20_000, |_, packet| congested && packet % 5 == 0);
        lowest = lowest.min(grant(&mut world));
    }
    assert!((5_000..=10_000).contains(&lowest), "{lowest}");
    for _ in 0..200 {
        world.stream(15, 3_000, |_, _| false);
        grant(&mut world);
    }
    assert_eq!(grant(&mut world), 20_000, "back where it began");
}

#[test]
fn a_host_that_becomes_slow_is_no_reason_to_cut_the_rate_and_a_slow_path_is() {
    for slow_path in [false, true] {
        let mut config = config(0);
        config.probe_in_automatic = false;
        let mut world = World::new(config, &welcome());
        world.run(100);
        for unit in 0..400_u64 {
            // Half-way, frames become 60 ms older: the host says that it was busy with them, or does not.
            let late = if unit < 200 { 0 } else { 60 };
            let pts_ns = world.host_now() - late * MS;
            let flags = if unit == 0 { KEY } else { UserFlags::PICTURE };
            let meta = FrameMeta { pts_ns, user_flags: flags, strength: Strength::Percent(10), probe: false };
            world.packetize(&[1; 3000], &meta, |_| false);
            world.tell(pts_ns, if slow_path { 500 } else { 500 + late as u32 * 1000 });
            world.run(16);
        }
        let cuts = world.asked(|m| matches!(m, ControlMessage::SetBitrate { kbps: ..20_000 })).len();
        assert_eq!(cuts > 0, slow_path, "{cuts} cuts");
    }
}

#[test]
fn automatic_mode_tests_the_path_once_and_reports_nothing_meanwhile() {
    let mut world = World::running(0);
    world.send(&[0; 3000], KEY, |_| false);
    world.run(1950);
    let asked = world.asked(|m| matches!(m, ControlMessage::ProbeRequest { .. }));
    assert_eq!(asked.len(), 1);
    let reports = world.asked(|m| matches!(m, ControlMessage::LossReport { .. })).len();
    let mut packets = 0;
    for _ in 0..800 {
        let meta = FrameMeta { pts_ns: 0, user_flags: UserFlags::PROBE, strength: Strength::Percent(0), probe: true };
        world.packetize(&vec![0; 14_000], &meta, |packet| packet == 0);
        packets += 10;
        world.run(1);
    }
    world.say(&ControlMessage::ProbeResult {
        bytes_sent: 800 * 14_000,
        packets_sent: 800,
        duration_ms: 800,
        wire_packets_sent: packets,
        send_dropped: 0,
    });
    world.run(150);
    let Some(Event::Speed(SpeedOutcome::Measured { delivered_kbps, loss_ppm, .. })) =
        world.events.iter().find(|e| matches!(e, Event::Speed(_)))
    else {
        panic!("no outcome in {:?}", world.events);
    };
    assert_eq!(*loss_ppm, 100_000);
    assert_eq!(*delivered_kbps, 9 * 1472 * 8);
    assert_eq!(world.asked(|m| matches!(m, ControlMessage::LossReport { .. })).len(), reports);
    assert_eq!(world.session.summary().unwrap().frames_received, 1, "filler is no video");
    world.run(1600);
    assert!(world.asked(|m| matches!(m, ControlMessage::LossReport { .. })).len() > reports);
}

#[test]
fn a_new_shard_size_is_acknowledged_only_within_what_was_offered() {
    let mut world = World::running(20_000);
    for shard_payload in [1200, 1201, 400, 9154] {
        world.say(&ControlMessage::ShardPayloadChanged { shard_payload });
    }
    world.run(10);
    let acks = world.asked(|m| matches!(m, ControlMessage::ShardPayloadAck { .. }));
    assert_eq!(acks.len(), 1);
    world.packetizer.set_shard_payload(1200).unwrap();
    world.send(&[3; 9000], KEY, |_| false);
    world.run(10);
    assert_eq!(world.units.len(), 1);
}

#[test]
fn mode_changes_go_out_once_a_second_and_the_last_wish_wins() {
    let mut world = World::running(20_000);
    for width in [800, 1024, 1920] {
        let mode = Mode { width, ..MODE };
        world.session.handle(Timestamp(world.now), Input::Command(Command::SetMode(mode))).unwrap();
        world.run(10);
    }
    world.run(2000);
    let asked: Vec<_> = world
        .said
        .iter()
        .filter_map(|(at, m)| if let ControlMessage::Reconfigure { mode } = m { Some((*at, mode.width)) } else { None })
        .collect();
    assert_eq!(asked.iter().map(|a| a.1).collect::<Vec<_>>(), [800, 1920]);
    assert!(asked[1].0 - asked[0].0 >= 1000 * MS);
    let mode = Mode { width: 1920, ..MODE };
    world.say(&ControlMessage::Reconfigured { accepted: true, mode });
    world.run(10);
    assert!(world.events.contains(&Event::Mode { accepted: true, mode }));
    assert_eq!(world.session.summary().unwrap().mode, mode);
}

#[test]
fn keys_take_the_stream_where_the_host_reads_them_there_and_motion_never_does() {
    for edges in [false, true] {
        let mut welcome = welcome();
        if edges {
            welcome.host_caps2 = HostCaps2::EXT | HostCaps2::INPUT_EDGES;
        }
        let mut world = World::new(config(20_000), &welcome);
        world.run(100);
        let key = InputEvent::Key { vk: 0x41, down: true };
        for event in [key, InputEvent::MouseMove { dx: 1, dy: 2 }] {
            world.session.handle(Timestamp(world.now), Input::Command(Command::Input(event))).unwrap();
        }
        world.run(1);
        assert_eq!(world.asked(|m| *m == ControlMessage::InputEdge(key)).len(), usize::from(edges));
        assert_eq!(world.datagrams.len(), 2 - usize::from(edges));
    }
}

#[test]
fn a_backlog_that_plays_late_is_dropped_and_a_keyframe_asked_for() {
    let mut world = World::running(20_000);
    world.send(&[0; 3000], KEY, |_| false);
    world.run(16);
    for _ in 0..20 {
        let meta = FrameMeta {
            pts_ns: world.host_now() - 500 * MS,
            user_flags: UserFlags::PICTURE,
            strength: Strength::Percent(10),
            probe: false,
        };
        world.packetize(&[1; 3000], &meta, |_| false);
        world.run(16);
    }
    assert_eq!(world.events.iter().filter(|e| **e == Event::JumpToLive).count(), 1);
    assert!(!world.asked(is_keyframe_request).is_empty());
    assert!(world.units.last().is_some_and(|(_, _, show, _)| !show), "nothing to show before the keyframe");
    world.send(&[2; 3000], KEY, |_| false);
    world.run(16);
    assert!(world.units.last().is_some_and(|(_, _, show, _)| *show));
}

#[test]
fn strangers_and_nonsense_change_nothing() {
    let mut world = World::running(20_000);
    world.send(&[0; 3000], KEY, |_| false);
    world.run(16);
    let before = world.said.len();
    for bytes in [&b""[..], b"x", b"PKFc", b"PKFc\x7f", b"PKFc\x31", b"PKF1\0\0", &[0xc9; 2000], &[0xcf; 5]] {
        let now = Timestamp(world.now);
        world.session.handle(now, Input::Control(bytes)).unwrap();
        world.session.handle(now, Input::Datagram(bytes)).unwrap();
        world.session.handle(now, Input::Packet(&mut bytes.to_vec())).unwrap();
    }
    let replay = world.batch.packet(0).to_vec();
    world.deliver(Arriving::Packet(replay));
    world.run(10);
    assert_eq!(world.said.len(), before);
    let summary = world.session.summary().unwrap();
    assert_eq!((summary.frames_received, summary.packets_unopened), (1, 9));
}

#[test]
fn a_welcome_that_cannot_be_used_ends_the_session() {
    let broken = |change: fn(&mut Welcome)| {
        let mut session = Session::new(config(0));
        let mut welcome = welcome();
        change(&mut welcome);
        let mut bytes = Vec::new();
        welcome.encode(&mut bytes);
        session.handle(Timestamp(0), Input::Control(&bytes))
    };
    assert_eq!(broken(|_| {}), Ok(()));
    assert_eq!(broken(|w| w.udp_port = 0), Err(SessionError::NoDataPort));
    let changes: [fn(&mut Welcome); 5] = [
        |w| w.abi_version = 3,
        |w| w.encrypt = false,
        |w| w.aes_key = [0; 16],
        |w| w.shard_payload = 511,
        |w| w.max_data_per_block = 0,
    ];
    for change in changes {
        assert!(matches!(broken(change), Err(SessionError::Welcome(_))));
    }
    assert!(matches!(
        Session::new(config(0)).handle(Timestamp(0), Input::Control(b"PKF1")),
        Err(SessionError::Welcome(DecodeError::Truncated { .. }))
    ));
}

#[test]
fn rumble_that_is_late_or_told_twice_is_left_out() {
    use punktfunk_core::datagram::{HidOutput, Rumble, RumbleTiming};
    let mut world = World::running(20_000);
    let rumble = |pad, seq, low| {
        let timing = Some(RumbleTiming { seq, ttl_ms: 400, ..RumbleTiming::default() });
        Rumble { pad, low, timing, ..Rumble::default() }
    };
    let old = Rumble { pad: 2, low: 1, ..Rumble::default() };
    let sent = [rumble(0, 254, 1), rumble(0, 255, 2), rumble(0, 254, 1), rumble(0, 255, 2), rumble(1, 3, 3), old, old];
    for rumble in sent.into_iter().chain([rumble(0, 1, 4)]) {
        let mut bytes = Vec::new();
        HostDatagram::Rumble(rumble).encode(&mut bytes);
        world.session.handle(Timestamp(world.now), Input::Datagram(&bytes)).unwrap();
    }
    let led = HidOutput::Led { pad: 0, rgb: [1, 2, 3] };
    let mut bytes = Vec::new();
    HostDatagram::HidOutput(led).encode(&mut bytes);
    world.session.handle(Timestamp(world.now), Input::Datagram(&bytes)).unwrap();
    world.run(1);
    let lows: Vec<u16> = world
        .events
        .iter()
        .filter_map(|e| if let Event::Rumble(rumble) = e { Some(rumble.low) } else { None })
        .collect();
    assert_eq!(lows, [1, 2, 3, 1, 1, 4]);
    assert!(world.events.contains(&Event::HidOutput(led)));
}
