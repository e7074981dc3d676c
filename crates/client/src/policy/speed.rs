//! The speed test, as the client counts it (punktfunk1.md §3.9.2).
//!
//! ```text
//! ProbeRequest ─► filler on the data plane … ─► ProbeResult ─► (stragglers, 100 ms) ─► outcome
//!       └────────── nothing for duration + 6 s ──────────────► timed out
//! ```

use std::time::Duration;

use punktfunk_core::Timestamp;
use punktfunk_core::control::ControlMessage;
use punktfunk_core::probe::{ProbeFigures, ProbeOutcome};

/// Filler that arrived during a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BurstReceived {
    /// UDP packets.
    pub packets: u64,
    /// Their UDP payload in bytes.
    pub bytes: u64,
}

/// What a test showed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum SpeedOutcome {
    /// The burst ran.
    Measured {
        /// Rate that arrived, kbit/s of UDP payload.
        delivered_kbps: u32,
        /// Packets lost on the way, per million of those the host sent.
        loss_ppm: u32,
        /// Packets that the host could not hand to its kernel, per million of those it tried to.
        host_drop_ppm: u32,
        /// How long the burst ran on the host.
        duration: Duration,
    },
    /// The host sends no bursts (an all-zero result).
    Declined,
    /// No result came: the host dropped the request (too soon after the last), or went away.
    TimedOut,
}

/// One test, from request to outcome.
#[derive(Debug)]
pub struct SpeedTest {
    deadline: Timestamp,
    received: BurstReceived,
    result: Option<(Timestamp, ControlMessage)>,
}

impl SpeedTest {
    /// Starts a test; send the message at once.
    #[must_use]
    pub fn start(now: Timestamp, target_kbps: u32, duration_ms: u32) -> (Self, ControlMessage) {
        let deadline = now + Duration::from_millis(duration_ms.into()) + PATIENCE;
        let test = Self { deadline, received: BurstReceived::default(), result: None };
        (test, ControlMessage::ProbeRequest { target_kbps, duration_ms })
    }

    /// A filler packet arrived; `bytes` is its UDP payload.
    pub fn on_filler(&mut self, bytes: usize) {
        self.received.packets += 1;
        self.received.bytes += bytes as u64;
    }

    /// The host's result arrived. It may overtake the burst's last packets, which travel another way.
    pub fn on_result(&mut self, now: Timestamp, result: ControlMessage) {
        if let ControlMessage::ProbeResult { .. } = result
            && self.result.is_none()
        {
            self.result = Some((now + STRAGGLERS, result));
        }
    }

    /// The outcome, once there is one.
    #[must_use]
    pub fn poll(&self, now: Timestamp) -> Option<SpeedOutcome> {
        match &self.result {
            Some((at, result)) if now >= *at || declined(result) => Some(outcome(result, self.received)),
            Some(_) => None,
            None => (now >= self.deadline).then_some(SpeedOutcome::TimedOut),
        }
    }

    /// When [`Self::poll`] will have something to say at the latest.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.result.as_ref().map_or(self.deadline, |(at, _)| *at)
    }

    /// What arrived so far.
    #[must_use]
    pub const fn received(&self) -> BurstReceived {
        self.received
    }
}

fn declined(result: &ControlMessage) -> bool {
    matches!(
        result,
        ControlMessage::ProbeResult { bytes_sent: 0, packets_sent: 0, duration_ms: 0, wire_packets_sent: 0, .. }
    )
}

/// Client maths of §3.9.2.
fn outcome(result: &ControlMessage, received: BurstReceived) -> SpeedOutcome {
    let ControlMessage::ProbeResult { bytes_sent, packets_sent, duration_ms, wire_packets_sent, send_dropped } =
        *result
    else {
        return SpeedOutcome::Declined;
    };
    if declined(result) {
        return SpeedOutcome::Declined;
    }
    let duration = Duration::from_millis(duration_ms.into());
    let host = ProbeOutcome { bytes_sent, units_sent: packets_sent, duration_ms, wire_packets_sent, send_dropped };
    let kbps = |bps: u64| u32::try_from(bps / 1000).unwrap_or(u32::MAX);
    match ProbeFigures::new(&host, received.packets, received.bytes) {
        Some(f) => SpeedOutcome::Measured {
            delivered_kbps: kbps(f.throughput_bps),
            loss_ppm: f.loss_ppm,
            host_drop_ppm: f.host_drop_ppm,
            duration,
        },
        // The 21-byte form does not tell packets: a rate, and no loss to compute.
        None => SpeedOutcome::Measured {
            delivered_kbps: kbps(received.bytes * 8000 / u64::from(duration_ms.max(1))),
            loss_ppm: 0,
            host_drop_ppm: 0,
            duration,
        },
    }
}

/// §3.9.2: a host that drops the request never answers.
const PATIENCE: Duration = Duration::from_secs(6);
/// A queue of 100 ms at the bottleneck is the most that a burst may leave behind the result.
const STRAGGLERS: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    fn result(duration_ms: u32, wire_packets_sent: u32, send_dropped: u32) -> ControlMessage {
        let bytes_sent = u64::from(wire_packets_sent) * 1408;
        ControlMessage::ProbeResult { bytes_sent, packets_sent: 50, duration_ms, wire_packets_sent, send_dropped }
    }

    #[test]
    fn loss_host_drops_and_throughput_are_told_apart() {
        let (mut test, request) = SpeedTest::start(at(0), 100_000, 500);
        assert_eq!(request, ControlMessage::ProbeRequest { target_kbps: 100_000, duration_ms: 500 });
        (0..900).for_each(|_| test.on_filler(1472));
        test.on_result(at(510), result(500, 1000, 250));
        assert_eq!(test.poll(at(510)), None, "the last packets may still be underway");
        let Some(SpeedOutcome::Measured { delivered_kbps, loss_ppm, host_drop_ppm, .. }) = test.poll(at(610)) else {
            panic!("no outcome");
        };
        assert_eq!((delivered_kbps, loss_ppm, host_drop_ppm), (900 * 1472 * 8 / 500, 100_000, 200_000));
    }

    #[test]
    fn all_zero_is_a_refusal_and_silence_a_timeout() {
        let zero = ControlMessage::ProbeResult {
            bytes_sent: 0,
            packets_sent: 0,
            duration_ms: 0,
            wire_packets_sent: 0,
            send_dropped: 0,
        };
        let (mut declined, _) = SpeedTest::start(at(0), 100_000, 500);
        declined.on_result(at(3), zero);
        assert_eq!(declined.poll(at(3)), Some(SpeedOutcome::Declined));
        let (silent, _) = SpeedTest::start(at(0), 100_000, 500);
        assert_eq!(silent.poll(at(6499)), None);
        assert_eq!(silent.poll(at(6500)), Some(SpeedOutcome::TimedOut));
    }

    #[test]
    fn hosts_that_do_not_tell_packets_give_a_rate_without_loss() {
        let (mut test, _) = SpeedTest::start(at(0), 100_000, 500);
        test.on_filler(1000);
        test.on_result(at(510), result(500, 0, 0));
        let outcome = test.poll(at(700)).unwrap();
        assert!(matches!(outcome, SpeedOutcome::Measured { delivered_kbps: 16, loss_ppm: 0, host_drop_ppm: 0, .. }));
    }
}
