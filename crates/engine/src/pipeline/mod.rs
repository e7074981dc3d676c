//! The threads of a session, and what flows between them.
//!
//! ```text
//! capture ── Picture ──► Latest (depth 1) ──► encode ── Unit ──► Bounded(2) ──► send
//!    ▲──────── ReturnedSlot ◄── Bounded(8) ─────┘  ▲──────── Unit ◄── Bounded(4) ──┘      (buffers go back)
//! ```

mod audio;
mod bell;
mod cadence;
mod capture;
mod credit;
mod encode;
mod held;
mod inject;
mod input_queue;
mod ladder;
mod mic;
pub(crate) mod pads;
mod pen;
mod quiet;
mod rate;
mod send;
mod translate;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use punktfunk_core::fec::Strength;
use punktfunk_media::{CapturedFrame, EncodedFrame, Slot};

pub(crate) use audio::AudioLoop;
pub(crate) use bell::Bell;
pub(crate) use capture::CaptureLoop;
use credit::Credit;
pub(crate) use encode::EncodeLoop;
pub(crate) use inject::InjectLoop;
pub(crate) use input_queue::InputQueue;
pub(crate) use mic::{MicLoop, VoiceBox};
pub(crate) use pads::PadsLoop;
pub use pen::PEN_SILENCE;
pub(crate) use send::SendLoop;

use crate::queue::{Bounded, Latest};
use crate::session::Mailboxes;

/// The queues of a session.
pub(crate) struct Pipes {
    pub pictures: Latest<Picture>,
    /// When the encoder takes the next one.
    pub credit: Credit,
    pub returned: Bounded<ReturnedSlot>,
    pub units: Bounded<Unit>,
    pub spare: Bounded<Unit>,
    /// Access units that got no index on the wire, because they could not be packetized.
    pub unnumbered: AtomicU32,
    /// Recovery bytes per 1000 data bytes, as the last frames needed them; 0 before the first.
    pub overhead_permille: AtomicU32,
}

impl Pipes {
    pub fn new(mail: &Mailboxes) -> Self {
        let spare = Bounded::new(SPARE_DEPTH, mail.encode_signal.clone(), mail.send_signal.clone());
        for _ in 0..SPARE_DEPTH {
            // Used in turn, so that all are warm after the first few frames.
            drop(spare.push(Unit::new()));
        }
        let (encode, send) = (&mail.encode_signal, &mail.send_signal);
        Self {
            pictures: Latest::new(encode.clone()),
            credit: Credit::new(&mail.capture_bell),
            // Nobody waits for slots alone: the credit that follows each of them rings.
            returned: Bounded::new(RETURNED_DEPTH, Arc::default(), encode.clone()),
            units: Bounded::new(UNITS_DEPTH, send.clone(), encode.clone()),
            spare,
            unnumbered: AtomicU32::new(0),
            overhead_permille: AtomicU32::new(0),
        }
    }
}

/// A picture on its way to the encoder.
#[derive(Debug)]
pub(crate) struct Picture {
    pub frame: CapturedFrame,
    /// Which set of slots its slot belongs to.
    pub generation: u32,
    /// The refresh rate of the mode in force.
    pub refresh_hz: u32,
}

/// A slot on its way back to the capturer.
#[derive(Debug)]
pub(crate) struct ReturnedSlot {
    pub slot: Slot,
    pub generation: u32,
}

/// An access unit on its way to the send thread. Travels back for its buffer.
#[derive(Debug)]
pub(crate) struct Unit {
    pub frame: EncodedFrame,
    pub pts_ns: u64,
    pub repeat: bool,
    pub strength: Strength,
    /// The session's wire budget, which sets the pace.
    pub wire_bps: u64,
    pub frame_interval: Duration,
    pub drawn_at: Instant,
    pub capture_time: Duration,
    /// Between readable and the encoder taking it.
    pub waited: Duration,
    /// In the encoder, conversion left out.
    pub encode_time: Duration,
    pub encoded_at: Instant,
}

impl Unit {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            frame: EncodedFrame::default(),
            pts_ns: 0,
            repeat: false,
            strength: Strength::default(),
            wire_bps: 0,
            frame_interval: Duration::ZERO,
            drawn_at: now,
            capture_time: Duration::ZERO,
            waited: Duration::ZERO,
            encode_time: Duration::ZERO,
            encoded_at: now,
        }
    }
}

/// Two: one being paced out and one behind it. The encoder takes a new picture only while there is room, so a slow
/// network costs pictures before the encoder, never access units behind it.
const UNITS_DEPTH: usize = 2;
/// Every unit there can be: [`UNITS_DEPTH`], one at the send thread, one at the encode thread.
const SPARE_DEPTH: usize = UNITS_DEPTH + 2;
/// More than there are slots, also while two generations of them are about.
const RETURNED_DEPTH: usize = 8;
