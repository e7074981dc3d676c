//! Small enumerations of the control messages.

use crate::DecodeError;
use crate::wire::{Reader, wire_enum};

wire_enum! {
    /// Why the host runs the bitrate it runs. A byte that nobody assigned reads as no reason.
    BitrateReason: u8 {
        /// What was asked for.
        Granted = 0,
        /// The encoder cannot go there.
        EncoderLimit = 1,
        /// The host is behind its frame cadence.
        Cadence = 2,
        /// The host's own controller.
        Governor = 3,
        /// Pinned by the operator.
        Pinned = 4,
    }
}

wire_enum! {
    /// How the host paces video (latest `pkf1` builds).
    DeliveryProfile: u8 {
        /// As fast as it comes.
        Burst = 0,
        /// Bursts with a cap.
        Capped = 1,
        /// Spread over the frame interval.
        Smooth = 2,
    }
}

impl DeliveryProfile {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_wire(r.u8()?).ok_or(DecodeError::Invalid("delivery profile"))
    }
}

wire_enum! {
    /// A network interface. Unknown numbers read as [`Self::Unknown`].
    LinkKind: u8 {
        /// Not known.
        Unknown = 0,
        /// Ethernet.
        Ethernet = 1,
        /// Wi-Fi.
        Wifi = 2,
        /// Something else.
        Other = 3,
    }
}

wire_enum! {
    /// What became of `Hello.launch`. Unknown numbers read as [`Self::Spawned`].
    LaunchKind: u8 {
        /// Started.
        Spawned = 0,
        /// Was running already.
        Adopted = 1,
        /// Something was running already.
        AdoptedUnknown = 2,
        /// Not started: unknown or not permitted.
        Refused = 3,
        /// Not started: it failed.
        Failed = 4,
        /// The store wants a sign-in.
        SignInNeeded = 5,
    }
}
