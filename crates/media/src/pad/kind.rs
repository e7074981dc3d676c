//! The kinds of pad that this host pretends to have.

use punktfunk_core::handshake::GamepadKind;

/// What a virtual pad pretends to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum PadKind {
    /// Microsoft Xbox 360, wired.
    Xbox360,
    /// Microsoft Xbox One and Series.
    XboxOne,
    /// Nintendo Switch Pro.
    SwitchPro,
    /// Sony DualShock 4.
    DualShock4,
    /// Sony DualSense.
    DualSense,
    /// Sony DualSense Edge.
    DualSenseEdge,
}

impl PadKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Xbox360, Self::XboxOne, Self::SwitchPro, Self::DualShock4, Self::DualSense, Self::DualSenseEdge];

    /// The wire's name for it.
    #[must_use]
    pub const fn on_wire(self) -> GamepadKind {
        match self {
            Self::Xbox360 => GamepadKind::Xbox360,
            Self::XboxOne => GamepadKind::XboxOne,
            Self::SwitchPro => GamepadKind::SwitchPro,
            Self::DualShock4 => GamepadKind::DualShock4,
            Self::DualSense => GamepadKind::DualSense,
            Self::DualSenseEdge => GamepadKind::DualSenseEdge,
        }
    }

    /// Whether it reports its motion, and so wants to hear of the client's.
    #[must_use]
    pub const fn has_motion(self) -> bool {
        matches!(self, Self::DualShock4 | Self::DualSense | Self::DualSenseEdge)
    }

    /// The kind among `available` that does most of what a pad of kind `wished` does. `Auto` and pads that nothing here
    /// resembles become an Xbox 360 pad, which every game knows.
    #[must_use]
    pub fn nearest(wished: GamepadKind, available: PadKinds) -> Option<Self> {
        use PadKind::{DualSense, DualSenseEdge, DualShock4, SwitchPro, Xbox360, XboxOne};
        let like: &[Self] = match wished {
            GamepadKind::DualSense => &[DualSense, DualSenseEdge, DualShock4],
            GamepadKind::DualSenseEdge => &[DualSenseEdge, DualSense, DualShock4],
            GamepadKind::DualShock4 => &[DualShock4, DualSense],
            GamepadKind::XboxOne | GamepadKind::XboxElite2 => &[XboxOne],
            GamepadKind::SwitchPro | GamepadKind::Switch2Pro | GamepadKind::JoyConPair => &[SwitchPro],
            _ => &[],
        };
        let last_resort = [Xbox360, XboxOne, SwitchPro, DualSense, DualShock4, DualSenseEdge];
        like.iter().chain(&last_resort).copied().find(|kind| available.contains(*kind))
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PadKinds(u8);

impl PadKinds {
    /// All of them.
    pub const ALL: Self = Self((1 << PadKind::ALL.len()) - 1);

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: PadKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether `kind` is in it.
    #[must_use]
    pub const fn contains(self, kind: PadKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Whether no kind is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<PadKind> for PadKinds {
    fn from_iter<T: IntoIterator<Item = PadKind>>(kinds: T) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_its_own_nearest() {
        for kind in PadKind::ALL {
            assert_eq!(PadKind::nearest(kind.on_wire(), PadKinds::ALL), Some(kind));
        }
    }

    #[test]
    fn what_cannot_be_made_is_folded() {
        let evdev = PadKinds::from_iter([PadKind::Xbox360, PadKind::XboxOne, PadKind::SwitchPro]);
        let nearest = |wished| PadKind::nearest(wished, evdev);
        assert_eq!(nearest(GamepadKind::DualSense), Some(PadKind::Xbox360));
        assert_eq!(nearest(GamepadKind::Auto), Some(PadKind::Xbox360));
        assert_eq!(nearest(GamepadKind::SteamDeck), Some(PadKind::Xbox360));
        assert_eq!(nearest(GamepadKind::Switch2Pro), Some(PadKind::SwitchPro));
        let hid = PadKinds::default().with(PadKind::DualSense);
        assert_eq!(PadKind::nearest(GamepadKind::XboxOne, hid), Some(PadKind::DualSense));
        assert_eq!(PadKind::nearest(GamepadKind::XboxOne, PadKinds::default()), None);
    }
}
