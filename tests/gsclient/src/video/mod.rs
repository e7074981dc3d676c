//! The receiving half of video (§8), without sockets: datagrams go in, frames and requests come out.
//!
//! ```text
//! datagram ─► open (seal) ─► Shard ─► Queue: one block at a time, FEC ─► frame ─► Recovery ─► Output
//! ```
//!
//! Every rule of §8.3–8.8 is checked on the way.

mod bitstream;
mod block;
mod queue;
mod recovery;
mod shard;

pub use queue::{Output, Video, VideoOptions, VideoStats};
pub use shard::{Header, Opened, ShardOpener};

use std::time::Instant;

/// A whole access unit.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Frame index, from 1.
    pub index: u32,
    /// 1 P, 2 key, 4 intra-refresh recovery, 5 P after invalidation.
    pub kind: u8,
    /// Host processing latency in 0.1 ms, 0 = not given.
    pub latency: u16,
    /// Stored by the host as a long-term reference.
    pub long_term: bool,
    /// 90 kHz.
    pub timestamp: u32,
    /// The access unit.
    pub data: Vec<u8>,
    /// When its first datagram came.
    pub first_at: Instant,
    /// When the datagram came that made it whole.
    pub whole_at: Instant,
    /// Shards that FEC rebuilt.
    pub rebuilt: usize,
}

/// Bytes of a shard before the payload.
pub const HEADER: usize = 32;
/// Bytes of the frame header at the start of the first payload.
pub const FRAME_HEADER: usize = 8;
/// Keyframe, in the frame header.
pub const KEY: u8 = 2;
