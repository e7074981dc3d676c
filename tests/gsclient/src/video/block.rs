//! One FEC block while its shards arrive.

use punktfunk_core::fec::{Fec, ShardLayout};

use super::Header;
use crate::Violations;
use crate::control::FecStatus;

/// The block being received. Kept after it is whole, so that recovery shards that come later can be judged.
pub(super) struct Block {
    pub(super) head: Header,
    pub(super) recovery: usize,
    shard_bytes: usize,
    /// Data shards, then recovery shards, each of `shard_bytes`.
    bytes: Vec<u8>,
    have: Vec<bool>,
    data_have: usize,
    recovery_have: usize,
    highest: usize,
    /// stream_index minus index.
    stream_base: Option<u32>,
    pub(super) done: bool,
    pub(super) rebuilt: usize,
    pub(super) long_term: bool,
}

impl Block {
    pub(super) fn new(head: Header, shard_bytes: usize) -> Self {
        let recovery = head.recovery();
        let all = head.data + recovery;
        Self {
            head,
            recovery,
            shard_bytes,
            bytes: vec![0; all * shard_bytes],
            have: vec![false; all],
            data_have: 0,
            recovery_have: 0,
            highest: 0,
            stream_base: None,
            done: false,
            rebuilt: 0,
            long_term: false,
        }
    }

    /// RTP sequence of its first shard.
    pub(super) fn base(&self) -> u16 {
        self.head.sequence.wrapping_sub(self.head.index as u16)
    }

    /// RTP sequence after its last shard.
    pub(super) fn end(&self) -> u16 {
        self.base().wrapping_add(self.have.len() as u16)
    }

    /// First value that streamPacketIndex may have in the next block.
    pub(super) fn stream_end(&self) -> Option<u32> {
        self.stream_base.map(|base| base.wrapping_add(self.head.data as u32) & 0xFF_FFFF)
    }

    /// Takes a shard of this block; true if that made it complete.
    pub(super) fn add(&mut self, head: &Header, shard: &[u8], v: &mut Violations) -> bool {
        let same = (head.data, head.percentage, head.last_block, head.timestamp)
            == (self.head.data, self.head.percentage, self.head.last_block, self.head.timestamp);
        let base = head.sequence.wrapping_sub(head.index as u16);
        if !same || base != self.base() {
            v.note("§8.5", format_args!("{head:?} in the block of {:?}", self.head));
            return false;
        }
        // Only the last data shard of the frame may be short.
        let may_be_short = head.index + 1 == head.data && head.block == head.last_block;
        let fits = shard.len() == self.shard_bytes || (may_be_short && shard.len() < self.shard_bytes);
        v.check(fits, "§8.2", || format!("shard of {} bytes, not {}: {head:?}", shard.len(), self.shard_bytes));
        if !fits && shard.len() > self.shard_bytes {
            return false;
        }
        if std::mem::replace(&mut self.have[head.index], true) {
            return false;
        }
        self.bytes[head.index * self.shard_bytes..][..shard.len()].copy_from_slice(shard);
        self.highest = self.highest.max(head.index);
        if head.is_data() {
            self.data_have += 1;
            self.long_term |= head.extra_flags & 1 != 0;
            let base = head.stream_index.wrapping_sub(head.index as u32) & 0xFF_FFFF;
            let expected = *self.stream_base.get_or_insert(base);
            v.check(base == expected, "§8.3", || format!("streamPacketIndex jumps inside a block: {head:?}"));
        } else {
            self.recovery_have += 1;
        }
        !self.done && self.data_have + self.recovery_have >= self.head.data
    }

    /// Makes all data shards whole; only when [`Block::add`] said so.
    pub(super) fn complete(&mut self, fec: &mut dyn Fec, v: &mut Violations) -> bool {
        let data = self.head.data;
        let missing: Vec<u16> = (0..data).filter(|i| !self.have[*i]).map(|i| i as u16).collect();
        if !missing.is_empty() {
            let size = self.shard_bytes;
            let (shards, recovery) = self.bytes.split_at_mut(data * size);
            let index: Vec<u16> = (0..self.recovery).filter(|j| self.have[data + j]).map(|j| j as u16).collect();
            let at_hand: Vec<u8> =
                index.iter().flat_map(|j| &recovery[usize::from(*j) * size..][..size]).copied().collect();
            let layout = ShardLayout { stride: size, shard_bytes: size, k: data, m: self.recovery };
            if let Err(e) = fec.recover(shards, &missing, &at_hand, &index, &layout) {
                v.note("§8.6", format_args!("FEC: {e}"));
                return false;
            }
            // What the client checks of a rebuilt shard: index and flags come out of the code itself.
            for index in missing.into_iter().map(usize::from) {
                let shard = &self.bytes[index * size..][..size];
                let expected = 1 | u8::from(index + 1 == data) << 1 | u8::from(index == 0) << 2;
                v.check(shard[24] == expected, "§8.6", || {
                    format!("rebuilt shard {index} of {data} has flags {:#04x}: {:?}", shard[24], self.head)
                });
                let stream = u32::from_le_bytes([shard[16], shard[17], shard[18], shard[19]]) >> 8;
                let wanted = self.stream_base.map(|base| base.wrapping_add(index as u32) & 0xFF_FFFF);
                v.check(wanted.is_none_or(|w| w == stream), "§8.6", || {
                    format!("rebuilt shard {index}: stream index {stream}")
                });
                self.rebuilt += 1;
            }
        }
        self.done = true;
        true
    }

    /// Payloads of the data shards, in order.
    pub(super) fn payload(&self) -> impl Iterator<Item = &[u8]> {
        let data = &self.bytes[..self.head.data * self.shard_bytes];
        data.chunks_exact(self.shard_bytes).map(|shard| &shard[super::HEADER..])
    }

    /// Compares the recovery shards that came with what they must be, if all data shards came by themselves. The columns
    /// that the host writes after computing them are left out.
    pub(super) fn verify(&self, fec: &mut dyn Fec, v: &mut Violations) -> bool {
        if self.recovery_have == 0 || self.data_have < self.head.data {
            return false;
        }
        let size = self.shard_bytes;
        let (data, recovery) = self.bytes.split_at(self.head.data * size);
        let mut expected = vec![0; recovery.len()];
        let layout = ShardLayout { stride: size, shard_bytes: size, k: self.head.data, m: self.recovery };
        if let Err(e) = fec.encode(data, &mut expected, &layout) {
            v.note("§8.6", format_args!("FEC: {e}"));
            return false;
        }
        for j in (0..self.recovery).filter(|j| self.have[self.head.data + j]) {
            let (got, want) = (&recovery[j * size..][..size], &expected[j * size..][..size]);
            let equal = got[16..20] == want[16..20] && got[24..27] == want[24..27] && got[32..] == want[32..];
            v.check(equal, "§8.6", || format!("recovery shard {j} is wrong: {:?}", self.head));
        }
        true
    }

    /// What message 0x5502 says about it.
    pub(super) fn status(&self) -> FecStatus {
        let contiguous = self.have.iter().position(|have| !have).unwrap_or(self.have.len());
        let missing = self.have[..self.highest].iter().filter(|have| !**have).count();
        FecStatus {
            frame: self.head.frame,
            highest_sequence: self.base().wrapping_add(self.highest as u16),
            next_contiguous: self.base().wrapping_add(contiguous as u16),
            missing: missing as u16,
            data: self.head.data as u16,
            recovery: self.recovery as u16,
            data_received: self.data_have as u16,
            recovery_received: self.recovery_have as u16,
            percentage: self.head.percentage,
            block: self.head.block,
            blocks: self.head.last_block + 1,
        }
    }
}
