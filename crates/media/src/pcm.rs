//! Sound without loss: samples as numbers (punktfunk1.md §4.7, datagram 0xD3).

use crate::{AudioCodec, AudioCodecConfig, AudioDecoder, AudioEncoder, AudioError, reason};

/// Interleaved little-endian samples of 16 or 24 bits. Full scale is symmetric: ±32 767, ±8 388 607.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lossless {
    /// Two bytes each.
    Bits16,
    /// Three bytes each.
    Bits24,
}

impl Lossless {
    /// The one with so many bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        if bits == 24 { Self::Bits24 } else { Self::Bits16 }
    }

    /// 16 or 24.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Bits16 => 16,
            Self::Bits24 => 24,
        }
    }

    /// Bytes of a sample.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// The number of a sample, whose lowest [`Self::bytes`] bytes count. A sample that is no number becomes silence.
    #[must_use]
    pub fn number(self, sample: f32) -> i32 {
        let scale = self.full_scale();
        (f64::from(sample) * scale).round().clamp(-scale, scale) as i32
    }

    const fn full_scale(self) -> f64 {
        match self {
            Self::Bits16 => 32_767.0,
            Self::Bits24 => 8_388_607.0,
        }
    }
}

impl AudioCodec for Lossless {
    fn encoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioEncoder>, AudioError> {
        let samples = config.block_frames() * config.layout.channels();
        Ok(Box::new(Pcm { format: *self, channels: config.layout.channels(), samples }))
    }

    fn decoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioDecoder>, AudioError> {
        let samples = config.block_frames() * config.layout.channels();
        Ok(Box::new(Pcm { format: *self, channels: config.layout.channels(), samples }))
    }

    fn voice_decoder(&self) -> Result<Box<dyn AudioDecoder>, AudioError> {
        Err(wrong("a microphone is Opus".to_owned(), true))
    }
}

struct Pcm {
    format: Lossless,
    channels: usize,
    /// Of a block.
    samples: usize,
}

impl AudioEncoder for Pcm {
    fn encode(&mut self, block: &[f32], packet: &mut Vec<u8>) -> Result<(), AudioError> {
        if block.len() != self.samples {
            return Err(wrong(format!("a block of {} samples instead of {}", block.len(), self.samples), true));
        }
        packet.clear();
        for sample in block {
            packet.extend_from_slice(&self.format.number(*sample).to_le_bytes()[..self.format.bytes()]);
        }
        Ok(())
    }
}

impl AudioDecoder for Pcm {
    fn decode(&mut self, packet: Option<&[u8]>, block: &mut [f32]) -> Result<usize, AudioError> {
        let Some(packet) = packet else {
            block.fill(0.0);
            return Ok(block.len() / self.channels);
        };
        let bytes = self.format.bytes();
        let samples = packet.len() / bytes;
        if !packet.len().is_multiple_of(bytes * self.channels) || samples > block.len() {
            return Err(wrong(format!("{} bytes are no block", packet.len()), false));
        }
        let scale = self.format.full_scale();
        for (sample, number) in block.iter_mut().zip(packet.chunks_exact(bytes)) {
            let number = match number {
                [a, b] => i32::from(i16::from_le_bytes([*a, *b])),
                [a, b, c] => i32::from_le_bytes([0, *a, *b, *c]) >> 8,
                _ => 0,
            };
            *sample = (f64::from(number) / scale) as f32;
        }
        Ok(samples / self.channels)
    }

    fn recover(&mut self, _: &[u8], block: &mut [f32]) -> Result<usize, AudioError> {
        self.decode(None, block)
    }
}

fn wrong(detail: String, fatal: bool) -> AudioError {
    AudioError { reason: &reason::AUDIO_CODEC, detail, fatal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChannelLayout;
    use std::time::Duration;

    fn both(format: Lossless) -> (Box<dyn AudioEncoder>, Box<dyn AudioDecoder>) {
        let config = AudioCodecConfig::coupled(ChannelLayout::Stereo, Duration::from_millis(1), 0);
        (format.encoder(&config).unwrap(), format.decoder(&config).unwrap())
    }

    #[test]
    fn every_number_comes_back_as_it_was() {
        for (format, numbers) in [
            (Lossless::Bits16, (-32_767..=32_767).collect::<Vec<i32>>()),
            (Lossless::Bits24, (-8_388_607..=8_388_607).step_by(1_003).chain([8_388_607, 1, -1]).collect()),
        ] {
            let (mut encoder, mut decoder) = both(format);
            let scale = format.full_scale();
            let (mut packet, mut out) = (Vec::new(), vec![0.0; 96]);
            for numbers in numbers.chunks_exact(96) {
                let block: Vec<f32> = numbers.iter().map(|n| (f64::from(*n) / scale) as f32).collect();
                encoder.encode(&block, &mut packet).unwrap();
                assert_eq!(packet.len(), 96 * format.bytes());
                let coded: Vec<i32> = packet
                    .chunks_exact(format.bytes())
                    .map(|b| {
                        if let [a, b, c] = b {
                            i32::from_le_bytes([0, *a, *b, *c]) >> 8
                        } else {
                            i16::from_le_bytes([b[0], b[1]]).into()
                        }
                    })
                    .collect();
                assert_eq!(coded, numbers);
                assert_eq!(decoder.decode(Some(&packet), &mut out).unwrap(), 48);
                assert_eq!(out, block);
            }
        }
    }

    #[test]
    fn what_is_too_loud_is_cut_and_what_is_no_block_is_refused() {
        let (mut encoder, mut decoder) = both(Lossless::Bits16);
        let (mut packet, mut block) = (Vec::new(), vec![0.0; 96]);
        (block[0], block[1], block[2]) = (3.0, f32::NEG_INFINITY, f32::NAN);
        encoder.encode(&block, &mut packet).unwrap();
        assert_eq!(packet[..6], [0xff, 0x7f, 0x01, 0x80, 0, 0]);
        assert!(encoder.encode(&block[1..], &mut packet).is_err_and(|e| e.fatal));
        for bad in [&[0u8; 3][..], &[0; 194], &[0; 1]] {
            assert!(decoder.decode(Some(bad), &mut block).is_err_and(|e| !e.fatal), "{} bytes", bad.len());
        }
        assert_eq!(decoder.decode(None, &mut block).unwrap(), 48);
        assert!(Lossless::Bits16.voice_decoder().is_err());
    }
}
