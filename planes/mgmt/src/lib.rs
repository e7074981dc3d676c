//! The management API, the web console and the metrics: one router behind three doors.
//!
//! ```text
//! MgmtState::new(…) ─► router(state) ─────────► socket::ControlSocket::bind(path)? ─► serve(…)    peer uid; the CLI
//!                      │                └─────► door::Door::bind(…:47990, Lan) ─► serve(…)       tokens, paired certificates
//!                      console_router(state) ─► door::Door::bind(…:47992, Console) ─► serve(…)   the console, signed in
//! CLI: client::Client::connect(&paths).await? ─► arm() · devices() · approve() · diagnostics() · …
//! ```
//!
//! Every answer is JSON; every refusal is a [`Problem`] whose `code` is from the reason registry. Who may ask what is
//! decided in [`access`], route by route.
#![forbid(unsafe_code)]

pub mod access;
mod assets;
#[cfg(unix)]
pub mod client;
pub mod door;
pub mod logs;
mod problem;
mod recordings;
mod routes;
pub mod settings;
#[cfg(unix)]
pub mod socket;
mod state;
mod streams;
mod thumbnails;
mod views;

pub use assets::console_is_built;
pub use axum::Router;
pub use problem::Problem;
pub use routes::{ConsoleLink, Preset, console_router, openapi, router};
pub use state::{HostFacts, MgmtState};
pub use views::{
    Action, ApproveRequest, ArmRequest, Armed, ClientChangeRequest, ClientKind, ClientState, ClientView, Diagnostic,
    DiagnosticStatus, EncoderView, GpuUse, GpuView, Health, HealthStatus, Host, PairingView, PendingView, PinRequest,
    PinWantedView, SessionDetails, SessionView, StageView, StatusView,
};
