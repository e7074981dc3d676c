//! How the samples of an encoded picture stand for colours.

/// Colour of an 8-bit 4:2:0 stream. What is drawn is sRGB; encoders convert by this matrix into this range, and say both
/// in the bitstream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Colour {
    /// From red, green and blue to luma and two colour differences.
    pub matrix: Matrix,
    /// Luma from 0 to 255 (full range) instead of from 16 to 235 (limited), and colour differences alike.
    pub full_range: bool,
}

/// The standard whose matrix converts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Matrix {
    /// ITU-R BT.601.
    Bt601,
    /// ITU-R BT.709.
    #[default]
    Bt709,
}

impl Colour {
    /// All there are.
    pub const ALL: [Self; 4] = [
        Self { matrix: Matrix::Bt601, full_range: false },
        Self { matrix: Matrix::Bt601, full_range: true },
        Self { matrix: Matrix::Bt709, full_range: false },
        Self { matrix: Matrix::Bt709, full_range: true },
    ];
}
