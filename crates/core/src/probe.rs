//! The speed test (punktfunk1.md §3.9.2): filler access units released so that the bytes sent follow target × elapsed.
//!
//! The host drives a [`ProbePlan`] beside its video and packetizes each unit with [`crate::packetize::FrameMeta::probe`]
//! set; the client turns the host's result and its own counters into [`ProbeFigures`].

use core::time::Duration;

use crate::Timestamp;

/// The next thing to do for a running speed test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeStep {
    /// Send one access unit of this many zero bytes, then ask again.
    Send {
        /// Size of the unit.
        bytes: usize,
    },
    /// Nothing to send before this time.
    Wait(Timestamp),
    /// The time is over: send the result.
    Done,
}

/// What the host reports in `ProbeResult`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProbeOutcome {
    /// Bytes of the access units sent.
    pub bytes_sent: u64,
    /// Access units sent.
    pub units_sent: u32,
    /// How long it took, in ms.
    pub duration_ms: u32,
    /// Packets handed to the network.
    pub wire_packets_sent: u32,
    /// Packets that our own socket refused.
    pub send_dropped: u32,
}

/// One speed test on the host.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    bytes_per_s: u64,
    unit: usize,
    start: Timestamp,
    duration: Duration,
    /// Bytes that the schedule counts as released: those sent, and those forgiven after a stall.
    released: u64,
    outcome: ProbeOutcome,
}

impl ProbePlan {
    /// A plan starting at `start`; target and duration are clamped to 10 Gbit/s and 5 s.
    #[must_use]
    pub fn new(target_kbps: u32, duration_ms: u32, start: Timestamp) -> Self {
        let bytes_per_s = u64::from(target_kbps.min(MAX_TARGET_KBPS)) * 125;
        Self {
            bytes_per_s,
            unit: ((bytes_per_s / 240) as usize).clamp(MIN_UNIT_BYTES, MAX_UNIT_BYTES),
            start,
            duration: Duration::from_millis(duration_ms.min(MAX_DURATION_MS).into()),
            released: 0,
            outcome: ProbeOutcome::default(),
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Timestamp) -> ProbeStep {
        let elapsed = now.since(self.start);
        if elapsed >= self.duration || self.bytes_per_s == 0 {
            return ProbeStep::Done;
        }
        let due = (elapsed.as_nanos() * u128::from(self.bytes_per_s) / 1_000_000_000) as u64;
        // A sender that was held up does not make up for it in one burst.
        self.released = self.released.max(due.saturating_sub(self.bytes_per_s / 1000 * MAX_DEBT_MS));
        if self.released <= due {
            return ProbeStep::Send { bytes: self.unit };
        }
        let wait_ns = u128::from(self.released) * 1_000_000_000 / u128::from(self.bytes_per_s);
        let at = Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(u64::MAX) + 1).min(self.duration);
        ProbeStep::Wait(self.start + at)
    }

    /// The unit that [`ProbeStep::Send`] asked for is on its way: `packets` went out, `dropped` did not.
    pub fn on_sent(&mut self, packets: u32, dropped: u32) {
        self.released += self.unit as u64;
        self.outcome.bytes_sent += self.unit as u64;
        self.outcome.units_sent += 1;
        self.outcome.wire_packets_sent += packets;
        self.outcome.send_dropped += dropped;
    }

    /// The result, at the end or when the test is cut short at `now`.
    #[must_use]
    pub fn outcome(&self, now: Timestamp) -> ProbeOutcome {
        let ran = now.since(self.start).min(self.duration);
        ProbeOutcome { duration_ms: ran.as_millis() as u32, ..self.outcome } // at most MAX_DURATION_MS
    }
}

/// Lets one speed test through per ten seconds; an early request is dropped without a reply.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeGate {
    last: Option<Timestamp>,
}

impl ProbeGate {
    /// Whether a test may start now; if so, the next ten seconds are closed.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        if self.last.is_some_and(|last| now.since(last) < PROBE_SPACING) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

/// What a client learns from a speed test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeFigures {
    /// Packets lost on the way, in millionths of those sent.
    pub loss_ppm: u32,
    /// Packets that the host's own socket refused, in millionths of those it tried.
    pub host_drop_ppm: u32,
    /// Delivered rate, in bit/s.
    pub throughput_bps: u64,
}

impl ProbeFigures {
    /// From the host's result and what arrived. `None` for the all-zero result, with which a host declines.
    #[must_use]
    pub fn new(outcome: &ProbeOutcome, received_packets: u64, received_wire_bytes: u64) -> Option<Self> {
        if outcome.duration_ms == 0 || outcome.wire_packets_sent == 0 {
            return None;
        }
        let sent = u64::from(outcome.wire_packets_sent);
        let tried = sent + u64::from(outcome.send_dropped);
        let ppm = |part: u64, of: u64| (part * 1_000_000 / of).min(1_000_000) as u32;
        let bits = u128::from(received_wire_bytes) * 8 * 1000 / u128::from(outcome.duration_ms);
        Some(Self {
            loss_ppm: ppm(sent.saturating_sub(received_packets), sent),
            host_drop_ppm: ppm(outcome.send_dropped.into(), tried),
            throughput_bps: u64::try_from(bits).unwrap_or(u64::MAX),
        })
    }
}

/// Limits of punktfunk1.md §3.9.2.
const MAX_TARGET_KBPS: u32 = 10_000_000;
const MAX_DURATION_MS: u32 = 5_000;
const MIN_UNIT_BYTES: usize = 1_200;
const MAX_UNIT_BYTES: usize = 16_384;
const PROBE_SPACING: Duration = Duration::from_secs(10);
/// How much of its schedule a held-up test may catch up with, in ms.
const MAX_DEBT_MS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_target_times_elapsed() {
        let mut plan = ProbePlan::new(100_000, 800, Timestamp(0));
        let mut now = Timestamp(0);
        let mut most_ahead = 0i64;
        loop {
            match plan.poll(now) {
                ProbeStep::Send { bytes } => {
                    assert_eq!(bytes, 16_384);
                    plan.on_sent(12, 1);
                    let due = now.as_nanos() as i64 / 80; // 12.5 MB/s
                    most_ahead = most_ahead.max(plan.outcome(now).bytes_sent as i64 - due);
                }
                ProbeStep::Wait(at) => {
                    assert!(at > now, "no spinning");
                    now = at;
                }
                ProbeStep::Done => break,
            }
        }
        let out = plan.outcome(now);
        assert_eq!(out.duration_ms, 800);
        assert!(most_ahead <= 16_384, "{most_ahead}");
        assert!((9_990_000..=10_020_000).contains(&out.bytes_sent), "{out:?}");
        assert_eq!((out.wire_packets_sent, out.send_dropped), (out.units_sent * 12, out.units_sent));
    }

    #[test]
    fn a_stall_is_not_made_up_for() {
        let mut plan = ProbePlan::new(100_000, 1000, Timestamp(0));
        let now = Timestamp(500_000_000);
        let mut units = 0;
        while let ProbeStep::Send { .. } = plan.poll(now) {
            plan.on_sent(12, 0);
            units += 1;
        }
        assert!(units <= 5, "{units} units at once"); // 5 ms at 12.5 MB/s
    }

    #[test]
    fn one_test_per_ten_seconds() {
        let mut gate = ProbeGate::default();
        assert!(gate.admit(Timestamp(0)));
        assert!(!gate.admit(Timestamp(9_999_999_999)));
        assert!(gate.admit(Timestamp(10_000_000_000)));
    }

    #[test]
    fn figures_of_a_test() {
        let out =
            ProbeOutcome { bytes_sent: 1, units_sent: 1, duration_ms: 800, wire_packets_sent: 1000, send_dropped: 250 };
        let f = ProbeFigures::new(&out, 900, 1_000_000).expect("not declined");
        assert_eq!((f.loss_ppm, f.host_drop_ppm, f.throughput_bps), (100_000, 200_000, 10_000_000));
        assert_eq!(ProbeFigures::new(&ProbeOutcome::default(), 0, 0), None);
    }
}
