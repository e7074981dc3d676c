//! GF(2^8) Cauchy Reed–Solomon (punktfunk1.md §5.5, scheme 0): recovery shard j = Σ inverse((m + i) xor j) · data i.
//!
//! Written for reading: the accelerated twin in `punktfunk-accel` is tested against it byte for byte.

use alloc::vec::Vec;

use super::{Fec, FecError, FecScheme, ShardLayout, check_recover};

/// Arithmetic of GF(2^8) with the polynomial 0x11D, generator 2.
pub mod gf8 {
    /// x^8 + x^4 + x^3 + x^2 + 1.
    pub const POLYNOMIAL: u16 = 0x11D;

    /// `EXP[i]` = 2^i, twice over so that sums of two logarithms need no reduction.
    pub const EXP: [u8; 512] = exp();
    /// `LOG[x]` = i with 2^i = x; `LOG[0]` is meaningless.
    pub const LOG: [u8; 256] = log();

    const fn exp() -> [u8; 512] {
        let mut table = [0; 512];
        let mut x: u16 = 1;
        let mut i = 0;
        while i < 512 {
            table[i] = x as u8;
            x <<= 1;
            if x & 0x100 != 0 {
                x ^= POLYNOMIAL;
            }
            i += 1;
        }
        table
    }

    const fn log() -> [u8; 256] {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 255 {
            table[EXP[i] as usize] = i as u8;
            i += 1;
        }
        table
    }

    /// Product.
    #[must_use]
    pub const fn mul(a: u8, b: u8) -> u8 {
        if a == 0 || b == 0 { 0 } else { EXP[LOG[a as usize] as usize + LOG[b as usize] as usize] }
    }

    /// Multiplicative inverse; 0 for 0.
    #[must_use]
    pub const fn inverse(a: u8) -> u8 {
        if a == 0 { 0 } else { EXP[255 - LOG[a as usize] as usize] }
    }
}

/// The portable GF(2^8) code, at most 255 shards in a block.
#[derive(Default)]
pub struct Gf8Cauchy {
    /// e × e system, row-major, then its inverse beside it: 2e columns.
    matrix: Vec<u8>,
    /// e shards: what the recovery shards say about the missing ones.
    syndromes: Vec<u8>,
}

impl Gf8Cauchy {
    /// Without work space yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { matrix: Vec::new(), syndromes: Vec::new() }
    }

    /// Row `j`, column `i` of the recovery matrix for `m` recovery shards.
    #[must_use]
    pub const fn coefficient(m: usize, j: usize, i: usize) -> u8 {
        gf8::inverse((m + i) as u8 ^ j as u8)
    }
}

impl Fec for Gf8Cauchy {
    fn scheme(&self) -> FecScheme {
        FecScheme::Gf8
    }

    fn encode(&mut self, data: &[u8], recovery: &mut [u8], layout: &ShardLayout) -> Result<(), FecError> {
        layout.check(data, recovery, layout.m)?;
        check_counts(layout)?;
        for j in 0..layout.m {
            let out = &mut recovery[layout.shard(j)];
            out.fill(0);
            for i in 0..layout.k {
                add_scaled(out, &data[layout.shard(i)], Self::coefficient(layout.m, j, i));
            }
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
        let (e, size) = (missing.len(), layout.shard_bytes);
        let rows = &recovery_index[..e];

        self.matrix.clear();
        for (r, &j) in rows.iter().enumerate() {
            let row = missing.iter().map(|&i| Self::coefficient(layout.m, j.into(), i.into()));
            self.matrix.extend(row);
            self.matrix.extend((0..e).map(|c| u8::from(c == r)));
        }
        invert(&mut self.matrix, e)?;

        if self.syndromes.len() < e * size {
            self.syndromes.resize(e * size, 0);
        }
        for (slot, &j) in rows.iter().enumerate() {
            let syndrome = &mut self.syndromes[slot * size..][..size];
            syndrome.copy_from_slice(&recovery[layout.shard(slot)]);
            let mut gaps = missing.iter().copied().peekable();
            for i in 0..layout.k {
                if gaps.next_if(|&gap| usize::from(gap) == i).is_none() {
                    let c = Self::coefficient(layout.m, j.into(), i);
                    add_scaled(syndrome, &data[layout.shard(i)], c);
                }
            }
        }
        for (row, &i) in missing.iter().enumerate() {
            let out = &mut data[layout.shard(i.into())];
            out.fill(0);
            for r in 0..e {
                add_scaled(out, &self.syndromes[r * size..][..size], self.matrix[row * 2 * e + e + r]);
            }
        }
        Ok(())
    }
}

fn check_counts(layout: &ShardLayout) -> Result<(), FecError> {
    if layout.k + layout.m > FecScheme::Gf8.max_shards() {
        return Err(FecError::Shards { k: layout.k, m: layout.m });
    }
    Ok(())
}

fn add_scaled(out: &mut [u8], shard: &[u8], c: u8) {
    for (o, &x) in out.iter_mut().zip(shard) {
        *o ^= gf8::mul(c, x);
    }
}

/// Gauss–Jordan on `[A | I]` (e rows of 2e), leaving `[I | A⁻¹]`.
fn invert(matrix: &mut [u8], e: usize) -> Result<(), FecError> {
    let width = 2 * e;
    for col in 0..e {
        // A Cauchy matrix never lacks a pivot; a recovery shard named twice does.
        let pivot = (col..e).find(|&r| matrix[r * width + col] != 0).ok_or(FecError::Layout)?;
        for c in 0..width {
            matrix.swap(col * width + c, pivot * width + c);
        }
        let scale = gf8::inverse(matrix[col * width + col]);
        for c in 0..width {
            matrix[col * width + c] = gf8::mul(matrix[col * width + c], scale);
        }
        for r in 0..e {
            let factor = matrix[r * width + col];
            if r != col && factor != 0 {
                for c in 0..width {
                    let product = gf8::mul(factor, matrix[col * width + c]);
                    matrix[r * width + c] ^= product;
                }
            }
        }
    }
    Ok(())
}
