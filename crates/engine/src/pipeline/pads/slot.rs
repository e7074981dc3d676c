//! One slot: the client's pad, and the device that stands for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_core::handshake::GamepadKind;
use punktfunk_media::{Pad, PadError, PadFeedback, PadKind, PadReport, PadSpec, reason};

use super::mailbox::Ear;
use super::state::{PadInput, PadState, Step};
use super::wishes::{Telling, Told, Wishes};
use crate::pads::PadsSetup;
use crate::session::{Mailboxes, Shared};

/// A place for a pad. Its number is the client's, and stays with the pad.
pub(super) struct Slot {
    number: u8,
    state: PadState,
    device: Option<Device>,
    /// No plug before this.
    rest_until: Option<Instant>,
    /// The last plug failed, and the log says why.
    failing: bool,
    /// Devices made so far.
    generation: u64,
    told: Told,
}

struct Device {
    pad: Box<dyn Pad>,
    kind: PadKind,
    /// What the client had announced when it was made.
    announced: GamepadKind,
    /// What it shows.
    shown: PadReport,
}

impl Slot {
    pub fn new(number: u8) -> Self {
        Self {
            number,
            state: PadState::default(),
            device: None,
            rest_until: None,
            failing: false,
            generation: 0,
            told: Told::default(),
        }
    }

    pub const fn number(&self) -> u8 {
        self.number
    }

    pub fn note(&mut self, input: &PadInput, now: Instant) -> Step {
        self.state.note(input, now)
    }

    pub fn wish(&mut self, wishes: &Wishes) {
        wishes.each().for_each(|feedback| self.told.wish(&feedback));
    }

    /// Brings the device to where the client's pad is, and the client to where the device is. True if the device took a
    /// report.
    pub fn serve(&mut self, shared: &Arc<Shared>, mail: &Arc<Mailboxes>, setup: &PadsSetup, now: Instant) -> bool {
        let played = self.state.present && self.follow(shared, mail, setup, now);
        let number = self.number;
        self.told.tell(now, |how, feedback| tell(shared, number, how, feedback));
        played
    }

    /// When [`Self::serve`] has something to do without an input.
    pub fn next(&self) -> Option<Instant> {
        let plug = if self.state.present && self.device.is_none() { self.rest_until } else { None };
        [plug, self.told.next()].into_iter().flatten().min()
    }

    /// Nothing is held any more; the pad stays.
    pub fn release(&mut self, shared: &Arc<Shared>) {
        self.state.neutral();
        self.neutral_device(shared);
    }

    /// Takes the pad away: first into its neutral state, so that no program keeps a stick or a trigger.
    pub fn unplug(&mut self, shared: &Arc<Shared>) {
        self.state.present = false;
        self.state.neutral();
        self.neutral_device(shared);
        if self.device.take().is_some() {
            tracing::info!(session = shared.id, pad = self.number, "pad unplugged");
        }
        let number = self.number;
        self.told.forget(|how, feedback| tell(shared, number, how, feedback));
    }

    fn neutral_device(&mut self, shared: &Arc<Shared>) {
        let Some(device) = &mut self.device else { return };
        let neutral = PadReport { battery: device.shown.battery, ..PadReport::default() };
        if device.shown == neutral {
            return;
        }
        match device.pad.apply(&neutral) {
            Ok(()) => shared.stats.counters.input_released.one(),
            // It is dropped soon, and with it what it holds.
            Err(error) => tracing::debug!(session = shared.id, pad = self.number, "release failed: {error}"),
        }
        device.shown = neutral;
    }

    fn follow(&mut self, shared: &Arc<Shared>, mail: &Arc<Mailboxes>, setup: &PadsSetup, now: Instant) -> bool {
        let announced = self.state.kind;
        if self.device.as_ref().is_some_and(|device| device.announced != announced) {
            let wanted = setup.policy.choose(announced, setup.default_kind, setup.factory.kinds());
            if let Some(device) = &mut self.device
                && wanted == Some(device.kind)
            {
                device.announced = announced;
            } else {
                // The first states came before the arrival that names the kind.
                self.neutral_device(shared);
                self.device = None;
            }
        }
        if self.device.is_none() {
            if self.rest_until.is_some_and(|at| now < at) {
                return false;
            }
            match self.plug(shared, mail, setup) {
                Ok(device) => {
                    self.rest_until = Some(now + PLUG_SPACING);
                    self.failing = false;
                    let motion = device.kind.has_motion();
                    self.device = Some(device);
                    if motion {
                        self.told.wish(&PadFeedback::MotionRate(MOTION_HZ));
                    }
                }
                Err(error) => {
                    self.rest_until = Some(now + AFTER_FAILURE);
                    shared.stats.counters.input_failed.one();
                    let (pad, code) = (self.number, error.reason.code);
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(session = shared.id, pad, code, "no pad: {}", error.detail);
                    }
                    return false;
                }
            }
        }
        let Some(device) = &mut self.device else { return false };
        if device.shown == self.state.report {
            return false;
        }
        if let Err(error) = device.pad.apply(&self.state.report) {
            shared.stats.counters.input_failed.one();
            let code = error.reason.code;
            tracing::warn!(session = shared.id, pad = self.number, code, "the pad is lost: {}", error.detail);
            self.device = None;
            self.rest_until = Some(now + AFTER_FAILURE);
            return false;
        }
        device.shown = self.state.report;
        true
    }

    fn plug(&mut self, shared: &Shared, mail: &Arc<Mailboxes>, setup: &PadsSetup) -> Result<Device, PadError> {
        let announced = self.state.kind;
        let available = setup.factory.kinds();
        let Some(kind) = setup.policy.choose(announced, setup.default_kind, available) else {
            let reason = setup.factory.missing().first().copied().unwrap_or(&reason::PADS_FAILED);
            return Err(PadError { reason, detail: "no kind of pad can be made".into() });
        };
        self.generation += 1;
        mail.pad_wishes.open(self.number, self.generation);
        let number = self.number;
        self.told.forget(|how, feedback| tell(shared, number, how, feedback));
        let ear = Ear { mail: Arc::clone(mail), slot: self.number, generation: self.generation };
        let spec = PadSpec { session: shared.id, slot: self.number, kind };
        let pad = setup.factory.plug(&spec, Arc::new(ear))?;
        tracing::info!(session = shared.id, pad = self.number, ?kind, ?announced, "pad plugged in");
        Ok(Device { pad, kind, announced, shown: PadReport::default() })
    }
}

fn tell(shared: &Shared, slot: u8, how: Telling, feedback: &PadFeedback) {
    match how {
        Telling::News => shared.events.pad_feedback(slot, feedback),
        Telling::Again => shared.events.pad_feedback_again(slot, feedback),
    }
}

/// A storm of arrivals and removals makes no more devices than this: making one takes the kernel milliseconds, and
/// programs that see it come and go take longer.
pub(super) const PLUG_SPACING: Duration = Duration::from_millis(250);
/// What failed once fails again; the operator may install the udev rule meanwhile.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How often the kernel's driver hears of the motion of a DualSense on USB.
const MOTION_HZ: u16 = 250;
