//! The golden bytes of the video plane (punktfunk1.md §9.4, §9.6), read from `tests/vectors`.

use std::collections::HashMap;

use punktfunk_core::fec::{Fec, Gf8Cauchy, Gf16Leopard, ShardLayout};
use punktfunk_core::packet::{HEADER_BYTES, PacketFlags, PacketHeader, UserFlags};
use punktfunk_core::seal::{Aead, Direction, OpenError, Opener, Sealer, scalar};

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex: {text}");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex digit")).collect()
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
}

fn video() -> HashMap<&'static str, Vec<u8>> {
    let pairs = lines(include_str!("vectors/video.txt")).map(|l| l.split_once(" = ").expect("name = hex"));
    pairs.map(|(name, value)| (name, hex(value))).collect()
}

#[test]
fn header() {
    let header = PacketHeader {
        pts_ns: 0x0102_0304_0506_0708,
        frame_index: 7,
        stream_seq: 42,
        frame_bytes: 3000,
        user_flags: UserFlags::PICTURE | UserFlags::KEYFRAME,
        block_index: 0,
        block_count: 1,
        data_shards: 3,
        recovery_shards: 2,
        shard_index: 0,
        shard_bytes: 1408,
        fec_scheme: 1,
        flags: PacketFlags::PICTURE | PacketFlags::START_OF_FRAME,
    };
    let expected = &video()["header"];
    let mut bytes = [0; HEADER_BYTES];
    header.encode(&mut bytes);
    assert_eq!(&bytes[..], &expected[..]);
    assert_eq!(PacketHeader::decode(expected), Ok(header));
}

#[test]
fn nonces() {
    let vectors = video();
    let salt = [0xa1, 0xb2, 0xc3, 0xd4];
    for (name, direction) in
        [("host_to_client_nonce", Direction::HostToClient), ("client_to_host_nonce", Direction::ClientToHost)]
    {
        assert_eq!(vectors[name][..4], direction.salt(salt), "{name}");
    }
}

type Make = fn(&[u8; 32]) -> Box<dyn Aead>;

#[test]
fn sealing_and_opening() {
    let vectors = video();
    let key32: [u8; 32] = std::array::from_fn(|i| i as u8);
    let salt = [0xa1, 0xb2, 0xc3, 0xd4];
    let cases: [(&str, Direction, Make); 3] = [
        ("host_to_client_aes128gcm", Direction::HostToClient, aes),
        ("client_to_host_aes128gcm", Direction::ClientToHost, aes),
        ("host_to_client_chacha20poly1305", Direction::HostToClient, |k| Box::new(scalar::ChaCha20Poly1305::new(k))),
    ];
    for (name, direction, aead) in cases {
        let expected = &vectors[name];
        let mut sealer = Sealer::new(aead(&key32), salt, direction);
        let mut packet = vec![0; 8 + 9 + 16];
        assert_eq!(sealer.seal_packet(&mut packet), 0);
        packet[8..17].copy_from_slice(b"punktfunk");
        assert_eq!(sealer.seal_packet(&mut packet), 1);
        assert_eq!(&packet, expected, "{name}");

        let mut opener = Opener::new(aead(&key32), salt, direction);
        assert_eq!(opener.open(&mut packet), Ok(&mut b"punktfunk"[..].to_vec()[..]));
        assert_eq!(opener.open(&mut expected.clone()), Err(OpenError::Replayed(1)), "{name}");
        assert_eq!(opener.open(&mut expected[..23].to_vec()), Err(OpenError::TooShort(23)));
        let mut forged = expected.clone();
        forged[7] = 2;
        assert_eq!(opener.open(&mut forged), Err(OpenError::Forged), "the sequence is authenticated");
        assert_eq!((opener.accepted(), opener.highest()), (1, Some(1)));
    }
}

fn aes(key: &[u8; 32]) -> Box<dyn Aead> {
    let short: &[u8; 16] = key.first_chunk().expect("16 of 32");
    Box::new(scalar::Aes128Gcm::new(short))
}

#[test]
fn fec() {
    let mut cases = 0;
    for line in lines(include_str!("vectors/fec.txt")) {
        let parts: Vec<&str> = line.split(':').map(str::trim).collect();
        let (scheme, m) = parts[0].split_once(' ').expect("scheme m");
        let m: usize = m.parse().expect("m");
        let data: Vec<Vec<u8>> = parts[1].split(' ').map(hex).collect();
        let expected: Vec<Vec<u8>> = parts[2].split(' ').map(hex).collect();
        let mut code: Box<dyn Fec> =
            if scheme == "gf16" { Box::new(Gf16Leopard::new()) } else { Box::new(Gf8Cauchy::new()) };
        let size = data[0].len();
        // The one-byte vector of GF(2^8) cannot ride in an even shard: give it a second, zero byte.
        let padded = size.next_multiple_of(2);
        let lay = |shards: &[Vec<u8>]| -> Vec<u8> {
            shards.iter().flat_map(|s| s.iter().copied().chain(std::iter::repeat_n(0, padded - size))).collect()
        };
        let layout = ShardLayout { stride: padded, shard_bytes: padded, k: data.len(), m };
        let mut bytes = lay(&data);
        let mut recovery = vec![0xEE; m * padded];
        code.encode(&bytes, &mut recovery, &layout).expect("encodes");
        assert_eq!(recovery, lay(&expected), "{line}");

        // And back: the first m data shards from all recovery shards.
        let whole = bytes.clone();
        let missing: Vec<u16> = (0..m as u16).collect();
        bytes[..m * padded].fill(0xAA);
        code.recover(&mut bytes, &missing, &recovery, &missing, &layout).expect("recovers");
        assert_eq!(bytes, whole, "{line}");
        cases += 1;
    }
    assert_eq!(cases, 3);
}
