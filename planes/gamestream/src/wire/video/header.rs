//! The headers of shards and frames (gamestream.md §8.3, §8.4).

use std::time::Duration;

/// RTP, 4 reserved bytes and the video header: what lies before a shard's payload.
pub const SHARD_HEADER_BYTES: usize = 32;
/// In front of the access unit, in the first shard's payload.
pub const FRAME_HEADER_BYTES: usize = 8;

/// What the shards of one block have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardHeader {
    /// RTP timestamp, 90 kHz.
    pub timestamp: u32,
    /// Frame, from 1.
    pub frame: u32,
    /// Block of the frame.
    pub block: u8,
    /// The frame's last block.
    pub last_block: u8,
    /// Data shards of the block.
    pub data_shards: usize,
    /// FEC percentage of the block.
    pub percent: u8,
}

impl ShardHeader {
    /// Writes the whole header of data shard `index`; `sequence` counts the session's shards and does not wrap at 16
    /// bits.
    ///
    /// # Panics
    /// If `shard` is shorter than [`SHARD_HEADER_BYTES`]: a bug of the caller.
    pub fn write_data(&self, shard: &mut [u8], sequence: u32, index: usize) {
        let first = if index == 0 { FLAG_START } else { 0 };
        let last = if index + 1 == self.data_shards { FLAG_END } else { 0 };
        shard[16..20].copy_from_slice(&(sequence << 8).to_le_bytes());
        shard[24..27].copy_from_slice(&[FLAG_PICTURE | first | last, 0, MULTI_FEC_FLAGS]);
        self.write_common(shard, sequence, index);
    }

    /// Writes what FEC does not give recovery shard `index` of the block (counted from 0): the rest stays as computed,
    /// because from it the client restores counters and flags of lost data shards.
    ///
    /// # Panics
    /// As [`Self::write_data`].
    pub fn write_recovery(&self, shard: &mut [u8], sequence: u32, index: usize) {
        self.write_common(shard, sequence, self.data_shards + index);
    }

    fn write_common(&self, shard: &mut [u8], sequence: u32, index: usize) {
        shard[..2].copy_from_slice(&[RTP_VERSION_EXTENSION, 0]);
        shard[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
        shard[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        shard[8..16].fill(0);
        shard[20..24].copy_from_slice(&self.frame.to_le_bytes());
        shard[27] = self.block << 4 | self.last_block << 6;
        let info = (self.data_shards as u32) << 22 | (index as u32) << 12 | u32::from(self.percent) << 4;
        shard[28..32].copy_from_slice(&info.to_le_bytes());
    }
}

/// What kind of picture a frame holds, as the client reads it to leave its recovery from losses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameType {
    /// Refers to what came before.
    Predicted = 1,
    /// An IDR.
    Key = 2,
    /// Refers only to pictures that the client has, after an invalidation.
    AfterInvalidation = 5,
}

/// The bytes in front of an access unit of `len` bytes that is cut into payloads of `payload` bytes.
#[must_use]
pub fn frame_header(kind: FrameType, latency: Duration, len: usize, payload: usize) -> [u8; FRAME_HEADER_BYTES] {
    let tenths = u16::try_from(latency.as_micros() / 100).unwrap_or(u16::MAX).to_le_bytes();
    let last = match (FRAME_HEADER_BYTES + len) % payload {
        0 => payload,
        rest => rest,
    };
    // At most a payload, which is shorter than a packet size of 16 bits.
    let last = (last as u16).to_le_bytes();
    [1, tenths[0], tenths[1], kind as u8, last[0], last[1], 0, 0]
}

/// RTP version 2 with the extension bit, which stands for the four bytes after the RTP header.
const RTP_VERSION_EXTENSION: u8 = 0x90;
const MULTI_FEC_FLAGS: u8 = 0x10;
const FLAG_PICTURE: u8 = 0x1;
const FLAG_END: u8 = 0x2;
const FLAG_START: u8 = 0x4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_payload_is_exact_also_where_it_is_full() {
        let last = |len| {
            let header = frame_header(FrameType::Predicted, Duration::ZERO, len, 1376);
            u16::from_le_bytes([header[4], header[5]])
        };
        // One shard counts the header, too.
        assert_eq!(last(1), 9);
        assert_eq!(last(1368), 1376);
        assert_eq!(last(1369), 1);
        assert_eq!(last(1368 + 1376), 1376);
        assert_eq!(last(0), 8);
    }

    #[test]
    fn latency_counts_tenths_of_a_millisecond_and_saturates() {
        let latency = |d| {
            let header = frame_header(FrameType::Key, d, 1, 1376);
            assert_eq!((header[0], header[3]), (1, 2));
            u16::from_le_bytes([header[1], header[2]])
        };
        assert_eq!(latency(Duration::from_micros(12_345)), 123);
        assert_eq!(latency(Duration::ZERO), 0);
        assert_eq!(latency(Duration::from_secs(60)), u16::MAX);
    }
}
