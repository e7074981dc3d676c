//! One frame in the making: its blocks, what has arrived of them, and the buffer it grows in.

use alloc::vec::Vec;

use super::AccessUnit;
use super::geometry::{Extent, Place};
use super::pool::{AuBuffer, Pool};
use crate::Timestamp;
use crate::fec::{Fec, ShardLayout};
use crate::packet::{PacketHeader, UserFlags};

/// A frame record; see [`State`] for its life. Records and their vectors are reused.
#[derive(Debug, Default)]
pub(super) struct Frame {
    index: u32,
    pts_ns: u64,
    user_flags: UserFlags,
    state: State,
    /// When the last block became complete; `None` until then.
    pub(super) complete_at: Option<Timestamp>,
    first_packet_at: Timestamp,
    packets: u32,
    recovered: u32,
    /// S and slice mode of the first packet; every other must agree.
    shard_bytes: usize,
    slices: bool,
    extent: Option<Extent>,
    /// Data shards in place, S apart; at least `claimed_data` long.
    buffer: Vec<u8>,
    claimed_data: usize,
    claimed_recovery: usize,
    /// Blocks by index; the first `open` are this frame's.
    blocks: Vec<Block>,
    open: usize,
    done: usize,
    /// Work space of `Block::finish`.
    missing: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Waiting for packets, or complete (`complete_at` is set then).
    #[default]
    Live,
    /// Will never be complete.
    GivenUp,
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    Kept,
    /// Kept, and the frame is whole now.
    FrameComplete,
    /// Contradicts the frame's other packets.
    Mismatch,
    Duplicate,
    /// A data shard that FEC has already rebuilt.
    Late,
    /// A recovery shard of a complete block, or anything for a frame given up.
    Surplus,
}

impl Frame {
    /// Starts the record over for the frame of `header`.
    pub(super) fn open(&mut self, header: &PacketHeader, now: Timestamp) {
        self.index = header.frame_index;
        self.pts_ns = header.pts_ns;
        self.user_flags = header.user_flags;
        self.shard_bytes = header.shard_bytes.into();
        self.slices = header.user_flags.contains(UserFlags::SLICE_STREAM);
        self.first_packet_at = now;
    }

    /// Ends the record's life; its memory stays with it or goes to the pool.
    pub(super) fn close(&mut self, pool: &mut Pool) {
        pool.put_buffer(core::mem::take(&mut self.buffer));
        for block in &mut self.blocks[..self.open] {
            block.close();
        }
        *self = Self {
            blocks: core::mem::take(&mut self.blocks),
            missing: core::mem::take(&mut self.missing),
            ..Self::default()
        };
    }

    pub(super) const fn pts_ns(&self) -> u64 {
        self.pts_ns
    }

    /// Whether packets can still complete it.
    pub(super) fn is_filling(&self) -> bool {
        self.state == State::Live && self.complete_at.is_none()
    }

    /// Bytes this frame stands for in the memory budget.
    pub(super) const fn claimed(&self) -> usize {
        self.claimed_data + self.claimed_recovery
    }

    /// Bytes that storing a packet at `place` would add to [`Frame::claimed`].
    pub(super) fn will_claim(&self, place: &Place) -> usize {
        let recovery = if place.shard >= place.k { place.shard_bytes } else { 0 };
        data_bytes(place).saturating_sub(self.claimed_data) + recovery
    }

    /// Frees the memory; packets that still come are surplus.
    pub(super) fn give_up(&mut self, pool: &mut Pool) {
        self.state = State::GivenUp;
        pool.put_buffer(core::mem::take(&mut self.buffer));
        self.claimed_data = 0;
        self.claimed_recovery = 0;
    }

    /// Data shards that did not come, as far as the blocks are known.
    pub(super) fn missing_shards(&self) -> u64 {
        let known: usize = self.blocks[..self.open].iter().filter(|b| !b.done).map(|b| b.k - b.data.min(b.k)).sum();
        known as u64
    }

    /// Hands the complete access unit out.
    pub(super) fn deliver(&mut self) -> AccessUnit {
        let len = self.extent.map_or(0, |e| e.frame_bytes);
        AccessUnit {
            index: self.index,
            pts_ns: self.pts_ns,
            user_flags: self.user_flags,
            data: AuBuffer::new(core::mem::take(&mut self.buffer), len),
            first_packet_at: self.first_packet_at,
            last_packet_at: self.complete_at.unwrap_or(self.first_packet_at),
            recovered_shards: self.recovered,
            packets: self.packets,
        }
    }

    /// Takes a packet, completing its block and the frame where it can.
    pub(super) fn store(
        &mut self,
        header: &PacketHeader,
        place: &Place,
        shard: &[u8],
        now: Timestamp,
        fec: &mut dyn Fec,
        pool: &mut Pool,
    ) -> Stored {
        if self.state == State::GivenUp {
            return Stored::Surplus;
        }
        if !self.agrees(place) {
            return Stored::Mismatch;
        }
        while self.open <= place.block {
            if self.open == self.blocks.len() {
                self.blocks.push(Block::default());
            }
            self.open += 1;
        }
        let block = &mut self.blocks[place.block];
        match block.admit(place) {
            Ok(()) => {}
            Err(refused) => return refused,
        }
        debug_assert_eq!(header.frame_index, self.index);
        if self.extent.is_none() {
            self.extent = place.extent;
        }
        self.packets += 1;
        let need = data_bytes(place);
        if need > self.claimed_data {
            grow(&mut self.buffer, need, pool);
            self.claimed_data = need;
        }
        let first = place.base * place.shard_bytes;
        let data = &mut self.buffer[first..first + place.k * place.shard_bytes];
        self.claimed_recovery += block.take(place, shard, data);
        if block.data + block.recovery_index.len() < place.k {
            return Stored::Kept;
        }
        let Ok(rebuilt) = block.finish(data, place, fec, &mut self.missing) else {
            self.give_up(pool);
            return Stored::Kept;
        };
        self.recovered += rebuilt;
        self.done += 1;
        let Some(extent) = self.extent else { return Stored::Kept };
        if self.done < extent.blocks {
            return Stored::Kept;
        }
        if !self.tiles(&extent) {
            self.give_up(pool);
            return Stored::Mismatch;
        }
        self.complete_at = Some(now);
        Stored::FrameComplete
    }

    /// Whether a packet fits what is known of the frame.
    fn agrees(&self, place: &Place) -> bool {
        if place.shard_bytes != self.shard_bytes || place.slices != self.slices {
            return false;
        }
        match (self.extent, place.extent) {
            (Some(known), Some(given)) => known == given,
            // Blocks sent before the size was known come before the final one.
            (Some(known), None) => place.block + 1 < known.blocks,
            (None, Some(given)) => self.open <= given.blocks,
            (None, None) => true,
        }
    }

    /// Whether the blocks cover the access unit exactly. Uniform blocks do by construction; slices say where they lie.
    fn tiles(&self, extent: &Extent) -> bool {
        let mut end = 0;
        for block in &self.blocks[..self.open] {
            if block.base != end {
                return false;
            }
            end += block.k;
        }
        self.open == extent.blocks && end == extent.data_shards(self.shard_bytes)
    }
}

/// Bytes the frame's buffer needs for the packet at `place`: the whole frame where its size is known.
fn data_bytes(place: &Place) -> usize {
    let shards = place.extent.map_or(place.base + place.k, |e| e.data_shards(place.shard_bytes));
    shards * place.shard_bytes
}

/// Makes `buffer` at least `len` long, from the pool where it is new, doubling where a streamed frame grows.
fn grow(buffer: &mut Vec<u8>, len: usize, pool: &mut Pool) {
    if buffer.is_empty() {
        *buffer = pool.take_buffer(len);
    } else if buffer.len() < len {
        buffer.resize(len.max(2 * buffer.len()), 0);
    }
}

/// One FEC block.
#[derive(Debug, Default)]
struct Block {
    /// Counts and place, set by the first packet; k = 0 before.
    base: usize,
    k: usize,
    m: usize,
    done: bool,
    /// Data shards that arrived.
    data: usize,
    /// A bit per shard of the block, data first.
    seen: Vec<u64>,
    /// Recovery shards back to back, in order of arrival, and their numbers.
    recovery: Vec<u8>,
    recovery_index: Vec<u16>,
}

impl Block {
    fn close(&mut self) {
        self.base = 0;
        self.k = 0;
        self.m = 0;
        self.done = false;
        self.data = 0;
        self.seen.clear();
        self.recovery_index.clear();
        // `recovery` keeps its length: slots are overwritten before use.
    }

    /// Whether the packet at `place` is wanted; the block takes its shape from the first one.
    fn admit(&mut self, place: &Place) -> Result<(), Stored> {
        if self.k == 0 {
            (self.base, self.k, self.m) = (place.base, place.k, place.m);
            self.seen.resize((place.k + place.m).div_ceil(64), 0);
        } else if (self.base, self.k, self.m) != (place.base, place.k, place.m) {
            return Err(Stored::Mismatch);
        }
        let (word, bit) = (place.shard / 64, 1 << (place.shard % 64));
        if self.seen[word] & bit != 0 {
            return Err(Stored::Duplicate);
        }
        if self.done {
            self.seen[word] |= bit;
            return Err(if place.shard < place.k { Stored::Late } else { Stored::Surplus });
        }
        self.seen[word] |= bit;
        Ok(())
    }

    /// Puts the shard where it belongs and returns the bytes of recovery that it claims.
    fn take(&mut self, place: &Place, shard: &[u8], data: &mut [u8]) -> usize {
        let size = place.shard_bytes;
        if place.shard < place.k {
            self.data += 1;
            data[place.shard * size..][..size].copy_from_slice(shard);
            return 0;
        }
        let at = self.recovery_index.len() * size;
        if self.recovery.len() < at + size {
            self.recovery.resize(at + size, 0);
        }
        self.recovery[at..at + size].copy_from_slice(shard);
        self.recovery_index.push((place.shard - place.k) as u16); // m is a u16 on the wire
        size
    }

    /// Rebuilds what is missing once k shards are here; returns how many.
    fn finish(&mut self, data: &mut [u8], place: &Place, fec: &mut dyn Fec, missing: &mut Vec<u16>) -> Result<u32, ()> {
        self.done = true;
        let rebuilt = self.k - self.data;
        if rebuilt == 0 {
            return Ok(0);
        }
        missing.clear();
        let seen = &self.seen;
        missing.extend((0..self.k).filter(|i| seen[i / 64] >> (i % 64) & 1 == 0).map(|i| i as u16)); // k is a u16
        let layout = ShardLayout { stride: place.shard_bytes, shard_bytes: place.shard_bytes, k: self.k, m: self.m };
        fec.recover(data, missing, &self.recovery, &self.recovery_index, &layout).map_err(|_| ())?;
        Ok(rebuilt as u32)
    }
}
