//! The management API: one router, so far behind one door, the control socket of the local command line.
//!
//! ```text
//! MgmtState::new(…) ─► router(state) ─► socket::ControlSocket::bind(path)? ─► serve(router, shutdown).await
//!                      openapi()        (before "listening": a second host is refused here, too)
//! CLI: client::Client::connect(&paths).await? ─► arm() · devices() · approve() · diagnostics() · …
//! ```
//!
//! Every answer is JSON; every refusal is a [`Problem`] whose `code` is from the reason registry.
#![forbid(unsafe_code)]

#[cfg(unix)]
pub mod client;
mod problem;
mod routes;
#[cfg(unix)]
pub mod socket;
mod state;
mod views;

pub use problem::Problem;
pub use routes::{openapi, router};
pub use state::{HostFacts, MgmtState};
pub use views::{
    ApproveRequest, ArmRequest, Armed, ClientChangeRequest, ClientKind, ClientState, ClientView, Diagnostic,
    DiagnosticStatus, Health, HealthStatus, Host, PairingView, PendingView, PinRequest, PinWantedView, SessionDetails,
    SessionView,
};
