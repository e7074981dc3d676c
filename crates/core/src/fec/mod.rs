//! Forward error correction: k data shards, m recovery shards, any k of them give the data back (punktfunk1.md §5.5).
//!
//! [`Fec`] sees shards where they lie: equally spaced in the sender's packet arena, back to back in the receiver's
//! frame buffer. [`Gf16Leopard`] and [`Gf8Cauchy`] are the portable twins; `punktfunk-accel` has kernels that give the
//! same bytes. How many recovery shards a block gets is decided in [`Strength`].

mod cauchy;
mod leopard;
mod strength;

pub use cauchy::{Gf8Cauchy, gf8};
pub use leopard::Gf16Leopard;
pub use strength::{RecoveryLimits, RecoverySizer, Strength, residual};

/// Which code protects the session, as `Welcome` says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FecScheme {
    /// GF(2^8) Cauchy, at most 255 shards in a block.
    Gf8,
    /// GF(2^16) Leopard, byte-compatible with `reed-solomon-simd` 3.1. What we send.
    #[default]
    Gf16,
}

impl FecScheme {
    /// From the wire: anything but 1 is GF(2^8).
    #[must_use]
    pub const fn from_wire(byte: u8) -> Self {
        if byte == 1 { Self::Gf16 } else { Self::Gf8 }
    }

    /// As on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Gf8 => 0,
            Self::Gf16 => 1,
        }
    }

    /// The most shards (data and recovery) of one block.
    #[must_use]
    pub const fn max_shards(self) -> usize {
        match self {
            Self::Gf8 => 255,
            Self::Gf16 => 65_535,
        }
    }
}

/// Where the shards of one block lie: shard `i` occupies `shard_bytes` from `i * stride`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardLayout {
    /// Bytes from the start of one shard to the start of the next.
    pub stride: usize,
    /// Bytes of a shard, even.
    pub shard_bytes: usize,
    /// Data shards.
    pub k: usize,
    /// Recovery shards.
    pub m: usize,
}

impl ShardLayout {
    /// Bytes that `count` shards need.
    #[must_use]
    pub const fn span(&self, count: usize) -> usize {
        if count == 0 { 0 } else { (count - 1) * self.stride + self.shard_bytes }
    }

    /// The byte range of shard `index`.
    #[must_use]
    pub const fn shard(&self, index: usize) -> core::ops::Range<usize> {
        index * self.stride..index * self.stride + self.shard_bytes
    }

    /// # Errors
    /// [`FecError::Layout`] for shards that overlap, are odd or empty, or where a slice is too short.
    pub fn check(&self, data: &[u8], recovery: &[u8], recovery_shards: usize) -> Result<(), FecError> {
        if self.shard_bytes == 0 || !self.shard_bytes.is_multiple_of(2) || self.stride < self.shard_bytes || self.k == 0
        {
            return Err(FecError::Layout);
        }
        if data.len() < self.span(self.k) || recovery.len() < self.span(recovery_shards) {
            return Err(FecError::Layout);
        }
        Ok(())
    }
}

/// Why shards could not be coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FecError {
    /// The code cannot do this k and m.
    #[error("the code has no {k} + {m} shards")]
    Shards {
        /// Data shards asked for.
        k: usize,
        /// Recovery shards asked for.
        m: usize,
    },
    /// Slices and layout do not fit together: a bug of the caller.
    #[error("shard layout does not fit the buffers")]
    Layout,
    /// Fewer recovery shards than missing data shards.
    #[error("{missing} data shards missing, {recovery} recovery shards at hand")]
    TooFew {
        /// Data shards to rebuild.
        missing: usize,
        /// Recovery shards given.
        recovery: usize,
    },
}

/// An erasure code over shards in place. Implementations keep their work space, so that a warm one allocates nothing.
pub trait Fec: Send {
    /// Which code this is.
    fn scheme(&self) -> FecScheme;

    /// Writes the `m` recovery shards of a block from its `k` data shards. Bytes between shards stay untouched.
    ///
    /// # Errors
    /// Impossible counts, or a layout that does not fit; nothing useful is in `recovery` then.
    fn encode(&mut self, data: &[u8], recovery: &mut [u8], layout: &ShardLayout) -> Result<(), FecError>;

    /// Rebuilds the data shards listed in `missing` (ascending, no repeats), in place. `recovery` holds recovery shard
    /// number `recovery_index[i]` in slot `i`; only as many as are missing are used.
    ///
    /// # Errors
    /// As above, or fewer recovery shards than missing ones; the missing shards are unspecified then.
    fn recover(
        &mut self,
        data: &mut [u8],
        missing: &[u16],
        recovery: &[u8],
        recovery_index: &[u16],
        layout: &ShardLayout,
    ) -> Result<(), FecError>;
}

/// The checks that every [`Fec::recover`] starts with.
///
/// # Errors
/// See [`FecError`].
pub fn check_recover(
    data: &[u8],
    missing: &[u16],
    recovery: &[u8],
    recovery_index: &[u16],
    layout: &ShardLayout,
) -> Result<(), FecError> {
    if recovery_index.len() < missing.len() {
        return Err(FecError::TooFew { missing: missing.len(), recovery: recovery_index.len() });
    }
    let ascending = missing.windows(2).all(|w| w[0] < w[1]);
    let in_range = missing.last().is_none_or(|&i| usize::from(i) < layout.k)
        && recovery_index.iter().all(|&j| usize::from(j) < layout.m);
    if !ascending || !in_range {
        return Err(FecError::Layout);
    }
    layout.check(data, recovery, missing.len())
}
