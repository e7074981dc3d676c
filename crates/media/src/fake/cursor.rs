//! A pointer that walks: one pixel right and down with every picture, in two shapes that take turns.

use std::sync::Arc;

use crate::{CursorImage, CursorPlace, CursorUpdate, FrameLayout};

/// Pictures until the pointer looks different.
pub const CURSOR_SHAPE_EVERY: u64 = 32;

/// A [`super::SyntheticCapturer`]'s pointer.
#[derive(Debug, Default)]
pub(super) struct SyntheticCursor {
    pub apart: bool,
    news: Option<CursorUpdate>,
    shape: Option<usize>,
    /// Made once.
    shapes: [Option<Arc<CursorImage>>; 2],
}

impl SyntheticCursor {
    /// The pictures are without it from now on, or with it.
    pub fn set_apart(&mut self, apart: bool) {
        *self = Self { apart, shapes: [0, 1].map(shape_of), ..Self::default() };
    }

    /// Picture `index` was drawn.
    pub fn walk(&mut self, index: u64, layout: &FrameLayout) {
        if !self.apart {
            return;
        }
        let along = |side: u32| i32::try_from(index % u64::from(side.max(1))).unwrap_or(0);
        let place = CursorPlace { x: along(layout.width), y: along(layout.height), visible: true, grabbed: false };
        let shape = usize::from(index / CURSOR_SHAPE_EVERY % 2 == 1);
        let changed = self.shape.replace(shape) != Some(shape);
        let unread = self.news.take().and_then(|news| news.shape);
        self.news = Some(CursorUpdate { place, shape: if changed { self.shapes[shape].clone() } else { unread } });
    }

    /// What was not told yet.
    pub fn take(&mut self) -> Option<CursorUpdate> {
        self.news.take()
    }
}

/// A square of one colour, half seen through.
fn shape_of(which: usize) -> Option<Arc<CursorImage>> {
    let (side, colour) = if which == 0 { (8u16, [255, 0, 0, 128]) } else { (16, [0, 255, 0, 128]) };
    let pixels = colour.repeat(usize::from(side) * usize::from(side));
    CursorImage::new([side, side], [side / 2, side / 2], pixels).map(Arc::new)
}
