//! How many shards: sizes from the announced packet size, blocks and recovery shards of a frame.

use punktfunk_core::fec::{FecScheme, RecoveryLimits, RecoverySizer, Strength};

use super::header::{FRAME_HEADER_BYTES, SHARD_HEADER_BYTES};

/// The lengths that follow from the announced packet size P.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardSizes {
    packet_size: u16,
}

impl ShardSizes {
    /// For P as announced; `None` unless it is a multiple of 16 from 128 to 16 384. Encryption does not change it: the
    /// client has taken that off already.
    #[must_use]
    pub const fn new(packet_size: u16) -> Option<Self> {
        if packet_size < MIN_PACKET_SIZE || packet_size > MAX_PACKET_SIZE || !packet_size.is_multiple_of(16) {
            return None;
        }
        Some(Self { packet_size })
    }

    /// S: bytes of a shard, from the RTP header on.
    #[must_use]
    pub const fn shard(self) -> usize {
        self.packet_size as usize + SHARD_HEADER_BYTES - 16
    }

    /// B: payload bytes of a shard.
    #[must_use]
    pub const fn payload(self) -> usize {
        self.packet_size as usize - 16
    }

    /// Data shards of a frame whose access unit has `bytes`.
    #[must_use]
    pub const fn data_shards(self, bytes: usize) -> usize {
        (FRAME_HEADER_BYTES + bytes).div_ceil(self.payload())
    }
}

/// The largest access unit, in bytes, that fits four blocks with at least `min_recovery` recovery shards in each.
#[must_use]
pub fn max_frame_bytes(sizes: ShardSizes, min_recovery: u8) -> usize {
    let fits = |data| Block::with_least(data, least(min_recovery)).is_some();
    // Every smaller block fits, too: the last one of a frame may have any size up to the others'.
    let largest = (1..=MAX_BLOCK_SHARDS).take_while(|data| fits(*data)).last().unwrap_or(0);
    MAX_BLOCKS * largest * sizes.payload() - FRAME_HEADER_BYTES
}

/// One FEC block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Data shards.
    pub data: usize,
    /// Recovery shards: [`recovery_of`] of the two others.
    pub recovery: usize,
    /// The percentage to signal.
    pub percent: u8,
}

impl Block {
    /// The block with the fewest recovery shards, at least `recovery`, that a percentage can say; fewer where the
    /// percentage ends or the block is full. `None` where not even one finds a place.
    fn covering(data: usize, recovery: usize) -> Option<Self> {
        let recovery = recovery.min(most_by_percent(data)).min(MAX_BLOCK_SHARDS.saturating_sub(data));
        // What existing hosts signal; above 100 data shards it may say too little.
        let floor = (100 * recovery / data).min(MAX_PERCENT);
        let exact = floor + usize::from(recovery_count(data, floor) < recovery);
        let percent = [exact, exact.saturating_sub(1)]
            .into_iter()
            .find(|p| *p <= MAX_PERCENT && data + recovery_count(data, *p) <= MAX_BLOCK_SHARDS)?;
        Self::signalling(data, percent)
    }

    /// The block with at least `least` recovery shards, as far as a percentage can say that many; `None` if they find no
    /// place.
    fn with_least(data: usize, least: usize) -> Option<Self> {
        let least = least.min(most_by_percent(data));
        Self::covering(data, least).filter(|block| block.recovery >= least)
    }

    /// The block that a percentage says; `None` if that is no recovery at all, or more than fits.
    fn signalling(data: usize, percent: usize) -> Option<Self> {
        let recovery = recovery_count(data, percent);
        let percent = u8::try_from(percent).ok()?;
        (recovery > 0 && data + recovery <= MAX_BLOCK_SHARDS).then_some(Self { data, recovery, percent })
    }
}

/// The client's own formula: how many recovery shards belong to `data` shards at a signalled percentage.
#[must_use]
pub const fn recovery_of(data: usize, percent: u8) -> usize {
    recovery_count(data, percent as usize)
}

const fn recovery_count(data: usize, percent: usize) -> usize {
    (data * percent).div_ceil(100)
}

/// The most recovery shards that a percentage of eight bits can say.
const fn most_by_percent(data: usize) -> usize {
    recovery_count(data, MAX_PERCENT)
}

/// A frame's blocks: all alike but the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameShape {
    /// How many, 1 … 4.
    pub blocks: usize,
    /// Every block but the last.
    pub full: Block,
    /// The last one.
    pub last: Block,
}

impl FrameShape {
    /// Block `index`, in order of emission.
    #[must_use]
    pub const fn block(&self, index: usize) -> Block {
        if index + 1 < self.blocks { self.full } else { self.last }
    }

    /// Shards of all blocks.
    #[must_use]
    pub const fn shards(&self) -> usize {
        (self.blocks - 1) * (self.full.data + self.full.recovery) + self.last.data + self.last.recovery
    }
}

/// Decides the shape of frames. Computes each block size once per loss rate; allocates nothing afterwards.
#[derive(Debug)]
pub struct Shaper {
    /// Recovery shards that every block has at least.
    least: usize,
    sizer: RecoverySizer,
}

impl Shaper {
    /// `min_recovery` as the client announced it; at least 1, and bounded so that blocks keep room for data.
    #[must_use]
    pub fn new(min_recovery: u8) -> Self {
        // The percentage of the limits never binds: blocks are bounded by their 255 shards.
        let limits = RecoveryLimits {
            max_data_per_block: MAX_BLOCK_SHARDS as u16,
            welcome_fec_percent: u8::MAX,
            scheme: FecScheme::Gf8,
        };
        Self { least: least(min_recovery), sizer: RecoverySizer::new(limits) }
    }

    /// The shape of a frame of `data` data shards: as few blocks as give every block its strength; four with less
    /// strength, but never less than the least, where that is not possible. `None` for a frame beyond
    /// [`max_frame_bytes`].
    #[must_use]
    pub fn shape(&mut self, data: usize, strength: Strength) -> Option<FrameShape> {
        (1..=MAX_BLOCKS).find_map(|blocks| {
            let full = data.div_ceil(blocks);
            let last = data.checked_sub(full * (blocks - 1)).filter(|last| *last > 0)?;
            let weaken = blocks == MAX_BLOCKS;
            let full = self.block(full, strength, weaken)?;
            let last = self.block(last, strength, weaken)?;
            Some(FrameShape { blocks, full, last })
        })
    }

    fn block(&mut self, data: usize, strength: Strength, weaken: bool) -> Option<Block> {
        if data >= MAX_BLOCK_SHARDS {
            return None;
        }
        let wanted = match strength {
            // Signalled as it is, as existing hosts do.
            Strength::Percent(percent) if recovery_of(data, percent) >= self.least => {
                match Block::signalling(data, percent.into()) {
                    Some(block) => return Some(block),
                    None => recovery_of(data, percent),
                }
            }
            Strength::Percent(_) => self.least,
            Strength::Loss { .. } => self.sizer.recovery_shards(strength, data).max(self.least),
        };
        Block::with_least(data, wanted).or_else(|| {
            let block = weaken.then(|| Block::covering(data, wanted))??;
            (block.recovery >= self.least.min(most_by_percent(data))).then_some(block)
        })
    }
}

fn least(min_recovery: u8) -> usize {
    usize::from(min_recovery.clamp(1, MAX_MIN_RECOVERY))
}

/// gamestream.md §8.5.
pub const MAX_BLOCKS: usize = 4;
/// Data and recovery shards of one block: what GF(2^8) has points for.
pub const MAX_BLOCK_SHARDS: usize = 255;
/// Eight bits on the wire.
const MAX_PERCENT: usize = 255;
/// Clients announce 2; what goes beyond this would leave no room for the picture.
const MAX_MIN_RECOVERY: u8 = 64;
/// Room for the frame header, the parameter sets and the start of the first slice in the first shard.
const MIN_PACKET_SIZE: u16 = 128;
/// Larger than every MTU; a shard stays far below a datagram's limit.
const MAX_PACKET_SIZE: u16 = 16_384;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizes() -> ShardSizes {
        ShardSizes::new(1392).expect("what clients announce on a LAN")
    }

    #[test]
    fn small_blocks_signal_what_existing_hosts_signal() {
        let mut shaper = Shaper::new(2);
        let percents: Vec<_> = (1..=5).map(|d| shaper.shape(d, Strength::Percent(20)).expect("fits").last).collect();
        assert!(percents.iter().all(|b| b.recovery == 2));
        assert_eq!(percents.iter().map(|b| b.percent).collect::<Vec<_>>(), [200, 100, 66, 50, 40]);
        let full = shaper.shape(212, Strength::Percent(20)).expect("fits");
        assert_eq!((full.blocks, full.last), (1, Block { data: 212, recovery: 43, percent: 20 }));
        assert_eq!(shaper.shape(213, Strength::Percent(20)).expect("fits").blocks, 2);
    }

    #[test]
    fn a_large_frame_keeps_recovery_at_a_lower_percentage() {
        let mut shaper = Shaper::new(2);
        let shape = shaper.shape(4 * 212 + 1, Strength::Percent(20)).expect("fits");
        assert_eq!((shape.blocks, shape.full), (4, Block { data: 213, recovery: 41, percent: 19 }));
        let largest = shaper.shape(1008, Strength::Percent(20)).expect("fits");
        assert_eq!(largest.full, Block { data: 252, recovery: 3, percent: 1 });
        assert_eq!(shaper.shape(1009, Strength::Percent(20)), None);
        assert_eq!(max_frame_bytes(sizes(), 2), 1008 * 1376 - 8);
        assert_eq!(max_frame_bytes(sizes(), 0), 1008 * 1376 - 8);
    }

    #[test]
    fn packet_sizes_that_no_shard_can_have_are_refused() {
        for bad in [0, 16, 112, 1400, 16_400, u16::MAX] {
            assert_eq!(ShardSizes::new(bad), None, "{bad}");
        }
        assert_eq!((sizes().shard(), sizes().payload()), (1408, 1376));
    }

    fn strengths() -> impl Strategy<Value = Strength> {
        prop_oneof![any::<u8>().prop_map(Strength::Percent), (0_u32..1_000_000).prop_map(|ppm| Strength::Loss { ppm }),]
    }

    proptest! {
        /// Whatever is asked for: up to the limit a frame has a shape, in which the client's formula gives the recovery
        /// shards that are there, at least as many as announced.
        #[test]
        fn every_frame_up_to_the_limit_is_protected(
            min: u8, strength in strengths(), place in 0.0_f64..=1.0, beyond in 1_usize..100,
        ) {
            let limit = sizes().data_shards(max_frame_bytes(sizes(), min));
            let data = 1 + ((limit - 1) as f64 * place) as usize;
            let mut shaper = Shaper::new(min);
            let shape = shaper.shape(data, strength).expect("within the limit");
            let total: usize = (0..shape.blocks).map(|b| shape.block(b).data).sum();
            prop_assert_eq!(total, data);
            for block in (0..shape.blocks).map(|b| shape.block(b)) {
                prop_assert_eq!(recovery_of(block.data, block.percent), block.recovery);
                prop_assert!(block.data > 0 && block.data + block.recovery <= MAX_BLOCK_SHARDS);
                prop_assert!(block.recovery >= least(min).min(most_by_percent(block.data)));
                prop_assert!(block.recovery > 0);
            }
            let _ = shaper.shape(limit + beyond, strength);
        }

        /// Fewer than four blocks only where each has what was asked for.
        #[test]
        fn strength_is_given_up_only_with_four_blocks(data in 1_usize..=255, ppm in 0_u32..200_000) {
            let mut shaper = Shaper::new(2);
            let shape = shaper.shape(data, Strength::Loss { ppm }).expect("within the limit");
            if shape.blocks < MAX_BLOCKS {
                let wanted = shaper.sizer.recovery_shards(Strength::Loss { ppm }, shape.full.data);
                prop_assert!(shape.full.recovery >= wanted.min(most_by_percent(shape.full.data)));
            }
        }
    }
}
