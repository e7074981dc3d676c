//! The ears: decodes the host's sound on a thread of its own, writes it down, and measures every channel.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use punktfunk_audio::OpusCodec;
use punktfunk_client::{SoundBlock, SoundCounts, SoundReceiver};
use punktfunk_core::datagram::HostDatagram;
use punktfunk_core::handshake::Welcome;
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioDecoder, SAMPLE_RATE};
use serde::Serialize;

use crate::failure::Failure;

/// What was heard.
#[derive(Serialize, Debug, Clone, Default)]
pub struct Heard {
    /// As agreed.
    channels: usize,
    /// Datagrams of sound.
    datagrams: u64,
    redundant: u64,
    silent: u64,
    recovered: u64,
    lost: u64,
    gaps: u64,
    late: u64,
    decode_errors: u64,
    /// How long something was heard.
    audible_ms: u64,
    levels: Vec<Level>,
}

/// One channel, over the blocks in which something was heard.
#[derive(Serialize, Debug, Clone, PartialEq)]
struct Level {
    channel: &'static str,
    /// Of full scale; absent for silence.
    rms_dbfs: Option<f64>,
    peak_dbfs: Option<f64>,
    /// Of a single tone: its frequency.
    hz: Option<f64>,
}

/// Listens until [`Self::finish`].
#[derive(Debug)]
pub struct Ears {
    thread: JoinHandle<Result<Heard, Failure>>,
}

impl Ears {
    /// The way in, for the session, before the host has answered; and what [`Self::start`] takes.
    pub fn way() -> (SyncSender<Vec<u8>>, Receiver<Vec<u8>>) {
        sync_channel(QUEUED)
    }

    /// Starts to listen as `welcome` says.
    pub fn start(welcome: &Welcome, datagrams: Receiver<Vec<u8>>, wav: Option<PathBuf>) -> Result<Self, Failure> {
        let config = AudioCodecConfig::native(welcome.audio_channels, welcome.audio_layout, ANY_BITRATE);
        let decoder = OpusCodec.decoder(&config).map_err(|e| Failure::new(e.to_string()))?;
        let wav = wav.map(|path| Wav::create(&path, config.layout.channels())).transpose()?;
        let listener = Listener::new(&config, decoder, wav);
        let thread = std::thread::Builder::new()
            .name("sound".to_owned())
            .spawn(move || listener.run(&datagrams))
            .map_err(|e| Failure::new(format!("thread: {e}")))?;
        Ok(Self { thread })
    }

    /// Waits until what came is decoded. The session must be over.
    pub fn finish(self) -> Result<Heard, Failure> {
        self.thread.join().map_err(|_| Failure::new("the sound's thread panicked".to_owned()))?
    }
}

struct Listener {
    receiver: SoundReceiver,
    decoder: Box<dyn AudioDecoder>,
    block: Vec<f32>,
    meters: Vec<Meter>,
    audible_frames: u64,
    decode_errors: u64,
    wav: Option<Wav>,
}

impl Listener {
    fn new(config: &AudioCodecConfig, decoder: Box<dyn AudioDecoder>, wav: Option<Wav>) -> Self {
        let channels = config.layout.channels();
        Self {
            receiver: SoundReceiver::default(),
            decoder,
            block: vec![0.0; config.block_frames() * channels],
            meters: vec![Meter::new(); channels],
            audible_frames: 0,
            decode_errors: 0,
            wav,
        }
    }

    fn run(mut self, datagrams: &Receiver<Vec<u8>>) -> Result<Heard, Failure> {
        while let Ok(bytes) = datagrams.recv() {
            let Ok(datagram) = HostDatagram::decode(&bytes) else { continue };
            let mut receiver = std::mem::take(&mut self.receiver);
            let mut written = Ok(());
            receiver.push(&datagram, |block| {
                if written.is_ok() {
                    written = self.play(block);
                }
            });
            self.receiver = receiver;
            written?;
        }
        if let Some(wav) = self.wav.take() {
            wav.finish()?;
        }
        Ok(self.heard())
    }

    fn play(&mut self, block: SoundBlock<'_>) -> Result<(), Failure> {
        let decoded = match block {
            SoundBlock::Opus(packet) => self.decoder.decode(Some(packet), &mut self.block),
            SoundBlock::Lost => self.decoder.decode(None, &mut self.block),
            SoundBlock::Silence => {
                self.block.fill(0.0);
                Ok(0)
            }
        };
        if decoded.is_err() {
            self.decode_errors += 1;
            self.block.fill(0.0);
        }
        if self.block.iter().any(|s| s.abs() > AUDIBLE) {
            let channels = self.meters.len();
            self.audible_frames += (self.block.len() / channels) as u64;
            for (channel, meter) in self.meters.iter_mut().enumerate() {
                self.block.iter().skip(channel).step_by(channels).for_each(|s| meter.take(*s));
            }
        }
        self.wav.as_mut().map_or(Ok(()), |wav| wav.write(&self.block))
    }

    fn heard(self) -> Heard {
        let SoundCounts { datagrams, redundant, silent, recovered, lost, gaps, late } = self.receiver.counts();
        let frames = self.audible_frames;
        Heard {
            channels: self.meters.len(),
            datagrams,
            redundant,
            silent,
            recovered,
            lost,
            gaps,
            late,
            decode_errors: self.decode_errors,
            audible_ms: frames * 1000 / u64::from(SAMPLE_RATE),
            levels: CHANNELS.iter().zip(&self.meters).map(|(name, meter)| meter.level(name, frames)).collect(),
        }
    }
}

/// Measures one channel.
#[derive(Clone, Debug)]
struct Meter {
    energy: f64,
    peak: f32,
    last: f32,
    /// Samples since the last passage from below to above zero.
    period: f64,
    /// By whole samples: how many periods there were, and how long they were together.
    periods: Vec<(u64, f64)>,
}

impl Meter {
    fn new() -> Self {
        Self { energy: 0.0, peak: 0.0, last: 0.0, period: 0.0, periods: vec![(0, 0.0); LONGEST_PERIOD] }
    }

    fn take(&mut self, sample: f32) {
        self.energy += f64::from(sample * sample);
        self.peak = self.peak.max(sample.abs());
        self.period += 1.0;
        if self.last < 0.0 && sample >= 0.0 {
            // The passage lies this much before the sample.
            let since = f64::from(sample / (sample - self.last));
            let period = std::mem::replace(&mut self.period, since) - since;
            if let Some((count, sum)) = self.periods.get_mut(period as usize) {
                *count += 1;
                *sum += period;
            }
        }
        self.last = sample;
    }

    /// The commonest period: what a hiccup tore is not counted.
    fn hz(&self) -> Option<f64> {
        let commonest = (0..LONGEST_PERIOD).max_by_key(|i| self.periods[*i].0)?;
        let near = &self.periods[commonest.saturating_sub(1)..(commonest + 2).min(LONGEST_PERIOD)];
        let (count, sum) = near.iter().fold((0, 0.0), |(count, sum), (c, s)| (count + c, sum + s));
        (count > 0).then(|| (f64::from(SAMPLE_RATE) * count as f64 / sum).round())
    }

    fn level(&self, channel: &'static str, frames: u64) -> Level {
        let db = |value: f64| (value > f64::from(AUDIBLE)).then(|| (20.0 * value.log10() * 10.0).round() / 10.0);
        let rms_dbfs = db((self.energy / frames.max(1) as f64).sqrt());
        let hz = rms_dbfs.and_then(|_| self.hz());
        Level { channel, rms_dbfs, peak_dbfs: db(self.peak.into()), hz }
    }
}

/// A WAV file of 16-bit samples, whose header is completed at the end.
struct Wav {
    file: BufWriter<File>,
    channels: usize,
    bytes: u32,
}

impl Wav {
    fn create(path: &Path, channels: usize) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        let mut wav = Self { file: BufWriter::new(file), channels, bytes: 0 };
        wav.header()?;
        Ok(wav)
    }

    fn header(&mut self) -> Result<(), Failure> {
        let frame_bytes = self.channels as u32 * 2;
        let mut header = Vec::with_capacity(44);
        header.extend(b"RIFF");
        header.extend((36 + self.bytes).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16u32.to_le_bytes());
        header.extend(1u16.to_le_bytes());
        header.extend((self.channels as u16).to_le_bytes());
        header.extend(SAMPLE_RATE.to_le_bytes());
        header.extend((SAMPLE_RATE * frame_bytes).to_le_bytes());
        header.extend((frame_bytes as u16).to_le_bytes());
        header.extend(16u16.to_le_bytes());
        header.extend(b"data");
        header.extend(self.bytes.to_le_bytes());
        self.file.write_all(&header).map_err(unwritable)
    }

    fn write(&mut self, block: &[f32]) -> Result<(), Failure> {
        if self.bytes > MOST_WAV_BYTES {
            return Ok(());
        }
        for sample in block {
            let sample = (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16;
            self.file.write_all(&sample.to_le_bytes()).map_err(unwritable)?;
        }
        self.bytes += block.len() as u32 * 2;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
        self.header()?;
        self.file.flush().map_err(unwritable)
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::new(format!("the WAV file: {error}"))
}

const CHANNELS: [&str; 8] = ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"];
/// -80 dB of full scale: below is the coder's own noise.
const AUDIBLE: f32 = 1e-4;
/// 20 Hz.
const LONGEST_PERIOD: usize = SAMPLE_RATE as usize / 20;
/// Five seconds.
const QUEUED: usize = 1024;
/// A decoder does not care.
const ANY_BITRATE: u32 = 128_000;
/// A WAV file cannot be larger than 4 GiB; an hour of 7.1 is less.
const MOST_WAV_BYTES: u32 = u32::MAX - (1 << 20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    #[test]
    fn a_meter_tells_level_and_tone() {
        let mut meter = Meter::new();
        for n in 0..48_000 {
            meter.take(0.5 * (TAU * 440.0 * n as f32 / 48_000.0).sin());
        }
        let level = meter.level("FL", 48_000);
        assert_eq!(level.rms_dbfs, Some(-9.0));
        assert_eq!(level.peak_dbfs, Some(-6.0));
        assert!(level.hz.is_some_and(|hz| (439.0..=441.0).contains(&hz)), "{level:?}");
        let silence = Meter::new().level("FR", 48_000);
        assert_eq!((silence.rms_dbfs, silence.peak_dbfs, silence.hz), (None, None, None));
    }

    #[test]
    fn a_wav_file_has_its_length_in_its_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wav");
        let mut wav = Wav::create(&path, 2).unwrap();
        wav.write(&[0.0, 1.0, -1.0, 2.0]).unwrap();
        wav.finish().unwrap();
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(
            (bytes.len(), &bytes[4..8], &bytes[40..44]),
            (52, &44u32.to_le_bytes()[..], &8u32.to_le_bytes()[..])
        );
        assert_eq!(bytes[44..], [0, 0, 0xff, 0x7f, 0x01, 0x80, 0xff, 0x7f]);
    }
}
