//! The receiving half of audio (§9), without sockets: datagrams go in, packets come out in order.
//!
//! ```text
//! 4 data packets ─┐
//! 2 FEC packets  ─┴─► block ─► rebuilt if need be ─► opened ─► Packet | Lost
//! ```

use std::collections::VecDeque;

use punktfunk_core::fec::gf8;
use serde::Serialize;

use crate::Violations;
use crate::bytes::Bytes;
use crate::crypto::{Key, cbc_decrypt};

/// What was negotiated.
#[derive(Clone, Debug)]
pub struct AudioOptions {
    /// Milliseconds of a packet: 5 or 10.
    pub duration_ms: u32,
    /// Key and `rikeyid`, if payloads are encrypted.
    pub key: Option<(Key, u32)>,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An Opus packet, in order.
    Packet {
        /// Counts from 0, unwrapped.
        sequence: u64,
        /// Opus.
        data: Vec<u8>,
        /// FEC rebuilt it.
        rebuilt: bool,
    },
    /// A packet that never came.
    Lost {
        /// Counts from 0, unwrapped.
        sequence: u64,
    },
}

/// Counters.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct AudioStats {
    /// Data packets that came.
    pub packets: u64,
    /// FEC packets that came.
    pub fec_packets: u64,
    /// Packets that FEC rebuilt.
    pub rebuilt: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Datagrams of blocks that were past.
    pub late: u64,
    /// Datagrams that could not be used.
    pub bad: u64,
    /// Blocks whose FEC packets were compared.
    pub blocks_verified: u64,
    /// Bytes of payload of a packet.
    pub payload_bytes: u64,
}

/// The receiving half of audio. Give every datagram to [`Audio::datagram`], then drain [`Audio::poll`].
pub struct Audio {
    options: AudioOptions,
    block: Option<Block>,
    payload: Option<usize>,
    out: VecDeque<Output>,
    stats: AudioStats,
    violations: Violations,
}

struct Block {
    /// Unwrapped sequence of its first packet.
    base: u64,
    data: [Option<Vec<u8>>; DATA],
    /// Which of them came by themselves.
    came: [bool; DATA],
    fec: [Option<Vec<u8>>; FEC],
    /// How many of the packets were handed on.
    handed: usize,
}

impl Audio {
    /// Nothing received yet.
    #[must_use]
    pub fn new(options: AudioOptions) -> Self {
        Self {
            options,
            block: None,
            payload: None,
            out: VecDeque::new(),
            stats: AudioStats::default(),
            violations: Violations::default(),
        }
    }

    /// The next packet, or gap.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Counters so far.
    #[must_use]
    pub fn stats(&self) -> &AudioStats {
        &self.stats
    }

    /// Rules broken so far.
    #[must_use]
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Ends: judges the last block. What is missing in it may still be on its way, and is not counted as lost.
    #[must_use]
    pub fn finish(mut self) -> (AudioStats, Violations) {
        if let Some(block) = self.block.take() {
            self.judge(&block);
        }
        (self.stats, self.violations)
    }

    /// Takes a datagram.
    pub fn datagram(&mut self, wire: &[u8]) {
        let mut r = Bytes(wire);
        let v = &mut self.violations;
        v.check(wire.len() <= 1400, "§9.1", || format!("datagram of {} bytes", wire.len()));
        let head = (|| Some((r.u8()?, r.u8()?, r.u16be()?, r.u32be()?, r.u32be()?)))();
        let Some((first, kind, sequence, timestamp, ssrc)) = head else {
            v.note("§9.1", format_args!("datagram of {} bytes", wire.len()));
            self.stats.bad += 1;
            return;
        };
        v.check(first == 0x80 && ssrc == 0, "§9.1", || format!("first byte {first:#04x}, SSRC {ssrc}"));
        match kind {
            97 => self.data(sequence, timestamp, r.0),
            127 => self.fec(sequence, timestamp, r),
            _ => {
                v.note("§9.1", format_args!("payload type {kind}"));
                self.stats.bad += 1;
            }
        }
    }

    fn data(&mut self, sequence: u16, timestamp: u32, payload: &[u8]) {
        self.stats.packets += 1;
        if !self.same_length(payload.len()) {
            return;
        }
        let sequence = self.unwrap(sequence);
        let expected = (sequence as u32).wrapping_mul(self.options.duration_ms);
        self.violations.check(timestamp == expected, "§9.1", || format!("timestamp {timestamp} of packet {sequence}"));
        let Some(block) = self.enter(sequence) else { return };
        let slot = (sequence - block.base) as usize;
        if block.data[slot].is_none() {
            block.data[slot] = Some(payload.to_vec());
            block.came[slot] = true;
        }
        self.hand_on();
    }

    fn fec(&mut self, sequence: u16, timestamp: u32, mut r: Bytes<'_>) {
        self.stats.fec_packets += 1;
        let head = (|| Some((r.u8()?, r.u8()?, r.u16be()?, r.u32be()?, r.u32be()?)))();
        let Some((index, kind, base, base_timestamp, ssrc)) = head else {
            self.violations.note("§9.1", "a short FEC packet");
            self.stats.bad += 1;
            return;
        };
        let v = &mut self.violations;
        let good =
            usize::from(index) < FEC && kind == 97 && base.is_multiple_of(DATA as u16) && ssrc == 0 && timestamp == 0;
        v.check(good, "§9.1", || format!("FEC {index} of type {kind} for {base}, SSRC {ssrc}, timestamp {timestamp}"));
        let own = base.wrapping_add(DATA as u16).wrapping_add(u16::from(index));
        v.check(sequence == own, "§9.1", || format!("FEC {index} for {base} has sequence {sequence}"));
        if !good || !self.same_length(r.0.len()) {
            self.stats.bad += 1;
            return;
        }
        let base = self.unwrap(base);
        let expected = (base as u32).wrapping_mul(self.options.duration_ms);
        self.violations
            .check(base_timestamp == expected, "§9.1", || format!("FEC timestamp {base_timestamp} for {base}"));
        let Some(block) = self.enter(base) else { return };
        block.fec[usize::from(index)] = Some(r.0.to_vec());
        self.hand_on();
    }

    fn same_length(&mut self, len: usize) -> bool {
        let expected = *self.payload.get_or_insert(len);
        self.stats.payload_bytes = expected as u64;
        if len == expected && len > 0 {
            return true;
        }
        self.violations.note("§9.1", format_args!("payload of {len} bytes, before {expected}"));
        self.stats.bad += 1;
        false
    }

    /// Nearest unwrapped sequence to the block at hand.
    fn unwrap(&mut self, sequence: u16) -> u64 {
        match &self.block {
            Some(block) => {
                let step = sequence.wrapping_sub(block.base as u16) as i16;
                block.base.checked_add_signed(i64::from(step)).unwrap_or(u64::from(sequence))
            }
            None => u64::from(sequence),
        }
    }

    /// The block of this packet, `None` if it is past.
    fn enter(&mut self, sequence: u64) -> Option<&mut Block> {
        let base = sequence - sequence % DATA as u64;
        match self.block.as_ref().map(|b| b.base) {
            Some(current) if base < current => {
                self.stats.late += 1;
                return None;
            }
            Some(current) if base == current => {}
            current => {
                if let Some(block) = self.block.take() {
                    self.judge(&block);
                    self.skip(block.base + block.handed as u64, base, &block);
                } else if current.is_none() {
                    self.violations.check(base == 0, "§9.1", || format!("the first packet is {sequence}"));
                }
                self.block =
                    Some(Block { base, data: [const { None }; 4], came: [false; 4], fec: [None, None], handed: 0 });
            }
        }
        self.block.as_mut()
    }

    /// Packets `from..until` are handed on as far as they came, else as lost.
    fn skip(&mut self, from: u64, until: u64, block: &Block) {
        // Beyond this it is no loss but a host that jumps.
        let jump = until.saturating_sub(from) > MAX_GAP;
        self.violations.check(!jump, "§9.1", || format!("packets {from}..{until} were left out"));
        for sequence in from..until.min(from + MAX_GAP) {
            let slot = sequence.checked_sub(block.base).map(|s| s as usize).filter(|s| *s < DATA);
            match slot.and_then(|s| block.data[s].as_deref()) {
                Some(data) => self.emit(sequence, data, false),
                None => {
                    self.stats.lost += 1;
                    self.out.push_back(Output::Lost { sequence });
                }
            }
        }
    }

    /// Hands on what is in order, rebuilding if that can be done.
    fn hand_on(&mut self) {
        let Some(mut block) = self.block.take() else { return };
        let missing = block.data.iter().filter(|d| d.is_none()).count();
        let at_hand = block.fec.iter().flatten().count();
        if missing > 0 && missing <= at_hand {
            rebuild(&mut block);
        }
        while let Some(Some(data)) = block.data.get(block.handed) {
            let rebuilt = !block.came[block.handed];
            self.stats.rebuilt += u64::from(rebuilt);
            self.emit(block.base + block.handed as u64, data, rebuilt);
            block.handed += 1;
        }
        self.block = Some(block);
    }

    fn emit(&mut self, sequence: u64, payload: &[u8], rebuilt: bool) {
        let data = match &self.options.key {
            None => Some(payload.to_vec()),
            Some((key, id)) => {
                let mut iv = [0; 16];
                // §9.4: the packet's 16-bit sequence.
                iv[..4].copy_from_slice(&id.wrapping_add(u32::from(sequence as u16)).to_be_bytes());
                cbc_decrypt(key, &iv, payload)
            }
        };
        match data {
            Some(data) => self.out.push_back(Output::Packet { sequence, data, rebuilt }),
            None => {
                self.violations.note("§9.4", format_args!("packet {sequence} does not open"));
                self.stats.lost += 1;
                self.out.push_back(Output::Lost { sequence });
            }
        }
    }

    /// Compares the FEC packets of a block that came whole.
    fn judge(&mut self, block: &Block) {
        if block.came != [true; DATA] || block.fec.iter().all(Option::is_none) {
            return;
        }
        self.stats.blocks_verified += 1;
        for (row, got) in MATRIX.iter().zip(&block.fec) {
            let Some(got) = got else { continue };
            let want = combine(block, row, got.len());
            self.violations.check(*got == want, "§9.1", || format!("FEC of the block at {} is wrong", block.base));
        }
    }
}

/// Σ row[i] · data[i] over what is there.
fn combine(block: &Block, row: &[u8; DATA], len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    for (c, data) in row.iter().zip(&block.data) {
        for (o, d) in out.iter_mut().zip(data.iter().flatten()) {
            *o ^= gf8::mul(*c, *d);
        }
    }
    out
}

/// Solves for the missing packets; there are at least as many FEC packets.
fn rebuild(block: &mut Block) {
    let missing: Vec<usize> = (0..DATA).filter(|i| block.data[*i].is_none()).collect();
    let rows: Vec<usize> = (0..FEC).filter(|j| block.fec[*j].is_some()).collect();
    // What the FEC packets say about the missing ones alone.
    let syndrome = |j: usize| {
        let fec = block.fec[j].as_deref().unwrap_or_default();
        let known = combine(block, &MATRIX[j], fec.len());
        fec.iter().zip(known).map(|(f, k)| f ^ k).collect::<Vec<u8>>()
    };
    let scale = |bytes: &[u8], c: u8| bytes.iter().map(|b| gf8::mul(*b, c)).collect::<Vec<u8>>();
    match (missing.as_slice(), rows.as_slice()) {
        (&[m], &[j, ..]) => {
            let solved = scale(&syndrome(j), gf8::inverse(MATRIX[j][m]));
            block.data[m] = Some(solved);
        }
        (&[m, n], &[0, 1]) => {
            let [[a, b], [c, d]] = [[MATRIX[0][m], MATRIX[0][n]], [MATRIX[1][m], MATRIX[1][n]]];
            let inverse = gf8::inverse(gf8::mul(a, d) ^ gf8::mul(b, c));
            let (s, t) = (syndrome(0), syndrome(1));
            let solve = |x: u8, y: u8| {
                let sum: Vec<u8> = s.iter().zip(&t).map(|(s, t)| gf8::mul(*s, x) ^ gf8::mul(*t, y)).collect();
                scale(&sum, inverse)
            };
            let (first, second) = (solve(d, b), solve(c, a));
            block.data[m] = Some(first);
            block.data[n] = Some(second);
        }
        _ => {}
    }
}

const DATA: usize = 4;
const FEC: usize = 2;
/// Fixed, and not the rule that video follows (§9.1).
const MATRIX: [[u8; DATA]; FEC] = [[0x77, 0x40, 0x38, 0x0E], [0xC7, 0xA7, 0x0D, 0x6C]];
/// A minute and a half at 5 ms.
const MAX_GAP: u64 = 16_384;
