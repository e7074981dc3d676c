//! Matrix × shards over a finite field: the one loop that dense Reed–Solomon spends its time in.
//!
//! ```text
//! out[r] (+)= Σ_i coefficient(r, i) · source[i]        for every 64-byte group of the shards
//! ```
//!
//! [`Combine`] names the shards and coefficients; [`Lane`] is one instruction set's way to multiply a 64-byte group by
//! a constant. The driver keeps a few rows by a few groups of sums in registers and streams the sources past them, so
//! each source byte is loaded once per row block and each sum is stored once.

#[cfg(target_arch = "x86_64")]
pub(crate) mod codes;
#[cfg(target_arch = "x86_64")]
pub(crate) mod dense;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Bytes of a group: what one step multiplies. In GF(2^16) 32 low bytes and then the 32 high bytes of the same symbols.
#[cfg(target_arch = "x86_64")]
pub(crate) const GROUP: usize = 64;

/// Which instructions the kernels may use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// None in particular: the library or the portable twin.
    Portable,
    /// AVX2: products by byte shuffles.
    Avx2,
    /// GFNI on 32-byte registers: products as bit matrices.
    Gfni256,
    /// GFNI on 64-byte registers.
    Gfni512,
}

impl Level {
    /// Every level that this processor can run, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                levels.push(Self::Avx2);
                if is_x86_feature_detected!("gfni") {
                    levels.push(Self::Gfni256);
                    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                        levels.push(Self::Gfni512);
                    }
                }
            }
        }
        levels
    }

    /// The fastest of them.
    #[must_use]
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }
}

/// One product of a matrix with shards. `coefficients[r * source_at.len() + i]` is a position in `table`.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Combine<'a, Op> {
    /// Where the sources lie, and the start of each.
    pub(crate) source: &'a [u8],
    pub(crate) source_at: &'a [usize],
    /// Where the sums go, and the start of each.
    pub(crate) out: &'a mut [u8],
    pub(crate) out_at: &'a [usize],
    /// Bytes of each shard to work on, a multiple of [`GROUP`].
    pub(crate) bytes: usize,
    pub(crate) table: &'a [Op],
    pub(crate) coefficients: &'a [u16],
    /// Add to what `out` holds instead of starting from zero.
    pub(crate) add: bool,
}

#[cfg(target_arch = "x86_64")]
impl<Op> Combine<'_, Op> {
    /// Panics unless every access that [`combine`] makes is inside its slice. Cheap: one pass over the small lists.
    fn check(&self) {
        let fits =
            |at: &[usize], len: usize| at.iter().all(|a| a.checked_add(self.bytes).is_some_and(|end| end <= len));
        assert!(self.bytes.is_multiple_of(GROUP), "whole groups");
        assert!(fits(self.source_at, self.source.len()) && fits(self.out_at, self.out.len()), "shards inside slices");
        assert_eq!(self.coefficients.len(), self.source_at.len() * self.out_at.len(), "a coefficient each");
        assert!(self.coefficients.iter().all(|&c| usize::from(c) < self.table.len()), "coefficients inside the table");
    }
}

/// An instruction set's way to multiply a group by a constant and add it up.
///
/// # Safety
/// Every function may only run on a processor with the lane's instructions; pointers address [`GROUP`] bytes, of any
/// alignment.
#[cfg(target_arch = "x86_64")]
pub(crate) trait Lane {
    /// A constant as it lies in a table.
    type Op;
    /// A constant in registers.
    type Coefficient: Copy;
    /// A source group made ready for multiplication.
    type Source: Copy;
    /// A sum.
    type Sum: Copy;

    unsafe fn coefficient(op: &Self::Op) -> Self::Coefficient;
    unsafe fn source(at: *const u8) -> Self::Source;
    unsafe fn zero() -> Self::Sum;
    unsafe fn load(at: *const u8) -> Self::Sum;
    unsafe fn store(at: *mut u8, sum: Self::Sum);
    unsafe fn multiply_add(sum: Self::Sum, source: Self::Source, coefficient: Self::Coefficient) -> Self::Sum;
}

/// The driver: blocks of `R` rows by `C` groups. Inlined into a function that enables the lane's instructions.
///
/// # Safety
/// The processor has the instructions of `L`, and [`Combine::check`] passed.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn combine<L: Lane, const R: usize, const C: usize>(job: &mut Combine<'_, L::Op>) {
    let groups = job.bytes / GROUP;
    let rows = job.out_at.len();
    let mut group = 0;
    while group < groups {
        // What is left over goes in pairs, then one by one: a 1408-byte shard is five fours and a two.
        let width = [C, 2, 1].into_iter().find(|w| group + w <= groups).unwrap_or(1);
        let mut row = 0;
        while row < rows {
            let height = [R, 2, 1].into_iter().find(|h| row + h <= rows).unwrap_or(1);
            // SAFETY: `block` covers rows and groups below the bounds that `check` compared with the slices.
            unsafe {
                match (height, width) {
                    (h, w) if h == R && w == C => block::<L, R, C>(job, row, group),
                    (h, 2) if h == R => block::<L, R, 2>(job, row, group),
                    (h, _) if h == R => block::<L, R, 1>(job, row, group),
                    (2, w) if w == C => block::<L, 2, C>(job, row, group),
                    (2, 2) => block::<L, 2, 2>(job, row, group),
                    (2, _) => block::<L, 2, 1>(job, row, group),
                    (_, w) if w == C => block::<L, 1, C>(job, row, group),
                    (_, 2) => block::<L, 1, 2>(job, row, group),
                    _ => block::<L, 1, 1>(job, row, group),
                }
            }
            row += height;
        }
        group += width;
    }
}

/// Rows `row .. row + R`, groups `group .. group + C`.
///
/// # Safety
/// As [`combine`], and the block lies inside the job.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn block<L: Lane, const R: usize, const C: usize>(job: &mut Combine<'_, L::Op>, row: usize, group: usize) {
    let sources = job.source_at.len();
    let first = group * GROUP;
    let out = job.out.as_mut_ptr();
    // SAFETY: `check` made sure that every shard start plus `bytes` is inside its slice, that there is a coefficient
    // for each row and source, and that each of them is inside the table. `row + R` and `first + C * GROUP` stay below
    // the number of rows and `bytes`. The lane's instructions are the caller's promise.
    unsafe {
        let mut sums = [[L::zero(); C]; R];
        if job.add {
            for (r, sums) in sums.iter_mut().enumerate() {
                let at = out.add(*job.out_at.get_unchecked(row + r) + first);
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(at.add(c * GROUP));
                }
            }
        }
        for i in 0..sources {
            let at = job.source.as_ptr().add(*job.source_at.get_unchecked(i) + first);
            let mut source = [L::source(at); C];
            for (c, s) in source.iter_mut().enumerate().skip(1) {
                *s = L::source(at.add(c * GROUP));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let position = *job.coefficients.get_unchecked((row + r) * sources + i);
                let coefficient = L::coefficient(job.table.get_unchecked(usize::from(position)));
                for (sum, &s) in sums.iter_mut().zip(&source) {
                    *sum = L::multiply_add(*sum, s, coefficient);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = out.add(*job.out_at.get_unchecked(row + r) + first);
            for (c, &sum) in sums.iter().enumerate() {
                L::store(at.add(c * GROUP), sum);
            }
        }
    }
}
