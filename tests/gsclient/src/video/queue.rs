//! Blocks to frames, one block at a time as the stock client does it.

use std::collections::VecDeque;
use std::time::Instant;

use punktfunk_core::Codec;
use punktfunk_core::fec::{Fec, FecScheme};
use serde::Serialize;

use super::block::Block;
use super::recovery::{Ask, Recovery};
use super::{FRAME_HEADER, Frame, HEADER, Header, Opened, ShardOpener, bitstream};
use crate::control::FecStatus;
use crate::crypto::Key;
use crate::{Error, Violations};

/// What was negotiated.
#[derive(Clone, Debug)]
pub struct VideoOptions {
    /// As announced (P).
    pub packet_size: u16,
    /// What the access units are; `None` checks no bitstream (synthetic payloads).
    pub codec: Option<Codec>,
    /// The session's key if shards are sealed.
    pub key: Option<Key>,
    /// Reference frame invalidation agreed on by both sides.
    pub invalidation: bool,
    /// Announced minimum of recovery shards (M).
    pub min_recovery: u8,
    /// Recompute recovery shards and compare.
    pub verify_recovery: bool,
}

/// What comes out.
#[derive(Clone, Debug)]
pub enum Output {
    /// An access unit that can be decoded.
    Frame(Frame),
    /// Send 0x0302.
    RequestIdr,
    /// Send 0x0301.
    Invalidate {
        /// First lost frame.
        first: u32,
        /// Last lost frame.
        last: u32,
    },
    /// Send 0x5502.
    FecStatus(FecStatus),
    /// Send 0x0350.
    LtrAck(u32),
}

/// Counters.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct VideoStats {
    /// Datagrams taken.
    pub datagrams: u64,
    /// Datagrams of frames that were past.
    pub late: u64,
    /// Datagrams that could not be used.
    pub bad: u64,
    /// Whole frames that were handed on.
    pub frames: u64,
    /// Frames that never became whole.
    pub lost: u64,
    /// Whole frames thrown away because they depend on lost ones.
    pub discarded: u64,
    /// Frames that FEC made whole.
    pub recovered: u64,
    /// Shards that FEC rebuilt.
    pub shards_rebuilt: u64,
    /// Keyframes handed on.
    pub keyframes: u64,
    /// Frames of type 5 handed on.
    pub recovery_frames: u64,
    /// Blocks whose recovery shards were compared.
    pub blocks_verified: u64,
    /// 0x0302 asked for.
    pub idr_requests: u64,
    /// 0x0301 asked for.
    pub invalidations: u64,
    /// Bytes of access units handed on.
    pub bytes: u64,
    /// Largest access unit.
    pub largest: u64,
    /// Shards of the largest frame.
    pub most_shards: u64,
    /// Most blocks in a frame.
    pub most_blocks: u64,
}

/// The receiving half of video. Give every datagram to [`Video::datagram`], then drain [`Video::poll`].
pub struct Video {
    options: VideoOptions,
    opener: Option<ShardOpener>,
    fec: Box<dyn Fec>,
    shard: Vec<u8>,
    block: Option<Block>,
    frame: Assembly,
    recovery: Recovery,
    /// Where the block before ended: (RTP sequence, streamPacketIndex, whether it was its frame's last block).
    before: Option<(u16, Option<u32>, bool)>,
    last_timestamp: Option<u32>,
    out: VecDeque<Output>,
    stats: VideoStats,
    violations: Violations,
}

/// The frame being put together.
#[derive(Default)]
struct Assembly {
    /// 0 before the first.
    index: u32,
    bytes: Vec<u8>,
    shards: Vec<usize>,
    next_block: u8,
    first_at: Option<Instant>,
    rebuilt: usize,
    long_term: bool,
    /// Handed on or given up: what else comes of it does not matter.
    over: bool,
}

impl Video {
    /// # Errors
    /// A packet size that no client announces.
    pub fn new(options: VideoOptions) -> Result<Self, Error> {
        if !(64..=MAX_PACKET_SIZE).contains(&options.packet_size) || !options.packet_size.is_multiple_of(16) {
            return Err(Error::Usage(format!("packet size {}", options.packet_size)));
        }
        Ok(Self {
            opener: options.key.as_ref().map(ShardOpener::new).transpose()?,
            fec: punktfunk_accel::fec(FecScheme::Gf8),
            shard: Vec::new(),
            block: None,
            frame: Assembly { over: true, ..Assembly::default() },
            recovery: Recovery::new(options.invalidation),
            before: None,
            last_timestamp: None,
            out: VecDeque::new(),
            stats: VideoStats::default(),
            violations: Violations::default(),
            options,
        })
    }

    /// The next thing that came of the datagrams so far.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Counters so far.
    #[must_use]
    pub fn stats(&self) -> &VideoStats {
        &self.stats
    }

    /// Rules broken so far.
    #[must_use]
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Ends: judges the last block and gives everything up. A frame that was still coming in is not lost.
    #[must_use]
    pub fn finish(mut self) -> (VideoStats, Violations) {
        self.frame.over = true;
        self.retire();
        (self.stats, self.violations)
    }

    /// Takes a datagram.
    pub fn datagram(&mut self, now: Instant, wire: &[u8]) {
        self.stats.datagrams += 1;
        let mut shard = std::mem::take(&mut self.shard);
        let opened = match &mut self.opener {
            Some(opener) => opener.open(wire, self.frame.index, &mut shard, &mut self.violations),
            None => {
                shard.clear();
                shard.extend_from_slice(wire);
                Opened::Shard
            }
        };
        match opened {
            Opened::Shard => self.take(now, &shard),
            Opened::Old => self.stats.late += 1,
            Opened::Bad => self.stats.bad += 1,
        }
        self.shard = shard;
    }

    fn take(&mut self, now: Instant, shard: &[u8]) {
        let Some(head) = Header::read(shard, &mut self.violations) else {
            self.stats.bad += 1;
            return;
        };
        let v = &mut self.violations;
        v.check(head.frame != 0, "§8.3", || "frameIndex 0".to_owned());
        if head.frame < self.frame.index || head.frame == 0 {
            self.stats.late += 1;
            return;
        }
        if head.frame > self.frame.index {
            self.begin_frame(now, &head);
        }
        let current = self.block.as_ref().filter(|b| b.head.frame == head.frame).map(|b| b.head.block);
        match current {
            Some(block) if block == head.block => {}
            Some(block) if head.block < block => {
                self.stats.late += 1;
                return;
            }
            _ => self.begin_block(&head),
        }
        let Some(block) = &mut self.block else { return };
        if !block.add(&head, shard, &mut self.violations) {
            return;
        }
        if block.complete(&mut *self.fec, &mut self.violations) {
            self.block_done(now);
        }
    }

    fn begin_frame(&mut self, now: Instant, head: &Header) {
        self.retire();
        if self.frame.index == 0 {
            self.violations.check(head.frame == 1, "§8.3", || format!("the first frame is {}", head.frame));
            let base = head.sequence.wrapping_sub(head.index as u16);
            self.violations.check(head.block != 0 || base == 0, "§8.3", || format!("the first sequence is {base}"));
            let first = head.stream_index.wrapping_sub(head.index as u32);
            let low = !head.is_data() || first < 0x80_0000;
            self.violations.check(low, "§8.3", || format!("the first streamPacketIndex is {first:#x}"));
        } else {
            let ahead = self.last_timestamp.is_none_or(|last| {
                let step = head.timestamp.wrapping_sub(last);
                step != 0 && step < 1 << 31
            });
            self.violations
                .check(ahead, "§8.3", || format!("timestamp {} after {:?}", head.timestamp, self.last_timestamp));
            let first = if self.frame.over { self.frame.index + 1 } else { self.frame.index };
            if first < head.frame {
                // If sequences run on, nothing was lost: the host left a number out.
                let base = head.sequence.wrapping_sub(head.index as u16);
                let lost = self.before.is_none_or(|(end, _, last)| !(last && end == base && head.block == 0));
                self.violations.check(lost || first < self.frame.index + 1, "§8.3", || {
                    format!("frame numbers {first}..{} left out", head.frame)
                });
                self.lose(first, head.frame - 1);
            }
        }
        self.violations.check(head.timestamp != 0, "§8.3", || "timestamp 0".to_owned());
        self.last_timestamp = Some(head.timestamp);
        self.frame.bytes.clear();
        self.frame = Assembly {
            index: head.frame,
            bytes: std::mem::take(&mut self.frame.bytes),
            first_at: Some(now),
            ..Assembly::default()
        };
    }

    fn begin_block(&mut self, head: &Header) {
        self.retire();
        let timely = self.last_timestamp == Some(head.timestamp);
        self.violations.check(timely, "§8.3", || format!("two timestamps in frame {}", head.frame));
        if head.block != self.frame.next_block && !self.frame.over {
            self.give_up();
        }
        let base = head.sequence.wrapping_sub(head.index as u16);
        if let Some((end, stream_end, _)) = self.before {
            let step = base.wrapping_sub(end);
            self.violations.check(step < 0x8000, "§8.3", || format!("sequence {base} after {end}"));
            if let Some(stream_end) = stream_end
                && head.is_data()
            {
                let first = head.stream_index.wrapping_sub(head.index as u32) & 0xFF_FFFF;
                let step = first.wrapping_sub(stream_end) & 0xFF_FFFF;
                self.violations
                    .check(step < 0x80_0000, "§8.3", || format!("streamPacketIndex {first} after {stream_end}"));
            }
        }
        let (m, recovery) = (usize::from(self.options.min_recovery), head.recovery());
        // No FEC at all is what frames of more than four blocks get; everything else has its minimum.
        let enough = if recovery == 0 { head.last_block == 3 || m == 0 } else { recovery >= m };
        self.violations.check(enough, "§8.5", || format!("{recovery} recovery shards, {m} asked for: {head:?}"));
        let size = usize::from(self.options.packet_size) + 16;
        self.block = Some(Block::new(*head, size));
    }

    /// The block is over: judges it, and gives its frame up if it is not whole.
    fn retire(&mut self) {
        let Some(block) = self.block.take() else { return };
        if self.options.verify_recovery && block.verify(&mut *self.fec, &mut self.violations) {
            self.stats.blocks_verified += 1;
        }
        let last = block.head.block == block.head.last_block;
        self.before = Some((block.end(), block.stream_end(), last));
        if !block.done {
            self.out.push_back(Output::FecStatus(block.status()));
            if !self.frame.over {
                self.give_up();
            }
        }
    }

    fn give_up(&mut self) {
        self.frame.over = true;
        self.lose(self.frame.index, self.frame.index);
    }

    fn lose(&mut self, first: u32, last: u32) {
        self.stats.lost += u64::from(last - first) + 1;
        let ask = self.recovery.lost(first, last);
        self.ask(ask);
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Nothing => {}
            Ask::Idr => {
                self.stats.idr_requests += 1;
                self.out.push_back(Output::RequestIdr);
            }
            Ask::Invalidate { first, last } => {
                self.stats.invalidations += 1;
                self.out.push_back(Output::Invalidate { first, last });
            }
        }
    }

    fn block_done(&mut self, now: Instant) {
        let Some(block) = &self.block else { return };
        if block.rebuilt > 0 {
            self.out.push_back(Output::FecStatus(block.status()));
            self.stats.shards_rebuilt += block.rebuilt as u64;
        }
        if self.frame.over {
            return;
        }
        for payload in block.payload() {
            self.frame.bytes.extend_from_slice(payload);
        }
        self.frame.shards.push(block.head.data);
        self.frame.rebuilt += block.rebuilt;
        self.frame.long_term |= block.long_term;
        self.frame.next_block = block.head.block + 1;
        if block.head.block == block.head.last_block {
            self.frame.over = true;
            let timestamp = block.head.timestamp;
            self.frame_done(now, timestamp);
        }
    }

    fn frame_done(&mut self, now: Instant, timestamp: u32) {
        let (index, v) = (self.frame.index, &mut self.violations);
        let payload_bytes = usize::from(self.options.packet_size) + 16 - HEADER;
        let (shards, blocks) = (self.frame.shards.iter().sum::<usize>(), self.frame.shards.len());
        let per_block = shards.div_ceil(blocks.max(1));
        let even = self.frame.shards.split_last().is_none_or(|(_, rest)| rest.iter().all(|n| *n == per_block));
        v.check(even, "§8.5", || format!("frame {index}: shards {:?}", self.frame.shards));
        let [magic, l0, l1, kind, n0, n1, r0, r1] = match self.frame.bytes.first_chunk::<FRAME_HEADER>() {
            Some(header) => *header,
            None => return,
        };
        let (latency, last) = (u16::from_le_bytes([l0, l1]), usize::from(u16::from_le_bytes([n0, n1])));
        v.check(magic == 1 && r0 == 0 && r1 == 0, "§8.4", || format!("frame {index}: header {magic} … {r0} {r1}"));
        v.check(matches!(kind, 1 | 2 | 4 | 5), "§8.4", || format!("frame {index}: type {kind}"));
        v.check(index != 1 || kind == super::KEY, "§8.9", || format!("the first frame has type {kind}"));
        let least = if shards == 1 { FRAME_HEADER + 1 } else { 1 };
        if !(least..=payload_bytes).contains(&last) {
            v.note("§8.4", format_args!("frame {index}: lastPayloadLen {last} of {payload_bytes}"));
            self.lose(index, index);
            return;
        }
        let len = (shards - 1) * payload_bytes + last;
        let clean = self.frame.bytes[len..].iter().all(|b| *b == 0);
        v.check(clean, "§8.2", || format!("frame {index}: bytes after lastPayloadLen"));
        let unit = &self.frame.bytes[FRAME_HEADER..len];
        if let Some(codec) = self.options.codec {
            bitstream::check(codec, kind, unit, payload_bytes - FRAME_HEADER, v);
        }
        if self.frame.rebuilt > 0 {
            self.stats.recovered += 1;
        }
        if self.frame.long_term && self.options.invalidation {
            self.out.push_back(Output::LtrAck(index));
        }
        let data = unit.to_vec();
        let (usable, ask) = self.recovery.whole(index, kind);
        self.ask(ask);
        if !usable {
            self.stats.discarded += 1;
            return;
        }
        let stats = &mut self.stats;
        stats.frames += 1;
        stats.keyframes += u64::from(kind == super::KEY);
        stats.recovery_frames += u64::from(kind == 5);
        stats.bytes += data.len() as u64;
        stats.largest = stats.largest.max(data.len() as u64);
        stats.most_shards = stats.most_shards.max(shards as u64);
        stats.most_blocks = stats.most_blocks.max(blocks as u64);
        let frame = Frame {
            index,
            kind,
            latency,
            long_term: self.frame.long_term,
            timestamp,
            data,
            first_at: self.frame.first_at.unwrap_or(now),
            whole_at: now,
            rebuilt: self.frame.rebuilt,
        };
        self.out.push_back(Output::Frame(frame));
    }
}

/// Jumbo frames and then some; the stock client's user setting ends far below.
const MAX_PACKET_SIZE: u16 = 16_384;
