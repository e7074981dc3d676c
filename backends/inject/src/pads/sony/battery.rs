//! Batteries, in tenths.

use punktfunk_media::{PadBattery, PadBatteryState};

/// Charge in tenths, 0..=10; full where nobody knows.
fn tenths(battery: PadBattery) -> u8 {
    battery.percent.map_or(10, |percent| percent.min(100) / 10)
}

/// Status byte of a DualSense: tenths, and what the battery does.
pub(super) fn dualsense(battery: PadBattery) -> u8 {
    match battery.state {
        PadBatteryState::Discharging => tenths(battery),
        PadBatteryState::Charging => 0x10 | tenths(battery),
        PadBatteryState::Unknown | PadBatteryState::Absent | PadBatteryState::NotCharging | PadBatteryState::Full => {
            0x20 | 10
        }
    }
}

/// Status byte of a DualShock 4: tenths, and bit 4 for the cable, with which 11 means full.
pub(super) fn dualshock4(battery: PadBattery) -> u8 {
    match battery.state {
        PadBatteryState::Discharging => tenths(battery),
        PadBatteryState::Charging => 0x10 | tenths(battery),
        PadBatteryState::Unknown | PadBatteryState::Absent | PadBatteryState::NotCharging | PadBatteryState::Full => {
            0x10 | 11
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_and_states() {
        let battery = |state, percent| PadBattery { state, percent };
        assert_eq!(dualsense(battery(PadBatteryState::Discharging, Some(47))), 0x04);
        assert_eq!(dualsense(battery(PadBatteryState::Charging, Some(255))), 0x1a);
        assert_eq!(dualsense(PadBattery::default()), 0x2a);
        assert_eq!(dualshock4(battery(PadBatteryState::Discharging, None)), 0x0a);
        assert_eq!(dualshock4(battery(PadBatteryState::Full, Some(100))), 0x1b);
    }
}
