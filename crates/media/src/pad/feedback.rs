//! What programs want a pad to do.

/// One wish of a program. Each states how things are to be **now**; a newer one of a kind replaces the older.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PadFeedback {
    /// The motors.
    Rumble(RumbleLevels),
    /// The light bar: red, green, blue.
    Led([u8; 3]),
    /// The player lights, low five bits, bit 0 leftmost.
    PlayerLeds(u8),
    /// An adaptive trigger.
    TriggerEffect {
        /// R2 instead of L2.
        right: bool,
        /// The DualSense's effect block: the effect's number and its ten parameters.
        effect: [u8; 11],
    },
    /// The microphone light: 0 off, 1 on, 2 pulse.
    MicLed(u8),
    /// How often the pad wants its motion sensors reported, in Hz; 0 = not at all.
    MotionRate(u16),
}

/// Strength of the motors, each 0..=65535.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RumbleLevels {
    /// Low-frequency motor, left and heavy.
    pub low: u16,
    /// High-frequency motor, right and light.
    pub high: u16,
    /// Motor in the left trigger.
    pub left_trigger: u16,
    /// Motor in the right trigger.
    pub right_trigger: u16,
}

impl RumbleLevels {
    /// Whether every motor stands still.
    #[must_use]
    pub fn is_still(&self) -> bool {
        *self == Self::default()
    }
}
