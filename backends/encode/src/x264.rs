//! x264 through the system's libavcodec.
//!
//! Tuned for no delay, infinite GOP, keyframes on request with parameter sets in-band. Rate control aims at a quality and
//! is capped by a VBV at the bitrate: easy content stays far below its budget, hard content fills it. libavcodec's wrapper
//! hands changed rates to x264 before the next picture, without a keyframe. There is no reference invalidation here.

mod check;

use std::time::{Duration, Instant};

use punktfunk_media::{
    Codec, Damage, EncodeError, EncodedFrame, Encoder, EncoderCaps, EncoderConfig, EncoderFactory, FrameLayout,
    FrameOrder, InvalidateOutcome, Keyframe, Matrix, OpenEncoderError, reason,
};
use punktfunk_sys_avcodec::{AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE, Library};

use crate::avcodec::{CallError, Context, Frame, Packet};
use crate::error::{failed, library, open_error};
use crate::h264;
use crate::output::{Budget, RECODE_AT_MOST, Waiting};
use punktfunk_convert::{Converter, PlanesMut};

/// Name of this encoder on the ladder.
pub const NAME: &str = "x264";

/// Opens x264 encoders. The library is opened with the first of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct X264Factory;

impl EncoderFactory for X264Factory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn codec(&self) -> Codec {
        Codec::H264
    }

    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError> {
        let library = usable_library()?;
        Ok(Box::new(X264::open(library, config)?))
    }
}

/// Library and version, for `doctor`. Opens the library.
///
/// # Errors
/// [`OpenEncoderError`] where the library is missing (`encode.ffmpeg_missing`), was built without x264, or lays out its
/// structs otherwise than we know.
pub fn version() -> Result<String, OpenEncoderError> {
    usable_library().map(describe)
}

/// The library, after a test encode showed that our offsets hold.
fn usable_library() -> Result<&'static Library, OpenEncoderError> {
    let library = library()?;
    check::layout(library).map_err(|why| open_error(&reason::ENCODE_FFMPEG_MISSING, why))?;
    Ok(library)
}

fn describe(library: &Library) -> String {
    format!("libx264 in libavcodec {}", library.version())
}

struct X264 {
    context: Context,
    frame: Frame,
    packet: Packet,
    converter: Converter,
    budget: Budget,
    /// The largest access unit.
    limit: usize,
    next_pts: i64,
    waiting: Waiting,
    submitted: bool,
}

impl X264 {
    fn open(library: &'static Library, config: &EncoderConfig) -> Result<Self, OpenEncoderError> {
        let mode = config.mode;
        let converter = Converter::new(mode.width, mode.height, config.colour);
        let (width, height) = converter.coded_size();
        let (width_mbs, height_mbs) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
        if width_mbs * height_mbs > MAX_MACROBLOCKS || width_mbs.max(height_mbs) > MAX_SIDE_MACROBLOCKS {
            return Err(open_error(&reason::ENCODE_MODE_TOO_LARGE, format!("x264 takes no {mode}")));
        }
        if mode.width < MIN_SIDE || mode.height < MIN_SIDE || mode.refresh_hz == 0 {
            return Err(open_error(&reason::ENCODE_FAILED, format!("x264 takes no {mode}")));
        }
        let budget =
            Budget { bitrate_bps: config.bitrate_bps, refresh_hz: mode.refresh_hz, nominal_hz: mode.refresh_hz };
        let memory = || open_error(&reason::ENCODE_FAILED, "out of memory");
        let mut context = Context::encoder(library, "libx264").ok_or_else(|| {
            open_error(&reason::ENCODE_FFMPEG_MISSING, "the installed libavcodec was built without libx264")
        })?;
        set_up(&mut context, (width, height), budget, config)
            .map_err(|e| open_error(&reason::ENCODE_FAILED, e.to_string()))?;
        Ok(Self {
            context,
            frame: Frame::with_i420(library, width, height).ok_or_else(memory)?,
            packet: Packet::new(library).ok_or_else(memory)?,
            converter,
            budget,
            limit: config.max_frame_bytes.unwrap_or(usize::MAX),
            next_pts: 0,
            waiting: Waiting::default(),
            submitted: false,
        })
    }

    /// Encodes what is in the frame; once more as a smaller keyframe, should it come out larger than can be sent.
    fn encode(&mut self, keyframe: Keyframe, convert: Duration) -> Result<(), EncodeError> {
        let started = Instant::now();
        self.waiting.start()?;
        let broken = |e: CallError| failed(e.to_string());
        let (mut force, mut budget) = (keyframe == Keyframe::Force, self.budget);
        for left in (0..=RECODE_AT_MOST).rev() {
            let bytes = self.encode_once(force)?;
            if bytes <= self.limit || left == 0 {
                break;
            }
            // The next picture may refer to the one that nobody gets, unless it is a keyframe.
            force = true;
            budget = budget.shrunk(bytes, self.limit);
            set_rates(&mut self.context, budget, self.limit).map_err(broken)?;
        }
        if budget != self.budget {
            set_rates(&mut self.context, self.budget, self.limit).map_err(broken)?;
        }
        let idr = h264::is_idr(self.waiting.bytes());
        if force && !idr {
            return Err(failed("x264 wrote no IDR though asked to"));
        }
        self.waiting.finish(idr, false, convert, started.elapsed());
        Ok(())
    }

    /// Replaces what waits by the next access unit and returns its size.
    fn encode_once(&mut self, force: bool) -> Result<usize, EncodeError> {
        let broken = |e: CallError| failed(e.to_string());
        self.frame.set_pict_type(if force { AV_PICTURE_TYPE_I } else { AV_PICTURE_TYPE_NONE });
        self.frame.set_pts(self.next_pts);
        self.next_pts += 1;
        self.context.send_frame(&self.frame).map_err(broken)?;
        if !self.context.receive_packet(&mut self.packet).map_err(broken)? {
            return Err(failed("x264 kept the picture back"));
        }
        let out = self.waiting.start()?;
        out.extend_from_slice(self.packet.data());
        let bytes = out.len();
        self.packet.clear();
        Ok(bytes)
    }
}

impl Encoder for X264 {
    fn caps(&self) -> EncoderCaps {
        EncoderCaps { name: NAME, version: describe(self.context.library()), can_invalidate: false }
    }

    fn order(&mut self, order: FrameOrder) -> Result<InvalidateOutcome, EncodeError> {
        match order {
            FrameOrder::Bitrate(bitrate_bps) => self.budget.bitrate_bps = bitrate_bps,
            FrameOrder::FrameRate(0) | FrameOrder::Invalidate { .. } => return Ok(InvalidateOutcome::Unsupported),
            FrameOrder::FrameRate(refresh_hz) => self.budget.refresh_hz = refresh_hz,
        }
        set_rates(&mut self.context, self.budget, self.limit).map_err(|e| failed(e.to_string()))?;
        Ok(InvalidateOutcome::Done)
    }

    fn submit(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        damage: &Damage,
        keyframe: Keyframe,
    ) -> Result<(), EncodeError> {
        let started = Instant::now();
        // x264 copies pictures on arrival, so this is ours already; if not, libavutil gives us a copy to go on with.
        if !self.frame.make_writable() {
            return Err(failed("out of memory"));
        }
        let [y, u, v] = self.frame.planes_mut().ok_or_else(|| failed("the frame lost its planes"))?;
        self.converter
            .convert(layout, pixels, damage, &mut PlanesMut { y, u, v })
            .map_err(|e| failed(e.to_string()))?;
        self.submitted = true;
        self.encode(keyframe, started.elapsed())
    }

    fn submit_repeat(&mut self, keyframe: Keyframe) -> Result<(), EncodeError> {
        if !self.submitted {
            return Err(failed("nothing to repeat"));
        }
        self.encode(keyframe, Duration::ZERO)
    }

    fn poll(&mut self, out: &mut EncodedFrame, _deadline: Instant) -> Result<bool, EncodeError> {
        Ok(self.waiting.take(out))
    }
}

fn set_up(
    context: &mut Context,
    (width, height): (u32, u32),
    budget: Budget,
    config: &EncoderConfig,
) -> Result<(), CallError> {
    let (slices, threads) = slices_and_threads(config);
    // Pictures count, not the time between them; see `Budget`.
    let mut own = String::from("force-cfr=1");
    if threads > 1 && slices > threads {
        // With threads, the library knows only how large a slice may become: each codes its share of the rows.
        let rows = height.div_ceil(16).div_ceil(threads as u32).div_ceil((slices / threads) as u32);
        own += &format!(":slice-max-mbs={}", rows * width.div_ceil(16));
    }
    // One name serves matrix, primaries and transfer.
    let standard = match config.colour.matrix {
        Matrix::Bt601 => "smpte170m",
        Matrix::Bt709 => "bt709",
    };
    let options = [
        ("video_size", &*format!("{width}x{height}")),
        ("pixel_format", "yuv420p"),
        ("preset", preset(config, threads)),
        ("tune", "zerolatency"),
        ("forced-idr", "1"),
        ("crf", QUALITY),
        // x264's own value for "never": keyframes come on request only, not for scene changes either.
        ("g", "1073741824"),
        ("sc_threshold", "0"),
        ("bf", "0"),
        ("refs", "1"),
        ("weightp", "none"),
        ("color_primaries", standard),
        ("color_trc", standard),
        ("colorspace", standard),
        ("color_range", if config.colour.full_range { "pc" } else { "tv" }),
        ("threads", &*threads.to_string()),
        ("slices", &*slices.to_string()),
        // Slices of one picture side by side; the alternative, pictures side by side, would delay them.
        ("thread_type", "slice"),
        ("x264-params", &*own),
    ];
    for (name, value) in options {
        context.set(name, value)?;
    }
    context.set_ratio(c"time_base", 1, i32::try_from(budget.nominal_hz).unwrap_or(i32::MAX))?;
    set_rates(context, budget, config.max_frame_bytes.unwrap_or(usize::MAX))?;
    context.open()
}

/// As many slices as asked for, coded by as many threads as share them evenly.
fn slices_and_threads(config: &EncoderConfig) -> (usize, usize) {
    let slices = config.slice_count(MAX_SLICES);
    let most = config.threads.clamp(1, MAX_THREADS).min(slices);
    let threads = (1..=most).rev().find(|threads| slices.is_multiple_of(*threads)).unwrap_or(1);
    (slices, threads)
}

/// Sets the rates; x264 takes changes up with the next picture. The VBV is never larger than the largest access unit.
fn set_rates(context: &mut Context, budget: Budget, limit: usize) -> Result<(), CallError> {
    let bitrate = i64::from(budget.nominal_bps());
    let buffer = bitrate * VBV_PICTURES / i64::from(budget.nominal_hz.max(1));
    let buffer = buffer.min(i64::try_from(limit).unwrap_or(i64::MAX).saturating_mul(8));
    context.set_int(c"b", bitrate)?;
    context.set_int(c"maxrate", bitrate)?;
    context.set_int(c"bufsize", buffer)
}

/// The best preset that a thread carries at this mode with room to spare for everything else on its core.
fn preset(config: &EncoderConfig, threads: usize) -> &'static str {
    let mode = config.mode;
    let pixels_per_second = u64::from(mode.width) * u64::from(mode.height) * u64::from(mode.refresh_hz);
    if pixels_per_second / threads as u64 <= SUPERFAST_PIXELS_PER_SECOND { "superfast" } else { "ultrafast" }
}

/// Level 6.2, the highest: MaxFS of table A-1, and its limit for one side, sqrt(8 × MaxFS).
const MAX_MACROBLOCKS: u64 = 139_264;
const MAX_SIDE_MACROBLOCKS: u64 = 1055;
/// One macroblock.
const MIN_SIDE: u32 = 16;
/// More slices cost quality; no mode of ours needs more threads.
const MAX_THREADS: usize = 8;
/// As many as any client asks for; a slice has at least a row of macroblocks.
const MAX_SLICES: usize = 8;
/// x264's constant rate factor. Dense text comes back at 42 to 44 dB.
const QUALITY: &str = "20";
/// VBV size in shares of the bitrate. x264 lets one picture take about two thirds of it: a keyframe full of text is
/// readable at once, which counts where a still desktop sends no picture after it. Hard content that goes on is held to
/// its share all the same (docs/adr/0005).
const VBV_PICTURES: i64 = 12;
/// 1280x720 at 60 Hz and a little more: superfast takes a third of a core there (docs/performance.md).
const SUPERFAST_PIXELS_PER_SECOND: u64 = 62_000_000;

#[cfg(test)]
mod tests {
    use punktfunk_media::{Colour, Mode, PixelFormat, Transform};

    use super::*;

    fn open(width: u32, height: u32) -> X264 {
        let mode = Mode { width, height, refresh_hz: 60 };
        let config = EncoderConfig {
            mode,
            bitrate_bps: 2_000_000,
            multi_slice: false,
            slices: 0,
            max_frame_bytes: None,
            threads: 1,
            colour: Colour::default(),
        };
        X264::open(usable_library().expect("installed for the tests"), &config).expect("opens")
    }

    /// x264 must be done with our picture when it answers: otherwise every picture would be copied once more.
    #[test]
    fn the_same_planes_serve_every_picture() {
        let mut encoder = open(128, 64);
        let layout = FrameLayout {
            width: 128,
            height: 64,
            stride: 512,
            format: PixelFormat::Bgrx,
            transform: Transform::Normal,
        };
        let pixels = vec![70; layout.len()];
        let mut out = EncodedFrame::default();
        let mut seen = Vec::new();
        for _ in 0..10 {
            encoder.submit(&layout, &pixels, &Damage::Full, Keyframe::Auto).expect("submits");
            assert!(encoder.poll(&mut out, Instant::now()).expect("polls"));
            assert!(encoder.frame.make_writable());
            seen.push(encoder.frame.plane(0).expect("planes").data.as_ptr());
        }
        assert!(seen.iter().all(|at| *at == seen[0]), "{seen:?}");
    }

    #[test]
    fn presets_follow_the_load_of_a_thread() {
        let at = |width, height, refresh_hz, threads| {
            let mode = Mode { width, height, refresh_hz };
            preset(
                &EncoderConfig {
                    mode,
                    bitrate_bps: 1,
                    multi_slice: true,
                    slices: 0,
                    max_frame_bytes: None,
                    threads,
                    colour: Colour::default(),
                },
                threads,
            )
        };
        assert_eq!(at(1280, 720, 60, 1), "superfast");
        assert_eq!(at(1920, 1080, 60, 1), "ultrafast");
        assert_eq!(at(1920, 1080, 60, 4), "superfast");
        assert_eq!(at(1280, 720, 240, 1), "ultrafast");
    }
}
