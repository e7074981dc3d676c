//! The judge finds nothing in packets made by the book, mends what can be mended, and sees every rule broken.

#[path = "host/packets.rs"]
mod packets;

use std::time::Instant;

use packets::{AudioPacketizer, Packetizer, unit};
use punktfunk_core::Codec;
use punktfunk_gsclient::audio::{self, Audio, AudioOptions};
use punktfunk_gsclient::video::{Frame, Output, Video, VideoOptions};
use punktfunk_gsclient::{Loss, Violations};

const KEY: [u8; 16] = [7; 16];

fn receiver(key: Option<[u8; 16]>, invalidation: bool) -> Video {
    Video::new(VideoOptions {
        packet_size: 1024,
        codec: Some(Codec::H264),
        key,
        invalidation,
        min_recovery: 2,
        verify_recovery: true,
    })
    .unwrap()
}

fn frames(video: &mut Video) -> Vec<Frame> {
    std::iter::from_fn(|| video.poll()).filter_map(|o| if let Output::Frame(f) = o { Some(f) } else { None }).collect()
}

/// Sizes around everything that matters: one shard, exact multiples, one block and more, no FEC at all.
const LENGTHS: [usize; 10] = [40, 1000, 1001, 2008, 5000, 100_000, 212 * 1008 - 8, 213 * 1008, 700_000, 900_000];

#[test]
fn packets_by_the_book_give_their_units_and_no_violation() {
    for key in [None, Some(KEY)] {
        let (mut sender, mut video) = (Packetizer::new(1024, key), receiver(key, false));
        for (i, len) in LENGTHS.into_iter().enumerate() {
            let index = i as u32 + 1;
            let sent = unit(index == 1, len, i as u8);
            for datagram in sender.frame(index, if index == 1 { 2 } else { 1 }, &sent, index * 1500) {
                video.datagram(Instant::now(), &datagram);
            }
            let got = frames(&mut video);
            assert_eq!(got.len(), 1, "{len} bytes");
            assert_eq!((got[0].index, got[0].latency, got[0].timestamp), (index, 123, index * 1500));
            assert!(got[0].data == sent, "{len} bytes");
        }
        let (stats, violations) = video.finish();
        assert!(violations.is_empty(), "{violations:?}");
        assert_eq!((stats.frames, stats.lost, stats.keyframes, stats.late), (10, 0, 1, 0));
        assert_eq!(stats.most_blocks, 4);
        assert_eq!(stats.blocks_verified, 13);
    }
}

#[test]
fn losses_within_the_code_are_mended_and_beyond_it_asked_about() {
    let (mut sender, mut video) = (Packetizer::new(1024, Some(KEY)), receiver(Some(KEY), false));
    let mut loss = Loss::new(3.0, 1, 5);
    let (mut sent, mut next_key) = (Vec::new(), true);
    for index in 1..=300_u32 {
        let this = unit(next_key, 20_000 + index as usize * 7, index as u8);
        for datagram in sender.frame(index, if next_key { 2 } else { 1 }, &this, index * 1500) {
            if !loss.drop_next() {
                video.datagram(Instant::now(), &datagram);
            }
        }
        next_key = false;
        sent.push(this);
        while let Some(output) = video.poll() {
            match output {
                Output::Frame(frame) => assert!(frame.data == sent[frame.index as usize - 1], "frame {}", frame.index),
                Output::RequestIdr => next_key = true,
                Output::FecStatus(status) => assert!(status.missing > 0 || status.data_received < status.data),
                other => panic!("{other:?}"),
            }
        }
    }
    let (stats, violations) = video.finish();
    assert!(violations.is_empty(), "{violations:?}");
    assert!(stats.recovered > 50, "{stats:?}");
    assert_eq!(stats.frames + stats.lost + stats.discarded, 300, "{stats:?}");
}

#[test]
fn a_lost_frame_is_invalidated_until_one_comes_that_does_without() {
    let (mut sender, mut video) = (Packetizer::new(1024, None), receiver(None, true));
    let mut send = |video: &mut Video, index: u32, kind: u8, arrives: bool| {
        let datagrams = sender.frame(index, kind, &unit(kind == 2, 3000, 1), index * 1500);
        datagrams.iter().filter(|_| arrives).for_each(|d| video.datagram(Instant::now(), d));
        std::iter::from_fn(|| video.poll()).collect::<Vec<_>>()
    };
    assert!(matches!(send(&mut video, 1, 2, true)[..], [Output::Frame(_)]));
    assert!(send(&mut video, 2, 1, false).is_empty());
    let asked = send(&mut video, 3, 1, true);
    assert!(
        matches!(asked[..], [Output::Invalidate { first: 2, last: 2 }, Output::Invalidate { first: 2, last: 3 }]),
        "{asked:?}"
    );
    assert!(matches!(send(&mut video, 4, 5, true)[..], [Output::Frame(_)]));
    let (stats, violations) = video.finish();
    assert!(violations.is_empty(), "{violations:?}");
    assert_eq!((stats.lost, stats.discarded, stats.recovery_frames), (1, 1, 1));
}

#[test]
fn what_still_comes_in_at_the_end_is_not_lost() {
    let (mut sender, mut video) = (Packetizer::new(1024, None), receiver(None, false));
    let whole = sender.frame(1, 2, &unit(true, 3000, 1), 1500);
    let half = sender.frame(2, 1, &unit(false, 3000, 2), 3000);
    whole.iter().chain(&half[..2]).for_each(|d| video.datagram(Instant::now(), d));
    let (stats, violations) = video.finish();
    assert!(violations.is_empty(), "{violations:?}");
    assert_eq!((stats.frames, stats.lost, stats.idr_requests), (1, 0, 0));
}

/// Sends three frames of which the second is spoilt, and gives what the judge says.
fn spoilt(spoil: impl Fn(&mut Vec<u8>)) -> Violations {
    let (mut sender, mut video) = (Packetizer::new(1024, None), receiver(None, false));
    for index in 1..=3 {
        let kind = if index == 1 { 2 } else { 1 };
        let datagrams = sender.frame_with(index, kind, &unit(kind == 2, 9000, 3), index * 1500, |shard| {
            if index == 2 {
                spoil(shard);
            }
        });
        datagrams.iter().for_each(|d| video.datagram(Instant::now(), d));
    }
    video.finish().1
}

#[test]
fn every_broken_rule_of_a_shard_is_seen() {
    assert!(spoilt(|_| {}).is_empty());
    let is_recovery = |shard: &[u8]| (shard[29] as usize >> 4 | (shard[30] as usize & 0x3F) << 4) >= 9;
    type Spoil<'a> = (&'a str, &'a str, Box<dyn Fn(&mut Vec<u8>) + 'a>);
    let cases: Vec<Spoil<'_>> = vec![
        ("no extension bit", "§8.5", Box::new(|s| s[0] = 0x80)),
        ("payload type", "§8.3", Box::new(|s| s[1] = 96)),
        ("SSRC", "§8.3", Box::new(|s| s[8] = 1)),
        ("reserved", "§8.3", Box::new(|s| s[12] = 1)),
        ("timestamp backwards", "§8.3", Box::new(|s| s[4..8].copy_from_slice(&700_u32.to_be_bytes()))),
        ("timestamp 0", "§8.3", Box::new(|s| s[4..8].fill(0))),
        ("unknown flag", "§8.3", Box::new(|s| s[24] |= 8)),
        ("no SOF", "§8.3", Box::new(|s| s[24] &= !4)),
        ("extraFlags", "§8.3", Box::new(move |s| s[25] = if is_recovery(s) { s[25] } else { 2 })),
        ("multiFecFlags", "§8.3", Box::new(move |s| s[26] = if is_recovery(s) { s[26] } else { 0 })),
        ("streamPacketIndex stands still", "§8.3", Box::new(|s| s[17] = 0)),
        ("recovery flags overwritten", "§8.6", Box::new(move |s| s[24] = if is_recovery(s) { 1 } else { s[24] })),
        ("recovery bytes", "§8.6", Box::new(move |s| s[100] ^= u8::from(is_recovery(s)))),
        ("percentage changes inside a block", "§8.5", Box::new(|s| s[28] ^= u8::from(s[3] % 2 == 0) << 4)),
        ("middle shard short", "§8.2", Box::new(|s| s.truncate(if s[24] == 1 { 900 } else { 1040 }))),
        ("shard too long", "§8.2", Box::new(|s| s.push(0))),
        ("low bits of block byte", "§8.3", Box::new(|s| s[27] |= 1)),
        ("frame header", "§8.4", Box::new(|s| s[32] = if s[24] & 4 != 0 { 0x81 } else { s[32] })),
        ("frame type", "§8.4", Box::new(|s| s[35] = if s[24] & 4 != 0 { 3 } else { s[35] })),
        ("lastPayloadLen", "§8.4", Box::new(|s| s[36..38].fill(0))),
        ("no start code", "§8.8", Box::new(|s| s[40..45].fill(9))),
    ];
    for (name, rule, spoil) in cases {
        let violations = spoilt(spoil);
        assert!(violations.list().iter().any(|l| l.starts_with(rule)), "{name}: {violations:?}");
    }
}

#[test]
fn broken_rules_of_whole_sessions_are_seen() {
    let run = |key: Option<[u8; 16]>, make: &dyn Fn(&mut Packetizer) -> Vec<Vec<u8>>| {
        let (mut sender, mut video) = (Packetizer::new(1024, key), receiver(key, false));
        make(&mut sender).iter().for_each(|d| video.datagram(Instant::now(), d));
        video.finish().1
    };
    let key = unit(true, 3000, 1);
    let p = unit(false, 3000, 1);
    let two = |first: u32, second: u32| {
        let (key, p) = (key.clone(), p.clone());
        move |s: &mut Packetizer| [s.frame(first, 2, &key, 1500), s.frame(second, 1, &p, 3000)].concat()
    };
    assert!(run(None, &two(1, 2)).is_empty());
    assert!(run(Some(KEY), &two(1, 2)).is_empty());
    for (name, rule, violations) in [
        ("begins at 0", "§8.3", run(None, &two(0, 1))),
        ("begins at 2", "§8.3", run(None, &two(2, 3))),
        ("a number left out", "§8.3", run(None, &two(1, 3))),
        ("first frame is no keyframe", "§8.9", run(None, &|s| s.frame(1, 1, &p, 1500))),
        ("keyframe marked P", "§8.8", run(None, &|s| [s.frame(1, 2, &key, 1500), s.frame(2, 1, &key, 3000)].concat())),
        ("no parameter sets", "§8.8", run(None, &|s| s.frame(1, 2, &[0, 0, 1, 0x65, 1, 2, 3], 1500))),
        ("slice in the second shard", "§8.8", {
            let mut unit = vec![0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 1, 0, 0, 1, 6];
            unit.extend([1; 2000]);
            unit.extend([0, 0, 1, 0x65, 1]);
            run(None, &|s| s.frame(1, 2, &unit, 1500))
        }),
        (
            "sequence begins high",
            "§8.3",
            run(None, &|s| {
                s.sequence = 0x9000;
                s.frame(1, 2, &key, 1500)
            }),
        ),
        (
            "too few recovery shards",
            "§8.5",
            run(None, &|s| {
                s.min_recovery = 1;
                s.frame(1, 2, &key, 1500)
            }),
        ),
        (
            "IV begins elsewhere",
            "§8.7",
            run(Some(KEY), &|s| {
                s.counter = 5;
                s.frame(1, 2, &key, 1500)
            }),
        ),
        ("in clear", "§8.7", run(Some(KEY), &|_| Packetizer::new(1024, None).frame(1, 2, &key, 1500))),
        ("another key", "§8.7", run(Some(KEY), &|_| Packetizer::new(1024, Some([1; 16])).frame(1, 2, &key, 1500))),
        ("other packet size", "§8.2", run(None, &|_| Packetizer::new(512, None).frame(1, 2, &key, 1500))),
    ] {
        assert!(violations.list().iter().any(|l| l.starts_with(rule)), "{name}: {violations:?}");
    }
}

#[test]
fn nothing_that_comes_off_the_wire_panics() {
    let mut state = 1_u64;
    let mut byte = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut sender = Packetizer::new(1024, None);
    let good: Vec<Vec<u8>> =
        (1..5).flat_map(|i| sender.frame(i, if i == 1 { 2 } else { 1 }, &unit(i == 1, 9000, 1), i * 1500)).collect();
    let (mut video, mut audio) =
        (receiver(None, true), Audio::new(AudioOptions { duration_ms: 5, key: Some((KEY, 9)) }));
    for round in 0..20_000_usize {
        let mut datagram = good[round % good.len()].clone();
        for _ in 0..usize::from(byte() % 4) {
            let at = usize::from(byte()) % 48;
            datagram[at] = byte();
        }
        datagram.truncate(if byte() < 16 { usize::from(byte()) } else { datagram.len() });
        video.datagram(Instant::now(), &datagram);
        while video.poll().is_some() {}
        let kind = if byte() < 128 { 97 } else { 127 };
        datagram.iter_mut().zip([0x80, kind]).for_each(|(to, from)| *to = from);
        datagram.truncate(64);
        audio.datagram(&datagram);
        while audio.poll().is_some() {}
    }
}

#[test]
fn audio_by_the_book_passes_and_every_broken_rule_is_seen() {
    let session = |spoil: &dyn Fn(usize, &mut Vec<u8>), loss: &mut Loss| {
        let (mut sender, mut audio) =
            (AudioPacketizer::default(), Audio::new(AudioOptions { duration_ms: 5, key: None }));
        let (mut n, mut next) = (0, 0);
        // Past the wrap of the sequence.
        for i in 0..66_000_u32 {
            for mut datagram in sender.packet(&[i as u8; 20], 5) {
                spoil(n, &mut datagram);
                n += 1;
                if !loss.drop_next() {
                    audio.datagram(&datagram);
                }
            }
            while let Some(output) = audio.poll() {
                let (audio::Output::Packet { sequence, .. } | audio::Output::Lost { sequence }) = output;
                assert_eq!(sequence, next);
                next += 1;
            }
        }
        audio.finish()
    };
    let (stats, violations) = session(&|_, _| {}, &mut Loss::none());
    assert!(violations.is_empty(), "{violations:?}");
    assert_eq!((stats.packets, stats.fec_packets, stats.lost, stats.blocks_verified), (66_000, 33_000, 0, 16_500));
    let (stats, violations) = session(&|_, _| {}, &mut Loss::new(5.0, 1, 3));
    assert!(violations.is_empty(), "{violations:?}");
    assert!(stats.rebuilt > 2_000 && stats.lost < stats.rebuilt / 5, "{stats:?}");
    type Spoil<'a> = (&'a str, &'a dyn Fn(usize, &mut Vec<u8>));
    let cases: [Spoil<'_>; 7] = [
        ("samples for milliseconds", &|_, d| d[4..8].copy_from_slice(&240_u32.to_be_bytes())),
        ("variable rate", &|n, d| d.truncate(if n == 2 { 30 } else { 32 })),
        ("type", &|_, d| d[1] = 96),
        ("FEC base", &|_, d| d[15] ^= u8::from(d[1] == 127)),
        ("FEC bytes", &|_, d| d[30] ^= u8::from(d[1] == 127)),
        ("FEC timestamp", &|_, d| d[19] ^= u8::from(d[1] == 127)),
        ("begins elsewhere", &|_, d| d[2] = 1),
    ];
    for (name, spoil) in cases {
        // `same order` is not asserted for spoilt streams, so only the first packets go in.
        let (mut sender, mut audio) =
            (AudioPacketizer::default(), Audio::new(AudioOptions { duration_ms: 5, key: None }));
        let mut n = 0;
        for i in 0..12 {
            for mut datagram in sender.packet(&[i; 20], 5) {
                spoil(n, &mut datagram);
                n += 1;
                audio.datagram(&datagram);
            }
        }
        assert!(!audio.finish().1.is_empty(), "{name}");
    }
}
