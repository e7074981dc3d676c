//! What the session tells its client. The session's threads post here without waiting; the connection's task sends it.
//!
//! Everything but frame timing is latest-wins: an unsent message of a kind is replaced by a newer one, so the box is
//! bounded by its shape. Frame timing, the pointer's place and what pads shall do go straight into QUIC's datagram buffer, which drops the
//! oldest when full.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use punktfunk_core::Mode;
use punktfunk_core::datagram::{HostDatagram, HostTiming, OurTiming, StageTiming};
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_engine::link::{ClientEvents, EncoderChange, SentFrame, SoundEnd};
use punktfunk_engine::session::Ending;
use punktfunk_hub::live::Recorder;
use punktfunk_media::{CursorImage, CursorUpdate, PadFeedback};
use tokio::sync::Notify;

use crate::cursor::Pointer;
use crate::pads::PadVoice;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Post {
    pub mode: Option<Mode>,
    pub gap: Option<Duration>,
    pub kbps: Option<u32>,
    pub probe: Option<ProbeOutcome>,
    pub microphone_ended: bool,
    /// What the pointer looks like now.
    pub shape: Option<Arc<CursorImage>>,
    pub ended: Option<Ending>,
}

/// Which datagram 0xCF the client reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timing {
    /// None.
    Off,
    /// The published one, with stages.
    Published,
    /// With our three stages at the end.
    Ours,
}

/// The box of one session.
pub(crate) struct Outbox {
    post: Mutex<Post>,
    news: Notify,
    timing: Timing,
    connection: quinn::Connection,
    recorder: Arc<Recorder>,
    pointer: Mutex<Pointer>,
    scratch: Mutex<Scratch>,
}

/// Memory for datagrams, used again once QUIC has let go of it.
struct Scratch {
    pads: PadVoice,
    encoded: Vec<u8>,
    pool: BytesMut,
}

impl Outbox {
    pub fn new(connection: quinn::Connection, timing: Timing, recorder: Arc<Recorder>, cursor: bool) -> Self {
        let pointer = Mutex::new(Pointer::new(cursor));
        let scratch = Scratch {
            pads: PadVoice::default(),
            encoded: Vec::with_capacity(DATAGRAM_BYTES),
            pool: BytesMut::with_capacity(POOL_BYTES),
        };
        let (post, news, scratch) = (Mutex::default(), Notify::new(), Mutex::new(scratch));
        Self { post, news, timing, connection, recorder, pointer, scratch }
    }

    /// Waits until there is something in the box, and empties it. Cancel-safe.
    pub async fn take(&self) -> Post {
        loop {
            self.news.notified().await;
            let post = std::mem::take(&mut *self.post.lock().unwrap_or_else(PoisonError::into_inner));
            if post.has_news() {
                return post;
            }
        }
    }

    /// The client draws the pointer from now on, or the host does.
    pub fn set_client_draws(&self, client_draws: bool) {
        self.pointer(|pointer| {
            pointer.set_client_draws(client_draws);
            None
        });
    }

    /// The client was sent another shape of the pointer.
    pub fn reshaped(&self, serial: u32) {
        self.pointer(|pointer| pointer.reshaped(serial));
    }

    fn pointer(&self, change: impl FnOnce(&mut Pointer) -> Option<HostDatagram<'static>>) {
        // Sent before anybody else says something newer.
        let mut pointer = self.pointer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(datagram) = change(&mut pointer) {
            self.send(|_| Some(datagram));
        }
    }

    fn put(&self, write: impl FnOnce(&mut Post)) {
        write(&mut self.post.lock().unwrap_or_else(PoisonError::into_inner));
        // Stores a permit if nobody waits right now.
        self.news.notify_one();
    }

    fn send(&self, datagram: impl FnOnce(&mut PadVoice) -> Option<HostDatagram<'static>>) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { pads, encoded, pool } = &mut *scratch;
        let Some(datagram) = datagram(pads) else { return };
        encoded.clear();
        datagram.encode(encoded);
        if pool.capacity() < encoded.len() {
            // Takes the old memory back where QUIC has sent all of it.
            pool.reserve(POOL_BYTES);
        }
        pool.extend_from_slice(encoded);
        let datagram = pool.split().freeze();
        // Too large for the path, or the connection is closing: timing is advisory, and rumble is told again.
        let _ = self.connection.send_datagram(datagram);
    }
}

impl Post {
    fn has_news(&self) -> bool {
        let Self { mode, gap, kbps, probe, microphone_ended, shape, ended } = self;
        let rare = *microphone_ended || shape.is_some() || ended.is_some();
        mode.is_some() || gap.is_some() || kbps.is_some() || probe.is_some() || rare
    }
}

impl ClientEvents for Outbox {
    fn frame_sent(&self, frame: &SentFrame) {
        self.recorder.frame_sent(frame);
        self.pointer(|pointer| pointer.again());
        if self.timing == Timing::Off {
            return;
        }
        let timing = HostTiming {
            pts_ns: frame.pts_ns,
            host_us: frame.host_us,
            stages: Some(StageTiming { queue_us: frame.queue_us, encode_us: frame.encode_us, pace_us: frame.pace_us }),
            applied_phase_ns: (self.timing == Timing::Ours).then_some(0),
            ours: (self.timing == Timing::Ours).then_some(OurTiming {
                capture_us: frame.capture_us,
                convert_us: frame.convert_us,
                packetize_us: frame.packetize_us,
            }),
        };
        self.send(|_| Some(HostDatagram::HostTiming(timing)));
    }

    fn cursor(&self, update: &CursorUpdate) {
        self.pointer(|pointer| pointer.moved(update.place));
        if let Some(shape) = &update.shape {
            self.put(|post| post.shape = Some(Arc::clone(shape)));
        }
    }

    fn pad_feedback(&self, pad: u8, feedback: &PadFeedback) {
        self.send(|pads| pads.say(pad, feedback));
    }

    fn pad_feedback_again(&self, pad: u8, feedback: &PadFeedback) {
        self.pad_feedback(pad, feedback);
    }

    fn mode_changed(&self, mode: Mode) {
        self.recorder.mode_changed(mode);
        self.put(|post| post.mode = Some(mode));
    }

    fn pipeline_gap(&self, gap: Duration) {
        self.put(|post| post.gap = Some(post.gap.unwrap_or_default() + gap));
    }

    fn bitrate_changed(&self, kbps: u32) {
        self.put(|post| post.kbps = Some(kbps));
    }

    fn probe_done(&self, outcome: &ProbeOutcome) {
        self.put(|post| post.probe = Some(*outcome));
    }

    fn microphone_ended(&self, _: &SoundEnd) {
        self.put(|post| post.microphone_ended = true);
    }

    fn encoder_changed(&self, change: &EncoderChange) {
        self.recorder.encoder_changed(change);
        tracing::warn!(from = change.from, to = change.to, detail = %change.detail, "the encoder failed");
    }

    fn ended(&self, ending: &Ending) {
        self.put(|post| post.ended = Some(ending.clone()));
    }
}

/// The longest 0xCF, 0xCA, 0xCD and 0xD0.
const DATAGRAM_BYTES: usize = 64;
/// About 100 timing datagrams: QUIC's own buffer holds as many.
const POOL_BYTES: usize = 4096;
