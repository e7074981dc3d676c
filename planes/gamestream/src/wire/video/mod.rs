//! Video packets (gamestream.md §8): from an access unit to the shards of one frame.
//!
//! ```text
//! frame header (8) ‖ access unit, cut into pieces of B = P − 16 bytes
//! shard  = RTP (12) ‖ 0 (4) ‖ video header (16) ‖ piece                       S = P + 16 bytes, every one of them
//! block  = data shards ‖ recovery shards, together at most 255                1 … 4 blocks a frame
//! packet = shard, or IV (12) ‖ frame (4) ‖ tag (16) ‖ sealed shard            S + 32 bytes
//! ```
//!
//! P is what the client announced, to the byte: it rebuilds lost shards to that length. No frame leaves without recovery
//! shards: [`geometry`] lowers the strength until the frame fits its four blocks, and says from which size on it never
//! does.

pub mod geometry;
pub mod header;
mod packetizer;
mod seal;

pub use geometry::{ShardSizes, max_frame_bytes};
pub use packetizer::{START_FEC_PERCENT, VideoConfig, VideoPacketizer, engine_index, frame_index};
