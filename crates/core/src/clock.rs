//! The clock offset between client and host (punktfunk1.md §7.4), client side, sans-IO.
//!
//! ```text
//!           new                   8 echoes, or one unanswered for 2 s
//! connect ──────► probing, one after another ──────► idle ◄────────────────────┐
//!                                                     │ every 60 s, or suspect │ all answered, or 2 s after the last
//!                                                     └─► batch, 7 ms apart ───┘ probe: judged
//! ```
//!
//! Of each exchange the sample with the smallest round trip counts. A mid-session batch is applied only if its best
//! round trip is about as good as the best ever seen; after three that were not, the best of those three is.
//!
//! The caller's rule: call [`ClockSync::poll`] until it says [`ClockOutput::Wait`], then again at that time, and after
//! every [`ClockSync::on_echo`]. All times are on the client's clock, that of its `t1`.

use core::time::Duration;

use crate::Timestamp;
use crate::control::ControlMessage;

/// Rounds of one exchange.
pub const ROUNDS: usize = 8;

/// A round without an echo for this long ends the exchange.
pub const ROUND_TIMEOUT: Duration = Duration::from_secs(2);

/// Spacing of the rounds of a mid-session batch.
pub const BATCH_SPACING: Duration = Duration::from_millis(7);

/// Time between mid-session batches.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// A batch whose best round trip is at most this is always good enough.
const GOOD_RTT_NS: u64 = 2_000_000;

/// Rejected batches in a row after which the best of them is applied: the path itself has become slower.
const MAX_REJECTED: u8 = 3;

/// The host's answer to a probe that came at `t2` when the answer leaves at `t3`.
#[must_use]
pub const fn echo(t1_ns: u64, t2: Timestamp, t3: Timestamp) -> ControlMessage {
    ControlMessage::ClockEcho { t1_ns, t2_ns: t2.0, t3_ns: t3.0 }
}

/// One measured round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Round trip without the host's own time.
    pub rtt_ns: u64,
    /// Host clock minus client clock.
    pub offset_ns: i64,
}

impl Sample {
    /// Computes a round from its four stamps. `None` if they contradict each other: the host claims to have needed
    /// longer than the whole round took.
    #[must_use]
    pub fn new(t1_ns: u64, t2_ns: u64, t3_ns: u64, t4_ns: u64) -> Option<Self> {
        let whole = t4_ns.checked_sub(t1_ns)?;
        let rtt_ns = whole.checked_sub(t3_ns.checked_sub(t2_ns)?)?;
        let diff = |a: u64, b: u64| i128::from(a) - i128::from(b);
        let offset_ns = i64::try_from((diff(t2_ns, t1_ns) + diff(t3_ns, t4_ns)) / 2).ok()?;
        Some(Self { rtt_ns, offset_ns })
    }
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockOutput {
    /// Send a `ClockProbe` with this `t1` now.
    Probe {
        /// Goes into the probe.
        t1_ns: u64,
    },
    /// The connect-time exchange is over: other control messages and hole punching may begin. `None`: no round was
    /// answered, the offset stays 0.
    Connected(Option<Sample>),
    /// A mid-session batch moved the offset.
    Adjusted(Sample),
    /// Nothing until then.
    Wait(Timestamp),
}

/// The client's estimate of the host's clock.
#[derive(Debug)]
pub struct ClockSync {
    state: State,
    offset_ns: i64,
    best_rtt_ns: Option<u64>,
    rejected: u8,
    best_rejected: Option<Sample>,
}

#[derive(Debug)]
enum State {
    Connecting { round: usize, in_flight: Option<Timestamp>, best: Option<Sample> },
    Idle { next: Timestamp },
    Batch { sent: [Option<u64>; ROUNDS], count: usize, answered: usize, last: Timestamp, best: Option<Sample> },
}

impl ClockSync {
    /// Begins the connect-time exchange with the first [`Self::poll`].
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Connecting { round: 0, in_flight: None, best: None },
            offset_ns: 0,
            best_rtt_ns: None,
            rejected: 0,
            best_rejected: None,
        }
    }

    /// Host clock minus client clock; 0 until something was measured.
    #[must_use]
    pub const fn offset_ns(&self) -> i64 {
        self.offset_ns
    }

    /// The smallest round trip ever applied.
    #[must_use]
    pub const fn best_rtt_ns(&self) -> Option<u64> {
        self.best_rtt_ns
    }

    /// Whether the connect-time exchange still runs.
    #[must_use]
    pub const fn connecting(&self) -> bool {
        matches!(self.state, State::Connecting { .. })
    }

    /// A host stamp on the client's clock.
    #[must_use]
    pub const fn to_client(&self, host_ns: u64) -> Timestamp {
        Timestamp(host_ns.saturating_add_signed(self.offset_ns.saturating_neg()))
    }

    /// A client stamp on the host's clock.
    #[must_use]
    pub const fn to_host(&self, client: Timestamp) -> u64 {
        client.0.saturating_add_signed(self.offset_ns)
    }

    /// Latencies look impossible or jumped: measure again now instead of at the next interval.
    pub const fn suspect(&mut self, now: Timestamp) {
        if let State::Idle { next } = &mut self.state {
            *next = now;
        }
    }

    /// Takes in an echo that arrived at `now`. Echoes that answer nothing in flight are ignored.
    pub fn on_echo(&mut self, t1_ns: u64, t2_ns: u64, t3_ns: u64, now: Timestamp) {
        let sample = Sample::new(t1_ns, t2_ns, t3_ns, now.0);
        match &mut self.state {
            State::Connecting { round, in_flight, best } if *in_flight == Some(Timestamp(t1_ns)) => {
                *in_flight = None;
                *round += 1;
                *best = better(*best, sample);
            }
            State::Batch { sent, answered, best, .. } => {
                if let Some(slot) = sent.iter_mut().find(|t1| **t1 == Some(t1_ns)) {
                    *slot = None;
                    *answered += 1;
                    *best = better(*best, sample);
                }
            }
            State::Connecting { .. } | State::Idle { .. } => {}
        }
    }

    /// The next thing to do; see the module for the calling rule.
    pub fn poll(&mut self, now: Timestamp) -> ClockOutput {
        match &mut self.state {
            State::Connecting { round, in_flight, best } => {
                let timed_out = in_flight.is_some_and(|t1| now.since(t1) >= ROUND_TIMEOUT);
                if timed_out || *round == ROUNDS {
                    let best = *best;
                    if let Some(sample) = best {
                        self.apply(sample);
                    }
                    self.state = State::Idle { next: now + RESYNC_INTERVAL };
                    return ClockOutput::Connected(best);
                }
                match *in_flight {
                    Some(t1) => ClockOutput::Wait(t1 + ROUND_TIMEOUT),
                    None => {
                        *in_flight = Some(now);
                        ClockOutput::Probe { t1_ns: now.0 }
                    }
                }
            }
            State::Idle { next } if now < *next => ClockOutput::Wait(*next),
            State::Idle { .. } => {
                let mut sent = [None; ROUNDS];
                sent[0] = Some(now.0);
                self.state = State::Batch { sent, count: 1, answered: 0, last: now, best: None };
                ClockOutput::Probe { t1_ns: now.0 }
            }
            State::Batch { sent, count, last, .. } if *count < ROUNDS => {
                let due = *last + BATCH_SPACING;
                if now < due {
                    return ClockOutput::Wait(due);
                }
                sent[*count] = Some(now.0);
                *count += 1;
                *last = now;
                ClockOutput::Probe { t1_ns: now.0 }
            }
            State::Batch { answered, last, best, .. } => {
                let until = *last + ROUND_TIMEOUT;
                if *answered < ROUNDS && now < until {
                    return ClockOutput::Wait(until);
                }
                let best = *best;
                let next = now + RESYNC_INTERVAL;
                self.state = State::Idle { next };
                best.and_then(|sample| self.judge(sample)).map_or(ClockOutput::Wait(next), ClockOutput::Adjusted)
            }
        }
    }

    /// The sample to apply after a mid-session batch, if any.
    fn judge(&mut self, sample: Sample) -> Option<Sample> {
        let limit = self.best_rtt_ns.map_or(u64::MAX, |best| GOOD_RTT_NS.max(best.saturating_add(best / 2)));
        if sample.rtt_ns <= limit {
            self.apply(sample);
            return Some(sample);
        }
        self.rejected += 1;
        self.best_rejected = better(self.best_rejected, Some(sample));
        if self.rejected < MAX_REJECTED {
            return None;
        }
        // The path changed for good: its round trip is the new measure.
        let best = self.best_rejected?;
        self.best_rtt_ns = None;
        self.apply(best);
        Some(best)
    }

    fn apply(&mut self, sample: Sample) {
        self.offset_ns = sample.offset_ns;
        self.best_rtt_ns = Some(self.best_rtt_ns.map_or(sample.rtt_ns, |best| best.min(sample.rtt_ns)));
        self.rejected = 0;
        self.best_rejected = None;
    }
}

impl Default for ClockSync {
    fn default() -> Self {
        Self::new()
    }
}

fn better(a: Option<Sample>, b: Option<Sample>) -> Option<Sample> {
    [a, b].into_iter().flatten().min_by_key(|s| s.rtt_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const MS: u64 = 1_000_000;

    /// Client and host with a constant clock difference; `delay(round)` gives the two path delays.
    struct World {
        now: u64,
        host_minus_client: i64,
    }

    impl World {
        fn answer(&self, t1: u64, there: u64, back: u64) -> (u64, u64, u64, u64) {
            let t2 = (t1 + there).saturating_add_signed(self.host_minus_client);
            let t3 = t2 + 10_000;
            (t1, t2, t3, t1 + there + 10_000 + back)
        }

        /// Runs until the sync waits longer than a round; returns what it said meanwhile.
        fn run(
            &mut self,
            sync: &mut ClockSync,
            mut delay: impl FnMut(usize) -> Option<(u64, u64)>,
        ) -> Vec<ClockOutput> {
            let mut said = Vec::new();
            let mut pending: Vec<(u64, u64, u64, u64)> = Vec::new();
            let mut round = 0;
            loop {
                match sync.poll(Timestamp(self.now)) {
                    ClockOutput::Probe { t1_ns } => {
                        assert_eq!(t1_ns, self.now);
                        if let Some((there, back)) = delay(round) {
                            pending.push(self.answer(t1_ns, there, back));
                        }
                        round += 1;
                    }
                    ClockOutput::Wait(until) => {
                        pending.sort_by_key(|p| p.3);
                        match pending.first().copied() {
                            Some((t1, t2, t3, t4)) if t4 <= until.0 => {
                                pending.remove(0);
                                self.now = self.now.max(t4);
                                sync.on_echo(t1, t2, t3, Timestamp(t4));
                            }
                            _ if until.0 - self.now > 10_000 * MS => return said,
                            _ => self.now = until.0,
                        }
                    }
                    other => said.push(other),
                }
            }
        }
    }

    #[test]
    fn the_shortest_round_wins() {
        for offset in [0, 5_000_000_000, -5_000_000_000] {
            let mut world = World { now: 100_000 * MS, host_minus_client: offset };
            let mut sync = ClockSync::new();
            assert!(sync.connecting());
            // Queues on the way there spoil all rounds but the fifth.
            let said = world.run(&mut sync, |round| Some(if round == 4 { (MS, MS) } else { (30 * MS, MS) }));
            assert_eq!(said, [ClockOutput::Connected(Some(Sample { rtt_ns: 2 * MS, offset_ns: offset }))]);
            assert!(!sync.connecting());
            assert_eq!(sync.offset_ns(), offset);
            let host = sync.to_host(Timestamp(200_000 * MS));
            assert_eq!(sync.to_client(host), Timestamp(200_000 * MS));
        }
    }

    #[test]
    fn an_unanswered_round_ends_the_connect_exchange() {
        let mut world = World { now: MS, host_minus_client: 7 };
        let mut sync = ClockSync::new();
        let said = world.run(&mut sync, |round| (round < 3).then_some((MS, MS)));
        assert_eq!(said, [ClockOutput::Connected(Some(Sample { rtt_ns: 2 * MS, offset_ns: 7 }))]);
        assert_eq!(world.now, MS + 3 * (2 * MS + 10_000) + 2_000 * MS, "three rounds, then the time-out");

        let mut sync = ClockSync::new();
        assert_eq!(world.run(&mut sync, |_| None), [ClockOutput::Connected(None)]);
        assert_eq!(sync.offset_ns(), 0);
    }

    #[test]
    fn batches_follow_a_drifting_host_and_mistrust_slow_ones() {
        let mut world = World { now: 1_000 * MS, host_minus_client: 0 };
        let mut sync = ClockSync::new();
        world.run(&mut sync, |_| Some((MS, MS)));

        let next_batch = |world: &mut World, sync: &mut ClockSync, there: u64, back: u64| {
            world.now += 60_000 * MS;
            world.run(sync, |round| (round != 2).then_some((there, back))) // one echo is lost in each batch
        };
        world.host_minus_client = 3 * MS as i64;
        let adjusted = |rtt_ns, offset_ns| [ClockOutput::Adjusted(Sample { rtt_ns, offset_ns })];
        assert_eq!(next_batch(&mut world, &mut sync, MS, 2 * MS), adjusted(3 * MS, 3 * MS as i64 - MS as i64 / 2));

        // The way there becomes slow: two batches are refused, the third makes the best of them the new truth.
        assert_eq!(next_batch(&mut world, &mut sync, 41 * MS, MS), []);
        assert_eq!(next_batch(&mut world, &mut sync, 31 * MS, MS), []);
        assert_eq!(next_batch(&mut world, &mut sync, 51 * MS, MS), adjusted(32 * MS, 18 * MS as i64));
        assert_eq!(sync.best_rtt_ns(), Some(32 * MS));
        assert_eq!(next_batch(&mut world, &mut sync, 24 * MS, 24 * MS), adjusted(48 * MS, 3 * MS as i64));
    }

    #[test]
    fn suspicion_measures_at_once() {
        let mut world = World { now: MS, host_minus_client: 0 };
        let mut sync = ClockSync::new();
        world.run(&mut sync, |_| Some((MS, MS)));
        assert!(matches!(sync.poll(Timestamp(world.now)), ClockOutput::Wait(_)));
        sync.suspect(Timestamp(world.now));
        assert_eq!(sync.poll(Timestamp(world.now)), ClockOutput::Probe { t1_ns: world.now });
    }

    #[test]
    fn lies_are_not_measured() {
        assert_eq!(Sample::new(10, 0, 100, 20), None, "the host cannot have taken longer than the round");
        assert_eq!(Sample::new(10, 5, 4, 20), None, "nor sent before it received");
        assert_eq!(Sample::new(20, 0, 0, 10), None, "nor may our own clock step back");
        assert_eq!(Sample::new(0, u64::MAX, u64::MAX, 0), None, "an offset beyond i64 is no clock");
        let mut sync = ClockSync::new();
        assert_eq!(sync.poll(Timestamp(5)), ClockOutput::Probe { t1_ns: 5 });
        sync.on_echo(4, 0, 0, Timestamp(6));
        assert_eq!(sync.poll(Timestamp(6)), ClockOutput::Wait(Timestamp(5) + ROUND_TIMEOUT), "answers another t1");
    }
}
