//! The pointer's picture: a program's own, or one of ours.

use pixman::Image;
use smithay::backend::allocator::Fourcc;
use smithay::backend::renderer::element::memory::{MemoryRenderBuffer, MemoryRenderBufferRenderElement};
use smithay::backend::renderer::element::surface::render_elements_from_surface_tree;
use smithay::backend::renderer::element::{Element as _, Kind};
use smithay::backend::renderer::pixman::{PixmanError, PixmanRenderer};
use smithay::backend::renderer::utils::with_renderer_surface_state;
use smithay::backend::renderer::{Bind as _, Color32F, ExportMem as _, Offscreen as _};
use smithay::input::pointer::{CursorIcon, CursorImageStatus, CursorImageSurfaceData};
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{IsAlive, Logical, Physical, Point, Rectangle, Size, Transform};
use smithay::wayland::compositor::with_states;

use punktfunk_core::control::MAX_CURSOR_SIDE;
use punktfunk_media::CursorImage;

use super::render::{Canvas, Element, paint};

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

    /// Whether there is something to see.
    pub fn is_seen(&self) -> bool {
        match &self.image {
            CursorImageStatus::Hidden => false,
            CursorImageStatus::Surface(surface) if surface.alive() => {
                !self.hidden && with_renderer_surface_state(surface, |state| state.buffer().is_some()) == Some(true)
            }
            _ => !self.hidden,
        }
    }

    /// What is seen of it on an output of this scale, as a picture of its own. One larger than clients take is drawn smaller.
    /// `None` where there is nothing to see.
    pub fn picture(&self, renderer: &mut PixmanRenderer, mut scale: f64) -> Option<CursorImage> {
        let most = i32::from(MAX_CURSOR_SIDE);
        // Sides are rounded up: it may take more than one step to get there.
        for _ in 0..SMALLER_STEPS {
            let elements = self.elements(renderer, Point::default(), scale);
            let area = elements.iter().map(|element| element.geometry(scale.into())).reduce(Rectangle::merge)?;
            // The pixel that points is part of it.
            let area = area.merge(Rectangle::from_size((1, 1).into()));
            let longest = area.size.w.max(area.size.h);
            if longest <= most {
                return drawn(renderer, &elements, area, scale)
                    .inspect_err(|error| tracing::debug!("drawing a cursor: {error}"))
                    .ok()?;
            }
            scale *= f64::from(most) / f64::from(longest);
        }
        None
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
                // Whatever a program says, no sum of places runs over.
                let side = |v: i32| f64::from(v.clamp(-FARTHEST_HOTSPOT, FARTHEST_HOTSPOT));
                let hotspot = Point::from((side(hotspot.x), side(hotspot.y)));
                let place = (place - hotspot).to_physical(scale).to_i32_round();
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

/// Draws what lies in `area` as a client takes it.
fn drawn(
    renderer: &mut PixmanRenderer,
    elements: &[Element],
    area: Rectangle<i32, Physical>,
    scale: f64,
) -> Result<Option<CursorImage>, PixmanError> {
    let size = Size::from((area.size.w, area.size.h));
    let mut image: Image<'static, 'static> = renderer.create_buffer(Fourcc::Argb8888, size)?;
    let canvas = Canvas {
        image: &mut image,
        size: area.size,
        missing: vec![Rectangle::from_size(area.size)],
        corner: area.loc,
        background: Color32F::TRANSPARENT,
    };
    paint(renderer, canvas, scale, elements)?;
    let target = renderer.bind(&mut image)?;
    // In memory: red, green, blue, alpha.
    let copy = renderer.copy_framebuffer(&target, Rectangle::from_size(size), Fourcc::Abgr8888)?;
    let mut rgba = renderer.map_texture(&copy)?.to_vec();
    for pixel in rgba.as_chunks_mut().0 {
        *pixel = straight(*pixel);
    }
    let side = |v: i32| u16::try_from(v).unwrap_or(u16::MAX);
    let hot = [side(-area.loc.x), side(-area.loc.y)];
    Ok(CursorImage::new([side(area.size.w), side(area.size.h)], hot, rgba))
}

/// Colour that was multiplied by its alpha, as it was before.
fn straight([r, g, b, alpha]: [u8; 4]) -> [u8; 4] {
    let before = |colour: u8| match alpha {
        0 => 0,
        alpha => {
            let (colour, alpha) = (u16::from(colour), u16::from(alpha));
            // At most 255 × 255 + 127, and clamped where the program's own picture was out of bounds.
            ((colour * 255 + alpha / 2) / alpha).min(255) as u8
        }
    };
    [before(r), before(g), before(b), alpha]
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

/// Logical pixels from a cursor's corner.
const FARTHEST_HOTSPOT: i32 = 1 << 14;
/// How often a cursor that is too large is drawn smaller before it is given up.
const SMALLER_STEPS: u32 = 8;
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
    fn colours_are_what_they_were_before_they_were_multiplied() {
        assert_eq!(straight([64, 0, 128, 128]), [128, 0, 255, 128]);
        assert_eq!(straight([1, 2, 3, 255]), [1, 2, 3, 255]);
        assert_eq!((straight([0; 4]), straight([9, 9, 9, 0])), ([0; 4], [0; 4]));
        assert_eq!(straight([200, 0, 0, 100]), [255, 0, 0, 100], "out of bounds");
    }

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
