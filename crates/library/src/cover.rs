//! Covers: pictures that stores keep or that people send. Anything may be in such a file.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, ImageFormat, ImageReader, Limits};

/// The largest file that is read as a cover; the largest that stores keep are below 3 MB.
pub const COVER_BYTES: u64 = 8 << 20;

/// Why something is no cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverError(pub String);

impl std::fmt::Display for CoverError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CoverError {}

/// The media type of a picture that covers may be; by its first bytes, whatever its name.
#[must_use]
pub fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    match image::guess_format(bytes).ok()? {
        ImageFormat::Png => Some("image/png"),
        ImageFormat::Jpeg => Some("image/jpeg"),
        ImageFormat::WebP => Some("image/webp"),
        _ => None,
    }
}

/// The picture as a PNG of at most 600 × 900 points, made anew: nothing of the file but its points survives.
///
/// # Errors
/// It is no PNG, JPEG or WebP, is broken, or is larger than any cover.
pub fn to_png(bytes: &[u8]) -> Result<Vec<u8>, CoverError> {
    let broken = |e: image::ImageError| CoverError(e.to_string().chars().take(200).collect());
    if bytes.len() as u64 > COVER_BYTES {
        return Err(CoverError(format!("more than {COVER_BYTES} bytes")));
    }
    picture_type(bytes).ok_or_else(|| CoverError("not PNG, JPEG or WebP".to_owned()))?;
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| CoverError(e.to_string()))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut picture = reader.decode().map_err(broken)?;
    if picture.width() > WIDTH || picture.height() > HEIGHT {
        picture = picture.thumbnail(WIDTH, HEIGHT);
    }
    let picture = picture.into_rgb8();
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(broken)?;
    Ok(png)
}

/// What stores call a capsule or a grid picture.
const WIDTH: u32 = 600;
const HEIGHT: u32 = 900;
const MAX_SIDE: u32 = 8192;
/// 8192 × 4096 points of four bytes.
const MAX_ALLOC: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbImage::from_pixel(width, height, image::Rgb([200, 30, 30]))
            .write_to(&mut bytes, format)
            .expect("encoded");
        bytes.into_inner()
    }

    #[test]
    fn every_kind_becomes_a_png_of_a_sane_size() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let png = to_png(&picture(format, 1200, 1800)).expect("a picture");
            let read = image::load_from_memory_with_format(&png, ImageFormat::Png).expect("a PNG");
            assert_eq!((read.width(), read.height()), (600, 900), "{format:?}");
        }
        let small = to_png(&picture(ImageFormat::Png, 3, 2)).expect("a picture");
        assert_eq!(image::load_from_memory(&small).expect("a PNG").width(), 3, "small ones stay");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let jpeg = picture(ImageFormat::Jpeg, 60, 90);
        for bytes in [&b""[..], b"<svg onload='x'/>", b"GIF89a\x01\0\x01\0", &jpeg[..20], b"\x89PNG\r\n\x1a\nrubbish"] {
            assert!(to_png(bytes).is_err(), "{bytes:?}");
        }
        // A PNG that says it is enormous.
        let mut bomb = picture(ImageFormat::Png, 1, 1);
        bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        assert!(to_png(&bomb).is_err());
    }
}
