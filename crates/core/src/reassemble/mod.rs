//! The client's way from opened packets to access units (punktfunk1.md §5.6, §5.7, §7.1).
//!
//! ```text
//! packet ─► limits ─► its frame's slot ─► block: any k of k + m shards ─► all blocks ─► access unit, in index order
//!                        │ 64 slots                                                         │
//!                        └─ overtaken, 120 ms or 64 frames behind, out of memory ─► Event::Lost
//! ```
//!
//! Frames are handed out in index order, each at most once. A complete frame behind an incomplete one waits for
//! half a frame interval (packets may have been reordered) or until a second one is complete; then the older ones are
//! reported lost. Nothing is delivered that did not arrive or was not rebuilt: a frame is whole or it is lost.
//!
//! Calling rule: [`Reassembler::push`] every packet, then [`Reassembler::next`] until it is `None` and
//! [`Reassembler::poll_event`] likewise; at [`Reassembler::next_deadline`] ask again. Give every access unit back with
//! [`Reassembler::recycle`]; a warm reassembler then allocates nothing.

mod frame;
mod geometry;
mod pool;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use crate::Timestamp;
use crate::fec::{Fec, FecScheme};
use crate::packet::{HEADER_BYTES, PacketHeader, SEALED_OVERHEAD, UserFlags, max_frame_bytes};

use frame::{Frame, Stored};
use geometry::{Limits, Place};
pub use pool::AuBuffer;
use pool::Pool;

/// What a session's packets may look like; all of it is `Welcome`'s and `Hello`'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReassemblerConfig {
    /// K: data shards of a full block.
    pub max_data_per_block: u16,
    /// S as `Welcome` says, in bytes.
    pub shard_payload: u16,
    /// The largest S that our `Hello` allows for renegotiation; 0 where it allows none: then S is fixed.
    pub max_shard_payload: u16,
    /// The session's code.
    pub scheme: FecScheme,
    /// `Welcome.fec_percent`. Informative: packets carry the real counts.
    pub fec_percent: u8,
    /// Wire budget, 0 = unknown. With the refresh rate it bounds the size of a frame.
    pub bitrate_kbps: u32,
    /// Refresh rate of the mode.
    pub refresh_hz: u32,
}

/// One complete access unit.
#[derive(Debug)]
pub struct AccessUnit {
    /// Its number.
    pub index: u32,
    /// Capture time, host wall clock, nanoseconds.
    pub pts_ns: u64,
    /// What kind of access unit it is.
    pub user_flags: UserFlags,
    /// Exactly the bytes that the host packetized.
    pub data: AuBuffer,
    /// When its first packet was pushed.
    pub first_packet_at: Timestamp,
    /// When the packet that completed it was pushed.
    pub last_packet_at: Timestamp,
    /// Data shards that FEC rebuilt.
    pub recovered_shards: u32,
    /// Packets that arrived for it until it was complete.
    pub packets: u32,
}

/// What a caller must act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// These access units will not come any more (inclusive range, may wrap).
    Lost {
        /// First missing number.
        first: u32,
        /// Last missing number.
        last: u32,
    },
}

/// Totals since the start of the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Video packets that were well-formed, whatever became of them.
    pub packets: u64,
    /// Their bytes on the wire (UDP payload).
    pub wire_bytes: u64,
    /// Speed-test packets.
    pub probe_packets: u64,
    /// Their bytes on the wire.
    pub probe_bytes: u64,
    /// Access units handed out.
    pub delivered: u64,
    /// Bytes of access units handed out.
    pub delivered_bytes: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Access units handed out that FEC had to complete.
    pub recovered_frames: u64,
    /// Access units reported lost.
    pub lost: u64,
    /// Data shards that FEC rebuilt.
    pub recovered_shards: u64,
    /// Data shards that arrived after FEC had rebuilt them.
    pub late_shards: u64,
    /// Data shards that lost frames lacked, as far as their size was known.
    pub missing_shards: u64,
    /// Recovery packets that were not needed any more.
    pub surplus: u64,
    /// Packets of frames long finished or given up.
    pub stale: u64,
    /// Packets seen before in spite of the replay window.
    pub duplicates: u64,
    /// Packets without a valid header, or shorter than they claim.
    pub malformed: u64,
    /// Packets beyond the limits of the session (§5.7).
    pub out_of_limits: u64,
    /// Packets that contradict the geometry or the rest of their frame.
    pub mismatched: u64,
    /// Packets dropped because too much was in flight.
    pub out_of_memory: u64,
}

/// One session's reassembler.
pub struct Reassembler {
    limits: Limits,
    hold: Duration,
    fec: Box<dyn Fec>,
    /// Frame `i` lives in slot `i mod 64`.
    slots: [Option<Frame>; WINDOW],
    past: [Past; WINDOW],
    /// The number that must be delivered or reported lost next.
    next_index: u32,
    newest: Option<Newest>,
    /// Complete frames in `slots`.
    waiting: usize,
    /// Bytes that frames in flight claim.
    in_flight: usize,
    ready: VecDeque<AccessUnit>,
    events: VecDeque<Event>,
    pool: Pool,
    stats: Stats,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    index: u32,
    pts_ns: u64,
}

/// What became of a frame that is no longer in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    index: u32,
    /// FEC rebuilt some of its shards, so a data packet that still comes is a late one.
    rebuilt: bool,
}

impl Reassembler {
    /// A reassembler that expects frame 0 first.
    #[must_use]
    pub fn new(config: ReassemblerConfig, fec: Box<dyn Fec>) -> Self {
        let mut this = Self {
            limits: Limits::new(&config),
            hold: hold(config.refresh_hz),
            fec,
            slots: [const { None }; WINDOW],
            past: [Past::default(); WINDOW],
            next_index: 0,
            newest: None,
            waiting: 0,
            in_flight: 0,
            ready: VecDeque::with_capacity(READY),
            events: VecDeque::with_capacity(EVENTS),
            pool: Pool::new(),
            stats: Stats::default(),
        };
        this.set_rate(config.bitrate_kbps, config.refresh_hz);
        this
    }

    /// Follows a change of bitrate or mode.
    pub fn set_rate(&mut self, bitrate_kbps: u32, refresh_hz: u32) {
        self.limits.max_frame = max_frame_bytes(bitrate_kbps, refresh_hz);
        self.hold = hold(refresh_hz);
        self.pool.set_budget(self.limits.max_frame);
    }

    /// Takes one opened packet (header and shard).
    pub fn push(&mut self, plaintext: &[u8], now: Timestamp) {
        let Ok(header) = PacketHeader::decode(plaintext) else {
            self.stats.malformed += 1;
            return;
        };
        let wire_bytes = (plaintext.len() + SEALED_OVERHEAD) as u64;
        if header.user_flags.contains(UserFlags::PROBE) {
            self.stats.probe_packets += 1;
            self.stats.probe_bytes += wire_bytes;
            return;
        }
        let Some(shard) = plaintext[HEADER_BYTES..].get(..header.shard_bytes.into()) else {
            self.stats.malformed += 1;
            return;
        };
        let place = match self.limits.place(&header) {
            Ok(place) => place,
            Err(geometry::Refused::Limits) => {
                self.stats.out_of_limits += 1;
                return;
            }
            Err(geometry::Refused::Geometry) => {
                self.stats.mismatched += 1;
                return;
            }
        };
        self.stats.packets += 1;
        self.stats.wire_bytes += wire_bytes;

        let ahead = header.frame_index.wrapping_sub(self.next_index);
        if ahead > i32::MAX as u32 {
            self.on_past(&header, &place);
            return;
        }
        if ahead >= WINDOW as u32 {
            self.flush_before(header.frame_index.wrapping_sub(WINDOW as u32 - 1));
        }
        let newer = self.newest.is_none_or(|n| header.frame_index.wrapping_sub(n.index) as i32 > 0);
        self.store(&header, &place, shard, now);
        if newer {
            self.newest = Some(Newest { index: header.frame_index, pts_ns: header.pts_ns });
            self.expire();
        }
        self.advance(now);
    }

    /// The next access unit in index order.
    pub fn next(&mut self, now: Timestamp) -> Option<AccessUnit> {
        self.advance(now);
        self.ready.pop_front()
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Reassembler::next`] again even if no packet comes: a complete frame is waiting for an older one.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.ready.is_empty() {
            return Some(Timestamp(0));
        }
        if self.waiting == 0 {
            return None;
        }
        self.live().find_map(|i| self.slot(i)?.complete_at).map(|at| at + self.hold)
    }

    /// Takes the memory of an access unit back.
    pub fn recycle(&mut self, unit: AccessUnit) {
        self.pool.put_buffer(unit.data.into_inner());
    }

    /// Totals so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes that frames in flight claim, at most four times the largest frame.
    #[must_use]
    pub const fn in_flight_bytes(&self) -> usize {
        self.in_flight
    }

    fn on_past(&mut self, header: &PacketHeader, place: &Place) {
        let past = self.past[slot_of(header.frame_index)];
        if past.index != header.frame_index || !past.rebuilt {
            // A recovery packet behind a frame that needed none is the usual case.
            if place.shard >= place.k {
                self.stats.surplus += 1;
            } else {
                self.stats.stale += 1;
            }
        } else if place.shard < place.k {
            self.stats.late_shards += 1;
        } else {
            self.stats.surplus += 1;
        }
    }

    fn store(&mut self, header: &PacketHeader, place: &Place, shard: &[u8], now: Timestamp) {
        let at = slot_of(header.frame_index);
        if self.slots[at].is_none() {
            let frame = self.pool.take_frame(header, now);
            self.slots[at] = Some(frame);
        }
        if !self.make_room(at, place) {
            self.stats.out_of_memory += 1;
            return;
        }
        let Some(frame) = &mut self.slots[at] else { return };
        let before = frame.claimed();
        let stored = frame.store(header, place, shard, now, self.fec.as_mut(), &mut self.pool);
        self.in_flight = self.in_flight + frame.claimed() - before;
        match stored {
            Stored::Kept => {}
            Stored::FrameComplete => self.waiting += 1,
            Stored::Mismatch => self.stats.mismatched += 1,
            Stored::Duplicate => self.stats.duplicates += 1,
            Stored::Late => self.stats.late_shards += 1,
            Stored::Surplus => self.stats.surplus += 1,
        }
    }

    /// Makes the packet at `place` fit into the memory limit, giving up older incomplete frames if need be.
    fn make_room(&mut self, at: usize, place: &Place) -> bool {
        let budget = IN_FLIGHT_FRAMES * self.limits.max_frame;
        loop {
            let need = self.slots[at].as_ref().map_or(0, |frame| frame.will_claim(place));
            if self.in_flight + need <= budget {
                return true;
            }
            let victim =
                self.live().map(slot_of).find(|&i| i != at && self.slots[i].as_ref().is_some_and(Frame::is_filling));
            let Some(frame) = victim.and_then(|i| self.slots[i].as_mut()) else { return false };
            self.in_flight -= frame.claimed();
            frame.give_up(&mut self.pool);
        }
    }

    /// Indices from the next to the newest.
    fn live(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.next_index;
        let count = self.newest.map_or(0, |n| n.index.wrapping_sub(first).wrapping_add(1));
        let count = if count > WINDOW as u32 { 0 } else { count };
        (0..count).map(move |i| first.wrapping_add(i))
    }

    fn slot(&self, index: u32) -> Option<&Frame> {
        self.slots[slot_of(index)].as_ref()
    }

    /// Gives up frames that are 120 ms of capture time behind the newest.
    fn expire(&mut self) {
        let Some(newest) = self.newest else { return };
        for at in self.live().map(slot_of) {
            let Some(frame) = &mut self.slots[at] else { continue };
            if frame.is_filling() && newest.pts_ns.saturating_sub(frame.pts_ns()) >= EXPIRY_NS {
                self.in_flight -= frame.claimed();
                frame.give_up(&mut self.pool);
            }
        }
    }

    /// Hands out what can be handed out.
    fn advance(&mut self, now: Timestamp) {
        loop {
            let front = self.slot(self.next_index);
            if front.is_some_and(|f| f.complete_at.is_some() || !f.is_filling()) {
                self.retire(self.next_index);
                continue;
            }
            let Some(upto) = self.overtaken(now) else { return };
            while self.next_index != upto {
                self.retire(self.next_index);
            }
        }
    }

    /// The first index that need not wait for the ones in front of it any longer.
    fn overtaken(&self, now: Timestamp) -> Option<u32> {
        let mut given_up = None;
        let mut complete = None;
        for index in self.live() {
            let Some(frame) = self.slot(index) else { continue };
            match frame.complete_at {
                Some(at) => match complete {
                    None if at + self.hold <= now => return Some(index),
                    None => complete = Some(index),
                    // A second complete frame: what is missing has been overtaken by more than reordering.
                    Some(first) => return Some(first),
                },
                // Whatever is in front of a frame that was given up for its age is older still.
                None if !frame.is_filling() => given_up = Some(index.wrapping_add(1)),
                None => {}
            }
        }
        // A frame given up behind a complete one must not drag that one along.
        match (given_up, complete) {
            (Some(upto), Some(first)) if first.wrapping_sub(upto) as i32 <= 0 => None,
            (upto, _) => upto,
        }
    }

    /// Leaves everything before `index` behind: complete frames are delivered, the others lost.
    fn flush_before(&mut self, index: u32) {
        let mut left = WINDOW;
        while self.next_index != index && left > 0 {
            self.retire(self.next_index);
            left -= 1;
        }
        // No frame lives this far from the old position: the rest of the range is lost unseen.
        let unseen = index.wrapping_sub(self.next_index);
        if unseen > 0 {
            self.report_lost(self.next_index, index.wrapping_sub(1), unseen.into());
            self.next_index = index;
        }
    }

    /// Delivers frame `index`, which is the next, or reports it lost.
    fn retire(&mut self, index: u32) {
        self.next_index = index.wrapping_add(1);
        let mut past = Past { index, rebuilt: false };
        match self.slots[slot_of(index)].take() {
            None => self.report_lost(index, index, 1),
            Some(mut frame) => {
                self.in_flight -= frame.claimed();
                if frame.complete_at.is_some() {
                    self.waiting -= 1;
                    let unit = frame.deliver();
                    past.rebuilt = unit.recovered_shards > 0;
                    self.deliver(unit);
                } else {
                    self.stats.missing_shards += frame.missing_shards();
                    self.report_lost(index, index, 1);
                }
                self.pool.put_frame(frame);
            }
        }
        self.past[slot_of(index)] = past;
    }

    fn deliver(&mut self, unit: AccessUnit) {
        if self.ready.len() >= READY {
            // The caller does not drain: keep the newest, and say so.
            if let Some(oldest) = self.ready.pop_front() {
                self.stats.delivered -= 1;
                self.report_lost(oldest.index, oldest.index, 1);
                self.recycle(oldest);
            }
        }
        self.stats.delivered += 1;
        self.stats.delivered_bytes += unit.data.len() as u64;
        self.stats.keyframes += u64::from(unit.user_flags.contains(UserFlags::KEYFRAME));
        self.stats.recovered_frames += u64::from(unit.recovered_shards > 0);
        self.stats.recovered_shards += u64::from(unit.recovered_shards);
        self.ready.push_back(unit);
    }

    fn report_lost(&mut self, first: u32, last: u32, count: u64) {
        self.stats.lost += count;
        let full = self.events.len() >= EVENTS;
        if let Some(Event::Lost { last: end, .. }) = self.events.back_mut()
            && (full || end.wrapping_add(1) == first)
        {
            // Neighbours are one loss; and a caller that never asks still learns the whole range.
            *end = last;
            return;
        }
        self.events.push_back(Event::Lost { first, last });
    }
}

impl core::fmt::Debug for Reassembler {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut out = f.debug_struct("Reassembler");
        out.field("next_index", &self.next_index).field("in_flight", &self.in_flight);
        out.field("stats", &self.stats).finish_non_exhaustive()
    }
}

const fn slot_of(index: u32) -> usize {
    index as usize % WINDOW
}

/// How long a complete frame waits for an older one: half a frame interval, 1 … 8 ms.
fn hold(refresh_hz: u32) -> Duration {
    let half = 500_000 / u64::from(refresh_hz.max(1));
    Duration::from_micros(half.clamp(1_000, 8_000))
}

/// Frames between the oldest and the newest in flight; also how long the past is remembered (§7.1).
const WINDOW: usize = 64;
/// Capture time after which an incomplete frame is lost (§7.1).
const EXPIRY_NS: u64 = 120_000_000;
/// Largest frames' worth of memory in flight (§5.7).
const IN_FLIGHT_FRAMES: usize = 4;
/// Access units kept for a caller that does not drain: the window, so that one flush fits.
const READY: usize = WINDOW;
/// Loss events kept for a caller that does not drain; neighbours merge, so alternating losses of a whole window fit.
const EVENTS: usize = WINDOW;
