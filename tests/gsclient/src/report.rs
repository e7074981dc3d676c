//! What a stream showed, as JSON for scripts.

use serde::Serialize;

use crate::Violations;
use crate::audio::AudioStats;
use crate::video::VideoStats;

/// Everything a stream showed. Field names are fixed by scripts; more may be added, none may change its meaning.
#[derive(Serialize, Clone, Debug, Default)]
pub struct Report {
    /// 1.
    pub schema: u32,
    /// `h264`, `hevc` or `av1`.
    pub codec: String,
    /// `WIDTHxHEIGHT@FPS`.
    pub mode: String,
    /// Whether `/resume` was used.
    pub resumed: bool,
    /// Encryption bits that were announced.
    pub encryption: u32,
    /// From sending the launch request to its answer.
    pub launch_ms: f64,
    /// From sending the launch request to PLAY's answer.
    pub play_ms: f64,
    /// From sending the launch request to the first whole access unit.
    pub first_frame_ms: Option<f64>,
    /// From the first access unit to the end.
    pub seconds: f64,
    /// Video.
    pub video: VideoReport,
    /// Audio.
    pub audio: AudioReport,
    /// Reason of the host's termination message, in hex.
    pub termination: Option<String>,
    /// The host dropped the control connection without saying why.
    pub dropped: bool,
    /// Other messages of the host, in words.
    pub host_messages: Vec<String>,
    /// CPU seconds of this whole process.
    pub cpu_s: f64,
    /// Rules of the wire that the host broke.
    pub violation_count: u64,
    /// The first of them.
    pub violations: Vec<String>,
}

/// Video's part.
#[derive(Serialize, Clone, Debug, Default)]
pub struct VideoReport {
    /// Counters of the receiver.
    #[serde(flatten)]
    pub stats: VideoStats,
    /// Datagrams thrown away on purpose.
    pub dropped_on_purpose: u64,
    /// Access units that the decoder's thread was too slow for.
    pub overflowed: u64,
    /// Who decoded, empty if nobody.
    pub decoder: String,
    /// Pictures decoded.
    pub pictures: u64,
    /// Access units that could not be decoded.
    pub decode_errors: u64,
    /// Size of the last picture.
    pub picture_size: (usize, usize),
    /// Pictures with the synthetic source's stamp.
    pub stamped: u64,
    /// Stamps that went back.
    pub stamps_backwards: u64,
    /// The host's own latency: captured → sent.
    pub host_latency_us: Option<Percentiles>,
    /// Captured → decoded: the host's own latency, and from the first datagram to the picture. What the network took for
    /// that datagram is not in it.
    pub capture_to_decoded_us: Option<Percentiles>,
    /// Decoding alone.
    pub decode_us: Option<Percentiles>,
    /// From the first datagram of a frame to its last one.
    pub receive_us: Option<Percentiles>,
    /// From one whole frame to the next.
    pub interval_us: Option<Percentiles>,
    /// Bits per second of access units.
    pub goodput_bps: u64,
}

/// Audio's part.
#[derive(Serialize, Clone, Debug, Default)]
pub struct AudioReport {
    /// Counters of the receiver.
    #[serde(flatten)]
    pub stats: AudioStats,
    /// Datagrams thrown away on purpose.
    pub dropped_on_purpose: u64,
    /// `channels/streams/coupled`.
    pub layout: String,
    /// From sending the launch request to the first packet.
    pub first_packet_ms: Option<f64>,
    /// From one datagram to the next.
    pub interval_us: Option<Percentiles>,
}

/// A distribution, in µs.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50: u64,
    /// 95 %.
    pub p95: u64,
    /// 99 %.
    pub p99: u64,
    /// Largest.
    pub max: u64,
    /// How many.
    pub n: u64,
}

impl Percentiles {
    /// Of these values; `None` of none.
    #[must_use]
    pub fn of(values: &[u64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len().checked_sub(1)?) * percent / 100).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)?, max: at(100)?, n: sorted.len() as u64 })
    }
}

impl Report {
    /// Takes the violations over.
    pub(crate) fn judge(&mut self, violations: &Violations) {
        self.violation_count = violations.count();
        self.violations = violations.list().to_vec();
    }
}

/// CPU time of this process, all threads, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_many() {
        assert_eq!(Percentiles::of(&[]), None);
        assert_eq!(Percentiles::of(&[7]), Some(Percentiles { p50: 7, p95: 7, p99: 7, max: 7, n: 1 }));
        let all: Vec<u64> = (0..=100).rev().collect();
        assert_eq!(Percentiles::of(&all), Some(Percentiles { p50: 50, p95: 95, p99: 99, max: 100, n: 101 }));
    }
}
