//! Sound out of nothing: a tone per channel by the clock, a microphone that remembers, a codec that codes nothing.

use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Faults;
use crate::{
    AudioCodec, AudioCodecConfig, AudioDecoder, AudioEncoder, AudioError, AudioRead, AudioRequest, AudioSource,
    MicSink, SAMPLE_RATE, Sound, reason,
};

/// The tone of each channel, in Hz, in the order of [`crate::ChannelLayout`]: whoever hears them knows whether channels
/// were swapped.
pub const TONES_HZ: [f32; 8] = [440.0, 660.0, 880.0, 110.0, 1320.0, 1760.0, 2200.0, 2640.0];

/// The sound of a [`super::SyntheticDesktop`].
#[derive(Debug)]
pub(super) struct SyntheticSound {
    faults: Faults,
    refusals: AtomicU32,
    voice: Voice,
}

impl SyntheticSound {
    pub fn new(faults: &Faults, voice: Voice) -> Self {
        Self { faults: faults.clone(), refusals: AtomicU32::new(faults.sound_opens_late), voice }
    }
}

impl Sound for SyntheticSound {
    fn source(&self, request: &AudioRequest) -> Result<Box<dyn AudioSource>, AudioError> {
        if self.refusals.load(Ordering::Relaxed) > 0 {
            self.refusals.fetch_sub(1, Ordering::Relaxed);
            return Err(lost("the fake sound server is not ready yet".into(), false));
        }
        Ok(Box::new(ToneSource::new(request, &self.faults)))
    }

    fn microphone(&self) -> Result<Box<dyn MicSink>, AudioError> {
        self.voice.reserve();
        Ok(Box::new(RecordingMic(self.voice.clone())))
    }
}

/// Plays [`TONES_HZ`], block after block, by the clock.
#[derive(Debug)]
struct ToneSource {
    channels: usize,
    block: Duration,
    frames: usize,
    /// When the next block is complete.
    due: Instant,
    /// Blocks so far.
    played: u64,
    faults: Faults,
}

impl ToneSource {
    fn new(request: &AudioRequest, faults: &Faults) -> Self {
        Self {
            channels: request.layout.channels(),
            block: request.block,
            frames: request.block_frames(),
            due: Instant::now() + request.block,
            played: 0,
            faults: faults.clone(),
        }
    }

    fn play(&self, block: &mut [f32]) {
        let start = self.played * self.frames as u64;
        for (i, frame) in block.chunks_exact_mut(self.channels).enumerate() {
            // Every tone fits a whole number of times into a second, so that the phase never loses precision.
            let in_second = ((start + i as u64) % u64::from(SAMPLE_RATE)) as f32 / SAMPLE_RATE as f32;
            for (sample, hz) in frame.iter_mut().zip(TONES_HZ) {
                *sample = AMPLITUDE * (TAU * (hz * in_second).fract()).sin();
            }
        }
    }
}

impl AudioSource for ToneSource {
    fn read(&mut self, block: &mut [f32], deadline: Instant) -> Result<AudioRead, AudioError> {
        let told = |at: Option<u64>| at.is_some_and(|n| self.played >= n);
        assert!(!told(self.faults.sound_panic_after), "the fake source was told to panic after {} blocks", self.played);
        if told(self.faults.sound_fatal_after) {
            return Err(lost(format!("the fake source was told to fail after {} blocks", self.played), true));
        }
        let silent = told(self.faults.sound_silent_after);
        thread::sleep(self.due.min(deadline).saturating_duration_since(Instant::now()));
        if self.due > deadline {
            return Ok(AudioRead::Nothing);
        }
        if silent {
            block.fill(0.0)
        } else {
            self.play(block)
        }
        let captured_at = self.due;
        self.due += self.block;
        self.played += 1;
        if self.faults.sound_gap_every.is_some_and(|n| self.played.is_multiple_of(n)) {
            return Ok(AudioRead::Nothing);
        }
        Ok(AudioRead::Block { captured_at, silent })
    }
}

/// What was played to microphones: the last [`Voice::DEPTH`] samples, oldest first. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Voice(Arc<Mutex<VecDeque<f32>>>);

impl Voice {
    /// Ten seconds; bounds the memory of a host that streams the synthetic source for days.
    pub const DEPTH: usize = 10 * SAMPLE_RATE as usize;

    /// The samples so far.
    #[must_use]
    pub fn samples(&self) -> Vec<f32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Makes room for all of it, so that recording never allocates.
    fn reserve(&self) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = Self::DEPTH.saturating_sub(samples.len());
        samples.reserve_exact(missing);
    }
}

#[derive(Debug)]
struct RecordingMic(Voice);

impl MicSink for RecordingMic {
    fn block_frames(&self) -> usize {
        SAMPLE_RATE as usize / 100
    }

    fn write(&mut self, block: &[f32]) -> Result<(), AudioError> {
        let mut samples = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = (samples.len() + block.len()).saturating_sub(Voice::DEPTH).min(samples.len());
        samples.drain(..excess);
        samples.extend(block);
        Ok(())
    }
}

/// "Codes" samples as 16-bit numbers, so that tests see what was captured.
#[derive(Clone, Copy, Debug, Default)]
pub struct PcmCodec;

impl AudioCodec for PcmCodec {
    fn encoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioEncoder>, AudioError> {
        if config.bitrate_bps == 0 {
            let detail = "the fake codec takes any bitrate but 0".to_owned();
            return Err(AudioError { reason: &reason::AUDIO_CODEC, detail, fatal: true });
        }
        Ok(Box::new(Pcm { channels: config.layout.channels() }))
    }

    fn decoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioDecoder>, AudioError> {
        Ok(Box::new(Pcm { channels: config.layout.channels() }))
    }

    fn voice_decoder(&self) -> Result<Box<dyn AudioDecoder>, AudioError> {
        Ok(Box::new(Pcm { channels: 1 }))
    }
}

struct Pcm {
    channels: usize,
}

impl AudioEncoder for Pcm {
    fn encode(&mut self, block: &[f32], packet: &mut Vec<u8>) -> Result<(), AudioError> {
        packet.clear();
        packet.extend(block.iter().flat_map(|s| ((s * f32::from(i16::MAX)) as i16).to_le_bytes()));
        Ok(())
    }
}

impl AudioDecoder for Pcm {
    fn decode(&mut self, packet: Option<&[u8]>, block: &mut [f32]) -> Result<usize, AudioError> {
        let Some(packet) = packet else {
            block.fill(0.0);
            return Ok(block.len() / self.channels);
        };
        let samples = packet.len() / 2;
        if !packet.len().is_multiple_of(2 * self.channels) || samples > block.len() {
            let detail = format!("{} bytes are no block", packet.len());
            return Err(AudioError { reason: &reason::AUDIO_CODEC, detail, fatal: false });
        }
        for (sample, bytes) in block.iter_mut().zip(packet.as_chunks::<2>().0) {
            *sample = f32::from(i16::from_le_bytes(*bytes)) / f32::from(i16::MAX);
        }
        Ok(samples / self.channels)
    }

    fn recover(&mut self, _: &[u8], block: &mut [f32]) -> Result<usize, AudioError> {
        self.decode(None, block)
    }
}

fn lost(detail: String, fatal: bool) -> AudioError {
    AudioError { reason: &reason::AUDIO_LOST, detail, fatal }
}

/// Loud enough to measure, eight of them together still below full scale when mixed down.
const AMPLITUDE: f32 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChannelLayout;

    const REQUEST: AudioRequest =
        AudioRequest { layout: ChannelLayout::Surround51, block: Duration::from_millis(5), also_on_host: false };

    #[test]
    fn blocks_come_by_the_clock_and_a_deadline_ends_the_wait() {
        let sound = SyntheticSound::new(&Faults::default(), Voice::default());
        let mut source = sound.source(&REQUEST).unwrap();
        let mut block = vec![0.0; REQUEST.block_samples()];
        assert_eq!(source.read(&mut block, Instant::now()).unwrap(), AudioRead::Nothing);
        let mut stamps = Vec::new();
        while stamps.len() < 10 {
            let read = source.read(&mut block, Instant::now() + Duration::from_secs(1)).unwrap();
            let AudioRead::Block { captured_at, silent } = read else { panic!("nothing came") };
            assert!(!silent && block.iter().all(|s| s.abs() <= AMPLITUDE) && block.iter().any(|s| *s != 0.0));
            stamps.push(captured_at);
        }
        assert!(stamps.windows(2).all(|w| w[1] - w[0] == REQUEST.block));
    }

    #[test]
    fn the_microphone_remembers_the_last_seconds() {
        let voice = Voice::default();
        let mut mic = SyntheticSound::new(&Faults::default(), voice.clone()).microphone().unwrap();
        for n in 0..1100 {
            mic.write(&[n as f32; 480]).unwrap();
        }
        let samples = voice.samples();
        assert_eq!((samples.len(), samples[0], samples[Voice::DEPTH - 1]), (Voice::DEPTH, 100.0, 1099.0));
    }
}
