//! Sound out of nothing: a tone per channel by the clock, a microphone that remembers, a codec that codes nothing.

use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Faults;
use crate::{
    AudioCodec, AudioCodecConfig, AudioDecoder, AudioEncoder, AudioError, AudioRead, AudioRequest, AudioSource,
    MicSink, MicWanted, SAMPLE_RATE, Sound, reason,
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
        if self.faults.no_microphone {
            let detail = "the fake desktop has no microphone".to_owned();
            return Err(AudioError { reason: &reason::AUDIO_UNSUPPORTED, detail, fatal: true });
        }
        Ok(Box::new(RecordingMic::new(self.voice.clone())))
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
pub struct Voice(Arc<Recorder>);

#[derive(Debug, Default)]
struct Recorder {
    samples: Mutex<VecDeque<f32>>,
    /// Microphones that there are now.
    open: AtomicU32,
    /// No program records.
    unheard: AtomicBool,
}

impl Voice {
    /// Ten seconds; bounds the memory of a host that streams the synthetic source for days.
    pub const DEPTH: usize = 10 * SAMPLE_RATE as usize;

    /// The samples so far.
    #[must_use]
    pub fn samples(&self) -> Vec<f32> {
        self.lock().iter().copied().collect()
    }

    /// How many microphones there are now.
    #[must_use]
    pub fn microphones(&self) -> u32 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Whether a program records; at first one does.
    pub fn set_recorded(&self, recorded: bool) {
        self.0.unheard.store(!recorded, Ordering::Relaxed);
    }

    /// Makes room for all of it, so that recording never allocates.
    fn reserve(&self) {
        let mut samples = self.lock();
        let missing = Self::DEPTH.saturating_sub(samples.len());
        samples.reserve_exact(missing);
    }

    fn extend(&self, new: impl ExactSizeIterator<Item = f32>) {
        let mut samples = self.lock();
        let excess = (samples.len() + new.len()).saturating_sub(Self::DEPTH).min(samples.len());
        samples.drain(..excess);
        samples.extend(new);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<f32>> {
        self.0.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records what it is given, 5 ms every 5 ms, as a program would.
#[derive(Debug)]
struct RecordingMic {
    voice: Voice,
    /// Samples that wait to be recorded.
    waiting: VecDeque<f32>,
    /// When the next 5 ms are recorded; `None`: nothing plays.
    due: Option<Instant>,
}

impl RecordingMic {
    fn new(voice: Voice) -> Self {
        voice.0.open.fetch_add(1, Ordering::Relaxed);
        Self { voice, waiting: VecDeque::with_capacity(MOST_WAITING), due: None }
    }

    /// Records everything that is due. What is missing is a gap.
    fn record(&mut self, now: Instant) {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            if self.waiting.is_empty() {
                self.due = None;
                return;
            }
            let count = QUANTUM.min(self.waiting.len());
            self.voice.extend(self.waiting.drain(..count));
            self.due = Some(due + QUANTUM_TIME);
        }
    }
}

impl MicSink for RecordingMic {
    fn wanted(&mut self, deadline: Instant) -> Result<MicWanted, AudioError> {
        if self.voice.0.unheard.load(Ordering::Relaxed) {
            self.due = None;
            self.waiting.clear();
            return Ok(MicWanted::Nobody);
        }
        self.record(Instant::now());
        if self.waiting.len() >= 2 * QUANTUM
            && let Some(due) = self.due
        {
            thread::sleep(due.min(deadline).saturating_duration_since(Instant::now()));
            self.record(Instant::now());
        }
        if self.waiting.len() >= 2 * QUANTUM {
            return Ok(MicWanted::Enough);
        }
        Ok(MicWanted::Samples { missing: 2 * QUANTUM - self.waiting.len(), by: self.due })
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        let room = MOST_WAITING - self.waiting.len();
        self.waiting.extend(&samples[..samples.len().min(room)]);
        if self.due.is_none() && self.waiting.len() >= 2 * QUANTUM {
            self.due = Some(Instant::now() + QUANTUM_TIME);
        }
        Ok(())
    }
}

impl Drop for RecordingMic {
    fn drop(&mut self) {
        self.voice.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 200 ms.
const MOST_WAITING: usize = SAMPLE_RATE as usize / 5;
/// 5 ms.
const QUANTUM: usize = SAMPLE_RATE as usize / 200;
const QUANTUM_TIME: Duration = Duration::from_millis(5);

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
        Ok(Box::new(VoicePcm))
    }
}

/// "Codes" 10 ms of a microphone for [`PcmCodec::voice_decoder`]: 480 samples behind the first byte of an Opus packet that
/// lasts as long.
#[must_use]
pub fn voice_packet(samples: &[f32]) -> Vec<u8> {
    let coded = samples.iter().flat_map(|s| ((s * f32::from(i16::MAX)) as i16).to_le_bytes());
    std::iter::once(CELT_10MS).chain(coded).collect()
}

struct VoicePcm;

impl AudioDecoder for VoicePcm {
    fn decode(&mut self, packet: Option<&[u8]>, block: &mut [f32]) -> Result<usize, AudioError> {
        Pcm { channels: 1 }.decode(packet.map(|packet| packet.get(1..).unwrap_or_default()), block)
    }

    fn recover(&mut self, _: &[u8], block: &mut [f32]) -> Result<usize, AudioError> {
        self.decode(None, block)
    }
}

/// Configuration 30, mono, one frame (RFC 6716 §3.1).
const CELT_10MS: u8 = 30 << 3;

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
    fn the_microphone_records_by_the_clock_and_goes() {
        let voice = Voice::default();
        let mut mic = SyntheticSound::new(&Faults::default(), voice.clone()).microphone().unwrap();
        let mut soon = || mic.wanted(Instant::now() + Duration::from_millis(50)).unwrap();
        assert_eq!(soon(), MicWanted::Samples { missing: 2 * QUANTUM, by: None });
        voice.set_recorded(false);
        assert_eq!(soon(), MicWanted::Nobody);
        voice.set_recorded(true);
        mic.write(&[0.5; 3 * QUANTUM]).unwrap();
        let mut wanted = false;
        while voice.samples().len() < 3 * QUANTUM {
            let seen = mic.wanted(Instant::now() + Duration::from_millis(50)).unwrap();
            wanted |= matches!(seen, MicWanted::Samples { by: Some(_), .. });
        }
        assert!(wanted && voice.samples().iter().all(|s| *s == 0.5));
        assert_eq!(voice.microphones(), 1);
        drop(mic);
        assert_eq!(voice.microphones(), 0);
    }

    #[test]
    fn a_voice_packet_says_how_long_it_is() {
        let packet = voice_packet(&[0.25; 480]);
        let mut block = [0.0; 5760];
        let decoded = PcmCodec.voice_decoder().unwrap().decode(Some(&packet), &mut block).unwrap();
        assert!(decoded == 480 && block[..480].iter().all(|s| (s - 0.25).abs() < 1e-4));
    }
}
