//! The decoder's thread: takes access units, decodes or verifies them, hands pictures on.

use std::thread::JoinHandle;
use std::time::Duration;

use punktfunk_client::{StreamHandle, Unit};
use punktfunk_core::{Codec, Timestamp};
use punktfunk_encode::decode::{Decoder, Picture, open_avcodec, open_openh264};
use punktfunk_media::fake::{pft1, stamp};
use tokio::sync::oneshot;

use crate::cli::{CodecArg, DecoderArg};
use crate::failure::{Failure, USAGE};
use crate::shots::Shots;

/// What looks at the units.
pub enum Eyes {
    /// A video decoder.
    Video(Box<dyn Decoder>),
    /// The checker of `PFT1` units.
    Pft1,
}

impl Eyes {
    /// Opens a decoder; before connecting, so that a missing library is no half-open session.
    pub fn open(codec: CodecArg, decoder: DecoderArg) -> Result<Self, Failure> {
        if codec == CodecArg::None {
            return Ok(Self::Pft1);
        }
        let codec = codec.wire();
        let opened = match decoder {
            // OpenH264 is bundled: no second goes by while a dozen libraries are loaded.
            DecoderArg::Auto | DecoderArg::Openh264 if codec == Codec::H264 => open_openh264(),
            DecoderArg::Openh264 => {
                return Err(Failure::new(format!("OpenH264 does not decode {codec}")).with_code(USAGE));
            }
            DecoderArg::Auto | DecoderArg::Avcodec => open_avcodec(codec),
        };
        opened.map(Self::Video).map_err(|e| {
            Failure::new(format!("{codec}: {e}")).with_fix("Install libavcodec59 (Debian 12) or a later version.")
        })
    }

    /// Whether it goes on after a gap without a keyframe. OpenH264's decoder does not, with concealment off.
    pub fn bridges_gaps(&self) -> bool {
        match self {
            Self::Video(decoder) => !decoder.name().starts_with("OpenH264"),
            Self::Pft1 => true,
        }
    }

    /// Who decodes, for the report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Video(decoder) => decoder.name(),
            Self::Pft1 => "PFT1 check",
        }
    }
}

/// What the player saw.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Units that were to be shown and could not be decoded, or are not the `PFT1` unit they should be.
    pub decode_errors: u64,
    /// Pictures decoded, or `PFT1` units that check out.
    pub pictures: u64,
    /// Size of the last picture.
    pub size: (usize, usize),
    /// Pictures with a readable stamp of the synthetic source.
    pub stamped: u64,
    /// Stamps, or `PFT1` indices, that did not go up.
    pub stamps_backwards: u64,
    /// PNGs queued for writing.
    pub shots: u64,
    /// PNGs left out because the disk was slower than the stream.
    pub shots_skipped: u64,
}

/// The running thread.
pub struct Player {
    thread: JoinHandle<Seen>,
}

impl Player {
    /// Starts it. `first` fires when the first unit arrives; every `every`-th shown picture goes to `shots`, with the pointer
    /// where it is to be drawn.
    pub fn start(
        stream: StreamHandle,
        eyes: Eyes,
        first: oneshot::Sender<()>,
        shots: Option<(u32, Shots)>,
        draws_cursor: bool,
    ) -> Result<Self, Failure> {
        let pointer = draws_cursor.then(|| stream.clone());
        let mut work =
            Work { eyes, picture: Picture::default(), seen: Seen::default(), last_index: None, shots, pointer };
        let thread = std::thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || {
                let mut first = Some(first);
                loop {
                    let Some(unit) = stream.next_unit(Duration::from_millis(100)) else {
                        if stream.is_over() {
                            break;
                        }
                        continue;
                    };
                    if let Some(first) = first.take() {
                        // Nobody waits any more if the stream ended meanwhile.
                        let _ = first.send(());
                    }
                    let begun = stream.now();
                    let (picture, done) = work.look(&unit, &stream);
                    stream.decoded(unit, picture, begun, done);
                }
                work.finish()
            })
            .map_err(|e| Failure::new(format!("cannot start the decoder's thread: {e}")))?;
        Ok(Self { thread })
    }

    /// Waits for it; close the stream first.
    pub fn finish(self) -> Result<Seen, Failure> {
        self.thread.join().map_err(|_| Failure::new("the decoder's thread panicked"))
    }
}

struct Work {
    eyes: Eyes,
    picture: Picture,
    seen: Seen,
    last_index: Option<u32>,
    shots: Option<(u32, Shots)>,
    /// Knows the pointer that is drawn into them.
    pointer: Option<StreamHandle>,
}

impl Work {
    /// Whether the unit gave what it should, and when that was known: looking at the picture is no part of decoding.
    fn look(&mut self, unit: &Unit, clock: &StreamHandle) -> (bool, Timestamp) {
        let outcome = match &mut self.eyes {
            Eyes::Pft1 => match pft1::check(&unit.au.data) {
                Ok(index) => {
                    self.in_order(index);
                    Ok(true)
                }
                Err(error) => Err(error.to_string()),
            },
            Eyes::Video(decoder) => decoder.decode(&unit.au.data, &mut self.picture).map_err(|error| error.to_string()),
        };
        let done = clock.now();
        let picture = match outcome {
            Ok(true) => {
                self.seen.pictures += 1;
                if unit.show {
                    self.show(unit);
                }
                true
            }
            Ok(false) => false,
            // Units of a freeze refer to lost ones; that they fail is no news.
            Err(_) if !unit.show => false,
            Err(error) => {
                self.seen.decode_errors += 1;
                tracing::debug!(index = unit.au.index, error, "cannot decode");
                false
            }
        };
        (picture, done)
    }

    fn show(&mut self, unit: &Unit) {
        if matches!(self.eyes, Eyes::Pft1) {
            return;
        }
        let picture = &self.picture;
        self.seen.size = (picture.width, picture.height);
        if let Some(stamp) = stamp_of(picture) {
            self.seen.stamped += 1;
            self.in_order(stamp.index);
        }
        if let Some((every, shots)) = &mut self.shots
            && (self.seen.pictures - 1).is_multiple_of(u64::from(*every))
        {
            let cursor = self.pointer.as_ref().and_then(StreamHandle::cursor);
            if shots.save(unit.au.index, &self.picture, cursor) {
                self.seen.shots += 1;
            } else {
                self.seen.shots_skipped += 1;
            }
        }
    }

    /// Repeats show the same picture again; only a step back is wrong.
    fn in_order(&mut self, index: u32) {
        let back = self.last_index.is_some_and(|last| index < last);
        self.seen.stamps_backwards += u64::from(back);
        self.last_index = Some(index);
    }

    fn finish(self) -> Seen {
        if let Some((_, shots)) = self.shots {
            shots.finish();
        }
        self.seen
    }
}

fn stamp_of(picture: &Picture) -> Option<stamp::Stamp> {
    let (width, height) = (u32::try_from(picture.width).ok()?, u32::try_from(picture.height).ok()?);
    stamp::read(width, height, |x, y| picture.y[y as usize * picture.width + x as usize])
}
