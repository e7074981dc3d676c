//! The GameStream plane: every stock Moonlight client, over the same hub and engine as `punktfunk/1`.
//!
//! ```text
//! mDNS ─► http (HTTP, HTTPS) ── pair · applist · launch ──► door::Sessions ─► plane
//!                                                              ▲   rtsp ── door::RtspSessions
//! control (ENet) ── input, IDR, invalidation ── door::ControlSessions ──┘     wire/ = sans-IO layouts of all of them
//! ```
#![forbid(unsafe_code)]

pub mod control;
pub mod door;
pub mod http;
pub mod input;
pub mod media_ports;
mod plane;
pub mod policy;
pub mod rtsp;
mod session;
mod sockets;
pub mod sound;
pub mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use plane::{Doors, GameStreamConfig, GameStreamPlane, StartError};

/// Locks a mutex whose data is valid between any two statements of its holders.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
