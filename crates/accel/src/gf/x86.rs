//! Lanes for x86-64: byte shuffles with AVX2, bit matrices with GFNI on 32- and 64-byte registers.

use core::arch::x86_64::*;

use super::{Combine, Lane, combine};

/// A field constant as the tables of one instruction set hold it, made from its products with the basis: `basis[b]` is
/// constant · 2^b.
pub(crate) trait Operand: Sized {
    /// 8 products for GF(2^8), 16 for GF(2^16).
    fn from_basis(basis: &[u16]) -> Self;
    /// Runs a job with the level's kernel.
    ///
    /// # Safety
    /// The processor has the level's instructions.
    unsafe fn run(job: &mut Combine<'_, Self>);
}

/// Products of GF(2^16) by shuffles: for each nibble of a symbol, the low and the high bytes of its 16 products.
#[repr(C, align(32))]
pub(crate) struct Shuffle16 {
    low: [[u8; 16]; 4],
    high: [[u8; 16]; 4],
}

/// Products of GF(2^16) as bit matrices: low ← low, high ← high, low ← high, high ← low.
#[repr(C, align(32))]
pub(crate) struct Matrix16<const WIDTH: usize>([u64; 4]);

/// Products of GF(2^8) by shuffles: for the low and the high nibble.
#[repr(C, align(32))]
pub(crate) struct Shuffle8([[u8; 16]; 2]);

/// Products of GF(2^8) as a bit matrix.
pub(crate) struct Matrix8<const WIDTH: usize>(u64);

/// A bit matrix in GFNI's order from the products with the eight bits of a byte: output bit `i` is the parity of the
/// input with byte 7 − i.
fn bit_matrix(products: [u8; 8]) -> u64 {
    // Transposed: byte i then holds, at bit j, bit i of product j.
    let mut x = u64::from_le_bytes(products);
    let t = (x ^ (x >> 7)) & 0x00AA_00AA_00AA_00AA;
    x ^= t ^ (t << 7);
    let t = (x ^ (x >> 14)) & 0x0000_CCCC_0000_CCCC;
    x ^= t ^ (t << 14);
    let t = (x ^ (x >> 28)) & 0x0000_0000_F0F0_F0F0;
    x ^= t ^ (t << 28);
    x.swap_bytes()
}

fn low_bytes(basis: &[u16]) -> [u8; 8] {
    core::array::from_fn(|j| basis[j] as u8)
}

fn high_bytes(basis: &[u16]) -> [u8; 8] {
    core::array::from_fn(|j| (basis[j] >> 8) as u8)
}

/// Sums of the four products, for each nibble value.
fn nibble_products(basis: &[u16]) -> [u16; 16] {
    core::array::from_fn(|n| (0..4).filter(|b| n >> b & 1 == 1).fold(0, |sum, b| sum ^ basis[b]))
}

impl Operand for Shuffle16 {
    fn from_basis(basis: &[u16]) -> Self {
        let products: [[u16; 16]; 4] = core::array::from_fn(|q| nibble_products(&basis[4 * q..]));
        Self { low: products.map(|p| p.map(|x| x as u8)), high: products.map(|p| p.map(|x| (x >> 8) as u8)) }
    }

    unsafe fn run(job: &mut Combine<'_, Self>) {
        job.check();
        // SAFETY: checked above; the instructions are the caller's promise.
        unsafe { shuffle16(job) }
    }
}

impl<const WIDTH: usize> Operand for Matrix16<WIDTH> {
    fn from_basis(basis: &[u16]) -> Self {
        let (from_low, from_high) = (&basis[..8], &basis[8..16]);
        Self([
            bit_matrix(low_bytes(from_low)),
            bit_matrix(high_bytes(from_high)),
            bit_matrix(low_bytes(from_high)),
            bit_matrix(high_bytes(from_low)),
        ])
    }

    unsafe fn run(job: &mut Combine<'_, Self>) {
        job.check();
        // SAFETY: checked above; the instructions are the caller's promise.
        unsafe { if WIDTH == 64 { matrix16_512(job) } else { matrix16_256(job) } }
    }
}

impl Operand for Shuffle8 {
    fn from_basis(basis: &[u16]) -> Self {
        let nibble = |at: usize| nibble_products(&basis[at..]).map(|x| x as u8);
        Self([nibble(0), nibble(4)])
    }

    unsafe fn run(job: &mut Combine<'_, Self>) {
        job.check();
        // SAFETY: checked above; the instructions are the caller's promise.
        unsafe { shuffle8(job) }
    }
}

impl<const WIDTH: usize> Operand for Matrix8<WIDTH> {
    fn from_basis(basis: &[u16]) -> Self {
        Self(bit_matrix(low_bytes(basis)))
    }

    unsafe fn run(job: &mut Combine<'_, Self>) {
        job.check();
        // SAFETY: checked above; the instructions are the caller's promise.
        unsafe { if WIDTH == 64 { matrix8_512(job) } else { matrix8_256(job) } }
    }
}

/// Defines a kernel: the driver, compiled with a lane's instructions. Block sizes are what fits its registers.
macro_rules! kernel {
    ($name:ident, $features:literal, $lane:ty, $op:ty, $rows:literal, $groups:literal) => {
        /// # Safety
        /// The processor has these instructions, and the job is checked.
        #[target_feature(enable = $features)]
        unsafe fn $name<const WIDTH: usize>(job: &mut Combine<'_, $op>) {
            // SAFETY: this function's own conditions.
            unsafe { combine::<$lane, $rows, $groups>(job) }
        }
    };
    ($name:ident, $features:literal, $lane:ty, $op:ty, $rows:literal, $groups:literal, plain) => {
        /// # Safety
        /// The processor has these instructions, and the job is checked.
        #[target_feature(enable = $features)]
        unsafe fn $name(job: &mut Combine<'_, $op>) {
            // SAFETY: this function's own conditions.
            unsafe { combine::<$lane, $rows, $groups>(job) }
        }
    };
}

kernel!(shuffle16, "avx2", Avx2Gf16, Shuffle16, 2, 1, plain);
kernel!(matrix16_256, "avx2,gfni", Gfni256Gf16<WIDTH>, Matrix16<WIDTH>, 2, 2);
kernel!(matrix16_512, "avx512f,avx512bw,gfni", Gfni512Gf16<WIDTH>, Matrix16<WIDTH>, 4, 4);
kernel!(shuffle8, "avx2", Avx2Gf8, Shuffle8, 4, 1, plain);
kernel!(matrix8_256, "avx2,gfni", Gfni256Gf8<WIDTH>, Matrix8<WIDTH>, 4, 1);
kernel!(matrix8_512, "avx512f,avx512bw,gfni", Gfni512Gf8<WIDTH>, Matrix8<WIDTH>, 4, 4);

/// A 64-byte group in two registers.
type Pair = (__m256i, __m256i);

/// # Safety
/// AVX2; `at` addresses 64 bytes.
#[inline(always)]
unsafe fn load_pair(at: *const u8) -> Pair {
    // SAFETY: unaligned loads of the 64 bytes that the caller promises.
    unsafe { (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())) }
}

/// # Safety
/// AVX2; `at` addresses 64 bytes.
#[inline(always)]
unsafe fn store_pair(at: *mut u8, pair: Pair) {
    // SAFETY: unaligned stores into the 64 bytes that the caller promises.
    unsafe {
        _mm256_storeu_si256(at.cast(), pair.0);
        _mm256_storeu_si256(at.add(32).cast(), pair.1);
    }
}

/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn nibbles(x: __m256i) -> (__m256i, __m256i) {
    // SAFETY: register arithmetic only.
    unsafe {
        let mask = _mm256_set1_epi8(0x0F);
        (_mm256_and_si256(x, mask), _mm256_and_si256(_mm256_srli_epi64::<4>(x), mask))
    }
}

/// # Safety
/// AVX2.
#[inline(always)]
unsafe fn shuffle(table: &[u8; 16], index: __m256i) -> __m256i {
    // SAFETY: loads the 16 bytes of `table`.
    unsafe { _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())), index) }
}

/// The parts of a lane whose sums are two 32-byte registers.
macro_rules! pair_sums {
    () => {
        type Sum = Pair;

        #[inline(always)]
        unsafe fn zero() -> Pair {
            // SAFETY: register arithmetic only.
            unsafe { (_mm256_setzero_si256(), _mm256_setzero_si256()) }
        }

        #[inline(always)]
        unsafe fn load(at: *const u8) -> Pair {
            // SAFETY: the trait's condition.
            unsafe { load_pair(at) }
        }

        #[inline(always)]
        unsafe fn store(at: *mut u8, sum: Pair) {
            // SAFETY: the trait's condition.
            unsafe { store_pair(at, sum) }
        }
    };
}

/// The parts of a lane whose sums are one 64-byte register.
macro_rules! wide_sums {
    () => {
        type Sum = __m512i;

        #[inline(always)]
        unsafe fn zero() -> __m512i {
            // SAFETY: register arithmetic only.
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn load(at: *const u8) -> __m512i {
            // SAFETY: an unaligned load of the 64 bytes that the trait promises.
            unsafe { _mm512_loadu_si512(at.cast()) }
        }

        #[inline(always)]
        unsafe fn store(at: *mut u8, sum: __m512i) {
            // SAFETY: an unaligned store into the 64 bytes that the trait promises.
            unsafe { _mm512_storeu_si512(at.cast(), sum) }
        }
    };
}

struct Avx2Gf16;

impl Lane for Avx2Gf16 {
    type Op = Shuffle16;
    type Coefficient = *const Shuffle16;
    /// Nibbles of the symbols, lowest first.
    type Source = [__m256i; 4];
    pair_sums!();

    #[inline(always)]
    unsafe fn coefficient(op: &Shuffle16) -> *const Shuffle16 {
        op
    }

    #[inline(always)]
    unsafe fn source(at: *const u8) -> Self::Source {
        // SAFETY: the trait's condition.
        unsafe {
            let (low, high) = load_pair(at);
            let ((a, b), (c, d)) = (nibbles(low), nibbles(high));
            [a, b, c, d]
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: Pair, source: Self::Source, coefficient: *const Shuffle16) -> Pair {
        // SAFETY: `coefficient` was made from a reference into the job's table, which outlives the job.
        unsafe {
            let tables = &*coefficient;
            let mut sum = sum;
            for (q, nibble) in source.into_iter().enumerate() {
                sum.0 = _mm256_xor_si256(sum.0, shuffle(&tables.low[q], nibble));
                sum.1 = _mm256_xor_si256(sum.1, shuffle(&tables.high[q], nibble));
            }
            sum
        }
    }
}

struct Gfni256Gf16<const WIDTH: usize>;

impl<const WIDTH: usize> Lane for Gfni256Gf16<WIDTH> {
    type Op = Matrix16<WIDTH>;
    type Coefficient = [__m256i; 4];
    type Source = Pair;
    pair_sums!();

    #[inline(always)]
    unsafe fn coefficient(op: &Self::Op) -> Self::Coefficient {
        // SAFETY: register arithmetic only.
        unsafe { op.0.map(|m| _mm256_set1_epi64x(m as i64)) }
    }

    #[inline(always)]
    unsafe fn source(at: *const u8) -> Pair {
        // SAFETY: the trait's condition.
        unsafe { load_pair(at) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: Pair, (low, high): Pair, [ll, hh, lh, hl]: [__m256i; 4]) -> Pair {
        // SAFETY: register arithmetic only.
        unsafe {
            let to_low = _mm256_xor_si256(
                _mm256_gf2p8affine_epi64_epi8::<0>(low, ll),
                _mm256_gf2p8affine_epi64_epi8::<0>(high, lh),
            );
            let to_high = _mm256_xor_si256(
                _mm256_gf2p8affine_epi64_epi8::<0>(high, hh),
                _mm256_gf2p8affine_epi64_epi8::<0>(low, hl),
            );
            (_mm256_xor_si256(sum.0, to_low), _mm256_xor_si256(sum.1, to_high))
        }
    }
}

struct Gfni512Gf16<const WIDTH: usize>;

impl<const WIDTH: usize> Lane for Gfni512Gf16<WIDTH> {
    type Op = Matrix16<WIDTH>;
    /// For bytes that stay in their half, and for bytes that change it.
    type Coefficient = (__m512i, __m512i);
    /// The group, and the group with its halves swapped.
    type Source = (__m512i, __m512i);
    wide_sums!();

    #[inline(always)]
    unsafe fn coefficient(op: &Self::Op) -> Self::Coefficient {
        let [ll, hh, lh, hl] = op.0.map(|m| m as i64);
        // SAFETY: register arithmetic only.
        unsafe {
            let halves = |low, high| _mm512_mask_set1_epi64(_mm512_set1_epi64(low), 0xF0, high);
            (halves(ll, hh), halves(lh, hl))
        }
    }

    #[inline(always)]
    unsafe fn source(at: *const u8) -> Self::Source {
        // SAFETY: the trait's condition.
        unsafe {
            let x = _mm512_loadu_si512(at.cast());
            (x, _mm512_shuffle_i64x2::<0b01_00_11_10>(x, x))
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512i, (x, swapped): Self::Source, (stay, cross): Self::Coefficient) -> __m512i {
        // SAFETY: register arithmetic only. 0x96 is the exclusive or of three.
        unsafe {
            _mm512_ternarylogic_epi64::<0x96>(
                sum,
                _mm512_gf2p8affine_epi64_epi8::<0>(x, stay),
                _mm512_gf2p8affine_epi64_epi8::<0>(swapped, cross),
            )
        }
    }
}

struct Avx2Gf8;

impl Lane for Avx2Gf8 {
    type Op = Shuffle8;
    type Coefficient = *const Shuffle8;
    type Source = (Pair, Pair);
    pair_sums!();

    #[inline(always)]
    unsafe fn coefficient(op: &Shuffle8) -> *const Shuffle8 {
        op
    }

    #[inline(always)]
    unsafe fn source(at: *const u8) -> Self::Source {
        // SAFETY: the trait's condition.
        unsafe {
            let (a, b) = load_pair(at);
            (nibbles(a), nibbles(b))
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: Pair, source: Self::Source, coefficient: *const Shuffle8) -> Pair {
        // SAFETY: `coefficient` was made from a reference into the job's table, which outlives the job.
        unsafe {
            let [low, high] = &(*coefficient).0;
            let product = |(l, h)| _mm256_xor_si256(shuffle(low, l), shuffle(high, h));
            (_mm256_xor_si256(sum.0, product(source.0)), _mm256_xor_si256(sum.1, product(source.1)))
        }
    }
}

struct Gfni256Gf8<const WIDTH: usize>;

impl<const WIDTH: usize> Lane for Gfni256Gf8<WIDTH> {
    type Op = Matrix8<WIDTH>;
    type Coefficient = __m256i;
    type Source = Pair;
    pair_sums!();

    #[inline(always)]
    unsafe fn coefficient(op: &Self::Op) -> __m256i {
        // SAFETY: register arithmetic only.
        unsafe { _mm256_set1_epi64x(op.0 as i64) }
    }

    #[inline(always)]
    unsafe fn source(at: *const u8) -> Pair {
        // SAFETY: the trait's condition.
        unsafe { load_pair(at) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: Pair, source: Pair, matrix: __m256i) -> Pair {
        // SAFETY: register arithmetic only.
        unsafe {
            (
                _mm256_xor_si256(sum.0, _mm256_gf2p8affine_epi64_epi8::<0>(source.0, matrix)),
                _mm256_xor_si256(sum.1, _mm256_gf2p8affine_epi64_epi8::<0>(source.1, matrix)),
            )
        }
    }
}

struct Gfni512Gf8<const WIDTH: usize>;

impl<const WIDTH: usize> Lane for Gfni512Gf8<WIDTH> {
    type Op = Matrix8<WIDTH>;
    type Coefficient = __m512i;
    type Source = __m512i;
    wide_sums!();

    #[inline(always)]
    unsafe fn coefficient(op: &Self::Op) -> __m512i {
        // SAFETY: register arithmetic only.
        unsafe { _mm512_set1_epi64(op.0 as i64) }
    }

    #[inline(always)]
    unsafe fn source(at: *const u8) -> __m512i {
        // SAFETY: the trait's condition.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512i, source: __m512i, matrix: __m512i) -> __m512i {
        // SAFETY: register arithmetic only.
        unsafe { _mm512_xor_si512(sum, _mm512_gf2p8affine_epi64_epi8::<0>(source, matrix)) }
    }
}
