//! A decoded picture.

use punktfunk_media::Colour;
use yuv::YuvPlanarImage;

use punktfunk_convert::{inverse_matrix, range};

/// An 8-bit 4:2:0 picture, planes without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Luma, `width * height` bytes.
    pub y: Vec<u8>,
    /// Blue difference, `ceil(width/2) * ceil(height/2)` bytes.
    pub u: Vec<u8>,
    /// Red difference, like `u`.
    pub v: Vec<u8>,
    /// How the samples stand for colours, as the stream says; the default where it does not.
    pub colour: Colour,
}

impl Picture {
    /// Chroma samples per row.
    #[must_use]
    pub fn chroma_width(&self) -> usize {
        self.width.div_ceil(2)
    }

    /// Chroma rows.
    #[must_use]
    pub fn chroma_height(&self) -> usize {
        self.height.div_ceil(2)
    }

    /// Converts to packed RGB, `3 * width * height` bytes, for a PNG or for reading what is drawn in the picture.
    /// `out` is resized.
    pub fn to_rgb(&self, out: &mut Vec<u8>) {
        out.resize(self.width * self.height * 3, 0);
        let image = YuvPlanarImage {
            y_plane: &self.y,
            y_stride: self.width as u32,
            u_plane: &self.u,
            u_stride: self.chroma_width() as u32,
            v_plane: &self.v,
            v_stride: self.chroma_width() as u32,
            width: self.width as u32,
            height: self.height as u32,
        };
        if self.width > 0 && self.height > 0 {
            let (range, matrix) = (range(self.colour), inverse_matrix(self.colour));
            yuv::yuv420_to_rgb(&image, out, self.width as u32 * 3, range, matrix)
                .expect("planes and strides follow from width and height");
        }
    }

    /// Luma PSNR against another picture of the same size, in dB; infinite when equal, 0 when the sizes differ.
    #[must_use]
    pub fn luma_psnr(&self, other: &Self) -> f64 {
        if (self.width, self.height) != (other.width, other.height) || self.y.is_empty() {
            return 0.0;
        }
        let squares: u64 = self.y.iter().zip(&other.y).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        if squares == 0 {
            return f64::INFINITY;
        }
        10.0 * (255.0 * 255.0 * self.y.len() as f64 / squares as f64).log10()
    }

    /// Takes over planes with strides.
    pub(crate) fn assign(&mut self, width: usize, height: usize, planes: [(&[u8], usize); 3]) {
        (self.width, self.height) = (width, height);
        let (chroma_width, chroma_height) = (self.chroma_width(), self.chroma_height());
        let sizes = [(width, height), (chroma_width, chroma_height), (chroma_width, chroma_height)];
        for ((target, (data, stride)), (w, h)) in
            [&mut self.y, &mut self.u, &mut self.v].into_iter().zip(planes).zip(sizes)
        {
            target.clear();
            for row in data.chunks(stride).take(h) {
                target.extend_from_slice(&row[..w]);
            }
        }
    }
}
