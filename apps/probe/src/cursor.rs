//! The host's pointer: drawn into pictures as a person would see it, and reported.

use punktfunk_client::CursorState;
use serde::Serialize;

/// What came of it, for the report.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pointed {
    /// Shapes that came.
    shapes: u64,
    /// Places that came.
    places: u64,
    /// The last place.
    x: i32,
    y: i32,
    visible: bool,
    grabbed: bool,
    /// The last shape.
    serial: u32,
    size: [u16; 2],
    hot: [u16; 2],
}

impl From<&CursorState> for Pointed {
    fn from(state: &CursorState) -> Self {
        let CursorState { x, y, visible, grabbed, shapes, places, .. } = *state;
        let shape = state.shape.as_deref();
        let (size, hot) = shape.map_or_else(Default::default, |shape| (shape.size(), shape.hot()));
        Self { shapes, places, x, y, visible, grabbed, serial: shape.map_or(0, |shape| shape.serial()), size, hot }
    }
}

impl Pointed {
    /// For people.
    pub fn sentence(&self) -> String {
        let [width, height] = self.size;
        let seen = match (self.visible, self.grabbed) {
            (true, _) => "seen",
            (false, true) => "held by a program",
            (false, false) => "not seen",
        };
        let Self { shapes, places, x, y, .. } = self;
        format!("{shapes} shapes, {places} places; last {width}x{height} at {x},{y}, {seen}")
    }
}

/// Draws the pointer into a picture of packed red, green and blue.
pub fn draw(cursor: &CursorState, rgb: &mut [u8], width: usize) {
    let Some(shape) = cursor.shape.as_deref().filter(|_| cursor.visible) else { return };
    let ([w, h], [hot_x, hot_y]) = (shape.size(), shape.hot());
    let rows = rgb.len() / 3 / width.max(1);
    // Hosts say what they like: what lies outside is left out.
    let on = |at: i32, hot: u16, i: u16, side: usize| {
        let place = i64::from(at) - i64::from(hot) + i64::from(i);
        usize::try_from(place).ok().filter(|place| *place < side)
    };
    for (i, pixel) in (0u32..).zip(shape.rgba().as_chunks::<4>().0) {
        // Both below 120.
        let (column, row) = ((i % u32::from(w)) as u16, (i / u32::from(w)) as u16);
        debug_assert!(row < h);
        let (Some(x), Some(y)) = (on(cursor.x, hot_x, column, width), on(cursor.y, hot_y, row, rows)) else { continue };
        let [.., alpha] = *pixel;
        for (below, above) in rgb[(y * width + x) * 3..][..3].iter_mut().zip(pixel) {
            let (a, under, over) = (u32::from(alpha), u32::from(*below), u32::from(*above));
            // At most 255.
            *below = ((over * a + under * (255 - a) + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::control::CursorShape;
    use std::sync::Arc;

    fn at(x: i32, y: i32) -> CursorState {
        // Red, half seen through; its second pixel points.
        let shape = CursorShape::new(7, [2, 1], [1, 0], [255, 0, 0, 128].repeat(2)).unwrap();
        CursorState { shape: Some(Arc::new(shape)), x, y, visible: true, ..CursorState::default() }
    }

    #[test]
    fn it_is_mixed_in_at_its_hotspot_and_cut_off_at_the_rims() {
        let red = |place: (i32, i32)| {
            let mut rgb = vec![100; 3 * 3 * 2];
            draw(&at(place.0, place.1), &mut rgb, 3);
            rgb.as_chunks::<3>().0.iter().map(|p| *p == [178, 50, 50]).collect::<Vec<_>>()
        };
        assert_eq!(red((1, 0)), [true, true, false, false, false, false]);
        assert_eq!(red((0, 1)), [false, false, false, true, false, false]);
        assert_eq!(red((3, 1)), [false, false, false, false, false, true]);
        for outside in [(-1, 0), (0, 2), (0, -1), (i32::MIN, i32::MAX), (i32::MAX, 0)] {
            assert_eq!(red(outside), [false; 6], "{outside:?}");
        }
        let mut rgb = vec![9; 6];
        draw(&CursorState { visible: false, ..at(1, 0) }, &mut rgb, 2);
        assert_eq!(rgb, [9; 6]);
    }

    #[test]
    fn the_report_says_what_came() {
        let told = Pointed::from(&CursorState { shapes: 2, places: 9, ..at(3, 4) });
        assert_eq!((told.serial, told.size, told.hot), (7, [2, 1], [1, 0]));
        assert_eq!(told.sentence(), "2 shapes, 9 places; last 2x1 at 3,4, seen");
        assert_eq!(Pointed::from(&CursorState::default()).sentence(), "0 shapes, 0 places; last 0x0 at 0,0, not seen");
    }
}
