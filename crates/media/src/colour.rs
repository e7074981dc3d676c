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

    /// Red, green and blue of a sample of each plane, by the formulas of the matrix's standard.
    #[must_use]
    pub fn to_rgb(self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        // Kr and Kb of the standards; green has the rest.
        let (kr, kb) = match self.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (floor, luma_range, chroma_range) =
            if self.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let luma = (f32::from(luma) - floor) / luma_range;
        let [blue, red] = [blue, red].map(|v| (f32::from(v) - 128.0) / chroma_range * 2.0);
        let (r, b) = (luma + red * (1.0 - kr), luma + blue * (1.0 - kb));
        let g = (luma - kr * r - kb * b) / kg;
        // Cut to a byte.
        [r, g, b].map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_black_and_red_come_back() {
        let limited = Colour::default();
        assert_eq!(limited.to_rgb(235, 128, 128), [255; 3]);
        assert_eq!(limited.to_rgb(16, 128, 128), [0; 3]);
        // Red in BT.709, limited: 63, 102, 240.
        assert_eq!(limited.to_rgb(63, 102, 240), [255, 1, 0]);
        let full = Colour { matrix: Matrix::Bt601, full_range: true };
        // Red in BT.601, full: 76, 85, 255.
        assert_eq!(full.to_rgb(76, 85, 255), [254, 0, 0]);
    }
}
