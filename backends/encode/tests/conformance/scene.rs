//! Test pictures: a desktop-like scene with sharp text-like texture, gradients and motion, the same on every machine.

use punktfunk_encode::decode::Picture;
use punktfunk_media::{Colour, Damage, FrameLayout, Matrix, PixelFormat, Rect, Transform};

/// A packed picture.
#[derive(Clone)]
pub struct Drawn {
    pub layout: FrameLayout,
    pub pixels: Vec<u8>,
}

impl Drawn {
    pub fn size(&self) -> (u32, u32) {
        (self.layout.width, self.layout.height)
    }

    /// Paints a rectangle of noise.
    pub fn scribble(&mut self, rect: Rect, seed: u32) {
        for y in rect.y..rect.y + rect.height {
            for x in rect.x..rect.x + rect.width {
                let at = y as usize * self.layout.stride as usize + x as usize * 4;
                let value = hash(x, y, seed);
                self.pixels[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

/// Frame `index` of the moving scene: text scrolling over a gradient, and a box that crosses it.
pub fn moving(width: u32, height: u32, index: u32) -> Drawn {
    draw(width, height, |x, y| {
        let (bx, by) = (index * 5 % width, index * 3 % height);
        if x.wrapping_sub(bx) < width / 8 && y.wrapping_sub(by) < height / 8 {
            return [40, 90, 220];
        }
        let line = y + index * 2;
        let ink = line % 16 < 9 && x % 8 < 6 && hash(x / 2, line / 2, 7).is_multiple_of(3);
        if ink { [30, 30, 30] } else { [(200 - y * 80 / height) as u8, (150 + x * 80 / width) as u8, 210] }
    })
}

/// Frame `index` of a scene that no encoder can foresee: every picture costs what it is given.
pub fn restless(width: u32, height: u32, index: u32) -> Drawn {
    draw(width, height, |x, y| {
        let grain = hash(x / 3, y / 3, index) as u8 % 96;
        [80 + grain, 60 + grain, 100 + (x / 4) as u8 % 64]
    })
}

/// A still picture with every colour corner in it.
pub fn still(width: u32, height: u32) -> Drawn {
    const COLOURS: [[u8; 3]; 8] = [
        [255, 255, 255],
        [0, 0, 0],
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 0],
        [0, 255, 255],
        [128, 64, 192],
    ];
    cells(width, height, COLOURS)
}

/// A still picture of white, black and colours that stay away from every corner: read by the wrong matrix or in the wrong
/// range, none of these is cut off at the ends.
pub fn muted(width: u32, height: u32) -> Drawn {
    const COLOURS: [[u8; 3]; 8] = [
        [255, 255, 255],
        [0, 0, 0],
        [190, 70, 60],
        [60, 170, 80],
        [70, 80, 200],
        [190, 180, 60],
        [60, 170, 180],
        [180, 60, 170],
    ];
    cells(width, height, COLOURS)
}

/// Two rows of four.
fn cells(width: u32, height: u32, colours: [[u8; 3]; 8]) -> Drawn {
    draw(width, height, |x, y| colours[((x * 4 / width) + (y * 2 / height) * 4) as usize])
}

fn draw(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Drawn {
    let layout =
        FrameLayout { width, height, stride: width * 4, format: PixelFormat::Bgrx, transform: Transform::Normal };
    let mut pixels = vec![0; layout.len()];
    for (y, row) in pixels.chunks_exact_mut(width as usize * 4).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let [r, g, b] = colour(x as u32, y as u32);
            pixel.copy_from_slice(&[b, g, r, 255]);
        }
    }
    Drawn { layout, pixels }
}

/// The same picture laid out otherwise: padded rows, other byte order, turned in memory.
pub fn relaid(upright: &Drawn, format: PixelFormat, transform: Transform, padding: u32) -> Drawn {
    let (w, h) = upright.size();
    let swapped =
        matches!(transform, Transform::Rotate90 | Transform::Rotate270 | Transform::Flipped90 | Transform::Flipped270);
    let (width, height) = if swapped { (h, w) } else { (w, h) };
    let layout = FrameLayout { width, height, stride: width * 4 + padding, format, transform };
    let mut pixels = vec![0xa5; layout.len()];
    for y in 0..h {
        for x in 0..w {
            let (mx, my) = place(transform, x, y, w, h);
            let from = (y * upright.layout.stride + x * 4) as usize;
            let to = (my * layout.stride + mx * 4) as usize;
            let mut pixel = [0; 4];
            pixel.copy_from_slice(&upright.pixels[from..from + 4]);
            if format == PixelFormat::Rgbx {
                pixel.swap(0, 2);
            }
            pixels[to..to + 4].copy_from_slice(&pixel);
        }
    }
    Drawn { layout, pixels }
}

/// Where the upright pixel lies in memory, step by step as the protocol words it: mirror, then turn counter-clockwise
/// by quarters.
fn place(transform: Transform, x: u32, y: u32, w: u32, h: u32) -> (u32, u32) {
    let (flipped, quarters) = match transform {
        Transform::Normal => (false, 0),
        Transform::Rotate90 => (false, 1),
        Transform::Rotate180 => (false, 2),
        Transform::Rotate270 => (false, 3),
        Transform::Flipped => (true, 0),
        Transform::Flipped90 => (true, 1),
        Transform::Flipped180 => (true, 2),
        Transform::Flipped270 => (true, 3),
    };
    let (mut x, mut y, mut w, mut h) = (if flipped { w - 1 - x } else { x }, y, w, h);
    for _ in 0..quarters {
        (x, y) = (y, w - 1 - x);
        (w, h) = (h, w);
    }
    (x, y)
}

/// What a perfect decoder would show of the default colour.
pub fn ideal(drawn: &Drawn) -> Picture {
    ideal_in(drawn, Colour::default())
}

/// What a perfect decoder would show: by the formulas of the standards, in floating point, chroma averaged over two by
/// two pixels.
pub fn ideal_in(drawn: &Drawn, colour: Colour) -> Picture {
    let (w, h) = (drawn.layout.width as usize, drawn.layout.height as usize);
    let rgb = |x: usize, y: usize| {
        let at = y.min(h - 1) * drawn.layout.stride as usize + x.min(w - 1) * 4;
        [2, 1, 0].map(|c| f64::from(drawn.pixels[at + c]) / 255.0)
    };
    let (kr, kb) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    };
    // Of the largest luma and the largest colour difference; of black.
    let (luma_span, chroma_span, black) = if colour.full_range { (255.0, 255.0, 0.0) } else { (219.0, 224.0, 16.0) };
    let luma = |[r, g, b]: [f64; 3]| kr * r + (1.0 - kr - kb) * g + kb * b;
    let (width, height) = (w.next_multiple_of(2), h.next_multiple_of(2));
    let mut picture = Picture { width, height, colour, ..Picture::default() };
    for y in 0..height {
        for x in 0..width {
            picture.y.push((black + luma_span * luma(rgb(x, y))).round() as u8);
        }
    }
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let four = [rgb(x, y), rgb(x + 1, y), rgb(x, y + 1), rgb(x + 1, y + 1)];
            let mean = [0, 1, 2].map(|c| four.iter().map(|p| p[c]).sum::<f64>() / 4.0);
            let l = luma(mean);
            picture.u.push((128.0 + chroma_span * (mean[2] - l) / (2.0 * (1.0 - kb))).round() as u8);
            picture.v.push((128.0 + chroma_span * (mean[0] - l) / (2.0 * (1.0 - kr))).round() as u8);
        }
    }
    picture
}

/// Some rectangles inside the picture, as damage.
pub fn random_damage(width: u32, height: u32, seed: u32) -> (Vec<Rect>, Damage) {
    let rects: Vec<Rect> = (0..1 + seed % 3)
        .map(|i| {
            let (x, y) = (hash(seed, i, 1) % width, hash(seed, i, 2) % height);
            let width = 1 + hash(seed, i, 3) % (width - x).min(90);
            let height = 1 + hash(seed, i, 4) % (height - y).min(40);
            Rect { x, y, width, height }
        })
        .collect();
    let mut damage = Damage::none();
    rects.iter().for_each(|r| damage.add(*r));
    (rects, damage)
}

/// A well-mixed number (the finaliser of MurmurHash3).
pub fn hash(a: u32, b: u32, c: u32) -> u32 {
    let mut h = a.wrapping_mul(0x9e37_79b1) ^ b.wrapping_mul(0x85eb_ca77) ^ c.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}
