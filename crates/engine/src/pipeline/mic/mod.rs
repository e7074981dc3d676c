//! The microphone's thread: a client's voice, for the programs of the desktop.
//!
//! ```text
//! SessionControl::voice ─► VoiceBox (jitter buffer, bounded) ─► Mouth: decode, conceal, a little faster or slower ─► MicSink
//! ```
//!
//! The source is there while the client may talk, whether it does or not: programs choose a microphone when they start.
//! Whatever fails for good here ends the microphone, and the session goes on.

mod mouth;
mod warp;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_core::voice::{Arrival, VoiceBuffer, VoiceCounts};
use punktfunk_core::{Grants, Timestamp};
use punktfunk_media::{AudioCodec, AudioError, Sound};

use crate::link::SoundEnd;
use crate::session::{Mailboxes, Shared};
use mouth::Mouth;

/// What the client said and nobody has heard yet. The buffer is its own bound.
#[derive(Debug, Default)]
pub(crate) struct VoiceBox {
    /// Somebody plays it, and the client may talk.
    open: AtomicBool,
    buffer: Mutex<VoiceBuffer>,
}

impl VoiceBox {
    /// Whether anybody may hear what comes.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a packet. Returns whether it was kept.
    pub fn push(&self, now: Timestamp, seq: u32, pts_ns: u64, opus: &[u8]) -> bool {
        // Looked at under the lock: what is pushed after a closing would be the first thing heard after an opening.
        self.with(|buffer| self.is_open() && buffer.push(now, seq, pts_ns, opus) == Arrival::Kept)
    }

    /// From now on the client may talk, or may not: then what waits is forgotten at once.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        if !open {
            self.with(VoiceBuffer::clear);
        }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut VoiceBuffer) -> T) -> T {
        work(&mut self.buffer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct MicLoop {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
    sound: Result<Arc<dyn Sound>, AudioError>,
    codec: Arc<dyn AudioCodec>,
    grants: Grants,
}

impl MicLoop {
    /// `sound` as the stage gave it, which costs nothing yet.
    pub fn new(
        shared: &Arc<Shared>,
        mail: &Arc<Mailboxes>,
        sound: Result<Arc<dyn Sound>, AudioError>,
        codec: Arc<dyn AudioCodec>,
        grants: Grants,
    ) -> Self {
        Self { shared: Arc::clone(shared), mail: Arc::clone(mail), sound, codec, grants }
    }

    /// Runs until the session stops or there is no microphone any more.
    pub fn run(self) {
        let (shared, mail) = (Arc::clone(&self.shared), Arc::clone(&self.mail));
        let worked = self.work();
        mail.voice.set_open(false);
        let VoiceCounts { packets, played, late, lost, recovered, concealed, .. } = mail.voice.with(|b| b.counts());
        if packets > 0 {
            let held = shared.stats.voice();
            tracing::info!(
                session = shared.id,
                packets,
                played,
                late,
                lost,
                recovered,
                concealed,
                held_p50_us = held.p50,
                held_p99_us = held.p99,
                "the microphone ends"
            );
        }
        if let Err(end) = worked {
            let code = end.reason.code;
            tracing::warn!(session = shared.id, code, "the session goes on without a microphone: {}", end.detail);
            shared.events.microphone_ended(&end);
        }
    }

    fn work(mut self) -> Result<(), SoundEnd> {
        let mail = Arc::clone(&self.mail);
        let mut mouth: Option<Mouth> = None;
        let mut said = false;
        loop {
            let seen = mail.mic_signal.epoch();
            if self.shared.stopping() {
                return Ok(());
            }
            if let Some(grants) = mail.take_mic() {
                self.grants = grants;
            }
            if !self.grants.contains(Grants::MIC) {
                mouth = None;
                mail.mic_signal.wait(seen, None);
                continue;
            }
            let speaking = match &mut mouth {
                Some(open) => open.speak(&self.shared, &mail),
                None => self.open().map(|new| {
                    mouth = Some(new);
                    Some(Instant::now())
                }),
            };
            let until = match speaking {
                Ok(until) => until,
                Err(error) if error.fatal => return Err(SoundEnd { reason: error.reason, detail: error.detail }),
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        let code = error.reason.code;
                        tracing::info!(session = self.shared.id, code, "no microphone yet: {}", error.detail);
                    }
                    mouth = None;
                    Some(Instant::now() + OPEN_AGAIN_AFTER)
                }
            };
            mail.mic_signal.wait(seen, until);
        }
    }

    fn open(&self) -> Result<Mouth, AudioError> {
        let sound = match &self.sound {
            Ok(sound) => sound,
            Err(AudioError { reason, detail, fatal }) => {
                return Err(AudioError { reason, detail: detail.clone(), fatal: *fatal });
            }
        };
        let decoder = self.codec.voice_decoder()?;
        Ok(Mouth::new(sound.microphone()?, decoder))
    }
}

/// Before asking a sound server again that was not ready. Starting one takes about a second.
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(500);
