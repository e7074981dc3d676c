//! How long the stages of frames took, over all sessions: fixed buckets that only grow, as Prometheus wants them.

use std::sync::atomic::{AtomicU64, Ordering};

use punktfunk_engine::link::SentFrame;

/// Upper ends of the buckets in microseconds; one more bucket takes the rest.
pub const BOUNDS_US: [u32; 12] = [100, 250, 500, 1000, 2000, 4000, 8000, 16_000, 33_000, 66_000, 250_000, 1_000_000];

/// The stages, in the order of a frame's way; `host` is all of them together.
pub const STAGES: [&str; 7] = ["host", "capture", "queue", "convert", "encode", "packetize", "pace"];

/// One histogram per stage.
#[derive(Debug, Default)]
pub struct StageHistograms([Live; STAGES.len()]);

#[derive(Debug, Default)]
struct Live {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many values fell into each bucket (not cumulative); the last one has no upper end.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// Sum of all values in microseconds.
    pub sum_us: u64,
}

impl StageHistograms {
    /// Counts a frame. Never blocks.
    pub fn record(&self, frame: &SentFrame) {
        for (stage, us) in self.0.iter().zip(stages_of(frame)) {
            let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
            stage.buckets[bucket].fetch_add(1, Ordering::Relaxed);
            stage.sum_us.fetch_add(u64::from(us), Ordering::Relaxed);
        }
    }

    /// Each stage's name and histogram.
    pub fn snapshot(&self) -> impl Iterator<Item = (&'static str, Histogram)> {
        STAGES.iter().zip(&self.0).map(|(name, stage)| {
            let mut histogram = Histogram { sum_us: stage.sum_us.load(Ordering::Relaxed), ..Histogram::default() };
            for (copy, live) in histogram.buckets.iter_mut().zip(&stage.buckets) {
                *copy = live.load(Ordering::Relaxed);
            }
            (*name, histogram)
        })
    }
}

/// A frame's stages in microseconds, as [`STAGES`].
pub(super) const fn stages_of(frame: &SentFrame) -> [u32; STAGES.len()] {
    [
        frame.host_us,
        frame.capture_us,
        frame.queue_us,
        frame.convert_us,
        frame.encode_us,
        frame.packetize_us,
        frame.pace_us,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_takes_it() {
        let histograms = StageHistograms::default();
        histograms.record(&SentFrame { host_us: 100, encode_us: 101, pace_us: u32::MAX, ..SentFrame::default() });
        let seen: Vec<_> = histograms.snapshot().collect();
        let of = |name| seen.iter().find(|(n, _)| *n == name).expect("a stage").1;
        assert_eq!((of("host").buckets[0], of("encode").buckets[1], of("encode").sum_us), (1, 1, 101));
        assert_eq!(of("pace").buckets[BOUNDS_US.len()], 1);
    }
}
