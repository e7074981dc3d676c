//! Rates.

use punktfunk_media::{Encoder, FrameOrder, InvalidateOutcome, Keyframe, Rect};

use crate::scene;
use crate::subject::{HEIGHT, Subject, WIDTH, config, decode, encode};

/// Content that takes every bit it is given, so that the mean shows the target; after each order the mean must follow
/// within half a second.
pub fn bitrate_is_kept_and_changes_without_a_keyframe(subject: &Subject) {
    let mut encoder = subject.open(&config(6_000_000));
    let mut index = 0;
    for target in [6_000_000, 2_500_000, 9_000_000, 1_500_000] {
        if index > 0 {
            assert_eq!(encoder.order(FrameOrder::Bitrate(target)).expect("answers"), InvalidateOutcome::Done);
        }
        run(&mut *encoder, &mut index, 30);
        let sizes = run(&mut *encoder, &mut index, 90);
        let mean = mean_bps(&sizes, 60);
        let (name, target) = (subject.factory.name(), f64::from(target));
        println!("{name}: target {:.1}, got {:.2} Mbit/s", target / 1e6, mean / 1e6);
        assert!(mean < 1.15 * target, "{mean} bit/s at a target of {target}");
        assert!(mean > 0.6 * target, "{mean} bit/s at a target of {target}");
        let share = target / 60.0 / 8.0;
        let largest = *sizes.iter().max().expect("pictures") as f64;
        assert!(largest < 4.0 * share, "a picture of {largest} bytes where {share} is a share");
    }
}

/// Half the pictures a second, twice the bits for each.
pub fn frame_rate_changes_without_a_keyframe(subject: &Subject) {
    let mut encoder = subject.open(&config(4_000_000));
    let mut index = 0;
    run(&mut *encoder, &mut index, 30);
    let fast = mean_bps(&run(&mut *encoder, &mut index, 60), 1);
    assert_eq!(encoder.order(FrameOrder::FrameRate(30)).expect("answers"), InvalidateOutcome::Done);
    run(&mut *encoder, &mut index, 30);
    let slow = mean_bps(&run(&mut *encoder, &mut index, 60), 1);
    assert!((1.6..2.4).contains(&(slow / fast)), "{fast} and {slow} bits per picture");
}

/// Two bits a pixel at the least: noise that no rate control foresees, cuts, keyframes on request, another bitrate: whatever comes out fits, decodes, and
/// is not smaller than need be.
pub fn no_access_unit_exceeds_the_limit(subject: &Subject) {
    for (limit, bitrate) in [(100_000, 40_000_000), (60_000, 20_000_000), (60_000, 4_000_000)] {
        let mut settings = config(bitrate);
        settings.max_frame_bytes = Some(limit);
        let (mut encoder, mut decoder) = (subject.open(&settings), (subject.decoder)());
        let mut sizes = Vec::new();
        for index in 0..90 {
            let mut drawn = match index / 15 % 3 {
                0 => scene::moving(WIDTH, HEIGHT, index),
                1 => scene::restless(WIDTH, HEIGHT, index),
                _ => scene::still(WIDTH, HEIGHT),
            };
            if index % 15 == 7 {
                drawn.scribble(Rect { x: 0, y: 0, width: WIDTH / 2, height: HEIGHT / 2 }, index);
            }
            if index == 60 {
                encoder.order(FrameOrder::Bitrate(bitrate / 2)).expect("answers");
            }
            let force = if index % 20 == 9 { Keyframe::Force } else { Keyframe::Auto };
            let unit = encode(&mut *encoder, &drawn, force);
            assert!(unit.data.len() <= limit, "picture {index}: {} of {limit} bytes", unit.data.len());
            assert!(unit.keyframe || force == Keyframe::Auto);
            decode(&mut *decoder, &unit);
            sizes.push(unit.data.len());
        }
        let (name, largest) = (subject.factory.name(), *sizes.iter().max().expect("pictures"));
        println!("{name}: limit {limit}, largest {largest}, {:.2} Mbit/s", mean_bps(&sizes, 60) / 1e6);
        assert!(largest > limit / 4, "{largest} of {limit} bytes");
    }
}

fn run(encoder: &mut dyn Encoder, index: &mut u32, pictures: u32) -> Vec<usize> {
    (0..pictures)
        .map(|_| {
            let unit = encode(encoder, &scene::restless(WIDTH, HEIGHT, *index), Keyframe::Auto);
            assert_eq!(unit.keyframe, *index == 0, "picture {index}");
            *index += 1;
            unit.data.len()
        })
        .collect()
}

fn mean_bps(sizes: &[usize], rate: u32) -> f64 {
    sizes.iter().sum::<usize>() as f64 * 8.0 * f64::from(rate) / sizes.len() as f64
}
