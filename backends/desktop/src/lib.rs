//! Desktops that open a [`punktfunk_media::Stage`]: a running wlroots session, and the private headless desktop.
//!
//! ```text
//! detect(config) ─► [Candidate…] ── first usable ──► Desktop::open ─► Stage { output, capturer, injector, undo guard }
//!                                                        │
//!                                       journal record ──┘── undo(record): by the owner, the watchdog or the next start
//! ```
//!
//! Everything is done through the compositor's own sockets (sway IPC and Wayland); no helper program is run but the
//! private desktop's own.

mod app;
mod detect;
mod ipc;
mod keyboard;
mod output;
mod private;
mod probe;
mod process;
mod random;
mod record;
pub mod scene;
mod shell;
mod stage;
mod touch;
mod wlroots;

pub use detect::{Candidate, DesktopChoice, DetectConfig, Environment, detect};
pub use private::{PrivateConfig, PrivateContent, PrivateDesktop};
pub use probe::{ProbeReport, probe};
pub use punktfunk_inject::KeyboardLayout;
pub use record::{BACKEND_APP, BACKEND_PRIVATE, BACKEND_WLROOTS, UndoError, undo};
pub use wlroots::{SessionSockets, WlrootsDesktop};

/// `DesktopInfo::wire_id` of everything wlroots.
const WIRE_ID_WLROOTS: u8 = 2;
