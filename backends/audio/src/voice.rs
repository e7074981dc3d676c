//! The way of a voice to the sound server's thread, whose clock is not ours: it is kept a block ahead, no more.

use rtrb::{Consumer, Producer, RingBuffer};

use crate::feed::{FADE_FRAMES, ramp};

/// A ring for a voice, one channel.
pub fn voice() -> (Producer<f32>, VoiceReader) {
    let (producer, ring) = RingBuffer::new(RING_FRAMES);
    (producer, VoiceReader { ring, starving: true, torn: true, level: 0.0 })
}

/// What the sound server's thread reads. Never blocks, allocates nothing.
#[derive(Debug)]
pub struct VoiceReader {
    ring: Consumer<f32>,
    /// Nothing is played until enough is there again.
    starving: bool,
    /// What comes next does not continue what was: it fades in.
    torn: bool,
    /// The last sample.
    level: f32,
}

impl VoiceReader {
    /// Fills `bytes` with little-endian samples: the voice, or silence where there is none.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let (samples, _) = bytes.as_chunks_mut::<4>();
        let wanted = samples.len();
        let mut there = self.ring.slots();
        if there > wanted + MOST_AHEAD {
            // The server read nothing for a while, or is slower than the client: the oldest is not worth the delay.
            self.skip(there - wanted - LEAD);
            there = wanted + LEAD;
        }
        if self.starving && there < wanted + LEAD {
            samples.fill([0; 4]);
            return;
        }
        self.starving = there < wanted;
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
        self.torn = self.starving;
    }

    fn skip(&mut self, frames: usize) {
        if let Ok(chunk) = self.ring.read_chunk(frames) {
            chunk.commit_all();
            self.torn = true;
        }
    }
}

/// What must be there beyond one buffer before a voice begins: a client's block (10 ms), which may come that late.
const LEAD: usize = 480;
/// What may pile up before the oldest is dropped: two blocks more.
const MOST_AHEAD: usize = LEAD + 2 * 480;
/// 200 ms, more than a large buffer of the server and [`MOST_AHEAD`].
const RING_FRAMES: usize = 9600;
const _: () = assert!(FADE_FRAMES < LEAD);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut VoiceReader, frames: usize) -> Vec<f32> {
        let mut bytes = vec![7; frames * 4];
        reader.fill(&mut bytes);
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    fn tone(n: usize) -> f32 {
        0.5 * (n as f32 * 0.05).sin()
    }

    fn largest_step(samples: &[f32]) -> f32 {
        samples.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_voice_begins_when_there_is_a_lead_and_is_then_whole() {
        let (mut writer, mut reader) = voice();
        let (mut said, mut heard) = (0, Vec::new());
        for _ in 0..50 {
            (said..said + 480).for_each(|n| writer.push(tone(n)).unwrap());
            said += 480;
            (0..2).for_each(|_| heard.extend(read(&mut reader, 240)));
        }
        let start = heard.iter().position(|s| *s != 0.0).unwrap();
        assert!((200..=490).contains(&start), "{start}");
        let whole = &heard[start + FADE_FRAMES..];
        let offset = FADE_FRAMES + 1;
        assert!(whole.iter().enumerate().all(|(i, s)| (s - tone(i + offset)).abs() < 1e-6), "nothing is missing");
    }

    #[test]
    fn a_voice_that_falters_fades_out_and_in() {
        let (mut writer, mut reader) = voice();
        let (mut said, mut heard) = (0, Vec::new());
        for turn in 0..60 {
            if !(20..25).contains(&turn) {
                (said..said + 480).for_each(|n| writer.push(tone(n)).unwrap());
            }
            said += 480;
            heard.extend(read(&mut reader, 480));
        }
        assert!(heard[25 * 480 - 480..25 * 480].iter().all(|s| *s == 0.0));
        assert!(largest_step(&heard) < 0.04, "{}", largest_step(&heard));
    }

    #[test]
    fn nothing_is_played_late_after_nobody_listened() {
        let (mut writer, mut reader) = voice();
        for n in 0..20_000 {
            // The ring is full after 200 ms: what does not fit is lost, as in PipeWireMic.
            let _ = writer.push(n as f32);
        }
        let heard = read(&mut reader, 480);
        assert!(heard[479] >= 9600.0 - LEAD as f32 - 1.0, "{}", heard[479]);
        assert_eq!(reader.ring.slots(), LEAD);
    }
}
