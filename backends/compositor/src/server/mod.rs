//! The compositor: one thread, one loop, one output.
//!
//! ```text
//! poll ─┬─► programs' requests (wayland-server) ─► handlers ─► Pacer::changed
//!       ├─► hosts' messages ─► questions, slots and credits, input
//!       ├─► ended children
//!       ├─► X11: a first program, Xwayland ready, its messages (calloop's descriptor)
//!       └─► deadline ─┬► Pacer::next ─┬─► frame callbacks
//!                     │               └─► draw into the lent slot ─► frame note, presentation times
//!                     ├► pictures that programs want to be seen later
//!                     └► the pointer beside the picture, where it is wanted there
//! ```
//!
//! No timer source: everything that can happen is a readable descriptor or the pacer's next deadline, so a still desktop
//! sleeps in one `poll`. The event-loop library is there for what smithay does for X11 alone.

mod apart;
mod cursor;
mod direct;
mod dispatch;
mod edges;
mod focus;
mod globals;
mod handlers;
mod held;
mod hosts;
mod input;
mod moving;
mod pen;
mod pointer;
mod render;
mod screen;
mod shortcuts;
mod state;
mod text;
mod text_input;
mod timing;
mod window;
mod windows;
mod x11;

pub use dispatch::{DISPLAY_SOCKET, Server};
pub use hosts::CONTROL_SOCKET;
pub use state::State;
pub use x11::{NUMBERS_FILE, find_xwayland, remove_stale};

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::Mode;

/// How a compositor starts.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Folder for its sockets; exists and belongs to this process's user alone.
    pub runtime_dir: std::path::PathBuf,
    /// The output's mode.
    pub mode: Mode,
    /// Output pixels per logical pixel.
    pub scale: f64,
    /// The seat's keyboard.
    pub keyboard: KeyboardLayout,
}

/// Refuses what no output of ours can be.
///
/// # Errors
/// A sentence with the numbers.
pub fn check_mode(mode: Mode, scale: f64) -> Result<(), String> {
    let pixels = u64::from(mode.width) * u64::from(mode.height);
    let sides = [mode.width, mode.height].into_iter().all(|side| (1..=LARGEST_SIDE).contains(&side));
    if !sides || pixels > MOST_PIXELS || !(1..=HIGHEST_REFRESH_HZ).contains(&mode.refresh_hz) {
        return Err(format!("{mode} is outside of 1x1@1 to {LARGEST_SIDE}x{LARGEST_SIDE}@{HIGHEST_REFRESH_HZ}"));
    }
    if !(SMALLEST_SCALE..=LARGEST_SCALE).contains(&scale) {
        return Err(format!("a scale of {scale} is outside of {SMALLEST_SCALE} to {LARGEST_SCALE}"));
    }
    Ok(())
}

/// What the sway desktop accepts, so that both kinds answer alike.
const LARGEST_SIDE: u32 = 16_384;
/// 8192x8192: a picture of 256 MiB, of which a consumer lends two or three.
const MOST_PIXELS: u64 = 8192 * 8192;
const HIGHEST_REFRESH_HZ: u32 = 1000;
const SMALLEST_SCALE: f64 = 0.5;
const LARGEST_SCALE: f64 = 8.0;
