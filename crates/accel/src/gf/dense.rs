//! Encoding and decoding with the recovery matrix itself.
//!
//! Encoding is one matrix product. Decoding takes as many recovery shards as data shards are missing, removes from them
//! what the present data contributed (a product over the present shards), and multiplies by the inverse of the small
//! square matrix that is left, which a Cauchy matrix has in closed form. The cost grows with missing × k instead of
//! having the transform's floor.

use punktfunk_core::fec::{FecError, ShardLayout};

use super::codes::{Code, Shape};
use super::x86::Operand;
use super::{Combine, GROUP};

/// A code with one instruction set's tables and its work space; all of it is kept between calls.
pub(crate) struct Dense<C, O> {
    code: C,
    /// By family: the matrix entry for each difference.
    tables: Vec<Vec<O>>,
    /// The inverse's entries, row-major.
    inverse: Vec<O>,
    coefficients: Vec<u16>,
    source_at: Vec<usize>,
    out_at: Vec<usize>,
    syndromes: Vec<u8>,
    tails: Tails,
    log_rows: Vec<u32>,
    log_columns: Vec<u32>,
}

/// Partial groups at the end of shards, laid out as whole ones.
#[derive(Default)]
struct Tails {
    source: Vec<u8>,
    source_at: Vec<usize>,
    out: Vec<u8>,
    out_at: Vec<usize>,
}

/// What [`Dense::multiply`] works on.
struct Product<'a> {
    source: &'a [u8],
    out: &'a mut [u8],
    shard_bytes: usize,
    add: bool,
}

impl<C: Code + Prepare, O: Operand> Dense<C, O> {
    /// # Safety
    /// The processor has the instructions of `O`.
    pub(crate) unsafe fn new(code: C) -> Self {
        Self {
            code,
            tables: (0..C::FAMILIES).map(|_| Vec::new()).collect(),
            inverse: Vec::new(),
            coefficients: Vec::new(),
            source_at: Vec::new(),
            out_at: Vec::new(),
            syndromes: Vec::new(),
            tails: Tails::default(),
            log_rows: Vec::new(),
            log_columns: Vec::new(),
        }
    }

    /// Writes the recovery shards. The layout is checked.
    pub(crate) fn encode(&mut self, data: &[u8], recovery: &mut [u8], layout: &ShardLayout) {
        let shape = self.prepare(layout);
        self.source_at.clear();
        self.source_at.extend((0..layout.k).map(|i| i * layout.stride));
        self.out_at.clear();
        self.out_at.extend((0..layout.m).map(|j| j * layout.stride));
        self.coefficients.clear();
        for j in 0..layout.m {
            self.coefficients.extend((0..layout.k).map(|i| (shape.x(j) ^ shape.y(i)) as u16));
        }
        let product = Product { source: data, out: recovery, shard_bytes: layout.shard_bytes, add: false };
        self.multiply(Some(shape.family), product);
    }

    /// Rebuilds the missing shards. Layout and lists are checked, but for repeated recovery numbers.
    ///
    /// # Errors
    /// [`FecError::Layout`] for a recovery shard that is named twice.
    pub(crate) fn recover(
        &mut self,
        data: &mut [u8],
        missing: &[u16],
        recovery: &[u8],
        recovery_index: &[u16],
        layout: &ShardLayout,
    ) -> Result<(), FecError> {
        let shape = self.prepare(layout);
        let size = layout.shard_bytes;
        let rows = &recovery_index[..missing.len()];
        self.invert(&shape, missing, rows)?;

        // What the recovery shards say about the missing data.
        self.source_at.clear();
        self.coefficients.clear();
        let mut gaps = missing.iter().copied().map(usize::from).peekable();
        self.source_at.extend((0..layout.k).filter(|i| gaps.next_if_eq(i).is_none()).map(|i| i * layout.stride));
        for &j in rows {
            let x = shape.x(j.into());
            let mut gaps = missing.iter().copied().map(usize::from).peekable();
            let present = (0..layout.k).filter(|i| gaps.next_if_eq(i).is_none());
            self.coefficients.extend(present.map(|i| (x ^ shape.y(i)) as u16));
        }
        let mut syndromes = core::mem::take(&mut self.syndromes);
        if syndromes.len() < rows.len() * size {
            syndromes.resize(rows.len() * size, 0);
        }
        self.out_at.clear();
        for slot in 0..rows.len() {
            syndromes[slot * size..][..size].copy_from_slice(&recovery[layout.shard(slot)]);
            self.out_at.push(slot * size);
        }
        let product = Product { source: data, out: &mut syndromes, shard_bytes: size, add: true };
        self.multiply(Some(shape.family), product);

        // And from that the missing data.
        core::mem::swap(&mut self.source_at, &mut self.out_at);
        self.out_at.clear();
        self.out_at.extend(missing.iter().map(|&i| usize::from(i) * layout.stride));
        self.coefficients.clear();
        self.coefficients.extend((0..rows.len() * rows.len()).map(|i| i as u16));
        let product = Product { source: &syndromes, out: data, shard_bytes: size, add: false };
        self.multiply(None, product);
        self.syndromes = syndromes;
        Ok(())
    }

    /// Makes the tables reach as far as the layout's differences.
    fn prepare(&mut self, layout: &ShardLayout) -> Shape {
        let shape = C::shape(layout);
        // Differences stay below the power of two above both points.
        let reach = shape.x(layout.m.max(1) - 1).max(shape.y(layout.k - 1)) | ((1 << shape.family) - 1);
        self.code.prepare(shape.family, reach);
        let bound = C::bound(reach);
        let table = &mut self.tables[shape.family];
        while table.len() < bound {
            let u = table.len() as u16;
            // A difference inside V does not occur in this family; the place is filled so that positions are values.
            let entry =
                if usize::from(u) < C::first(shape.family) { None } else { Some(self.code.log_entry(shape.family, u)) };
            table.push(operand::<C, O>(&self.code, entry));
        }
        shape
    }

    /// Fills `inverse` with the inverse of the square part (rows × missing columns) of the matrix.
    fn invert(&mut self, shape: &Shape, missing: &[u16], rows: &[u16]) -> Result<(), FecError> {
        let (code, order) = (&self.code, u64::from(C::GROUP_ORDER));
        // Logarithms of Π (x_r + y_i) over one side, divided by Π over the differences within the other.
        let quotient = |at: usize, others: &mut dyn Iterator<Item = usize>, own: &mut dyn Iterator<Item = usize>| {
            let mut log = 0u64;
            for other in others {
                log += u64::from(code.log((at ^ other) as u16));
            }
            for twin in own {
                if twin == at {
                    return Err(FecError::Layout);
                }
                log += order - u64::from(code.log((at ^ twin) as u16));
            }
            Ok((log % order) as u32)
        };
        let x = |r: usize| shape.x(rows[r].into());
        let y = |c: usize| shape.y(missing[c].into());
        let e = rows.len();
        self.log_rows.clear();
        self.log_columns.clear();
        for r in 0..e {
            let log = quotient(x(r), &mut (0..e).map(y), &mut (0..e).filter(|&o| o != r).map(x))?;
            self.log_rows.push(log);
        }
        for c in 0..e {
            let log = quotient(y(c), &mut (0..e).map(x), &mut (0..e).filter(|&o| o != c).map(y))?;
            self.log_columns.push(log);
        }
        self.inverse.clear();
        for (c, &column) in self.log_columns.iter().enumerate() {
            for (r, &row) in self.log_rows.iter().enumerate() {
                let u = (x(r) ^ y(c)) as u16;
                let order = C::GROUP_ORDER;
                let below = code.log(u) + code.log_scale(shape.family, u);
                let log = (row + column + 2 * order - below) % order;
                self.inverse.push(operand::<C, O>(code, Some(log)));
            }
        }
        Ok(())
    }

    /// `out[r] (+)= Σ coefficient · source[i]` with the lists prepared in `self`; the table is a family's, or the
    /// inverse.
    fn multiply(&mut self, family: Option<usize>, product: Product<'_>) {
        let Product { source, out, shard_bytes, add } = product;
        let table = family.map_or(&self.inverse, |f| &self.tables[f]);
        let coefficients = &self.coefficients;
        let whole = shard_bytes / GROUP * GROUP;
        let (source_at, out_at) = (&self.source_at, &self.out_at);
        // SAFETY (both calls): `new` was promised the instructions of `O`.
        if whole > 0 {
            let bytes = whole;
            let mut job = Combine { source, source_at, out, out_at, bytes, table, coefficients, add };
            // SAFETY: as above.
            unsafe { O::run(&mut job) };
        }
        if whole < shard_bytes {
            let tails = &mut self.tails;
            let tail = |at: usize| at + whole..at + shard_bytes;
            tails.source.resize(source_at.len() * GROUP, 0);
            tails.out.resize(out_at.len() * GROUP, 0);
            spread(&mut tails.source_at, source_at.len());
            spread(&mut tails.out_at, out_at.len());
            for (group, &at) in groups(&mut tails.source).zip(source_at) {
                C::widen(&source[tail(at)], group);
            }
            if add {
                for (group, &at) in groups(&mut tails.out).zip(out_at) {
                    C::widen(&out[tail(at)], group);
                }
            }
            let mut job = Combine {
                source: &tails.source,
                source_at: &tails.source_at,
                out: &mut tails.out,
                out_at: &tails.out_at,
                bytes: GROUP,
                table,
                coefficients,
                add,
            };
            // SAFETY: as above.
            unsafe { O::run(&mut job) };
            for (group, &at) in groups(&mut tails.out).zip(out_at) {
                C::narrow(group, &mut out[tail(at)]);
            }
        }
    }
}

/// What the two codes do differently when tables grow.
pub(crate) trait Prepare {
    /// Makes [`Code::log_scale`] answer for differences up to `reach`.
    fn prepare(&mut self, family: usize, reach: usize);
    /// How many entries a table needs for differences up to `reach`.
    fn bound(reach: usize) -> usize;
    /// The smallest difference of a family.
    fn first(family: usize) -> usize;
}

impl Prepare for super::codes::Gf8 {
    fn prepare(&mut self, _: usize, _: usize) {}

    fn bound(_: usize) -> usize {
        256
    }

    fn first(_: usize) -> usize {
        1
    }
}

impl Prepare for super::codes::Gf16 {
    fn prepare(&mut self, family: usize, reach: usize) {
        super::codes::Gf16::prepare(self, family, Self::bound(reach) - 1);
    }

    fn bound(reach: usize) -> usize {
        (reach + 1).next_power_of_two()
    }

    fn first(family: usize) -> usize {
        1 << family
    }
}

/// The operand for the element with this logarithm, or for zero.
fn operand<C: Code, O: Operand>(code: &C, log: Option<u32>) -> O {
    let mut basis = [0u16; 16];
    if let Some(log) = log {
        for (bit, product) in basis.iter_mut().enumerate().take(C::BITS) {
            *product = code.exp((log + code.log(1 << bit)) % C::GROUP_ORDER);
        }
    }
    O::from_basis(&basis)
}

fn groups(bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8; GROUP]> {
    bytes.as_chunks_mut::<GROUP>().0.iter_mut()
}

/// Starts of `count` groups back to back.
fn spread(at: &mut Vec<usize>, count: usize) {
    at.clear();
    at.extend((0..count).map(|i| i * GROUP));
}
