//! Where the time of each frame went: capture on the host → decoded here.
//!
//! ```text
//!  host clock   pts ─ capture ─ convert ─ (queue) ─ encode ─ packetize ─ pace ─┐        0xCF tells, per frame
//!                                                                              │ network
//!  our clock                       last packet in ◄────────────────────────────┘
//!                                       └─ receive ─► at the decoder ─ decode ─► picture
//! ```
//!
//! `latency` is capture → last packet in (received + clock offset − pts); `network` is what of it the host did not
//! spend itself; `decoded` is the whole way, capture → the decoder gave the picture back. Host timings and access units travel separately and meet here by their pts, in either order.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use punktfunk_core::Timestamp;
use punktfunk_core::datagram::HostTiming;

/// What is measured; an index into [`Latency::of`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Capture → last packet in.
    Total,
    /// On the host: the frame is drawn → captured.
    Capture,
    /// On the host: into the encoder's format.
    Convert,
    /// On the host: waiting for the encoder.
    Queue,
    /// On the host: encoder.
    Encode,
    /// On the host: packets, FEC, sealing.
    Packetize,
    /// On the host: first packet → last packet handed to the socket.
    Pace,
    /// Total minus all the host's time.
    Network,
    /// Last packet in → handed to the decoder (FEC, order, queue).
    Receive,
    /// Decoder.
    Decode,
    /// Capture → picture out of the decoder, of units that gave one.
    Decoded,
}

impl Stage {
    /// Every stage, the total first, then in the order in which a frame goes through them, then all of them together.
    pub const ALL: [Self; 11] = [
        Self::Total,
        Self::Capture,
        Self::Convert,
        Self::Queue,
        Self::Encode,
        Self::Packetize,
        Self::Pace,
        Self::Network,
        Self::Receive,
        Self::Decode,
        Self::Decoded,
    ];

    /// Lower-case name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "latency",
            Self::Capture => "capture",
            Self::Convert => "convert",
            Self::Queue => "queue",
            Self::Encode => "encode",
            Self::Packetize => "packetize",
            Self::Pace => "pace",
            Self::Network => "network",
            Self::Receive => "receive",
            Self::Decode => "decode",
            Self::Decoded => "decoded",
        }
    }
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Percentiles {
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Samples.
    pub count: u64,
}

/// The accounting of one session. Allocates only in [`Self::new`].
#[derive(Debug)]
pub struct Latency {
    stages: [Histogram<u32>; Stage::ALL.len()],
    /// Units waiting for their timing, and timings waiting for their unit, oldest first.
    units: VecDeque<(u64, i64)>,
    timings: VecDeque<HostTiming>,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// Nothing measured yet.
    #[must_use]
    pub fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order");
        Self {
            stages: std::array::from_fn(|_| histogram()),
            units: VecDeque::with_capacity(PENDING),
            timings: VecDeque::with_capacity(PENDING),
        }
    }

    /// The last packet of a unit came in at `at`. `offset_ns` is host clock minus ours. Returns its age at that moment, and
    /// its time underway if the host has told its own already; negative when the clocks are not that well known.
    pub fn on_unit(&mut self, pts_ns: u64, at: Timestamp, offset_ns: i64) -> (i64, Option<i64>) {
        let age_ns = (i128::from(at.as_nanos()) + i128::from(offset_ns) - i128::from(pts_ns))
            .clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        self.record_ns(Stage::Total, age_ns);
        match self.timings.iter().position(|t| t.pts_ns == pts_ns).and_then(|i| self.timings.remove(i)) {
            Some(timing) => (age_ns, Some(self.network(age_ns, &timing))),
            None => {
                push(&mut self.units, (pts_ns, age_ns));
                (age_ns, None)
            }
        }
    }

    /// The host told where its time went. Returns the unit's time underway, if that one is here already.
    pub fn on_timing(&mut self, timing: &HostTiming) -> Option<i64> {
        if let Some(stages) = &timing.stages {
            self.record_us(Stage::Queue, stages.queue_us);
            self.record_us(Stage::Encode, stages.encode_us);
            self.record_us(Stage::Pace, stages.pace_us);
        }
        if let Some(ours) = &timing.ours {
            self.record_us(Stage::Capture, ours.capture_us);
            self.record_us(Stage::Convert, ours.convert_us);
            self.record_us(Stage::Packetize, ours.packetize_us);
        }
        match self.units.iter().position(|(pts, _)| *pts == timing.pts_ns).and_then(|i| self.units.remove(i)) {
            Some((_, age_ns)) => Some(self.network(age_ns, timing)),
            None => {
                push(&mut self.timings, *timing);
                None
            }
        }
    }

    /// A duration measured here ([`Stage::Receive`], [`Stage::Decode`]).
    pub fn on_local(&mut self, stage: Stage, took: Duration) {
        self.record_ns(stage, i64::try_from(took.as_nanos()).unwrap_or(i64::MAX));
    }

    /// A unit became a picture `age_ns` after it was drawn: what [`Self::on_unit`] returned of it, and the time since then.
    pub fn on_picture(&mut self, age_ns: i64) {
        self.record_ns(Stage::Decoded, age_ns);
    }

    /// Forgets everything measured (a warm-up, say).
    pub fn reset(&mut self) {
        self.stages.iter_mut().for_each(Histogram::reset);
        self.units.clear();
        self.timings.clear();
    }

    /// What was measured of a stage; `None` if nothing was.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Option<Percentiles> {
        let histogram = &self.stages[stage as usize];
        (!histogram.is_empty()).then(|| Percentiles {
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            count: histogram.len(),
        })
    }

    fn network(&mut self, age_ns: i64, timing: &HostTiming) -> i64 {
        let underway_ns = age_ns.saturating_sub(i64::from(timing.host_us) * 1000);
        self.record_ns(Stage::Network, underway_ns);
        underway_ns
    }

    fn record_us(&mut self, stage: Stage, us: u32) {
        self.stages[stage as usize].saturating_record(us.into());
    }

    fn record_ns(&mut self, stage: Stage, ns: i64) {
        // Below zero is the clocks' uncertainty: nothing travels back in time.
        self.stages[stage as usize].saturating_record(u64::try_from(ns).unwrap_or(0) / 1000);
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == PENDING {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Half a second at 240 Hz: a timing that is later than that was lost.
const PENDING: usize = 128;
/// A minute; longer reads as this.
const LONGEST_US: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::datagram::{OurTiming, StageTiming};

    fn timing(pts_ns: u64, host_us: u32) -> HostTiming {
        HostTiming { pts_ns, host_us, stages: None, applied_phase_ns: None, ours: None }
    }

    fn p50(latency: &Latency, stage: Stage) -> Option<u64> {
        latency.of(stage).map(|p| p.p50_us)
    }

    #[test]
    fn network_is_what_the_host_did_not_spend_whichever_comes_first() {
        for unit_first in [true, false] {
            let mut latency = Latency::new();
            let told = timing(1_000_000_000, 3000);
            if !unit_first {
                latency.on_timing(&told);
            }
            // Our clock is 2 s behind the host's.
            let (age, underway) = latency.on_unit(1_000_000_000, Timestamp(0), 1_000_000_000 + 8_000_000);
            assert_eq!((age, underway), (8_000_000, (!unit_first).then_some(5_000_000)));
            if unit_first {
                assert_eq!(latency.of(Stage::Network), None);
                assert_eq!(latency.on_timing(&told), Some(5_000_000));
            }
            assert_eq!(p50(&latency, Stage::Network).map(|us| us / 100), Some(50));
            assert_eq!(latency.of(Stage::Network).map(|p| p.count), Some(1));
            assert_eq!(latency.of(Stage::Encode), None, "the host did not tell");
        }
    }

    #[test]
    fn what_the_host_tells_is_kept_per_stage() {
        let mut latency = Latency::new();
        let stages = StageTiming { queue_us: 10, encode_us: 20, pace_us: 30 };
        let ours = OurTiming { capture_us: 40, convert_us: 50, packetize_us: 60 };
        latency.on_timing(&HostTiming { stages: Some(stages), ours: Some(ours), ..timing(1, 200) });
        let told = [Stage::Queue, Stage::Encode, Stage::Pace, Stage::Capture, Stage::Convert, Stage::Packetize];
        assert_eq!(told.map(|s| p50(&latency, s)), [10, 20, 30, 40, 50, 60].map(Some));
        latency.reset();
        assert_eq!(told.map(|s| p50(&latency, s)), [None; 6]);
    }

    #[test]
    fn a_picture_is_never_younger_than_its_unit_however_badly_the_clocks_are_known() {
        // Half a millisecond of uncertainty, with the picture 0.2 ms after the last packet.
        for age_ns in [-500_000, -100_000, 0, 4_000_000] {
            let mut latency = Latency::new();
            let (age_ns, _) = latency.on_unit(1_000_000_000, Timestamp(1_000_000_000), age_ns);
            latency.on_picture(age_ns + 200_000);
            let (arrived, decoded) = (p50(&latency, Stage::Total).unwrap(), p50(&latency, Stage::Decoded).unwrap());
            assert!(decoded >= arrived && decoded <= arrived + 210, "{age_ns}: {arrived} {decoded}");
        }
    }

    #[test]
    fn unmatched_ones_are_forgotten_and_absurd_stamps_do_no_harm() {
        let mut latency = Latency::new();
        for pts in 0..10_000 {
            latency.on_unit(pts, Timestamp(pts), 0);
            latency.on_timing(&timing(u64::MAX - pts, u32::MAX));
        }
        latency.on_picture(i64::MAX);
        assert!(latency.units.len() <= PENDING && latency.timings.len() <= PENDING);
        latency.on_unit(u64::MAX, Timestamp(0), i64::MIN);
        latency.on_unit(0, Timestamp(u64::MAX), i64::MAX);
        assert_eq!(latency.of(Stage::Total).map(|p| p.count), Some(10_002));
    }
}
