//! The host's way from an access unit to sealed packets (punktfunk1.md §5.3).
//!
//! ```text
//! access unit ── copied once ──► shard slots of the arena ── FEC writes the recovery slots ── seal in place ──► batch
//! ```
//!
//! Frames are always uniform: every packet carries exactly S shard bytes, blocks before the last have exactly K data
//! shards, and all data shards leave before the recovery shards. That is what old and new receivers alike accept.

use alloc::boxed::Box;

use crate::fec::{Fec, FecError, FecScheme, RecoveryLimits, RecoverySizer, ShardLayout, Strength};
use crate::packet::{
    HEADER_BYTES, MAX_FRAME_BYTES, MAX_SHARD_BYTES, MIN_SHARD_BYTES, PACKET_OVERHEAD, PacketBatch, PacketFlags,
    PacketHeader, SEQUENCE_BYTES, SHARD_OFFSET, UserFlags,
};
use crate::seal::Sealer;

/// What a session's packets look like; the first four values are `Welcome`'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketizerConfig {
    /// S: shard bytes, even, 512 … 9152.
    pub shard_payload: u16,
    /// K: data shards of a full block.
    pub max_data_per_block: u16,
    /// The code.
    pub scheme: FecScheme,
    /// `Welcome.fec_percent`, which old receivers bound the recovery shards by.
    pub welcome_fec_percent: u8,
    /// The largest access unit the receiver takes: [`crate::packet::max_frame_bytes`] of the session.
    pub max_frame_bytes: usize,
}

/// What travels beside an access unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameMeta {
    /// Capture time, session clock (host wall clock), nanoseconds.
    pub pts_ns: u64,
    /// What kind of access unit this is. Ignored for a probe, which always carries exactly [`UserFlags::PROBE`].
    pub user_flags: UserFlags,
    /// How strongly to protect it.
    pub strength: Strength,
    /// Speed-test filler, numbered apart from video.
    pub probe: bool,
}

/// Why an access unit was not packetized. It has no number then, and the next one takes its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketizeError {
    /// The configuration cannot be put on the wire.
    #[error("packetizer configuration: {0}")]
    Config(&'static str),
    /// The receiver would drop every packet of such a frame.
    #[error("access unit of {bytes} bytes exceeds the receiver's limit of {limit}")]
    TooLarge {
        /// Size of the access unit.
        bytes: usize,
        /// The receiver's limit.
        limit: usize,
    },
    /// The code refused.
    #[error(transparent)]
    Fec(#[from] FecError),
}

/// One session's packetizer: geometry, FEC, sealing and numbering.
pub struct Packetizer {
    config: PacketizerConfig,
    sealer: Sealer,
    fec: Box<dyn Fec>,
    sizer: RecoverySizer,
    next_video: u32,
    next_probe: u32,
    stream_seq: u32,
}

impl Packetizer {
    /// A packetizer whose first frame of each kind is number 0.
    ///
    /// # Errors
    /// [`PacketizeError::Config`] for a shard size, block size or code that no receiver takes.
    pub fn new(config: PacketizerConfig, sealer: Sealer, fec: Box<dyn Fec>) -> Result<Self, PacketizeError> {
        check_shard_payload(config.shard_payload)?;
        if config.max_data_per_block == 0 || config.max_data_per_block > max_block(config.scheme) {
            return Err(PacketizeError::Config("data shards per block"));
        }
        if fec.scheme() != config.scheme {
            return Err(PacketizeError::Config("the code is not the session's"));
        }
        let limits = RecoveryLimits {
            max_data_per_block: config.max_data_per_block,
            welcome_fec_percent: config.welcome_fec_percent,
            scheme: config.scheme,
        };
        let sizer = RecoverySizer::new(limits);
        Ok(Self { config, sealer, fec, sizer, next_video: 0, next_probe: 0, stream_seq: 0 })
    }

    /// Fills `batch` with the sealed packets of `au`, in order of emission, and returns the frame's number. An empty
    /// access unit is one zero shard. Allocates only while `batch` and the code still grow.
    ///
    /// # Errors
    /// See [`PacketizeError`]; `batch` is empty then and no number is used up.
    pub fn packetize(&mut self, au: &[u8], meta: &FrameMeta, batch: &mut PacketBatch) -> Result<u32, PacketizeError> {
        batch.clear();
        let limit = self.config.max_frame_bytes.min(MAX_FRAME_BYTES);
        let too_large = PacketizeError::TooLarge { bytes: au.len(), limit };
        if au.len() > limit {
            return Err(too_large);
        }
        let shape = Shape::of(au.len(), self.config.shard_payload.into(), self.config.max_data_per_block.into());
        let block_count = u16::try_from(shape.blocks).map_err(|_| too_large)?;
        let full_m = self.sizer.recovery_shards(meta.strength, shape.full_k);
        let last_m = self.sizer.recovery_shards(meta.strength, shape.last_k);
        let packets = shape.data + (shape.blocks - 1) * full_m + last_m;

        let user_flags = if meta.probe { UserFlags::PROBE } else { meta.user_flags | UserFlags::PICTURE };
        let frame_index = if meta.probe { self.next_probe } else { self.next_video };
        let mut frame = FrameWriter {
            header: PacketHeader {
                pts_ns: meta.pts_ns,
                frame_index,
                stream_seq: self.stream_seq,
                frame_bytes: au.len() as u32, // at most MAX_FRAME_BYTES
                user_flags,
                block_count,
                shard_bytes: self.config.shard_payload,
                fec_scheme: self.config.scheme.to_wire(),
                ..PacketHeader::default()
            },
            last_seq: self.stream_seq.wrapping_add(packets as u32 - 1),
        };

        let stride = shape.shard + PACKET_OVERHEAD;
        let arena = batch.reset(stride, packets);
        let (data, recovery) = arena.split_at_mut(shape.data * stride);
        shape.copy(au, data, stride);

        // Headers and recovery shards block by block; data packets come first in the sequence, then all recovery.
        let mut recovery_at = 0;
        for block in 0..shape.blocks {
            let (k, m) = if block + 1 == shape.blocks { (shape.last_k, last_m) } else { (shape.full_k, full_m) };
            let first = block * shape.full_k;
            let layout = ShardLayout { stride, shard_bytes: shape.shard, k, m };
            let block_data = &data[first * stride + SHARD_OFFSET..];
            if m > 0 {
                let block_recovery = &mut recovery[recovery_at * stride + SHARD_OFFSET..];
                if let Err(error) = self.fec.encode(block_data, block_recovery, &layout) {
                    batch.clear();
                    return Err(error.into());
                }
            }
            frame.header.block_index = block as u16; // below block_count
            frame.header.data_shards = k as u16;
            frame.header.recovery_shards = m as u16;
            for i in 0..k {
                frame.write(&mut data[(first + i) * stride..], first + i, i);
            }
            for j in 0..m {
                let order = shape.data + recovery_at + j;
                frame.write(&mut recovery[(recovery_at + j) * stride..], order, k + j);
            }
            recovery_at += m;
        }
        for packet in arena.chunks_exact_mut(stride) {
            self.sealer.seal_packet(packet);
        }

        self.stream_seq = self.stream_seq.wrapping_add(packets as u32);
        let next = if meta.probe { &mut self.next_probe } else { &mut self.next_video };
        *next = frame_index.wrapping_add(1);
        Ok(frame_index)
    }

    /// The number that the next video access unit gets.
    #[must_use]
    pub const fn next_video_index(&self) -> u32 {
        self.next_video
    }

    /// Changes S from the next access unit on (punktfunk1.md §5.8).
    ///
    /// # Errors
    /// [`PacketizeError::Config`] unless it is even and 512 … 9152.
    pub fn set_shard_payload(&mut self, shard_payload: u16) -> Result<(), PacketizeError> {
        check_shard_payload(shard_payload)?;
        self.config.shard_payload = shard_payload;
        Ok(())
    }

    /// S of the next access unit.
    #[must_use]
    pub const fn shard_payload(&self) -> u16 {
        self.config.shard_payload
    }

    /// Changes the largest access unit after a change of bitrate or refresh rate.
    pub fn set_max_frame_bytes(&mut self, max_frame_bytes: usize) {
        self.config.max_frame_bytes = max_frame_bytes;
    }

    /// The share of recovery packets, in per cent of the data packets, that `strength` costs a frame of `au_bytes`.
    #[must_use]
    pub fn overhead_percent(&mut self, strength: Strength, au_bytes: usize) -> u32 {
        let shape = Shape::of(au_bytes, self.config.shard_payload.into(), self.config.max_data_per_block.into());
        let full = (shape.blocks - 1) * self.sizer.recovery_shards(strength, shape.full_k);
        let m = full + self.sizer.recovery_shards(strength, shape.last_k);
        (m * 100).div_ceil(shape.data) as u32
    }
}

impl core::fmt::Debug for Packetizer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut out = f.debug_struct("Packetizer");
        out.field("config", &self.config).field("next_video", &self.next_video).finish_non_exhaustive()
    }
}

/// The uniform geometry of a frame: D shards of S bytes in B blocks of K.
struct Shape {
    shard: usize,
    data: usize,
    blocks: usize,
    /// k of every block but the last.
    full_k: usize,
    last_k: usize,
}

impl Shape {
    fn of(frame_bytes: usize, shard: usize, max_data_per_block: usize) -> Self {
        let data = frame_bytes.div_ceil(shard).max(1);
        let blocks = data.div_ceil(max_data_per_block);
        let last_k = data - (blocks - 1) * max_data_per_block;
        Self { shard, data, blocks, full_k: max_data_per_block, last_k }
    }

    /// Copies the access unit into the shard slots; the last shard is zero-padded.
    fn copy(&self, au: &[u8], slots: &mut [u8], stride: usize) {
        let mut shards = au.chunks(self.shard);
        for slot in slots.chunks_exact_mut(stride) {
            let shard = shards.next().unwrap_or(&[]);
            let (used, padding) = slot[SHARD_OFFSET..][..self.shard].split_at_mut(shard.len());
            used.copy_from_slice(shard);
            padding.fill(0);
        }
    }
}

/// Writes headers that differ only in their place.
struct FrameWriter {
    header: PacketHeader,
    last_seq: u32,
}

impl FrameWriter {
    /// Writes the header of the packet that is `order`-th in the frame and `shard`-th in its block.
    fn write(&self, packet: &mut [u8], order: usize, shard: usize) {
        let mut header = self.header;
        header.stream_seq = header.stream_seq.wrapping_add(order as u32);
        header.shard_index = shard as u16;
        header.flags = PacketFlags::PICTURE;
        if header.stream_seq == self.last_seq {
            header.flags = header.flags | PacketFlags::END_OF_FRAME;
        }
        if header.block_index == 0 && shard == 0 {
            header.flags = header.flags | PacketFlags::START_OF_FRAME;
        }
        if let Some(out) = packet[SEQUENCE_BYTES..].first_chunk_mut::<HEADER_BYTES>() {
            header.encode(out);
        }
    }
}

fn check_shard_payload(shard_payload: u16) -> Result<(), PacketizeError> {
    let bytes = usize::from(shard_payload);
    if !(MIN_SHARD_BYTES..=MAX_SHARD_BYTES).contains(&bytes) || bytes % 2 != 0 {
        return Err(PacketizeError::Config("shard payload must be even and 512 to 9152 bytes"));
    }
    Ok(())
}

/// The largest K whose recovery the code can always do: half of GF(2^16), and room for one recovery shard in GF(2^8).
const fn max_block(scheme: FecScheme) -> u16 {
    match scheme {
        FecScheme::Gf8 => 254,
        FecScheme::Gf16 => 32_768,
    }
}
