//! Rich input 0xCC: touchpads, motion, raw reports and pens (punktfunk1.md §4.4).

use alloc::vec::Vec;
use core::fmt;

use super::pad;
use crate::DecodeError;
use crate::wire::{Put, Reader, bit_set, wire_enum};

/// Longest raw HID report in bytes.
pub const MAX_HID_REPORT: usize = 64;

/// Most samples of one pen batch.
pub const MAX_PEN_SAMPLES: usize = 8;

/// One rich input. Pads are 0..16.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RichInput {
    /// 0x01: a finger on a gamepad's touchpad.
    Touchpad {
        /// Pad.
        pad: u8,
        /// Finger.
        finger: u8,
        /// On the pad.
        active: bool,
        /// 0..=65535 over the pad, from the left.
        x: u16,
        /// 0..=65535 over the pad, from the top.
        y: u16,
    },
    /// 0x02: motion sensors.
    Motion {
        /// Pad.
        pad: u8,
        /// Pitch, yaw, roll; 20 per degree per second.
        gyro: [i16; 3],
        /// x, y, z; 10 000 per g. At rest 0, +10 000, 0.
        accel: [i16; 3],
    },
    /// 0x03: a finger on one of several touchpads.
    TouchpadExt {
        /// Pad.
        pad: u8,
        /// 0 single, 1 left, 2 right.
        surface: u8,
        /// Finger.
        finger: u8,
        /// On the pad.
        touch: bool,
        /// Pad pressed down.
        click: bool,
        /// From the centre, + right.
        x: i16,
        /// From the centre, + down.
        y: i16,
        /// Pressure.
        pressure: u16,
    },
    /// 0x04: an input report as it is, id first.
    RawHid {
        /// Pad.
        pad: u8,
        /// The report, possibly empty.
        report: HidReport,
    },
    /// 0x05: a pen.
    Pen(PenBatch),
}

/// Up to [`MAX_HID_REPORT`] bytes, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HidReport {
    len: u8,
    bytes: [u8; MAX_HID_REPORT],
}

impl HidReport {
    /// A copy of `report`; `None` if it is longer than [`MAX_HID_REPORT`].
    #[must_use]
    pub fn new(report: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_HID_REPORT];
        bytes.get_mut(..report.len())?.copy_from_slice(report);
        Some(Self { len: report.len() as u8, bytes })
    }

    /// The report.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for HidReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.bytes())
    }
}

/// Consecutive samples of a pen, oldest first. Apply it only if `(seq - last) as i16 > 0`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PenBatch {
    seq: u16,
    count: u8,
    samples: [PenSample; MAX_PEN_SAMPLES],
}

impl PenBatch {
    /// A batch of 1..=[`MAX_PEN_SAMPLES`] samples with finite positions; `None` otherwise. Positions are clamped to
    /// 0.0..=1.0.
    #[must_use]
    pub fn new(seq: u16, samples: &[PenSample]) -> Option<Self> {
        let mut all = [PenSample::default(); MAX_PEN_SAMPLES];
        let places = all.get_mut(..samples.len()).filter(|places| !places.is_empty())?;
        for (place, sample) in places.iter_mut().zip(samples) {
            if !sample.x.is_finite() || !sample.y.is_finite() {
                return None;
            }
            *place = PenSample { x: unit(sample.x), y: unit(sample.y), ..*sample };
        }
        Some(Self { seq, count: samples.len() as u8, samples: all })
    }

    /// Wrapping number of the batch.
    #[must_use]
    pub const fn seq(&self) -> u16 {
        self.seq
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &[PenSample] {
        &self.samples[..usize::from(self.count)]
    }
}

bit_set! {
    /// State of a pen.
    PenState: u8 {
        /// Near the surface.
        IN_RANGE = 0x01,
        /// On the surface.
        TOUCHING = 0x02,
        /// First barrel button.
        BARREL1 = 0x04,
        /// Second barrel button.
        BARREL2 = 0x08,
        /// A prediction of the client: skip it.
        PREDICTED = 0x80,
    }
}

wire_enum! {
    /// Which end of the pen. Unknown numbers read as [`Self::Unknown`].
    PenTool: u8 {
        /// Tip.
        Pen = 0,
        /// Eraser.
        Eraser = 1,
        /// Not known.
        Unknown = 0xff,
    }
}

/// A full snapshot of a pen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PenSample {
    /// Range, contact and buttons.
    pub state: PenState,
    /// Which end.
    pub tool: PenTool,
    /// 0.0..=1.0 of the video frame, from the left.
    pub x: f32,
    /// 0.0..=1.0 of the video frame, from the top.
    pub y: f32,
    /// Pressure, 0..=65535.
    pub pressure: u16,
    /// Height over the surface; `None` unknown.
    pub distance: Option<u16>,
    /// Degrees from upright; `None` unknown.
    pub tilt_deg: Option<u8>,
    /// Direction of the tilt in degrees; `None` unknown.
    pub azimuth_deg: Option<u16>,
    /// Turn around its own axis in degrees; `None` unknown.
    pub roll_deg: Option<u16>,
    /// Microseconds since the sample before it in the batch.
    pub dt_us: u16,
}

impl Default for PenSample {
    fn default() -> Self {
        Self {
            state: PenState::NONE,
            tool: PenTool::Unknown,
            x: 0.0,
            y: 0.0,
            pressure: 0,
            distance: None,
            tilt_deg: None,
            azimuth_deg: None,
            roll_deg: None,
            dt_us: 0,
        }
    }
}

impl PenSample {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let known16 = |v: u16| (v != u16::MAX).then_some(v);
        Ok(Self {
            state: PenState(r.u8()?),
            tool: PenTool::from_wire(r.u8()?).unwrap_or(PenTool::Unknown),
            x: r.f32()?,
            y: r.f32()?,
            pressure: r.u16()?,
            distance: r.u16().map(known16)?,
            tilt_deg: r.u8().map(|v| (v != u8::MAX).then_some(v))?,
            azimuth_deg: r.u16().map(known16)?,
            roll_deg: r.u16().map(known16)?,
            dt_us: r.u16()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u8(self.state.0).put_u8(self.tool.wire()).put_f32(self.x).put_f32(self.y).put_u16(self.pressure);
        out.put_u16(self.distance.unwrap_or(u16::MAX)).put_u8(self.tilt_deg.unwrap_or(u8::MAX));
        out.put_u16(self.azimuth_deg.unwrap_or(u16::MAX)).put_u16(self.roll_deg.unwrap_or(u16::MAX));
        out.put_u16(self.dt_us);
    }
}

impl RichInput {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let input = match r.u8()? {
            0x01 => Self::Touchpad { pad: pad(r.u8()?)?, finger: r.u8()?, active: r.bool()?, x: r.u16()?, y: r.u16()? },
            0x02 => Self::Motion {
                pad: pad(r.u8()?)?,
                gyro: [r.i16()?, r.i16()?, r.i16()?],
                accel: [r.i16()?, r.i16()?, r.i16()?],
            },
            0x03 => {
                let (pad, surface, finger, state) = (pad(r.u8()?)?, r.u8()?, r.u8()?, r.u8()?);
                if surface > 2 {
                    return Err(DecodeError::Invalid("touchpad surface"));
                }
                let (touch, click) = (state & 1 != 0, state & 2 != 0);
                Self::TouchpadExt { pad, surface, finger, touch, click, x: r.i16()?, y: r.i16()?, pressure: r.u16()? }
            }
            0x04 => {
                let (pad, len) = (pad(r.u8()?)?, r.u8()?);
                let report = HidReport::new(r.take(len.into())?).ok_or(DecodeError::Invalid("HID report: too long"))?;
                Self::RawHid { pad, report }
            }
            0x05 => {
                let (_flags, count, seq) = (r.u8()?, usize::from(r.u8()?), r.u16()?);
                let mut samples = [PenSample::default(); MAX_PEN_SAMPLES];
                let samples = samples.get_mut(..count).ok_or(DecodeError::Invalid("pen: sample count"))?;
                for sample in samples.iter_mut() {
                    *sample = PenSample::read(r)?;
                }
                Self::Pen(PenBatch::new(seq, samples).ok_or(DecodeError::Invalid("pen: samples"))?)
            }
            kind => return Err(DecodeError::UnknownType(kind)),
        };
        r.end()?;
        Ok(input)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Touchpad { pad, finger, active, x, y } => {
                out.put_u8(0x01).put_u8(*pad).put_u8(*finger).put_u8((*active).into()).put_u16(*x).put_u16(*y);
            }
            Self::Motion { pad, gyro, accel } => {
                out.put_u8(0x02).put_u8(*pad);
                for v in gyro.iter().chain(accel) {
                    out.put_i16(*v);
                }
            }
            Self::TouchpadExt { pad, surface, finger, touch, click, x, y, pressure } => {
                out.put_u8(0x03).put_u8(*pad).put_u8(*surface).put_u8(*finger);
                out.put_u8(u8::from(*touch) | u8::from(*click) << 1);
                out.put_i16(*x).put_i16(*y).put_u16(*pressure);
            }
            Self::RawHid { pad, report } => {
                out.put_u8(0x04).put_u8(*pad).put_u8(report.len).put(report.bytes());
            }
            Self::Pen(batch) => {
                out.put_u8(0x05).put_u8(0).put_u8(batch.count).put_u16(batch.seq);
                batch.samples().iter().for_each(|sample| sample.write(out));
            }
        }
    }
}

/// Clamped to 0.0..=1.0, without a negative zero.
fn unit(v: f32) -> f32 {
    if v > 0.0 { v.min(1.0) } else { 0.0 }
}
