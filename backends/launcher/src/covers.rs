//! Pictures of entries, at the size that they are shown at.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{ImageReader, Limits};

/// A picture of packed pixels, 0xRRGGBB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row after row.
    pub pixels: Vec<u32>,
}

/// Reads a PNG, JPEG or WebP and cuts it to `width` x `height`, its middle kept. `None`: it is none, or absurdly large.
pub fn read(bytes: &[u8], width: u32, height: u32) -> Option<Cover> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let picture = reader.decode().ok()?.resize_to_fill(width.max(1), height.max(1), FilterType::Triangle).to_rgb8();
    let pixels = picture.pixels().map(|p| u32::from_be_bytes([0, p[0], p[1], p[2]])).collect();
    Some(Cover { width: picture.width(), height: picture.height(), pixels })
}

const LARGEST_SIDE: u32 = 8192;
/// A store's covers are 600x900.
const MOST_BYTES: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture =
            image::RgbImage::from_fn(width, height, |x, _| image::Rgb([if x < width / 2 { 200 } else { 10 }, 0, 7]));
        picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).expect("writes");
        bytes
    }

    #[test]
    fn a_cover_is_cut_to_its_place_and_nonsense_is_none() {
        let cover = read(&png(60, 20), 15, 20).expect("a picture");
        assert_eq!((cover.width, cover.height, cover.pixels.len()), (15, 20, 300));
        assert_eq!((cover.pixels[0] >> 16, cover.pixels[14] >> 16), (200, 10), "its middle is kept");
        assert_eq!(read(b"\x89PNG\r\n\x1a\nnonsense", 10, 10), None);
        assert_eq!(read(&[], 10, 10), None);
        assert_eq!(read(&png(20_000, 1), 10, 10), None, "too wide");
    }
}
