//! Text of any language, shaped and drawn with the system's fonts.

use cosmic_text::{
    Attrs, Buffer, Color, Ellipsize, EllipsizeHeightLimit, Family, FontSystem, Metrics, Shaping, SwashCache, Weight,
    Wrap,
};

use crate::canvas::{Canvas, Colour, Place};

/// The system's fonts, and the letters that were drawn already.
pub struct Pen {
    fonts: FontSystem,
    letters: SwashCache,
}

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Height of a line's letters in pixels.
    pub size: f32,
    /// What the letters are filled with.
    pub colour: Colour,
    /// Thick strokes.
    pub bold: bool,
    /// Lines before the rest is cut, with an ellipsis.
    pub lines: usize,
}

impl Pen {
    /// Looks for the system's fonts. Without any, nothing is written.
    pub fn new() -> Self {
        Self { fonts: FontSystem::new(), letters: SwashCache::new() }
    }

    /// Whether there is a font at all.
    pub fn has_fonts(&self) -> bool {
        self.fonts.db().faces().next().is_some()
    }

    /// Writes `text` from the upper left corner of `place`, no wider than that.
    pub fn write(&mut self, canvas: &mut Canvas<'_>, place: Place, style: Style, text: &str, clip: Place) {
        if !self.has_fonts() || place.width <= 0 || place.and(clip).height == 0 {
            return;
        }
        let line = style.size * LINE;
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(style.size, line));
        buffer.set_size(Some(place.width as f32), Some(line * style.lines as f32));
        buffer.set_wrap(Wrap::WordOrGlyph);
        buffer.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(style.lines)));
        let weight = if style.bold { Weight::BOLD } else { Weight::NORMAL };
        let attrs = Attrs::new().family(Family::SansSerif).weight(weight);
        // A title may be anything: one paragraph, of a length that fits a screen.
        let text: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        buffer.set_text(&text, &attrs, Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.fonts, false);
        let [alpha, r, g, b] = style.colour;
        buffer.draw(&mut self.fonts, &mut self.letters, Color::rgba(r, g, b, alpha), |x, y, width, height, colour| {
            let (r, g, b, a) = colour.as_rgba_tuple();
            for dy in 0..height as i32 {
                for dx in 0..width as i32 {
                    let (x, y) = (place.x + x + dx, place.y + y + dy);
                    if clip.contains(x, y) {
                        canvas.blend(x, y, [a, r, g, b]);
                    }
                }
            }
        });
    }
}

/// From one line to the next, in letter heights.
pub const LINE: f32 = 1.25;
const LONGEST: usize = 200;
