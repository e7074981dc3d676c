//! The picture of an application that has none: its title on a plain ground, portrait 3:4.

use super::font::{self, GLYPH_HEIGHT, GLYPH_WIDTH};

/// Draws and encodes it (PNG, palette of three colours).
pub(super) fn placeholder(title: &str) -> Vec<u8> {
    let mut picture = Picture { points: vec![GROUND; WIDTH * HEIGHT] };
    picture.frame();
    let lines = wrap(title);
    let line_height = (GLYPH_HEIGHT + 3) * DOT;
    let top = (HEIGHT - lines.len() * line_height) / 2;
    for (row, line) in lines.iter().enumerate() {
        picture.text(line, top + row * line_height);
    }
    picture.encode()
}

struct Picture {
    points: Vec<u8>,
}

impl Picture {
    fn rectangle(&mut self, x: usize, y: usize, width: usize, height: usize, colour: u8) {
        for row in self.points.chunks_exact_mut(WIDTH).skip(y).take(height) {
            row.iter_mut().skip(x).take(width).for_each(|point| *point = colour);
        }
    }

    fn frame(&mut self) {
        self.rectangle(0, HEIGHT - BAR, WIDTH, BAR, ACCENT);
    }

    fn text(&mut self, line: &[font::Glyph], y: usize) {
        let width = (line.len() * (GLYPH_WIDTH + 1)).saturating_sub(1) * DOT;
        let mut x = WIDTH.saturating_sub(width) / 2;
        for glyph in line {
            for (dy, bits) in glyph.iter().enumerate() {
                for dx in (0..GLYPH_WIDTH).filter(|dx| bits >> (GLYPH_WIDTH - 1 - dx) & 1 == 1) {
                    self.rectangle(x + dx * DOT, y + dy * DOT, DOT, DOT, INK);
                }
            }
            x += (GLYPH_WIDTH + 1) * DOT;
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(PALETTE.concat());
        // Writing into memory does not fail, and the picture has the announced size.
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.points)?;
            writer.finish()
        });
        if let Err(error) = written {
            tracing::error!(%error, "a placeholder could not be encoded");
        }
        out
    }
}

/// Words on lines of at most [`COLUMNS`] characters; longer words are cut, and so is what needs too many lines.
fn wrap(title: &str) -> Vec<Vec<font::Glyph>> {
    let mut lines: Vec<Vec<font::Glyph>> = Vec::new();
    for word in title.split_whitespace() {
        let glyphs: Vec<_> = word.chars().flat_map(font::glyphs).collect();
        for (index, part) in glyphs.chunks(COLUMNS).enumerate() {
            match lines.last_mut() {
                Some(line) if index == 0 && line.len() + 1 + part.len() <= COLUMNS => {
                    line.push(font::SPACE);
                    line.extend(part);
                }
                _ => lines.push(part.to_vec()),
            }
        }
    }
    lines.truncate(MAX_LINES);
    lines
}

const WIDTH: usize = 600;
const HEIGHT: usize = 800;
/// A dot of a character in points.
const DOT: usize = 8;
const BAR: usize = 24;
/// 11 × 6 dots fill 528 of the 600 points.
const COLUMNS: usize = 11;
const MAX_LINES: usize = 8;
const GROUND: u8 = 0;
const INK: u8 = 1;
const ACCENT: u8 = 2;
/// The colours of the private desktop.
const PALETTE: [[u8; 3]; 3] = [[0x10, 0x1a, 0x24], [0xee, 0xf2, 0xf4], [0x4f, 0xb3, 0xbf]];

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut points = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut points).unwrap();
        (info.width, info.height, points)
    }

    #[test]
    fn it_is_portrait_and_shows_its_title() {
        let (width, height, desktop) = decode(&placeholder("Desktop"));
        assert_eq!((width, height), (600, 800));
        assert!(desktop.iter().any(|p| *p != desktop[0]));
        assert_ne!(desktop, decode(&placeholder("Steam")).2, "each title looks different");
    }

    #[test]
    fn titles_are_wrapped_and_cut() {
        let lengths = |title: &str| wrap(title).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths("Half Life 2"), [11]);
        assert_eq!(lengths("Half-Life 2: Episode One"), [9, 10, 3]);
        assert_eq!(lengths(&"x".repeat(200)).len(), MAX_LINES);
        assert!(lengths("").is_empty());
        for title in ["", "日本", "\u{1F600}", &"ß".repeat(500), "a\0b"] {
            assert!(!placeholder(title).is_empty());
        }
    }
}
