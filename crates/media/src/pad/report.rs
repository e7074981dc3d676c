//! The state of a pad.

use punktfunk_core::input::GamepadButtons;

/// Everything about a pad at one moment, in the wire's units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PadReport {
    /// Buttons held.
    pub buttons: GamepadButtons,
    /// Left stick, + right.
    pub left_x: i16,
    /// Left stick, + up.
    pub left_y: i16,
    /// Right stick, + right.
    pub right_x: i16,
    /// Right stick, + up.
    pub right_y: i16,
    /// Left trigger.
    pub left_trigger: u8,
    /// Right trigger.
    pub right_trigger: u8,
    /// Motion sensors.
    pub motion: PadMotion,
    /// Fingers on the touchpad; a finger keeps its place while it is down.
    pub touches: [Option<PadTouch>; 2],
    /// Battery.
    pub battery: PadBattery,
}

/// Motion sensors, axes as in SDL: x right, y up (out of the pad's face), z toward the player.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PadMotion {
    /// Pitch, yaw, roll; [`Self::GYRO_PER_DEG_S`] per degree per second.
    pub gyro: [i16; 3],
    /// x, y, z; [`Self::ACCEL_PER_G`] per g.
    pub accel: [i16; 3],
}

impl PadMotion {
    /// Steps per degree per second.
    pub const GYRO_PER_DEG_S: i16 = 20;
    /// Steps per g.
    pub const ACCEL_PER_G: i16 = 10_000;
}

/// Flat on a table.
impl Default for PadMotion {
    fn default() -> Self {
        Self { gyro: [0; 3], accel: [0, Self::ACCEL_PER_G, 0] }
    }
}

/// A finger on the touchpad.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PadTouch {
    /// 0..=65535 over the touchpad, from the left.
    pub x: u16,
    /// 0..=65535 over the touchpad, from the top.
    pub y: u16,
}

/// Battery of a pad.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PadBattery {
    /// What it does.
    pub state: PadBatteryState,
    /// 0..=100; `None` unknown.
    pub percent: Option<u8>,
}

/// What a battery does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PadBatteryState {
    /// Not known: shown as full and plugged in, so that nobody is warned of an empty battery that may not exist.
    #[default]
    Unknown,
    /// There is none.
    Absent,
    /// Runs down.
    Discharging,
    /// Charges.
    Charging,
    /// Plugged in, does not charge.
    NotCharging,
    /// Charged.
    Full,
}
