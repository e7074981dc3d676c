//! The mouth: says a WAV file into the session's microphone, in packets of 10 ms, by the clock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use punktfunk_audio::VoiceEncoder;
use punktfunk_client::StreamHandle;
use punktfunk_media::AudioEncoder;
use serde::Serialize;

use crate::failure::Failure;
use crate::lossy::Lossy;
use crate::wav::read_mono;

/// What to say.
#[derive(Clone)]
pub struct Speech {
    samples: Arc<[f32]>,
    block: Duration,
}

/// What was said.
#[derive(Serialize, Debug, Clone, Copy, Default)]
pub struct Said {
    /// Packets that were sent.
    packets: u64,
    /// Packets that were lost on purpose instead.
    lost: u64,
    bytes: u64,
}

impl Speech {
    /// Reads a file; before connecting, so that a wrong one is no half-open session.
    pub fn load(path: &Path, frame_ms: u8) -> Result<Self, Failure> {
        Ok(Self { samples: read_mono(path)?.into(), block: Duration::from_millis(frame_ms.into()) })
    }

    /// Begins to speak.
    pub fn say(self, stream: StreamHandle, mut lossy: Option<Lossy>) -> Result<Speaking, Failure> {
        let mut encoder = VoiceEncoder::new(self.block, BITRATE_BPS, EXPECTED_LOSS_PERCENT)
            .map_err(|e| Failure::new(e.to_string()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let speak = move || {
            let (mut said, mut packet) = (Said::default(), Vec::new());
            let mut due = Instant::now();
            for (seq, block) in self.samples.chunks_exact(encoder.block_frames()).enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                encoder.encode(block, &mut packet).map_err(|e| Failure::new(e.to_string()))?;
                if lossy.as_mut().is_some_and(Lossy::loses) {
                    said.lost += 1;
                } else {
                    stream.microphone(seq as u32, &packet);
                    said.packets += 1;
                    said.bytes += packet.len() as u64;
                }
                due += self.block;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Ok(said)
        };
        let thread = thread::Builder::new()
            .name("microphone".to_owned())
            .spawn(speak)
            .map_err(|e| Failure::new(format!("thread: {e}")))?;
        Ok(Speaking { thread, stop })
    }
}

/// A voice. Ends with its file, or when told.
pub struct Speaking {
    thread: JoinHandle<Result<Said, Failure>>,
    stop: Arc<AtomicBool>,
}

impl Speaking {
    /// Falls silent, at the next packet.
    pub fn stop(self) -> Result<Said, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Failure::new("the microphone's thread panicked"))?
    }
}

/// What clients use (punktfunk1.md §4.8).
const BITRATE_BPS: u32 = 48_000;
const EXPECTED_LOSS_PERCENT: u8 = 10;
