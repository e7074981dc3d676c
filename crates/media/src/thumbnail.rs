//! Small pictures of large ones, for people who look at a session from outside.

use crate::{FrameLayout, PixelFormat};

/// A small upright picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Red, green and blue of every pixel, row by row without padding.
    pub rgb: Vec<u8>,
}

impl Thumbnail {
    /// Makes one, at most `width` pixels wide and as high as that makes it. Reads a few pixels for each that it writes, never
    /// the whole picture: a millisecond at most. `pixels` as [`crate::SlotMemory::bytes`] gives them; `None` if they are not
    /// what `layout` says, or the picture is empty.
    #[must_use]
    pub fn of(layout: &FrameLayout, pixels: &[u8], width: u32) -> Option<Self> {
        let row = match layout.format {
            PixelFormat::Bgrx | PixelFormat::Rgbx => layout.width.checked_mul(4)?,
            PixelFormat::I420(_) => layout.width.checked_next_multiple_of(2)?,
        };
        if layout.is_empty() || layout.stride < row || pixels.len() < layout.len() {
            return None;
        }
        let steps = layout.transform.steps();
        let (full_width, full_height) =
            if steps.swaps { (layout.height, layout.width) } else { (layout.width, layout.height) };
        let width = width.clamp(1, full_width);
        let height = u32::try_from(u64::from(full_height) * u64::from(width) / u64::from(full_width)).ok()?.max(1);
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        // In the middle of each of `TAPS` equal parts of the pixels behind one of ours.
        let tap = |at: u32, part: u32, full: u32, small: u32| {
            let middle = (u64::from(at) * u64::from(TAPS) + u64::from(part)) * 2 + 1;
            let place = middle * u64::from(full) / (u64::from(small) * u64::from(TAPS) * 2);
            // Smaller than `full`, which is a `u32`.
            (place as u32).min(full - 1)
        };
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0_u32; 3];
                for part in 0..TAPS * TAPS {
                    let row = tap(y, part / TAPS, full_height, height);
                    let column = tap(x, part % TAPS, full_width, width);
                    let (memory_x, memory_y) = steps.place(layout, row, column);
                    let pixel = colour_of(layout, pixels, memory_x as usize, memory_y as usize)?;
                    sum.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += u32::from(part));
                }
                // A mean of bytes is a byte.
                rgb.extend(sum.map(|s| (s / (TAPS * TAPS)) as u8));
            }
        }
        Some(Self { width, height, rgb })
    }
}

/// Red, green and blue of a pixel in memory.
fn colour_of(layout: &FrameLayout, pixels: &[u8], x: usize, y: usize) -> Option<[u8; 3]> {
    let stride = layout.stride as usize;
    let packed = || pixels.get(y * stride + x * 4..)?.first_chunk::<4>();
    match layout.format {
        PixelFormat::Bgrx => packed().map(|p| [p[2], p[1], p[0]]),
        PixelFormat::Rgbx => packed().map(|p| [p[0], p[1], p[2]]),
        PixelFormat::I420(colour) => {
            let [luma, blue, red, _] = layout.plane_bounds();
            let half = y / 2 * (stride / 2) + x / 2;
            Some(colour.to_rgb(
                *pixels.get(luma + y * stride + x)?,
                *pixels.get(blue + half)?,
                *pixels.get(red + half)?,
            ))
        }
    }
}

/// Samples per pixel and direction: enough that text stays grey instead of flickering away.
const TAPS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transform;

    /// A picture whose upright quarters are red, green, blue and white, turned into memory.
    fn quarters(transform: Transform, format: PixelFormat) -> (FrameLayout, Vec<u8>) {
        let steps = transform.steps();
        let (width, height) = if steps.swaps { (40, 80) } else { (80, 40) };
        let layout = FrameLayout { width, height, stride: width * 4 + 12, format, transform };
        let mut pixels = vec![0xee; layout.len()];
        for row in 0..40 {
            for column in 0..80 {
                let [r, g, b] = match (row < 20, column < 40) {
                    (true, true) => [250, 0, 0],
                    (true, false) => [0, 250, 0],
                    (false, true) => [0, 0, 250],
                    (false, false) => [250, 250, 250],
                };
                let (x, y) = steps.place(&layout, row, column);
                let at = (y * layout.stride + x * 4) as usize;
                let pixel = if format == PixelFormat::Bgrx { [b, g, r, 9] } else { [r, g, b, 9] };
                pixels[at..at + 4].copy_from_slice(&pixel);
            }
        }
        (layout, pixels)
    }

    #[test]
    fn it_is_small_upright_and_in_its_colours() {
        use Transform::{Flipped, Flipped90, Flipped180, Flipped270, Normal, Rotate90, Rotate180, Rotate270};
        for transform in [Normal, Rotate90, Rotate180, Rotate270, Flipped, Flipped90, Flipped180, Flipped270] {
            for format in [PixelFormat::Bgrx, PixelFormat::Rgbx] {
                let (layout, pixels) = quarters(transform, format);
                let small = Thumbnail::of(&layout, &pixels, 8).expect("a picture");
                assert_eq!((small.width, small.height, small.rgb.len()), (8, 4, 8 * 4 * 3));
                let at = |x: usize, y: usize| &small.rgb[(y * 8 + x) * 3..][..3];
                assert_eq!(
                    [at(0, 0), at(7, 0), at(0, 3), at(7, 3)],
                    [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250]],
                    "{transform:?} {format:?}"
                );
            }
        }
    }

    #[test]
    fn odd_shapes_give_a_picture_or_none() {
        let layout =
            FrameLayout { width: 3, height: 1, stride: 12, format: PixelFormat::Bgrx, transform: Transform::Normal };
        let pixels = [7; 12];
        assert_eq!(Thumbnail::of(&layout, &pixels, 480).map(|t| (t.width, t.height)), Some((3, 1)), "never enlarged");
        assert_eq!(Thumbnail::of(&layout, &pixels, 0).map(|t| (t.width, t.height)), Some((1, 1)));
        assert!(Thumbnail::of(&layout, &pixels[1..], 2).is_none());
        assert!(Thumbnail::of(&FrameLayout { width: 0, ..layout }, &pixels, 2).is_none());
        assert!(Thumbnail::of(&FrameLayout { stride: 8, ..layout }, &pixels, 2).is_none());
    }
}
