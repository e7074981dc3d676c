//! Video packets, past the crypto: what a client does with plaintexts that authenticate.
//!
//! ```text
//! input = config u8 ‖ rest
//!   bit 0     GF(2^8) instead of GF(2^16)        bit 1   shard sizes may change mid-session
//!   bits 2–3  K = 2, 5, 16 or 200
//!   bit 7     0: rest = (ms u8 ‖ len u16 ‖ plaintext)*     packets nobody packetized
//!             1: rest = (op u8)*                           packets of a real packetizer on a bad path
//! ```

use std::collections::BTreeMap;

use punktfunk_core::Timestamp;
use punktfunk_core::fec::{Fec, FecScheme, Gf8Cauchy, Gf16Leopard, Strength};
use punktfunk_core::packet::{PacketBatch, PacketHeader, UserFlags, max_frame_bytes};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::reassemble::{AccessUnit, Event, Reassembler, ReassemblerConfig, Stats};
use punktfunk_core::seal::{Aead, AeadTag, Direction, OpenError, Opener, Sealer, scalar};

/// Opener and reassembler with any bytes: no panic, nothing forged, nothing out of order or out of bounds.
pub fn fuzz_video_packets(data: &[u8]) {
    let Some((config, rest)) = data.split_first() else { return };
    let config = Config::new(*config);
    if config.real {
        let _ = bad_path(config, rest);
    } else {
        forged(rest);
        let _ = hostile_host(config, rest);
    }
}

#[derive(Clone, Copy)]
struct Config {
    scheme: FecScheme,
    renegotiate: bool,
    k: u16,
    real: bool,
}

/// The smallest shard: the more packets fit into one input.
const SHARD: u16 = 512;
const KBPS: u32 = 20_000;
const HZ: u32 = 60;
const MS: u64 = 1_000_000;

impl Config {
    const fn new(byte: u8) -> Self {
        let scheme = if byte & 1 != 0 { FecScheme::Gf8 } else { FecScheme::Gf16 };
        let k = [2, 5, 16, 200][(byte >> 2 & 3) as usize];
        // The small code holds 255 shards in all, recovery included.
        let k = if matches!(scheme, FecScheme::Gf8) && k > 100 { 100 } else { k };
        Self { scheme, renegotiate: byte & 2 != 0, k, real: byte & 0x80 != 0 }
    }

    fn fec(self) -> Box<dyn Fec> {
        match self.scheme {
            FecScheme::Gf8 => Box::new(Gf8Cauchy::new()),
            FecScheme::Gf16 => Box::new(Gf16Leopard::new()),
        }
    }

    fn reassembler(self) -> Reassembler {
        let config = ReassemblerConfig {
            max_data_per_block: self.k,
            shard_payload: SHARD,
            max_shard_payload: if self.renegotiate { 9152 } else { 0 },
            scheme: self.scheme,
            fec_percent: 10,
            bitrate_kbps: KBPS,
            refresh_hz: HZ,
        };
        Reassembler::new(config, self.fec())
    }

    fn packetizer(self) -> Packetizer {
        let config = PacketizerConfig {
            shard_payload: SHARD,
            max_data_per_block: self.k,
            scheme: self.scheme,
            welcome_fec_percent: 50,
            max_frame_bytes: max_frame_bytes(KBPS, HZ),
        };
        let sealer = Sealer::new(Box::new(NoCrypto), [0; 4], Direction::HostToClient);
        Packetizer::new(config, sealer, self.fec()).expect("every configuration above is one that receivers take")
    }
}

/// Whatever a stranger sends does not open.
fn forged(rest: &[u8]) {
    let mut opener = Opener::new(Box::new(scalar::Aes128Gcm::new(&[7; 16])), [1; 4], Direction::HostToClient);
    let mut packet = rest[..rest.len().min(2048)].to_vec();
    assert!(opener.open(&mut packet).is_err(), "a packet without the key");
}

/// Watches what comes out of a reassembler.
#[derive(Default)]
struct Watch {
    last: Option<u32>,
    delivered: u64,
}

impl Watch {
    fn drain(&mut self, reassembler: &mut Reassembler, now: Timestamp, mut check: impl FnMut(&AccessUnit)) {
        while let Some(unit) = reassembler.next(now) {
            self.advance(unit.index, unit.index);
            self.delivered += 1;
            assert!(unit.data.len() <= max_frame_bytes(KBPS, HZ), "{} bytes", unit.data.len());
            assert!(unit.first_packet_at <= unit.last_packet_at);
            assert!(!unit.user_flags.contains(UserFlags::PROBE), "filler is never decoded");
            check(&unit);
            reassembler.recycle(unit);
        }
        while let Some(Event::Lost { .. }) = reassembler.poll_event() {}
        assert_eq!(reassembler.stats().delivered, self.delivered);
    }

    /// Each number is delivered at most once, in order.
    fn advance(&mut self, first: u32, last: u32) {
        assert!(self.last.is_none_or(|l| first.wrapping_sub(l) as i32 > 0), "{first} after {:?}", self.last);
        self.last = Some(last);
    }
}

/// A host with the right key and the wrong ideas.
fn hostile_host(config: Config, mut rest: &[u8]) -> Stats {
    let mut reassembler = config.reassembler();
    let (mut watch, mut now) = (Watch::default(), Timestamp(1_000 * MS));
    while let [ms, low, high, after @ ..] = rest {
        let (packet, after) = after.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(after.len()));
        rest = after;
        now.0 += u64::from(*ms) * MS;
        if let Ok(header) = PacketHeader::decode(packet) {
            let mut again = [0; punktfunk_core::packet::HEADER_BYTES];
            header.encode(&mut again);
            assert_eq!(PacketHeader::decode(&again), Ok(header));
        }
        reassembler.push(packet, now);
        watch.drain(&mut reassembler, now, |_| {});
    }
    now.0 += 500 * MS;
    watch.drain(&mut reassembler, now, |_| {});
    *reassembler.stats()
}

/// A real host behind a path that loses, repeats and reorders: what comes out is what went in.
fn bad_path(config: Config, ops: &[u8]) -> Stats {
    let mut packetizer = config.packetizer();
    let mut opener = Opener::new(Box::new(NoCrypto), [0; 4], Direction::HostToClient);
    let mut reassembler = config.reassembler();
    let (mut watch, mut now) = (Watch::default(), Timestamp(1_000 * MS));
    let mut batch = PacketBatch::new();
    let mut sent: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut late: Vec<Vec<u8>> = Vec::new();
    let mut ops = ops.iter().copied();

    while let Some(size) = ops.next() {
        // 0 to 40 shards, with a last one that is not full.
        let bytes = usize::from(size) * 83;
        let au: Vec<u8> = (0..bytes).map(|i| (i as u8).wrapping_mul(31).wrapping_add(size)).collect();
        let strength = Strength::Percent(ops.next().unwrap_or(10) % 60);
        let meta = FrameMeta { pts_ns: now.0, user_flags: UserFlags::PICTURE, strength, probe: size == 7 };
        let Ok(index) = packetizer.packetize(&au, &meta, &mut batch) else { continue };
        if !meta.probe {
            sent.insert(index, au);
        }
        let mut deliver = |packet: &[u8]| {
            let mut packet = packet.to_vec();
            if let Ok(plaintext) = opener.open(&mut packet) {
                reassembler.push(plaintext, now);
            }
        };
        for packet in batch.iter() {
            match ops.next().unwrap_or(0) {
                // Most packets simply arrive.
                0..=170 => deliver(packet),
                171..=210 => {}
                211..=230 => late.push(packet.to_vec()),
                231..=240 => (deliver(packet), deliver(packet)).1,
                _ => {
                    deliver(packet);
                    late.drain(..).for_each(|packet| deliver(&packet));
                }
            }
        }
        now.0 += 1_000 * MS / u64::from(HZ);
        watch.drain(&mut reassembler, now, |unit| {
            assert_eq!(Some(&*unit.data), sent.get(&unit.index).map(Vec::as_slice), "frame {}", unit.index);
        });
    }
    *reassembler.stats()
}

/// Fuzzing stops at a real AEAD, so this one lets everything through.
struct NoCrypto;

impl Aead for NoCrypto {
    fn seal(&self, _nonce: &[u8; 12], _aad: &[u8], _in_out: &mut [u8]) -> AeadTag {
        [0; 16]
    }

    fn open(&self, _nonce: &[u8; 12], _aad: &[u8], _sealed: &mut [u8]) -> Result<(), OpenError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies are worth their time only if they get past the first checks.
    #[test]
    fn the_ways_in_lead_somewhere() {
        let streamed = include_bytes!("../corpus/video_packets/seed-02");
        let stats = hostile_host(Config::new(streamed[0]), &streamed[1..]);
        assert_eq!((stats.delivered, stats.packets), (1, 6), "a streamed access unit of six packets");

        for byte in (0x80..=0x8f).filter(|byte| byte & 2 == 0) {
            let ops: Vec<u8> = (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let stats = bad_path(Config::new(byte), &ops);
            assert!(stats.delivered > 5 && stats.recovered_frames > 0 && stats.lost > 0, "{byte:#x}: {stats:?}");
        }
    }
}
