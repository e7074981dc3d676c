//! The built-in desktop: a headless Wayland compositor that draws into memory that its consumer lends.
//!
//! ```text
//! host process                                   worker process, one per client identity
//! WorkerLink ── control ──┐                      ┌── Server ── programs (Wayland)
//! WorkerCapturer ─ slots ─┼─ compositor.sock ────┤     └─ Pacer: callbacks and drawing follow the credits
//! WorkerInjector ─ input ─┘                      └── Programs: started by scripts, reaped
//! ```
//!
//! The worker is the same binary, started anew. It outlives the host that started it, and the programs on it with it; the
//! next host connects to the same socket. Whatever programs send is parsed there and nowhere else.

mod host;
mod pace;
mod programs;
mod server;
mod wire;
mod worker;
mod xwayland;

pub use host::{LinkError, WorkerCapturer, WorkerInjector, WorkerLink};
pub use server::{
    CONTROL_SOCKET, DISPLAY_SOCKET, NUMBERS_FILE as X11_DISPLAYS_FILE, Server, ServerConfig, check_mode, find_xwayland,
    remove_stale as remove_stale_x11_display,
};
pub use wire::WindowInfo;
pub use worker::{WorkerArgs, run_worker};
pub use xwayland::become_xwayland;
