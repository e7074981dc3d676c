//! The audio thread: blocks of a desktop's sound become packets.
//!
//! ```text
//! Sound ─ open (may take long, may have to be tried again) ─► AudioSource ─ block ─► AudioEncoder ─► AudioSink
//! ```
//!
//! Whatever fails for good here ends the sound, and the session goes on. A source that has nothing for a while (its sound
//! server is restarting) leaves a gap in time, which the stamps of the next blocks show.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use punktfunk_media::{AudioEncoder, AudioError, AudioRead, AudioSource, Reason, Sound};

use super::quiet::Quiet;
use super::send::micros;
use crate::link::{AudioLink, AudioSink, SoundEnd};
use crate::session::Shared;

pub(crate) struct AudioLoop {
    shared: Arc<Shared>,
    sound: Result<Arc<dyn Sound>, AudioError>,
    link: AudioLink,
}

impl AudioLoop {
    /// `sound` as the stage gave it, which costs nothing yet.
    pub fn new(shared: &Arc<Shared>, sound: Result<Arc<dyn Sound>, AudioError>, link: AudioLink) -> Self {
        Self { shared: Arc::clone(shared), sound, link }
    }

    /// Runs until the session stops or there is no sound any more.
    pub fn run(self) {
        let shared = Arc::clone(&self.shared);
        let worked = self.work();
        let (counters, took) = (shared.stats.counters.snapshot(), shared.stats.audio());
        tracing::info!(
            session = shared.id,
            blocks = counters.audio_blocks,
            silent = counters.audio_silent,
            p50_us = took.p50,
            p99_us = took.p99,
            "sound ends"
        );
        if let Err(end) = worked {
            let code = end.reason.code;
            tracing::warn!(session = shared.id, code, "the session goes on without sound: {}", end.detail);
            shared.events.sound_ended(&end);
        }
    }

    fn work(self) -> Result<(), SoundEnd> {
        let Self { shared, sound, link } = self;
        let AudioLink { request, codec, config, mut sink } = link;
        let sound = sound.map_err(ended)?;
        let encoder = codec.encoder(&config).map_err(ended)?;
        let Some(source) = open(&shared, &*sound, &request)? else { return Ok(()) };
        Player {
            shared: &shared,
            source,
            encoder,
            block: vec![0.0; request.block_samples()],
            packet: Vec::new(),
            silent_for: 0,
            quiet: Quiet::default(),
        }
        .play(&mut *sink)
    }
}

/// Opens the source, again and again while that may help. `None`: the session stops.
fn open(
    shared: &Shared,
    sound: &dyn Sound,
    request: &punktfunk_media::AudioRequest,
) -> Result<Option<Box<dyn AudioSource>>, SoundEnd> {
    let (mut said, mut wait) = (false, OPEN_AGAIN_FIRST);
    while !shared.stopping() {
        match sound.source(request) {
            Ok(source) => return Ok(Some(source)),
            Err(error) if error.fatal => return Err(ended(error)),
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::info!(session = shared.id, code = error.reason.code, "no sound yet: {}", error.detail);
                }
                pause(shared, wait);
                wait = (wait * 2).min(OPEN_AGAIN_AFTER);
            }
        }
    }
    Ok(None)
}

/// A source that plays to a client.
struct Player<'a> {
    shared: &'a Shared,
    source: Box<dyn AudioSource>,
    encoder: Box<dyn AudioEncoder>,
    block: Vec<f32>,
    packet: Vec<u8>,
    /// Silent blocks in a row.
    silent_for: u32,
    quiet: Quiet,
}

impl Player<'_> {
    fn play(mut self, sink: &mut dyn AudioSink) -> Result<(), SoundEnd> {
        let counters = &self.shared.stats.counters;
        while !self.shared.stopping() {
            let (captured_at, silent) = match self.source.read(&mut self.block, Instant::now() + SLICE) {
                Ok(AudioRead::Block { captured_at, silent }) => (captured_at, silent),
                Ok(AudioRead::Nothing) => continue,
                Err(error) if error.fatal => return Err(ended(error)),
                Err(error) => {
                    counters.audio_errors.one();
                    tracing::debug!(session = self.shared.id, code = error.reason.code, "sound: {}", error.detail);
                    pause(self.shared, BREATH);
                    continue;
                }
            };
            counters.audio_blocks.one();
            self.silent_for = if silent { self.silent_for.saturating_add(1) } else { 0 };
            let quiet = self.silent_for > TAIL;
            if quiet {
                counters.audio_silent.one();
            }
            if let Err(error) = self.quiet.encode(&mut *self.encoder, &mut self.block, quiet, &mut self.packet) {
                if error.fatal {
                    return Err(ended(error));
                }
                counters.audio_errors.one();
                continue;
            }
            let captured_ns = self.shared.clock.at(captured_at).as_nanos();
            match sink.send(&self.packet, captured_ns, quiet) {
                Ok(()) => self.shared.stats.record_audio(micros(captured_at.elapsed()).into()),
                Err(error) if error.fatal => return Err(SoundEnd { reason: error.reason, detail: error.detail }),
                Err(error) => {
                    counters.audio_errors.one();
                    tracing::debug!(session = self.shared.id, code = error.reason.code, "sound: {}", error.detail);
                }
            }
        }
        Ok(())
    }
}

/// Sleeps, but not past the session's end.
fn pause(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    while !shared.stopping() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(SLICE));
    }
}

fn ended(error: AudioError) -> SoundEnd {
    let AudioError { reason, detail, .. } = error;
    SoundEnd { reason: reason as &'static Reason, detail }
}

/// How long the thread may sit before it looks whether the session stops.
const SLICE: Duration = Duration::from_millis(25);
/// Before trying again after a failure in passing.
const BREATH: Duration = Duration::from_millis(5);
/// Before asking a sound server again that was not ready, and at most, since starting one takes about a second.
const OPEN_AGAIN_FIRST: Duration = Duration::from_millis(20);
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Silent blocks that are sent as if they were heard: the coder looks ahead, and what is in it must come out.
const TAIL: u32 = 4;
