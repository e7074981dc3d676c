//! What the host says on the control stream (gamestream.md §6.6).

use punktfunk_core::{DecodeError, HdrMeta};

use super::control::put;
use super::reader::Reader;

/// A message to a client. `pad` is the number that the client gave the gamepad in its input, 0..16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostMessage {
    /// 0x010B: the two motors of a pad, 0..=65535. They run until the next message.
    Rumble {
        /// Pad.
        pad: u8,
        /// The heavy, low-frequency motor.
        low: u16,
        /// The light, high-frequency motor.
        high: u16,
    },
    /// 0x5500: the motors in a pad's triggers, 0..=65535.
    TriggerRumble {
        /// Pad.
        pad: u8,
        /// Left trigger.
        left: u16,
        /// Right trigger.
        right: u16,
    },
    /// 0x5501: asks for motion data, which clients send only when asked.
    MotionRate {
        /// Pad.
        pad: u8,
        /// Reports per second; 0 = stop.
        rate_hz: u16,
        /// Which sensor.
        sensor: MotionSensor,
    },
    /// 0x5502: the colour of a pad's light.
    Led {
        /// Pad.
        pad: u8,
        /// Red, green, blue.
        rgb: [u8; 3],
    },
    /// 0x5503: what a pad's triggers feel like.
    AdaptiveTriggers {
        /// Pad.
        pad: u8,
        /// The left trigger's new effect; `None` leaves it.
        left: Option<TriggerEffect>,
        /// The right trigger's.
        right: Option<TriggerEffect>,
    },
    /// 0x010E: whether the pictures are HDR, and of what display. Without it, a 10-bit stream is shown as SDR.
    Hdr(Option<HdrDisplay>),
    /// 0x0109: the session ends. Must come before every disconnect of the host's own.
    Termination {
        /// One of the `REASON_` constants of [`super::feedback`], or anything that the client shows as a number.
        reason: u32,
    },
}

/// A sensor of a pad.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MotionSensor {
    /// Acceleration.
    Accelerometer = 1,
    /// Turning.
    Gyroscope = 2,
}

/// An effect of a DualSense trigger, as its output report has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TriggerEffect {
    /// Mode byte.
    pub mode: u8,
    /// Its parameters.
    pub parameters: [u8; 10],
}

/// The display that HDR pictures were made for. Unknown fields are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HdrDisplay {
    /// Chromaticities `[x, y]` of red, green, blue and white, unit 1/50 000.
    pub chromaticities: [[u16; 2]; 4],
    /// Brightest mastering luminance in cd/m².
    pub max_luminance: u16,
    /// Darkest mastering luminance, unit 0.0001 cd/m².
    pub min_luminance: u16,
    /// Maximum content light level in cd/m².
    pub max_cll: u16,
    /// Maximum frame-average light level in cd/m².
    pub max_fall: u16,
    /// Brightest luminance of a whole white picture in cd/m².
    pub max_full_frame: u16,
}

impl From<&HdrMeta> for HdrDisplay {
    fn from(meta: &HdrMeta) -> Self {
        let [green, blue, red] = meta.primaries;
        let narrow = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        Self {
            chromaticities: [red, green, blue, meta.white_point],
            max_luminance: narrow(meta.max_luminance / 10_000),
            min_luminance: narrow(meta.min_luminance),
            max_cll: meta.max_cll,
            max_fall: meta.max_fall,
            max_full_frame: 0,
        }
    }
}

/// A normal end: silent if the client saw a picture, an error of its own otherwise.
pub const REASON_ENDED: u32 = 0x8003_0023;
/// Encoding or converting pictures failed.
pub const REASON_VIDEO_FAILED: u32 = 0x800e_9403;
/// The content is protected.
pub const REASON_PROTECTED: u32 = 0x800e_9302;

impl HostMessage {
    /// Appends the text of this message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Rumble { pad, low, high } => {
                let [ignored, above] = IGNORED;
                fields(out, RUMBLE, &[ignored, above, pad.into(), low, high]);
            }
            Self::TriggerRumble { pad, left, right } => fields(out, TRIGGER_RUMBLE, &[pad.into(), left, right]),
            Self::MotionRate { pad, rate_hz, sensor } => {
                let [low, high] = rate_hz.to_le_bytes();
                put(out, MOTION_RATE, &[pad, 0, low, high, sensor as u8]);
            }
            Self::Led { pad, rgb: [r, g, b] } => put(out, LED, &[pad, 0, r, g, b]),
            Self::AdaptiveTriggers { pad, left, right } => {
                let flags = left.map_or(0, |_| LEFT_VALID) | right.map_or(0, |_| RIGHT_VALID);
                let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
                let mut payload = [0; 25];
                payload[..5].copy_from_slice(&[pad, 0, flags, left.mode, right.mode]);
                payload[5..15].copy_from_slice(&left.parameters);
                payload[15..].copy_from_slice(&right.parameters);
                put(out, ADAPTIVE_TRIGGERS, &payload);
            }
            Self::Hdr(display) => {
                let mut payload = [0; 27];
                payload[0] = display.is_some().into();
                payload[1..].copy_from_slice(display.unwrap_or_default().fields().map(u16::to_le_bytes).as_flattened());
                put(out, HDR, &payload);
            }
            Self::Termination { reason } => put(out, TERMINATION, &reason.to_be_bytes()),
        }
    }

    /// Reads what [`Self::encode`] wrote: the client's side, for tests. `None` for a type that is not the host's.
    ///
    /// # Errors
    /// [`DecodeError`]: too short, or a sensor or pad that does not exist.
    pub fn decode(text: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut r = Reader::new(text);
        let (kind, len) = (r.u16_le()?, r.u16_le()?);
        let mut r = Reader::new(r.take(len.into())?);
        let pad = |r: &mut Reader<'_>| u8::try_from(r.u16_le()?).map_err(|_| DecodeError::Invalid("pad index"));
        Ok(Some(match kind {
            RUMBLE => {
                r.skip(4)?;
                Self::Rumble { pad: pad(&mut r)?, low: r.u16_le()?, high: r.u16_le()? }
            }
            TRIGGER_RUMBLE => Self::TriggerRumble { pad: pad(&mut r)?, left: r.u16_le()?, right: r.u16_le()? },
            MOTION_RATE => Self::MotionRate {
                pad: pad(&mut r)?,
                rate_hz: r.u16_le()?,
                sensor: match r.u8()? {
                    1 => MotionSensor::Accelerometer,
                    2 => MotionSensor::Gyroscope,
                    _ => return Err(DecodeError::Invalid("motion sensor")),
                },
            },
            LED => Self::Led { pad: pad(&mut r)?, rgb: r.array()? },
            ADAPTIVE_TRIGGERS => {
                let (pad, flags, modes) = (pad(&mut r)?, r.u8()?, r.array::<2>()?);
                let left = TriggerEffect { mode: modes[0], parameters: r.array()? };
                let right = TriggerEffect { mode: modes[1], parameters: r.array()? };
                Self::AdaptiveTriggers {
                    pad,
                    left: (flags & LEFT_VALID != 0).then_some(left),
                    right: (flags & RIGHT_VALID != 0).then_some(right),
                }
            }
            HDR => {
                let enabled = r.u8()? != 0;
                let display = HdrDisplay::read(&mut r)?;
                Self::Hdr(enabled.then_some(display))
            }
            TERMINATION => Self::Termination { reason: r.u32_be()? },
            _ => return Ok(None),
        }))
    }
}

impl HdrDisplay {
    fn fields(&self) -> [u16; 13] {
        let [[rx, ry], [gx, gy], [bx, by], [wx, wy]] = self.chromaticities;
        let Self { max_luminance, min_luminance, max_cll, max_fall, max_full_frame, .. } = *self;
        [rx, ry, gx, gy, bx, by, wx, wy, max_luminance, min_luminance, max_cll, max_fall, max_full_frame]
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut point = || Ok([r.u16_le()?, r.u16_le()?]);
        Ok(Self {
            chromaticities: [point()?, point()?, point()?, point()?],
            max_luminance: r.u16_le()?,
            min_luminance: r.u16_le()?,
            max_cll: r.u16_le()?,
            max_fall: r.u16_le()?,
            max_full_frame: r.u16_le()?,
        })
    }
}

fn fields(out: &mut Vec<u8>, kind: u16, fields: &[u16]) {
    let mut payload = [[0; 2]; 5];
    for (place, field) in payload.iter_mut().zip(fields) {
        *place = field.to_le_bytes();
    }
    put(out, kind, payload[..fields.len().min(5)].as_flattened());
}

/// The first four bytes of a rumble message, which clients skip: as hosts are known to send them.
const IGNORED: [u16; 2] = [0xffee, 0x00c0];

const TERMINATION: u16 = 0x0109;
const RUMBLE: u16 = 0x010b;
const HDR: u16 = 0x010e;
const TRIGGER_RUMBLE: u16 = 0x5500;
const MOTION_RATE: u16 = 0x5501;
const LED: u16 = 0x5502;
const ADAPTIVE_TRIGGERS: u16 = 0x5503;
const RIGHT_VALID: u8 = 0x04;
const LEFT_VALID: u8 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_the_core_comes_out_in_the_units_of_this_wire() {
        let meta = HdrMeta {
            primaries: [[8500, 39_850], [6550, 2300], [35_400, 14_600]],
            white_point: [15_635, 16_450],
            max_luminance: 10_000_000,
            min_luminance: 1,
            max_cll: 800,
            max_fall: 400,
        };
        let display = HdrDisplay { max_full_frame: 600, ..HdrDisplay::from(&meta) };
        let mut out = Vec::new();
        HostMessage::Hdr(Some(display)).encode(&mut out);
        let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0e011b0001488a08393421aa9b9619fc08133d4240e8030100200390015802");
    }

    #[test]
    fn a_trigger_that_is_left_alone_is_not_marked() {
        let right = TriggerEffect { mode: 0x21, parameters: [7; 10] };
        let message = HostMessage::AdaptiveTriggers { pad: 2, left: None, right: Some(right) };
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!((out.len(), out[6]), (29, RIGHT_VALID));
        assert_eq!(HostMessage::decode(&out), Ok(Some(message)));
    }
}
