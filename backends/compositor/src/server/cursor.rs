//! The pointer's picture: a program's own, or one of ours.

use smithay::backend::allocator::Fourcc;
use smithay::backend::renderer::element::Kind;
use smithay::backend::renderer::element::memory::{MemoryRenderBuffer, MemoryRenderBufferRenderElement};
use smithay::backend::renderer::element::surface::render_elements_from_surface_tree;
use smithay::backend::renderer::pixman::PixmanRenderer;
use smithay::input::pointer::{CursorIcon, CursorImageStatus, CursorImageSurfaceData};
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{IsAlive, Logical, Point, Transform};
use smithay::wayland::compositor::with_states;

use super::render::Element;

/// What is drawn where the pointer is.
pub struct Cursor {
    image: CursorImageStatus,
    /// Nobody has moved the pointer yet, or a finger was used last.
    hidden: bool,
    arrow: MemoryRenderBuffer,
    beam: MemoryRenderBuffer,
}

impl Cursor {
    /// An arrow that is not seen yet.
    pub fn new(scale: f64) -> Self {
        let (arrow, beam) = (bitmap(ARROW, scale), bitmap(BEAM, scale));
        Self { image: CursorImageStatus::default_named(), hidden: true, arrow, beam }
    }

    /// Draws ours sharp at another scale.
    pub fn set_scale(&mut self, scale: f64) {
        (self.arrow, self.beam) = (bitmap(ARROW, scale), bitmap(BEAM, scale));
    }

    /// Whoever has the pointer wants this.
    pub fn set_image(&mut self, image: CursorImageStatus) {
        self.image = image;
    }

    /// The pointer is used, or is not.
    pub fn show(&mut self, shown: bool) {
        self.hidden = !shown;
    }

    /// Whether somebody uses the pointer.
    pub fn is_shown(&self) -> bool {
        !self.hidden
    }

    /// The program's surface that is the cursor.
    pub fn surface(&self) -> Option<&WlSurface> {
        match &self.image {
            CursorImageStatus::Surface(surface) if surface.alive() => Some(surface),
            _ => None,
        }
    }

    /// What to draw for a pointer at `place`.
    pub fn elements(&self, renderer: &mut PixmanRenderer, place: Point<f64, Logical>, scale: f64) -> Vec<Element> {
        match &self.image {
            _ if self.hidden => Vec::new(),
            CursorImageStatus::Hidden => Vec::new(),
            CursorImageStatus::Surface(surface) if surface.alive() => {
                let hotspot = with_states(surface, |states| {
                    let data = states.data_map.get::<CursorImageSurfaceData>();
                    data.and_then(|data| data.lock().ok().map(|a| a.hotspot)).unwrap_or_default()
                });
                let place = (place - hotspot.to_f64()).to_physical(scale).to_i32_round();
                render_elements_from_surface_tree(renderer, surface, place, scale, 1.0, Kind::Cursor)
            }
            other => {
                let beam = matches!(other, CursorImageStatus::Named(CursorIcon::Text | CursorIcon::VerticalText));
                let (buffer, hotspot) = if beam { (&self.beam, BEAM_HOTSPOT) } else { (&self.arrow, ARROW_HOTSPOT) };
                let place = (place - Point::from(hotspot)).to_physical(scale);
                MemoryRenderBufferRenderElement::from_buffer(renderer, place, buffer, None, None, None, Kind::Cursor)
                    .map(|element| vec![Element::Memory(element)])
                    .unwrap_or_default()
            }
        }
    }
}

/// A picture from rows of `#` (black), `.` (white) and blanks, enlarged without blur.
fn bitmap(rows: &[&str], scale: f64) -> MemoryRenderBuffer {
    // A scale is at most single digits.
    let times = scale.ceil().max(1.0) as usize;
    let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let mut pixels = Vec::with_capacity(width * rows.len() * times * times * 4);
    for row in rows {
        let mut line = Vec::with_capacity(width * times * 4);
        for pixel in row.bytes().chain(std::iter::repeat(b' ')).take(width) {
            let bytes = match pixel {
                b'#' => [0, 0, 0, 255],
                b'.' => [255; 4],
                _ => [0; 4],
            };
            line.extend(std::iter::repeat_n(bytes, times).flatten());
        }
        for _ in 0..times {
            pixels.extend_from_slice(&line);
        }
    }
    let side = |v: usize| i32::try_from(v * times).unwrap_or(i32::MAX);
    let (size, times) = ((side(width), side(rows.len())), i32::try_from(times).unwrap_or(1));
    MemoryRenderBuffer::from_slice(&pixels, Fourcc::Argb8888, size, times, Transform::Normal, None)
}

const ARROW_HOTSPOT: (f64, f64) = (0.0, 0.0);
const ARROW: &[&str] = &[
    "#",
    "##",
    "#.#",
    "#..#",
    "#...#",
    "#....#",
    "#.....#",
    "#......#",
    "#.......#",
    "#........#",
    "#.........#",
    "#......#####",
    "#...#..#",
    "#..# #..#",
    "#.#  #..#",
    "##    #..#",
    "#     #..#",
    "       ##",
];
const BEAM_HOTSPOT: (f64, f64) = (3.0, 8.0);
const BEAM: &[&str] = &[
    "### ###", "#..#..#", "###.###", "  #.#", "  #.#", "  #.#", "  #.#", "  #.#", "  #.#", "  #.#", "  #.#", "  #.#",
    "  #.#", "###.###", "#..#..#", "### ###",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cursors_are_enlarged_to_the_scale() {
        for (scale, times) in [(0.5, 1), (1.0, 1), (1.25, 2), (2.0, 2), (3.0, 3)] {
            // The size is read back from a drawn context: what is stored is what is shown.
            let mut buffer = bitmap(ARROW, scale);
            let mut bytes = 0;
            let drawn: Result<(), ()> = buffer.render().draw(|memory| {
                bytes = memory.len();
                Ok(Vec::new())
            });
            assert_eq!((drawn, bytes), (Ok(()), 12 * 18 * 4 * times * times));
        }
    }
}
