//! The ears: decodes the host's sound on a thread of its own, writes it down, and measures every channel.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use punktfunk_audio::OpusCodec;
use punktfunk_client::{SoundBlock, SoundCounts, SoundReceiver, Stage, Summary};
use punktfunk_core::Timestamp;
use punktfunk_core::datagram::HostDatagram;
use punktfunk_core::handshake::{AudioCodec as WireCodec, Welcome};
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioDecoder, Lossless, SAMPLE_RATE};
use serde::Serialize;

use crate::failure::Failure;
use crate::lossy::Lossy;
use crate::report::Spread;
use crate::wav::Wav;

/// What was heard.
#[derive(Serialize, Debug, Clone, Default)]
pub struct Heard {
    /// As agreed: `opus`, `pcm16` or `pcm24`.
    codec: String,
    /// Length of a block.
    frame_us: u64,
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
    /// `p50`, `p90`, `p99` of captured → arrived, by the host's clock.
    latency_us: Option<Spread>,
    /// How much later sound arrives than the picture of the same moment.
    av_skew_us: Option<i64>,
    levels: Vec<Level>,
    #[serde(skip)]
    transits: Transits,
}

/// How long datagrams took from the host's capture to us, on two clocks.
#[derive(Debug, Clone, Default)]
struct Transits(Vec<i64>);

impl Transits {
    fn take(&mut self, arrived: Timestamp, pts_ns: u64) {
        if self.0.len() < MOST_TRANSITS {
            self.0.push(arrived.as_nanos().wrapping_sub(pts_ns).cast_signed());
        }
    }

    /// One of a hundred, on the host's clock, in µs.
    fn percentile(&self, percent: usize, offset_us: i64) -> Option<i64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().checked_sub(1)?);
        Some(sorted[at] / 1000 + offset_us)
    }
}

impl Heard {
    /// Now that both clocks and the pictures' latency are known.
    pub fn compare(&mut self, summary: &Summary) {
        let Some((offset_ns, _)) = summary.clock else { return };
        let at = |percent| self.transits.percentile(percent, offset_ns / 1000);
        if let (Some(p50), Some(p90), Some(p99)) = (at(50), at(90), at(99)) {
            let whole = |us: i64| u64::try_from(us).unwrap_or(0);
            self.latency_us = Some(Spread { p50: whole(p50), p90: whole(p90), p99: whole(p99) });
            let pictures = summary.stage(Stage::Total);
            self.av_skew_us = pictures.map(|pictures| p50.saturating_sub_unsigned(pictures.p50_us));
        }
    }
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

/// A datagram, and when it came.
pub type Came = (Timestamp, Vec<u8>);

/// Listens until [`Self::finish`].
#[derive(Debug)]
pub struct Ears {
    thread: JoinHandle<Result<Heard, Failure>>,
}

impl Ears {
    /// The way in, for the session, before the host has answered; and what [`Self::start`] takes.
    pub fn way() -> (SyncSender<Came>, Receiver<Came>) {
        sync_channel(QUEUED)
    }

    /// Starts to listen as `welcome` says. `lossy` loses datagrams before anybody looks at them.
    pub fn start(
        welcome: &Welcome,
        datagrams: Receiver<Came>,
        wav: Option<PathBuf>,
        lossy: Option<Lossy>,
    ) -> Result<Self, Failure> {
        let opus = AudioCodecConfig::native(welcome.audio_channels, welcome.audio_layout, ANY_BITRATE);
        let format = Lossless::from_bits(welcome.audio_bits);
        let (coded, config) = match welcome.audio_codec {
            WireCodec::Opus => ("opus".to_owned(), opus),
            WireCodec::Pcm => {
                let block = Duration::from_micros(welcome.audio_frame_us.into());
                (format!("pcm{}", format.bits()), AudioCodecConfig { block, ..opus })
            }
        };
        let decoder = match welcome.audio_codec {
            WireCodec::Opus => OpusCodec.decoder(&config),
            WireCodec::Pcm => format.decoder(&config),
        };
        let decoder = decoder.map_err(|e| Failure::new(e.to_string()))?;
        let wav = wav.map(|path| Wav::create(&path, config.layout.channels(), format)).transpose()?;
        let listener = Listener::new(&config, coded, decoder, wav, lossy);
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
    coded: String,
    frame_us: u64,
    transits: Transits,
    decoder: Box<dyn AudioDecoder>,
    block: Vec<f32>,
    meters: Vec<Meter>,
    audible_frames: u64,
    decode_errors: u64,
    wav: Option<Wav>,
    lossy: Option<Lossy>,
}

impl Listener {
    fn new(
        config: &AudioCodecConfig,
        coded: String,
        decoder: Box<dyn AudioDecoder>,
        wav: Option<Wav>,
        lossy: Option<Lossy>,
    ) -> Self {
        let channels = config.layout.channels();
        Self {
            receiver: SoundReceiver::default(),
            coded,
            frame_us: config.block.as_micros() as u64,
            transits: Transits::default(),
            decoder,
            block: vec![0.0; config.block_frames() * channels],
            meters: vec![Meter::new(); channels],
            audible_frames: 0,
            decode_errors: 0,
            wav,
            lossy,
        }
    }

    fn run(mut self, datagrams: &Receiver<Came>) -> Result<Heard, Failure> {
        while let Ok((arrived, bytes)) = datagrams.recv() {
            if self.lossy.as_mut().is_some_and(Lossy::loses) {
                continue;
            }
            let Ok(datagram) = HostDatagram::decode(&bytes) else { continue };
            if let HostDatagram::Audio { pts_ns, .. }
            | HostDatagram::AudioRed { pts_ns, .. }
            | HostDatagram::Pcm { pts_ns, .. } = datagram
            {
                self.transits.take(arrived, pts_ns);
            }
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
            SoundBlock::Packet(packet) => self.decoder.decode(Some(packet), &mut self.block),
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
            codec: self.coded,
            frame_us: self.frame_us,
            transits: self.transits,
            latency_us: None,
            av_skew_us: None,
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

const CHANNELS: [&str; 8] = ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"];
/// -80 dB of full scale: below is the coder's own noise.
const AUDIBLE: f32 = 1e-4;
/// 20 Hz.
const LONGEST_PERIOD: usize = SAMPLE_RATE as usize / 20;
/// An hour and more.
const MOST_TRANSITS: usize = 1 << 20;
/// Five seconds.
const QUEUED: usize = 1024;
/// A decoder does not care.
const ANY_BITRATE: u32 = 128_000;
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
}
