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
pub mod rtsp;
pub mod wire;

mod sockets;
