//! DualSense and DualSense Edge.

use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{PadFeedback, PadReport};

use super::touch::Fingers;
use super::{Identity, REPORT_BYTES, Serial, battery, bits, calibration, descriptor, face, motion, motors, put};

/// A DualSense, or an Edge.
#[derive(Debug)]
pub struct DualSense {
    identity: &'static Identity,
    serial: Serial,
    fingers: Fingers,
    reports: u8,
}

impl DualSense {
    /// A DualSense.
    #[must_use]
    pub fn new(serial: Serial) -> Self {
        Self { identity: &DUALSENSE, serial, fingers: Fingers::default(), reports: 0 }
    }

    /// An Edge: the same with four more buttons.
    #[must_use]
    pub fn edge(serial: Serial) -> Self {
        Self { identity: &EDGE, ..Self::new(serial) }
    }

    pub(super) const fn identity(&self) -> &'static Identity {
        self.identity
    }

    pub(super) fn report(&mut self, state: &PadReport, now_us: u64) -> [u8; REPORT_BYTES] {
        let mut report = [0; REPORT_BYTES];
        put(&mut report, 0, &[INPUT]);
        put(&mut report, 1, &super::sticks(state));
        put(&mut report, 5, &[state.left_trigger, state.right_trigger, self.reports]);
        self.reports = self.reports.wrapping_add(1);
        let mut third = bits(state.buttons, &[(B::GUIDE, 0), (B::TOUCHPAD, 1), (B::MISC, 2)]);
        if std::ptr::eq(self.identity, &EDGE) {
            // Left and right function buttons, left and right back buttons.
            third |= bits(state.buttons, &[(B::PADDLE4, 4), (B::PADDLE3, 5), (B::PADDLE2, 6), (B::PADDLE1, 7)]);
        }
        put(&mut report, 8, &[face(state.buttons), super::shoulders(state), third]);
        put(&mut report, 16, &motion(state));
        // A third of a microsecond per step; wraps after 24 minutes, as the real clock does.
        put(&mut report, 28, &(now_us.wrapping_mul(3) as u32).to_le_bytes());
        put(&mut report, 33, &self.fingers.bytes(&state.touches, WIDTH, HEIGHT));
        put(&mut report, 53, &[battery::dualsense(state.battery)]);
        report
    }

    pub(super) fn feature(&self, id: u8) -> Option<Vec<u8>> {
        let mut report = match id {
            CALIBRATION => vec![0; 41],
            PAIRING => vec![0; 20],
            FIRMWARE => vec![0; 64],
            _ => return None,
        };
        put(&mut report, 0, &[id]);
        match id {
            CALIBRATION => put(&mut report, 1, &calibration::calibration()),
            PAIRING => put(&mut report, 1, &self.serial),
            _ => {
                put(&mut report, 1, BUILD);
                // Kind and series of the firmware, hardware, firmware, and the update that was installed.
                put(&mut report, 20, &[3, 0, 4, 0]);
                put(&mut report, 24, &HARDWARE.to_le_bytes());
                put(&mut report, 28, &FIRMWARE_VERSION.to_le_bytes());
                put(&mut report, 44, &UPDATE.to_le_bytes());
            }
        }
        Some(report)
    }
}

/// What output report 2 asks for: each part counts only where its flag is set.
pub(super) fn output(report: &[u8], mut wish: impl FnMut(PadFeedback)) {
    let (Some([OUTPUT, first, second, right, left]), third) = (report.get(..5), report.get(39).copied().unwrap_or(0))
    else {
        return;
    };
    if first & RUMBLE_FLAGS != 0 || third & RUMBLE2_FLAG != 0 {
        wish(motors(*right, *left));
    }
    for (flag, right, at) in [(0x04, true, 11), (0x08, false, 22)] {
        if first & flag != 0
            && let Some(effect) = report.get(at..at + 11).and_then(|bytes| bytes.try_into().ok())
        {
            wish(PadFeedback::TriggerEffect { right, effect });
        }
    }
    if second & 0x01 != 0
        && let Some(mode) = report.get(9)
    {
        wish(PadFeedback::MicLed((*mode).min(2)));
    }
    if second & 0x04 != 0
        && let Some(rgb) = report.get(45..48).and_then(|bytes| bytes.try_into().ok())
    {
        wish(PadFeedback::Led(rgb));
    }
    if second & 0x10 != 0
        && let Some(lights) = report.get(44)
    {
        wish(PadFeedback::PlayerLeds(lights & 0x1f));
    }
}

static DUALSENSE: Identity = Identity {
    name: "Sony Interactive Entertainment DualSense Wireless Controller",
    vendor: 0x054c,
    product: 0x0ce6,
    version: 0x0111,
    descriptor: &descriptor::DUALSENSE,
};
static EDGE: Identity = Identity {
    name: "Sony Interactive Entertainment DualSense Edge Wireless Controller",
    vendor: 0x054c,
    product: 0x0df2,
    version: 0x0111,
    descriptor: &descriptor::DUALSENSE_EDGE,
};

const INPUT: u8 = 0x01;
const OUTPUT: u8 = 0x02;
const CALIBRATION: u8 = 0x05;
const PAIRING: u8 = 0x09;
const FIRMWARE: u8 = 0x20;
/// Vibration in the old way, or the motors instead of audio haptics.
const RUMBLE_FLAGS: u8 = 0x03;
/// Vibration in the way of newer firmware.
const RUMBLE2_FLAG: u8 = 0x04;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
/// Date and time of a firmware build, 11 and 8 characters.
const BUILD: &[u8; 19] = b"Jun 19 202314:47:34";
const HARDWARE: u32 = 0x0100_0208;
const FIRMWARE_VERSION: u32 = 0x0100_0036;
/// Newer than 2.21, from which on drivers use the new vibration, and than every update that a game could ask for.
const UPDATE: u16 = 0x0999;

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
        let mut pad = DualSense::edge([1, 2, 3, 4, 5, 6]);
        let still = pad.report(&PadReport::default(), 0);
        assert_eq!(still[..12], [1, 128, 128, 128, 128, 0, 0, 0, 8, 0, 0, 0]);
        let state = PadReport {
            buttons: B::A | B::UP | B::RIGHT | B::LB | B::START | B::GUIDE | B::TOUCHPAD | B::PADDLE1 | B::PADDLE4,
            left_x: i16::MAX,
            left_y: i16::MAX,
            right_x: i16::MIN,
            right_y: i16::MIN,
            left_trigger: 255,
            right_trigger: 0,
            motion: PadMotion { gyro: [1, -2, 0x1234], accel: [0, 10_000, -1] },
            touches: [None, Some(PadTouch { x: 0x8000, y: 0x4000 })],
            battery: PadBattery { state: PadBatteryState::Charging, percent: Some(55) },
        };
        let report = pad.report(&state, 1_000_000);
        assert_eq!(report[..12], [1, 255, 0, 0, 255, 255, 0, 1, 0x21, 0x25, 0x93, 0]);
        assert_eq!(report[16..28], [1, 0, 0xfe, 0xff, 0x34, 0x12, 0, 0, 0x10, 0x27, 0xff, 0xff]);
        assert_eq!(report[28..32], 3_000_000_u32.to_le_bytes());
        assert_eq!(report[33..41], [0x80, 0, 0, 0, 0, 0xc0, 0xe3, 0x10]);
        assert_eq!(report[53], 0x15);
        let plain = DualSense::new([0; 6]).report(&state, 0);
        assert_eq!(plain[10], 0x03, "no back buttons");
    }

    #[test]
    fn features_are_as_long_as_the_descriptor_says() {
        let pad = DualSense::new([1, 2, 3, 4, 5, 6]);
        assert_eq!(pad.feature(0x09).map(|r| (r.len(), r[..8].to_vec())), Some((20, vec![9, 1, 2, 3, 4, 5, 6, 0])));
        assert_eq!(pad.feature(0x05).map(|r| (r.len(), r[0])), Some((41, 5)));
        let firmware = pad.feature(0x20).expect("firmware");
        assert_eq!((firmware.len(), &firmware[1..20]), (64, &BUILD[..]));
        assert_eq!(pad.feature(0x22), None);
    }

    #[test]
    fn the_kernels_and_games_reports_are_understood() {
        let rumble = |low, high| PadFeedback::Rumble(RumbleLevels { low, high, ..RumbleLevels::default() });
        // hid-playstation, vibration in the old way.
        assert_eq!(wishes(&[2, 3, 0, 0x40, 0x80]), [rumble(0x8080, 0x4040)]);
        // In the new way.
        let mut report = [0; 63];
        report[..5].copy_from_slice(&[2, 2, 0, 0, 255]);
        report[39] = 4;
        assert_eq!(wishes(&report), [rumble(0xffff, 0)]);
        // A light alone leaves the motors as they are.
        let mut report = [0; 48];
        report[..3].copy_from_slice(&[2, 0, 0x15]);
        report[9] = 1;
        report[44..48].copy_from_slice(&[0xff, 1, 2, 3]);
        let lights = [PadFeedback::MicLed(1), PadFeedback::Led([1, 2, 3]), PadFeedback::PlayerLeds(0x1f)];
        assert_eq!(wishes(&report), lights);
        // Both triggers.
        let mut report = [0; 48];
        report[..2].copy_from_slice(&[2, 0x0c]);
        report[11..22].copy_from_slice(&[0x21; 11]);
        report[22..33].copy_from_slice(&[0x26; 11]);
        let effect = |right, byte| PadFeedback::TriggerEffect { right, effect: [byte; 11] };
        assert_eq!(wishes(&report), [effect(true, 0x21), effect(false, 0x26)]);
    }

    #[test]
    fn short_and_foreign_reports_ask_for_nothing_they_do_not_hold() {
        for len in 0..48 {
            let mut report = [0xff; 48];
            report[0] = 2;
            let wished = wishes(&report[..len]).len();
            assert!(len >= 5 || wished == 0, "{len}");
        }
        assert_eq!(wishes(&[0x31, 0xff, 0xff, 0xff, 0xff]), []);
    }
}
