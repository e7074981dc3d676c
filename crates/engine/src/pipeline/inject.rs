//! The inject thread: grants, what is held, and the injector.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use punktfunk_core::Grants;
use punktfunk_core::datagram::PenSample;
use punktfunk_core::input::{InputEvent, required_grant};
use punktfunk_media::{Injector, InjectorCaps, InputAction, reason};

use super::held::{Effect, Held};
use super::input_queue::Queued;
use super::pen::{PEN_FINGER, PEN_SILENCE, as_finger, is_near};
use super::translate::translate;
use crate::session::{Mailboxes, Shared, panic_text};

pub(crate) struct InjectLoop {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
    grants: Grants,
}

/// The injector and what it holds down. Outlives a panic of the loop, so that everything can be released.
struct Hands {
    injector: Hand,
    held: Held,
    /// A pen whose client repeats itself is gone then.
    pen_until: Option<Instant>,
    /// The log says that touch goes nowhere.
    said_no_touch: bool,
    /// Injectors asked for so far.
    asked: u32,
}

enum Hand {
    /// Asked for, not there yet. Input waits.
    Coming,
    Ready(Box<dyn Injector>),
    /// There is none to be had. Input is taken and goes nowhere.
    None,
}

impl InjectLoop {
    pub fn new(shared: &Arc<Shared>, mail: &Arc<Mailboxes>, grants: Grants) -> Self {
        Self { shared: Arc::clone(shared), mail: Arc::clone(mail), grants }
    }

    /// Runs until the session stops. Whatever ends it, a panic here included, everything held is released.
    pub fn run(mut self) {
        let mut hands =
            Hands { injector: Hand::Coming, held: Held::default(), pen_until: None, said_no_touch: false, asked: 0 };
        let worked = catch_unwind(AssertUnwindSafe(|| self.work(&mut hands)));
        self.release_all(&mut hands);
        if let Err(panic) = worked {
            resume_unwind(panic);
        }
    }

    fn work(&mut self, hands: &mut Hands) {
        self.ask(hands);
        loop {
            let seen = self.mail.inject_signal.epoch();
            if self.shared.stopping() {
                return;
            }
            self.obey(hands);
            if !matches!(hands.injector, Hand::Coming) {
                while let Some((queued, came)) = self.mail.input.pop() {
                    self.take(hands, queued, came);
                    if self.shared.stopping() || matches!(hands.injector, Hand::Coming) {
                        break;
                    }
                }
            }
            if hands.pen_until.is_some_and(|until| Instant::now() >= until) {
                hands.pen_until = None;
                self.release_one(hands, Held::release_pen);
            }
            self.mail.inject_signal.wait(seen, hands.pen_until);
        }
    }

    fn obey(&mut self, hands: &mut Hands) {
        let orders = self.mail.take_inject();
        match orders.injector {
            Some(Some(injector)) => hands.injector = Hand::Ready(injector),
            Some(None) => hands.injector = Hand::None,
            None => {}
        }
        if let Some(grants) = orders.grants {
            self.grants = grants;
            self.release_beyond(hands, grants);
        }
    }

    fn take(&self, hands: &mut Hands, queued: Queued, came: Instant) {
        let counters = &self.shared.stats.counters;
        let event = match queued {
            Queued::Event(event) => event,
            Queued::Pen { sample, repeated } => return self.take_pen(hands, &sample, repeated, came),
            Queued::Reset => return self.release_beyond(hands, Grants::VIEW),
        };
        if !self.grants.contains(required_grant(&event)) {
            return counters.input_refused.one();
        }
        let Some(action) = translate(&event) else { return counters.input_unsupported.one() };
        let able = match &hands.injector {
            Hand::Ready(injector) => able(&**injector, &event),
            Hand::Coming | Hand::None => false,
        };
        if !able {
            if matches!(event, InputEvent::TouchDown(_)) {
                self.say_no_touch(hands);
            }
            return counters.input_unsupported.one();
        }
        self.take_action(hands, &action, came);
    }

    fn take_pen(&self, hands: &mut Hands, sample: &PenSample, repeated: bool, came: Instant) {
        let counters = &self.shared.stats.counters;
        if !self.grants.contains(Grants::POINTER) {
            return counters.input_refused.one();
        }
        let caps = match &hands.injector {
            Hand::Ready(injector) => injector.caps(),
            Hand::Coming | Hand::None => InjectorCaps::default(),
        };
        let action = match (caps.pen, caps.touch) {
            (true, _) => InputAction::Pen(*sample),
            (false, true) => as_finger(sample, hands.held.touches(PEN_FINGER)),
            (false, false) => {
                self.say_no_touch(hands);
                return counters.input_unsupported.one();
            }
        };
        hands.pen_until = (repeated && is_near(sample)).then(|| came + PEN_SILENCE);
        self.take_action(hands, &action, came);
    }

    /// Once per session: the client was told that there is none.
    fn say_no_touch(&self, hands: &mut Hands) {
        if !std::mem::replace(&mut hands.said_no_touch, true) {
            let reason = &reason::INPUT_TOUCH_UNSUPPORTED;
            tracing::info!(session = self.shared.id, code = reason.code, "touch is left out: {}", reason.sentence);
        }
    }

    fn take_action(&self, hands: &mut Hands, action: &InputAction, came: Instant) {
        let counters = &self.shared.stats.counters;
        match hands.held.note(action) {
            Effect::Play => {}
            Effect::Redundant => return counters.input_redundant.one(),
            Effect::Refuse => return counters.input_unsupported.one(),
        }
        if self.play(hands, action) {
            let took = came.elapsed();
            self.shared.stats.record_input(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn play(&self, hands: &mut Hands, action: &InputAction) -> bool {
        let Hand::Ready(injector) = &mut hands.injector else { return false };
        let Err(error) = injector.inject(action) else { return true };
        self.shared.stats.counters.input_failed.one();
        if error.fatal {
            tracing::warn!(session = self.shared.id, code = error.reason.code, "input failed: {}", error.detail);
            // Its devices are gone, and with them what they held.
            hands.held.forget();
            self.ask(hands);
        } else {
            tracing::debug!(session = self.shared.id, code = error.reason.code, "input failed: {}", error.detail);
        }
        false
    }

    /// Asks the owner of the stage for an injector.
    fn ask(&self, hands: &mut Hands) {
        hands.asked += 1;
        if hands.asked > MAX_INJECTORS {
            hands.injector = Hand::None;
            return;
        }
        hands.injector = Hand::Coming;
        self.mail.stage(|orders| orders.injector_wanted = true);
    }

    fn release_beyond(&self, hands: &mut Hands, grants: Grants) {
        while self.release_one(hands, |held| held.release_beyond(grants)) {}
    }

    /// Releases what `choose` takes out; false if that is nothing.
    fn release_one(&self, hands: &mut Hands, choose: impl FnOnce(&mut Held) -> Option<InputAction>) -> bool {
        let Some(action) = choose(&mut hands.held) else { return false };
        if self.play(hands, &action) {
            self.shared.stats.counters.input_released.one();
        }
        true
    }

    /// Releases everything, one by one, each under its own guard: an injector that panics on one key still gets to
    /// release the others.
    fn release_all(&self, hands: &mut Hands) {
        while let Some(action) = hands.held.release_beyond(Grants::VIEW) {
            let Hand::Ready(injector) = &mut hands.injector else { return };
            match catch_unwind(AssertUnwindSafe(|| injector.inject(&action))) {
                Ok(Ok(())) => self.shared.stats.counters.input_released.one(),
                Ok(Err(error)) if error.fatal => return,
                Ok(Err(error)) => tracing::debug!(session = self.shared.id, "release failed: {}", error.detail),
                Err(panic) => {
                    tracing::error!(session = self.shared.id, "the injector panicked: {}", panic_text(&*panic));
                }
            }
        }
    }
}

/// Whether the injector can play this back at all.
fn able(injector: &dyn Injector, event: &InputEvent) -> bool {
    let caps = injector.caps();
    match event {
        InputEvent::Text(_) => caps.text,
        InputEvent::TouchDown(_) | InputEvent::TouchMove(_) | InputEvent::TouchUp { .. } => caps.touch,
        _ => true,
    }
}

/// After so many broken injectors a session goes on without input.
const MAX_INJECTORS: u32 = 4;
