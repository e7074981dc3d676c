//! The video packet: what lies inside the seal, and the arena that holds a whole frame of them.
//!
//! ```text
//! wire packet  = sequence (8, big-endian) ‖ sealed( header (40) ‖ shard (S) ) ‖ tag (16)        S + 64 bytes
//! PacketBatch  = wire packet, wire packet, …    one contiguous buffer, all packets of one frame, all equally long
//! ```
//!
//! The host copies an access unit once into the shard slots of a [`PacketBatch`]; FEC writes the recovery slots, the
//! sealer works in place, and the socket sends runs of equal packets straight from the batch (punktfunk1.md §5).

mod batch;
mod header;

pub use batch::PacketBatch;
pub use header::{HEADER_BYTES, HeaderError, PACKET_MAGIC, PACKET_VERSION, PacketFlags, PacketHeader, UserFlags};

/// Bytes of the packet sequence number in front of the sealed part.
pub const SEQUENCE_BYTES: usize = 8;
/// Bytes of the AEAD tag behind the sealed part.
pub const TAG_BYTES: usize = 16;
/// What sealing adds to a plaintext packet: sequence and tag.
pub const SEALED_OVERHEAD: usize = SEQUENCE_BYTES + TAG_BYTES;
/// What a wire packet is longer than its shard: sequence, header and tag.
pub const PACKET_OVERHEAD: usize = SEALED_OVERHEAD + HEADER_BYTES;
/// Where the shard starts inside a wire packet.
pub const SHARD_OFFSET: usize = SEQUENCE_BYTES + HEADER_BYTES;

/// The smallest shard that any receiver takes without having been told a smaller one in `Welcome`, in bytes.
pub const MIN_SHARD_BYTES: usize = 512;
/// The largest shard on the wire, in bytes.
pub const MAX_SHARD_BYTES: usize = 9152;
/// The largest access unit on the wire, in bytes, whatever the bitrate.
pub const MAX_FRAME_BYTES: usize = 64 << 20;

/// The largest access unit that a receiver takes at this bitrate: four frames' worth, within 8 MiB … 64 MiB, and
/// 64 MiB where the bitrate is unknown (0). A refresh of 0 counts as 1.
#[must_use]
pub fn max_frame_bytes(bitrate_kbps: u32, refresh_hz: u32) -> usize {
    if bitrate_kbps == 0 {
        return MAX_FRAME_BYTES;
    }
    let frames = 4 * u64::from(bitrate_kbps) * 125 / u64::from(refresh_hz.max(1));
    frames.clamp(8 << 20, MAX_FRAME_BYTES as u64) as usize
}
