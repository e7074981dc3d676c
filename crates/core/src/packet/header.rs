//! The 40-byte header in front of each shard (punktfunk1.md §5.2), little-endian, no padding.

use core::ops::BitOr;

/// Length of [`PacketHeader`] on the wire.
pub const HEADER_BYTES: usize = 40;
/// Byte 36 of every header.
pub const PACKET_MAGIC: u8 = 0xC9;
/// Byte 37 of every header we write; receivers do not check it.
pub const PACKET_VERSION: u8 = 1;

/// One packet's place in its frame. Field meanings are those of the wire; a decoded header is not yet checked against
/// any geometry: that is the reassembler's work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketHeader {
    /// Capture time, host wall clock, nanoseconds.
    pub pts_ns: u64,
    /// Access-unit number, +1 per unit, wraps. Video and probe units count apart.
    pub frame_index: u32,
    /// +1 per packet over the session; informative.
    pub stream_seq: u32,
    /// Exact access-unit size in bytes; in a sentinel 0 (plain streaming) or the block's byte offset (slice streaming).
    pub frame_bytes: u32,
    /// What kind of access unit this is.
    pub user_flags: UserFlags,
    /// 0-based block of the frame.
    pub block_index: u16,
    /// Blocks in the frame; 0 marks a sentinel, sent before the access unit's size was known.
    pub block_count: u16,
    /// k: data shards of this block.
    pub data_shards: u16,
    /// m: recovery shards of this block.
    pub recovery_shards: u16,
    /// 0…k−1 data, k…k+m−1 recovery.
    pub shard_index: u16,
    /// S: bytes of the shard behind this header, even.
    pub shard_bytes: u16,
    /// 0 = GF(2^8), 1 = GF(2^16). Receivers use the scheme of `Welcome` instead.
    pub fec_scheme: u8,
    /// Position marks; receivers do not need them.
    pub flags: PacketFlags,
}

/// Why bytes are not a packet header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than [`HEADER_BYTES`].
    #[error("packet of {0} bytes is shorter than its header")]
    Truncated(usize),
    /// Byte 36 is not [`PACKET_MAGIC`].
    #[error("packet magic is {0:#04x}")]
    BadMagic(u8),
}

impl PacketHeader {
    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// Too short, or the magic byte differs.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(b) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(HeaderError::Truncated(bytes.len()));
        };
        if b[36] != PACKET_MAGIC {
            return Err(HeaderError::BadMagic(b[36]));
        }
        let u16_at = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        Ok(Self {
            pts_ns: u64::from(u32_at(0)) | u64::from(u32_at(4)) << 32,
            frame_index: u32_at(8),
            stream_seq: u32_at(12),
            frame_bytes: u32_at(16),
            user_flags: UserFlags(u32_at(20)),
            block_index: u16_at(24),
            block_count: u16_at(26),
            data_shards: u16_at(28),
            recovery_shards: u16_at(30),
            shard_index: u16_at(32),
            shard_bytes: u16_at(34),
            fec_scheme: b[38],
            flags: PacketFlags(b[39]),
        })
    }

    /// Writes the header; magic and version are filled in.
    pub fn encode(&self, out: &mut [u8; HEADER_BYTES]) {
        out[0..8].copy_from_slice(&self.pts_ns.to_le_bytes());
        out[8..12].copy_from_slice(&self.frame_index.to_le_bytes());
        out[12..16].copy_from_slice(&self.stream_seq.to_le_bytes());
        out[16..20].copy_from_slice(&self.frame_bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.user_flags.0.to_le_bytes());
        out[24..26].copy_from_slice(&self.block_index.to_le_bytes());
        out[26..28].copy_from_slice(&self.block_count.to_le_bytes());
        out[28..30].copy_from_slice(&self.data_shards.to_le_bytes());
        out[30..32].copy_from_slice(&self.recovery_shards.to_le_bytes());
        out[32..34].copy_from_slice(&self.shard_index.to_le_bytes());
        out[34..36].copy_from_slice(&self.shard_bytes.to_le_bytes());
        out[36] = PACKET_MAGIC;
        out[37] = PACKET_VERSION;
        out[38] = self.fec_scheme;
        out[39] = self.flags.0;
    }
}

/// What kind of access unit a packet belongs to (punktfunk1.md §5.4). Unknown bits are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct UserFlags(pub u32);

impl UserFlags {
    /// Set on all video.
    pub const PICTURE: Self = Self(0x001);
    /// The access unit is a keyframe (IDR).
    pub const KEYFRAME: Self = Self(0x004);
    /// Speed-test filler: counted, never decoded. Filler carries exactly this bit.
    pub const PROBE: Self = Self(0x008);
    /// An intra-refresh wave boundary.
    pub const RECOVERY_POINT: Self = Self(0x010);
    /// A P-frame that references only pictures the client is known to hold.
    pub const RECOVERY_ANCHOR: Self = Self(0x020);
    /// Every shard-sized window is self-contained (PyroWave).
    pub const CHUNK_ALIGNED: Self = Self(0x040);
    /// A slice-streamed access unit.
    pub const SLICE_STREAM: Self = Self(0x080);
    /// A re-encode of an unchanged picture.
    pub const REPEAT: Self = Self(0x100);
    /// The close of an intra-refresh wave (latest builds).
    pub const RECOVERY_CLOSE: Self = Self(0x200);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for UserFlags {
    type Output = Self;

    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

/// Position marks in byte 39 of the header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PacketFlags(pub u8);

impl PacketFlags {
    /// The packet carries video.
    pub const PICTURE: Self = Self(0x1);
    /// The last emitted packet of its frame.
    pub const END_OF_FRAME: Self = Self(0x2);
    /// Block 0, shard 0.
    pub const START_OF_FRAME: Self = Self(0x4);
}

impl BitOr for PacketFlags {
    type Output = Self;

    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_foreign_packets_are_refused() {
        assert_eq!(PacketHeader::decode(&[0; 39]), Err(HeaderError::Truncated(39)));
        assert_eq!(PacketHeader::decode(&[0; 40]), Err(HeaderError::BadMagic(0)));
    }
}
