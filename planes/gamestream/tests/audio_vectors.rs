//! Sound packets against recorded ones, both ways, and as a client meets them.

mod receiver;

use std::time::Duration;

use proptest::prelude::*;
use punktfunk_gamestream::wire::audio::{AudioConfig, AudioKey, AudioPacketError, AudioPacketizer};
use receiver::audio::Receiver;
use receiver::{hex, key, number, vectors};

fn config(duration_ms: u64, key: Option<([u8; 16], u32)>) -> AudioConfig {
    let key = key.map(|(rikey, rikey_id)| AudioKey { rikey, rikey_id });
    AudioConfig { duration: Duration::from_millis(duration_ms), key }
}

#[test]
fn recorded_blocks_are_reproduced_and_received_whatever_is_lost() {
    let file = vectors(include_str!("vectors/audio.json"));
    let secret = (key(&file["key"]), number(&file["rikeyid"]) as u32);
    for (name, secret) in [("encrypted_block", Some(secret)), ("plain_block", None)] {
        let recorded = file[name].as_array().expect("packets");
        let wire: Vec<_> = recorded.iter().map(|p| hex(&p["wire"])).collect();
        let coded: Vec<_> = recorded[..4].iter().map(|p| hex(&p["plain"])).collect();

        let mut packetizer = AudioPacketizer::new(&config(5, secret));
        let mut ours = Vec::new();
        for block in &coded {
            ours.extend(packetizer.push(block).expect("fits").map(<[u8]>::to_vec));
        }
        assert_eq!(ours, wire, "{name}");

        for lost in 0..1_u32 << wire.len() {
            let mut client = Receiver::new(5, secret);
            wire.iter().enumerate().filter(|(i, _)| lost >> i & 1 == 0).for_each(|(_, packet)| client.push(packet));
            let expected = (lost.count_ones() <= 2).then(|| coded.clone());
            assert_eq!(client.finish(), expected, "{name} without {lost:06b}");
        }
    }
}

#[test]
fn the_matrix_is_that_of_the_reference() {
    let audio = vectors(include_str!("vectors/reed_solomon.json"))["audio"].clone();
    let shards = |name: &str| -> Vec<_> { audio[name].as_array().expect("shards").iter().map(hex).collect() };
    let mut packetizer = AudioPacketizer::new(&config(5, None));
    let mut parity = Vec::new();
    for shard in shards("data_shards") {
        parity = packetizer.push(&shard).expect("fits").skip(1).map(|packet| packet[24..].to_vec()).collect();
    }
    assert_eq!(parity, shards("parity_shards"));
}

#[test]
fn a_block_of_another_length_is_refused_and_takes_no_number() {
    let mut packetizer = AudioPacketizer::new(&config(10, None));
    let mut push = |len: usize| packetizer.push(&vec![7; len]).map(|p| p.map(<[u8]>::to_vec).collect::<Vec<_>>());
    assert_eq!(push(60).expect("fits").len(), 1);
    assert_eq!(push(61), Err(AudioPacketError::Uneven { len: 61, expected: 60 }));
    assert_eq!(push(0), Err(AudioPacketError::Length(0)));
    assert_eq!(push(1377), Err(AudioPacketError::Length(1377)));
    for number in 1..4 {
        let packets = push(60).expect("fits");
        assert_eq!(packets[0][2..8], [0, number, 0, 0, 0, 10 * number]);
    }
    // The next block may have another length.
    assert_eq!(push(80).expect("fits")[0][2..8], [0, 4, 0, 0, 0, 40]);
}

#[test]
fn sequences_wrap_at_a_block_and_ivs_wrap_with_their_number() {
    let secret = Some(([9; 16], u32::MAX - 100));
    let mut packetizer = AudioPacketizer::new(&config(5, secret));
    let mut client = Receiver::new(5, secret);
    for i in 0..65_536 + 4_u32 {
        if i % 4 == 0 {
            client = Receiver::new(5, secret);
        }
        let coded = i.to_le_bytes();
        packetizer.push(&coded).expect("fits").for_each(|packet| client.push(packet));
        if i % 4 == 3 && !(400..=65_500).contains(&i) {
            let coded = client.finish().expect("all there");
            assert_eq!(coded[3], i.to_le_bytes());
        }
    }
}

proptest! {
    /// Any two of six packets may be lost; what comes out is what went in, or nothing.
    #[test]
    fn any_four_of_six_are_enough(
        coded in (1_usize..=1350).prop_flat_map(|len| {
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), len), 4)
        }),
        lost in 0_u32..64, secret in proptest::option::of(any::<([u8; 16], u32)>()),
    ) {
        let mut packetizer = AudioPacketizer::new(&config(5, secret));
        let mut client = Receiver::new(5, secret);
        let mut number = 0;
        for block in &coded {
            for packet in packetizer.push(block).expect("fits") {
                if lost >> number & 1 == 0 {
                    client.push(packet);
                }
                number += 1;
            }
        }
        prop_assert_eq!(number, 6);
        prop_assert_eq!(client.finish(), (lost.count_ones() <= 2).then_some(coded));
    }
}
