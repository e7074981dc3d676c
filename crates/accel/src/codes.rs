//! The codes as sessions use them: dense kernels where they win, the library or the portable twin elsewhere.

use punktfunk_core::fec::{Fec, FecError, FecScheme, Gf16Leopard, ShardLayout, check_recover};

use crate::gf::Level;
use crate::gf::codes::{Gf8, Gf16};
use crate::gf::dense::Dense;
use crate::gf::x86::{Matrix8, Matrix16, Operand, Shuffle8, Shuffle16};

/// The accelerated code for a level, `None` where the portable one is all there is.
pub(crate) fn accelerated(scheme: FecScheme, level: Level) -> Option<Box<dyn Fec>> {
    if !Level::available().contains(&level) {
        return None;
    }
    // SAFETY (all of them): the processor has the level's instructions, as just looked up.
    let code: Box<dyn Fec> = match (scheme, level) {
        (_, Level::Portable) => return None,
        // SAFETY: as above.
        (FecScheme::Gf16, Level::Avx2) => Box::new(unsafe { Leopard::<Shuffle16>::new(level) }),
        // SAFETY: as above.
        (FecScheme::Gf16, Level::Gfni256) => Box::new(unsafe { Leopard::<Matrix16<32>>::new(level) }),
        // SAFETY: as above.
        (FecScheme::Gf16, Level::Gfni512) => Box::new(unsafe { Leopard::<Matrix16<64>>::new(level) }),
        // SAFETY: as above.
        (FecScheme::Gf8, Level::Avx2) => Box::new(unsafe { Cauchy::<Shuffle8>::new() }),
        // SAFETY: as above.
        (FecScheme::Gf8, Level::Gfni256) => Box::new(unsafe { Cauchy::<Matrix8<32>>::new() }),
        // SAFETY: as above.
        (FecScheme::Gf8, Level::Gfni512) => Box::new(unsafe { Cauchy::<Matrix8<64>>::new() }),
    };
    Some(code)
}

/// GF(2^16): the dense kernel up to a size, the library's transform beyond it. Their bytes are the same.
struct Leopard<O> {
    dense: Dense<Gf16, O>,
    library: Gf16Leopard,
    limits: Limits,
}

/// Up to which number of coefficients (rows × k) the dense kernel is faster. Measured: docs/performance.md, "Stages".
#[derive(Clone, Copy)]
struct Limits {
    encode: usize,
    decode: usize,
}

impl<O: Operand> Leopard<O> {
    /// # Safety
    /// The processor has the instructions of `O`.
    unsafe fn new(level: Level) -> Self {
        let limits = match level {
            Level::Gfni512 => Limits { encode: 600, decode: 40_000 },
            Level::Gfni256 => Limits { encode: 320, decode: 24_000 },
            Level::Avx2 | Level::Portable => Limits { encode: 24, decode: 4_000 },
        };
        // SAFETY: this function's own condition.
        Self { dense: unsafe { Dense::new(Gf16::default()) }, library: Gf16Leopard::new(), limits }
    }
}

/// The dense tables end here: 2^12 differences are 512 KiB of the largest operands.
const MAX_DENSE_SHARDS: usize = 2_048;

impl<O: Operand + Send> Fec for Leopard<O> {
    fn scheme(&self) -> FecScheme {
        FecScheme::Gf16
    }

    fn encode(&mut self, data: &[u8], recovery: &mut [u8], layout: &ShardLayout) -> Result<(), FecError> {
        if layout.k * layout.m > self.limits.encode || layout.k + layout.m > MAX_DENSE_SHARDS {
            return self.library.encode(data, recovery, layout);
        }
        layout.check(data, recovery, layout.m)?;
        if layout.m > 0 {
            self.dense.encode(data, recovery, layout);
        }
        Ok(())
    }

    fn recover(
        &mut self,
        data: &mut [u8],
        missing: &[u16],
        recovery: &[u8],
        recovery_index: &[u16],
        layout: &ShardLayout,
    ) -> Result<(), FecError> {
        let large = layout.k + layout.m > MAX_DENSE_SHARDS;
        if large || missing.len() * layout.k > self.limits.decode || missing.len() > MAX_DENSE_MISSING {
            return self.library.recover(data, missing, recovery, recovery_index, layout);
        }
        check_recover(data, missing, recovery, recovery_index, layout)?;
        if missing.is_empty() {
            return Ok(());
        }
        self.dense.recover(data, missing, recovery, recovery_index, layout)
    }
}

/// The inverse has the square of this many entries, each of which is numbered by a u16.
const MAX_DENSE_MISSING: usize = 128;

/// GF(2^8): always dense.
struct Cauchy<O> {
    dense: Dense<Gf8, O>,
}

impl<O: Operand> Cauchy<O> {
    /// # Safety
    /// The processor has the instructions of `O`.
    unsafe fn new() -> Self {
        // SAFETY: this function's own condition.
        Self { dense: unsafe { Dense::new(Gf8) } }
    }
}

impl<O: Operand + Send> Fec for Cauchy<O> {
    fn scheme(&self) -> FecScheme {
        FecScheme::Gf8
    }

    fn encode(&mut self, data: &[u8], recovery: &mut [u8], layout: &ShardLayout) -> Result<(), FecError> {
        layout.check(data, recovery, layout.m)?;
        check_counts(layout)?;
        if layout.m > 0 {
            self.dense.encode(data, recovery, layout);
        }
        Ok(())
    }

    fn recover(
        &mut self,
        data: &mut [u8],
        missing: &[u16],
        recovery: &[u8],
        recovery_index: &[u16],
        layout: &ShardLayout,
    ) -> Result<(), FecError> {
        check_recover(data, missing, recovery, recovery_index, layout)?;
        check_counts(layout)?;
        if missing.is_empty() {
            return Ok(());
        }
        self.dense.recover(data, missing, recovery, recovery_index, layout)
    }
}

fn check_counts(layout: &ShardLayout) -> Result<(), FecError> {
    if layout.k + layout.m > FecScheme::Gf8.max_shards() {
        return Err(FecError::Shards { k: layout.k, m: layout.m });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernels' own recovery bytes, also for shapes that [`Limits`] leaves to the library.
    fn encodes_like_the_library<O: Operand>(level: Level) {
        if !Level::available().contains(&level) {
            return;
        }
        // SAFETY: the processor has the level's instructions, as just looked up.
        let mut dense = unsafe { Dense::<Gf16, O>::new(Gf16::default()) };
        for (k, m) in [(1, 1), (2, 5), (15, 3), (40, 8), (72, 15), (31, 33), (33, 31), (143, 29), (100, 200)] {
            for shard_bytes in [1408, 1388, 130] {
                let layout = ShardLayout { stride: shard_bytes, shard_bytes, k, m };
                let data: Vec<u8> =
                    (0..k * shard_bytes).map(|i| (i as u32).wrapping_mul(2_654_435_761) as u8).collect();
                let (mut ours, mut theirs) = (vec![0; m * shard_bytes], vec![1; m * shard_bytes]);
                dense.encode(&data, &mut ours, &layout);
                Gf16Leopard::new().encode(&data, &mut theirs, &layout).expect("encodes");
                assert!(ours == theirs, "{level:?} {k} + {m} of {shard_bytes}");
            }
        }
    }

    #[test]
    fn every_kernel_encodes_like_the_library() {
        encodes_like_the_library::<Shuffle16>(Level::Avx2);
        encodes_like_the_library::<Matrix16<32>>(Level::Gfni256);
        encodes_like_the_library::<Matrix16<64>>(Level::Gfni512);
    }
}
