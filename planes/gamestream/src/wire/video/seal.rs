//! Sealing of single shards (gamestream.md §8.7): AES-128-GCM with the session's key, no additional data.

use punktfunk_core::seal::Aead;

/// IV, frame and tag in front of a sealed shard.
pub const SEAL_PREFIX_BYTES: usize = 32;

/// Seals shards and owns their counter: the IV is it, so no two shards share one.
pub struct ShardSealer {
    aead: Box<dyn Aead>,
    next: u64,
}

impl ShardSealer {
    pub fn new(key: &[u8; 16]) -> Self {
        Self { aead: punktfunk_accel::aes128_gcm(key), next: 0 }
    }

    /// Seals `packet` = [`SEAL_PREFIX_BYTES`] ‖ shard in place and fills in the prefix.
    ///
    /// # Panics
    /// If `packet` is shorter than the prefix, or after 2^64 shards: both are bugs of the caller.
    pub fn seal(&mut self, packet: &mut [u8], frame: u32) {
        let counter = self.next;
        // 2^64 shards do not happen; repeating an IV would be worse than stopping.
        self.next = counter.checked_add(1).expect("shard counter exhausted");
        let mut iv = [0; 12];
        iv[..8].copy_from_slice(&counter.to_le_bytes());
        iv[11] = b'V';
        let (prefix, shard) = packet.split_at_mut(SEAL_PREFIX_BYTES);
        let tag = self.aead.seal(&iv, &[], shard);
        prefix[..12].copy_from_slice(&iv);
        prefix[12..16].copy_from_slice(&frame.to_le_bytes());
        prefix[16..].copy_from_slice(&tag);
    }
}
