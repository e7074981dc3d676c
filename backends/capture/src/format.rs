//! What compositors announce, in the words of [`punktfunk_media`].

use punktfunk_media::{CaptureError, FrameLayout, PixelFormat, Transform, reason};
use wayland_client::protocol::wl_shm;

/// One announced way to receive a picture in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// `wl_shm` format code.
    pub format: u32,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes per row.
    pub stride: u32,
}

/// Takes the first announced format that we read.
///
/// # Errors
/// `capture.format_unsupported` naming what was announced; `capture.lost` for sizes that make no sense.
pub fn choose(announced: &[Announced], transform: Transform) -> Result<(FrameLayout, wl_shm::Format), CaptureError> {
    let fatal = |reason, detail| CaptureError { reason, detail, fatal: true };
    let Some((a, pixel, format)) = announced.iter().find_map(|a| {
        let (pixel, format) = readable(a.format)?;
        Some((a, pixel, format))
    }) else {
        let names: Vec<_> = announced.iter().map(|a| fourcc(a.format)).collect();
        return Err(fatal(&reason::CAPTURE_FORMAT_UNSUPPORTED, format!("announced: {names:?}")));
    };
    let fits = a.width > 0
        && a.height > 0
        && a.width <= LARGEST_SIDE
        && a.height <= LARGEST_SIDE
        && a.stride >= a.width * 4
        && a.stride <= LARGEST_SIDE * 8;
    if !fits {
        return Err(fatal(&reason::CAPTURE_LOST, format!("the compositor announced an impossible picture: {a:?}")));
    }
    let layout = FrameLayout { width: a.width, height: a.height, stride: a.stride, format: pixel, transform };
    Ok((layout, format))
}

/// The `wl_shm` formats that we read: 32 bits, 8 per colour.
fn readable(code: u32) -> Option<(PixelFormat, wl_shm::Format)> {
    let format = wl_shm::Format::try_from(code).ok()?;
    match format {
        wl_shm::Format::Xrgb8888 | wl_shm::Format::Argb8888 => Some((PixelFormat::Bgrx, format)),
        wl_shm::Format::Xbgr8888 | wl_shm::Format::Abgr8888 => Some((PixelFormat::Rgbx, format)),
        _ => None,
    }
}

/// The name of a `wl_shm` format: a DRM fourcc but for the two that have numbers of their own.
fn fourcc(code: u32) -> String {
    match code {
        0 => "AR24".to_owned(),
        1 => "XR24".to_owned(),
        _ => code.to_le_bytes().iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect(),
    }
}

/// The transform of a picture whose rows lie bottom-up in memory on top of `transform`.
pub fn upside_down(transform: Transform) -> Transform {
    // Exchanging top and bottom of the memory is "mirrored, then turned 180°" applied first. A turn and a mirror
    // exchange as `turn(a) ∘ mirror = mirror ∘ turn(-a)`, hence the table.
    match transform {
        Transform::Normal => Transform::Flipped180,
        Transform::Rotate90 => Transform::Flipped270,
        Transform::Rotate180 => Transform::Flipped,
        Transform::Rotate270 => Transform::Flipped90,
        Transform::Flipped => Transform::Rotate180,
        Transform::Flipped90 => Transform::Rotate270,
        Transform::Flipped180 => Transform::Normal,
        Transform::Flipped270 => Transform::Rotate90,
    }
}

/// Twice what the largest encoder takes; keeps sizes far from overflow.
const LARGEST_SIDE: u32 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Announced = Announced { format: 1, width: 64, height: 32, stride: 256 };

    #[test]
    fn the_first_readable_format_is_taken_with_its_stride() {
        let rgb565 = Announced { format: u32::from_le_bytes(*b"RG16"), stride: 128, ..SIZE };
        let padded = Announced { stride: 320, ..SIZE };
        let (layout, format) = choose(&[rgb565, padded, SIZE], Transform::Normal).unwrap();
        assert_eq!((layout.stride, layout.format, format), (320, PixelFormat::Bgrx, wl_shm::Format::Xrgb8888));
        let rgbx = Announced { format: u32::from_le_bytes(*b"XB24"), ..SIZE };
        assert_eq!(choose(&[rgbx], Transform::Normal).unwrap().0.format, PixelFormat::Rgbx);
    }

    #[test]
    fn unknown_formats_are_refused_by_name() {
        let ten_bit = Announced { format: u32::from_le_bytes(*b"XR30"), ..SIZE };
        let error = choose(&[ten_bit], Transform::Normal).unwrap_err();
        assert_eq!(error.reason.code, "capture.format_unsupported");
        assert!(error.detail.contains("XR30") && error.fatal, "{error}");
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for bad in [
            Announced { width: 0, ..SIZE },
            Announced { height: 0, ..SIZE },
            Announced { stride: 255, ..SIZE },
            Announced { width: u32::MAX, stride: u32::MAX, ..SIZE },
        ] {
            assert_eq!(choose(&[bad], Transform::Normal).unwrap_err().reason.code, "capture.lost", "{bad:?}");
        }
    }

    /// Applies a transform to a 2×2 picture given row by row, after the words of `wl_output.transform`.
    fn apply(transform: Transform, [a, b, c, d]: [u8; 4]) -> [u8; 4] {
        let mirror = |[a, b, c, d]: [u8; 4]| [b, a, d, c];
        // One quarter turn counter-clockwise.
        let turn = |[a, b, c, d]: [u8; 4]| [b, d, a, c];
        let turns = |mut p: [u8; 4], n: u8| {
            (0..n).for_each(|_| p = turn(p));
            p
        };
        let p = [a, b, c, d];
        match transform {
            Transform::Normal => p,
            Transform::Rotate90 => turns(p, 1),
            Transform::Rotate180 => turns(p, 2),
            Transform::Rotate270 => turns(p, 3),
            Transform::Flipped => mirror(p),
            Transform::Flipped90 => turns(mirror(p), 1),
            Transform::Flipped180 => turns(mirror(p), 2),
            Transform::Flipped270 => turns(mirror(p), 3),
        }
    }

    #[test]
    fn upside_down_means_rows_exchanged_before_the_transform() {
        for t in [
            Transform::Normal,
            Transform::Rotate90,
            Transform::Rotate180,
            Transform::Rotate270,
            Transform::Flipped,
            Transform::Flipped90,
            Transform::Flipped180,
            Transform::Flipped270,
        ] {
            assert_eq!(apply(upside_down(t), [3, 4, 1, 2]), apply(t, [1, 2, 3, 4]), "{t:?}");
        }
    }
}
