//! Receiving in batches: many datagrams per system call, and with receive offload many per buffer.

use super::sys::{MAX_BATCH, Received};

/// Reusable memory for [`super::DataSocket::recv`]: a number of buffers, each large enough for a run of joined
/// datagrams. Nothing is allocated after [`Self::new`].
pub struct RecvBatch {
    pub(super) memory: Vec<u8>,
    pub(super) received: [Received; MAX_BATCH],
    pub(super) buffers: usize,
    pub(super) filled: usize,
}

/// One datagram of a batch. May be changed in place (opened, for one).
#[derive(Debug)]
pub struct Packet<'a> {
    /// The payload.
    pub bytes: &'a mut [u8],
    /// True if the datagram was longer than the buffer: what is left of it is of no use.
    pub truncated: bool,
}

impl RecvBatch {
    /// Room for `buffers` (1 … 64) receive buffers of 64 KiB.
    #[must_use]
    pub fn new(buffers: usize) -> Self {
        let buffers = buffers.clamp(1, MAX_BATCH);
        Self { memory: vec![0; buffers * BUFFER_BYTES], received: [Received::default(); MAX_BATCH], buffers, filled: 0 }
    }

    /// The datagrams of the last receive, in order of arrival.
    pub fn packets(&mut self) -> impl Iterator<Item = Packet<'_>> {
        let buffers = self.memory.chunks_exact_mut(BUFFER_BYTES);
        buffers.zip(&self.received).take(self.filled).flat_map(|(buffer, received)| {
            let segment = if received.segment == 0 { BUFFER_BYTES } else { received.segment };
            let truncated = received.truncated;
            let filled = &mut buffer[..received.len];
            // An empty datagram is a datagram, too, but nobody can use it: chunks_mut yields none for it.
            filled.chunks_mut(segment).map(move |bytes| Packet { bytes, truncated })
        })
    }
}

/// The largest run the kernel joins (and the largest UDP datagram) fits.
pub(super) const BUFFER_BYTES: usize = 64 << 10;
