//! Conversion against the formulas of the standard, and partial against full conversion.

use punktfunk_convert::{ConvertError, Converter, PlanesMut};
use punktfunk_encode::decode::Picture;
use punktfunk_media::{Colour, Damage, PixelFormat, Rect, Transform};

#[path = "conformance/scene.rs"]
#[allow(dead_code, reason = "the conformance suite uses all of it")]
mod scene;

use scene::Drawn;

const TRANSFORMS: [Transform; 8] = [
    Transform::Normal,
    Transform::Rotate90,
    Transform::Rotate180,
    Transform::Rotate270,
    Transform::Flipped,
    Transform::Flipped90,
    Transform::Flipped180,
    Transform::Flipped270,
];

/// Planes with padded rows, and the converter that fills them.
struct Target {
    converter: Converter,
    colour: Colour,
    stride: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Target {
    fn new(width: u32, height: u32, padding: usize) -> Self {
        Self::of(width, height, padding, Colour::default())
    }

    fn of(width: u32, height: u32, padding: usize, colour: Colour) -> Self {
        let converter = Converter::new(width, height, colour);
        let (w, h) = converter.coded_size();
        let stride = w as usize + 2 * padding;
        let (y, u) = (vec![7; stride * h as usize], vec![7; stride / 2 * (h as usize / 2)]);
        Self { converter, colour, stride, y, v: u.clone(), u }
    }

    fn convert(&mut self, drawn: &Drawn, damage: &Damage) -> Result<u32, ConvertError> {
        let half = self.stride / 2;
        let mut planes = PlanesMut { y: (&mut self.y, self.stride), u: (&mut self.u, half), v: (&mut self.v, half) };
        self.converter.convert(&drawn.layout, &drawn.pixels, damage, &mut planes)
    }

    fn picture(&self) -> Picture {
        let (width, height) = self.converter.coded_size();
        let (width, height) = (width as usize, height as usize);
        let cut = |plane: &[u8], stride: usize, w: usize| plane.chunks(stride).flat_map(|r| r[..w].to_vec()).collect();
        Picture {
            width,
            height,
            y: cut(&self.y, self.stride, width),
            u: cut(&self.u, self.stride / 2, width / 2),
            v: cut(&self.v, self.stride / 2, width / 2),
            colour: self.colour,
        }
    }
}

#[test]
fn every_colour_is_within_two_steps_of_the_standard() {
    // 17 levels of each channel, in blocks of 2x2 pixels so that chroma is not mixed.
    let side = 142;
    let mut drawn = scene::still(side, side);
    for (index, pixel) in drawn.pixels.chunks_exact_mut(4).enumerate() {
        let (x, y) = (index as u32 % side / 2, index as u32 / side / 2);
        let cell = (y * side / 2 + x) % (17 * 17 * 17);
        let level = |n: u32| (n * 16).min(255) as u8;
        pixel.copy_from_slice(&[level(cell % 17), level(cell / 17 % 17), level(cell / 289), 0x55]);
    }
    for colour in Colour::ALL {
        let ideal = scene::ideal_in(&drawn, colour);
        for format in [PixelFormat::Bgrx, PixelFormat::Rgbx] {
            let mut target = Target::of(side, side, 0, colour);
            target.convert(&scene::relaid(&drawn, format, Transform::Normal, 0), &Damage::Full).expect("fits");
            let picture = target.picture();
            for (name, a, b) in [("Y", &ideal.y, &picture.y), ("U", &ideal.u, &picture.u), ("V", &ideal.v, &picture.v)]
            {
                let worst = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().expect("not empty");
                assert!(worst <= 2, "{colour:?} {format:?} {name}: off by {worst}");
            }
        }
    }
}

#[test]
fn black_and_white_use_the_whole_range_and_no_more() {
    for colour in Colour::ALL {
        let (white, black) = if colour.full_range { (255, 0) } else { (235, 16) };
        for (level, luma) in [(255, white), (0, black)] {
            let mut drawn = scene::still(34, 18);
            drawn.pixels.fill(level);
            let mut target = Target::of(34, 18, 0, colour);
            target.convert(&drawn, &Damage::Full).expect("fits");
            let picture = target.picture();
            assert!(picture.y.iter().all(|y| *y == luma), "{colour:?}: {}", picture.y[0]);
            assert!(picture.u.iter().chain(&picture.v).all(|c| *c == 128), "{colour:?}: {}", picture.u[0]);
        }
    }
}

#[test]
fn all_transforms_strides_and_sizes_give_the_upright_picture() {
    for (width, height) in [(64, 48), (63, 48), (64, 47), (65, 33), (16, 16), (17, 201)] {
        let upright = scene::moving(width, height, 5);
        let mut straight = Target::new(width, height, 0);
        straight.convert(&upright, &Damage::Full).expect("fits");
        for transform in TRANSFORMS {
            for (padding, plane_padding) in [(0, 0), (4, 16), (60, 1)] {
                let mut target = Target::new(width, height, plane_padding);
                let drawn = scene::relaid(&upright, PixelFormat::Rgbx, transform, padding);
                assert_eq!(target.convert(&drawn, &Damage::Full), Ok(height));
                assert_eq!(target.picture(), straight.picture(), "{width}x{height} {transform:?} +{padding}");
            }
        }
    }
}

#[test]
fn damage_equals_full_conversion_and_skips_the_rest() {
    let (width, height) = (203, 151);
    for (transform, colour) in TRANSFORMS.into_iter().flat_map(|t| Colour::ALL.map(|c| (t, c))) {
        let mut drawn = scene::relaid(&scene::moving(width, height, 0), PixelFormat::Bgrx, transform, 20);
        let mut partial = Target::of(width, height, 3, colour);
        partial.convert(&drawn, &Damage::Full).expect("fits");
        let mut skipped = 0;
        for seed in 0..150 {
            let (rects, damage) = scene::random_damage(drawn.layout.width, drawn.layout.height, seed);
            rects.iter().for_each(|r| drawn.scribble(*r, seed));
            skipped += height - partial.convert(&drawn, &damage).expect("fits");
            let mut full = Target::of(width, height, 3, colour);
            full.convert(&drawn, &Damage::Full).expect("fits");
            assert_eq!(partial.picture(), full.picture(), "{transform:?} {colour:?} after damage {seed}");
        }
        assert!(skipped > 0, "damage never saved a row");
    }
}

#[test]
fn damage_outside_the_picture_is_cut_off() {
    let drawn = scene::moving(64, 64, 0);
    let mut target = Target::new(64, 64, 0);
    target.convert(&drawn, &Damage::Full).expect("fits");
    let mut damage = Damage::none();
    damage.add(Rect { x: 1000, y: 70, width: 5, height: 9 });
    damage.add(Rect { x: 0, y: 60, width: 2, height: 90 });
    assert_eq!(target.convert(&drawn, &damage), Ok(4));
    assert_eq!(target.convert(&drawn, &Damage::none()), Ok(0));
}

#[test]
fn another_layout_converts_everything() {
    let upright = scene::moving(48, 48, 0);
    let mut target = Target::new(48, 48, 0);
    target.convert(&upright, &Damage::Full).expect("fits");
    let turned = scene::relaid(&upright, PixelFormat::Bgrx, Transform::Flipped, 0);
    assert_eq!(target.convert(&turned, &Damage::none()), Ok(48));
    // After a refused picture the planes are still those of the last one.
    let wrong = scene::moving(46, 48, 0);
    assert!(matches!(target.convert(&wrong, &Damage::Full), Err(ConvertError::Size(46, 48, 48, 48))));
    assert_eq!(target.convert(&turned, &Damage::none()), Ok(0));
}

#[test]
fn short_memory_and_small_planes_are_refused() {
    let drawn = scene::moving(48, 48, 0);
    let mut cut = drawn.clone();
    cut.pixels.pop();
    let mut narrow = drawn.clone();
    narrow.layout.stride = 47 * 4;
    let mut target = Target::new(48, 48, 0);
    for bad in [cut, narrow] {
        assert!(matches!(target.convert(&bad, &Damage::Full), Err(ConvertError::Short { .. })));
    }
    target.y.truncate(47 * 48);
    assert_eq!(target.convert(&drawn, &Damage::Full), Err(ConvertError::Planes));
}
