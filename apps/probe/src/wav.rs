//! WAV files (RIFF, 48 kHz): PCM of 16 or 24 bits written; PCM of 16, 24 or 32 bits and floats read.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use punktfunk_media::{Lossless, SAMPLE_RATE};

use crate::failure::{Failure, USAGE};

/// A WAV file whose header is completed at the end.
pub struct Wav {
    file: BufWriter<File>,
    channels: usize,
    format: Lossless,
    bytes: u32,
}

impl Wav {
    /// Makes the file, of `channels` channels.
    pub fn create(path: &Path, channels: usize, format: Lossless) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        let mut wav = Self { file: BufWriter::new(file), channels, format, bytes: 0 };
        wav.header()?;
        Ok(wav)
    }

    fn header(&mut self) -> Result<(), Failure> {
        let frame_bytes = (self.channels * self.format.bytes()) as u32;
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
        header.extend(u16::from(self.format.bits()).to_le_bytes());
        header.extend(b"data");
        header.extend(self.bytes.to_le_bytes());
        self.file.write_all(&header).map_err(unwritable)
    }

    /// Appends interleaved samples.
    pub fn write(&mut self, block: &[f32]) -> Result<(), Failure> {
        if self.bytes > MOST_WAV_BYTES {
            return Ok(());
        }
        for sample in block {
            self.file
                .write_all(&self.format.number(*sample).to_le_bytes()[..self.format.bytes()])
                .map_err(unwritable)?;
        }
        self.bytes += (block.len() * self.format.bytes()) as u32;
        Ok(())
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
        self.header()?;
        self.file.flush().map_err(unwritable)
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::new(format!("the WAV file: {error}"))
}

/// Reads a file and mixes its channels into one.
///
/// # Errors
/// [`Failure`] with exit code 2: it is no WAV file, of another rate than 48 kHz, or of a format that we do not read.
pub fn read_mono(path: &Path) -> Result<Vec<f32>, Failure> {
    let wrong = |what: &str| Failure::new(format!("{}: {what}", path.display())).with_code(USAGE);
    let bytes = std::fs::read(path).map_err(|e| wrong(&e.to_string()))?;
    parse_mono(&bytes).map_err(|what| {
        wrong(&what).with_fix(
            "It takes 48 kHz WAV of 16, 24 or 32 bits or floats; `ffmpeg -i FILE -ar 48000 -ac 1 voice.wav` makes one.",
        )
    })
}

fn parse_mono(bytes: &[u8]) -> Result<Vec<f32>, String> {
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err("it is no WAV file".to_owned());
    }
    let (mut format, mut rest) = (None, &bytes[12..]);
    while let Some((header, body)) = rest.split_at_checked(8) {
        let (name, length) = header.split_at(4);
        let length = length.try_into().map_or(0, u32::from_le_bytes) as usize;
        // A recorder that was killed never wrote the length.
        let body_bytes = &body[..length.min(body.len())];
        match name {
            b"fmt " => format = Some(Format::parse(body_bytes)?),
            b"data" => return format.ok_or("it says nothing of its format")?.mono(body_bytes),
            _ => {}
        }
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    Err("there is no sound in it".to_owned())
}

#[derive(Clone, Copy)]
struct Format {
    float: bool,
    channels: usize,
    bytes: usize,
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self, String> {
        let u16_at = |at: usize| chunk.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let rate = u32::from(u16_at(4)) | u32::from(u16_at(6)) << 16;
        if rate != SAMPLE_RATE {
            return Err(format!("it has {rate} samples per second instead of {SAMPLE_RATE}"));
        }
        // The extensible form has the real tag in front of a fixed GUID.
        let tag = if u16_at(0) == 0xfffe { u16_at(24) } else { u16_at(0) };
        let (channels, bits) = (usize::from(u16_at(2)), u16_at(14));
        let float = match (tag, bits) {
            (1, 16 | 24 | 32) => false,
            (3, 32) => true,
            _ => return Err(format!("it has samples of format {tag} with {bits} bits")),
        };
        if channels == 0 {
            return Err("it has no channel".to_owned());
        }
        Ok(Self { float, channels, bytes: usize::from(bits / 8) })
    }

    fn mono(self, data: &[u8]) -> Result<Vec<f32>, String> {
        let sample = |bytes: &[u8]| match (bytes, self.float) {
            ([a, b, c, d], true) => f32::from_le_bytes([*a, *b, *c, *d]),
            ([a, b], _) => f32::from(i16::from_le_bytes([*a, *b])) / 32_768.0,
            ([a, b, c], _) => i32::from_le_bytes([0, *a, *b, *c]) as f32 / 2_147_483_648.0,
            ([a, b, c, d], _) => i32::from_le_bytes([*a, *b, *c, *d]) as f32 / 2_147_483_648.0,
            _ => 0.0,
        };
        let mixed = |frame: &[u8]| frame.chunks_exact(self.bytes).map(sample).sum::<f32>() / self.channels as f32;
        Ok(data.chunks_exact(self.bytes * self.channels).map(mixed).collect())
    }
}

/// A WAV file cannot be larger than 4 GiB; an hour of 7.1 is less.
const MOST_WAV_BYTES: u32 = u32::MAX - (1 << 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_file_has_its_length_in_its_header_and_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wav");
        let mut wav = Wav::create(&path, 2, Lossless::Bits16).unwrap();
        wav.write(&[0.0, 1.0, -1.0, 2.0]).unwrap();
        wav.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            (bytes.len(), &bytes[4..8], &bytes[40..44]),
            (52, &44u32.to_le_bytes()[..], &8u32.to_le_bytes()[..])
        );
        assert_eq!(bytes[44..], [0, 0, 0xff, 0x7f, 0x01, 0x80, 0xff, 0x7f]);
        let mono = read_mono(&path).unwrap();
        assert!(mono.len() == 2 && (mono[0] - 0.5).abs() < 1e-4 && mono[1].abs() < 1e-4, "{mono:?}");
    }

    fn file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEjunk\x01\0\0\0x\0fmt \x10\0\0\0".to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn every_format_is_read_and_others_are_refused_with_what_is_wrong() {
        assert_eq!(parse_mono(&file(1, 1, 48_000, 24, &[0, 0, 0x40])).unwrap(), [0.5]);
        assert_eq!(parse_mono(&file(1, 1, 48_000, 32, &[0, 0, 0, 0xc0])).unwrap(), [-0.5]);
        assert_eq!(parse_mono(&file(3, 1, 48_000, 32, &0.25f32.to_le_bytes())).unwrap(), [0.25]);
        for (bytes, word) in [
            (b"ID3".to_vec(), "no WAV"),
            (file(1, 1, 44_100, 16, &[]), "44100"),
            (file(1, 1, 48_000, 8, &[]), "8 bits"),
            (file(6, 1, 48_000, 8, &[]), "format 6"),
            (file(1, 0, 48_000, 16, &[]), "no channel"),
            (b"RIFF\0\0\0\0WAVE".to_vec(), "no sound"),
            (b"RIFF\0\0\0\0WAVEdata\0\0\0\0".to_vec(), "nothing of its format"),
        ] {
            let error = parse_mono(&bytes).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
