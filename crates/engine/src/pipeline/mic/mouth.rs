//! What speaks: decodes what the jitter buffer hands out, joins it, and gives it to the sink.

use std::time::{Duration, Instant};

use punktfunk_core::voice::{Play, VoiceBuffer};
use punktfunk_media::{AudioDecoder, AudioError, MicSink, MicWanted};

use super::warp::{Warp, speed_for};
use crate::session::{Mailboxes, Shared};

/// A sink and what fills it. Its memory is had once.
pub(super) struct Mouth {
    sink: Box<dyn MicSink>,
    decoder: Box<dyn AudioDecoder>,
    packet: Vec<u8>,
    block: Vec<f32>,
    /// How the sound would have gone on, to be joined to what comes instead.
    old: Vec<f32>,
    out: Vec<f32>,
    warp: Warp,
    /// The last block was silence.
    silent: bool,
    /// The sink plays, and would break off.
    playing: bool,
}

impl Mouth {
    pub fn new(sink: Box<dyn MicSink>, decoder: Box<dyn AudioDecoder>) -> Self {
        Self {
            sink,
            decoder,
            packet: Vec::new(),
            block: vec![0.0; LONGEST],
            old: vec![0.0; LONGEST],
            out: Vec::with_capacity(LONGEST + LONGEST / 16),
            warp: Warp::default(),
            silent: true,
            playing: false,
        }
    }

    /// Says what is to be said now. Returns when to be called again at the latest, beside when a packet comes.
    ///
    /// # Errors
    /// [`AudioError`] of the sink.
    pub fn speak(&mut self, shared: &Shared, mail: &Mailboxes) -> Result<Option<Instant>, AudioError> {
        // Bounded: a sink that never has enough must not keep the thread from hearing orders.
        for _ in 0..MOST_AT_ONCE {
            let (missing, by) = match self.sink.wanted(Instant::now() + SLICE)? {
                MicWanted::Nobody => {
                    mail.voice.with(|buffer| buffer.clear());
                    return Ok(None);
                }
                MicWanted::Enough => break,
                MicWanted::Samples { missing, by } => (missing, by),
            };
            if std::mem::replace(&mut self.playing, by.is_some()) && by.is_none() {
                mail.voice.with(VoiceBuffer::break_off);
            }
            let now = Instant::now();
            let urgent = by.is_some_and(|by| now >= by);
            let at = shared.clock.at(now);
            let (play, excess) = mail.voice.with(|buffer| {
                // What the sink takes before it plays must not be what late packets are waited with.
                buffer.set_reserve(by.map_or(missing, |_| 0));
                (buffer.pull(at, urgent, &mut self.packet), buffer.excess())
            });
            match play {
                Play::Wait(Some(until)) => return Ok(Some(now + until.since(at))),
                Play::Wait(None) => return Ok(by.filter(|_| !urgent)),
                play => self.say(shared, play, speed_for(excess.unwrap_or(0)))?,
            }
        }
        Ok(Some(Instant::now()))
    }

    fn say(&mut self, shared: &Shared, play: Play, speed: f64) -> Result<(), AudioError> {
        let counters = &shared.stats.counters;
        let samples = match play {
            Play::Packet { samples, held, skipped } => {
                shared.stats.record_voice(held / 1000);
                self.decode(shared, samples as usize, skipped)
            }
            Play::Recover { samples } => {
                let block = &mut self.block[..samples as usize];
                if self.decoder.recover(&self.packet, block).is_err() {
                    counters.voice_undecodable.one();
                    self.conceal(samples as usize)
                } else {
                    samples as usize
                }
            }
            Play::Conceal { samples } => self.conceal(samples as usize),
            Play::Silence { samples } => self.fall_silent(samples as usize),
            Play::Wait(_) => 0,
        };
        self.silent = matches!(play, Play::Silence { .. });
        self.out.clear();
        self.warp.play(&self.block[..samples], speed, &mut self.out);
        self.sink.write(&self.out)
    }

    /// Decodes the packet into the block. Returns how many samples there are.
    fn decode(&mut self, shared: &Shared, samples: usize, skipped: bool) -> usize {
        let joined = if skipped { self.guess(samples) } else { 0 };
        let decoded = match self.decoder.decode(Some(&self.packet), &mut self.block) {
            Ok(decoded) if decoded > 0 => decoded,
            _ => {
                shared.stats.counters.voice_undecodable.one();
                return self.conceal(samples);
            }
        };
        let count = joined.min(decoded);
        for (i, (new, old)) in self.block[..count].iter_mut().zip(&self.old).enumerate() {
            *new = old + (*new - old) * (i as f32 / count as f32);
        }
        decoded
    }

    /// Guesses into the block.
    fn conceal(&mut self, samples: usize) -> usize {
        let block = &mut self.block[..samples.min(LONGEST_GUESS)];
        if self.decoder.decode(None, block).is_err() {
            block.fill(0.0);
        }
        block.len()
    }

    /// Guesses how the sound goes on, beside the block.
    fn guess(&mut self, samples: usize) -> usize {
        let old = &mut self.old[..samples.min(LONGEST_GUESS)];
        if self.decoder.decode(None, old).is_err() { 0 } else { old.len() }
    }

    /// Silence, which begins as the end of what was.
    fn fall_silent(&mut self, samples: usize) -> usize {
        let samples = samples.min(LONGEST);
        let faded = if self.silent { 0 } else { self.guess(samples) };
        let block = &mut self.block[..samples];
        block.fill(0.0);
        for (i, (to, old)) in block.iter_mut().zip(&self.old[..faded]).enumerate() {
            *to = old * (1.0 - i as f32 / faded as f32);
        }
        samples
    }
}

/// 120 ms, the longest packet.
const LONGEST: usize = 5760;
/// 20 ms.
const LONGEST_GUESS: usize = 960;
/// How long the thread may wait for programs before it looks for orders.
const SLICE: Duration = Duration::from_millis(20);
/// More than any sound server asks for at once.
const MOST_AT_ONCE: usize = 64;
