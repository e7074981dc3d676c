//! A machine-readable number in a picture: big black and white cells that survive a lossy codec.
//!
//! ```text
//! x = cell, y = cell ─► ┌ 16 columns ┐      4 rows of 16 cells: index (32 bits), then hash (32 bits), most significant
//!                       │ ■□■■□□…    │      bit first, row by row; white = 1. Around them a border of grey, one cell
//!                       └────────────┘      wide. Cells are 16 pixels (one macroblock), in small pictures 8.
//! ```
//!
//! The hash is the CRC-32 of index, width and height, so that a damaged picture never passes for another.

use crate::FrameLayout;

/// What a stamp says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Number of the picture, from 0.
    pub index: u32,
    /// [`hash`] of it.
    pub hash: u32,
}

/// The check value that belongs to a picture.
#[must_use]
pub fn hash(index: u32, width: u32, height: u32) -> u32 {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&index.to_le_bytes());
    bytes[4..8].copy_from_slice(&width.to_le_bytes());
    bytes[8..].copy_from_slice(&height.to_le_bytes());
    crc32fast::hash(&bytes)
}

/// Width and height in pixels that a stamp covers in a picture of this size, from the top-left corner; `None` when the
/// picture is too small to carry one.
#[must_use]
pub fn extent(width: u32, height: u32) -> Option<(u32, u32)> {
    cell_size(width, height).map(|cell| ((COLUMNS + 2) * cell, (ROWS + 2) * cell))
}

/// Draws the stamp of picture `index` into the top-left corner of a packed 32-bit picture with `layout`. Returns false,
/// and draws nothing, if the picture (or `pixels`) is too small.
pub fn draw(layout: &FrameLayout, pixels: &mut [u8], index: u32) -> bool {
    let (width, height) = (layout.width, layout.height);
    let (Some(cell), Some((covers_x, covers_y))) = (cell_size(width, height), extent(width, height)) else {
        return false;
    };
    if pixels.len() < layout.len() {
        return false;
    }
    let bits = u64::from(index) << 32 | u64::from(hash(index, width, height));
    for y in 0..covers_y {
        let start = y as usize * layout.stride as usize;
        let line = &mut pixels[start..start + covers_x as usize * 4];
        let (row, inside) = ((y / cell).wrapping_sub(1), (cell..covers_y - cell).contains(&y));
        for (column, run) in line.chunks_exact_mut(cell as usize * 4).enumerate() {
            let column = (column as u32).wrapping_sub(1);
            let value = match inside && column < COLUMNS {
                false => GREY,
                true if bits >> (63 - (row * COLUMNS + column)) & 1 == 1 => WHITE,
                true => BLACK,
            };
            run.fill(value);
        }
    }
    true
}

/// Reads the stamp of a picture of `width` × `height` through `luma(x, y)` (0..=255, limited or full range). `None` if
/// there is none, or the picture is too damaged to be sure.
#[must_use]
pub fn read(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Option<Stamp> {
    let cell = cell_size(width, height)?;
    let mut bits = 0_u64;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let (x, y) = ((column + 1) * cell + cell / 2, (row + 1) * cell + cell / 2);
            let sum: u32 = [(0, 0), (1, 0), (0, 1), (1, 1)].iter().map(|(i, j)| u32::from(luma(x - i, y - j))).sum();
            bits = bits << 1 | u64::from(sum / 4 > u32::from(GREY));
        }
    }
    let stamp = Stamp { index: (bits >> 32) as u32, hash: bits as u32 };
    (stamp.hash == hash(stamp.index, width, height)).then_some(stamp)
}

fn cell_size(width: u32, height: u32) -> Option<u32> {
    [16, 8].into_iter().find(|cell| width >= (COLUMNS + 2) * cell && height >= (ROWS + 2) * cell)
}

const COLUMNS: u32 = 16;
const ROWS: u32 = 4;
// Full range in, so that black and white stay far apart at any quantiser.
const WHITE: u8 = 255;
const BLACK: u8 = 0;
const GREY: u8 = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PixelFormat, Transform};

    fn layout(width: u32, height: u32) -> FrameLayout {
        let stride = width * 4 + 64;
        FrameLayout { width, height, stride, format: PixelFormat::Bgrx, transform: Transform::Normal }
    }

    fn picture(layout: &FrameLayout, index: u32) -> Vec<u8> {
        let mut pixels = vec![77; layout.len()];
        assert!(draw(layout, &mut pixels, index));
        pixels
    }

    fn read_back(layout: &FrameLayout, pixels: &[u8]) -> Option<Stamp> {
        read(layout.width, layout.height, |x, y| pixels[(y * layout.stride + x * 4) as usize])
    }

    #[test]
    fn every_size_that_fits_reads_back() {
        for (width, height) in [(144, 48), (160, 120), (288, 96), (640, 480), (1920, 1080)] {
            for index in [0, 1, 59, 0x8000_0001, u32::MAX] {
                let layout = layout(width, height);
                let stamp = read_back(&layout, &picture(&layout, index)).expect("a stamp");
                assert_eq!(stamp, Stamp { index, hash: hash(index, width, height) });
            }
        }
    }

    #[test]
    fn survives_what_a_codec_does() {
        let layout = layout(640, 480);
        let mut pixels = picture(&layout, 1234);
        // Limited range, coarse steps and ringing of ±40 around the true value.
        for (i, p) in pixels.iter_mut().enumerate() {
            let ringing = (i * 7919 % 81) as i32 - 40;
            *p = (16 + i32::from(*p) * 219 / 255 + ringing).clamp(0, 255) as u8;
        }
        assert_eq!(read_back(&layout, &pixels).map(|s| s.index), Some(1234));
    }

    #[test]
    fn a_damaged_stamp_is_none_and_a_small_picture_has_none() {
        let good = layout(640, 480);
        let mut pixels = picture(&good, 42);
        for y in 16..32 {
            for x in 16..32 {
                pixels[(y * good.stride + x * 4) as usize] ^= 0xff;
            }
        }
        assert_eq!(read_back(&good, &pixels), None);
        assert_eq!(read_back(&good, &vec![0; good.len()]), None);
        let small = layout(143, 48);
        assert!(!draw(&small, &mut vec![0; small.len()], 1));
        assert_eq!(extent(143, 48), None);
    }
}
