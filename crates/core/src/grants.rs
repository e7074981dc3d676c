//! What a client may do (punktfunk1.md §2.6).

/// The per-device access mask of `Welcome.grants` and `AccessUpdate.grants`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Grants(pub u32);

impl Grants {
    /// Virtual gamepads: input kinds 7, 8, 12, 13, 14 and rich input kinds 1–4.
    pub const GAMEPAD: Self = Self(0x01);
    /// Pointer, touch, scroll and pen: input kinds 2–6, 9–11, 16 and rich input kind 5.
    pub const POINTER: Self = Self(0x02);
    /// Keyboard and text: input kinds 0, 1 and 15.
    pub const KEYBOARD: Self = Self(0x04);
    /// The clipboard, both directions.
    pub const CLIPBOARD: Self = Self(0x08);
    /// The microphone datagram 0xCB.
    pub const MIC: Self = Self(0x10);
    /// `Hello.launch`.
    pub const LAUNCH: Self = Self(0x20);
    /// Power actions of the management API.
    pub const POWER: Self = Self(0x40);
    /// What an omitted field means to the clients this host serves: everything up to [`Self::POWER`].
    pub const ALL: Self = Self(0x7f);
    /// Nothing but watching.
    pub const VIEW: Self = Self(0);

    /// Whether every bit of `other` is granted.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is left without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Both masks together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Default for Grants {
    fn default() -> Self {
        Self::ALL
    }
}
