//! The way of samples between the sound server's thread and ours: a ring without locks, with stamps beside it, and a bell
//! that wakes the reader. Nothing here blocks, allocates or takes a lock after [`feed`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_media::SAMPLE_RATE;
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Wakes a thread that waits for samples. Clones ring the same bell.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A bell.
    ///
    /// # Errors
    /// When the system gives no more file descriptors.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Wakes whoever waits, now or at its next [`Self::wait`].
    pub fn ring(&self) {
        // Fails only when 2^64 - 2 rings were not heard.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Waits until somebody rings, at most until `deadline`.
    pub fn wait(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        // An interrupted or failed wait is a short one, which callers take in their stride.
        let _ = poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&timeout));
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where the sound server's thread puts interleaved samples.
#[derive(Debug)]
pub struct FeedWriter {
    samples: Producer<f32>,
    stamps: Producer<Stamp>,
    channels: usize,
    /// Frames pushed so far.
    pushed: u64,
    /// The reader stood still and frames were lost: what comes next fades in.
    torn: bool,
    bell: Bell,
}

/// Where our thread finds them.
#[derive(Debug)]
pub struct FeedReader {
    samples: Consumer<f32>,
    stamps: Consumer<Stamp>,
    channels: usize,
    /// Frames taken so far.
    taken: u64,
    latest: Option<Stamp>,
}

/// So many frames had been pushed at this moment.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    frames: u64,
    at: Instant,
}

/// A ring for `frames` frames of `channels` samples.
pub fn feed(channels: usize, frames: usize, bell: Bell) -> (FeedWriter, FeedReader) {
    let (samples_in, samples_out) = RingBuffer::new(frames * channels);
    let (stamps_in, stamps_out) = RingBuffer::new(STAMPS);
    (
        FeedWriter { samples: samples_in, stamps: stamps_in, channels, pushed: 0, torn: false, bell },
        FeedReader { samples: samples_out, stamps: stamps_out, channels, taken: 0, latest: None },
    )
}

impl FeedWriter {
    /// Pushes interleaved little-endian samples, the last of which was heard at `at`. What does not fit whole is lost.
    pub fn push(&mut self, bytes: &[u8], at: Instant) {
        let (samples, _) = bytes.as_chunks::<4>();
        let frames = samples.len() / self.channels;
        let samples = &samples[..frames * self.channels];
        self.push_samples(frames, samples.iter().map(|bytes| f32::from_le_bytes(*bytes)), at);
    }

    /// The same for the samples of so many frames, whatever they are made of.
    pub fn push_samples(&mut self, frames: usize, samples: impl Iterator<Item = f32>, at: Instant) {
        let Ok(chunk) = self.samples.write_chunk_uninit(frames * self.channels) else {
            self.torn = true;
            return;
        };
        let (torn, channels) = (std::mem::take(&mut self.torn), self.channels);
        chunk.fill_from_iter(
            samples.enumerate().map(|(i, sample)| if torn { sample * ramp(i / channels) } else { sample }),
        );
        self.pushed += frames as u64;
        // Full only while the reader stands still, which will take a newer one.
        let _ = self.stamps.push(Stamp { frames: self.pushed, at });
        self.bell.ring();
    }
}

impl FeedReader {
    /// Frames that wait.
    pub fn frames(&self) -> usize {
        self.samples.slots() / self.channels
    }

    /// Takes the oldest frames, as many as `block` holds or there are. Returns how many.
    pub fn take(&mut self, block: &mut [f32]) -> usize {
        let wanted = block.len().min(self.frames() * self.channels);
        let Ok(()) = self.samples.pop_entire_slice(&mut block[..wanted]) else { return 0 };
        self.taken += (wanted / self.channels) as u64;
        wanted / self.channels
    }

    /// Forgets the oldest frames.
    pub fn skip(&mut self, frames: usize) {
        if let Ok(chunk) = self.samples.read_chunk(frames * self.channels) {
            chunk.commit_all();
            self.taken += frames as u64;
        }
    }

    /// When the frame taken last was heard.
    pub fn heard_at(&mut self) -> Option<Instant> {
        while let Ok(stamp) = self.stamps.pop() {
            self.latest = Some(stamp);
        }
        let Stamp { frames, at } = self.latest?;
        at.checked_sub(duration_of(frames.saturating_sub(self.taken) as usize))
    }
}

/// How long so many frames last.
pub fn duration_of(frames: usize) -> Duration {
    Duration::from_nanos(frames as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE))
}

/// How loud the n-th frame after a break is.
pub fn ramp(frame: usize) -> f32 {
    (frame as f32 / FADE_FRAMES as f32).min(1.0)
}

/// A fade of 1 ms is not heard as a click, nor as a fade.
pub const FADE_FRAMES: usize = SAMPLE_RATE as usize / 1000;
/// More buffers than a sound server hands over while the reader is away for half a second.
const STAMPS: usize = 256;
