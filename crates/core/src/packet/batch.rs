//! One frame's wire packets in one contiguous, reusable buffer.

use alloc::vec::Vec;
use core::ops::Range;

/// The arena of a frame: `len()` packets of `packet_bytes()` each, back to back, so that any run of them is one slice
/// that a segmenting socket sends with one call. The buffer only ever grows, so a warm batch allocates nothing.
#[derive(Debug, Default)]
pub struct PacketBatch {
    bytes: Vec<u8>,
    packet_bytes: usize,
    len: usize,
}

impl PacketBatch {
    /// An empty batch; the first frame sizes it.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), packet_bytes: 0, len: 0 }
    }

    /// Length of every packet in bytes, which is also the stride.
    #[must_use]
    pub const fn packet_bytes(&self) -> usize {
        self.packet_bytes
    }

    /// Packets in the batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch holds no packet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all packets together.
    #[must_use]
    pub const fn total_bytes(&self) -> usize {
        self.len * self.packet_bytes
    }

    /// The run of packets `range`, contiguous.
    ///
    /// # Panics
    /// If `range` reaches beyond [`PacketBatch::len`].
    #[must_use]
    pub fn packets(&self, range: Range<usize>) -> &[u8] {
        assert!(range.end <= self.len, "packet {} of {}", range.end, self.len);
        &self.bytes[range.start * self.packet_bytes..range.end * self.packet_bytes]
    }

    /// One packet.
    ///
    /// # Panics
    /// If there is no packet `index`.
    #[must_use]
    pub fn packet(&self, index: usize) -> &[u8] {
        self.packets(index..index + 1)
    }

    /// Every packet in order of emission.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.packets(0..self.len).chunks_exact(self.packet_bytes.max(1))
    }

    /// Forgets the packets, keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Makes room for `len` packets of `packet_bytes` and hands out the whole arena. Its contents are whatever an
    /// earlier frame left there: the caller writes every byte.
    pub fn reset(&mut self, packet_bytes: usize, len: usize) -> &mut [u8] {
        self.packet_bytes = packet_bytes;
        self.len = len;
        let total = packet_bytes * len;
        if self.bytes.len() < total {
            self.bytes.resize(total, 0);
        }
        &mut self.bytes[..total]
    }
}
