//! The QUIC application close codes, which carry the meaning of an end (punktfunk1.md §8.4).

use core::fmt;

/// An application close code. Unknown codes are kept as they came and read as a generic transport error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CloseCode(pub u32);

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $value:literal, $meaning:literal;)+) => {
        impl CloseCode {
            $($(#[$meta])* #[doc = concat!("\n\nOn the wire: ", stringify!($value), ".")] pub const $name: Self = Self($value);)+

            /// Every code that this protocol names.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// A short lower-case phrase for logs and reports; `None` for a code that nobody named.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($meaning),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Normal end, pairing that succeeded, or a reachability probe.
    DONE = 0x00, "normal end";
    /// The client gave a pairing up. Hosts of the v0.23 era also send it for a pipeline that failed after `Start`.
    ERROR = 0x01, "aborted or failed";
    /// Admission: every slot is taken; the reason text says by whom.
    BUSY = 0x42, "host busy";
    /// The person at the client quit on purpose: the host lets nothing linger.
    QUIT = 0x51, "quit by the client";
    /// The launched application exited.
    APP_EXITED = 0x52, "application exited";
    /// No PIN window is open.
    PAIRING_NOT_ARMED = 0x60, "pairing not armed";
    /// The PIN window is bound to another device.
    PAIRING_BOUND = 0x61, "pairing window bound to another device";
    /// Too soon after another attempt.
    PAIRING_RATE_LIMITED = 0x62, "pairing rate limited";
    /// The client showed no certificate.
    IDENTITY_REQUIRED = 0x63, "client identity required";
    /// The operator refused the knock.
    DENIED = 0x64, "denied by the operator";
    /// Nobody answered the knock.
    APPROVAL_TIMEOUT = 0x65, "approval timed out";
    /// A newer knock of the same device replaced this one.
    SUPERSEDED = 0x66, "superseded by a newer request";
    /// Another wire version.
    VERSION_MISMATCH = 0x67, "wire version mismatch";
    /// The session could not be set up; the reason text says why.
    SETUP_FAILED = 0x68, "session set-up failed";
    /// Access expired or was revoked.
    ACCESS_ENDED = 0x69, "access expired or revoked";
    /// This device may not launch applications.
    LAUNCH_DENIED = 0x6a, "launch not permitted";
    /// The host is shutting down, sleeping or restarting.
    POWER = 0x6b, "host power action";
    /// Reset code of a clipboard transfer stream, never of a connection.
    CLIPBOARD_CANCELLED = 0x70, "clipboard transfer cancelled";
}

impl CloseCode {
    /// Longest reason text in bytes that hosts send with a close.
    pub const MAX_REASON: usize = 256;

    /// `reason` cut to [`Self::MAX_REASON`] bytes between two characters.
    #[must_use]
    pub fn reason_text(reason: &str) -> &str {
        crate::wire::cut(reason, Self::MAX_REASON)
    }
}

impl From<u32> for CloseCode {
    fn from(code: u32) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u32 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(meaning) => write!(f, "{:#04x} ({meaning})", self.0),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}
