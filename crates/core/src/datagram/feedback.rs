//! Rumble, HID output and frame timing: what the host tells the client about its devices and its own work.

use alloc::vec::Vec;

use super::pad;
use super::rich::{HidReport, MAX_HID_REPORT};
use crate::DecodeError;
use crate::input::MAX_PADS;
use crate::wire::{Put, Reader, wire_enum};

/// 0xCA: the levels **now** (punktfunk1.md §4.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Rumble {
    /// 0..16, the client's own index.
    pub pad: u8,
    /// Low-frequency motor.
    pub low: u16,
    /// High-frequency motor.
    pub high: u16,
    /// Absent in the legacy form, which the host refreshes every 500 ms instead.
    pub timing: Option<RumbleTiming>,
}

/// What the longer forms of 0xCA add.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RumbleTiming {
    /// Per-pad wrapping counter, see [`crate::input::seq_is_newer`].
    pub seq: u8,
    /// The client falls silent after so many milliseconds.
    pub ttl_ms: u16,
    /// Left trigger motor; both triggers at 0 are left out.
    pub left_trigger: u16,
    /// Right trigger motor.
    pub right_trigger: u16,
}

impl Rumble {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = r.u16()?;
        let (low, high) = (r.u16()?, r.u16()?);
        let timing = if r.left() >= 3 {
            let (seq, ttl_ms) = (r.u8()?, r.u16()?);
            let (left_trigger, right_trigger) = if r.left() >= 4 { (r.u16()?, r.u16()?) } else { (0, 0) };
            Some(RumbleTiming { seq, ttl_ms, left_trigger, right_trigger })
        } else {
            None
        };
        Ok(Self { pad: wide_pad(index)?, low, high, timing })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.pad.into()).put_u16(self.low).put_u16(self.high);
        if let Some(t) = self.timing {
            out.put_u8(t.seq).put_u16(t.ttl_ms);
            if (t.left_trigger, t.right_trigger) != (0, 0) {
                out.put_u16(t.left_trigger).put_u16(t.right_trigger);
            }
        }
    }
}

wire_enum! {
    /// What kind of report [`HidOutput::Raw`] carries.
    HidKind: u8 {
        /// Output report.
        Output = 0,
        /// Feature report.
        Feature = 1,
    }
}

/// 0xCD: output for a device of the client (punktfunk1.md §4.6). Pads are 0..16, the client's own indices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HidOutput {
    /// Light bar.
    Led {
        /// Pad.
        pad: u8,
        /// Red, green, blue.
        rgb: [u8; 3],
    },
    /// Player lights.
    PlayerLeds {
        /// Pad.
        pad: u8,
        /// Low five bits.
        bits: u8,
    },
    /// An adaptive trigger's effect.
    TriggerEffect {
        /// Pad.
        pad: u8,
        /// R2 instead of L2.
        right: bool,
        /// DualSense effect block, 1..=11 bytes.
        effect: HidReport,
    },
    /// A pulse on a trackpad.
    TrackpadHaptic {
        /// Pad.
        pad: u8,
        /// Left instead of right.
        left: bool,
        /// Strength.
        amplitude: u16,
        /// Microseconds.
        period_us: u16,
        /// Pulses.
        count: u16,
    },
    /// A report as it is, id first, 1..=64 bytes.
    Raw {
        /// Pad.
        pad: u8,
        /// Output or feature.
        kind: HidKind,
        /// The report.
        report: HidReport,
    },
    /// Volumes and routing of a DualSense.
    AudioControl {
        /// Pad.
        pad: u8,
        /// Flags.
        flags: u8,
        /// Bytes 5–10 of the DualSense output report.
        bytes: [u8; 6],
    },
    /// Microphone light.
    MicLed {
        /// Pad.
        pad: u8,
        /// 0 off, 1 on, 2 pulse.
        mode: u8,
    },
}

/// Longest DualSense effect block.
const MAX_EFFECT: usize = 11;

impl HidOutput {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let output = match r.u8()? {
            0x01 => Self::Led { pad: pad(r.u8()?)?, rgb: r.array()? },
            0x02 => Self::PlayerLeds { pad: pad(r.u8()?)?, bits: r.u8()? & 0x1f },
            0x03 => {
                let (pad, which) = (pad(r.u8()?)?, r.u8()?);
                let effect = report(r, MAX_EFFECT)?;
                Self::TriggerEffect { pad, right: side(which)?, effect }
            }
            0x04 => Self::TrackpadHaptic {
                pad: pad(r.u8()?)?,
                left: side(r.u8()?)?,
                amplitude: r.u16()?,
                period_us: r.u16()?,
                count: r.u16()?,
            },
            0x05 => {
                let pad = pad(r.u8()?)?;
                let kind = HidKind::from_wire(r.u8()?).ok_or(DecodeError::Invalid("HID output: report kind"))?;
                Self::Raw { pad, kind, report: report(r, MAX_HID_REPORT)? }
            }
            0x06 => Self::AudioControl { pad: wide_pad(r.u16()?)?, flags: r.u8()?, bytes: r.array()? },
            0x07 => {
                let (pad, mode) = (pad(r.u8()?)?, r.u8()?);
                if mode > 2 {
                    return Err(DecodeError::Invalid("microphone light mode"));
                }
                Self::MicLed { pad, mode }
            }
            kind => return Err(DecodeError::UnknownType(kind)),
        };
        r.end()?;
        Ok(output)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Led { pad, rgb } => {
                out.put_u8(0x01).put_u8(*pad).put(rgb);
            }
            Self::PlayerLeds { pad, bits } => {
                out.put_u8(0x02).put_u8(*pad).put_u8(bits & 0x1f);
            }
            Self::TriggerEffect { pad, right, effect } => {
                let effect = effect.bytes();
                out.put_u8(0x03).put_u8(*pad).put_u8((*right).into()).put(&effect[..effect.len().min(MAX_EFFECT)]);
            }
            Self::TrackpadHaptic { pad, left, amplitude, period_us, count } => {
                out.put_u8(0x04).put_u8(*pad).put_u8((*left).into());
                out.put_u16(*amplitude).put_u16(*period_us).put_u16(*count);
            }
            Self::Raw { pad, kind, report } => {
                out.put_u8(0x05).put_u8(*pad).put_u8(kind.wire()).put(report.bytes());
            }
            Self::AudioControl { pad, flags, bytes } => {
                out.put_u8(0x06).put_u16((*pad).into()).put_u8(*flags).put(bytes);
            }
            Self::MicLed { pad, mode } => {
                out.put_u8(0x07).put_u8(*pad).put_u8(*mode);
            }
        }
    }
}

/// 0xCF: what the host spent on one access unit (punktfunk1.md §4.10). Every optional part needs those before it; the
/// encoder fills a part that is missing in between with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HostTiming {
    /// The access unit's capture time.
    pub pts_ns: u64,
    /// Capture → last packet handed to the socket, µs.
    pub host_us: u32,
    /// Parts of `host_us`.
    pub stages: Option<StageTiming>,
    /// Phase shift that the host applied after a `PhaseReport`.
    pub applied_phase_ns: Option<i32>,
    /// Our extension: only toward a client whose `Start` carried the stage-timing tag.
    pub ours: Option<OurTiming>,
}

/// Stage times of the 25-byte form, in µs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct StageTiming {
    /// Waiting between capture and encoder.
    pub queue_us: u32,
    /// Encoding.
    pub encode_us: u32,
    /// Pacing: first to last packet handed to the socket.
    pub pace_us: u32,
}

/// Stage times of our 41-byte form, in µs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct OurTiming {
    /// Copying the picture out of the compositor.
    pub capture_us: u32,
    /// Colour conversion.
    pub convert_us: u32,
    /// Packetizing, FEC and sealing.
    pub packetize_us: u32,
}

impl HostTiming {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut timing = Self { pts_ns: r.u64()?, host_us: r.u32()?, ..Self::default() };
        // A cut tail falls back to the longest form that is whole.
        if r.left() >= 12 {
            timing.stages = Some(StageTiming { queue_us: r.u32()?, encode_us: r.u32()?, pace_us: r.u32()? });
            if r.left() >= 4 {
                timing.applied_phase_ns = Some(r.i32()?);
                if r.left() >= 12 {
                    let (capture_us, convert_us, packetize_us) = (r.u32()?, r.u32()?, r.u32()?);
                    timing.ours = Some(OurTiming { capture_us, convert_us, packetize_us });
                }
            }
        }
        Ok(timing)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u64(self.pts_ns).put_u32(self.host_us);
        let phase = self.applied_phase_ns.or(self.ours.map(|_| 0));
        if let Some(s) = self.stages.or(phase.map(|_| StageTiming::default())) {
            out.put_u32(s.queue_us).put_u32(s.encode_us).put_u32(s.pace_us);
        }
        if let Some(phase) = phase {
            out.put_i32(phase);
        }
        if let Some(o) = self.ours {
            out.put_u32(o.capture_us).put_u32(o.convert_us).put_u32(o.packetize_us);
        }
    }
}

/// A pad index in two bytes.
fn wide_pad(index: u16) -> Result<u8, DecodeError> {
    u8::try_from(index).ok().filter(|p| *p < MAX_PADS).ok_or(DecodeError::Invalid("pad index"))
}

fn side(byte: u8) -> Result<bool, DecodeError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("HID output: side")),
    }
}

/// The rest of the datagram as a report of 1..=`max` bytes.
fn report(r: &mut Reader<'_>, max: usize) -> Result<HidReport, DecodeError> {
    let bytes = r.take_rest();
    HidReport::new(bytes)
        .filter(|_| (1..=max).contains(&bytes.len()))
        .ok_or(DecodeError::Invalid("HID output: report length"))
}
