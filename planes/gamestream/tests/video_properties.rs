//! What a client gets, whatever is lost: the frame that was sent, or none.

mod receiver;

use std::time::Duration;

use proptest::prelude::*;
use punktfunk_core::fec::Strength;
use punktfunk_core::packet::PacketBatch;
use punktfunk_engine::link::{AccessUnitOut, Packetize};
use punktfunk_gamestream::wire::video::{VideoConfig, VideoPacketizer, frame_index};
use receiver::Random;
use receiver::video::{Header, Receiver};

/// One access unit and how to send it.
#[derive(Clone, Copy, Debug)]
struct Unit {
    bytes: usize,
    keyframe: bool,
    anchor: bool,
    repeat: bool,
    strength: Strength,
}

impl Unit {
    const fn out<'a>(&self, data: &'a [u8], number: usize) -> AccessUnitOut<'a> {
        AccessUnitOut {
            data,
            pts_ns: 5_000_000_000 + number as u64 * 16_666_667,
            keyframe: self.keyframe,
            recovery_anchor: self.anchor,
            repeat: self.repeat,
            strength: self.strength,
            probe: false,
            host_time: Duration::from_micros(4_200),
        }
    }

    const fn kind(&self) -> u8 {
        match (self.keyframe, self.anchor) {
            (true, _) => 2,
            (false, true) => 5,
            (false, false) => 1,
        }
    }
}

fn units() -> impl Strategy<Value = Vec<Unit>> {
    let strength =
        prop_oneof![any::<u8>().prop_map(Strength::Percent), (0_u32..300_000).prop_map(|ppm| Strength::Loss { ppm }),];
    let bytes = prop_oneof![0_usize..3_000, 3_000_usize..150_000, 100_000_usize..500_000];
    let unit = (bytes, any::<[bool; 3]>(), strength).prop_map(|(bytes, [keyframe, anchor, repeat], strength)| Unit {
        bytes,
        keyframe,
        anchor,
        repeat,
        strength,
    });
    proptest::collection::vec(unit, 1..6)
}

fn configs() -> impl Strategy<Value = VideoConfig> {
    let packet_size = (40_u16..=92).prop_map(|p| p * 16);
    (packet_size, 0_u8..8, proptest::option::of(any::<[u8; 16]>()))
        .prop_map(|(packet_size, min_recovery, key)| VideoConfig { packet_size, min_recovery, key, epoch_ns: 0 })
}

/// Which packets of a frame get lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// In every block as many as it has recovery shards.
    AsManyAsRecovery,
    /// Each with this chance in a hundred.
    Random(usize),
}

fn losses(client: &Receiver, batch: &PacketBatch, loss: Loss, random: &mut Random) -> Vec<bool> {
    let headers: Vec<_> = batch.iter().map(|packet| Header::read(&client.open(packet))).collect();
    let mut lost = vec![false; headers.len()];
    match loss {
        Loss::Random(percent) => lost.iter_mut().for_each(|lost| *lost = random.below(100) < percent),
        Loss::AsManyAsRecovery => {
            let mut first = 0;
            while let Some(header) = headers.get(first) {
                let (recovery, all) = (header.recovery(), header.data + header.recovery());
                let mut left = recovery;
                while left > 0 {
                    let at = first + random.below(all);
                    left -= usize::from(!std::mem::replace(&mut lost[at], true));
                }
                first += all;
            }
        }
    }
    lost
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn losses_up_to_the_recovery_are_repaired_and_nothing_is_ever_wrong(
        units in units(), config in configs(), seed in 1_u64.., percent in proptest::option::of(0_usize..60),
    ) {
        let loss = percent.map_or(Loss::AsManyAsRecovery, Loss::Random);
        let mut random = Random(seed);
        let (mut packetizer, mut batch) = (VideoPacketizer::new(&config).expect("a packet size"), PacketBatch::new());
        let mut client = Receiver::new(config.packet_size.into(), config.key);
        let (mut sequence, mut timestamp) = (0_u16, 0);
        for (number, unit) in units.iter().enumerate() {
            let data = random.bytes(unit.bytes);
            let index = packetizer.packetize(&unit.out(&data, number), &mut batch).expect("fits");
            prop_assert_eq!(index, number as u32);
            let before = client.frames.len();
            let lost = losses(&client, &batch, loss, &mut random);
            for (packet, lost) in batch.iter().zip(&lost) {
                let header = Header::read(&client.open(packet));
                prop_assert_eq!(header.sequence, sequence, "every packet counts");
                sequence = sequence.wrapping_add(1);
                if !lost {
                    client.push(packet);
                }
            }
            match &client.frames[before..] {
                [] => prop_assert!(matches!(loss, Loss::Random(_)), "frame {number} could be repaired"),
                [frame] => {
                    prop_assert!(frame.data == data, "frame {number}: other bytes");
                    prop_assert_eq!((frame.index, frame.kind), (frame_index(index), unit.kind()));
                    prop_assert_eq!(frame.latency, if unit.repeat { 0 } else { 42 });
                    prop_assert!(frame.timestamp > timestamp);
                    timestamp = frame.timestamp;
                }
                more => prop_assert!(false, "{} frames out of one", more.len()),
            }
        }
    }

    /// The largest frame arrives, protected; a larger one is refused, takes no number and leaves no packet.
    #[test]
    fn the_limit_is_exact(config in configs(), seed in 1_u64.., percent: u8) {
        let (mut packetizer, mut batch) = (VideoPacketizer::new(&config).expect("a packet size"), PacketBatch::new());
        let strength = Strength::Percent(percent);
        let unit = Unit { bytes: packetizer.max_frame_bytes(), keyframe: true, anchor: false, repeat: false, strength };
        let data = Random(seed).bytes(unit.bytes + 1);
        let error = packetizer.packetize(&unit.out(&data, 0), &mut batch).expect_err("one byte too many");
        prop_assert_eq!((error.reason.code, error.fatal, batch.len()), ("gamestream.frame_too_large", false, 0));
        prop_assert_eq!(packetizer.packetize(&unit.out(&data[..unit.bytes], 1), &mut batch).expect("fits"), 0);
        let mut client = Receiver::new(config.packet_size.into(), config.key);
        let lost = losses(&client, &batch, Loss::AsManyAsRecovery, &mut Random(seed));
        batch.iter().zip(lost).filter(|(_, lost)| !lost).for_each(|(packet, _)| client.push(packet));
        prop_assert_eq!(client.frames.len(), 1);
        prop_assert!(client.frames[0].data == data[..unit.bytes]);
    }
}

#[test]
fn counters_wrap_without_a_gap() {
    let config = VideoConfig { packet_size: 128, min_recovery: 2, key: None, epoch_ns: 0 };
    let (mut packetizer, mut batch) = (VideoPacketizer::new(&config).expect("a packet size"), PacketBatch::new());
    let mut client = Receiver::new(128, None);
    let data = vec![7; 100_000];
    let mut packets = 0;
    for number in 0..80 {
        let unit = Unit { bytes: 0, keyframe: false, anchor: false, repeat: false, strength: Strength::Percent(10) };
        packetizer.packetize(&unit.out(&data, number), &mut batch).expect("fits");
        packets += batch.len();
        batch.iter().for_each(|packet| client.push(packet));
    }
    assert!(packets > 65_536 && client.frames.len() == 80);
    assert_eq!(Header::read(batch.packet(batch.len() - 1)).sequence, (packets - 1) as u16);
}

#[test]
fn filler_of_a_speed_test_is_refused() {
    let config = VideoConfig { packet_size: 1024, min_recovery: 2, key: None, epoch_ns: 0 };
    let (mut packetizer, mut batch) = (VideoPacketizer::new(&config).expect("a packet size"), PacketBatch::new());
    let unit = Unit { bytes: 0, keyframe: false, anchor: false, repeat: false, strength: Strength::Percent(10) };
    let probe = AccessUnitOut { probe: true, ..unit.out(&[0; 100], 0) };
    let error = packetizer.packetize(&probe, &mut batch).expect_err("no such thing here");
    assert!(!error.fatal && batch.is_empty());
    let refused = VideoPacketizer::new(&VideoConfig { packet_size: 1000, ..config }).expect_err("no multiple of 16");
    assert_eq!(refused.code, "gamestream.packet_size");
}
