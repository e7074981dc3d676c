//! Drawing by hand into XRGB pixels: a gradient, a bar, a clock and a wave.

/// A picture of packed 32-bit pixels, `0x00RRGGBB` in the machine's byte order.
pub struct Canvas<'a> {
    pixels: &'a mut [u8],
    width: i32,
    height: i32,
}

/// x, y, width, height.
pub type Place = (i32, i32, i32, i32);

impl<'a> Canvas<'a> {
    /// A canvas over `width * height * 4` bytes.
    pub fn new(pixels: &'a mut [u8], width: i32, height: i32) -> Self {
        debug_assert!(pixels.len() as i64 >= i64::from(width) * i64::from(height) * 4);
        Self { pixels, width, height }
    }

    fn set(&mut self, x: i32, y: i32, colour: u32) {
        if (0..self.width).contains(&x) && (0..self.height).contains(&y) {
            let at = (y as usize * self.width as usize + x as usize) * 4;
            self.pixels[at..at + 4].copy_from_slice(&colour.to_le_bytes());
        }
    }

    fn fill(&mut self, (x, y, width, height): Place, colour: u32) {
        for row in y..y + height {
            for column in x..x + width {
                self.set(column, row, colour);
            }
        }
    }

    /// Text in the small font, every dot `dot` pixels wide.
    fn text(&mut self, x: i32, y: i32, dot: i32, colour: u32, text: &str) {
        for (i, character) in text.chars().enumerate() {
            let Some((_, rows)) = FONT.iter().find(|(c, _)| *c == character) else { continue };
            for (row, bits) in rows.iter().enumerate() {
                for column in 0..5 {
                    if bits >> (4 - column) & 1 == 1 {
                        let at = (x + (i as i32 * 6 + column) * dot, y + row as i32 * dot, dot, dot);
                        self.fill(at, colour);
                    }
                }
            }
        }
    }
}

/// Dusk: a gradient with two soft hills.
pub fn wallpaper(canvas: &mut Canvas<'_>) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    for y in 0..canvas.height {
        let down = y as f32 / height;
        for x in 0..canvas.width {
            let across = x as f32 / width;
            // An ordered dither of one step hides the bands of a dark gradient.
            let dither = BAYER[(y & 3) as usize][(x & 3) as usize] - 0.5;
            let far = 0.62 + 0.05 * (across * 5.0).sin() + 0.03 * (across * 11.0 + 1.0).sin();
            let near = 0.80 + 0.06 * (across * 3.5 + 2.0).sin() + 0.02 * (across * 13.0).sin();
            let colour = if down > near {
                [9.0, 20.0, 30.0]
            } else if down > far {
                mix([17.0, 44.0, 58.0], [12.0, 30.0, 42.0], (down - far) / (near - far))
            } else {
                mix([22.0, 34.0, 62.0], [58.0, 108.0, 120.0], (down / far).powi(2))
            };
            canvas.set(x, y, rgb(colour.map(|c| c + dither)));
        }
    }
}

/// The bar without what moves on it.
pub fn bar(canvas: &mut Canvas<'_>) {
    canvas.fill((0, 0, canvas.width, canvas.height), BAR_COLOUR);
    canvas.fill((0, canvas.height - 1, canvas.width, 1), 0x24_36_46);
    canvas.fill((16, 12, 4, 16), ACCENT);
    canvas.text(30, 13, 2, 0xd8_e2_ea, "punktfunk");
}

/// Where the clock is on a bar of this width.
pub fn clock_place(width: i32) -> Place {
    (width - 16 - CLOCK_WIDTH, 12, CLOCK_WIDTH, 18)
}

/// Draws the time of day at its place.
pub fn clock(canvas: &mut Canvas<'_>, text: &str) {
    let place = clock_place(canvas.width);
    canvas.fill(place, BAR_COLOUR);
    canvas.text(place.0, place.1 + 1, 2, 0xd8_e2_ea, text);
}

/// Draws the wave as it stands after `seconds`, and says where.
pub fn wave(canvas: &mut Canvas<'_>, seconds: f32) -> Place {
    let place @ (left, top, width, height) = ((canvas.width - WAVE_WIDTH) / 2, 4, WAVE_WIDTH, BAR_HEIGHT - 8);
    canvas.fill(place, BAR_COLOUR);
    let steps = width / STEP;
    for i in 0..steps {
        let along = i as f32 / steps as f32;
        let swing = (seconds * 3.1 + along * 9.0).sin() * 0.55 + (seconds * 1.7 - along * 14.0).sin() * 0.45;
        // Quiet at both ends.
        let envelope = (along * std::f32::consts::PI).sin();
        let tall = (2.0 + (swing.abs() * envelope) * (height as f32 - 4.0)).round() as i32;
        let colour = mix([79.0, 179.0, 191.0], [224.0, 122.0, 95.0], along);
        canvas.fill((left + i * STEP, top + (height - tall) / 2, STEP - 3, tall), rgb(colour));
    }
    place
}

fn mix(a: [f32; 3], b: [f32; 3], share: f32) -> [f32; 3] {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

fn rgb(colour: [f32; 3]) -> u32 {
    let [r, g, b] = colour.map(|c| c.round().clamp(0.0, 255.0) as u32);
    r << 16 | g << 8 | b
}

/// Height of the bar in pixels.
pub const BAR_HEIGHT: i32 = 40;
const BAR_COLOUR: u32 = 0x10_1a_24;
const ACCENT: u32 = 0x4f_b3_bf;
const WAVE_WIDTH: i32 = 240;
/// One stroke of the wave with the gap to the next.
const STEP: i32 = 8;
/// Eight characters of six dots.
const CLOCK_WIDTH: i32 = 8 * 6 * 2;

const BAYER: [[f32; 4]; 4] = [
    [0.0, 0.5, 0.125, 0.625],
    [0.75, 0.25, 0.875, 0.375],
    [0.1875, 0.6875, 0.0625, 0.5625],
    [0.9375, 0.4375, 0.8125, 0.3125],
];

/// Five dots wide, eight high; the bits of a row are its dots from the left.
const FONT: [(char, [u8; 8]); 18] = [
    ('0', [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e, 0]),
    ('1', [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e, 0]),
    ('2', [0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f, 0]),
    ('3', [0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e, 0]),
    ('4', [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02, 0]),
    ('5', [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e, 0]),
    ('6', [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e, 0]),
    ('7', [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08, 0]),
    ('8', [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e, 0]),
    ('9', [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c, 0]),
    (':', [0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00, 0]),
    ('p', [0x00, 0x00, 0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10]),
    ('u', [0x00, 0x00, 0x11, 0x11, 0x11, 0x13, 0x0d, 0]),
    ('n', [0x00, 0x00, 0x16, 0x19, 0x11, 0x11, 0x11, 0]),
    ('k', [0x10, 0x10, 0x12, 0x14, 0x18, 0x14, 0x12, 0]),
    ('t', [0x08, 0x08, 0x1c, 0x08, 0x08, 0x09, 0x06, 0]),
    ('f', [0x06, 0x09, 0x08, 0x1c, 0x08, 0x08, 0x08, 0]),
    (' ', [0; 8]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(a: &[u8], b: &[u8], width: i32) -> Vec<(i32, i32)> {
        let pixels = a.chunks(4).zip(b.chunks(4)).enumerate();
        pixels.filter(|(_, (a, b))| a != b).map(|(i, _)| (i as i32 % width, i as i32 / width)).collect()
    }

    #[test]
    fn the_wave_moves_and_only_where_it_says() {
        let (width, height) = (640, BAR_HEIGHT);
        let mut before = vec![0; (width * height * 4) as usize];
        bar(&mut Canvas::new(&mut before, width, height));
        let mut after = before.clone();
        wave(&mut Canvas::new(&mut before, width, height), 1.0);
        let (x, y, w, h) = wave(&mut Canvas::new(&mut after, width, height), 1.0 + 1.0 / 60.0);
        let moved = changed(&before, &after, width);
        assert!(!moved.is_empty(), "one refresh later it looks the same");
        assert!(moved.iter().all(|(a, b)| (x..x + w).contains(a) && (y..y + h).contains(b)));
    }

    #[test]
    fn nothing_is_drawn_beyond_tiny_canvases() {
        for (width, height) in [(1, 1), (100, BAR_HEIGHT), (16, 16)] {
            let mut pixels = vec![0; (width * height * 4) as usize];
            let mut canvas = Canvas::new(&mut pixels, width, height);
            wallpaper(&mut canvas);
            bar(&mut canvas);
            clock(&mut canvas, "12:34:56");
            wave(&mut canvas, 5.0);
        }
    }
}
