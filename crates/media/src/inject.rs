//! Input injection. What all injectors owe (held keys and their release, grants, accounting) lives above this trait,
//! in the engine's inject thread.

use punktfunk_core::datagram::PenSample;

use crate::Reason;

/// Plays input back on one output. Lives on the inject thread.
pub trait Injector: Send {
    /// What it can play back; the host advertises only that.
    fn caps(&self) -> InjectorCaps;

    /// Plays one action back. Does not block on the compositor.
    ///
    /// # Errors
    /// [`InjectError`]; `fatal` tells whether the injector is still usable.
    fn inject(&mut self, action: &InputAction) -> Result<(), InjectError>;
}

/// Abilities of an injector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InjectorCaps {
    /// [`InputAction::Text`] is typed: any Unicode scalar, but where the compositor has no means for text the characters
    /// of its own keymap.
    pub text: bool,
    /// Touch actions reach the desktop.
    pub touch: bool,
    /// [`InputAction::Pen`] reaches the desktop.
    pub pen: bool,
    /// Scroll sources and phases are kept.
    pub precise_scroll: bool,
}

/// One input action in the desktop's terms.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum InputAction {
    /// A key by its position: Linux evdev code (`KEY_*`).
    Key {
        /// Evdev key code.
        code: u16,
        /// Pressed or released.
        down: bool,
    },
    /// Relative pointer motion in pixels, +y down.
    Motion {
        /// Right.
        dx: f64,
        /// Down.
        dy: f64,
    },
    /// Absolute pointer position as a fraction of the output, 0.0..=1.0, origin top-left.
    MotionAbs {
        /// From the left edge.
        x: f64,
        /// From the top edge.
        y: f64,
    },
    /// A pointer button: Linux evdev code (`BTN_LEFT` = 0x110 …).
    Button {
        /// Evdev button code.
        code: u16,
        /// Pressed or released.
        down: bool,
    },
    /// Scrolling; positive is down and right (Wayland's direction).
    Scroll {
        /// True for the horizontal axis.
        horizontal: bool,
        /// What kind of device.
        source: ScrollSource,
        /// Where in a gesture.
        phase: ScrollPhase,
        /// For [`ScrollSource::Wheel`]: 1/120 of a detent. Else: device-independent pixels.
        delta: f64,
    },
    /// One Unicode scalar, typed whatever the keyboard layout.
    Text(char),
    /// A touch contact goes down, as a fraction of the output.
    TouchDown {
        /// Contact id.
        id: u32,
        /// From the left edge, 0.0..=1.0.
        x: f64,
        /// From the top edge, 0.0..=1.0.
        y: f64,
    },
    /// A touch contact moves.
    TouchMove {
        /// Contact id.
        id: u32,
        /// From the left edge, 0.0..=1.0.
        x: f64,
        /// From the top edge, 0.0..=1.0.
        y: f64,
    },
    /// A touch contact is lifted.
    TouchUp {
        /// Contact id.
        id: u32,
    },
    /// The pen is now as this says, as a fraction of the output. Never a prediction. Neither in range nor touching: it
    /// leaves, and what it held with it.
    Pen(PenSample),
}

/// What produced a scroll.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrollSource {
    /// A wheel with detents.
    Wheel,
    /// A finger on a touchpad.
    Finger,
    /// Anything continuous.
    Continuous,
}

/// Where in a scroll gesture an action stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrollPhase {
    /// No gesture.
    None,
    /// The gesture begins or goes on.
    Active,
    /// The fingers were lifted (Wayland's `axis_stop`).
    End,
}

/// Why injection failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct InjectError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
    /// True: the injector is gone; open a new one from the stage. False: this action was not possible.
    pub fatal: bool,
}
