//! Straight to planes: the memory of a program that is the whole picture is converted as it lies, without a picture of our
//! own in between.

use smithay::reexports::wayland_server::protocol::wl_buffer::WlBuffer;
use smithay::reexports::wayland_server::protocol::wl_shm::Format;
use smithay::utils::{Physical, Size};
use smithay::wayland::shm::{BufferAccessError, with_buffer_contents};

use punktfunk_convert::ConvertError;
use punktfunk_media::{FrameLayout, PixelFormat, Transform};

use super::screen::Planes;

/// Why it was not converted.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// The program took its memory back.
    #[error(transparent)]
    Access(#[from] BufferAccessError),
    /// Sizes that do not fit.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

/// Brings `planes` up to date with `buffer`. False: it is no shared memory of this size with pixels that the converter
/// reads, and nothing was written.
pub fn convert(buffer: &WlBuffer, size: Size<i32, Physical>, planes: &mut Planes) -> Result<bool, DirectError> {
    let converted = with_buffer_contents(buffer, |start, length, data| {
        let format = match data.format {
            // Of `Argb` and `Abgr` the caller knows that nothing shows through.
            Format::Xrgb8888 | Format::Argb8888 => PixelFormat::Bgrx,
            Format::Xbgr8888 | Format::Abgr8888 => PixelFormat::Rgbx,
            _ => return Ok(false),
        };
        let side = |v: i32| u32::try_from(v).ok();
        let (Some(width), Some(height), Some(stride), Ok(offset)) =
            (side(data.width), side(data.height), side(data.stride), usize::try_from(data.offset))
        else {
            return Ok(false);
        };
        let layout = FrameLayout { width, height, stride, format, transform: Transform::Normal };
        let fits = stride >= width.saturating_mul(4)
            && offset.checked_add(layout.len()).is_some_and(|end| end <= length)
            && (data.width, data.height) == (size.w, size.h);
        if !fits {
            return Ok(false);
        }
        // SAFETY: the pool has `length` bytes from `start`, of which the picture's are a part; smithay keeps it mapped during
        // this call and catches the fault should the program take memory back. The program may write meanwhile: these are
        // plain bytes that are only read, each is a valid value, and what comes of it is a picture that is half old.
        let pixels = unsafe { std::slice::from_raw_parts(start.add(offset), layout.len()) };
        planes.convert(&layout, pixels).map(|()| true)
    })?;
    Ok(converted?)
}
