//! Sony's pads on USB: what they report, and what they are told. Pure; golden bytes in the tests.
//!
//! Layouts: Linux `drivers/hid/hid-playstation.c` as of 6.12 (the reader on the other side); descriptors as real pads
//! send them. The pads are on USB, so no report carries a checksum.

mod battery;
mod calibration;
mod descriptor;
mod dualsense;
mod dualshock4;
mod touch;

use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{PadFeedback, PadKind, PadReport, RumbleLevels};

pub use dualsense::DualSense;
pub use dualshock4::DualShock4;

/// One of Sony's pads.
#[derive(Debug)]
pub enum SonyPad {
    /// DualSense or DualSense Edge.
    DualSense(DualSense),
    /// DualShock 4.
    DualShock4(DualShock4),
}

/// How a pad introduces itself.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Name, as the kernel composes it of manufacturer and product.
    pub name: &'static str,
    /// USB vendor.
    pub vendor: u16,
    /// USB product.
    pub product: u16,
    /// Version of the HID class.
    pub version: u16,
    /// Report descriptor.
    pub descriptor: &'static [u8],
}

/// A pad's serial number: a Bluetooth address, lowest byte first. Two pads with the same one cannot be plugged in.
pub type Serial = [u8; 6];

/// Every report is this long, id included.
pub const REPORT_BYTES: usize = 64;

impl SonyPad {
    /// A pad of this kind; `None` if it is none of Sony's.
    #[must_use]
    pub fn new(kind: PadKind, serial: Serial) -> Option<Self> {
        Some(match kind {
            PadKind::DualShock4 => Self::DualShock4(DualShock4::new(serial)),
            PadKind::DualSense => Self::DualSense(DualSense::new(serial)),
            PadKind::DualSenseEdge => Self::DualSense(DualSense::edge(serial)),
            PadKind::Xbox360 | PadKind::XboxOne | PadKind::SwitchPro => return None,
        })
    }

    /// How it introduces itself.
    #[must_use]
    pub const fn identity(&self) -> &'static Identity {
        match self {
            Self::DualSense(pad) => pad.identity(),
            Self::DualShock4(pad) => pad.identity(),
        }
    }

    /// The next input report. `now_us` is any clock in microseconds that does not go back.
    pub fn report(&mut self, state: &PadReport, now_us: u64) -> [u8; REPORT_BYTES] {
        match self {
            Self::DualSense(pad) => pad.report(state, now_us),
            Self::DualShock4(pad) => pad.report(state, now_us),
        }
    }

    /// The feature report with this id; `None` if this pad has none to give.
    #[must_use]
    pub fn feature(&self, id: u8) -> Option<Vec<u8>> {
        match self {
            Self::DualSense(pad) => pad.feature(id),
            Self::DualShock4(pad) => pad.feature(id),
        }
    }

    /// What an output report asks for. Reports that are too short ask for less; what is no output report of this pad asks
    /// for nothing.
    pub fn output(&self, report: &[u8], wish: impl FnMut(PadFeedback)) {
        match self {
            Self::DualSense(_) => dualsense::output(report, wish),
            Self::DualShock4(_) => dualshock4::output(report, wish),
        }
    }
}

/// The four bytes of sticks, left then right: 0 is left and up.
fn sticks(state: &PadReport) -> [u8; 4] {
    let across = |v: i16| ((i32::from(v) + 0x8000) >> 8) as u8;
    // The lowest value has no opposite; without the clamp it would wrap around to the other end.
    let down = |v: i16| across(v.saturating_neg());
    [across(state.left_x), down(state.left_y), across(state.right_x), down(state.right_y)]
}

/// Hat and face buttons.
fn face(buttons: B) -> u8 {
    let pair = |less, more| i8::from(buttons.contains(more)) - i8::from(buttons.contains(less));
    // Clockwise from up.
    let hat = match (pair(B::LEFT, B::RIGHT), pair(B::UP, B::DOWN)) {
        (0, -1) => 0,
        (1, -1) => 1,
        (1, 0) => 2,
        (1, 1) => 3,
        (0, 1) => 4,
        (-1, 1) => 5,
        (-1, 0) => 6,
        (-1, -1) => 7,
        _ => 8,
    };
    hat | bits(buttons, &[(B::X, 4), (B::A, 5), (B::B, 6), (B::Y, 7)])
}

/// Shoulders, triggers, sticks, the two small buttons.
fn shoulders(state: &PadReport) -> u8 {
    let known = [(B::LB, 0), (B::RB, 1), (B::BACK, 4), (B::START, 5), (B::LEFT_STICK, 6), (B::RIGHT_STICK, 7)];
    let triggers = u8::from(state.left_trigger > 0) << 2 | u8::from(state.right_trigger > 0) << 3;
    bits(state.buttons, &known) | triggers
}

fn bits(buttons: B, places: &[(B, u8)]) -> u8 {
    places.iter().filter(|(button, _)| buttons.contains(*button)).fold(0, |byte, (_, bit)| byte | 1 << bit)
}

/// Gyroscope, then accelerometer, in the units that [`calibration`] declares.
fn motion(state: &PadReport) -> [u8; 12] {
    let mut bytes = [0; 12];
    let axes = state.motion.gyro.iter().chain(&state.motion.accel);
    for (place, axis) in bytes.chunks_exact_mut(2).zip(axes) {
        place.copy_from_slice(&axis.to_le_bytes());
    }
    bytes
}

/// Motors of 8 bits: the right one is the light one.
fn motors(right: u8, left: u8) -> PadFeedback {
    let level = |v: u8| u16::from(v) * 0x101;
    PadFeedback::Rumble(RumbleLevels { low: level(left), high: level(right), ..RumbleLevels::default() })
}

/// Writes `bytes` at `at` of a report.
fn put(report: &mut [u8], at: usize, bytes: &[u8]) {
    // Offsets are constants of the layouts; one that did not fit would leave zeros, which the golden bytes show.
    if let Some(place) = report.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a program writes, nothing breaks, and no report asks for more than one thing of each kind.
        #[test]
        fn no_output_report_breaks_a_pad(id in 0_u8..8, rest in proptest::collection::vec(any::<u8>(), 0..80)) {
            let report = [&[id][..], &rest].concat();
            for kind in [PadKind::DualShock4, PadKind::DualSense, PadKind::DualSenseEdge] {
                let pad = SonyPad::new(kind, [0; 6]).expect("Sony's");
                let mut wishes = 0;
                pad.output(&report, |_| wishes += 1);
                prop_assert!(wishes <= 6);
                prop_assert!(pad.feature(id).is_none_or(|feature| feature[0] == id));
            }
        }
    }

    #[test]
    fn only_sonys_pads_are_here() {
        let here = PadKind::ALL.map(|kind| SonyPad::new(kind, [0; 6]).is_some());
        assert_eq!(here, [false, false, false, true, true, true]);
    }
}
