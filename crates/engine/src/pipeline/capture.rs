//! The capture thread: owns the stage, lends slots to the capturer, publishes pictures.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use punktfunk_media::{CaptureError, Captured, CapturedFrame, Capturer, Colour, Mode, Slot, Stage};

use super::{Picture, Pipes, ReturnedSlot};
use crate::session::{Ending, Mailboxes, Shared};

pub(crate) struct CaptureLoop {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
    pipes: Arc<Pipes>,
    /// What the encoder makes of pictures: a source that can do that by the way does.
    colour: Colour,
    /// The pointer stays out of the pictures.
    cursor_apart: bool,
}

impl CaptureLoop {
    pub fn new(
        shared: &Arc<Shared>,
        mail: &Arc<Mailboxes>,
        pipes: &Arc<Pipes>,
        colour: Colour,
        cursor_apart: bool,
    ) -> Self {
        Self { shared: Arc::clone(shared), mail: Arc::clone(mail), pipes: Arc::clone(pipes), colour, cursor_apart }
    }

    /// Runs until the session stops or no capturer works any more.
    pub fn run(mut self, stage: &mut dyn Stage) {
        if let Err(ending) = self.work(stage) {
            self.shared.end(ending);
        }
    }

    fn work(&mut self, stage: &mut dyn Stage) -> Result<(), Ending> {
        let mut source = self.open(stage, 0)?;
        let mut trouble = Trouble::default();
        while !self.shared.stopping() {
            self.obey(stage, &mut source)?;
            let seen = self.lend(&mut source).and_then(|deadline| source.capturer.wait(deadline));
            if let Some(update) = source.capturer.take_cursor() {
                self.shared.events.cursor(&update);
            }
            match seen {
                Ok(Captured::Frame(frame)) => {
                    trouble.healthy();
                    source.lent = source.lent.saturating_sub(1);
                    self.publish(frame, &mut source);
                }
                Ok(Captured::Unchanged) => {}
                Ok(Captured::LayoutChanged(_)) => {
                    source.renew().map_err(failed)?;
                    self.follow(stage.mode(), &mut source);
                }
                Err(error) => {
                    self.shared.stats.counters.capture_errors.one();
                    if !error.fatal && trouble.in_passing() {
                        tracing::debug!(session = self.shared.id, "capture: {error}");
                        thread::sleep(BREATH);
                        continue;
                    }
                    source = self.reopen(stage, source, &error, &mut trouble)?;
                }
            }
        }
        Ok(())
    }

    fn open(&self, stage: &mut dyn Stage, generation: u32) -> Result<Source, Ending> {
        let source = Source::open(stage, generation, self.colour, self.cursor_apart).map_err(failed)?;
        self.mail.capture_bell.hang(source.capturer.waker());
        Ok(source)
    }

    /// Lends what may be lent. Returns until when nothing has to be looked at that does not ring.
    fn lend(&self, source: &mut Source) -> Result<Instant, CaptureError> {
        let (bell, credit) = (&self.mail.capture_bell, &self.pipes.credit);
        bell.set_hungry(source.lent == 0);
        let now = self.shared.clock.now_ns();
        source.refill(&self.pipes, self.pipes.pictures.is_empty() && credit.is_there(now))?;
        let starves = source.lent == 0;
        if !starves {
            bell.set_hungry(false);
        }
        let wait = match (source.wakes, starves) {
            (true, true) => credit.comes_in(now).unwrap_or(UNTIL_RUNG),
            (true, false) => UNTIL_RUNG,
            (false, true) => CREDIT_LOOK,
            (false, false) => SLICE,
        };
        Ok(Instant::now() + wait)
    }

    /// Carries out what the other threads and the plane want from the stage.
    fn obey(&mut self, stage: &mut dyn Stage, source: &mut Source) -> Result<(), Ending> {
        let orders = self.mail.take_stage();
        if orders.injector_wanted {
            let injector = stage.injector().inspect_err(|error| {
                tracing::warn!(session = self.shared.id, code = error.reason.code, "no input: {}", error.detail);
            });
            self.mail.inject(|orders| orders.injector = Some(injector.ok()));
        }
        // Asked again, everything is told again: between two orders of which only this one was read, something was lost.
        if let Some(apart) = orders.cursor_apart.filter(|apart| *apart || self.cursor_apart) {
            self.cursor_apart = apart;
            // A source that is gone says so at the next picture, too, and is replaced there.
            if let Err(error) = source.capturer.set_cursor_apart(apart) {
                tracing::debug!(session = self.shared.id, "the pointer: {error}");
            }
        }
        let Some(wanted) = orders.mode else { return Ok(()) };
        let active = match stage.set_mode(wanted) {
            Ok(active) => {
                self.shared.stats.counters.mode_changes.one();
                active
            }
            Err(error) if error.fatal => return Err(Ending::failed(error.reason, error.detail)),
            Err(error) => {
                let code = error.reason.code;
                tracing::warn!(session = self.shared.id, code, "mode change to {wanted} refused: {}", error.detail);
                stage.mode()
            }
        };
        source.mode = active;
        self.shared.events.mode_changed(active);
        Ok(())
    }

    /// The desktop changed the mode by itself (a person in its settings, say).
    fn follow(&self, mode: Mode, source: &mut Source) {
        if std::mem::replace(&mut source.mode, mode) != mode {
            self.shared.events.mode_changed(mode);
        }
    }

    fn publish(&self, frame: CapturedFrame, source: &mut Source) {
        self.shared.stats.counters.captured.one();
        let picture = Picture { frame, generation: source.generation, refresh_hz: source.mode.refresh_hz };
        let replaced = self.pipes.pictures.put(picture, |newer, older| {
            newer.frame.damage.merge(&older.frame.damage);
        });
        if let Some(older) = replaced {
            self.shared.stats.counters.replaced.one();
            source.take_back(ReturnedSlot { slot: older.frame.slot, generation: older.generation });
        }
    }

    /// Replaces a capturer that failed for good, once per incident.
    fn reopen(
        &self,
        stage: &mut dyn Stage,
        broken: Source,
        error: &CaptureError,
        trouble: &mut Trouble,
    ) -> Result<Source, Ending> {
        let generation = broken.generation + 1;
        drop(broken);
        if !trouble.may_reopen() || !stage.is_alive() {
            return Err(Ending::failed(error.reason, error.detail.clone()));
        }
        tracing::warn!(
            session = self.shared.id,
            code = error.reason.code,
            "capture failed, once more: {}",
            error.detail
        );
        self.shared.stats.counters.capture_restarts.one();
        self.open(stage, generation)
    }
}

/// A capturer with its slots.
struct Source {
    capturer: Box<dyn Capturer>,
    free: Vec<Slot>,
    lent: usize,
    /// Counts sets of slots; slots of an older set are dropped when they come back.
    generation: u32,
    mode: Mode,
    /// Its wait can be ended.
    wakes: bool,
}

impl Source {
    fn open(stage: &mut dyn Stage, generation: u32, colour: Colour, cursor_apart: bool) -> Result<Self, CaptureError> {
        let mut capturer = stage.capturer()?;
        capturer.take_planes(colour)?;
        if cursor_apart && !capturer.set_cursor_apart(true)? {
            tracing::warn!("this source tells nothing of its pointer, which stays in the pictures");
        }
        let wakes = capturer.waker().is_some();
        let mut source = Self { capturer, free: Vec::new(), lent: 0, generation, mode: stage.mode(), wakes };
        source.make_slots()?;
        Ok(source)
    }

    /// New slots after the source changed its layout.
    fn renew(&mut self) -> Result<(), CaptureError> {
        self.generation += 1;
        self.make_slots()
    }

    fn make_slots(&mut self) -> Result<(), CaptureError> {
        self.free.clear();
        self.lent = 0;
        for _ in 0..self.capturer.max_lent() + HELD_ELSEWHERE {
            let slot = self.capturer.make_slot()?;
            self.free.push(slot);
        }
        Ok(())
    }

    fn take_back(&mut self, returned: ReturnedSlot) {
        if returned.generation == self.generation {
            self.free.push(returned.slot);
        }
    }

    /// Collects slots that came back and lends as many as the capturer takes; to one that draws because of it, one, when
    /// there is `credit` for it.
    fn refill(&mut self, pipes: &Pipes, credit: bool) -> Result<(), CaptureError> {
        while let Some(returned) = pipes.returned.pop() {
            self.take_back(returned);
        }
        let most = if self.capturer.draws_for_slots() { usize::from(credit) } else { self.capturer.max_lent() };
        while self.lent < most {
            let Some(slot) = self.free.pop() else { break };
            self.capturer.lend(slot)?;
            self.lent += 1;
        }
        Ok(())
    }
}

/// How often capturing may fail before the session ends.
#[derive(Debug, Default)]
struct Trouble {
    in_a_row: u32,
    reopened: bool,
    good_since: u32,
}

impl Trouble {
    fn healthy(&mut self) {
        self.in_a_row = 0;
        self.good_since = self.good_since.saturating_add(1);
        if self.good_since >= HEALTHY_PICTURES {
            self.reopened = false;
        }
    }

    /// Whether a failure that is not fatal may be waited out.
    fn in_passing(&mut self) -> bool {
        self.in_a_row += 1;
        self.in_a_row < MAX_IN_A_ROW
    }

    fn may_reopen(&mut self) -> bool {
        self.in_a_row = 0;
        self.good_since = 0;
        !std::mem::replace(&mut self.reopened, true)
    }
}

fn failed(error: CaptureError) -> Ending {
    Ending::failed(error.reason, error.detail)
}

/// How long the thread may sit in a capturer that cannot be woken before it looks whether the session stops or wants another
/// mode.
const SLICE: Duration = Duration::from_millis(25);
/// The same while nothing is lent: all slots are elsewhere, which is so for a moment.
const CREDIT_LOOK: Duration = Duration::from_millis(1);
/// The same in one that can: whatever there is to look at rings.
const UNTIL_RUNG: Duration = Duration::from_secs(10);
/// Before trying again after a failure in passing.
const BREATH: Duration = Duration::from_millis(5);
/// Slots beside the lent ones: one waits for the encoder, one is with it (and stays, for repeats).
const HELD_ELSEWHERE: usize = 2;
/// Half a second of failures (with [`BREATH`] between them) is no hiccup.
const MAX_IN_A_ROW: u32 = 100;
/// A new capturer that delivered so many pictures has proved itself: the next failure may be recovered from again.
const HEALTHY_PICTURES: u32 = 300;
