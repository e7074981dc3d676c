//! Packetizer against reassembler: whatever the network does, an access unit arrives whole or is reported lost.

use std::collections::BTreeMap;

use proptest::prelude::*;
use punktfunk_core::Timestamp;
use punktfunk_core::fec::{Fec, FecScheme, Gf8Cauchy, Gf16Leopard, ShardLayout, Strength};
use punktfunk_core::packet::{
    HEADER_BYTES, PacketBatch, PacketFlags, PacketHeader, SHARD_OFFSET, TAG_BYTES, UserFlags,
};
use punktfunk_core::packetize::{FrameMeta, PacketizeError, Packetizer, PacketizerConfig};
use punktfunk_core::reassemble::{AccessUnit, Event, Reassembler, ReassemblerConfig};
use punktfunk_core::seal::{Aead, AeadTag, Direction, OpenError, Opener, Sealer, scalar};

const MS: u64 = 1_000_000;

/// Leaves plaintext plaintext, so that tests can look inside packets.
struct NoSeal;

impl Aead for NoSeal {
    fn seal(&self, _: &[u8; 12], _: &[u8], _: &mut [u8]) -> AeadTag {
        [0; TAG_BYTES]
    }

    fn open(&self, _: &[u8; 12], _: &[u8], _: &mut [u8]) -> Result<(), OpenError> {
        Ok(())
    }
}

fn code(scheme: FecScheme) -> Box<dyn Fec> {
    match scheme {
        FecScheme::Gf8 => Box::new(Gf8Cauchy::new()),
        FecScheme::Gf16 => Box::new(Gf16Leopard::new()),
    }
}

fn packetizer(shard: u16, k: u16, scheme: FecScheme) -> Packetizer {
    let config = PacketizerConfig {
        shard_payload: shard,
        max_data_per_block: k,
        scheme,
        welcome_fec_percent: 90,
        max_frame_bytes: 8 << 20,
    };
    let sealer = Sealer::new(Box::new(NoSeal), [0; 4], Direction::HostToClient);
    Packetizer::new(config, sealer, code(scheme)).expect("valid configuration")
}

fn config(shard: u16, k: u16, scheme: FecScheme) -> ReassemblerConfig {
    ReassemblerConfig {
        max_data_per_block: k,
        shard_payload: shard,
        max_shard_payload: 0,
        scheme,
        fec_percent: 10,
        bitrate_kbps: 20_000,
        refresh_hz: 60,
    }
}

fn reassembler(shard: u16, k: u16, scheme: FecScheme) -> Reassembler {
    Reassembler::new(config(shard, k, scheme), code(scheme))
}

fn unit(index: u32, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(index * 97) as u8 ^ (i >> 8) as u8).collect()
}

/// Plaintext packets (header and shard) of one frame.
fn packets(p: &mut Packetizer, au: &[u8], pts_ns: u64, strength: Strength) -> Vec<Vec<u8>> {
    let mut batch = PacketBatch::new();
    let meta = FrameMeta { pts_ns, user_flags: UserFlags::PICTURE, strength, probe: false };
    p.packetize(au, &meta, &mut batch).expect("fits");
    batch.iter().map(|b| b[8..b.len() - TAG_BYTES].to_vec()).collect()
}

fn drain(r: &mut Reassembler, now: Timestamp) -> (Vec<AccessUnit>, Vec<Event>) {
    let units = std::iter::from_fn(|| r.next(now)).collect();
    (units, std::iter::from_fn(|| r.poll_event()).collect())
}

fn indices(units: &[AccessUnit]) -> Vec<u32> {
    units.iter().map(|u| u.index).collect()
}

#[test]
fn a_frame_without_loss_arrives_with_its_last_data_packet() {
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    let au = unit(0, 100_000);
    let sent = packets(&mut p, &au, 7, Strength::Percent(20));
    assert_eq!(sent.len(), 72 + 15);
    for (i, packet) in sent.iter().enumerate() {
        r.push(packet, Timestamp(i as u64));
        let (units, events) = drain(&mut r, Timestamp(i as u64));
        assert!(events.is_empty());
        assert_eq!(units.len(), usize::from(i == 71), "packet {i}");
        for u in units {
            assert_eq!((&u.data[..], u.index, u.pts_ns, u.packets), (&au[..], 0, 7, 72));
            assert_eq!((u.first_packet_at, u.last_packet_at, u.recovered_shards), (Timestamp(0), Timestamp(71), 0));
            r.recycle(u);
        }
    }
    assert_eq!((r.stats().surplus, r.stats().delivered, r.in_flight_bytes()), (15, 1, 0));
}

#[test]
fn geometry_follows_the_specification() {
    // K 4: 5000 bytes of 512 are 10 shards in blocks of 4, 4, 2; the last shard is zero-padded.
    let mut p = packetizer(512, 4, FecScheme::Gf16);
    let au = unit(0, 5000);
    let sent = packets(&mut p, &au, 1, Strength::Percent(50));
    let headers: Vec<_> = sent.iter().map(|b| PacketHeader::decode(b).expect("header")).collect();
    let shape: Vec<_> =
        headers.iter().map(|h| (h.block_index, h.shard_index, h.data_shards, h.recovery_shards)).collect();
    let mut expected = vec![];
    for (b, k) in [(0, 4), (1, 4), (2, 2)] {
        expected.extend((0..k).map(|i| (b, i, k, 2)));
    }
    for (b, k) in [(0, 4), (1, 4), (2, 2)] {
        expected.extend((k..k + 2).map(|i| (b, i, k, 2)));
    }
    assert_eq!(shape, expected);
    for (i, h) in headers.iter().enumerate() {
        assert_eq!((h.stream_seq, h.frame_bytes, h.block_count, h.shard_bytes), (i as u32, 5000, 3, 512));
        let mut flags = PacketFlags::PICTURE;
        if i == 0 {
            flags = flags | PacketFlags::START_OF_FRAME;
        }
        if i == sent.len() - 1 {
            flags = flags | PacketFlags::END_OF_FRAME;
        }
        assert_eq!(h.flags, flags, "packet {i}");
    }
    let carried: Vec<u8> = sent[..10].iter().flat_map(|b| b[HEADER_BYTES..].to_vec()).collect();
    assert_eq!(carried[..5000], au[..]);
    assert!(carried[5000..].iter().all(|&b| b == 0));

    // An empty access unit is one zero shard; the next frame has the next number and goes on with the sequence.
    let next = packets(&mut p, &[], 2, Strength::Percent(0));
    let h = PacketHeader::decode(&next[0]).expect("header");
    assert_eq!(
        (next.len(), h.frame_index, h.stream_seq, h.frame_bytes, h.data_shards),
        (1, 1, sent.len() as u32, 0, 1)
    );
    assert!(next[0][HEADER_BYTES..].iter().all(|&b| b == 0));
}

#[test]
fn a_stale_batch_does_not_leak_into_the_next_frame() {
    let (mut p, mut r) = (packetizer(512, 64, FecScheme::Gf16), reassembler(512, 64, FecScheme::Gf16));
    let mut batch = PacketBatch::new();
    let meta = FrameMeta { pts_ns: 1, user_flags: UserFlags::KEYFRAME, strength: Strength::Percent(50), probe: false };
    for (index, len) in [30_000, 700, 0, 512, 513].into_iter().enumerate() {
        let au = unit(index as u32, len);
        assert_eq!(p.packetize(&au, &meta, &mut batch), Ok(index as u32));
        // Lose the first data packet, so that padding and recovery matter.
        for packet in batch.iter().skip(1) {
            r.push(&packet[8..packet.len() - TAG_BYTES], Timestamp(index as u64));
        }
        let got = r.next(Timestamp(index as u64)).expect("recovered");
        assert_eq!((&got.data[..], got.user_flags), (&au[..], UserFlags::PICTURE | UserFlags::KEYFRAME));
        r.recycle(got);
    }
}

#[test]
fn refusals_of_the_packetizer() {
    let mut p = packetizer(512, 64, FecScheme::Gf16);
    let mut batch = PacketBatch::new();
    let meta = FrameMeta { pts_ns: 0, user_flags: UserFlags::PICTURE, strength: Strength::default(), probe: false };
    let too_large = p.packetize(&vec![0; (8 << 20) + 1], &meta, &mut batch);
    assert_eq!(too_large, Err(PacketizeError::TooLarge { bytes: (8 << 20) + 1, limit: 8 << 20 }));
    assert!(batch.is_empty());
    assert_eq!(p.next_video_index(), 0, "no number is used up");
    for bad in [0, 511, 1409, 9154] {
        assert!(p.set_shard_payload(bad).is_err(), "{bad}");
    }
    assert!(p.set_shard_payload(9152).is_ok());
}

#[test]
fn probe_frames_have_their_own_numbers_and_are_only_counted() {
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    let mut batch = PacketBatch::new();
    let probe = FrameMeta { pts_ns: 9, user_flags: UserFlags::KEYFRAME, strength: Strength::default(), probe: true };
    for expected in 0..3 {
        assert_eq!(p.packetize(&[0; 1200], &probe, &mut batch), Ok(expected));
        for packet in batch.iter() {
            let h = PacketHeader::decode(&packet[8..]).expect("header");
            assert_eq!(h.user_flags, UserFlags::PROBE, "exactly 0x8");
            r.push(&packet[8..packet.len() - TAG_BYTES], Timestamp(0));
        }
    }
    assert_eq!(p.next_video_index(), 0);
    assert_eq!((r.stats().probe_packets, r.stats().probe_bytes), (9, 9 * 1472));
    assert!(r.next(Timestamp(u64::MAX)).is_none());
    assert_eq!(r.poll_event(), None);
}

#[test]
fn an_overtaken_frame_is_lost_after_a_short_wait_or_with_the_second_overtaker() {
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    let frames: Vec<_> =
        (0..6).map(|i| packets(&mut p, &unit(i, 3000), u64::from(i) * 16 * MS, Strength::Percent(0))).collect();
    let push = |r: &mut Reassembler, f: usize, skip: usize, at: u64| {
        frames[f].iter().skip(skip).for_each(|packet| r.push(packet, Timestamp(at)));
    };
    push(&mut r, 0, 1, 0); // one packet short
    push(&mut r, 1, 0, 16 * MS);
    assert!(r.next(Timestamp(16 * MS)).is_none(), "packets of frame 0 may still come");
    assert_eq!(r.next_deadline(), Some(Timestamp(24 * MS)), "half a frame interval, at most 8 ms");
    let (units, events) = drain(&mut r, Timestamp(24 * MS));
    assert_eq!((indices(&units), events), (vec![1], vec![Event::Lost { first: 0, last: 0 }]));

    // Reordered within the wait: nothing is lost.
    push(&mut r, 3, 0, 30 * MS);
    push(&mut r, 2, 0, 31 * MS);
    let (units, events) = drain(&mut r, Timestamp(31 * MS));
    assert_eq!((indices(&units), events), (vec![2, 3], vec![]));

    // Packets of frames done with are stale, and change nothing.
    push(&mut r, 0, 0, 32 * MS);
    assert_eq!(r.stats().stale, 3);

    // Two complete frames behind a hole end the wait at once.
    push(&mut r, 5, 0, 33 * MS);
    let more = packets(&mut p, &unit(6, 10), 96 * MS, Strength::Percent(0));
    r.push(&more[0], Timestamp(33 * MS));
    let (units, events) = drain(&mut r, Timestamp(33 * MS));
    assert_eq!((indices(&units), events), (vec![5, 6], vec![Event::Lost { first: 4, last: 4 }]));
}

#[test]
fn an_incomplete_frame_expires_120_ms_or_64_frames_behind() {
    // By capture time: nothing newer is complete, so only the clock of the pictures can tell.
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    let at = |i: u32| u64::from(i) * 20 * MS;
    for i in 0..=6 {
        let sent = packets(&mut p, &unit(i, 3000), at(i), Strength::Percent(0));
        r.push(&sent[0], Timestamp(at(i)));
        let (_, events) = drain(&mut r, Timestamp(at(i)));
        let expected = if i == 6 { vec![Event::Lost { first: 0, last: 0 }] } else { vec![] };
        assert_eq!(events, expected, "frame {i}");
    }
    assert_eq!((r.stats().lost, r.stats().missing_shards), (1, 2));

    // By number: pictures with one and the same time stamp.
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    for i in 0..=64 {
        let sent = packets(&mut p, &unit(i, 3000), 5, Strength::Percent(0));
        r.push(&sent[0], Timestamp(5));
        let (_, events) = drain(&mut r, Timestamp(5));
        let expected = if i == 64 { vec![Event::Lost { first: 0, last: 0 }] } else { vec![] };
        assert_eq!(events, expected, "frame {i}");
    }
}

#[test]
fn a_long_silence_is_one_loss_and_the_stream_goes_on() {
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    r.push(&packets(&mut p, &unit(0, 10), 0, Strength::Percent(0))[0], Timestamp(0));
    assert_eq!(indices(&drain(&mut r, Timestamp(0)).0), [0]);
    let mut last = vec![];
    for i in 1..=100_000 {
        last = packets(&mut p, &unit(i, 10), u64::from(i) * MS, Strength::Percent(0));
    }
    r.push(&last[0], Timestamp(MS));
    let (units, events) = drain(&mut r, Timestamp(20 * MS));
    assert_eq!((indices(&units), events), (vec![100_000], vec![Event::Lost { first: 1, last: 99_999 }]));
    assert_eq!(r.stats().lost, 99_999);
}

#[test]
fn late_shards_are_told_from_surplus_ones() {
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    let sent = packets(&mut p, &unit(0, 14_000), 0, Strength::Percent(30)); // 10 + 3
    sent[1..11].iter().for_each(|packet| r.push(packet, Timestamp(0)));
    let got = r.next(Timestamp(0)).expect("10 of 13");
    assert_eq!(got.recovered_shards, 1);
    r.push(&sent[0], Timestamp(1));
    r.push(&sent[12], Timestamp(1));
    let s = r.stats();
    assert_eq!((s.recovered_shards, s.late_shards, s.surplus, s.recovered_frames), (1, 1, 1, 1));
}

/// Every limit of §5.7, one header each.
#[test]
fn limits_of_a_receiver() {
    let good = PacketHeader {
        frame_bytes: 3000,
        user_flags: UserFlags::PICTURE,
        block_count: 1,
        data_shards: 3,
        recovery_shards: 2,
        shard_bytes: 1408,
        ..PacketHeader::default()
    };
    let push = |header: &PacketHeader, len: usize, config: ReassemblerConfig| {
        let mut packet = vec![0; HEADER_BYTES + len];
        header.encode(packet.first_chunk_mut().expect("header"));
        let mut r = Reassembler::new(config, code(config.scheme));
        r.push(&packet, Timestamp(0));
        let s = *r.stats();
        (s.malformed, s.out_of_limits, s.mismatched, r.in_flight_bytes())
    };
    let plain = config(1408, 4096, FecScheme::Gf16);
    let open = ReassemblerConfig { max_shard_payload: 4000, ..plain };
    const KEPT: usize = 3 * 1408;
    assert_eq!(push(&good, 1408, plain), (0, 0, 0, KEPT));
    assert_eq!(push(&good, 1407, plain), (1, 0, 0, 0), "shorter than 40 + S");
    assert_eq!(push(&good, 1500, plain), (0, 0, 0, KEPT), "longer is harmless");
    let limit = (0, 1, 0, 0);
    let mismatch = (0, 0, 1, 0);
    let change = |f: fn(&mut PacketHeader)| {
        let mut h = good;
        f(&mut h);
        h
    };
    assert_eq!(push(&change(|h| h.shard_bytes = 1400), 1408, plain), limit, "S is fixed without renegotiation");
    assert_eq!(push(&change(|h| (h.shard_bytes, h.data_shards) = (1400, 3)), 1408, open), (0, 0, 0, 4200));
    assert_eq!(push(&change(|h| (h.shard_bytes, h.data_shards) = (510, 6)), 1408, open), limit, "S below 512");
    assert_eq!(push(&change(|h| (h.shard_bytes, h.data_shards) = (4002, 1)), 4002, open), limit, "S above ours");
    assert_eq!(push(&change(|h| h.shard_bytes = 1407), 1408, open), limit, "odd S");
    assert_eq!(push(&change(|h| h.data_shards = 0), 1408, plain), limit, "k = 0");
    assert_eq!(push(&change(|h| h.data_shards = 4097), 1408, plain), limit, "k > K");
    assert_eq!(push(&change(|h| h.recovery_shards = 7781), 1408, plain), limit, "k + m > K + ceil(0.9 K) = 7783");
    assert_eq!(push(&change(|h| h.recovery_shards = 7780), 1408, plain).1, 0);
    assert_eq!(push(&change(|h| h.shard_index = 5), 1408, plain), limit, "shard ≥ k + m");
    assert_eq!(push(&change(|h| h.frame_bytes = (8 << 20) + 1), 1408, plain), limit, "larger than max_frame");
    assert_eq!(push(&change(|h| h.block_index = 1), 1408, plain), mismatch, "block ≥ count");
    assert_eq!(push(&change(|h| h.data_shards = 4), 1408, plain), mismatch, "k is derived");
    assert_eq!(push(&change(|h| h.block_count = 2), 1408, plain), mismatch, "count is derived");
    assert_eq!(push(&change(|h| h.frame_bytes = 1408 * 3 + 1), 1408, plain), mismatch);
    let sentinel = |f: fn(&mut PacketHeader)| {
        let mut h = PacketHeader { block_count: 0, frame_bytes: 0, data_shards: 4096, ..good };
        f(&mut h);
        h
    };
    assert_eq!(push(&sentinel(|_| ()), 1408, plain), (0, 0, 0, 4096 * 1408), "a plain sentinel");
    assert_eq!(push(&sentinel(|h| h.data_shards = 4095), 1408, plain), mismatch, "sentinels are full");
    assert_eq!(push(&sentinel(|h| h.frame_bytes = 1), 1408, plain), mismatch);
    assert_eq!(push(&sentinel(|h| h.block_index = 2), 1408, plain), limit, "beyond max_frame");
    let slice = |f: fn(&mut PacketHeader)| {
        let flags = UserFlags::PICTURE | UserFlags::SLICE_STREAM;
        let mut h = PacketHeader { block_count: 0, frame_bytes: 2816, data_shards: 3, user_flags: flags, ..good };
        f(&mut h);
        h
    };
    assert_eq!(push(&slice(|_| ()), 1408, plain), (0, 0, 0, 5 * 1408), "a slice sentinel at shard 2");
    assert_eq!(push(&slice(|h| h.frame_bytes = 2815), 1408, plain), mismatch, "not a multiple of S");
    assert_eq!(push(&slice(|h| h.frame_bytes = 1408 * 100_000), 1408, plain), limit, "beyond max_frame");
    assert_eq!(push(&slice(|h| h.block_index = 5958 / 16 + 2), 1408, plain), limit, "too many blocks");
    assert_eq!(
        push(&slice(|h| (h.block_count, h.block_index) = (3, 1)), 1408, plain),
        mismatch,
        "only the last is final"
    );
}

#[test]
fn packets_of_one_frame_must_agree() {
    let (mut p, mut r) = (packetizer(1408, 4096, FecScheme::Gf16), reassembler(1408, 4096, FecScheme::Gf16));
    let au = unit(0, 6000);
    let sent = packets(&mut p, &au, 0, Strength::Percent(50)); // 5 + 3
    r.push(&sent[0], Timestamp(0));
    let forged = |f: &dyn Fn(&mut PacketHeader)| {
        let mut h = PacketHeader::decode(&sent[1]).expect("header");
        f(&mut h);
        let mut packet = sent[1].clone();
        h.encode(packet.first_chunk_mut().expect("header"));
        packet
    };
    r.push(&forged(&|h| h.recovery_shards = 2), Timestamp(0));
    r.push(&forged(&|h| h.frame_bytes = 6001), Timestamp(0));
    r.push(&forged(&|h| (h.block_count, h.frame_bytes, h.data_shards) = (0, 0, 4096)), Timestamp(0));
    assert_eq!(r.stats().mismatched, 3);
    r.push(&sent[0], Timestamp(0));
    assert_eq!(r.stats().duplicates, 1);
    sent[1..5].iter().for_each(|packet| r.push(packet, Timestamp(0)));
    assert_eq!(&r.next(Timestamp(0)).expect("whole").data[..], &au[..]);
}

#[test]
fn memory_in_flight_is_bounded() {
    // Sentinels of ever new frames, each claiming nearly a whole largest frame.
    let mut r = reassembler(1408, 4096, FecScheme::Gf16);
    let limit = 4 * (8 << 20);
    for index in 0..200u32 {
        let header = PacketHeader {
            pts_ns: 1,
            frame_index: index,
            user_flags: UserFlags::PICTURE,
            data_shards: 4096,
            recovery_shards: 2,
            shard_bytes: 1408,
            ..PacketHeader::default()
        };
        let mut packet = vec![0; HEADER_BYTES + 1408];
        header.encode(packet.first_chunk_mut().expect("header"));
        r.push(&packet, Timestamp(1));
        assert!(r.in_flight_bytes() <= limit, "{}", r.in_flight_bytes());
    }
    assert!(r.stats().lost > 0, "old ones were given up");
    // The stream goes on.
    let mut p = packetizer(1408, 4096, FecScheme::Gf16);
    let mut sent = vec![];
    for i in 0..=200 {
        sent = packets(&mut p, &unit(i, 9000), 2, Strength::Percent(10));
    }
    sent.iter().for_each(|packet| r.push(packet, Timestamp(2)));
    let (units, _) = drain(&mut r, Timestamp(1000 * MS));
    assert_eq!(indices(&units), [200]);
    assert_eq!(&units[0].data[..], &unit(200, 9000)[..]);
    assert_eq!(r.in_flight_bytes(), 0);
}

/// A sender of streamed access units (§5.6): blocks of the given sizes, in shards; slices say where they lie.
fn streamed(au: &[u8], index: u32, shard: usize, blocks: &[usize], m: usize, slices: bool) -> Vec<Vec<u8>> {
    let data_shards = au.len().div_ceil(shard).max(1);
    assert_eq!(blocks.iter().sum::<usize>(), data_shards);
    let mut padded = au.to_vec();
    padded.resize(data_shards * shard, 0);
    let (mut base, mut out) = (0, vec![]);
    for (b, &k) in blocks.iter().enumerate() {
        let last = b + 1 == blocks.len();
        let bytes = &padded[base * shard..(base + k) * shard];
        let mut recovery = vec![0; m * shard];
        let layout = ShardLayout { stride: shard, shard_bytes: shard, k, m };
        Gf16Leopard::new().encode(bytes, &mut recovery, &layout).expect("encodes");
        for (i, s) in bytes.chunks(shard).chain(recovery.chunks(shard)).enumerate() {
            let slice_flag = if slices { UserFlags::SLICE_STREAM } else { UserFlags::default() };
            let offset = if slices { base * shard } else { 0 };
            let header = PacketHeader {
                pts_ns: u64::from(index) * 16 * MS,
                frame_index: index,
                frame_bytes: if last { au.len() } else { offset } as u32,
                user_flags: UserFlags::PICTURE | slice_flag,
                block_index: b as u16,
                block_count: if last { blocks.len() as u16 } else { 0 },
                data_shards: k as u16,
                recovery_shards: m as u16,
                shard_index: i as u16,
                shard_bytes: shard as u16,
                fec_scheme: 1,
                ..PacketHeader::default()
            };
            let mut packet = vec![0; HEADER_BYTES];
            header.encode(packet.first_chunk_mut().expect("header"));
            packet.extend_from_slice(s);
            out.push(packet);
        }
        base += k;
    }
    out
}

#[test]
fn streamed_access_units() {
    let plain: (&[usize], bool) = (&[20, 20, 7], false);
    for (blocks, slices) in [plain, (&[16, 18, 9, 4], true), (&[47], true)] {
        let au = unit(3, 46 * 512 + 100);
        let sent = streamed(&au, 0, 512, blocks, 3, slices);
        // In order, backwards (the final block first), and with three packets of every block lost.
        let orders: [Vec<usize>; 3] = [
            (0..sent.len()).collect(),
            (0..sent.len()).rev().collect(),
            (0..sent.len()).filter(|&i| PacketHeader::decode(&sent[i]).expect("header").shard_index > 2).collect(),
        ];
        for order in orders {
            let mut r = reassembler(512, 20, FecScheme::Gf16);
            if blocks.len() == 1 {
                r = reassembler(512, 64, FecScheme::Gf16);
            }
            order.iter().for_each(|&i| r.push(&sent[i], Timestamp(0)));
            let got = r.next(Timestamp(0)).unwrap_or_else(|| panic!("{blocks:?}: {:?}", r.stats()));
            assert_eq!(&got.data[..], &au[..], "{blocks:?}");
        }
    }
}

#[test]
fn slices_that_do_not_tile_are_never_delivered() {
    let au = unit(3, 40 * 512);
    let mut sent = streamed(&au, 0, 512, &[16, 16, 8], 2, true);
    // Move the second block one shard back, over the first.
    for packet in &mut sent[18..36] {
        let mut h = PacketHeader::decode(packet).expect("header");
        h.frame_bytes -= 512;
        h.encode(packet.first_chunk_mut().expect("header"));
    }
    let mut r = reassembler(512, 20, FecScheme::Gf16);
    sent.iter().for_each(|packet| r.push(packet, Timestamp(0)));
    let (units, events) = drain(&mut r, Timestamp(0));
    assert!(units.is_empty());
    assert_eq!(events, [Event::Lost { first: 0, last: 0 }]);
}

#[test]
fn sealed_from_end_to_end() {
    let key = [7; 16];
    let salt = [1, 2, 3, 4];
    let sealer = Sealer::new(Box::new(scalar::Aes128Gcm::new(&key)), salt, Direction::HostToClient);
    let mut opener = Opener::new(Box::new(scalar::Aes128Gcm::new(&key)), salt, Direction::HostToClient);
    let config = PacketizerConfig {
        shard_payload: 1388,
        max_data_per_block: 4096,
        scheme: FecScheme::Gf16,
        welcome_fec_percent: 10,
        max_frame_bytes: 8 << 20,
    };
    let mut p = Packetizer::new(config, sealer, code(FecScheme::Gf16)).expect("valid");
    let mut r = reassembler(1388, 4096, FecScheme::Gf16);
    let mut batch = PacketBatch::new();
    let meta = FrameMeta { pts_ns: 1, user_flags: UserFlags::PICTURE, strength: Strength::Percent(20), probe: false };
    for index in 0..3u32 {
        let au = unit(index, 50_000);
        p.packetize(&au, &meta, &mut batch).expect("fits");
        assert_eq!(batch.packet_bytes(), 1388 + 64);
        assert!(batch.packet(0)[SHARD_OFFSET..][..64] != au[..64], "sealed");
        for (i, packet) in batch.iter().enumerate().skip(4) {
            let mut packet = packet.to_vec();
            assert_eq!(u64::from_be_bytes(packet[..8].try_into().expect("8")), u64::from(index) * 45 + i as u64);
            r.push(opener.open(&mut packet).expect("opens"), Timestamp(0));
            assert!(matches!(opener.open(&mut packet), Err(OpenError::Replayed(_))));
        }
        assert_eq!(&r.next(Timestamp(0)).expect("recovered").data[..], &au[..]);
    }
}

/// What a hostile or broken network does to the packets of a stream.
#[derive(Clone, Debug)]
struct Weather {
    sizes: Vec<usize>,
    shard: u16,
    max_data: u16,
    scheme: FecScheme,
    percent: u8,
    loss: u32,
    /// Largest shift of a packet, in packets.
    shuffle: usize,
    duplicate: u32,
    seed: u64,
}

fn weather() -> impl Strategy<Value = Weather> {
    let code = prop_oneof![
        (prop_oneof![Just(4096u16), 1u16..40]).prop_map(|k| (FecScheme::Gf16, k)),
        (1u16..120).prop_map(|k| (FecScheme::Gf8, k)),
    ];
    let shard = prop_oneof![Just(512u16), Just(1388), Just(700), Just(1408)];
    let sizes = proptest::collection::vec(0usize..30_000, 1..40);
    (sizes, shard, code, 0u8..80, 0u32..40, 0usize..60, 0u32..20, any::<u64>()).prop_map(
        |(sizes, shard, (scheme, max_data), percent, loss, shuffle, duplicate, seed)| Weather {
            sizes,
            shard,
            max_data,
            scheme,
            percent,
            loss,
            shuffle,
            duplicate,
            seed,
        },
    )
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Loss, reordering and duplication: every frame up to the newest is delivered byte for byte or reported lost,
    /// exactly once, in order.
    #[test]
    fn delivered_or_reported_lost_never_wrong(w in weather()) {
        let mut p = packetizer(w.shard, w.max_data, w.scheme);
        let mut r = reassembler(w.shard, w.max_data, w.scheme);
        let mut seed = w.seed;
        let mut wire = vec![];
        let units: Vec<Vec<u8>> = w.sizes.iter().enumerate().map(|(i, &len)| unit(i as u32, len)).collect();
        for (i, au) in units.iter().enumerate() {
            for packet in packets(&mut p, au, i as u64 * 16 * MS, Strength::Percent(w.percent)) {
                if random(&mut seed) % 100 < u64::from(w.loss) {
                    continue;
                }
                let copies = 1 + usize::from(random(&mut seed) % 100 < u64::from(w.duplicate));
                for _ in 0..copies {
                    let shift = random(&mut seed) as usize % (w.shuffle + 1);
                    wire.push((wire.len() + shift, i, packet.clone()));
                }
            }
        }
        wire.sort_by_key(|(at, ..)| *at);
        let mut seen: BTreeMap<u32, bool> = BTreeMap::new();
        let mut expected = 0;
        let mut check = |r: &mut Reassembler, now: Timestamp| -> Result<(), TestCaseError> {
            let mut outcomes = vec![];
            while let Some(got) = r.next(now) {
                prop_assert_eq!(&got.data[..], &units[got.index as usize][..]);
                outcomes.push((got.index, true));
                r.recycle(got);
            }
            while let Some(Event::Lost { first, last }) = r.poll_event() {
                outcomes.extend((first..=last).map(|i| (i, false)));
            }
            outcomes.sort_unstable();
            for (index, delivered) in outcomes {
                prop_assert_eq!(index, expected, "in order, each once");
                expected += 1;
                seen.insert(index, delivered);
            }
            Ok(())
        };
        for (n, (_, frame, packet)) in wire.iter().enumerate() {
            let now = Timestamp(*frame as u64 * 16 * MS + n as u64 * 1000);
            r.push(packet, now);
            check(&mut r, now)?;
        }
        check(&mut r, Timestamp(u64::MAX / 2))?;
        let s = *r.stats();
        prop_assert_eq!(s.delivered + s.lost, seen.len() as u64);
        prop_assert_eq!(s.delivered, seen.values().filter(|&&d| d).count() as u64);
        prop_assert_eq!((s.malformed, s.out_of_limits, s.mismatched), (0, 0, 0));
        if w.loss == 0 && w.shuffle == 0 {
            prop_assert_eq!(s.delivered as usize, w.sizes.len());
        }
        if seen.len() == w.sizes.len() {
            prop_assert_eq!(r.in_flight_bytes(), 0);
        }
    }

    /// Headers that lie about everything: no panic, bounded memory, and only whole frames come out.
    #[test]
    fn lying_headers_do_no_harm(
        seed: u64, slices: bool, count in 1usize..400,
        scheme in prop_oneof![Just(FecScheme::Gf8), Just(FecScheme::Gf16)],
    ) {
        let mut seed = seed;
        let k = if scheme == FecScheme::Gf8 { 100 } else { 64 };
        let mut r = reassembler(512, k, scheme);
        for n in 0..count {
            let mut any = |limit: u64| (random(&mut seed) % limit) as u32;
            let header = PacketHeader {
                pts_ns: u64::from(any(300)) * MS,
                frame_index: if any(20) == 0 { any(u64::from(u32::MAX)) } else { any(5) },
                stream_seq: any(9),
                frame_bytes: [0, 512 * any(64), any(9000), any(1 << 24)][any(4) as usize],
                user_flags: UserFlags(if slices && any(9) > 0 { 0x81 } else { 1 }),
                block_index: any(4) as u16,
                block_count: any(4) as u16,
                data_shards: any(20) as u16,
                recovery_shards: any(20) as u16,
                shard_index: any(30) as u16,
                shard_bytes: 512,
                fec_scheme: any(2) as u8,
                flags: PacketFlags(any(256) as u8),
            };
            let mut packet = vec![n as u8; HEADER_BYTES + 512];
            header.encode(packet.first_chunk_mut().expect("header"));
            r.push(&packet[..packet.len() - any(3) as usize / 2], Timestamp(n as u64 * MS));
            prop_assert!(r.in_flight_bytes() <= 4 * (8 << 20));
            while let Some(u) = r.next(Timestamp(n as u64 * MS)) {
                prop_assert!(u.data.len() <= 8 << 20);
                r.recycle(u);
            }
            while r.poll_event().is_some() {}
        }
    }
}
