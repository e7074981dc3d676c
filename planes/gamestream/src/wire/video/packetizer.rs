//! The host's way from an access unit to packets.
//!
//! ```text
//! access unit ── copied once ──► shards of the arena ── FEC writes the recovery shards beside them ── seal in place
//! ```

use std::time::Duration;

use punktfunk_core::fec::{Fec, FecError, FecScheme, ShardLayout};
use punktfunk_core::packet::PacketBatch;
use punktfunk_engine::link::{AccessUnitOut, LinkError, Packetize};
use punktfunk_media::{Reason, reason};

use super::geometry::{FrameShape, Shaper, ShardSizes, max_frame_bytes};
use super::header::{FRAME_HEADER_BYTES, FrameType, SHARD_HEADER_BYTES, ShardHeader, frame_header};
use super::seal::{SEAL_PREFIX_BYTES, ShardSealer};

/// What a session's video packets look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VideoConfig {
    /// P as announced.
    pub packet_size: u16,
    /// `minRequiredFecPackets` as announced.
    pub min_recovery: u8,
    /// The session's secret, where video is encrypted.
    pub key: Option<[u8; 16]>,
    /// The session clock when RTP time is 0: its time when the session starts.
    pub epoch_ns: u64,
}

/// Without the key.
impl std::fmt::Debug for VideoConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("VideoConfig");
        out.field("packet_size", &self.packet_size).field("min_recovery", &self.min_recovery);
        out.field("encrypted", &self.key.is_some()).finish_non_exhaustive()
    }
}

/// One session's packetizer: frames count from 1, shards from 0, in every session anew.
pub struct VideoPacketizer {
    sizes: ShardSizes,
    max_frame_bytes: usize,
    shaper: Shaper,
    fec: Box<dyn Fec>,
    sealer: Option<ShardSealer>,
    clock: RtpClock,
    next_frame: u32,
    next_shard: u32,
}

impl VideoPacketizer {
    /// # Errors
    /// `gamestream.packet_size` for a packet size that no shard can have.
    pub fn new(config: &VideoConfig) -> Result<Self, &'static Reason> {
        let sizes = ShardSizes::new(config.packet_size).ok_or(&reason::GAMESTREAM_PACKET_SIZE)?;
        Ok(Self {
            sizes,
            max_frame_bytes: max_frame_bytes(sizes, config.min_recovery),
            shaper: Shaper::new(config.min_recovery),
            fec: punktfunk_accel::fec(FecScheme::Gf8),
            sealer: config.key.as_ref().map(ShardSealer::new),
            clock: RtpClock { epoch_ns: config.epoch_ns, last: 0 },
            next_frame: FIRST_FRAME,
            next_shard: 0,
        })
    }

    /// The largest access unit that it takes, in bytes.
    #[must_use]
    pub const fn max_frame_bytes(&self) -> usize {
        self.max_frame_bytes
    }

    fn fill(&mut self, unit: &AccessUnitOut<'_>, shape: &FrameShape, batch: &mut PacketBatch) -> Result<(), FecError> {
        let prefix = if self.sealer.is_some() { SEAL_PREFIX_BYTES } else { 0 };
        let (shard_bytes, stride) = (self.sizes.shard(), self.sizes.shard() + prefix);
        let mut arena = batch.reset(stride, shape.shards());
        let latency = if unit.repeat { Duration::ZERO } else { unit.host_time };
        let frame_header = frame_header(frame_type(unit), latency, unit.data.len(), self.sizes.payload());
        let mut pieces = Pieces { head: &frame_header, rest: unit.data };
        let mut sequence = self.next_shard;
        let timestamp = self.clock.stamp(unit.pts_ns);
        for index in 0..shape.blocks {
            let block = shape.block(index);
            let header = ShardHeader {
                timestamp,
                frame: self.next_frame,
                block: index as u8, // below four
                last_block: (shape.blocks - 1) as u8,
                data_shards: block.data,
                percent: block.percent,
            };
            let (own, rest) = arena.split_at_mut((block.data + block.recovery) * stride);
            let (data, recovery) = own.split_at_mut(block.data * stride);
            for (i, packet) in data.chunks_exact_mut(stride).enumerate() {
                let shard = &mut packet[prefix..];
                header.write_data(shard, sequence, i);
                pieces.fill(&mut shard[SHARD_HEADER_BYTES..]);
                sequence = sequence.wrapping_add(1);
            }
            let layout = ShardLayout { stride, shard_bytes, k: block.data, m: block.recovery };
            self.fec.encode(&data[prefix..], &mut recovery[prefix..], &layout)?;
            for (j, packet) in recovery.chunks_exact_mut(stride).enumerate() {
                header.write_recovery(&mut packet[prefix..], sequence, j);
                sequence = sequence.wrapping_add(1);
            }
            if let Some(sealer) = &mut self.sealer {
                own.chunks_exact_mut(stride).for_each(|packet| sealer.seal(packet, self.next_frame));
            }
            arena = rest;
        }
        self.next_shard = sequence;
        Ok(())
    }
}

impl Packetize for VideoPacketizer {
    fn packetize(&mut self, unit: &AccessUnitOut<'_>, batch: &mut PacketBatch) -> Result<u32, LinkError> {
        batch.clear();
        let refused = |reason, detail, fatal| LinkError { reason, detail, fatal };
        if unit.probe {
            let detail = "this protocol has no speed test".into();
            return Err(refused(&reason::GAMESTREAM_PACKETIZE_FAILED, detail, false));
        }
        let data = self.sizes.data_shards(unit.data.len());
        let shape = self.shaper.shape(data, unit.strength).filter(|_| unit.data.len() <= self.max_frame_bytes);
        let Some(shape) = shape else {
            let detail = format!("{} bytes; at most {} can be protected", unit.data.len(), self.max_frame_bytes);
            return Err(refused(&reason::GAMESTREAM_FRAME_TOO_LARGE, detail, false));
        };
        if let Err(error) = self.fill(unit, &shape, batch) {
            batch.clear();
            return Err(refused(&reason::GAMESTREAM_PACKETIZE_FAILED, error.to_string(), true));
        }
        let frame = self.next_frame;
        self.next_frame = frame.wrapping_add(1);
        Ok(engine_index(frame))
    }
}

impl std::fmt::Debug for VideoPacketizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("VideoPacketizer");
        out.field("sizes", &self.sizes).field("next_frame", &self.next_frame).finish_non_exhaustive()
    }
}

/// The engine's index of the frame that is `frame` on the wire: the engine counts from 0, the wire from 1.
#[must_use]
pub const fn engine_index(frame: u32) -> u32 {
    frame.wrapping_sub(FIRST_FRAME)
}

/// The frame number on the wire of the engine's access unit `index`.
#[must_use]
pub const fn frame_index(index: u32) -> u32 {
    index.wrapping_add(FIRST_FRAME)
}

const fn frame_type(unit: &AccessUnitOut<'_>) -> FrameType {
    match (unit.keyframe, unit.recovery_anchor) {
        (true, _) => FrameType::Key,
        (false, true) => FrameType::AfterInvalidation,
        (false, false) => FrameType::Predicted,
    }
}

/// What is left of a frame: its header, then the access unit.
struct Pieces<'a> {
    head: &'a [u8],
    rest: &'a [u8],
}

impl Pieces<'_> {
    /// Fills `payload`, with zeros behind the end.
    fn fill(&mut self, payload: &mut [u8]) {
        let (head, body) = payload.split_at_mut(self.head.len());
        head.copy_from_slice(self.head);
        self.head = &[];
        let (piece, rest) = self.rest.split_at(body.len().min(self.rest.len()));
        let (used, padding) = body.split_at_mut(piece.len());
        used.copy_from_slice(piece);
        padding.fill(0);
        self.rest = rest;
    }
}

/// 90 kHz stamps that rise strictly and are never 0 on the wire, which would tell the client to make up its own.
struct RtpClock {
    epoch_ns: u64,
    /// The last stamp before it was cut to 32 bits.
    last: u64,
}

impl RtpClock {
    fn stamp(&mut self, pts_ns: u64) -> u32 {
        let since = u128::from(pts_ns.saturating_sub(self.epoch_ns));
        let ticks = u64::try_from(since * 90_000 / 1_000_000_000).unwrap_or(u64::MAX / 2);
        let next = ticks.max(self.last + 1);
        // Every 13 hours.
        self.last = if next as u32 == 0 { next + 1 } else { next };
        self.last as u32
    }
}

/// What FEC starts with, in recovery shards per 100 data shards: the customary value, until losses are known. For
/// `HostOffer::fec_percent`.
pub const START_FEC_PERCENT: u8 = 20;
const FIRST_FRAME: u32 = 1;
const _: () = assert!(FRAME_HEADER_BYTES < 112, "it fits the smallest payload");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_strictly_and_are_never_zero() {
        let mut clock = RtpClock { epoch_ns: 1_000, last: 0 };
        let stamps: Vec<_> = [1_000, 999, 1_000_001_000, 1_000_001_001, 11_112_000].map(|ns| clock.stamp(ns)).into();
        assert_eq!(stamps, [1, 2, 90_000, 90_001, 90_002]);
        let wrap_ns = ((1_u64 << 32) * 1_000_000_000).div_ceil(90_000);
        assert_eq!(clock.stamp(1_000 + wrap_ns), 1, "0 is left out");
        assert_eq!(clock.stamp(1_000 + wrap_ns), 2);
    }
}
