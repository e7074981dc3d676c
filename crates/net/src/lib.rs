//! Sockets for the core.
//!
//! ```text
//! identity ──► quic::server / quic::client ──► one Endpoint builder (ALPN table, transport parameters)   control, tokio
//!              udp::DataSocket  bind → (punch) → connect → send runs of equal packets | recv batches     video, native threads
//! ```
//!
//! [`identity`] keeps the self-signed certificate that is a peer's whole identity, [`quic`] makes every QUIC endpoint in
//! one function, [`tls`] says which certificates count and accepts for HTTPS, [`tcp`] listens, [`mdns`] advertises, [`udp`] moves video packets
//! in batches (UDP segmentation offload, `sendmmsg`, `recvmmsg` with GRO).
//! `unsafe` lives in one module, `udp::sys`.
#![deny(unsafe_code)]

pub mod identity;
pub mod mdns;
pub mod quic;
pub mod tcp;
pub mod tls;
pub mod udp;

pub use identity::Identity;
