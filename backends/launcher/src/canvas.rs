//! Drawing by hand into premultiplied ARGB pixels.

use crate::covers::Cover;

/// A picture of packed 32-bit pixels, `0xAARRGGBB` premultiplied, in the machine's byte order (`wl_shm` argb8888).
pub struct Canvas<'a> {
    pixels: &'a mut [u8],
    /// Pixels in a row.
    pub width: i32,
    /// Rows.
    pub height: i32,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Of the left edge.
    pub x: i32,
    /// Of the upper edge.
    pub y: i32,
    /// Pixels to the right of `x`.
    pub width: i32,
    /// Pixels below `y`.
    pub height: i32,
}

impl Place {
    /// Whether a pixel lies in it.
    pub const fn contains(self, x: i32, y: i32) -> bool {
        x >= self.x && y >= self.y && x < self.x + self.width && y < self.y + self.height
    }

    /// What two have in common.
    pub fn and(self, other: Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let width = (self.x + self.width).min(other.x + other.width) - x;
        let height = (self.y + self.height).min(other.y + other.height) - y;
        Self { x, y, width: width.max(0), height: height.max(0) }
    }

    /// The same with its edges moved outwards.
    pub const fn grown(self, by: i32) -> Self {
        Self { x: self.x - by, y: self.y - by, width: self.width + 2 * by, height: self.height + 2 * by }
    }
}

/// A colour: alpha, red, green, blue, not premultiplied.
pub type Colour = [u8; 4];

impl<'a> Canvas<'a> {
    /// A canvas over `width * height * 4` bytes.
    pub fn new(pixels: &'a mut [u8], width: i32, height: i32) -> Self {
        debug_assert!(pixels.len() as i64 >= i64::from(width) * i64::from(height) * 4);
        Self { pixels, width, height }
    }

    /// All of it.
    pub const fn all(&self) -> Place {
        Place { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Makes everything one colour, whatever was there.
    pub fn clear(&mut self, [a, r, g, b]: Colour) {
        let pixel = premultiplied([a, r, g, b]).to_ne_bytes();
        let all = self.width as usize * self.height as usize * 4;
        self.pixels[..all].chunks_exact_mut(4).for_each(|p| p.copy_from_slice(&pixel));
    }

    /// Lays a colour over one pixel.
    pub fn blend(&mut self, x: i32, y: i32, colour: Colour) {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return;
        }
        let at = (y as usize * self.width as usize + x as usize) * 4;
        let Some(Ok(below)) = self.pixels.get(at..at + 4).map(<[u8; 4]>::try_from) else { return };
        let above = premultiplied(colour).to_be_bytes();
        let rest = 255 - u32::from(colour[0]);
        let below = u32::from_ne_bytes(below).to_be_bytes();
        let mixed: [u8; 4] =
            std::array::from_fn(|i| (u32::from(above[i]) + (u32::from(below[i]) * rest + 127) / 255).min(255) as u8);
        self.pixels[at..at + 4].copy_from_slice(&u32::from_be_bytes(mixed).to_ne_bytes());
    }

    /// Lays a colour over a rectangle with round corners, inside of `clip`.
    pub fn fill(&mut self, place: Place, radius: i32, colour: Colour, clip: Place) {
        let seen = place.and(clip).and(self.all());
        for y in seen.y..seen.y + seen.height {
            for x in seen.x..seen.x + seen.width {
                let cover = corner(place, radius, x, y);
                if cover > 0 {
                    let alpha = (u32::from(colour[0]) * cover / 255) as u8;
                    self.blend(x, y, [alpha, colour[1], colour[2], colour[3]]);
                }
            }
        }
    }

    /// Puts a picture there, its corners round.
    pub fn picture(&mut self, place: Place, radius: i32, cover: &Cover, clip: Place) {
        let seen = place.and(clip).and(self.all());
        for y in seen.y..seen.y + seen.height {
            for x in seen.x..seen.x + seen.width {
                let (column, row) = ((x - place.x) as usize, (y - place.y) as usize);
                let pixel =
                    cover.pixels.get(row * cover.width as usize + column).filter(|_| column < cover.width as usize);
                if let Some(pixel) = pixel {
                    let [_, r, g, b] = pixel.to_be_bytes();
                    self.blend(x, y, [corner(place, radius, x, y) as u8, r, g, b]);
                }
            }
        }
    }
}

/// How much of a pixel belongs to a rectangle with round corners, 0 to 255.
fn corner(place: Place, radius: i32, x: i32, y: i32) -> u32 {
    let radius = radius.min(place.width / 2).min(place.height / 2);
    let inwards = |at: i32, start: i32, length: i32| {
        let from_start = at - start;
        let from_end = start + length - 1 - at;
        (radius - from_start.min(from_end)).max(0)
    };
    let (dx, dy) = (inwards(x, place.x, place.width), inwards(y, place.y, place.height));
    if dx == 0 || dy == 0 {
        return 255;
    }
    // From the middle of the corner's circle to the middle of the pixel.
    let (dx, dy) = (f64::from(dx) - 0.5, f64::from(dy) - 0.5);
    let outside = (dx * dx + dy * dy).sqrt() - f64::from(radius);
    ((0.5 - outside).clamp(0.0, 1.0) * 255.0) as u32
}

fn premultiplied([a, r, g, b]: Colour) -> u32 {
    let times = |c: u8| ((u32::from(c) * u32::from(a) + 127) / 255) as u8;
    u32::from_be_bytes([a, times(r), times(g), times(b)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(bytes: &[u8], width: i32, x: i32, y: i32) -> u32 {
        let at = (y * width + x) as usize * 4;
        u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"))
    }

    #[test]
    fn colours_mix_and_nothing_is_drawn_outside() {
        let mut bytes = vec![0; 10 * 10 * 4];
        let mut canvas = Canvas::new(&mut bytes, 10, 10);
        canvas.clear([255, 100, 100, 100]);
        let all = canvas.all();
        canvas.fill(Place { x: 5, y: 5, width: 100, height: 100 }, 0, [128, 200, 0, 100], all);
        canvas.fill(Place { x: -50, y: -50, width: 51, height: 51 }, 0, [255, 1, 2, 3], all);
        canvas.blend(-1, 3, [255; 4]);
        canvas.blend(10, 3, [255; 4]);
        assert_eq!(pixel(&bytes, 10, 0, 0), 0xff01_0203);
        assert_eq!(pixel(&bytes, 10, 4, 4), 0xff64_6464);
        assert_eq!(pixel(&bytes, 10, 9, 9), 0xff96_3264);
    }

    #[test]
    fn corners_are_round_and_alike() {
        let place = Place { x: 2, y: 3, width: 20, height: 30 };
        let at = |x, y| corner(place, 6, x, y);
        assert_eq!((at(2, 3), at(21, 3), at(2, 32), at(21, 32)), (0, 0, 0, 0));
        assert_eq!((at(12, 3), at(2, 18), at(12, 18)), (255, 255, 255));
        for (dx, dy) in [(1, 2), (3, 0), (2, 2), (4, 1)] {
            assert_eq!(at(2 + dx, 3 + dy), at(21 - dx, 32 - dy));
        }
    }
}
