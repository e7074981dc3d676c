//! The `punktfunk/1` plane: QUIC control beside a native-thread UDP data plane.
//!
//! ```text
//! accept (limits) ─► TLS ─► first message ─┬─ pairing: SPAKE2, then the connection is over
//!                                          └─ Hello: gate ─► plan ─► slot ─► display ─► Welcome ─► Start ─► session
//! ```
//!
//! Every connection is one tokio task that owns everything it took and gives it back on every path. Video never passes
//! through tokio: the engine's threads send it on the session's own socket. A connection ends with a close code for the
//! client's program and a sentence for the person, both from the registry of reasons.
#![forbid(unsafe_code)]

mod clipboard;
mod conn;
mod control;
mod cursor;
mod gate;
mod holder;
mod launch;
mod limits;
mod link;
mod mdns;
mod negotiate;
mod outbox;
mod pads;
mod pairing;
mod plane;
mod refusal;
mod session;
mod setup;
mod sound;
mod stream;

pub use mdns::MdnsConfig;
pub use pads::NativePads;
pub use plane::{NativeConfig, NativePlane, StartError};
