//! The encode thread: takes the newest picture when there is room behind it, makes one access unit of it, and answers
//! the client's requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use punktfunk_core::recover::{Decision, KeyframeGate};
use punktfunk_media::{
    Colour, Damage, EncodeError, EncoderConfig, EncoderFactory, FrameLayout, FrameOrder, InvalidateOutcome, Keyframe,
    Mode, Thumbnail, reason,
};

use super::cadence::{Idle, Stamps};
use super::credit::Usual;
use super::ladder::Ladder;
use super::rate::Budget;
use super::{Picture, Pipes, ReturnedSlot, Unit};
use crate::plan::SessionPlan;
use crate::session::{EncodeOrders, Ending, Mailboxes, Shared, THUMBNAIL_WIDTH};

pub(crate) struct EncodeLoop {
    shared: Arc<Shared>,
    mail: Arc<Mailboxes>,
    pipes: Arc<Pipes>,
    ladder: Ladder,
    budget: Budget,
    gate: KeyframeGate,
    idle: Idle,
    stamps: Stamps,
    multi_slice: bool,
    slices: u8,
    max_frame_bytes: Option<usize>,
    colour: Colour,
    /// What the stage was opened with.
    first_mode: Mode,
    threads: usize,
    /// Access units to make in all; 0 = no limit.
    limit: u32,
    /// Access units made and handed on.
    made: u32,
    /// The picture that the encoder saw last, kept for repeats and for the next encoder.
    current: Option<Picture>,
    last_submit: Option<Instant>,
    last_pushed: Option<Instant>,
    /// Wire index of the last keyframe.
    last_keyframe: u32,
    /// The next access unit must be a keyframe.
    force: bool,
    /// An access unit was lost here and no keyframe has left since: ask again then.
    ask_again: Option<Instant>,
    /// An invalidation was honoured and its anchor has not left yet.
    anchor_due: bool,
    /// The encoder was rebuilt while running: tell the client how long nothing came.
    rebuilt: bool,
    packets_at_report: u64,
    /// What a picture usually takes.
    usual: Usual,
}

/// What to feed the encoder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// The current picture, which is new.
    Fresh,
    /// The current picture, once more.
    Repeat,
}

impl EncodeLoop {
    #[expect(clippy::too_many_arguments, reason = "built in one place, from what a session is made of")]
    pub fn new(
        shared: &Arc<Shared>,
        mail: &Arc<Mailboxes>,
        pipes: &Arc<Pipes>,
        plan: &SessionPlan,
        mode: Mode,
        factories: Vec<Arc<dyn EncoderFactory>>,
        limit: u32,
        shard_payload: u16,
        audio_bps: u64,
        repeat_every: Duration,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            mail: Arc::clone(mail),
            pipes: Arc::clone(pipes),
            ladder: Ladder::new(shared, factories),
            budget: Budget::new(plan, shard_payload, audio_bps),
            gate: KeyframeGate::new(false),
            idle: Idle::new(repeat_every),
            stamps: Stamps::default(),
            multi_slice: plan.multi_slice,
            slices: plan.slices,
            max_frame_bytes: plan.max_frame_bytes,
            colour: plan.colour,
            first_mode: mode,
            threads: thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
            limit,
            made: 0,
            current: None,
            last_submit: None,
            last_pushed: None,
            last_keyframe: 0,
            force: false,
            ask_again: None,
            anchor_due: false,
            rebuilt: false,
            packets_at_report: 0,
            usual: Usual::default(),
        }
    }

    /// Runs until the session stops or no encoder is left.
    pub fn run(mut self) {
        if let Err(ending) = self.work() {
            self.shared.end(ending);
        }
    }

    fn work(&mut self) -> Result<(), Ending> {
        self.report_rate();
        // While the capturer opens: the first picture is not to wait for the encoder.
        self.open(self.first_mode)?;
        loop {
            let seen = self.mail.encode_signal.epoch();
            if self.shared.stopping() {
                return Ok(());
            }
            self.obey()?;
            if self.mail.thumbnails.overdue() {
                self.show();
            }
            let room = self.pipes.units.has_room() && (self.limit == 0 || self.made < self.limit);
            if room {
                if let Some(picture) = self.pipes.pictures.take() {
                    self.take_picture(picture)?;
                    continue;
                }
                let now = Instant::now();
                if self.repeat_at().is_some_and(|at| at <= now) {
                    self.feed(Feed::Repeat)?;
                    continue;
                }
            }
            if self.mail.thumbnails.wanted() && self.show() {
                continue;
            }
            if room {
                self.pipes.credit.open();
            } else {
                self.pipes.credit.close();
            }
            let wake = if room { earliest(self.repeat_at(), self.ask_at()) } else { None };
            self.mail.encode_signal.wait(seen, wake);
        }
    }

    /// Shows the current picture to those who look from outside; whether there is one.
    fn show(&self) -> bool {
        let Some(picture) = &self.current else { return false };
        let frame = &picture.frame;
        self.mail.thumbnails.answer(Thumbnail::of(&frame.layout, frame.slot.memory.bytes(), THUMBNAIL_WIDTH));
        true
    }

    /// When the current picture shall be encoded again, if no new one comes.
    fn repeat_at(&self) -> Option<Instant> {
        self.current.as_ref()?;
        // A moving desktop brings the next picture, and with it the keyframe, within an interval.
        let forced = self.force.then_some(()).and(self.last_submit).map(|at| at + self.interval());
        earliest(self.idle.due(), forced)
    }

    /// When a keyframe that was put off shall be asked for again.
    fn ask_at(&self) -> Option<Instant> {
        earliest(self.gate.deadline().map(|at| self.shared.clock.instant(at)), self.ask_again)
    }

    fn interval(&self) -> Duration {
        let hz = self.current.as_ref().map_or(60, |p| p.refresh_hz.max(1));
        Duration::from_secs(1) / hz
    }

    /// Carries out what the client, the plane and the send thread want.
    fn obey(&mut self) -> Result<(), Ending> {
        let orders = self.mail.take_encode();
        let now = Instant::now();
        self.obey_rate(&orders)?;
        if orders.keyframe || orders.only_keyframe {
            self.shared.stats.counters.keyframe_requests.one();
            self.budget.on_frame_lost();
            let at = self.shared.clock.at(now);
            let decision =
                if orders.only_keyframe { self.gate.on_only_request(at) } else { self.gate.on_keyframe_request(at) };
            self.decide(decision)?;
        }
        if let Some((first, last)) = orders.invalidate {
            self.invalidate(first, last, now)?;
        }
        if orders.lost || self.ask_again.is_some_and(|at| at <= now) {
            self.ask_again = Some(now + ASK_AGAIN);
            let decision = self.gate.on_keyframe_request(self.shared.clock.at(now));
            self.decide(decision)?;
        }
        if let Some(decision) = self.gate.poll(self.shared.clock.at(now)) {
            self.decide(decision)?;
        }
        Ok(())
    }

    fn decide(&mut self, decision: Decision) -> Result<(), Ending> {
        match decision {
            Decision::Keyframe => self.force = true,
            Decision::Invalidate { first, last } => {
                let skipped = self.pipes.unnumbered.load(Ordering::Relaxed);
                let Some(open) = self.ladder.current() else { return Ok(()) };
                let own = |wire: u32| wire.wrapping_add(skipped).wrapping_sub(open.base);
                match open.encoder.order(FrameOrder::Invalidate { first: own(first), last: own(last) }) {
                    Ok(InvalidateOutcome::Done) => {
                        self.shared.stats.counters.invalidations.one();
                        self.anchor_due = true;
                    }
                    Ok(InvalidateOutcome::Unsupported) => self.force = true,
                    Err(error) => self.step_down(error)?,
                }
            }
            Decision::Later(_) | Decision::Drop => {}
        }
        Ok(())
    }

    fn invalidate(&mut self, first: u32, last: u32, now: Instant) -> Result<(), Ending> {
        self.budget.on_frame_lost();
        if self.made > 0 && (last.wrapping_sub(self.last_keyframe) as i32) < 0 {
            return Ok(()); // A keyframe after them has already left.
        }
        let skipped = self.pipes.unnumbered.load(Ordering::Relaxed);
        // A range that begins before this encoder's first picture names references that it never had.
        let can = self
            .ladder
            .current()
            .is_some_and(|open| open.can_invalidate && first.wrapping_add(skipped).wrapping_sub(open.base) as i32 >= 0);
        let decision = self.gate.on_rfi(first, last, self.shared.clock.at(now), can);
        self.decide(decision)
    }

    /// Follows a new wire budget and loss reports.
    fn obey_rate(&mut self, orders: &EncodeOrders) -> Result<(), Ending> {
        let mut tell = false;
        if let Some(ppm) = orders.loss_ppm {
            self.shared.stats.set_loss(ppm);
            let sent = self.shared.stats.counters.packets_sent.get();
            let window = sent - std::mem::replace(&mut self.packets_at_report, sent);
            let overhead = self.pipes.overhead_permille.load(Ordering::Relaxed);
            tell = self.budget.on_loss(ppm, u32::try_from(window).unwrap_or(u32::MAX), overhead);
        }
        if let Some(kbps) = orders.kbps {
            tell |= self.budget.set_wire(kbps);
        }
        if tell {
            let bps = self.budget.video_bps();
            let outcome = self.ladder.current().map(|open| {
                open.config.bitrate_bps = bps;
                open.encoder.order(FrameOrder::Bitrate(bps))
            });
            match outcome {
                Some(Err(error)) => self.step_down(error)?,
                // It cannot while running: open it again, but only if the client wants it.
                Some(Ok(InvalidateOutcome::Unsupported)) if orders.kbps.is_some() => self.reopen()?,
                _ => {}
            }
        }
        if tell || orders.kbps.is_some() {
            self.report_rate();
        }
        if orders.kbps.is_some() {
            self.shared.events.bitrate_changed(self.budget.wire_kbps());
        }
        Ok(())
    }

    fn report_rate(&self) {
        self.shared.stats.set_rate(self.budget.wire_kbps(), self.budget.video_bps().into());
    }

    fn take_picture(&mut self, picture: Picture) -> Result<(), Ending> {
        let mode = mode_of(&picture);
        if let Some(old) = self.current.replace(picture) {
            let returned = ReturnedSlot { slot: old.frame.slot, generation: old.generation };
            // Never full: it is deeper than there are slots. A slot lost here would only be one fewer.
            drop(self.pipes.returned.push(returned));
        }
        let known = self.ladder.current().map(|open| open.config.mode);
        match known {
            Some(known) if known == mode => {}
            Some(known) if (known.width, known.height) == (mode.width, mode.height) => self.change_rate(mode)?,
            Some(_) => self.resize(mode)?,
            None => self.open(mode)?,
        }
        self.feed(Feed::Fresh)
    }

    /// The size changed: the encoder follows, or is opened again.
    fn resize(&mut self, mode: Mode) -> Result<(), Ending> {
        let Some(open) = self.ladder.current() else { return self.open(mode) };
        open.config.mode = mode;
        match open.encoder.resize(mode) {
            Ok(InvalidateOutcome::Done) => {
                open.fed = false;
                self.rebuilt = self.last_pushed.is_some();
                Ok(())
            }
            Ok(InvalidateOutcome::Unsupported) => self.open(mode),
            Err(error) => self.step_down(error),
        }
    }

    /// Only the refresh rate changed.
    fn change_rate(&mut self, mode: Mode) -> Result<(), Ending> {
        let Some(open) = self.ladder.current() else { return Ok(()) };
        open.config.mode = mode;
        match open.encoder.order(FrameOrder::FrameRate(mode.refresh_hz)) {
            Ok(InvalidateOutcome::Done) => Ok(()),
            Ok(InvalidateOutcome::Unsupported) => self.reopen(),
            Err(error) => self.step_down(error),
        }
    }

    fn open(&mut self, mode: Mode) -> Result<(), Ending> {
        let config = EncoderConfig {
            mode,
            bitrate_bps: self.budget.video_bps(),
            multi_slice: self.multi_slice,
            slices: self.slices,
            max_frame_bytes: self.max_frame_bytes,
            threads: self.threads,
            colour: self.colour,
        };
        self.rebuilt = self.last_pushed.is_some();
        self.ladder.open(config, self.made)
    }

    /// The same encoder from the start, with what its configuration says now.
    fn reopen(&mut self) -> Result<(), Ending> {
        match self.ladder.current().map(|open| open.config.mode) {
            Some(mode) => self.open(mode),
            None => Ok(()),
        }
    }

    fn step_down(&mut self, error: EncodeError) -> Result<(), Ending> {
        self.rebuilt = self.last_pushed.is_some();
        self.force = true;
        self.ladder.step_down(error.reason, error.detail, self.made)
    }

    /// Makes one access unit, if need be by the next encoder.
    fn feed(&mut self, feed: Feed) -> Result<(), Ending> {
        let mut unit = self.pipes.spare.pop().unwrap_or_else(Unit::new);
        loop {
            match self.encode(feed, &mut unit) {
                Ok(()) => break,
                Err(error) => self.step_down(error)?,
            }
        }
        self.hand_on(feed, unit);
        Ok(())
    }

    fn encode(&mut self, feed: Feed, unit: &mut Unit) -> Result<(), EncodeError> {
        let missing = || EncodeError { reason: &reason::ENCODE_FAILED, detail: "nothing to encode".into() };
        let open = self.ladder.current().ok_or_else(missing)?;
        let picture = self.current.as_ref().ok_or_else(missing)?;
        let started = Instant::now();
        self.pipes.credit.busy(self.shared.clock.at(started).as_nanos(), self.usual.get());
        let keyframe = if self.force || !open.fed { Keyframe::Force } else { Keyframe::Auto };
        if feed == Feed::Repeat && open.fed {
            open.encoder.submit_repeat(keyframe)?;
        } else {
            let frame = &picture.frame;
            let damage = if open.fed { frame.damage } else { Damage::Full };
            open.encoder.submit(&frame.layout, frame.slot.memory.bytes(), &damage, keyframe)?;
            open.fed = true;
        }
        if !open.encoder.poll(&mut unit.frame, started + STALLED)? {
            let detail = format!("the encoder gave nothing within {STALLED:?}");
            return Err(EncodeError { reason: &reason::ENCODE_FAILED, detail });
        }
        let done = Instant::now();
        if !unit.frame.keyframe && feed == Feed::Fresh {
            self.usual.note(done - started);
        }
        let frame = &picture.frame;
        let (drawn_at, capture_time, convert_time) = match feed {
            Feed::Fresh => (frame.drawn_at, frame.capture_time, frame.convert_time),
            Feed::Repeat => (started, Duration::ZERO, Duration::ZERO),
        };
        unit.repeat = feed == Feed::Repeat;
        unit.drawn_at = drawn_at;
        unit.capture_time = capture_time;
        unit.waited = started.saturating_duration_since(drawn_at + capture_time + convert_time);
        unit.encode_time = (done - started).saturating_sub(unit.frame.convert_time);
        unit.frame.convert_time += convert_time;
        unit.encoded_at = done;
        Ok(())
    }

    fn hand_on(&mut self, feed: Feed, mut unit: Unit) {
        let now = unit.encoded_at;
        let stamp = self.shared.clock.at(now);
        unit.pts_ns = self.stamps.next(self.shared.clock.at(unit.drawn_at).as_nanos());
        unit.strength = self.budget.strength();
        unit.wire_bps = self.budget.wire_bps();
        unit.frame_interval = self.interval();
        let counters = &self.shared.stats.counters;
        counters.encoded.one();
        match feed {
            Feed::Fresh => self.idle.changed(now),
            Feed::Repeat => {
                counters.repeats.one();
                // A keyframe on request between two repeats does not count as one of them.
                if self.idle.due().is_some_and(|due| due <= now) {
                    self.idle.repeated(now);
                }
            }
        }
        if unit.frame.keyframe {
            counters.keyframes.one();
            self.force = false;
            self.ask_again = None;
            self.anchor_due = false;
            self.last_keyframe = self.made.wrapping_sub(self.pipes.unnumbered.load(Ordering::Relaxed));
            self.gate.on_keyframe_sent(stamp);
        } else if std::mem::take(&mut self.anchor_due) {
            self.gate.on_rfi_answered(stamp);
        }
        self.last_submit = Some(now);
        self.made = self.made.wrapping_add(1);
        if let Err(_lost) = self.pipes.units.push(unit) {
            // Room was seen before and only this thread fills the queue, so this does not happen; if it did, the
            // reference chain is broken here.
            self.pipes.unnumbered.fetch_add(1, Ordering::Relaxed);
            self.force = true;
            return;
        }
        if std::mem::take(&mut self.rebuilt)
            && let Some(before) = self.last_pushed
        {
            self.shared.events.pipeline_gap(now - before);
        }
        self.last_pushed = Some(now);
    }
}

/// The upright size of a picture, with the refresh rate in force.
fn mode_of(picture: &Picture) -> Mode {
    let FrameLayout { width, height, transform, .. } = picture.frame.layout;
    let (width, height) = if transform.steps().swaps { (height, width) } else { (width, height) };
    Mode { width, height, refresh_hz: picture.refresh_hz.max(1) }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Above this, more threads cost a software encoder latency and compression.
const MAX_THREADS: usize = 4;
/// An encoder that takes longer than this for one picture is broken.
const STALLED: Duration = Duration::from_secs(1);
/// The gate may drop the request for a keyframe after a loss here as an echo of one that is on its way; this loss came
/// after it, so ask until one has left.
const ASK_AGAIN: Duration = Duration::from_millis(100);
