//! A colour in the words of the library that converts.

use punktfunk_media::{Colour, Matrix};
use yuv::{YuvRange, YuvStandardMatrix};

/// The matrix towards red, green and blue.
#[must_use]
pub const fn inverse_matrix(colour: Colour) -> YuvStandardMatrix {
    match colour.matrix {
        Matrix::Bt601 => YuvStandardMatrix::Bt601,
        Matrix::Bt709 => YuvStandardMatrix::Bt709,
    }
}

/// The matrix from red, green and blue, as the library's `Fast` mode rounds it best.
pub(super) const fn forward_matrix(colour: Colour) -> YuvStandardMatrix {
    match colour.matrix {
        Matrix::Bt601 => BT601_ROUNDED,
        Matrix::Bt709 => YuvStandardMatrix::Bt709,
    }
}

/// The range.
#[must_use]
pub const fn range(colour: Colour) -> YuvRange {
    if colour.full_range { YuvRange::Full } else { YuvRange::Limited }
}

/// `Fast` has coefficients of seven bits. Of BT.601 in limited range the three of luma would round to 33, 65 and 13
/// where they are 32.87, 64.53 and 12.53: each upwards, which takes white to 237 instead of 235. These weights of red and
/// blue, three ten-thousandths off, give 33, 64 and 13; all other coefficients, full range included, are the same.
const BT601_ROUNDED: YuvStandardMatrix = YuvStandardMatrix::Custom(0.2993, 0.1141);
