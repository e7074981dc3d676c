//! Opus (RFC 6716, RFC 7845 §5.1.1) by libopus, which the `opus` crate brings along.

use std::time::Duration;

use opus::{Application, Bitrate, Channels, Decoder, MSDecoder, MSEncoder};
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioDecoder, AudioEncoder, AudioError, SAMPLE_RATE, reason};

/// Opus for every session.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpusCodec;

impl AudioCodec for OpusCodec {
    fn encoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioEncoder>, AudioError> {
        check(config)?;
        let (streams, coupled) = (config.streams, config.coupled);
        let mut inner =
            MSEncoder::new(SAMPLE_RATE, streams, coupled, config.mapping(), Application::LowDelay).map_err(refused)?;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(config.bitrate_bps).unwrap_or(i32::MAX))).map_err(refused)?;
        inner.set_vbr(!config.constant).map_err(refused)?;
        inner.set_vbr_constraint(true).map_err(refused)?;
        inner.set_complexity(COMPLEXITY).map_err(refused)?;
        let block_samples = config.block_frames() * config.layout.channels();
        let longest = usize::from(config.streams) * LONGEST_STREAM;
        Ok(Box::new(MultistreamEncoder { inner, block_samples, longest }))
    }

    fn decoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioDecoder>, AudioError> {
        check(config)?;
        let inner = MSDecoder::new(SAMPLE_RATE, config.streams, config.coupled, config.mapping()).map_err(refused)?;
        Ok(Box::new(MultistreamDecoder(inner)))
    }

    fn voice_decoder(&self) -> Result<Box<dyn AudioDecoder>, AudioError> {
        Ok(Box::new(VoiceDecoder(Decoder::new(SAMPLE_RATE, Channels::Mono).map_err(refused)?)))
    }
}

/// What libopus would crash or misbehave on is refused here; the rest it refuses itself.
fn check(config: &AudioCodecConfig) -> Result<(), AudioError> {
    let AudioCodecConfig { streams, coupled, block, bitrate_bps, .. } = *config;
    let decoded = u16::from(streams) + u16::from(coupled);
    let fed = |mapped: &u8| u16::from(*mapped) < decoded;
    if coupled > streams || streams == 0 || !config.mapping().iter().all(fed) {
        return Err(fatal(format!("{streams} streams, {coupled} coupled, mapping {:?}", config.mapping())));
    }
    if !BLOCKS.contains(&block) {
        return Err(fatal(format!("blocks of {block:?}")));
    }
    if !(LEAST_BPS..=MOST_BPS).contains(&bitrate_bps) {
        return Err(fatal(format!("{bitrate_bps} bit/s")));
    }
    Ok(())
}

struct MultistreamEncoder {
    inner: MSEncoder,
    block_samples: usize,
    /// No packet is longer.
    longest: usize,
}

impl AudioEncoder for MultistreamEncoder {
    fn encode(&mut self, block: &[f32], packet: &mut Vec<u8>) -> Result<(), AudioError> {
        if block.len() != self.block_samples {
            return Err(fatal(format!("a block of {} samples instead of {}", block.len(), self.block_samples)));
        }
        packet.resize(self.longest, 0);
        let written = self.inner.encode_float(block, packet);
        packet.truncate(*written.as_ref().unwrap_or(&0));
        written.map(drop).map_err(refused)
    }
}

struct MultistreamDecoder(MSDecoder);

impl AudioDecoder for MultistreamDecoder {
    fn decode(&mut self, packet: Option<&[u8]>, block: &mut [f32]) -> Result<usize, AudioError> {
        self.0.decode_float(present(packet)?, block, false).map_err(passing)
    }

    fn recover(&mut self, next: &[u8], block: &mut [f32]) -> Result<usize, AudioError> {
        self.0.decode_float(present(Some(next))?, block, true).map_err(passing)
    }
}

struct VoiceDecoder(Decoder);

impl AudioDecoder for VoiceDecoder {
    fn decode(&mut self, packet: Option<&[u8]>, block: &mut [f32]) -> Result<usize, AudioError> {
        self.0.decode_float(present(packet)?, block, false).map_err(passing)
    }

    fn recover(&mut self, next: &[u8], block: &mut [f32]) -> Result<usize, AudioError> {
        self.0.decode_float(present(Some(next))?, block, true).map_err(passing)
    }
}

/// Codes a microphone as clients do: one channel, tuned for speech, every packet carrying a coarse copy of the one before.
#[derive(Debug)]
pub struct VoiceEncoder {
    inner: opus::Encoder,
    block_frames: usize,
}

impl VoiceEncoder {
    /// An encoder for blocks of `block` (5, 10 or 20 ms) at `bitrate_bps` that expects `loss_percent` of its packets to be
    /// lost.
    ///
    /// # Errors
    /// [`AudioError`] if libopus refuses one of them.
    pub fn new(block: Duration, bitrate_bps: u32, loss_percent: u8) -> Result<Self, AudioError> {
        let mut inner = opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).map_err(refused)?;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(bitrate_bps).unwrap_or(i32::MAX))).map_err(refused)?;
        inner.set_inband_fec(true).map_err(refused)?;
        inner.set_packet_loss_perc(loss_percent.into()).map_err(refused)?;
        let block_frames = usize::try_from(block.as_micros()).unwrap_or(0) * SAMPLE_RATE as usize / 1_000_000;
        Ok(Self { inner, block_frames })
    }

    /// Samples of a block.
    #[must_use]
    pub const fn block_frames(&self) -> usize {
        self.block_frames
    }
}

impl AudioEncoder for VoiceEncoder {
    fn encode(&mut self, block: &[f32], packet: &mut Vec<u8>) -> Result<(), AudioError> {
        if block.len() != self.block_frames {
            return Err(fatal(format!("a block of {} samples instead of {}", block.len(), self.block_frames)));
        }
        packet.resize(LONGEST_STREAM, 0);
        let written = self.inner.encode_float(block, packet);
        packet.truncate(*written.as_ref().unwrap_or(&0));
        written.map(drop).map_err(refused)
    }
}

/// An empty packet would be concealed by libopus like a lost one: nobody codes nothing.
fn present(packet: Option<&[u8]>) -> Result<&[u8], AudioError> {
    match packet {
        Some([]) => Err(AudioError { reason: &reason::AUDIO_CODEC, detail: "an empty packet".into(), fatal: false }),
        Some(packet) => Ok(packet),
        None => Ok(&[]),
    }
}

fn fatal(detail: String) -> AudioError {
    AudioError { reason: &reason::AUDIO_CODEC, detail, fatal: true }
}

/// The library refused what we asked of it: asking again does not help.
fn refused(error: opus::Error) -> AudioError {
    fatal(error.to_string())
}

/// A packet was no good; the next one may be.
fn passing(error: opus::Error) -> AudioError {
    AudioError { reason: &reason::AUDIO_CODEC, detail: error.to_string(), fatal: false }
}

/// An Opus frame has 1275 bytes at most (RFC 6716 §3.2.1), a stream's packet a table-of-contents byte and, where it is
/// self-delimited, two of length.
const LONGEST_STREAM: usize = 1275 + 3;
/// What a session's blocks may last: the two lengths that both wires know.
const BLOCKS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(10)];
/// Below, libopus has nothing left to spend; above, a stream's frames are full anyway.
const LEAST_BPS: u32 = 6_000;
const MOST_BPS: u32 = 8 * 510_000;
/// Of 10. Above 5 the cost doubles and, from 96 kbit/s on, nobody hears it.
const COMPLEXITY: i32 = 5;
