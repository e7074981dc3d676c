//! The decoder's thread: access units become pictures, stamps are read, PNGs written.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Instant;

pub use punktfunk_encode::decode::Picture;
use punktfunk_encode::decode::{Decoder, open_any};
use punktfunk_media::Codec;
use punktfunk_media::fake::stamp;

use crate::Error;
use crate::video::Frame;

/// What to do with pictures.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodeOptions {
    /// Write the n-th picture (from 1) to this PNG.
    pub(crate) png: Option<(u64, PathBuf)>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) decoder: String,
    pub(crate) pictures: u64,
    pub(crate) errors: u64,
    pub(crate) size: (usize, usize),
    pub(crate) stamped: u64,
    pub(crate) stamps_backwards: u64,
    /// µs from the first datagram of a frame to its picture, plus what the host says it took before.
    pub(crate) latency_us: Vec<u64>,
    pub(crate) decode_us: Vec<u64>,
    pub(crate) png_written: bool,
    pub(crate) last: Option<Picture>,
}

/// Starts the thread; it ends with the channel.
pub(crate) fn start(
    codec: Codec,
    frames: Receiver<Frame>,
    options: DecodeOptions,
) -> Result<JoinHandle<Result<Seen, Error>>, Error> {
    let decoder = open_any(codec).map_err(|e| Error::Usage(format!("{codec}: {e}")))?;
    std::thread::Builder::new()
        .name("decode".to_owned())
        .spawn(move || run(decoder, &frames, &options))
        .map_err(Error::io("starting the decoder's thread"))
}

fn run(mut decoder: Box<dyn Decoder>, frames: &Receiver<Frame>, options: &DecodeOptions) -> Result<Seen, Error> {
    let mut seen = Seen { decoder: decoder.name().to_owned(), ..Seen::default() };
    let mut picture = Picture::default();
    let mut last_stamp = None;
    for frame in frames {
        let begun = Instant::now();
        match decoder.decode(&frame.data, &mut picture) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => {
                seen.errors += 1;
                continue;
            }
        }
        seen.pictures += 1;
        seen.size = (picture.width, picture.height);
        push(&mut seen.decode_us, begun.elapsed().as_micros());
        if frame.latency != 0 {
            push(&mut seen.latency_us, frame.first_at.elapsed().as_micros() + 100 * u128::from(frame.latency));
        }
        if let Some(stamp) = stamp_of(&picture) {
            seen.stamped += 1;
            seen.stamps_backwards += u64::from(last_stamp.is_some_and(|last| stamp.index < last));
            last_stamp = Some(stamp.index);
        }
        if let Some((number, path)) = &options.png
            && seen.pictures == *number
        {
            write_png(path, &picture)?;
            seen.png_written = true;
        }
    }
    seen.last = (seen.pictures > 0).then_some(picture);
    Ok(seen)
}

fn push(all: &mut Vec<u64>, micros: u128) {
    if all.len() < MAX_SAMPLES {
        all.push(u64::try_from(micros).unwrap_or(u64::MAX));
    }
}

fn stamp_of(picture: &Picture) -> Option<stamp::Stamp> {
    let (width, height) = (u32::try_from(picture.width).ok()?, u32::try_from(picture.height).ok()?);
    stamp::read(width, height, |x, y| picture.y[y as usize * picture.width + x as usize])
}

fn write_png(path: &Path, picture: &Picture) -> Result<(), Error> {
    let mut rgb = Vec::new();
    picture.to_rgb(&mut rgb);
    let size = |pixels: usize| u32::try_from(pixels).map_err(|_| Error::Usage("picture size".to_owned()));
    let file = BufWriter::new(File::create(path).map_err(Error::io("making a PNG"))?);
    let mut encoder = png::Encoder::new(file, size(picture.width)?, size(picture.height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let failed = |e: png::EncodingError| Error::Usage(format!("PNG: {e}"));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&rgb).map_err(failed)?;
    writer.finish().map_err(failed)
}

/// An hour at 120 frames per second.
const MAX_SAMPLES: usize = 432_000;
