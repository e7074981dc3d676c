//! The way of a voice to the sound server's thread: a ring without locks that is kept as full as the server's next look
//! needs, and no fuller. Nothing here blocks, allocates or takes a lock after [`voice`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use punktfunk_media::MicWanted;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::feed::{Bell, FADE_FRAMES, duration_of, ramp};

/// A ring for a voice, one channel. The reader rings `bell` whenever it took something.
pub fn voice(bell: Bell) -> (VoiceWriter, VoiceReader) {
    let (producer, ring) = RingBuffer::new(RING_FRAMES);
    let pace = Arc::new(Pace {
        began: Instant::now(),
        quantum: AtomicU32::new(USUAL_QUANTUM),
        looked: AtomicU64::new(0),
        starving: AtomicBool::new(true),
    });
    let writer = VoiceWriter { ring: producer, pace: Arc::clone(&pace) };
    (writer, VoiceReader { ring, pace, bell, torn: true, level: 0.0 })
}

/// What the writer knows of the reader.
#[derive(Debug)]
struct Pace {
    began: Instant,
    /// How much was asked for last.
    quantum: AtomicU32,
    /// When that was, in ns since `began`.
    looked: AtomicU64,
    /// Nothing is played until enough is there again.
    starving: AtomicBool,
}

/// Where our thread puts the voice.
#[derive(Debug)]
pub struct VoiceWriter {
    ring: Producer<f32>,
    pace: Arc<Pace>,
}

impl VoiceWriter {
    /// What the reader needs.
    pub fn wanted(&self) -> MicWanted {
        let quantum = self.pace.quantum.load(Ordering::Acquire) as usize;
        let queued = RING_FRAMES - self.ring.slots();
        let missing = (quantum + LEAD).saturating_sub(queued);
        if missing == 0 {
            return MicWanted::Enough;
        }
        if self.pace.starving.load(Ordering::Acquire) {
            return MicWanted::Samples { missing, by: None };
        }
        let looked = self.pace.began + Duration::from_nanos(self.pace.looked.load(Ordering::Acquire));
        let looks = if queued >= quantum { 2 } else { 1 };
        let by = looked + (duration_of(quantum) * looks).saturating_sub(IN_TIME);
        MicWanted::Samples { missing, by: Some(by) }
    }

    /// Puts samples in. What does not fit is lost: nobody has read for 200 ms.
    pub fn write(&mut self, samples: &[f32]) {
        let fits = samples.len().min(self.ring.slots());
        let _ = self.ring.push_entire_slice(&samples[..fits]);
    }
}

/// What the sound server's thread reads.
#[derive(Debug)]
pub struct VoiceReader {
    ring: Consumer<f32>,
    pace: Arc<Pace>,
    bell: Bell,
    /// What comes next does not continue what was: it fades in.
    torn: bool,
    /// The last sample.
    level: f32,
}

impl VoiceReader {
    /// Fills `bytes` with little-endian samples: the voice, or silence where there is none.
    pub fn fill(&mut self, bytes: &mut [u8], now: Instant) {
        let (samples, _) = bytes.as_chunks_mut::<4>();
        let wanted = samples.len();
        let now = u64::try_from(now.saturating_duration_since(self.pace.began).as_nanos()).unwrap_or(u64::MAX);
        let before = self.pace.looked.swap(now, Ordering::AcqRel);
        self.pace.quantum.store(wanted.min(LARGEST_QUANTUM) as u32, Ordering::Release);
        if now.saturating_sub(before) > STALE {
            // Nobody recorded for a while: what is left is of then.
            self.skip(self.ring.slots());
            self.pace.starving.store(true, Ordering::Release);
        }
        self.play(samples);
        self.bell.ring();
    }

    fn play(&mut self, samples: &mut [[u8; 4]]) {
        let (wanted, there) = (samples.len(), self.ring.slots());
        if self.pace.starving.load(Ordering::Relaxed) && there < (wanted + LEAD).min(RING_FRAMES) {
            samples.fill([0; 4]);
            return;
        }
        let starving = there < wanted;
        self.pace.starving.store(starving, Ordering::Release);
        let playing = wanted.min(there);
        let (play, silence) = samples.split_at_mut(playing);
        let Ok(chunk) = self.ring.read_chunk(playing) else { return };
        for (i, (to, from)) in play.iter_mut().zip(chunk).enumerate() {
            self.level = if self.torn { from * ramp(i) } else { from };
            *to = self.level.to_le_bytes();
        }
        for (i, to) in silence.iter_mut().enumerate() {
            *to = (self.level * (1.0 - ramp(i + 1))).to_le_bytes();
        }
        self.torn = starving;
    }

    fn skip(&mut self, frames: usize) {
        if let Ok(chunk) = self.ring.read_chunk(frames) {
            chunk.commit_all();
            self.torn = true;
        }
    }
}

/// What must be there beyond the server's next look: our thread may wake 5 ms late without anybody hearing it.
const LEAD: usize = 240;
/// So long before the server's next look the voice must be there: our thread may wake that late.
const IN_TIME: Duration = Duration::from_millis(4);
/// 10 ms, until the server looks for the first time.
const USUAL_QUANTUM: u32 = 480;
/// 8192 samples at once is the most that a sound server does with its usual limits.
const LARGEST_QUANTUM: usize = 8192;
/// Larger than the largest quantum (171 ms) and a thread that wakes late.
const STALE: u64 = 400_000_000;
/// 300 ms: the largest quantum, and the longest packet (120 ms).
const RING_FRAMES: usize = 14_400;
const _: () = assert!(FADE_FRAMES < LEAD && LARGEST_QUANTUM + LEAD + 5760 <= RING_FRAMES);

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        writer: VoiceWriter,
        reader: VoiceReader,
        now: Instant,
        said: usize,
        heard: Vec<f32>,
    }

    impl Bench {
        fn new() -> Self {
            let (writer, reader) = voice(Bell::new().unwrap());
            let now = writer.pace.began;
            Self { writer, reader, now, said: 0, heard: Vec::new() }
        }

        fn say(&mut self, frames: usize) {
            let samples: Vec<f32> = (self.said..self.said + frames).map(tone).collect();
            self.said += frames;
            self.writer.write(&samples);
        }

        fn read(&mut self, frames: usize) {
            let mut bytes = vec![7; frames * 4];
            self.reader.fill(&mut bytes, self.now);
            self.heard.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
            self.now += duration_of(frames);
        }

        fn largest_step(&self) -> f32 {
            self.heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
        }
    }

    fn tone(n: usize) -> f32 {
        0.5 * (n as f32 * 0.05).sin()
    }

    #[test]
    fn a_voice_that_is_said_as_wanted_is_whole() {
        for (quantum, packet) in [(240, 480), (480, 480), (1024, 480), (2048, 480), (256, 2880), (240, 240)] {
            let mut b = Bench::new();
            b.read(quantum);
            for _ in 0..100 {
                while matches!(b.writer.wanted(), MicWanted::Samples { .. }) {
                    b.say(packet);
                }
                b.read(quantum);
            }
            let start = b.heard.iter().position(|s| *s != 0.0).unwrap();
            assert!((quantum..=quantum + 10).contains(&start), "{start}");
            let offset = FADE_FRAMES + 1;
            let whole = &b.heard[start + FADE_FRAMES..];
            assert!(whole.iter().enumerate().all(|(i, s)| (s - tone(i + offset)).abs() < 1e-6), "nothing is missing");
        }
    }

    #[test]
    fn what_is_missing_is_wanted_before_the_next_look() {
        let mut b = Bench::new();
        assert_eq!(b.writer.wanted(), MicWanted::Samples { missing: 720, by: None }, "nothing would break off");
        b.say(720);
        assert_eq!(b.writer.wanted(), MicWanted::Enough);
        b.read(240);
        let look = b.now;
        assert_eq!(b.writer.wanted(), MicWanted::Enough);
        b.read(240);
        let by = Some(look + 2 * duration_of(240) - IN_TIME);
        assert_eq!(b.writer.wanted(), MicWanted::Samples { missing: 240, by }, "one look more is there");
        b.read(240);
        assert_eq!(b.writer.wanted(), MicWanted::Samples { missing: 480, by }, "nothing is there");
    }

    #[test]
    fn a_voice_that_falters_fades_out_and_in() {
        let mut b = Bench::new();
        b.say(480);
        for turn in 0..60 {
            if (20..25).contains(&turn) {
                b.said += 480;
            } else {
                b.say(480);
            }
            b.read(480);
        }
        assert!(b.heard[25 * 480 - 480..25 * 480].iter().all(|s| *s == 0.0));
        assert!(b.largest_step() < 0.04, "{}", b.largest_step());
    }

    #[test]
    fn nothing_is_played_late_after_nobody_listened() {
        let mut b = Bench::new();
        b.read(480);
        b.say(20_000);
        assert_eq!(b.reader.ring.slots(), RING_FRAMES, "what does not fit is lost");
        b.now += Duration::from_secs(1);
        b.heard.clear();
        b.read(480);
        assert!(b.heard.iter().all(|s| *s == 0.0) && b.reader.ring.slots() == 0);
        b.say(960);
        b.read(480);
        assert!(b.heard[480..].iter().any(|s| *s != 0.0));
    }
}
