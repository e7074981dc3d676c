//! What a session counts and measures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;

use crate::link::SentFrame;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a session. Every one only ever grows.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// Both together.
            #[must_use]
            pub fn plus(&self, other: &Self) -> Self {
                Self { $($name: self.$name.wrapping_add(other.$name),)* }
            }

            /// Each counter's name and value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct LiveCounters { $(pub $name: Counter,)* }

        impl LiveCounters {
            pub fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Pictures that the capturer delivered.
    captured,
    /// Of those, replaced by a newer one before the encoder took them.
    replaced,
    /// Captures that failed in passing.
    capture_errors,
    /// Capturers that failed for good and were replaced.
    capture_restarts,
    /// Access units made.
    encoded,
    /// Of those, repeats of an unchanged picture.
    repeats,
    /// Of those, keyframes.
    keyframes,
    /// Keyframe requests that the client made.
    keyframe_requests,
    /// Invalidations that the encoder honoured instead of a keyframe.
    invalidations,
    /// Steps down the encoder ladder.
    encoder_changes,
    /// Mode changes carried out.
    mode_changes,
    /// Frames whose every packet was handed to the kernel.
    frames_sent,
    /// Frames that lost packets here, or could not be packetized.
    frames_damaged,
    /// Packets handed to the kernel, speed tests included.
    packets_sent,
    /// Packets that the kernel did not take.
    packets_dropped,
    /// Bytes of video access units sent.
    bytes_sent,
    /// Speed tests run.
    probes,
    /// Speed tests refused because one ran a moment ago.
    probes_refused,
    /// Input events taken from the client.
    input_events,
    /// Of those, merged into another event that was still waiting.
    input_merged,
    /// Of those, refused for want of a grant.
    input_refused,
    /// Of those, without a counterpart on this desktop (unknown key, pad, missing ability).
    input_unsupported,
    /// Of those, without effect: a key already down, a release of what is not held.
    input_redundant,
    /// Of those, dropped because the desktop did not keep up (never a key or a button).
    input_overflowed,
    /// Actions that the injector refused.
    input_failed,
    /// Held keys, buttons and contacts that were released at the end or when a grant was taken away.
    input_released,
    /// Blocks of sound captured.
    audio_blocks,
    /// Of those, silent: nothing plays.
    audio_silent,
    /// Blocks that were not captured, coded or sent because of a failure in passing.
    audio_errors,
    /// Packets of the client's microphone.
    voice_packets,
    /// Of those, refused for want of a grant, or because there is no microphone to speak into.
    voice_refused,
    /// Of those, not decodable.
    voice_undecodable,
}

/// One counter, written by one or more threads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn one(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A session's figures at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionStats {
    /// Everything counted.
    pub counters: Counters,
    /// The wire budget in force, in kbit/s.
    pub wire_kbps: u32,
    /// What the encoder was last told to spend, in bit/s.
    pub video_bps: u64,
    /// The loss that the client last reported, in ppm.
    pub loss_ppm: u32,
    /// The encoder in use; empty before the first picture.
    pub encoder: &'static str,
    /// Time from drawn until the last packet was handed to the kernel.
    pub host: Percentiles,
    /// From drawn until readable.
    pub capture: Percentiles,
    /// Waiting for the encode and the send thread.
    pub queue: Percentiles,
    /// Colour conversion.
    pub convert: Percentiles,
    /// Encoding.
    pub encode: Percentiles,
    /// Packetizing, FEC and sealing.
    pub packetize: Percentiles,
    /// From the first packet until the last.
    pub pace: Percentiles,
    /// From an input event's arrival until it was injected.
    pub input: Percentiles,
    /// From the last sample of a block heard until its packet was handed over.
    pub audio: Percentiles,
    /// From the arrival of a packet of the microphone until the sound server had its samples.
    pub voice: Percentiles,
}

/// Percentiles of a duration, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Percentiles {
    /// Values recorded.
    pub count: u64,
    /// Half are below.
    pub p50: u64,
    /// 99 of 100 are below.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

/// The figures of a running session, written by its threads.
#[derive(Debug)]
pub(crate) struct Stats {
    pub counters: LiveCounters,
    gauges: Mutex<Gauges>,
    stages: Mutex<Stages>,
    input: Mutex<Stage>,
    audio: Mutex<Stage>,
    voice: Mutex<Stage>,
}

#[derive(Debug, Default)]
struct Gauges {
    wire_kbps: u32,
    video_bps: u64,
    loss_ppm: u32,
    encoder: &'static str,
}

#[derive(Debug)]
struct Stages {
    host: Stage,
    capture: Stage,
    queue: Stage,
    convert: Stage,
    encode: Stage,
    packetize: Stage,
    pace: Stage,
}

impl Stats {
    pub fn new() -> Self {
        let stage = Stage::new;
        Self {
            counters: LiveCounters::default(),
            gauges: Mutex::default(),
            stages: Mutex::new(Stages {
                host: stage(),
                capture: stage(),
                queue: stage(),
                convert: stage(),
                encode: stage(),
                packetize: stage(),
                pace: stage(),
            }),
            input: Mutex::new(stage()),
            audio: Mutex::new(stage()),
            voice: Mutex::new(stage()),
        }
    }

    /// Records the stages of a frame.
    pub fn record_frame(&self, frame: &SentFrame) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.host.record(frame.host_us.into());
        stages.capture.record(frame.capture_us.into());
        stages.queue.record(frame.queue_us.into());
        stages.convert.record(frame.convert_us.into());
        stages.encode.record(frame.encode_us.into());
        stages.packetize.record(frame.packetize_us.into());
        stages.pace.record(frame.pace_us.into());
    }

    /// Records how long an input event took.
    pub fn record_input(&self, us: u64) {
        self.input.lock().unwrap_or_else(PoisonError::into_inner).record(us);
    }

    /// Records how long a block of sound took.
    pub fn record_audio(&self, us: u64) {
        self.audio.lock().unwrap_or_else(PoisonError::into_inner).record(us);
    }

    /// How long blocks of sound took so far.
    pub fn audio(&self) -> Percentiles {
        self.audio.lock().unwrap_or_else(PoisonError::into_inner).percentiles()
    }

    /// Records how long a packet of the microphone took.
    pub fn record_voice(&self, us: u64) {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner).record(us);
    }

    /// How long packets of the microphone took so far.
    pub fn voice(&self) -> Percentiles {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner).percentiles()
    }

    pub fn set_rate(&self, wire_kbps: u32, video_bps: u64) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        (gauges.wire_kbps, gauges.video_bps) = (wire_kbps, video_bps);
    }

    pub fn set_loss(&self, ppm: u32) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).loss_ppm = ppm;
    }

    pub fn set_encoder(&self, name: &'static str) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).encoder = name;
    }

    pub fn snapshot(&self) -> SessionStats {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        SessionStats {
            counters: self.counters.snapshot(),
            wire_kbps: gauges.wire_kbps,
            video_bps: gauges.video_bps,
            loss_ppm: gauges.loss_ppm,
            encoder: gauges.encoder,
            host: stages.host.percentiles(),
            capture: stages.capture.percentiles(),
            queue: stages.queue.percentiles(),
            convert: stages.convert.percentiles(),
            encode: stages.encode.percentiles(),
            packetize: stages.packetize.percentiles(),
            pace: stages.pace.percentiles(),
            input: self.input.lock().unwrap_or_else(PoisonError::into_inner).percentiles(),
            audio: self.audio(),
            voice: self.voice(),
        }
    }
}

/// The distribution of one duration. About 6 KiB, allocated once.
#[derive(Debug)]
struct Stage(Option<Histogram<u32>>);

impl Stage {
    fn new() -> Self {
        // The bounds are valid, so this is always `Some`; without it a session would merely not measure.
        Self(Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok())
    }

    fn record(&mut self, us: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(us);
        }
    }

    fn percentiles(&self) -> Percentiles {
        self.0.as_ref().map_or_else(Percentiles::default, |h| Percentiles {
            count: h.len(),
            p50: h.value_at_quantile(0.5),
            p99: h.value_at_quantile(0.99),
            max: h.max(),
        })
    }
}

/// Anything longer than 10 s is as bad as 10 s.
const LONGEST_US: u64 = 10_000_000;
/// One per cent resolution.
const DIGITS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_follow_what_was_recorded() {
        let stats = Stats::new();
        for us in 1..=1000 {
            stats.record_frame(&SentFrame { host_us: us, capture_us: 7, ..SentFrame::default() });
        }
        stats.record_input(u64::MAX);
        stats.counters.captured.add(3);
        stats.set_rate(20_000, 17_000_000);
        let seen = stats.snapshot();
        assert_eq!((seen.host.count, seen.capture.p50, seen.capture.p99), (1000, 7, 7));
        assert!((495..=505).contains(&seen.host.p50) && (985..=1000).contains(&seen.host.p99), "{:?}", seen.host);
        assert!(seen.input.max >= LONGEST_US && seen.input.count == 1);
        assert_eq!((seen.counters.captured, seen.wire_kbps, seen.video_bps), (3, 20_000, 17_000_000));
    }
}
