//! The buffer: packets by number, and what to play next.
//!
//! ```text
//! waiting ── the oldest packet was held back long enough ──► playing
//!    ▲                                                         │ nothing came for too long, a jump, clear()
//!    └─────────────────────────────────────────────────────────┘
//! ```

use alloc::vec::Vec;

use super::lateness::Lateness;
use super::{VOICE_RATE, nanos, opus_samples};
use crate::Timestamp;

/// The largest packet that is taken, in bytes: what fits a QUIC datagram on any path that we know.
pub const MAX_VOICE_PACKET: usize = 1500;

/// A jitter buffer for one voice. Call [`Self::push`] for every datagram and [`Self::pull`] whenever samples are needed.
/// Allocates only until each of its `SLOTS` held a packet once.
#[derive(Debug)]
pub struct VoiceBuffer {
    slots: Vec<Slot>,
    /// What is to be played next; `None` before the first packet.
    next: Option<u32>,
    playing: bool,
    lateness: Lateness,
    newest: Option<Newest>,
    /// See [`Self::set_reserve`], in ns.
    reserve: i64,
    /// Samples of the last packet.
    samples: u32,
    /// What was played last was silence that the client sent: nothing is missing when no more comes.
    at_rest: bool,
    /// Concealed in a row, in samples.
    concealed: u32,
    /// Of those, blocks that no number was used up for: the packet may only be late.
    owed: u32,
    /// Stale packets in a row, each following the one before, and the last of them.
    stale: (u32, u32),
    /// The shortest delay of this window and of the one before, and how many packets the window has.
    delays: (i64, Option<i64>, u32),
    counts: VoiceCounts,
}

/// What happened so far. Every packet counts once in `played`, `late`, `repeated`, `invalid` or `skipped`, or waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VoiceCounts {
    /// Packets that came.
    pub packets: u64,
    /// Packets handed out to be played.
    pub played: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came twice.
    pub repeated: u64,
    /// Packets that are no Opus, or too large.
    pub invalid: u64,
    /// Packets dropped to catch up, or because the voice began anew.
    pub skipped: u64,
    /// Numbers that did not come in time.
    pub lost: u64,
    /// Of those, handed out together with the packet behind them.
    pub recovered: u64,
    /// Blocks to be concealed.
    pub concealed: u64,
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It waits for its turn.
    Kept,
    /// It is of no use.
    Dropped,
}

/// What to play.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Play {
    /// The packet in `out`.
    Packet {
        /// What it lasts, by its own word.
        samples: u32,
        /// How long it has been here, in ns.
        held: u64,
        /// Others before it were dropped to catch up: join the sound.
        skipped: bool,
    },
    /// One is lost; the one after it is in `out` and may carry a copy. It is not played by this.
    Recover {
        /// What the lost one lasted.
        samples: u32,
    },
    /// One is missing.
    Conceal {
        /// What it lasts.
        samples: u32,
    },
    /// Silence that the client sent.
    Silence {
        /// What it lasts.
        samples: u32,
    },
    /// Nothing yet: ask again then, or when a packet came.
    Wait(Option<Timestamp>),
}

#[derive(Clone, Debug)]
struct Slot {
    seq: u32,
    full: bool,
    arrived: Timestamp,
    late: i64,
    samples: u32,
    bytes: Vec<u8>,
}

impl Slot {
    /// How long an in-time packet would have been held back until `now` if it were this one.
    fn delay(&self, now: Timestamp) -> i64 {
        self.held(now).saturating_add(self.late)
    }

    fn held(&self, now: Timestamp) -> i64 {
        i64::try_from(now.since(self.arrived).as_nanos()).unwrap_or(i64::MAX)
    }
}

/// The packet with the highest number so far.
#[derive(Clone, Copy, Debug)]
struct Newest {
    seq: u32,
    pts_ns: u64,
    arrived: Timestamp,
    /// Where in the voice it begins, in ns.
    position: i64,
}

impl Default for VoiceBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl VoiceBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            next: None,
            playing: false,
            lateness: Lateness::new(),
            newest: None,
            reserve: 0,
            samples: USUAL_SAMPLES,
            at_rest: true,
            concealed: 0,
            owed: 0,
            stale: (0, 0),
            delays: (i64::MAX, None, 0),
            counts: VoiceCounts::default(),
        }
    }

    /// A packet came. `opus` may be empty, which is silence.
    pub fn push(&mut self, now: Timestamp, seq: u32, pts_ns: u64, opus: &[u8]) -> Arrival {
        self.counts.packets += 1;
        let samples = if opus.is_empty() { Some(self.samples) } else { opus_samples(opus) };
        let Some(samples) = samples.filter(|_| opus.len() <= MAX_VOICE_PACKET) else {
            self.counts.invalid += 1;
            return Arrival::Dropped;
        };
        let ahead = self.ahead(seq);
        if ahead < 0 && !self.begins_anew(seq) {
            self.counts.late += 1;
            // How late it was is worth knowing all the same; a run of them may be another count.
            if ahead > -(SLOTS as i32) && self.stale.0 < STALE_LEARNT {
                self.judge(now, seq, pts_ns, samples);
            }
            return Arrival::Dropped;
        }
        if !(0..SLOTS as i32).contains(&ahead) {
            self.begin_at(seq);
        }
        self.stale = (0, 0);
        let late = self.judge(now, seq, pts_ns, samples);
        if self.slots.is_empty() {
            let empty = Slot { seq: 0, full: false, arrived: now, late: 0, samples: 0, bytes: Vec::new() };
            self.slots.resize(SLOTS, empty);
        }
        let slot = &mut self.slots[seq as usize % SLOTS];
        if slot.full {
            self.counts.repeated += 1;
            return Arrival::Dropped;
        }
        slot.bytes.clear();
        slot.bytes.extend_from_slice(opus);
        (slot.seq, slot.full, slot.arrived, slot.late, slot.samples) = (seq, true, now, late, samples);
        Arrival::Kept
    }

    /// What to play next, with its bytes in `out`. `urgent`: something must be played now, or there is a gap.
    pub fn pull(&mut self, now: Timestamp, urgent: bool, out: &mut Vec<u8>) -> Play {
        out.clear();
        let Some(next) = self.next else { return Play::Wait(None) };
        let Some(there) = self.first_from(next) else { return self.run_dry(urgent) };
        if !self.playing {
            if let Some(due) = self.due(there, now) {
                return Play::Wait(Some(due));
            }
            self.counts.lost += u64::from(there.wrapping_sub(next));
            (self.playing, self.concealed, self.owed) = (true, 0, 0);
            self.delays = (i64::MAX, None, 0);
            // Nothing is playing that could be torn.
            let (at, _) = self.catch_up(now, there, self.reserve + BEGIN_EXCESS);
            return self.play(now, at, false, out);
        }
        let gap = there.wrapping_sub(next);
        // Blocks that were concealed while nothing was there stand for numbers that turn out to be lost.
        let covered = gap.min(self.owed);
        self.owed -= covered;
        self.counts.lost += u64::from(covered);
        let next = next.wrapping_add(covered);
        self.next = Some(next);
        if next != there {
            // It may still come, until it is time for the one behind it.
            return match self.due(there, now) {
                Some(due) if !urgent => Play::Wait(Some(due)),
                _ => self.miss(next, there, out),
            };
        }
        self.owed = 0;
        let (at, skipped) = self.catch_up(now, there, MOST_EXCESS);
        self.play(now, at, skipped, out)
    }

    /// Forgets what waits; what was learnt of the path stays.
    pub fn clear(&mut self) {
        self.drop_all();
        (self.playing, self.next) = (false, None);
    }

    /// The sound broke off: what waits begins anew, without more delay than it needs.
    pub fn break_off(&mut self) {
        self.playing = false;
    }

    /// What is behind this buffer takes so many samples before it plays any: a voice begins so much later, for its delay
    /// not to be used up by that.
    pub fn set_reserve(&mut self, samples: usize) {
        self.reserve = nanos(u32::try_from(samples).unwrap_or(VOICE_RATE).min(VOICE_RATE));
    }

    /// How long a packet that is not late is held back, in ns.
    #[must_use]
    pub const fn target(&self) -> i64 {
        self.lateness.target()
    }

    /// How much longer (or, negative, shorter) packets are held back than they need to be, in ns; `None` while that is not
    /// known. Play a little faster, or slower, until it is 0.
    #[must_use]
    pub fn excess(&self) -> Option<i64> {
        self.delays.1.map(|shortest| shortest - self.lateness.target())
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> VoiceCounts {
        self.counts
    }

    /// How far ahead of the next number this one is.
    fn ahead(&self, seq: u32) -> i32 {
        self.next.map_or(i32::MAX, |next| seq.wrapping_sub(next).cast_signed())
    }

    /// Whether this stale packet is one of so many in a row that the client must have begun to count anew.
    fn begins_anew(&mut self, seq: u32) -> bool {
        let (run, last) = self.stale;
        self.stale = if run > 0 && seq == last.wrapping_add(1) { (run + 1, seq) } else { (1, seq) };
        self.stale.0 >= STALE_RUN
    }

    /// Another count begins: what waits is of the old one.
    fn begin_at(&mut self, seq: u32) {
        self.clear();
        self.next = Some(seq);
        self.newest = None;
        self.lateness.forget_transits();
    }

    /// Learns from an arrival how late packets are. Returns how late this one is, in ns.
    fn judge(&mut self, now: Timestamp, seq: u32, pts_ns: u64, samples: u32) -> i64 {
        let length = nanos(samples);
        let arrived = i64::try_from(now.0).unwrap_or(i64::MAX);
        let Some(newest) = self.newest else {
            self.newest = Some(Newest { seq, pts_ns, arrived: now, position: 0 });
            return self.lateness.arrived(now, arrived);
        };
        let steps = i64::from(seq.wrapping_sub(newest.seq).cast_signed());
        let mut position = newest.position + steps * length;
        if steps > 0 {
            // While the user mutes, or nobody speaks, numbers do not advance but time does: a pause is no lateness. A
            // client without usable stamps is believed to have paused when nothing came for long.
            let stamped = pts_ns.wrapping_sub(newest.pts_ns).cast_signed();
            let pause = stamped.saturating_sub(steps * length);
            if (PAUSE..MOST_PAUSE).contains(&pause) {
                position = position.saturating_add(pause);
            } else if stamped <= 0 && now.since(newest.arrived).as_nanos() > SILENT_FOR {
                self.lateness.forget_transits();
            }
            self.newest = Some(Newest { seq, pts_ns, arrived: now, position });
        }
        self.lateness.arrived(now, arrived.saturating_sub(position))
    }

    /// The lowest number from `next` on that waits.
    fn first_from(&self, next: u32) -> Option<u32> {
        let at = |n: u32| next.wrapping_add(n);
        (0..self.slots.len() as u32).map(at).find(|seq| {
            let slot = &self.slots[*seq as usize % SLOTS];
            slot.full && slot.seq == *seq
        })
    }

    /// When this packet has been held back for long enough; `None` if it has.
    fn due(&self, seq: u32, now: Timestamp) -> Option<Timestamp> {
        let reserve = if self.playing { 0 } else { self.reserve };
        let missing = self.lateness.target() + reserve - self.slots[seq as usize % SLOTS].delay(now);
        (missing > 0).then(|| Timestamp(now.0.saturating_add(missing.unsigned_abs())))
    }

    /// Nothing is there.
    fn run_dry(&mut self, urgent: bool) -> Play {
        if !self.playing || !urgent {
            return Play::Wait(None);
        }
        if self.at_rest || self.concealed >= MOST_DRY {
            self.playing = false;
            return Play::Wait(None);
        }
        self.owed += 1;
        self.conceal()
    }

    /// `next` is missing, `there` is not.
    fn miss(&mut self, next: u32, there: u32, out: &mut Vec<u8>) -> Play {
        if self.concealed >= MOST_CONCEALED {
            // Nobody wants to hear guesses for longer: silence, until it is this packet's time.
            self.playing = false;
            return Play::Wait(None);
        }
        self.counts.lost += 1;
        self.next = Some(next.wrapping_add(1));
        let slot = &self.slots[there as usize % SLOTS];
        if next.wrapping_add(1) == there && !slot.bytes.is_empty() {
            out.extend_from_slice(&slot.bytes);
            self.counts.recovered += 1;
            self.concealed += self.block();
            return Play::Recover { samples: self.block() };
        }
        self.conceal()
    }

    fn conceal(&mut self) -> Play {
        self.counts.concealed += 1;
        self.concealed += self.block();
        Play::Conceal { samples: self.block() }
    }

    /// What is concealed at once: as long as the last packet, but no longer than guesses are good for.
    fn block(&self) -> u32 {
        self.samples.min(LONGEST_BLOCK)
    }

    /// Drops packets while far more wait than is needed. Returns the one to play, and whether some were dropped.
    fn catch_up(&mut self, now: Timestamp, mut at: u32, excess: i64) -> (u32, bool) {
        let most = self.lateness.target() + excess;
        let mut skipped = false;
        if self.slots[at as usize % SLOTS].delay(now) <= most {
            return (at, false);
        }
        while let Some(following) = self.first_from(at.wrapping_add(1)) {
            if self.slots[at as usize % SLOTS].delay(now) <= self.lateness.target() {
                break;
            }
            self.slots[at as usize % SLOTS].full = false;
            self.counts.skipped += 1;
            (at, skipped) = (following, true);
        }
        if skipped {
            self.delays = (i64::MAX, None, 0);
        }
        (at, skipped)
    }

    fn play(&mut self, now: Timestamp, seq: u32, skipped: bool, out: &mut Vec<u8>) -> Play {
        let slot = &mut self.slots[seq as usize % SLOTS];
        slot.full = false;
        out.extend_from_slice(&slot.bytes);
        let (delay, held, samples) = (slot.delay(now), slot.held(now), slot.samples);
        self.next = Some(seq.wrapping_add(1));
        self.samples = samples;
        self.concealed = 0;
        self.counts.played += 1;
        self.measure(delay);
        // One byte of contents, or none: the coder had nothing to say (RFC 6716 §3.4, libopus's DTX).
        self.at_rest = out.len() <= 2;
        if out.is_empty() {
            return Play::Silence { samples };
        }
        Play::Packet { samples, held: held.unsigned_abs(), skipped }
    }

    /// The shortest delay of every quarter of a second or so: how often a sound server asks, and how much it asks for at
    /// once, lengthens some delays but not all.
    fn measure(&mut self, delay: i64) {
        let (shortest, _, count) = &mut self.delays;
        *shortest = (*shortest).min(delay);
        *count += 1;
        if *count >= MEASURED {
            self.delays = (i64::MAX, Some(self.delays.0), 0);
        }
    }

    fn drop_all(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.full) {
            slot.full = false;
            self.counts.skipped += 1;
        }
        (self.concealed, self.owed) = (0, 0);
        self.delays = (i64::MAX, None, 0);
    }
}

/// Packets that may wait: 640 ms of usual ones.
const SLOTS: usize = 64;
/// 10 ms, until a packet says otherwise.
const USUAL_SAMPLES: u32 = 480;
/// 20 ms.
const LONGEST_BLOCK: u32 = 960;
/// While nothing comes, 40 ms are guessed; then it is a pause.
const MOST_DRY: u32 = 1920;
/// While packets behind a gap wait, 120 ms are guessed.
const MOST_CONCEALED: u32 = 5760;
/// So much more than needed a voice may begin with.
const BEGIN_EXCESS: i64 = 60_000_000;
/// So much more than needed is caught up with by playing faster; beyond, packets are dropped.
const MOST_EXCESS: i64 = 150_000_000;
/// Packets in a window of [`VoiceBuffer::measure`].
const MEASURED: u32 = 25;
/// Stale numbers in a row after which they are believed.
const STALE_RUN: u32 = 8;
/// Of those, so many and more are not learnt from.
const STALE_LEARNT: u32 = 2;
/// Stamps that advance by so much more than the packets last are a pause: more than a client's thread wakes late.
const PAUSE: i64 = 40_000_000;
/// A day: beyond, stamps are nonsense.
const MOST_PAUSE: i64 = 86_400_000_000_000;
/// A client without stamps that said nothing for so long has paused.
const SILENT_FOR: u128 = 400_000_000;

#[cfg(test)]
mod tests;
