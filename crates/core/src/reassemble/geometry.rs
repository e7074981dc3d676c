//! Where a packet belongs, and whether it may exist at all (punktfunk1.md §5.3, §5.6, §5.7).

use super::ReassemblerConfig;
use crate::fec::FecScheme;
use crate::packet::{MAX_SHARD_BYTES, MIN_SHARD_BYTES, PacketHeader, UserFlags};

/// What the session allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    min_shard: usize,
    max_shard: usize,
    /// K.
    max_data: usize,
    /// Bound on k + m.
    max_shards: usize,
    /// Largest access unit in bytes.
    pub(super) max_frame: usize,
}

/// A packet's place in its frame, checked against everything that one header can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) block: usize,
    /// First data shard of the block, in shards from the start of the frame.
    pub(super) base: usize,
    pub(super) k: usize,
    pub(super) m: usize,
    /// Index within the block.
    pub(super) shard: usize,
    /// S.
    pub(super) shard_bytes: usize,
    pub(super) slices: bool,
    /// Known from every packet of a uniform frame, and from the final block of a streamed one.
    pub(super) extent: Option<Extent>,
}

/// The size of a whole frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub(super) frame_bytes: usize,
    pub(super) blocks: usize,
}

impl Extent {
    /// D: data shards of the frame.
    pub(super) fn data_shards(&self, shard_bytes: usize) -> usize {
        self.frame_bytes.div_ceil(shard_bytes).max(1)
    }
}

/// Why a packet is dropped on sight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// Beyond the session's limits.
    Limits,
    /// Contradicts the geometry.
    Geometry,
}

impl Limits {
    pub(super) fn new(config: &ReassemblerConfig) -> Self {
        let agreed = usize::from(config.shard_payload);
        let (min_shard, max_shard) = match config.max_shard_payload {
            0 => (agreed, agreed),
            most => (agreed.min(MIN_SHARD_BYTES), usize::from(most).max(agreed)),
        };
        let max_data = usize::from(config.max_data_per_block);
        let code = match config.scheme {
            FecScheme::Gf8 => FecScheme::Gf8.max_shards(),
            FecScheme::Gf16 => FecScheme::Gf16.max_shards(),
        };
        Self {
            min_shard,
            max_shard: max_shard.min(MAX_SHARD_BYTES),
            max_data,
            max_shards: (max_data + (max_data * 90).div_ceil(100)).min(code),
            max_frame: 0,
        }
    }

    /// # Errors
    /// Which rule the header breaks.
    pub(super) fn place(&self, h: &PacketHeader) -> Result<Place, Refused> {
        let (k, m) = (usize::from(h.data_shards), usize::from(h.recovery_shards));
        let shard_bytes = usize::from(h.shard_bytes);
        let shard = usize::from(h.shard_index);
        if shard_bytes < self.min_shard || shard_bytes > self.max_shard || shard_bytes == 0 || shard_bytes % 2 != 0 {
            return Err(Refused::Limits);
        }
        if k == 0 || k > self.max_data || k + m > self.max_shards || shard >= k + m {
            return Err(Refused::Limits);
        }
        let slices = h.user_flags.contains(UserFlags::SLICE_STREAM);
        let block = usize::from(h.block_index);
        let given = h.frame_bytes as usize;
        // D of the largest frame, and how many blocks it can have.
        let most_data = self.max_frame.div_ceil(shard_bytes);
        let smallest_block = if slices { self.max_data.min(SMALLEST_SLICE_BLOCK) } else { self.max_data };
        let most_blocks = most_data / smallest_block + 2;

        let (base, extent) = if h.block_count == 0 {
            let base = match (slices, given) {
                (true, offset) if offset % shard_bytes == 0 => offset / shard_bytes,
                (false, 0) if k == self.max_data => block * self.max_data,
                _ => return Err(Refused::Geometry),
            };
            (base, None)
        } else {
            let extent = Extent { frame_bytes: given, blocks: h.block_count.into() };
            if given > self.max_frame {
                return Err(Refused::Limits);
            }
            let data = extent.data_shards(shard_bytes);
            if block >= extent.blocks {
                return Err(Refused::Geometry);
            }
            let base = if slices {
                // Only the final block knows the size.
                if block + 1 != extent.blocks || k > data {
                    return Err(Refused::Geometry);
                }
                data - k
            } else {
                let blocks = data.div_ceil(self.max_data);
                let last = block + 1 == blocks;
                let expected = if last { data - block * self.max_data } else { self.max_data };
                if extent.blocks != blocks || k != expected {
                    return Err(Refused::Geometry);
                }
                block * self.max_data
            };
            (base, Some(extent))
        };
        let blocks = extent.map_or(block + 1, |e| e.blocks);
        if base + k > most_data.max(1) || blocks > most_blocks {
            return Err(Refused::Limits);
        }
        Ok(Place { block, base, k, m, shard, shard_bytes, slices, extent })
    }
}

/// Upstream hosts hold back what would make a smaller slice block (§5.6).
const SMALLEST_SLICE_BLOCK: usize = 16;
