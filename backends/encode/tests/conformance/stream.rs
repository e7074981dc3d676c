//! What the bitstream says.

use std::time::Instant;

use punktfunk_encode::h264::{self, Pps, SliceHeader, SliceType, Sps};
use punktfunk_media::{
    Damage, EncodedFrame, FrameLayout, FrameOrder, InvalidateOutcome, Keyframe, Mode, PixelFormat, Transform, reason,
};

use crate::scene;
use crate::subject::{HEIGHT, Subject, WIDTH, config, decode, encode};

pub fn one_access_unit_per_picture_at_once(subject: &Subject) {
    let mut encoder = subject.open(&config(5_000_000));
    let mut out = EncodedFrame::default();
    let mut parameters = None;
    assert!(!encoder.poll(&mut out, Instant::now()).expect("polls"), "nothing submitted, nothing out");
    for index in 0..20 {
        let unit = encode(&mut *encoder, &scene::moving(WIDTH, HEIGHT, index), Keyframe::Auto);
        assert!(!encoder.poll(&mut out, Instant::now()).expect("polls"), "one access unit per picture, not two");
        parameters = parameters_in(&unit).or(parameters);
        let (sps, pps) = parameters.as_ref().expect("the first access unit is an IDR");
        let starts = slices(&unit.data, sps, pps).iter().filter(|s| s.first_macroblock == 0).count();
        assert_eq!(starts, 1, "picture {index}");
    }
    // Two submits without taking the first would lose a picture of the reference chain.
    let drawn = scene::moving(WIDTH, HEIGHT, 0);
    encoder.submit(&drawn.layout, &drawn.pixels, &Damage::Full, Keyframe::Auto).expect("submits");
    assert!(encoder.submit(&drawn.layout, &drawn.pixels, &Damage::Full, Keyframe::Auto).is_err());
}

pub fn keyframes_come_when_asked_and_only_then(subject: &Subject) {
    let mut encoder = subject.open(&config(3_000_000));
    let mut decoder = (subject.decoder)();
    for index in 0..120u32 {
        // A hard cut in the middle must not tempt the encoder.
        let drawn =
            if (50..60).contains(&index) { scene::still(WIDTH, HEIGHT) } else { scene::moving(WIDTH, HEIGHT, index) };
        let asked = matches!(index, 7 | 8 | 90);
        let unit = encode(&mut *encoder, &drawn, if asked { Keyframe::Force } else { Keyframe::Auto });
        let idr = asked || index == 0;
        assert_eq!((unit.keyframe, h264::is_idr(&unit.data)), (idr, idr), "picture {index}");
        let sets = [h264::NAL_SPS, h264::NAL_PPS].map(|t| h264::find_unit(&unit.data, t).is_some());
        assert_eq!(sets, [idr, idr], "parameter sets with every keyframe: picture {index}");
        if idr && index > 0 {
            // A decoder that joins here needs nothing from before.
            decoder = (subject.decoder)();
        }
        decode(&mut *decoder, &unit);
    }
}

pub fn no_b_pictures_and_slices_as_agreed(subject: &Subject) {
    // Several where the client takes them, one per thread; or exactly as many as it asks for.
    for (multi_slice, threads, asked, expected) in [
        (false, 1, 0, 1),
        (false, 2, 0, 1),
        (true, 2, 0, 2),
        (true, 2, 1, 1),
        (true, 1, 4, 4),
        (false, 2, 4, 4),
        (true, 4, 4, 4),
        (true, 3, 4, 4),
    ] {
        let mut settings = config(4_000_000);
        (settings.multi_slice, settings.threads, settings.slices) = (multi_slice, threads, asked);
        let mut encoder = subject.open(&settings);
        let mut decoder = (subject.decoder)();
        let mut parameters = None;
        for index in 0..30 {
            let unit = encode(&mut *encoder, &scene::moving(WIDTH, HEIGHT, index), Keyframe::Auto);
            parameters = parameters_in(&unit).or(parameters);
            let (sps, pps) = parameters.as_ref().expect("the first access unit is an IDR");
            let slices = slices(&unit.data, sps, pps);
            let wanted = if index == 0 { SliceType::I } else { SliceType::P };
            assert!(slices.iter().all(|s| s.slice_type == wanted), "picture {index}: {slices:?}");
            assert_eq!(slices.len(), expected, "picture {index}, {asked} asked for, {threads} threads");
            decode(&mut *decoder, &unit);
        }
    }
}

pub fn parameter_sets_tell_the_truth(subject: &Subject) {
    for (width, height) in [(1920, 1080), (1366, 768), (320, 200)] {
        let mut settings = config(10_000_000);
        settings.mode = Mode { width, height, refresh_hz: 60 };
        let unit = encode(&mut *subject.open(&settings), &scene::still(width, height), Keyframe::Auto);
        let sps = Sps::parse(h264::find_unit(&unit.data, h264::NAL_SPS).expect("an SPS")).expect("a readable SPS");
        assert_eq!(sps.size, (width, height));
        assert!(sps.progressive, "{sps:?}");
        assert!(matches!(sps.profile, 66 | 77 | 100), "{sps:?}");
        // Decoders that trust this show pictures at once; without it some wait for a full buffer.
        let reorder = sps.vui.as_ref().and_then(|v| v.reorder);
        assert_eq!(reorder.map(|(pictures, _)| pictures), Some(0), "{sps:?}");
    }
}

pub fn another_mode_continues_in_the_same_decoder(subject: &Subject) {
    let mut decoder = (subject.decoder)();
    for (width, height) in [(640, 360), (320, 240), (1280, 720), (640, 360)] {
        let mut settings = config(4_000_000);
        settings.mode = Mode { width, height, refresh_hz: 60 };
        let mut encoder = subject.open(&settings);
        for index in 0..3 {
            let drawn = scene::moving(width, height, index);
            let picture = decode(&mut *decoder, &encode(&mut *encoder, &drawn, Keyframe::Auto));
            assert_eq!((picture.width, picture.height), (width as usize, height as usize));
        }
    }
}

pub fn refuses_what_it_cannot_do(subject: &Subject) {
    for (width, height) in [(20_000, 20_000), (65_536, 16), (u32::MAX, u32::MAX)] {
        let mut settings = config(4_000_000);
        settings.mode = Mode { width, height, refresh_hz: 60 };
        let error = subject.factory.open(&settings).err().expect("refused");
        assert_eq!(error.reason.code, reason::ENCODE_MODE_TOO_LARGE.code, "{width}x{height}");
    }
    for (width, height, refresh_hz) in [(0, 0, 60), (640, 0, 60), (640, 360, 0), (1, 1, 1)] {
        let mut settings = config(4_000_000);
        settings.mode = Mode { width, height, refresh_hz };
        assert!(subject.factory.open(&settings).is_err(), "{width}x{height}@{refresh_hz}");
    }
    let mut encoder = subject.open(&config(4_000_000));
    let layout = FrameLayout {
        width: WIDTH,
        height: HEIGHT,
        stride: WIDTH * 4,
        format: PixelFormat::Bgrx,
        transform: Transform::Normal,
    };
    let pixels = vec![0; layout.len()];
    let turned = FrameLayout { transform: Transform::Rotate90, ..layout };
    let narrow = FrameLayout { stride: 4, ..layout };
    for (layout, pixels) in [(turned, &pixels[..]), (narrow, &pixels), (layout, &pixels[..pixels.len() - 1])] {
        assert!(encoder.submit(&layout, pixels, &Damage::Full, Keyframe::Auto).is_err(), "{layout:?}");
    }
    assert_eq!(encoder.order(FrameOrder::FrameRate(0)).expect("answers"), InvalidateOutcome::Unsupported);
    let lost = FrameOrder::Invalidate { first: 0, last: 0 };
    assert_eq!(encoder.order(lost).expect("answers"), InvalidateOutcome::Unsupported, "nothing was ever encoded");
    // It still works.
    encoder.submit(&layout, &pixels, &Damage::Full, Keyframe::Auto).expect("submits");
}

fn slices(unit: &[u8], sps: &Sps, pps: &Pps) -> Vec<SliceHeader> {
    h264::units(unit)
        .filter(|u| matches!(h264::unit_type(u), h264::NAL_SLICE | h264::NAL_IDR))
        .map(|u| SliceHeader::parse(u, sps, pps).expect("a readable slice header"))
        .collect()
}

fn parameters_in(unit: &EncodedFrame) -> Option<(Sps, Pps)> {
    let sps = h264::find_unit(&unit.data, h264::NAL_SPS).and_then(Sps::parse)?;
    Some((sps, h264::find_unit(&unit.data, h264::NAL_PPS).and_then(Pps::parse)?))
}
