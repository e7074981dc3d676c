//! Desktops that open a [`punktfunk_media::Stage`]: a running wlroots session, and private headless desktops, composited
//! by sway or by ourselves.
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
mod builtin;
mod detect;
mod gpu;
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
mod tree;
mod wlroots;

pub use builtin::BuiltinDesktop;
pub use detect::{Candidate, DesktopChoice, DetectConfig, Environment, detect};
pub use gpu::{gpus, gpus_below, programs_are_told};
pub use private::{PrivateCompositor, PrivateConfig, PrivateContent, PrivateDesktop};
pub use probe::{ProbeReport, probe};
pub use punktfunk_compositor::find_xwayland;
pub use punktfunk_inject::KeyboardLayout;
pub use record::{BACKEND_APP, BACKEND_BUILTIN, BACKEND_PRIVATE, BACKEND_WLROOTS, UndoError, undo};
pub use wlroots::{SessionSockets, WlrootsDesktop, session_sound_server};

/// `DesktopInfo::wire_id` of everything wlroots.
const WIRE_ID_WLROOTS: u8 = 2;
