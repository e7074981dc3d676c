//! One real test encode, as the host runs it in a child process: a library that crashes takes only the child along.

use std::time::Instant;

use punktfunk_media::{
    Colour, Damage, EncodedFrame, EncoderConfig, FrameLayout, FrameOrder, Keyframe, Mode, OpenEncoderError,
    PixelFormat, Reason, Transform, reason,
};

use crate::decode::{self, Decoder, Picture};
use crate::{ladder, openh264};
use punktfunk_convert::{Converter, PlanesMut};

/// What a passed test says.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct SelfTest {
    /// Name on the ladder.
    pub name: String,
    /// Library and version.
    pub version: String,
    /// Codec it writes.
    pub codec: String,
    /// Whose decoder judged it.
    pub judge: String,
    /// Size and rate it was tested at.
    pub mode: String,
    /// Pictures encoded and decoded.
    pub pictures: u32,
    /// Lowest luma PSNR of them, in dB.
    pub worst_psnr_db: f64,
    /// Median time of one encode call, in µs, conversion not included.
    pub encode_us: u64,
    /// Median time of one full conversion, in µs.
    pub convert_us: u64,
}

/// Why an encoder did not pass.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct SelfTestError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened.
    pub detail: String,
}

impl From<OpenEncoderError> for SelfTestError {
    fn from(e: OpenEncoderError) -> Self {
        Self { reason: e.reason, detail: e.detail }
    }
}

/// Tests the encoder with this name at a small size: every picture must come at once, decode, and look like what was
/// drawn; a forced keyframe and a changed bitrate must be obeyed.
///
/// # Errors
/// [`SelfTestError`]: not installed, unknown name, or not fit for use.
pub fn selftest(name: &str) -> Result<SelfTest, SelfTestError> {
    selftest_at(name, Mode { width: 640, height: 360, refresh_hz: 60 })
}

/// The same at another mode, to learn whether it is fast enough.
///
/// # Errors
/// As for [`selftest`].
pub fn selftest_at(name: &str, mode: Mode) -> Result<SelfTest, SelfTestError> {
    let unfit = |detail: String| SelfTestError { reason: &reason::ENCODE_FAILED, detail };
    let factory = ladder::factory(name).ok_or_else(|| unfit(format!("there is no encoder {name}")))?;
    // Half a bit per pixel at 60 Hz: plenty, so that PSNR judges the plumbing and not the rate control.
    let bitrate = u64::from(mode.width) * u64::from(mode.height) * u64::from(mode.refresh_hz) / 2;
    let bitrate_bps = u32::try_from(bitrate).unwrap_or(u32::MAX).clamp(1_000_000, 100_000_000);
    let config = EncoderConfig {
        mode,
        bitrate_bps,
        multi_slice: false,
        slices: 0,
        max_frame_bytes: None,
        threads: 1,
        colour: Colour::default(),
    };
    let mut encoder = factory.open(&config)?;
    let mut judge = referee(name).map_err(|e| unfit(e.to_string()))?;
    let mut reference = Reference::new(mode);
    let (mut unit, mut shown) = (EncodedFrame::default(), Picture::default());
    let (mut encode_us, mut convert_us, mut worst) = (Vec::new(), Vec::new(), f64::INFINITY);
    let mut pixels = Vec::new();
    for index in 0..PICTURES {
        let layout = draw(mode, index, &mut pixels);
        let keyframe = if index == FORCED { Keyframe::Force } else { Keyframe::Auto };
        let broken = |e: punktfunk_media::EncodeError| unfit(format!("picture {index}: {e}"));
        if index == SLOWED {
            encoder.order(FrameOrder::Bitrate(bitrate_bps / 2)).map_err(broken)?;
        }
        encoder.submit(&layout, &pixels, &Damage::Full, keyframe).map_err(broken)?;
        if !encoder.poll(&mut unit, Instant::now()).map_err(broken)? {
            return Err(unfit(format!("picture {index} was kept back")));
        }
        if unit.keyframe != (index == 0 || index == FORCED) {
            return Err(unfit(format!("picture {index}: keyframe {}", unit.keyframe)));
        }
        let came = judge.decode(&unit.data, &mut shown).map_err(|e| unfit(format!("picture {index}: {e}")))?;
        let psnr = if came { reference.of(&layout, &pixels).luma_psnr(&shown) } else { 0.0 };
        worst = worst.min(psnr);
        if psnr < FLOOR_DB {
            return Err(unfit(format!("picture {index} came back at {psnr:.1} dB")));
        }
        encode_us.push(unit.encode_time.as_micros() as u64);
        convert_us.push(unit.convert_time.as_micros() as u64);
    }
    Ok(SelfTest {
        name: name.to_owned(),
        version: encoder.caps().version,
        codec: factory.codec().name().to_owned(),
        judge: judge.name().to_owned(),
        mode: mode.to_string(),
        pictures: PICTURES,
        worst_psnr_db: worst.min(99.0),
        encode_us: median(&mut encode_us),
        convert_us: median(&mut convert_us),
    })
}

/// The other library's decoder; OpenH264 judges itself only where libavcodec is missing.
fn referee(name: &str) -> Result<Box<dyn Decoder>, decode::DecodeError> {
    if name == openh264::NAME { decode::open_any(punktfunk_media::Codec::H264) } else { decode::open_openh264() }
}

/// What the pictures look like converted but not encoded.
struct Reference {
    converter: Converter,
    picture: Picture,
}

impl Reference {
    fn new(mode: Mode) -> Self {
        let converter = Converter::new(mode.width, mode.height, Colour::default());
        let (width, height) = converter.coded_size();
        let (width, height) = (width as usize, height as usize);
        let chroma = vec![0; width / 2 * (height / 2)];
        let picture = Picture {
            width,
            height,
            y: vec![0; width * height],
            u: chroma.clone(),
            v: chroma,
            colour: Colour::default(),
        };
        Self { converter, picture }
    }

    fn of(&mut self, layout: &FrameLayout, pixels: &[u8]) -> &Picture {
        let picture = &mut self.picture;
        let mut planes = PlanesMut {
            y: (&mut picture.y, picture.width),
            u: (&mut picture.u, picture.width / 2),
            v: (&mut picture.v, picture.width / 2),
        };
        self.converter.convert(layout, pixels, &Damage::Full, &mut planes).expect("the mode's own size");
        &self.picture
    }
}

/// Stripes that scroll over a gradient.
fn draw(mode: Mode, index: u32, pixels: &mut Vec<u8>) -> FrameLayout {
    let Mode { width, height, .. } = mode;
    let layout =
        FrameLayout { width, height, stride: width * 4, format: PixelFormat::Bgrx, transform: Transform::Normal };
    pixels.clear();
    for y in 0..height {
        for x in 0..width {
            let stripe = ((x + index * 4) / 16 + (y + index * 2) / 8).is_multiple_of(5);
            let (b, g, r) = if stripe { (30, 60, 90) } else { (200, 255 * x / width, 255 * y / height) };
            pixels.extend_from_slice(&[b as u8, g as u8, r as u8, 255]);
        }
    }
    layout
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Enough for a keyframe, its successors, a forced one, and some pictures at the new rate.
const PICTURES: u32 = 30;
const FORCED: u32 = 10;
const SLOWED: u32 = 20;
/// At half a bit per pixel every sound encoder stays far above; exchanged or shifted planes stay below 20 dB.
const FLOOR_DB: f64 = 27.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_passes_and_reports() {
        for name in ladder::NAMES {
            let outcome = selftest(name).expect("passes on this machine");
            println!("{outcome:?}");
            assert_eq!((outcome.name.as_str(), outcome.codec.as_str()), (*name, "h264"));
            assert!(!outcome.judge.to_lowercase().contains(name), "{} judged itself", outcome.judge);
        }
        assert!(selftest("quill").is_err());
    }
}
