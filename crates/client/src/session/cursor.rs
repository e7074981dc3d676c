//! The host's pointer, where this side draws it (punktfunk1.md §3.9.2, §4.11).

use std::collections::VecDeque;
use std::sync::Arc;

use punktfunk_core::control::CursorShape;

/// The pointer now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CursorState {
    /// What it looks like; `None`: nothing is known yet.
    pub shape: Option<Arc<CursorShape>>,
    /// The pixel that it points at, in the host's output.
    pub x: i32,
    /// The pixel that it points at, in the host's output.
    pub y: i32,
    /// Whether to draw it.
    pub visible: bool,
    /// A program took its motion for itself.
    pub grabbed: bool,
    /// Shapes that came.
    pub shapes: u64,
    /// Places that came.
    pub places: u64,
}

/// Everything known of it.
#[derive(Debug)]
pub(super) struct Cursor {
    state: CursorState,
    /// This side draws.
    drawing: bool,
    /// What came, newest last.
    known: VecDeque<Arc<CursorShape>>,
    /// The shape that the last place named.
    serial: u32,
}

impl Cursor {
    /// Nothing is known.
    pub fn new() -> Self {
        Self { state: CursorState::default(), drawing: true, known: VecDeque::new(), serial: 0 }
    }

    /// What to draw.
    pub fn state(&self) -> CursorState {
        self.state.clone()
    }

    /// This side draws from now on, or the host does.
    pub fn set_drawing(&mut self, drawing: bool) {
        self.drawing = drawing;
        self.state.visible &= drawing;
    }

    /// Another shape.
    pub fn on_shape(&mut self, shape: CursorShape) {
        self.state.shapes += 1;
        self.known.retain(|known| known.serial() != shape.serial());
        if self.known.len() == MOST_SHAPES {
            self.known.pop_front();
        }
        self.known.push_back(Arc::new(shape));
        self.choose();
    }

    /// Another place. The shape before is kept until the one that it names is there.
    pub fn on_place(&mut self, serial: u32, visible: bool, grabbed: bool, x: i32, y: i32) {
        self.state.places += 1;
        self.serial = serial;
        self.state = CursorState { x, y, visible: visible && self.drawing, grabbed, ..std::mem::take(&mut self.state) };
        self.choose();
    }

    fn choose(&mut self) {
        if let Some(shape) = self.known.iter().find(|known| known.serial() == self.serial) {
            self.state.shape = Some(Arc::clone(shape));
        }
    }
}

/// More than any host names again.
const MOST_SHAPES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(serial: u32) -> CursorShape {
        CursorShape::new(serial, [1, 1], [0, 0], vec![serial as u8; 4]).unwrap()
    }

    #[test]
    fn a_shape_is_shown_once_it_is_named_and_there_in_any_order() {
        let mut cursor = Cursor::new();
        let shown = |cursor: &Cursor| cursor.state().shape.map(|shape| shape.serial());
        cursor.on_shape(shape(1));
        assert_eq!(shown(&cursor), None);
        cursor.on_place(1, true, false, 3, 4);
        assert_eq!((shown(&cursor), cursor.state().x, cursor.state().visible), (Some(1), 3, true));
        cursor.on_place(2, true, false, 5, 4);
        assert_eq!((shown(&cursor), cursor.state().x), (Some(1), 5), "the old one until the new one is there");
        cursor.on_shape(shape(2));
        assert_eq!(shown(&cursor), Some(2));
        // What the host names again is still there, and no host fills the memory.
        (3..=65).for_each(|serial| cursor.on_shape(shape(serial)));
        cursor.on_place(2, true, false, 5, 4);
        assert_eq!((shown(&cursor), cursor.known.len()), (Some(2), 64));
        cursor.set_drawing(false);
        cursor.on_place(2, true, false, 5, 4);
        assert!(!cursor.state().visible);
        assert_eq!((cursor.state().shapes, cursor.state().places), (65, 4));
    }
}
