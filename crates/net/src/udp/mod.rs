//! The UDP data plane on native threads.
//!
//! ```text
//! host    DataSocket::bind ─► wait_for_punch ─► connect ─► send(run of equal packets) …
//! client  DataSocket::bind ─► connect ─► punch … recv(&mut RecvBatch) ─► for each packet
//! host of many clients at one port
//!         SharedSocket::bind ─► recv ─► Path { peer, local } ─► send_to(path, run of equal packets) …
//! ```
//!
//! Sending hands the kernel runs of equal packets: UDP segmentation offload takes up to 64 at once (13–35 times cheaper
//! per packet than `sendto`), and where kernel, device or path refuse that, the same call goes on with `sendmmsg`.

mod ports;
mod punch;
mod recv;
mod shared;
mod socket;
#[allow(unsafe_code)]
mod sys;
#[cfg(test)]
mod tests;

pub use ports::{PortRange, PortRangeError};
pub use punch::{PUNCH, is_punch};
pub use recv::{Packet, RecvBatch};
pub use shared::{Arrival, Flow, Mark, Path, SharedSocket};
pub use socket::{DataSocket, SendReport};
