//! What a route does, as far as access is concerned.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The class of a route: decides which credentials open it.
///
/// | Class | socket | token with scope | paired certificate | signed-in browser | browser before signing in |
/// |---|---|---|---|---|---|
/// | `View` | yes | `read` | yes | yes | no |
/// | `Inspect` | yes | `read` | no | yes | no |
/// | `Metrics` | yes | `metrics` | no | no | no |
/// | `Control` | yes | `control` | no | yes | no |
/// | `Pair` | yes | `pair` | no | yes | no |
/// | `Admin` | yes | `admin` | no | yes | no |
/// | `ConsoleDoor` | yes | no | no | yes | yes |
/// | `Local` | yes | no | no | no | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Looks at what a paired device may know: the host, who streams, what can be launched.
    View,
    /// Looks at what only the operator should know: devices, logs, settings.
    Inspect,
    /// The metrics page.
    Metrics,
    /// Steers sessions and displays.
    Control,
    /// Lets devices in and decides what they may do.
    Pair,
    /// Changes the host and its credentials.
    Admin,
    /// Signing in: only at the console's door, before there is a credential.
    ConsoleDoor,
    /// Only the command line on the same machine.
    Local,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::View,
        Self::Inspect,
        Self::Metrics,
        Self::Control,
        Self::Pair,
        Self::Admin,
        Self::ConsoleDoor,
        Self::Local,
    ];

    /// As written in the OpenAPI document (`x-access`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Inspect => "inspect",
            Self::Metrics => "metrics",
            Self::Control => "control",
            Self::Pair => "pair",
            Self::Admin => "admin",
            Self::ConsoleDoor => "console-door",
            Self::Local => "local",
        }
    }

    /// The scope that a token needs; `None`: no token opens it.
    #[must_use]
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::View | Self::Inspect => Some(Scope::Read),
            Self::Metrics => Some(Scope::Metrics),
            Self::Control => Some(Scope::Control),
            Self::Pair => Some(Scope::Pair),
            Self::Admin => Some(Scope::Admin),
            Self::ConsoleDoor | Self::Local => None,
        }
    }

    /// Whether a paired device's certificate opens it.
    #[must_use]
    pub const fn open_to_certificate(self) -> bool {
        matches!(self, Self::View)
    }

    /// Whether a signed-in browser opens it.
    #[must_use]
    pub const fn open_to_session(self) -> bool {
        !matches!(self, Self::Metrics | Self::Local)
    }
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything but metrics.
    Read,
    /// Read `/metrics`.
    Metrics,
    /// Steer sessions and displays.
    Control,
    /// Let devices in, change and unpair them.
    Pair,
    /// Change settings and credentials, restart the host.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Read, Self::Metrics, Self::Control, Self::Pair, Self::Admin];

    /// As written in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Metrics => "metrics",
            Self::Control => "control",
            Self::Pair => "pair",
            Self::Admin => "admin",
        }
    }
}
