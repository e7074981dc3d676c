//! OpenH264: bundled, always there.
//!
//! Camera mode (screen mode measured four times slower), constrained baseline, one reference picture, no scene-change
//! keyframes, no skipped pictures. Two long-term references let a lost picture be repaired without a keyframe; how is
//! told in `long_term`.

mod long_term;
mod raw;

use std::time::Instant;

use punktfunk_media::{
    Codec, Damage, EncodeError, EncodedFrame, Encoder, EncoderCaps, EncoderConfig, EncoderFactory, FrameLayout,
    FrameOrder, InvalidateOutcome, Keyframe, OpenEncoderError, reason,
};

use crate::error::{failed, open_error};
use crate::h264::{self, Pps, SliceHeader, Sps};
use crate::output::{Budget, RECODE_AT_MOST, Waiting};
use punktfunk_convert::{Converter, PlanesMut};

use long_term::LongTerm;
use raw::RawEncoder;

/// Name of this encoder on the ladder.
pub const NAME: &str = "openh264";

/// Opens OpenH264 encoders.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenH264Factory;

impl EncoderFactory for OpenH264Factory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn codec(&self) -> Codec {
        Codec::H264
    }

    fn can_invalidate(&self) -> bool {
        true
    }

    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError> {
        Ok(Box::new(OpenH264::open(config)?))
    }
}

/// The library's version, for `doctor`.
#[must_use]
pub fn version() -> String {
    raw::version()
}

struct OpenH264 {
    raw: RawEncoder,
    converter: Converter,
    planes: Planes,
    budget: Budget,
    /// The largest access unit.
    limit: usize,
    long_term: LongTerm,
    parameters: Option<(Sps, Pps)>,
    waiting: Waiting,
    submitted: bool,
}

impl OpenH264 {
    fn open(config: &EncoderConfig) -> Result<Self, OpenEncoderError> {
        let mode = config.mode;
        let converter = Converter::new(mode.width, mode.height, config.colour);
        let (width, height) = converter.coded_size();
        let (width_mbs, height_mbs) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
        if width_mbs * height_mbs > MAX_MACROBLOCKS || width_mbs.max(height_mbs) > MAX_SIDE_MACROBLOCKS {
            return Err(open_error(&reason::ENCODE_MODE_TOO_LARGE, format!("OpenH264 takes no {mode}")));
        }
        if mode.width < MIN_SIDE || mode.height < MIN_SIDE || mode.refresh_hz == 0 {
            return Err(open_error(&reason::ENCODE_FAILED, format!("OpenH264 takes no {mode}")));
        }
        let budget = Budget {
            bitrate_bps: config.bitrate_bps,
            refresh_hz: mode.refresh_hz,
            nominal_hz: mode.refresh_hz.min(MAX_NOMINAL_HZ),
        };
        // Slices are the library's only way to use threads.
        let slices = config.slice_count(MAX_SLICES) as u32;
        let threads = config.threads.clamp(1, MAX_THREADS).min(slices as usize) as u32;
        let raw = RawEncoder::open(&raw::Setup { width, height, budget, slices, threads, colour: config.colour })
            .map_err(|e| open_error(&reason::ENCODE_FAILED, e))?;
        Ok(Self {
            raw,
            converter,
            planes: Planes::new(width as usize, height as usize),
            budget,
            limit: config.max_frame_bytes.unwrap_or(usize::MAX),
            long_term: LongTerm::new(mode.refresh_hz),
            parameters: None,
            waiting: Waiting::default(),
            submitted: false,
        })
    }

    /// Encodes what is in the planes.
    fn encode(&mut self, keyframe: Keyframe, convert: std::time::Duration) -> Result<(), EncodeError> {
        let started = Instant::now();
        let out = self.waiting.start()?;
        if let Some(feedback) = self.long_term.confirm() {
            self.raw.long_term_marked(feedback);
        }
        let force = keyframe == Keyframe::Force;
        let force = encode_within(&mut self.raw, &self.planes, self.budget, self.limit, force, out)?;
        let (mut seen, modulus) = look(out, &mut self.parameters).ok_or_else(|| failed("unreadable slice header"))?;
        let mut anchor = self.long_term.encoded(&seen, modulus).map_err(failed)?;
        if anchor == long_term::Anchor::Missed {
            // The library did not take the long-term reference after all: this picture would build on a lost one.
            out.clear();
            encode_within(&mut self.raw, &self.planes, self.budget, self.limit, true, out)?;
            (seen, _) = look(out, &mut self.parameters).ok_or_else(|| failed("unreadable slice header"))?;
            anchor = self.long_term.encoded(&seen, modulus).map_err(failed)?;
        }
        let idr = seen.idr_pic_id.is_some();
        if force && !idr {
            return Err(failed("OpenH264 wrote no IDR though asked to"));
        }
        self.waiting.finish(idr, anchor == long_term::Anchor::Hit, convert, started.elapsed());
        Ok(())
    }
}

impl Encoder for OpenH264 {
    fn caps(&self) -> EncoderCaps {
        EncoderCaps { name: NAME, version: version(), can_invalidate: true }
    }

    fn order(&mut self, order: FrameOrder) -> Result<InvalidateOutcome, EncodeError> {
        match order {
            FrameOrder::Bitrate(bitrate_bps) => self.budget.bitrate_bps = bitrate_bps,
            FrameOrder::FrameRate(0) => return Ok(InvalidateOutcome::Unsupported),
            FrameOrder::FrameRate(refresh_hz) => self.budget.refresh_hz = refresh_hz,
            FrameOrder::Invalidate { first, last } => {
                return Ok(match self.long_term.invalidate(first, last) {
                    Some(request) => {
                        self.raw.recover(request);
                        InvalidateOutcome::Done
                    }
                    None => InvalidateOutcome::Unsupported,
                });
            }
        }
        self.raw.set_bitrate(self.budget.nominal_bps()).map_err(failed)?;
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
        self.converter.convert(layout, pixels, damage, &mut self.planes.as_mut()).map_err(|e| failed(e.to_string()))?;
        self.submitted = true;
        self.encode(keyframe, started.elapsed())
    }

    fn submit_repeat(&mut self, keyframe: Keyframe) -> Result<(), EncodeError> {
        if !self.submitted {
            return Err(failed("nothing to repeat"));
        }
        self.encode(keyframe, std::time::Duration::ZERO)
    }

    fn poll(&mut self, out: &mut EncodedFrame, _deadline: Instant) -> Result<bool, EncodeError> {
        Ok(self.waiting.take(out))
    }
}

/// Appends the access unit of one picture to `out`; once more as a smaller keyframe, should it come out larger than
/// `limit`. Returns whether it had to be a keyframe. The library's quantiser for keyframes ends at about 37: a whole
/// picture of noise stays above two bits a pixel whatever it is told.
fn encode_within(
    raw: &mut RawEncoder,
    planes: &Planes,
    budget: Budget,
    limit: usize,
    mut force: bool,
    out: &mut Vec<u8>,
) -> Result<bool, EncodeError> {
    let mut shrunk = budget;
    for left in (0..=RECODE_AT_MOST).rev() {
        out.clear();
        raw.encode(planes, force, out).map_err(failed)?;
        if out.len() <= limit || left == 0 {
            break;
        }
        // The next picture may refer to the one that nobody gets, unless it is a keyframe.
        force = true;
        shrunk = shrunk.shrunk(out.len(), limit);
        raw.set_bitrate(shrunk.nominal_bps()).map_err(failed)?;
    }
    if shrunk != budget {
        raw.set_bitrate(budget.nominal_bps()).map_err(failed)?;
    }
    Ok(force)
}

/// Reads the first slice header of an access unit, and the parameter sets where it holds some. Also answers what
/// `frame_num` counts modulo.
fn look(access_unit: &[u8], parameters: &mut Option<(Sps, Pps)>) -> Option<(SliceHeader, u32)> {
    let mut sps = None;
    for unit in h264::units(access_unit) {
        match h264::unit_type(unit) {
            h264::NAL_SPS => sps = Some(Sps::parse(unit)?),
            h264::NAL_PPS => {
                if let Some(sps) = sps.take() {
                    *parameters = Some((sps, Pps::parse(unit)?));
                }
            }
            h264::NAL_SLICE | h264::NAL_IDR => {
                let (sps, pps) = parameters.as_ref()?;
                return Some((SliceHeader::parse(unit, sps, pps)?, 1 << sps.frame_num_bits));
            }
            _ => {}
        }
    }
    None
}

/// The planes that the library reads: rows padded to whole vectors.
pub(crate) struct Planes {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) stride: usize,
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
}

impl Planes {
    fn new(width: usize, height: usize) -> Self {
        let stride = width.next_multiple_of(ROW_ALIGNMENT);
        let chroma = vec![128; stride / 2 * (height / 2)];
        Self { width, height, stride, y: vec![16; stride * height], u: chroma.clone(), v: chroma }
    }

    fn as_mut(&mut self) -> PlanesMut<'_> {
        PlanesMut {
            y: (&mut self.y, self.stride),
            u: (&mut self.u, self.stride / 2),
            v: (&mut self.v, self.stride / 2),
        }
    }
}

/// Level 5.2, the highest OpenH264 writes: MaxFS of table A-1. 4096 × 2304 just fits.
const MAX_MACROBLOCKS: u64 = 36_864;
/// The level's limit for one side, sqrt(8 × MaxFS).
const MAX_SIDE_MACROBLOCKS: u64 = 543;
/// OpenH264 refuses pictures below one macroblock.
const MIN_SIDE: u32 = 16;
/// OpenH264 clips frame rates to this; faster modes get their share of bits through [`Budget`].
const MAX_NOMINAL_HZ: u32 = 60;
/// OpenH264 runs at most four threads.
const MAX_THREADS: usize = 4;
/// As many as any client asks for; the library makes fewer of small pictures.
const MAX_SLICES: usize = 8;
/// Twice the widest vector of its assembly, so that chroma rows (half as long) are aligned too.
const ROW_ALIGNMENT: usize = 64;
