//! The pointer's picture, sent when it changes and cached by serial.

use alloc::vec::Vec;

use crate::DecodeError;
use crate::wire::{Put, Reader};

/// Largest width and height of a cursor picture.
pub const MAX_CURSOR_SIDE: u16 = 120;

/// A cursor picture of 1..=[`MAX_CURSOR_SIDE`] pixels per side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CursorShape {
    serial: u32,
    size: [u16; 2],
    hot: [u16; 2],
    rgba: Vec<u8>,
}

impl CursorShape {
    /// A picture of `width * height` pixels in straight-alpha RGBA, rows top-down without padding, whose hotspot is
    /// `hot`. `None` if a side is out of range or `rgba` has another length.
    #[must_use]
    pub fn new(serial: u32, [width, height]: [u16; 2], hot: [u16; 2], rgba: Vec<u8>) -> Option<Self> {
        let sides = 1..=MAX_CURSOR_SIDE;
        let fits = sides.contains(&width) && sides.contains(&height);
        let bytes = usize::from(width) * usize::from(height) * 4;
        (fits && rgba.len() == bytes).then_some(Self { serial, size: [width, height], hot, rgba })
    }

    /// Names the picture in cursor datagrams.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// Width and height in pixels.
    #[must_use]
    pub const fn size(&self) -> [u16; 2] {
        self.size
    }

    /// The pixel that points, from the top-left corner.
    #[must_use]
    pub const fn hot(&self) -> [u16; 2] {
        self.hot
    }

    /// Straight-alpha RGBA, `4 * width * height` bytes.
    #[must_use]
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let serial = r.u32()?;
        let size = [r.u16()?, r.u16()?];
        let hot = [r.u16()?, r.u16()?];
        let bytes = usize::from(size[0]) * usize::from(size[1]) * 4;
        Self::new(serial, size, hot, r.take(bytes)?.to_vec()).ok_or(DecodeError::Invalid("cursor shape: size"))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u32(self.serial).put_u16(self.size[0]).put_u16(self.size[1]);
        out.put_u16(self.hot[0]).put_u16(self.hot[1]).put(&self.rgba);
    }
}
