//! The pointer beside the picture, for clients that draw it themselves.

use std::sync::Arc;

use punktfunk_core::control::MAX_CURSOR_SIDE;

/// What became of a pointer that is not in the pictures; see [`crate::Capturer::take_cursor`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CursorUpdate {
    /// Where it is now.
    pub place: CursorPlace,
    /// What it looks like from now on; `None`: as before.
    pub shape: Option<Arc<CursorImage>>,
}

/// Where a pointer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CursorPlace {
    /// The pixel of the output that it points at.
    pub x: i32,
    /// The pixel of the output that it points at.
    pub y: i32,
    /// It would be seen if it were drawn.
    pub visible: bool,
    /// A program holds it in its place and follows its motion only.
    pub grabbed: bool,
}

/// What a pointer looks like, in pixels of the output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CursorImage {
    size: [u16; 2],
    hot: [u16; 2],
    rgba: Vec<u8>,
}

impl CursorImage {
    /// A picture of 1 to [`MAX_CURSOR_SIDE`] pixels a side in straight-alpha RGBA, rows top-down without padding, whose
    /// pixel `hot` points. `None` for anything else.
    #[must_use]
    pub fn new([width, height]: [u16; 2], hot: [u16; 2], rgba: Vec<u8>) -> Option<Self> {
        let sides = 1..=MAX_CURSOR_SIDE;
        let fits = sides.contains(&width) && sides.contains(&height);
        let bytes = usize::from(width) * usize::from(height) * 4;
        let points = hot[0] < width && hot[1] < height;
        (fits && points && rgba.len() == bytes).then_some(Self { size: [width, height], hot, rgba })
    }

    /// Width and height.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_client_takes_is_a_picture_of_a_pointer() {
        let of = |size: [u16; 2], hot, bytes| CursorImage::new(size, hot, vec![0; bytes]);
        assert!(of([120, 1], [119, 0], 480).is_some());
        for (size, hot, bytes) in
            [([121, 1], [0, 0], 484), ([0, 1], [0, 0], 0), ([2, 2], [2, 0], 16), ([2, 2], [0, 0], 15)]
        {
            assert!(of(size, hot, bytes).is_none(), "{size:?} {hot:?} {bytes}");
        }
    }
}
