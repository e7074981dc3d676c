//! DualShock 4.

use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{PadFeedback, PadReport};

use super::touch::Fingers;
use super::{Identity, REPORT_BYTES, Serial, battery, bits, calibration, descriptor, face, motion, motors, put};

/// A DualShock 4, second edition.
#[derive(Debug)]
pub struct DualShock4 {
    serial: Serial,
    fingers: Fingers,
    reports: u8,
    /// Contacts as last told, and their number.
    touch: ([u8; 8], u8),
}

impl DualShock4 {
    /// A DualShock 4.
    #[must_use]
    pub fn new(serial: Serial) -> Self {
        Self { serial, fingers: Fingers::default(), reports: 0, touch: ([0; 8], 0) }
    }

    pub(super) const fn identity(&self) -> &'static Identity {
        &DUALSHOCK_4
    }

    pub(super) fn report(&mut self, state: &PadReport, now_us: u64) -> [u8; REPORT_BYTES] {
        let mut report = [0; REPORT_BYTES];
        put(&mut report, 0, &[INPUT]);
        put(&mut report, 1, &super::sticks(state));
        let third = bits(state.buttons, &[(B::GUIDE, 0), (B::TOUCHPAD, 1)]) | self.reports << 2;
        self.reports = self.reports.wrapping_add(1);
        put(&mut report, 5, &[face(state.buttons), super::shoulders(state), third]);
        put(&mut report, 8, &[state.left_trigger, state.right_trigger]);
        // 16/3 of a microsecond per step; wraps every 350 ms, as the real clock does.
        put(&mut report, 10, &((now_us.wrapping_mul(3) / 16) as u16).to_le_bytes());
        put(&mut report, 13, &motion(state));
        put(&mut report, 30, &[battery::dualshock4(state.battery)]);
        let contacts = self.fingers.bytes(&state.touches, WIDTH, HEIGHT);
        if contacts != self.touch.0 {
            self.touch = (contacts, self.touch.1.wrapping_add(1));
        }
        // One touch report.
        put(&mut report, 33, &[1, self.touch.1]);
        put(&mut report, 35, &contacts);
        report
    }

    pub(super) fn feature(&self, id: u8) -> Option<Vec<u8>> {
        let mut report = match id {
            CALIBRATION => vec![0; 37],
            PAIRING => vec![0; 16],
            FIRMWARE => vec![0; 49],
            _ => return None,
        };
        put(&mut report, 0, &[id]);
        match id {
            CALIBRATION => put(&mut report, 1, &calibration::calibration()),
            PAIRING => put(&mut report, 1, &self.serial),
            _ => {
                put(&mut report, 1, b"Aug  3 2013");
                put(&mut report, 17, b"07:01:12");
                put(&mut report, 35, &HARDWARE.to_le_bytes());
                put(&mut report, 41, &FIRMWARE_VERSION.to_le_bytes());
            }
        }
        Some(report)
    }
}

/// What output report 5 asks for: each part counts only where its flag is set.
pub(super) fn output(report: &[u8], mut wish: impl FnMut(PadFeedback)) {
    let Some([OUTPUT, flags, _, _, right, left]) = report.get(..6) else { return };
    if flags & 0x01 != 0 {
        wish(motors(*right, *left));
    }
    if flags & 0x02 != 0
        && let Some(rgb) = report.get(6..9).and_then(|bytes| bytes.try_into().ok())
    {
        wish(PadFeedback::Led(rgb));
    }
}

static DUALSHOCK_4: Identity = Identity {
    name: "Sony Interactive Entertainment Wireless Controller",
    vendor: 0x054c,
    product: 0x09cc,
    version: 0x0111,
    descriptor: &descriptor::DUALSHOCK_4,
};

const INPUT: u8 = 0x01;
const OUTPUT: u8 = 0x05;
const CALIBRATION: u8 = 0x02;
const PAIRING: u8 = 0x12;
const FIRMWARE: u8 = 0xa3;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 942;
const HARDWARE: u16 = 0x7400;
const FIRMWARE_VERSION: u16 = 0x0100;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_media::{PadBattery, PadBatteryState, PadMotion, PadTouch, RumbleLevels};

    fn wishes(report: &[u8]) -> Vec<PadFeedback> {
        let mut all = Vec::new();
        output(report, |w| all.push(w));
        all
    }

    #[test]
    fn a_report_of_everything() {
        let mut pad = DualShock4::new([1, 2, 3, 4, 5, 6]);
        let still = pad.report(&PadReport::default(), 0);
        assert_eq!(still[..10], [1, 128, 128, 128, 128, 8, 0, 0, 0, 0]);
        assert_eq!((still[30], &still[33..44]), (0x1b, &[1, 1, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0][..]));
        let state = PadReport {
            buttons: B::Y | B::LEFT | B::RB | B::BACK | B::TOUCHPAD,
            left_x: -1,
            right_y: 1,
            right_trigger: 7,
            motion: PadMotion { gyro: [1, 0, 0], accel: [0, 0, 2] },
            touches: [Some(PadTouch { x: u16::MAX, y: u16::MAX }), None],
            battery: PadBattery { state: PadBatteryState::Discharging, percent: Some(31) },
            ..PadReport::default()
        };
        let report = pad.report(&state, 16);
        assert_eq!(report[..12], [1, 127, 128, 128, 127, 0x86, 0x1a, 0x06, 0, 7, 3, 0]);
        assert_eq!(report[13..25], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
        assert_eq!((report[30], &report[33..43]), (3, &[1, 2, 0, 0x7f, 0xd7, 0x3a, 0x80, 0, 0, 0][..]));
        assert_eq!(pad.report(&state, 16)[34], 2, "nothing moved");
    }

    #[test]
    fn features_are_as_long_as_the_descriptor_says() {
        let pad = DualShock4::new([1, 2, 3, 4, 5, 6]);
        let len = |id| pad.feature(id).map(|r| (r.len(), r[0]));
        assert_eq!((len(2), len(0x12), len(0xa3), len(3)), (Some((37, 2)), Some((16, 0x12)), Some((49, 0xa3)), None));
    }

    #[test]
    fn motors_and_light_come_with_their_flags() {
        let rumble = PadFeedback::Rumble(RumbleLevels { low: 0x8080, high: 0x4040, ..RumbleLevels::default() });
        let report = [5, 3, 0, 0, 0x40, 0x80, 1, 2, 3, 0, 0];
        assert_eq!(wishes(&report), [rumble, PadFeedback::Led([1, 2, 3])]);
        assert_eq!(wishes(&[5, 0, 0, 0, 0x40, 0x80, 1, 2, 3]), []);
        (0..6).for_each(|len| assert_eq!(wishes(&report[..len]), []));
        assert_eq!(wishes(&report[..7]), [rumble]);
        assert_eq!(wishes(&[0x11; 32]), []);
    }
}
