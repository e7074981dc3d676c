//! The encoder under test and its referee.

use std::time::Instant;

use punktfunk_encode::decode::{Decoder, Picture};
use punktfunk_media::{Colour, Damage, EncodedFrame, Encoder, EncoderConfig, EncoderFactory, Keyframe, Mode};

use crate::scene::Drawn;

/// An encoder and an independent decoder.
pub struct Subject {
    pub factory: Box<dyn EncoderFactory>,
    pub decoder: fn() -> Box<dyn Decoder>,
}

/// 640x360 at 60 Hz: large enough for real motion search, small enough to encode hundreds of pictures in a test.
pub const WIDTH: u32 = 640;
pub const HEIGHT: u32 = 360;

pub fn config(bitrate_bps: u32) -> EncoderConfig {
    EncoderConfig {
        mode: Mode { width: WIDTH, height: HEIGHT, refresh_hz: 60 },
        bitrate_bps,
        multi_slice: false,
        slices: 0,
        max_frame_bytes: None,
        threads: 1,
        colour: Colour::default(),
    }
}

impl Subject {
    pub fn open(&self, config: &EncoderConfig) -> Box<dyn Encoder> {
        self.factory.open(config).expect("opens")
    }
}

/// Submits a picture with full damage and takes its access unit.
pub fn encode(encoder: &mut dyn Encoder, drawn: &Drawn, keyframe: Keyframe) -> EncodedFrame {
    encoder.submit(&drawn.layout, &drawn.pixels, &Damage::Full, keyframe).expect("submits");
    take(encoder)
}

/// The access unit that must be there at once.
pub fn take(encoder: &mut dyn Encoder) -> EncodedFrame {
    let mut out = EncodedFrame::default();
    assert!(encoder.poll(&mut out, Instant::now()).expect("polls"), "one access unit per picture, without delay");
    out
}

/// Decodes one access unit that must hold one picture.
pub fn decode(decoder: &mut dyn Decoder, unit: &EncodedFrame) -> Picture {
    let mut picture = Picture::default();
    assert!(decoder.decode(&unit.data, &mut picture).expect("decodes"), "a picture comes with its access unit");
    picture
}
