//! Cuts what a sound server delivers, in pieces of its own choosing and only while something plays, into blocks that come
//! without end at the clock's pace.
//!
//! ```text
//! enough frames ─────────► a block, stamped by when its last frame was heard
//! too many (we were away) ► the old ones are dropped, joined to the new by a crossfade
//! too few for too long ──► what there is, and silence that begins where it left off
//! ```

use std::time::{Duration, Instant};

use crate::feed::{FADE_FRAMES, FeedReader, duration_of, ramp};

/// Makes blocks. Time comes in; when to look again goes out.
#[derive(Debug)]
pub struct Cutter {
    channels: usize,
    frames: usize,
    /// When the last block was heard; the next one is a block later.
    last: Option<Instant>,
    /// The last block was filled up: the next one fades in.
    torn: bool,
    /// The last frame of the last block.
    level: Vec<f32>,
    /// For joining what is not neighbours.
    scratch: Vec<f32>,
}

/// What came of a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// A block.
    Block {
        /// When its last frame was heard.
        captured_at: Instant,
        /// Nothing in it can be heard.
        silent: bool,
    },
    /// Not yet: look again when there are more frames, and no later than this.
    Wait(Instant),
}

impl Cutter {
    /// Cuts blocks of `frames` frames of `channels` samples.
    pub fn new(channels: usize, frames: usize) -> Self {
        let (level, scratch) = (vec![0.0; channels], vec![0.0; channels * frames]);
        Self { channels, frames, last: None, torn: false, level, scratch }
    }

    /// Tries to fill `block`. `playing` says whether the sound server delivers frames now: if not, silence need not wait
    /// for stragglers.
    pub fn cut(&mut self, feed: &mut FeedReader, block: &mut [f32], now: Instant, playing: bool) -> Cut {
        let last = *self.last.get_or_insert(now);
        if feed.frames() >= self.frames {
            return self.whole(feed, block, last, now);
        }
        let due = last + self.length() + if playing { STRAGGLERS } else { Duration::ZERO };
        if now < due {
            return Cut::Wait(due);
        }
        let got = feed.take(block) * self.channels;
        self.fade_in(&mut block[..got]);
        if let Some(last) = block[..got].rchunks_exact(self.channels).next() {
            self.level.copy_from_slice(last);
        }
        fall_silent(&mut block[got..], &self.level);
        self.torn = true;
        // After a pause of our own (a suspended machine) the blocks that nobody heard are not made up.
        let next = last + self.length();
        let captured_at = if now.saturating_duration_since(next) > SLEPT { now } else { next };
        self.finish(block, captured_at)
    }

    /// The source starts anew: what comes next has nothing to do with what was.
    pub fn restart(&mut self) {
        self.last = None;
        self.torn = true;
    }

    fn whole(&mut self, feed: &mut FeedReader, block: &mut [f32], last: Instant, now: Instant) -> Cut {
        feed.take(block);
        self.fade_in(block);
        let behind = feed.frames();
        if behind > MOST_BEHIND_BLOCKS * self.frames {
            feed.skip(behind - self.frames);
            feed.take(&mut self.scratch);
            crossfade(block, &self.scratch, self.channels);
        }
        let measured = feed.heard_at().unwrap_or(now);
        let expected = last + self.length();
        let captured_at = steer(expected, measured);
        self.finish(block, captured_at.max(last))
    }

    fn finish(&mut self, block: &[f32], captured_at: Instant) -> Cut {
        self.last = Some(captured_at);
        self.level.copy_from_slice(&block[block.len() - self.channels..]);
        Cut::Block { captured_at, silent: block.iter().all(|s| s.abs() < INAUDIBLE) }
    }

    fn fade_in(&mut self, block: &mut [f32]) {
        if std::mem::take(&mut self.torn) {
            for (i, frame) in block.chunks_exact_mut(self.channels).take(FADE_FRAMES).enumerate() {
                frame.iter_mut().for_each(|s| *s *= ramp(i));
            }
        }
    }

    fn length(&self) -> Duration {
        duration_of(self.frames)
    }
}

/// Follows the measured times slowly, since each of them is late by how long a thread took to wake, and at once where they
/// are far off.
fn steer(expected: Instant, measured: Instant) -> Instant {
    let (ahead, behind) = (measured.saturating_duration_since(expected), expected.saturating_duration_since(measured));
    if ahead.max(behind) > RESYNC { measured } else { expected + ahead / STEER - behind / STEER }
}

/// Silence, coming from `level`.
fn fall_silent(frames: &mut [f32], level: &[f32]) {
    for (i, frame) in frames.chunks_exact_mut(level.len()).enumerate() {
        frame.iter_mut().zip(level).for_each(|(s, l)| *s = l * (1.0 - ramp(i + 1)));
    }
}

/// From all of `block` to all of `newer`.
fn crossfade(block: &mut [f32], newer: &[f32], channels: usize) {
    let frames = block.len() / channels;
    for (i, (old, new)) in block.chunks_exact_mut(channels).zip(newer.chunks_exact(channels)).enumerate() {
        let share = i as f32 / frames as f32;
        old.iter_mut().zip(new).for_each(|(o, n)| *o += (n - *o) * share);
    }
}

/// How much later than its time a block may come while something plays: the largest usual quantum of a sound server (1024
/// frames), and a thread that wakes late.
const STRAGGLERS: Duration = Duration::from_millis(30);
/// Blocks that may wait: more than one quantum brings at once. Beyond, we were away, and old sound is worth nothing.
const MOST_BEHIND_BLOCKS: usize = 8;
/// Times further apart than this are not steered to but taken: no thread wakes that late, so something was skipped.
const RESYNC: Duration = Duration::from_millis(20);
/// Silence that is later than this is not made up.
const SLEPT: Duration = Duration::from_millis(100);
/// The share of a difference that is followed per block.
const STEER: u32 = 16;
/// Below -100 dB of full scale: what dithers, nobody hears.
const INAUDIBLE: f32 = 1e-5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Bell, FeedWriter, feed};

    const FRAMES: usize = 240;
    const MS: Duration = Duration::from_millis(1);

    struct Bench {
        writer: FeedWriter,
        reader: FeedReader,
        cutter: Cutter,
        now: Instant,
        played: usize,
        heard: Vec<f32>,
        stamps: Vec<Instant>,
        silent: Vec<bool>,
    }

    impl Bench {
        fn new() -> Self {
            let (writer, reader) = feed(2, 9600, Bell::new().unwrap());
            let (cutter, now) = (Cutter::new(2, FRAMES), Instant::now());
            Self { writer, reader, cutter, now, played: 0, heard: vec![], stamps: vec![], silent: vec![] }
        }

        /// The sound server delivers so many frames of a tone.
        fn play(&mut self, frames: usize) {
            let bytes: Vec<u8> = (self.played..self.played + frames)
                .flat_map(|n| [0.5 * (n as f32 * 0.05).sin(); 2])
                .flat_map(f32::to_le_bytes)
                .collect();
            self.writer.push(&bytes, self.now);
            self.played += frames;
        }

        /// Looks until there is nothing more.
        fn listen(&mut self, playing: bool) {
            let mut block = [9.0; FRAMES * 2];
            while let Cut::Block { captured_at, silent } =
                self.cutter.cut(&mut self.reader, &mut block, self.now, playing)
            {
                self.heard.extend(block.iter().step_by(2));
                self.stamps.push(captured_at);
                self.silent.push(silent);
            }
        }

        /// The largest step between neighbouring samples: a click is one far beyond the tone's own.
        fn largest_step(&self) -> f32 {
            self.heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
        }
    }

    /// The tone's own largest step, and that of the steepest fade.
    const NO_CLICK: f32 = 0.5 * 0.05 + 0.5 / 48.0 + 0.001;

    #[test]
    fn quanta_of_any_size_become_blocks_in_order_at_the_clocks_pace() {
        for quantum in [64usize, 128, 240, 256, 480, 1024] {
            let mut bench = Bench::new();
            bench.listen(true);
            for _ in 0..48_000 / quantum {
                bench.now += duration_of(quantum);
                bench.play(quantum);
                bench.listen(true);
            }
            let expected: Vec<f32> = (0..bench.heard.len()).map(|n| 0.5 * (n as f32 * 0.05).sin()).collect();
            assert_eq!(bench.heard, expected, "quantum {quantum}");
            assert!(bench.silent.iter().all(|s| !s) && bench.stamps.len() >= 195);
            assert!(bench.stamps.windows(2).all(|w| w[0] <= w[1] && w[1] - w[0] < 8 * MS), "quantum {quantum}");
            let late = bench.now - *bench.stamps.last().unwrap();
            assert!(late < 30 * MS, "quantum {quantum}: the last stamp is {late:?} old");
        }
    }

    #[test]
    fn silence_comes_by_the_clock_and_sound_goes_in_and_out_without_a_click() {
        let mut bench = Bench::new();
        for ms in 0..600 {
            bench.now += MS;
            // 200 ms of silence, 200 of sound, 200 of silence.
            let playing = (200..400).contains(&ms);
            if playing {
                bench.play(48);
            }
            bench.listen(playing);
        }
        let blocks = bench.stamps.len();
        assert!((115..=122).contains(&blocks), "{blocks} blocks in 600 ms");
        assert!(bench.silent[..39].iter().all(|s| *s) && bench.silent[blocks - 35..].iter().all(|s| *s));
        assert!(bench.silent.iter().filter(|s| !**s).count() >= 39);
        assert!(bench.largest_step() < NO_CLICK, "{}", bench.largest_step());
    }

    #[test]
    fn after_we_were_away_old_sound_is_dropped_without_a_click() {
        let mut bench = Bench::new();
        bench.listen(true);
        for ms in 0..600 {
            bench.now += MS;
            bench.play(48);
            // Away for 100 ms, less than the ring holds.
            if !(200..300).contains(&ms) {
                bench.listen(true);
            }
        }
        assert!(bench.reader.frames() < FRAMES);
        assert!(bench.stamps.len() < 110, "what was missed is not played late: {}", bench.stamps.len());
        assert!(bench.now - *bench.stamps.last().unwrap() < 15 * MS);
        assert!(bench.largest_step() < 3.0 * NO_CLICK, "{}", bench.largest_step());
    }

    #[test]
    fn a_server_that_falters_is_bridged_without_a_click() {
        let mut bench = Bench::new();
        bench.listen(true);
        for ms in 0..600 {
            bench.now += MS;
            if !(200..280).contains(&ms) {
                bench.play(48);
            }
            bench.listen(true);
        }
        assert!(bench.silent.iter().any(|s| *s));
        assert!(bench.largest_step() < NO_CLICK, "{}", bench.largest_step());
        assert!(bench.stamps.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn a_source_whose_clock_drifts_is_followed_without_a_click() {
        for ppm in [-500i64, -100, 100, 500] {
            for quantum in [256usize, 1024] {
                let mut bench = Bench::new();
                bench.listen(true);
                let begin = bench.now;
                for n in 1..=60 * 48_000 / quantum as u64 {
                    // Its second is shorter or longer than ours.
                    let ns = n * quantum as u64 * 1_000_000_000 / 48_000;
                    bench.now = begin + Duration::from_nanos(ns.saturating_add_signed(ns as i64 * ppm / 1_000_000));
                    bench.play(quantum);
                    bench.listen(true);
                }
                let expected: Vec<f32> = (0..bench.heard.len()).map(|n| 0.5 * (n as f32 * 0.05).sin()).collect();
                assert!(bench.heard == expected, "{ppm} ppm, quantum {quantum}: something is left out or made up");
                assert!(bench.played - bench.heard.len() < quantum + FRAMES, "{ppm} ppm: nothing piles up");
                let steps = bench.stamps.windows(2).map(|w| w[1] - w[0]);
                assert!(steps.clone().all(|s| s < 8 * MS), "{ppm} ppm, quantum {quantum}: {:?}", steps.max());
                let late = bench.now - *bench.stamps.last().unwrap();
                assert!(late < 30 * MS, "{ppm} ppm, quantum {quantum}: the last stamp is {late:?} old");
            }
        }
    }

    #[test]
    fn a_machine_that_slept_makes_nothing_up() {
        let mut bench = Bench::new();
        bench.listen(false);
        bench.now += Duration::from_secs(3600);
        bench.listen(false);
        assert_eq!((bench.stamps.len(), bench.stamps[0]), (1, bench.now));
    }
}
