//! Damaged streams: parsers and decoders answer with errors, never with a crash.

use punktfunk_encode::decode::{self, Decoder, Picture};
use punktfunk_encode::h264::{self, Pps, SliceHeader, Sps};
use punktfunk_encode::openh264::OpenH264Factory;
use punktfunk_media::{Codec, Colour, EncodedFrame, EncoderConfig, EncoderFactory, Keyframe, Mode};

#[path = "conformance/scene.rs"]
#[allow(dead_code, reason = "the conformance suite uses all of it")]
mod scene;

fn stream(pictures: u32) -> Vec<EncodedFrame> {
    let mode = Mode { width: 160, height: 96, refresh_hz: 60 };
    let config = EncoderConfig {
        mode,
        bitrate_bps: 1_000_000,
        multi_slice: false,
        slices: 0,
        max_frame_bytes: None,
        threads: 1,
        colour: Colour::default(),
    };
    let mut encoder = OpenH264Factory.open(&config).expect("opens");
    (0..pictures)
        .map(|index| {
            let drawn = scene::moving(160, 96, index);
            let damage = punktfunk_media::Damage::Full;
            encoder.submit(&drawn.layout, &drawn.pixels, &damage, Keyframe::Auto).expect("submits");
            let mut unit = EncodedFrame::default();
            assert!(encoder.poll(&mut unit, std::time::Instant::now()).expect("polls"));
            unit
        })
        .collect()
}

/// Bits flipped, bytes cut, noise put in.
fn damaged(unit: &[u8], seed: u32) -> Vec<u8> {
    let mut bytes = unit.to_vec();
    for i in 0..1 + seed % 5 {
        let at = scene::hash(seed, i, 1) as usize % bytes.len();
        bytes[at] ^= 1 << (scene::hash(seed, i, 2) % 8);
    }
    if seed % 3 == 1 {
        bytes.truncate(1 + scene::hash(seed, 9, 3) as usize % bytes.len());
    }
    if seed % 7 == 2 {
        bytes.iter_mut().enumerate().skip(5).for_each(|(i, b)| *b = scene::hash(seed, i as u32, 4) as u8);
    }
    bytes
}

#[test]
fn parsers_survive_anything() {
    let units = stream(3);
    let sps = Sps::parse(h264::find_unit(&units[0].data, h264::NAL_SPS).expect("an SPS")).expect("readable");
    let pps = Pps::parse(h264::find_unit(&units[0].data, h264::NAL_PPS).expect("a PPS")).expect("readable");
    let mut read = 0;
    for seed in 0..20_000 {
        let bytes = damaged(&units[seed as usize % 3].data, seed);
        for unit in h264::units(&bytes) {
            let found = Sps::parse(unit).unwrap_or_else(|| sps.clone());
            read += u32::from(SliceHeader::parse(unit, &found, &Pps::parse(unit).unwrap_or(pps)).is_some());
        }
    }
    assert!(read > 0);
}

#[test]
fn decoders_survive_damage_and_heal_with_a_keyframe() {
    let units = stream(12);
    let open: [fn() -> Box<dyn Decoder>; 2] = [
        || decode::open_openh264().expect("always there"),
        || decode::open_avcodec(Codec::H264).expect("installed for the tests"),
    ];
    for open in open {
        let (mut decoder, mut picture, mut errors) = (open(), Picture::default(), 0);
        for seed in 0..400 {
            let bytes = damaged(&units[seed as usize % units.len()].data, seed);
            errors += u32::from(decoder.decode(&bytes, &mut picture).is_err());
        }
        assert!(errors > 0, "{}: damage must show", decoder.name());
        assert!(decoder.decode(&[], &mut picture).is_err() || picture.width > 0);
        let mut healed = false;
        // A decoder may need one keyframe to notice and one to heal.
        for unit in units.iter().take(3).chain(units.iter()) {
            healed = decoder.decode(&unit.data, &mut picture).unwrap_or(false);
        }
        assert!(healed && (picture.width, picture.height) == (160, 96), "{}", decoder.name());
        let last = scene::ideal(&scene::moving(160, 96, 11));
        assert!(last.luma_psnr(&picture) > 25.0, "{}", decoder.name());
    }
}
