//! Gamepads that remember.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    Pad, PadError, PadEvents, PadFactory, PadFeedback, PadKind, PadKinds, PadReport, PadSpec, Reason, RumbleLevels,
    reason,
};

/// What happened to a fake pad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PadCall {
    /// Plugged in.
    Plug(u8, PadKind),
    /// Brought into a state.
    Apply(u8, PadReport),
    /// Unplugged.
    Unplug(u8),
}

/// Makes pads that remember the last [`FakePads::DEPTH`] calls, oldest first. Clones share them.
#[derive(Clone, Default)]
pub struct FakePads(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    calls: VecDeque<PadCall>,
    applied: u64,
    kinds: PadKinds,
    plugs_to_fail: u32,
    applies_to_fail: u32,
    panic_at: Option<u64>,
    /// Every change of the buttons is answered by rumble.
    echo: bool,
    plugged: [Option<Arc<dyn PadEvents>>; 16],
}

impl FakePads {
    /// Enough for any test; bounds the memory of a host that runs on fakes for days.
    pub const DEPTH: usize = 4096;

    /// Pads of every kind.
    #[must_use]
    pub fn new() -> Self {
        Self::of(PadKinds::ALL)
    }

    /// Pads of these kinds only.
    #[must_use]
    pub fn of(kinds: PadKinds) -> Self {
        let calls = VecDeque::with_capacity(Self::DEPTH);
        Self(Arc::new(Mutex::new(State { calls, kinds, ..State::default() })))
    }

    /// Pads of every kind that a program plays which answers every change of the buttons: the heavy motor runs as strongly
    /// as the low 16 bits of the mask say. A client can measure with it how long a press takes to be felt.
    #[must_use]
    pub fn echoing() -> Self {
        let pads = Self::new();
        pads.lock().echo = true;
        pads
    }

    /// Fails the next `plugs` plugs and the next `applies` reports.
    pub fn fail_next(&self, plugs: u32, applies: u32) {
        let mut state = self.lock();
        (state.plugs_to_fail, state.applies_to_fail) = (plugs, applies);
    }

    /// Panics once at the report with this number, counted from 0 over all pads.
    pub fn panic_at(&self, report: u64) {
        self.lock().panic_at = Some(report);
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<PadCall> {
        self.lock().calls.iter().copied().collect()
    }

    /// How many reports were applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.lock().applied
    }

    /// A program wants something of the pad in this slot; false if none is plugged in there.
    pub fn feedback(&self, slot: u8, feedback: &PadFeedback) -> bool {
        let events = self.lock().plugged.get(usize::from(slot)).cloned().flatten();
        // Outside of the lock: the listener may look at the pads.
        events.is_some_and(|events| {
            events.feedback(feedback);
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, call: PadCall) {
        if self.calls.len() == FakePads::DEPTH {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    fn place(&mut self, slot: u8) -> Option<&mut Option<Arc<dyn PadEvents>>> {
        self.plugged.get_mut(usize::from(slot))
    }
}

impl PadFactory for FakePads {
    fn kinds(&self) -> PadKinds {
        self.lock().kinds
    }

    fn missing(&self) -> Vec<&'static Reason> {
        if self.kinds().is_empty() { vec![&reason::PADS_UINPUT_MISSING] } else { Vec::new() }
    }

    fn plug(&self, spec: &PadSpec, events: Arc<dyn PadEvents>) -> Result<Box<dyn Pad>, PadError> {
        let mut state = self.lock();
        if state.plugs_to_fail > 0 {
            state.plugs_to_fail -= 1;
            return Err(told("plug"));
        }
        state.note(PadCall::Plug(spec.slot, spec.kind));
        if let Some(place) = state.place(spec.slot) {
            *place = Some(events);
        }
        Ok(Box::new(FakePad { pads: self.clone(), slot: spec.slot, buttons: 0 }))
    }
}

struct FakePad {
    pads: FakePads,
    slot: u8,
    /// As last shown.
    buttons: u16,
}

impl Pad for FakePad {
    fn apply(&mut self, report: &PadReport) -> Result<(), PadError> {
        let mut state = self.pads.lock();
        if state.panic_at == Some(state.applied) {
            state.panic_at = None;
            drop(state);
            panic!("the fake pad was told to panic");
        }
        if state.applies_to_fail > 0 {
            state.applies_to_fail -= 1;
            return Err(told("report"));
        }
        state.applied += 1;
        state.note(PadCall::Apply(self.slot, *report));
        let echo = state.echo;
        drop(state);
        let buttons = report.buttons.0 as u16; // the low half
        if echo && std::mem::replace(&mut self.buttons, buttons) != buttons {
            let levels = RumbleLevels { low: buttons, ..RumbleLevels::default() };
            self.pads.feedback(self.slot, &PadFeedback::Rumble(levels));
        }
        Ok(())
    }
}

impl Drop for FakePad {
    fn drop(&mut self) {
        let mut state = self.pads.lock();
        if let Some(place) = state.place(self.slot) {
            *place = None;
        }
        state.note(PadCall::Unplug(self.slot));
    }
}

fn told(what: &str) -> PadError {
    PadError { reason: &reason::PADS_FAILED, detail: format!("the fake pads were told to fail this {what}") }
}
