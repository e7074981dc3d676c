//! Requests to a running session. Every mailbox is bounded by its shape: a newer request of a kind replaces or widens an
//! older one that was not read yet, so that sending never blocks and nothing piles up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_core::Grants;
use punktfunk_core::datagram::{PenBatch, RichInput};
use punktfunk_core::input::InputEvent;
use punktfunk_media::{Injector, Mode, PadBattery, Thumbnail};

use super::thumbnail::Thumbnails;
use super::{Ending, Shared, StopReason};
use crate::pipeline::pads::{Mailbox, PadInput, PadQueue};
use crate::pipeline::{Bell, InputQueue, VoiceBox};
use crate::queue::Signal;
use crate::stats::SessionStats;

/// A request to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionCommand {
    /// Switch to another mode. Answered by `ClientEvents::mode_changed`; of several in a row only the last may be
    /// carried out.
    SetMode(Mode),
    /// The client needs a keyframe, and asks until it has one.
    Keyframe,
    /// The client needs a keyframe, and asks only once.
    OnlyKeyframe,
    /// The client lost these access units (wire indices, inclusive, wrapping).
    Invalidate {
        /// First lost one.
        first: u32,
        /// Last lost one.
        last: u32,
    },
    /// The client's report of the last window.
    LossReport {
        /// Lost packets per million.
        ppm: u32,
    },
    /// A new wire budget; 0 = the host decides. Answered by `ClientEvents::bitrate_changed`.
    SetBitrate {
        /// In kbit/s.
        kbps: u32,
    },
    /// Run a speed test. Answered by `ClientEvents::probe_done`, or not at all if one ran less than 10 s ago.
    Probe {
        /// Target rate in kbit/s.
        target_kbps: u32,
        /// Length in ms.
        duration_ms: u32,
    },
    /// Who draws the pointer from now on: the client, or the host into the pictures.
    CursorApart(bool),
    /// What the client may do from now on. What it holds and may no longer hold is released.
    SetGrants(Grants),
}

/// Steers a session from any thread. Cloning is cheap; nothing here blocks.
#[derive(Clone)]
pub struct SessionControl {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
}

impl SessionControl {
    pub(super) const fn new(shared: Arc<Shared>, mail: Arc<Mailboxes>) -> Self {
        Self { shared, mail }
    }

    /// Files a request.
    pub fn command(&self, command: SessionCommand) {
        let mail = &*self.mail;
        match command {
            SessionCommand::SetMode(mode) => mail.stage(|orders| orders.mode = Some(mode)),
            SessionCommand::Keyframe => mail.encode(|orders| orders.keyframe = true),
            SessionCommand::OnlyKeyframe => mail.encode(|orders| orders.only_keyframe = true),
            SessionCommand::Invalidate { first, last } => mail.encode(|orders| orders.invalidate(first, last)),
            SessionCommand::LossReport { ppm } => {
                mail.encode(|orders| orders.loss_ppm = Some(ppm));
                mail.send(|orders| orders.loss_ppm = Some(ppm));
            }
            SessionCommand::SetBitrate { kbps } => mail.encode(|orders| orders.kbps = Some(kbps)),
            SessionCommand::Probe { target_kbps, duration_ms } => {
                mail.send(|orders| orders.probe = Some((target_kbps, duration_ms)));
            }
            SessionCommand::CursorApart(apart) => mail.stage(|orders| orders.cursor_apart = Some(apart)),
            SessionCommand::SetGrants(grants) => {
                mail.inject(|orders| orders.grants = Some(grants));
                mail.pads(grants);
                mail.mic(grants);
            }
        }
    }

    /// Hands over an input event. Motion that waits is merged; keys and buttons are never dropped. A plane whose wire has
    /// no sequence numbers for pads counts [`InputEvent::GamepadState`] and [`InputEvent::GamepadRemove`] itself.
    pub fn input(&self, event: InputEvent) {
        let pad = PadInput::Event(event);
        if pad.slot().is_some() {
            return self.pad(pad);
        }
        self.mail.input.push(event, &self.shared.stats.counters);
        self.mail.inject_signal.raise();
    }

    /// Hands over touchpads and motion of pads, or a pen: one whose client repeats the last sample while it is near, so
    /// that a silence of [`super::PEN_SILENCE`] means that it is gone.
    pub fn rich(&self, input: RichInput) {
        match (PadInput::from_rich(&input), input) {
            (Some(input), _) => self.pad(input),
            (None, RichInput::Pen(batch)) => self.pen(&batch, true),
            (None, _) => self.unsupported(),
        }
    }

    /// Hands over samples of a pen. `repeated`: see [`Self::rich`]; else the client tells only changes, and the pen stays
    /// where it is for as long as it is silent.
    pub fn pen(&self, batch: &PenBatch, repeated: bool) {
        self.mail.input.push_pen(batch, repeated, &self.shared.stats.counters);
        self.mail.inject_signal.raise();
    }

    /// The battery of a client's pad.
    pub fn battery(&self, pad: u8, battery: PadBattery) {
        self.pad(PadInput::Battery(pad, battery));
    }

    /// Hands over a packet of the client's microphone. What it may not say, or nobody could hear, is dropped.
    pub fn voice(&self, seq: u32, pts_ns: u64, opus: &[u8]) {
        let (mail, counters) = (&*self.mail, &self.shared.stats.counters);
        counters.voice_packets.one();
        if !mail.voice.is_open() {
            return counters.voice_refused.one();
        }
        if mail.voice.push(self.shared.clock.at(Instant::now()), seq, pts_ns, opus) {
            mail.mic_signal.raise();
        }
    }

    fn pad(&self, input: PadInput) {
        if !self.mail.has_pads {
            return self.unsupported();
        }
        self.mail.pads.push(input, &self.shared.stats.counters);
        self.mail.pads_signal.raise();
    }

    fn unsupported(&self) {
        let counters = &self.shared.stats.counters;
        counters.input_events.one();
        counters.input_unsupported.one();
    }

    /// Asks the session to end. The first reason counts; later calls change nothing.
    pub fn stop(&self, why: StopReason) {
        self.shared.end(Ending::stopped(why));
    }

    /// Asks the session to end because of a failure outside of it.
    pub fn fail(&self, ending: Ending) {
        self.shared.end(ending);
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.shared.stats.snapshot()
    }

    /// What it shows, small. Waits for it, at most `within`; `None`: there is no picture yet, or the session ends.
    #[must_use]
    pub fn thumbnail(&self, within: Duration) -> Option<Arc<Thumbnail>> {
        self.mail.thumbnails.ask(within, || self.mail.encode_signal.raise())
    }

    /// How it ended, once that is decided.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.shared.ending()
    }
}

impl std::fmt::Debug for SessionControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionControl").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

/// The mailboxes of a session's threads, and what wakes each of them.
pub(crate) struct Mailboxes {
    /// The capture thread waits in its capturer.
    pub capture_bell: Arc<Bell>,
    pub encode_signal: Arc<Signal>,
    pub send_signal: Arc<Signal>,
    pub inject_signal: Arc<Signal>,
    pub pads_signal: Arc<Signal>,
    pub mic_signal: Arc<Signal>,
    stage: Mutex<StageOrders>,
    encode: Mutex<EncodeOrders>,
    send: Mutex<SendOrders>,
    inject: Mutex<InjectOrders>,
    pub input: InputQueue,
    /// New grants for the pads thread.
    pads_grants: Mutex<Option<Grants>>,
    pub pads: PadQueue,
    pub pad_wishes: Mailbox,
    pub thumbnails: Thumbnails,
    /// Somebody serves [`Self::pads`].
    has_pads: bool,
    /// New grants for the microphone's thread.
    mic_grants: Mutex<Option<Grants>>,
    pub voice: VoiceBox,
    /// Somebody serves [`Self::voice`].
    has_mic: bool,
}

/// For the thread that owns the stage.
#[derive(Debug, Default)]
pub(crate) struct StageOrders {
    pub mode: Option<Mode>,
    /// Whether the pointer stays out of the pictures.
    pub cursor_apart: Option<bool>,
    /// The inject thread wants an injector.
    pub injector_wanted: bool,
}

/// For the encode thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EncodeOrders {
    /// The client asked for a keyframe.
    pub keyframe: bool,
    /// The same, of a client that asks only once.
    pub only_keyframe: bool,
    /// The send thread lost an access unit.
    pub lost: bool,
    pub invalidate: Option<(u32, u32)>,
    pub loss_ppm: Option<u32>,
    pub kbps: Option<u32>,
}

impl EncodeOrders {
    /// Widens a waiting range so that it covers both. Indices wrap: the nearer order of the ends is taken.
    fn invalidate(&mut self, first: u32, last: u32) {
        let earlier = |a: u32, b: u32| if (a.wrapping_sub(b) as i32) < 0 { a } else { b };
        let later = |a: u32, b: u32| if (a.wrapping_sub(b) as i32) > 0 { a } else { b };
        self.invalidate = Some(match self.invalidate {
            Some((f, l)) => (earlier(f, first), later(l, last)),
            None => (first, last),
        });
    }
}

/// For the send thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendOrders {
    pub probe: Option<(u32, u32)>,
    pub loss_ppm: Option<u32>,
}

/// For the inject thread.
#[derive(Default)]
pub(crate) struct InjectOrders {
    pub grants: Option<Grants>,
    /// Made by the thread that owns the stage; `Some(None)` = there is none to be had.
    pub injector: Option<Option<Box<dyn Injector>>>,
}

impl Mailboxes {
    pub fn new(has_pads: bool, has_mic: bool) -> Self {
        let signal = Arc::<Signal>::default;
        Self {
            capture_bell: Arc::default(),
            encode_signal: signal(),
            send_signal: signal(),
            inject_signal: signal(),
            pads_signal: signal(),
            mic_signal: signal(),
            stage: Mutex::default(),
            encode: Mutex::default(),
            send: Mutex::default(),
            inject: Mutex::default(),
            input: InputQueue::new(),
            pads_grants: Mutex::default(),
            pads: PadQueue::new(),
            pad_wishes: Mailbox::default(),
            thumbnails: Thumbnails::default(),
            has_pads,
            mic_grants: Mutex::default(),
            voice: VoiceBox::default(),
            has_mic,
        }
    }

    pub fn signals(&self) -> [Arc<Signal>; 5] {
        [&self.encode_signal, &self.send_signal, &self.inject_signal, &self.pads_signal, &self.mic_signal]
            .map(Arc::clone)
    }

    pub fn stage(&self, file: impl FnOnce(&mut StageOrders)) {
        file(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner));
        self.capture_bell.ring();
    }

    pub fn encode(&self, file: impl FnOnce(&mut EncodeOrders)) {
        file(&mut self.encode.lock().unwrap_or_else(PoisonError::into_inner));
        self.encode_signal.raise();
    }

    pub fn send(&self, file: impl FnOnce(&mut SendOrders)) {
        file(&mut self.send.lock().unwrap_or_else(PoisonError::into_inner));
        self.send_signal.raise();
    }

    pub fn inject(&self, file: impl FnOnce(&mut InjectOrders)) {
        file(&mut self.inject.lock().unwrap_or_else(PoisonError::into_inner));
        self.inject_signal.raise();
    }

    fn pads(&self, grants: Grants) {
        *self.pads_grants.lock().unwrap_or_else(PoisonError::into_inner) = Some(grants);
        self.pads_signal.raise();
    }

    /// What the client may do from now on: what it may no longer say is not heard from this moment on.
    pub fn mic(&self, grants: Grants) {
        self.voice.set_open(self.has_mic && grants.contains(Grants::MIC));
        *self.mic_grants.lock().unwrap_or_else(PoisonError::into_inner) = Some(grants);
        self.mic_signal.raise();
    }

    pub fn take_mic(&self) -> Option<Grants> {
        self.mic_grants.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn take_pads(&self) -> Option<Grants> {
        self.pads_grants.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn take_stage(&self) -> StageOrders {
        std::mem::take(&mut *self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn take_encode(&self) -> EncodeOrders {
        std::mem::take(&mut *self.encode.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn take_send(&self) -> SendOrders {
        std::mem::take(&mut *self.send.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn take_inject(&self) -> InjectOrders {
        std::mem::take(&mut *self.inject.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_invalidations_widen_also_across_the_wrap() {
        let mut orders = EncodeOrders::default();
        orders.invalidate(10, 12);
        orders.invalidate(5, 6);
        assert_eq!(orders.invalidate, Some((5, 12)));
        let mut orders = EncodeOrders::default();
        orders.invalidate(u32::MAX, 1);
        orders.invalidate(3, 4);
        orders.invalidate(u32::MAX - 3, u32::MAX - 2);
        assert_eq!(orders.invalidate, Some((u32::MAX - 3, 4)));
    }
}
