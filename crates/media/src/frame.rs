//! Pictures in memory: layout, transform and damage.

use crate::Colour;

/// How pixels lie in memory; of packed ones the four bytes, lowest address first. Alpha and padding are ignored by every
/// consumer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PixelFormat {
    /// Blue, green, red, padding or alpha (DRM XR24/AR24 on little-endian machines).
    Bgrx,
    /// Red, green, blue, padding or alpha (DRM XB24/AB24 on little-endian machines).
    Rgbx,
    /// What encoders take: a plane of luma, then one of blue and one of red difference, each of a quarter of its pixels.
    /// Rows of the differences are half as long, padding included; odd pictures have one more column and row.
    I420(Colour),
}

/// How the picture in memory is turned against what a person should see (the values of `wl_output.transform`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Transform {
    /// As it should be seen.
    #[default]
    Normal,
    /// Turned 90° counter-clockwise.
    Rotate90,
    /// Turned 180°.
    Rotate180,
    /// Turned 270° counter-clockwise.
    Rotate270,
    /// Mirrored at the vertical axis (left and right exchanged).
    Flipped,
    /// Mirrored, then turned 90° counter-clockwise.
    Flipped90,
    /// Mirrored, then turned 180°: top and bottom exchanged.
    Flipped180,
    /// Mirrored, then turned 270° counter-clockwise.
    Flipped270,
}

/// How upright coordinates map to memory: rows and columns exchanged, then each axis perhaps reversed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Steps {
    /// Upright rows are memory columns.
    pub swaps: bool,
    /// The first upright row is the last memory row (or column, when swapped).
    pub rows_reversed: bool,
    /// The first upright column is the last memory column (or row, when swapped).
    pub columns_reversed: bool,
}

impl Transform {
    /// Undoes it. The transform says how the *output's content* was turned to be put into memory: `Rotate90` is content
    /// turned counter-clockwise by 90°, so that the upright picture's first row lies in memory's first column, read upwards.
    #[must_use]
    pub const fn steps(self) -> Steps {
        let (swaps, rows_reversed, columns_reversed) = match self {
            Self::Normal => (false, false, false),
            Self::Rotate90 => (true, false, true),
            Self::Rotate180 => (false, true, true),
            Self::Rotate270 => (true, true, false),
            Self::Flipped => (false, false, true),
            Self::Flipped90 => (true, false, false),
            Self::Flipped180 => (false, true, false),
            Self::Flipped270 => (true, true, true),
        };
        Steps { swaps, rows_reversed, columns_reversed }
    }
}

impl Steps {
    /// Column and row in memory of an upright pixel.
    #[must_use]
    pub const fn place(self, layout: &FrameLayout, row: u32, column: u32) -> (u32, u32) {
        let (rows, columns) = if self.swaps { (layout.width, layout.height) } else { (layout.height, layout.width) };
        let row = if self.rows_reversed { rows - 1 - row } else { row };
        let column = if self.columns_reversed { columns - 1 - column } else { column };
        if self.swaps { (row, column) } else { (column, row) }
    }
}

/// The shape of a picture in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FrameLayout {
    /// Pixels per row in memory (before [`Self::transform`]).
    pub width: u32,
    /// Rows in memory (before [`Self::transform`]).
    pub height: u32,
    /// Bytes from one row to the next: of packed pixels at least `4 * width`, of luma at least `width`, and even.
    pub stride: u32,
    /// How a pixel lies in memory.
    pub format: PixelFormat,
    /// How to turn the picture for display. Set by the capturer from what the compositor announced.
    pub transform: Transform,
}

impl FrameLayout {
    /// Bytes that a picture of this layout occupies.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.format {
            PixelFormat::Bgrx | PixelFormat::Rgbx => self.stride as usize * self.height as usize,
            PixelFormat::I420(_) => {
                let luma = self.stride as usize * self.height.next_multiple_of(2) as usize;
                luma + luma / 2
            }
        }
    }

    /// Where the planes of an [`PixelFormat::I420`] picture begin: luma, blue and red difference, and where the last ends.
    #[must_use]
    pub const fn plane_bounds(&self) -> [usize; 4] {
        let luma = self.stride as usize * self.height.next_multiple_of(2) as usize;
        [0, luma, luma + luma / 4, luma + luma / 4 * 2]
    }

    /// Whether the picture has no pixels.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }
}

/// A rectangle in pixels of the picture in memory, origin top-left.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width, > 0.
    pub width: u32,
    /// Height, > 0.
    pub height: u32,
}

impl Rect {
    /// The smallest rectangle around both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let x = self.x.min(other.x);
        let y = self.y.min(other.y);
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        Self { x, y, width: right - x, height: bottom - y }
    }
}

/// What changed since the last frame this consumer took. Holds up to [`Damage::MAX_RECTS`] rectangles without
/// allocating; more collapse into their bounding box.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Damage {
    /// Everything may have changed (first frame, mode change, or a source that does not tell).
    #[default]
    Full,
    /// Only these rectangles changed.
    Rects {
        /// The rectangles; only the first `len` count.
        rects: [Option<Rect>; Damage::MAX_RECTS],
    },
}

impl Damage {
    /// Compositors report one to three rectangles for ordinary desktops; eight leaves room and stays one cache line
    /// pair.
    pub const MAX_RECTS: usize = 8;

    /// No change at all yet: the start value for collecting rectangles with [`Self::add`].
    #[must_use]
    pub const fn none() -> Self {
        Self::Rects { rects: [None; Self::MAX_RECTS] }
    }

    /// Adds a rectangle; when all places are taken, everything collapses into one bounding box.
    pub fn add(&mut self, rect: Rect) {
        if let Self::Rects { rects } = self {
            if let Some(free) = rects.iter_mut().find(|r| r.is_none()) {
                *free = Some(rect);
            } else {
                let all = rects.iter().flatten().fold(rect, |a, b| a.union(*b));
                *rects = [None; Self::MAX_RECTS];
                rects[0] = Some(all);
            }
        }
    }

    /// Joins the damage of an older frame that this frame replaces.
    pub fn merge(&mut self, older: &Self) {
        match older {
            Self::Full => *self = Self::Full,
            Self::Rects { rects } => rects.iter().flatten().for_each(|r| self.add(*r)),
        }
    }

    /// The rectangles, or `None` when everything may have changed.
    #[must_use]
    pub fn rects(&self) -> Option<impl Iterator<Item = Rect> + '_> {
        match self {
            Self::Full => None,
            Self::Rects { rects } => Some(rects.iter().flatten().copied()),
        }
    }
}
