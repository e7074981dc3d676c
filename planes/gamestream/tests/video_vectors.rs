//! The packetizer against recorded packets, both ways, and the code against every matrix of the reference.

mod receiver;

use std::time::Duration;

use punktfunk_accel::{Level, fec_at};
use punktfunk_core::fec::{FecScheme, Gf8Cauchy, ShardLayout, Strength};
use punktfunk_core::packet::PacketBatch;
use punktfunk_engine::link::{AccessUnitOut, Packetize};
use punktfunk_gamestream::wire::video::{VideoConfig, VideoPacketizer};
use receiver::video::{Header, Receiver};
use receiver::{hex, key, number, vectors};
use serde_json::Value;

fn video() -> Value {
    vectors(include_str!("vectors/video.json"))
}

fn packetizer(packet_size: usize, key: Option<[u8; 16]>) -> VideoPacketizer {
    let config = VideoConfig { packet_size: packet_size as u16, min_recovery: 2, key, epoch_ns: 0 };
    VideoPacketizer::new(&config).expect("a packet size")
}

/// An access unit at this RTP time, with the recordings' latency of 12.3 ms.
fn unit(data: &[u8], ticks: u64, keyframe: bool) -> AccessUnitOut<'_> {
    AccessUnitOut {
        data,
        pts_ns: (ticks * 100_000).div_ceil(9),
        keyframe,
        recovery_anchor: false,
        repeat: false,
        strength: Strength::Percent(20),
        probe: false,
        host_time: Duration::from_micros(12_300),
    }
}

/// Frame 2 of a recording, after a first frame of seven data shards.
fn second_frame(recording: &Value, key: Option<[u8; 16]>) -> (PacketBatch, Vec<Vec<u8>>) {
    let packet_size = number(&recording["packetSize"]);
    let frame = &recording["frames"][0];
    let wire: Vec<_> = frame["packets"].as_array().expect("packets").iter().map(|p| hex(&p["wire"])).collect();
    let plain = Receiver::new(packet_size, key).open(&wire[0]);
    let timestamp = Header::read(&plain).timestamp;

    let (mut packetizer, mut batch) = (packetizer(packet_size, key), PacketBatch::new());
    let first = vec![0; 7 * (packet_size - 16) - 8];
    assert_eq!(packetizer.packetize(&unit(&first, 304, true), &mut batch).expect("fits"), 0);
    assert_eq!(batch.len(), 9);
    let data = hex(&frame["elementary_stream"]);
    let index = packetizer.packetize(&unit(&data, timestamp.into(), false), &mut batch).expect("fits");
    assert_eq!(index, 1, "the engine counts from 0");
    (batch, wire)
}

#[test]
fn recorded_packets_are_reproduced_to_the_bit() {
    let video = video();
    for (name, key) in [("encrypted_h264", Some(key(&video["key"]))), ("plain_hevc", None)] {
        let (batch, wire) = second_frame(&video[name], key);
        assert_eq!(batch.len(), wire.len());
        for (i, (ours, theirs)) in batch.iter().zip(&wire).enumerate() {
            assert!(ours == theirs, "{name}, packet {i}");
        }
    }
}

#[test]
fn recorded_packets_are_received_whatever_is_lost() {
    let video = video();
    for (name, key) in [("encrypted_h264", Some(key(&video["key"]))), ("plain_hevc", None)] {
        let recording = &video[name];
        let (_, wire) = second_frame(recording, key);
        for lost in 0..1_u32 << wire.len() {
            let mut client = Receiver::new(number(&recording["packetSize"]), key);
            let arriving = wire.iter().enumerate().filter(|(i, _)| lost >> i & 1 == 0);
            arriving.for_each(|(_, packet)| client.push(packet));
            let whole = lost.count_ones() <= 2;
            assert_eq!(client.frames.len(), usize::from(whole), "{name} without {lost:04b}");
            if let [frame] = &client.frames[..] {
                assert_eq!(frame.data, hex(&recording["frames"][0]["elementary_stream"]));
                assert_eq!((frame.index, frame.kind, frame.latency), (2, 1, 123));
            }
        }
    }
}

#[test]
fn headers_of_a_frame_of_seven_shards() {
    let video = video();
    // Either frame's length follows from the length of its last payload.
    for (name, len, ticks) in
        [("plain_multi_packet_header_only", 6 * 1344 + 966 - 8, 304), ("av1_header_only", 9002, 265)]
    {
        let recorded: Vec<_> =
            video[name].as_array().expect("packets").iter().map(|p| hex(&p["first_48_bytes"])).collect();
        let mut batch = PacketBatch::new();
        let mut data = vec![0; len];
        data[..8].copy_from_slice(&recorded[0][40..]);
        packetizer(1360, None).packetize(&unit(&data, ticks, true), &mut batch).expect("fits");
        assert_eq!(batch.len(), recorded.len());
        for (i, (ours, theirs)) in batch.iter().zip(&recorded).enumerate() {
            // Recovery shards' counters and flags are the code's work and must agree, too.
            assert_eq!(ours[..32], theirs[..32], "{name}, header {i}");
        }
        assert_eq!(batch.packet(0)[32..48], recorded[0][32..], "{name}, frame header");
    }
}

#[test]
fn the_code_has_the_references_matrix_for_every_shape() {
    let file = vectors(include_str!("vectors/reed_solomon.json"));
    let matrices = file["video_matrices"].as_array().expect("matrices");
    assert_eq!(matrices.len(), 13);
    for matrix in matrices {
        let (k, m) = (number(&matrix["data"]), number(&matrix["parity"]));
        for (j, row) in matrix["rows"].as_array().expect("rows").iter().enumerate() {
            let ours: Vec<_> = (0..k).map(|i| Gf8Cauchy::coefficient(m, j, i)).collect();
            assert_eq!(ours, hex(row), "row {j} of {k} + {m}");
        }
    }
    for case in file["video_encodes"].as_array().expect("encodes") {
        let (k, m, len) = (number(&case["data"]), number(&case["parity"]), number(&case["shard_len"]));
        let shards = |name: &str| -> Vec<u8> { case[name].as_array().expect("shards").iter().flat_map(hex).collect() };
        let (data, expected) = (shards("data_shards"), shards("parity_shards"));
        for level in Level::available() {
            let mut code = fec_at(FecScheme::Gf8, level).expect("available");
            let layout = ShardLayout { stride: len, shard_bytes: len, k, m };
            let mut recovery = vec![0; m * len];
            code.encode(&data, &mut recovery, &layout).expect("encodes");
            assert_eq!(recovery, expected, "{k} + {m} with {level:?}");
        }
    }
}

/// Every kernel against the rule, for every shape that a block can have.
#[test]
fn every_kernel_has_the_references_matrix() {
    for k in 1..=254_usize {
        for m in [1, 2, 3, 7, 20, 43, 128].into_iter().filter(|m| k + m <= 255) {
            // Unit shards: data shard i is 1 at byte i, so recovery shard j holds its row of the matrix.
            let len = (k + 1) & !1;
            let mut data = vec![0; k * len];
            (0..k).for_each(|i| data[i * len + i] = 1);
            let layout = ShardLayout { stride: len, shard_bytes: len, k, m };
            let expected: Vec<u8> = (0..m)
                .flat_map(|j| (0..len).map(move |i| if i < k { Gf8Cauchy::coefficient(m, j, i) } else { 0 }))
                .collect();
            let mut recovery = vec![0; m * len];
            punktfunk_accel::fec(FecScheme::Gf8).encode(&data, &mut recovery, &layout).expect("encodes");
            assert!(recovery == expected, "{k} + {m}");
        }
    }
}
