//! What arrives on the other side.

use punktfunk_convert::{Converter, PlanesMut};
use punktfunk_media::{Colour, Damage, EncoderConfig, FrameLayout, Keyframe, Mode, PixelFormat, Transform};

use crate::scene::{self, Drawn};
use crate::subject::{HEIGHT, Subject, WIDTH, config, decode, encode, take};

pub fn decodes_above_the_psnr_floor(subject: &Subject) {
    let mut encoder = subject.open(&config(6_000_000));
    let mut decoder = (subject.decoder)();
    let mut sum = 0.0;
    for index in 0..90 {
        let drawn = scene::moving(WIDTH, HEIGHT, index);
        let unit = encode(&mut *encoder, &drawn, Keyframe::Auto);
        let psnr = scene::ideal(&drawn).luma_psnr(&decode(&mut *decoder, &unit));
        assert!(psnr > 20.0, "picture {index} came back at {psnr:.1} dB");
        sum += psnr;
    }
    let mean = sum / 90.0;
    println!("{}: mean luma PSNR {mean:.1} dB at 6 Mbit/s", subject.factory.name());
    assert!(mean > 30.0, "mean luma PSNR {mean:.1} dB");
}

pub fn every_layout_arrives_upright(subject: &Subject) {
    use Transform::{Flipped, Flipped90, Flipped180, Flipped270, Normal, Rotate90, Rotate180, Rotate270};
    let upright = scene::still(128, 96);
    let ideal = scene::ideal(&upright);
    let mut settings = config(20_000_000);
    settings.mode = Mode { width: 128, height: 96, refresh_hz: 30 };
    let mut encoder = subject.open(&settings);
    let mut decoder = (subject.decoder)();
    // One encoder sees all of them: a change of layout must not leave rows of the old one behind.
    for transform in [Normal, Rotate90, Rotate180, Rotate270, Flipped, Flipped90, Flipped180, Flipped270] {
        for (format, padding) in [(PixelFormat::Bgrx, 0), (PixelFormat::Rgbx, 4), (PixelFormat::Bgrx, 52)] {
            let drawn = scene::relaid(&upright, format, transform, padding);
            encoder.submit(&drawn.layout, &drawn.pixels, &Damage::none(), Keyframe::Force).expect("submits");
            let picture = decode(&mut *decoder, &take(&mut *encoder));
            let psnr = ideal.luma_psnr(&picture);
            assert!(psnr > 30.0, "{transform:?} {format:?} +{padding}: {psnr:.1} dB");
            let (u, v) = (mean_error(&ideal.u, &picture.u), mean_error(&ideal.v, &picture.v));
            assert!(u < 6.0 && v < 6.0, "{transform:?} {format:?} +{padding}: chroma off by {u:.1}, {v:.1}");
        }
    }
}

/// Two encoders, one told the exact damage and one told that everything changed, must write the same bytes.
pub fn damage_changes_nothing(subject: &Subject) {
    for transform in [Transform::Normal, Transform::Rotate270, Transform::Flipped180] {
        let mut settings = config(4_000_000);
        settings.mode = Mode { width: 320, height: 200, refresh_hz: 60 };
        let (mut told, mut untold) = (subject.open(&settings), subject.open(&settings));
        let mut drawn = scene::relaid(&scene::moving(320, 200, 0), PixelFormat::Bgrx, transform, 12);
        for seed in 0..40 {
            let (rects, damage) = scene::random_damage(drawn.layout.width, drawn.layout.height, seed);
            rects.iter().for_each(|r| drawn.scribble(*r, seed));
            told.submit(&drawn.layout, &drawn.pixels, &damage, Keyframe::Auto).expect("submits");
            untold.submit(&drawn.layout, &drawn.pixels, &Damage::Full, Keyframe::Auto).expect("submits");
            assert!(take(&mut *told).data == take(&mut *untold).data, "{transform:?}: differs after damage {seed}");
        }
        // Undamaged rows are not looked at: that is what damage is for.
        let mut elsewhere = drawn.clone();
        elsewhere.pixels.fill(0);
        told.submit(&elsewhere.layout, &elsewhere.pixels, &Damage::none(), Keyframe::Force).expect("submits");
        untold.submit(&drawn.layout, &drawn.pixels, &Damage::none(), Keyframe::Force).expect("submits");
        assert!(take(&mut *told).data == take(&mut *untold).data, "{transform:?}: undamaged rows were converted");
    }
}

/// Two encoders, one given pixels and one given the planes that they convert to, must write the same bytes.
pub fn planes_give_what_their_pixels_give(subject: &Subject) {
    for (width, height) in [(320, 200), (321, 201)] {
        for colour in Colour::ALL {
            let settings = EncoderConfig { mode: Mode { width, height, refresh_hz: 60 }, colour, ..config(4_000_000) };
            let (mut of_pixels, mut of_planes) = (subject.open(&settings), subject.open(&settings));
            let (format, transform) = (PixelFormat::I420(colour), Transform::Normal);
            let layout = FrameLayout { width, height, stride: 384, format, transform };
            let mut planes = vec![0; layout.len()];
            let mut converter = Converter::new(width, height, colour);
            let mut drawn = scene::moving(width, height, 0);
            for seed in 0..12 {
                let (rects, damage) = scene::random_damage(width, height, seed);
                rects.iter().for_each(|r| drawn.scribble(*r, seed));
                let [_, blue, red, _] = layout.plane_bounds();
                let (y, rest) = planes.split_at_mut(blue);
                let (u, v) = rest.split_at_mut(red - blue);
                let mut target = PlanesMut { y: (y, 384), u: (u, 192), v: (v, 192) };
                converter.convert(&drawn.layout, &drawn.pixels, &damage, &mut target).expect("fits");
                of_pixels.submit(&drawn.layout, &drawn.pixels, &damage, Keyframe::Auto).expect("submits");
                // Pixels in between: who captures may change its mind.
                match seed {
                    5 => of_planes.submit(&drawn.layout, &drawn.pixels, &damage, Keyframe::Auto).expect("submits"),
                    _ => of_planes.submit(&layout, &planes, &damage, Keyframe::Auto).expect("submits"),
                }
                let same = take(&mut *of_pixels).data == take(&mut *of_planes).data;
                assert!(same, "{width}x{height} {colour:?}: differs after damage {seed}");
            }
            // Undamaged rows are not looked at.
            of_planes.submit(&layout, &vec![0; layout.len()], &Damage::none(), Keyframe::Force).expect("submits");
            of_pixels.submit(&drawn.layout, &drawn.pixels, &Damage::none(), Keyframe::Force).expect("submits");
            assert!(take(&mut *of_pixels).data == take(&mut *of_planes).data, "{colour:?}: undamaged rows were copied");
            let other = Colour { full_range: !colour.full_range, ..colour };
            let foreign = FrameLayout { format: PixelFormat::I420(other), ..layout };
            assert!(of_planes.submit(&foreign, &planes, &Damage::Full, Keyframe::Auto).is_err(), "of another colour");
            assert!(of_planes.submit(&layout, &planes[1..], &Damage::Full, Keyframe::Auto).is_err(), "cut short");
            let narrow = FrameLayout { stride: 320 - 2, ..layout };
            assert!(of_planes.submit(&narrow, &planes, &Damage::Full, Keyframe::Auto).is_err(), "rows overlap");
        }
    }
}

pub fn repeats_the_last_picture(subject: &Subject) {
    let mut encoder = subject.open(&config(6_000_000));
    assert!(encoder.submit_repeat(Keyframe::Auto).is_err(), "nothing to repeat yet");
    let mut decoder = (subject.decoder)();
    let drawn = scene::moving(WIDTH, HEIGHT, 3);
    let ideal = scene::ideal(&drawn);
    let first = encode(&mut *encoder, &drawn, Keyframe::Auto);
    let before = ideal.luma_psnr(&decode(&mut *decoder, &first));
    let mut last = before;
    for _ in 0..30 {
        encoder.submit_repeat(Keyframe::Auto).expect("repeats");
        let unit = take(&mut *encoder);
        assert!(!unit.keyframe && unit.data.len() < first.data.len());
        last = ideal.luma_psnr(&decode(&mut *decoder, &unit));
    }
    assert!(last >= before - 0.1, "a still picture must not get worse: {before:.1} to {last:.1} dB");
    encoder.submit_repeat(Keyframe::Force).expect("repeats");
    let unit = take(&mut *encoder);
    assert!(unit.keyframe);
    assert!(ideal.luma_psnr(&decode(&mut *decoder, &unit)) > 20.0);
}

/// 4:2:0 cannot say odd sizes: the stream is one larger, the rest of the picture unharmed.
pub fn odd_sizes_gain_a_row_and_a_column(subject: &Subject) {
    let upright = scene::still(131, 77);
    let mut settings = config(8_000_000);
    settings.mode = Mode { width: 131, height: 77, refresh_hz: 60 };
    let mut encoder = subject.open(&settings);
    let mut decoder = (subject.decoder)();
    let drawn: Drawn = scene::relaid(&upright, PixelFormat::Bgrx, Transform::Rotate90, 8);
    let picture = decode(&mut *decoder, &encode(&mut *encoder, &drawn, Keyframe::Auto));
    assert_eq!((picture.width, picture.height), (132, 78));
    let psnr = scene::ideal(&upright).luma_psnr(&picture);
    assert!(psnr > 25.0, "{psnr:.1} dB");
}

fn mean_error(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}
