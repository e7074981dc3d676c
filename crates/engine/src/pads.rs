//! What a session knows about gamepads before it starts.

use std::sync::Arc;

use punktfunk_core::handshake::GamepadKind;
use punktfunk_media::{PadFactory, PadKind, PadKinds};

pub use crate::pipeline::pads::{RUMBLE_RENEWAL, RUMBLE_TTL};

/// How a session makes gamepads.
#[derive(Clone)]
pub struct PadsSetup {
    /// Makes them.
    pub factory: Arc<dyn PadFactory>,
    /// Which kind they become.
    pub policy: PadPolicy,
    /// The kind of a pad whose arrival said nothing, or was not seen: what the client asked for at the start.
    pub default_kind: GamepadKind,
}

impl std::fmt::Debug for PadsSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PadsSetup")
            .field("policy", &self.policy)
            .field("default_kind", &self.default_kind)
            .finish_non_exhaustive()
    }
}

/// Which kind of pad a client's pad becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PadPolicy {
    /// What the client holds, as near as this host can make it.
    #[default]
    Auto,
    /// Always this kind: for a game that knows only one.
    Fixed(PadKind),
}

impl PadPolicy {
    /// The kind for a pad that the client announced as `announced` in a session that began with `default`; `None` if no
    /// pad can be made.
    #[must_use]
    pub fn choose(self, announced: GamepadKind, default: GamepadKind, available: PadKinds) -> Option<PadKind> {
        let wished = match (self, announced) {
            (Self::Fixed(kind), _) => kind.on_wire(),
            (Self::Auto, GamepadKind::Auto) => default,
            (Self::Auto, announced) => announced,
        };
        PadKind::nearest(wished, available)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_kind_wins_over_the_arrival_and_the_arrival_over_the_default() {
        let choose = |policy: PadPolicy, announced| policy.choose(announced, GamepadKind::SwitchPro, PadKinds::ALL);
        let fixed = PadPolicy::Fixed(PadKind::XboxOne);
        assert_eq!(choose(fixed, GamepadKind::DualSense), Some(PadKind::XboxOne));
        assert_eq!(choose(PadPolicy::Auto, GamepadKind::DualSense), Some(PadKind::DualSense));
        assert_eq!(choose(PadPolicy::Auto, GamepadKind::Auto), Some(PadKind::SwitchPro));
    }
}
