//! The two codes as Cauchy matrices.
//!
//! GF(2^8) is one by definition: recovery j, data i ↦ 1 / ((m + i) xor j).
//!
//! GF(2^16) Leopard is defined by transforms, but it is a Reed–Solomon code, so its matrix must be the Lagrange
//! interpolation between its evaluation points; and because those points fill cosets of a linear subspace V of size n,
//! that matrix is again a Cauchy matrix, up to a factor per coset. With data shard i at point y(i) and recovery shard j
//! at point x(j) (high rate: x = j, y = n + i; low rate: x = n + j, y = i; n = the smaller side's next power of two):
//!
//! ```text
//!                    s(x + y)                    Π_{v ∈ V} (c + v)
//! matrix(j, i)  =  ───────────        s(c)  =  ─────────────────────      (+ is xor; s depends on the coset only)
//!                     x + y                     Π_{v ∈ V, v ≠ 0} v
//! ```
//!
//! So the entry is a function of n and `x xor y` alone: a small table per n serves every k and m, and the inverse of
//! any square part has the closed form of Cauchy's. Tests compare the bytes with `reed-solomon-simd` itself.

use punktfunk_core::fec::{ShardLayout, gf8};
use reed_solomon_simd::engine::tables::{ExpLog, get_exp_log};

use super::GROUP;

/// A code whose recovery matrix entry (j, i) is `scale(x ^ y) / (x ^ y)`.
pub(crate) trait Code {
    /// Bits of a symbol.
    const BITS: usize;
    /// Order of the multiplicative group.
    const GROUP_ORDER: u32;

    /// The family of tables that a shape uses: its position among [`Code::FAMILIES`], and the points of the shards.
    fn shape(layout: &ShardLayout) -> Shape;
    /// How many families there are.
    const FAMILIES: usize;
    /// Discrete logarithm of `x`, which is not 0.
    fn log(&self, x: u16) -> u32;
    /// The element with this logarithm, which is below [`Code::GROUP_ORDER`].
    fn exp(&self, log: u32) -> u16;
    /// Logarithm of the factor of the coset that `u` lies in.
    fn log_scale(&self, family: usize, u: u16) -> u32;
    /// Lays the last, partial group of a shard out like a whole one.
    fn widen(tail: &[u8], group: &mut [u8; GROUP]);
    /// The reverse of [`Code::widen`].
    fn narrow(group: &[u8; GROUP], tail: &mut [u8]);

    /// Logarithm of the matrix entry for the difference `u`.
    fn log_entry(&self, family: usize, u: u16) -> u32 {
        (self.log_scale(family, u) + Self::GROUP_ORDER - self.log(u)) % Self::GROUP_ORDER
    }
}

/// Where the shards of a block lie in the field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) family: usize,
    /// Point of recovery shard 0 and of data shard 0; shard n is at `xor`-free offset + n.
    x0: usize,
    y0: usize,
}

impl Shape {
    /// Point of recovery shard `j`.
    pub(crate) fn x(&self, j: usize) -> usize {
        self.x0 + j
    }

    /// Point of data shard `i`.
    pub(crate) fn y(&self, i: usize) -> usize {
        self.y0 + i
    }
}

/// GF(2^8) Cauchy.
#[derive(Default)]
pub(crate) struct Gf8;

impl Code for Gf8 {
    const BITS: usize = 8;
    const GROUP_ORDER: u32 = 255;
    const FAMILIES: usize = 1;

    fn shape(layout: &ShardLayout) -> Shape {
        Shape { family: 0, x0: 0, y0: layout.m }
    }

    fn log(&self, x: u16) -> u32 {
        gf8::LOG[usize::from(x as u8)].into()
    }

    fn exp(&self, log: u32) -> u16 {
        gf8::EXP[log as usize].into()
    }

    fn log_scale(&self, _: usize, _: u16) -> u32 {
        0
    }

    fn widen(tail: &[u8], group: &mut [u8; GROUP]) {
        group.fill(0);
        group[..tail.len()].copy_from_slice(tail);
    }

    fn narrow(group: &[u8; GROUP], tail: &mut [u8]) {
        let len = tail.len();
        tail.copy_from_slice(&group[..len]);
    }
}

/// GF(2^16) Leopard.
pub(crate) struct Gf16 {
    tables: &'static ExpLog,
    /// Logarithm of s by family (log2 n) and coset; filled as far as tables were asked for.
    scales: [Vec<u32>; Self::FAMILIES],
}

impl Default for Gf16 {
    fn default() -> Self {
        Self { tables: get_exp_log(), scales: [const { Vec::new() }; Self::FAMILIES] }
    }
}

impl Gf16 {
    /// Computes the scales of `family` for all differences up to `u`.
    pub(crate) fn prepare(&mut self, family: usize, u: usize) {
        let n = 1usize << family;
        let wanted = u / n + 1;
        for coset in self.scales[family].len()..wanted {
            // Coset 0 is V itself; no difference lies there, and its product would contain zero.
            let scale = if coset == 0 {
                0
            } else {
                let above: u64 = (0..n).map(|v| u64::from(self.log((coset * n + v) as u16))).sum();
                let below: u64 = (1..n).map(|v| u64::from(self.log(v as u16))).sum();
                let order = u64::from(Self::GROUP_ORDER);
                ((above + order * n as u64 - below) % order) as u32
            };
            self.scales[family].push(scale);
        }
    }
}

impl Code for Gf16 {
    const BITS: usize = 16;
    const GROUP_ORDER: u32 = 65_535;
    const FAMILIES: usize = 16;

    /// As the library chooses: chunks of the smaller side's power of two; where both are equal, of the larger side's.
    fn shape(layout: &ShardLayout) -> Shape {
        let (k2, m2) = (layout.k.next_power_of_two(), layout.m.next_power_of_two());
        let high_rate = k2 > m2 || (k2 == m2 && layout.k <= layout.m);
        let n = k2.min(m2);
        let (x0, y0) = if high_rate { (0, n) } else { (n, 0) };
        Shape { family: n.trailing_zeros() as usize, x0, y0 }
    }

    fn log(&self, x: u16) -> u32 {
        u32::from(self.tables.log[usize::from(x)]) % Self::GROUP_ORDER
    }

    fn exp(&self, log: u32) -> u16 {
        self.tables.exp[log as usize]
    }

    fn log_scale(&self, family: usize, u: u16) -> u32 {
        self.scales[family][usize::from(u) >> family]
    }

    fn widen(tail: &[u8], group: &mut [u8; GROUP]) {
        let (low, high) = tail.split_at(tail.len() / 2);
        group.fill(0);
        group[..low.len()].copy_from_slice(low);
        group[GROUP / 2..][..high.len()].copy_from_slice(high);
    }

    fn narrow(group: &[u8; GROUP], tail: &mut [u8]) {
        let half = tail.len() / 2;
        let (low, high) = tail.split_at_mut(half);
        low.copy_from_slice(&group[..half]);
        high.copy_from_slice(&group[GROUP / 2..][..half]);
    }
}
