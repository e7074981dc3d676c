//! When clients may draw and when the picture is drawn: no refresh clock, the consumer's credits set the pace.
//!
//! ```text
//! credit ─► tick at max(credit, last tick + period): frame callbacks, a new token
//!             └─► the client draws ─► its commit ─► drawn at once, for the token
//! ```
//!
//! Two rules keep this honest. **One token per period**: clients that ignore frame callbacks and commit thousands of times
//! a second cost one drawing per period. **A quarter of a period for a fresh commit**: where a tick finds content that
//! waited for it, its callbacks go out first and the drawing waits for what the client makes of them. Without this an
//! early commit (as after a change of mode) would spend the token of its tick, the fresh one would wait for the next, and
//! the stream would stay a whole period late for ever.
//!
//! Pure: time comes in, what is to be done comes out. Call [`Pacer::next`] until it says [`Step::Wait`], carrying out each
//! step in between, and again after every event.

use std::time::{Duration, Instant};

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send the frame callbacks of everything that is seen.
    Callbacks,
    /// Draw into a lent slot, then say [`Pacer::drawn`] or [`Pacer::unchanged`].
    Draw,
    /// Nothing before this time; `None`: nothing before the next event.
    Wait(Option<Instant>),
}

/// The state of one output's pace.
#[derive(Debug)]
pub struct Pacer {
    period: Duration,
    /// Lent slots.
    credits: usize,
    last_tick: Option<Instant>,
    /// The period's drawing has not been made yet.
    token: bool,
    /// There is content that was not drawn.
    dirty: bool,
    /// A client waits for a frame callback.
    waiting: bool,
    /// Somebody who is not seen waits for a frame callback.
    hidden: bool,
    /// Old content is drawn at this time unless a fresh commit comes first.
    grace: Option<Instant>,
    /// Without a lent slot since then, or since the last callbacks that went out without one.
    resting_since: Option<Instant>,
}

impl Pacer {
    /// At `refresh_hz` pictures a second (at least 1).
    pub fn new(refresh_hz: u32) -> Self {
        let mut pacer = Self {
            period: Duration::ZERO,
            credits: 0,
            last_tick: None,
            token: true,
            dirty: true,
            waiting: false,
            hidden: false,
            grace: None,
            resting_since: None,
        };
        pacer.set_rate(refresh_hz);
        pacer
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, refresh_hz: u32) {
        self.period = Duration::from_secs(1) / refresh_hz.max(1);
    }

    /// Time between two pictures.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// So many slots are lent now.
    pub fn set_credits(&mut self, credits: usize) {
        self.credits = credits;
    }

    /// Whether nobody takes pictures now.
    pub fn rests(&self) -> bool {
        self.credits == 0
    }

    /// There is something new to draw: a commit, a pointer that moved. `wants_callback`: whoever committed waits for a
    /// frame callback.
    pub fn changed(&mut self, wants_callback: bool) {
        self.dirty = true;
        self.waiting |= wants_callback;
        self.grace = None;
    }

    /// Somebody who is seen, and not in the picture, waits for a frame callback.
    pub fn waits(&mut self) {
        self.waiting = true;
    }

    /// Somebody who is not seen still waits for a frame callback: it comes at a crawl.
    pub fn hidden_waits(&mut self) {
        self.hidden = true;
    }

    /// A new consumer or a new mode: what there is is drawn as soon as a slot is lent.
    pub fn restart(&mut self) {
        self.dirty = true;
        self.token = true;
        self.grace = None;
    }

    /// A picture was drawn into a lent slot.
    pub fn drawn(&mut self) {
        self.credits = self.credits.saturating_sub(1);
        self.unchanged();
        self.token = false;
    }

    /// Nothing had changed: the slot stays lent and the token unspent.
    pub fn unchanged(&mut self) {
        self.dirty = false;
        self.grace = None;
    }

    /// What is to be done at `now`.
    pub fn next(&mut self, now: Instant) -> Step {
        if self.credits == 0 {
            return self.rest(now);
        }
        self.resting_since = None;
        if self.dirty && self.token {
            return match self.grace {
                Some(until) if now < until => Step::Wait(Some(until)),
                _ => Step::Draw,
            };
        }
        let until_next = match (self.waiting || self.dirty, self.hidden) {
            (true, _) => self.period,
            (false, true) => RESTING,
            (false, false) => return Step::Wait(None),
        };
        let due = self.last_tick.map_or(now, |last| last + until_next);
        if now < due {
            return Step::Wait(Some(due));
        }
        self.last_tick = Some(now);
        self.token = true;
        let called_back = std::mem::take(&mut self.waiting) | std::mem::take(&mut self.hidden);
        if called_back {
            self.grace = self.dirty.then(|| now + self.period / FRESH_WITHIN);
            return Step::Callbacks;
        }
        Step::Draw
    }

    /// Nobody takes pictures: clients go on at a crawl, so that none of them hangs in a wait for its callback.
    fn rest(&mut self, now: Instant) -> Step {
        let due = *self.resting_since.get_or_insert(now) + RESTING;
        if !self.waiting && !self.hidden {
            return Step::Wait(None);
        }
        if now < due {
            return Step::Wait(Some(due));
        }
        self.resting_since = Some(now);
        self.last_tick = Some(now);
        self.token = true;
        (self.waiting, self.hidden) = (false, false);
        Step::Callbacks
    }
}

/// Part of a period in which a client that was called back has its new content: most need a millisecond.
const FRESH_WITHIN: u32 = 4;
/// Between frame callbacks while nobody takes pictures.
const RESTING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 60);

    /// A client that redraws `draws_in` after each callback, and an encoder that lends a slot `encodes_in` after it got
    /// one, on a clock of their own. Says when each picture was drawn and how old its content was.
    struct Bench {
        pacer: Pacer,
        now: Instant,
        commit_at: Option<Instant>,
        credit_at: Option<Instant>,
        content_from: Instant,
        callbacks: usize,
        pictures: Vec<(Instant, Duration)>,
        draws_in: Duration,
        encodes_in: Duration,
    }

    impl Bench {
        fn new(draws_in: Duration, encodes_in: Duration) -> Self {
            let now = Instant::now();
            let mut pacer = Pacer::new(60);
            pacer.set_credits(1);
            Self {
                pacer,
                now,
                commit_at: Some(now),
                credit_at: None,
                content_from: now,
                callbacks: 0,
                pictures: Vec::new(),
                draws_in,
                encodes_in,
            }
        }

        fn run(&mut self, for_time: Duration) {
            let end = self.now + for_time;
            while self.now < end {
                match self.pacer.next(self.now) {
                    Step::Callbacks => {
                        self.callbacks += 1;
                        self.commit_at = Some(self.now + self.draws_in);
                    }
                    Step::Draw => {
                        self.pictures.push((self.now, self.now - self.content_from));
                        self.pacer.drawn();
                        self.credit_at = Some(self.now + self.encodes_in);
                    }
                    Step::Wait(until) => {
                        let next = [until, self.commit_at, self.credit_at, Some(end)].into_iter().flatten().min();
                        self.now = self.now.max(next.unwrap_or(end));
                        if self.commit_at.is_some_and(|at| at <= self.now) {
                            self.commit_at = None;
                            self.content_from = self.now;
                            self.pacer.changed(true);
                        }
                        if self.credit_at.is_some_and(|at| at <= self.now) {
                            self.credit_at = None;
                            self.pacer.set_credits(1);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_client_that_keeps_up_is_drawn_at_once_at_the_full_rate() {
        for encodes_in in [4, 10, 14].map(Duration::from_millis) {
            let mut bench = Bench::new(Duration::from_micros(500), encodes_in);
            bench.run(Duration::from_secs(1));
            assert!((59..=62).contains(&bench.pictures.len()), "{}", bench.pictures.len());
            let stale = bench.pictures.iter().skip(1).filter(|(_, age)| !age.is_zero()).count();
            assert_eq!(stale, 0, "{:?}", bench.pictures);
        }
    }

    #[test]
    fn an_encoder_that_is_slow_sets_the_pace_and_still_gets_fresh_content() {
        let mut bench = Bench::new(Duration::from_micros(500), Duration::from_millis(40));
        bench.run(Duration::from_secs(1));
        assert!((23..=26).contains(&bench.pictures.len()), "{}", bench.pictures.len());
        let stale = bench.pictures.iter().skip(1).filter(|(_, age)| !age.is_zero()).count();
        assert_eq!(stale, 0, "{:?}", bench.pictures);
    }

    #[test]
    fn an_early_commit_does_not_make_the_stream_late_for_ever() {
        let mut bench = Bench::new(Duration::from_micros(500), Duration::from_millis(2));
        bench.run(PERIOD * 3);
        // As after a change of mode: the client draws without having been called back, its token already spent.
        bench.commit_at = Some(bench.now + PERIOD / 2);
        bench.run(PERIOD * 2);
        let before = bench.pictures.len();
        bench.run(PERIOD * 10);
        let late = bench.pictures[before..].iter().filter(|(_, age)| *age > PERIOD / 4).count();
        assert_eq!(late, 0, "{:?}", &bench.pictures[before..]);
    }

    #[test]
    fn a_client_that_ignores_callbacks_costs_one_drawing_per_period() {
        let mut pacer = Pacer::new(60);
        let start = Instant::now();
        let mut drawn = 0;
        // 2000 commits a second.
        for i in 0..2000 {
            let now = start + Duration::from_micros(500) * i;
            pacer.set_credits(1);
            pacer.changed(false);
            while let Step::Draw = pacer.next(now) {
                drawn += 1;
                pacer.drawn();
                pacer.set_credits(1);
            }
        }
        assert!((58..=62).contains(&drawn), "{drawn}");
    }

    #[test]
    fn a_still_desktop_waits_for_nothing_and_the_first_change_is_drawn_at_once() {
        let mut pacer = Pacer::new(60);
        let now = Instant::now();
        pacer.set_credits(1);
        assert_eq!(pacer.next(now), Step::Draw);
        pacer.drawn();
        pacer.set_credits(1);
        assert_eq!(pacer.next(now), Step::Wait(None));
        pacer.changed(false);
        // The token of this period is spent; a second later it is not.
        assert!(matches!(pacer.next(now + Duration::from_secs(1)), Step::Draw));
        pacer.drawn();
        pacer.set_credits(1);
        assert_eq!(pacer.next(now + Duration::from_secs(2)), Step::Wait(None));
    }

    #[test]
    fn what_did_not_change_spends_nothing() {
        let mut pacer = Pacer::new(60);
        let now = Instant::now();
        pacer.set_credits(1);
        assert_eq!(pacer.next(now), Step::Draw);
        pacer.unchanged();
        pacer.changed(true);
        assert_eq!(pacer.next(now), Step::Draw, "the token is still there");
    }

    #[test]
    fn without_a_consumer_clients_crawl_and_nothing_is_drawn() {
        let mut pacer = Pacer::new(60);
        let start = Instant::now();
        let mut callbacks = 0;
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            pacer.changed(true);
            match pacer.next(now) {
                Step::Draw => panic!("drew without a slot"),
                Step::Callbacks => callbacks += 1,
                Step::Wait(_) => {}
            }
        }
        assert!((9..=10).contains(&callbacks), "{callbacks}");
    }

    #[test]
    fn who_is_not_seen_goes_on_at_a_crawl() {
        let mut pacer = Pacer::new(60);
        let start = Instant::now();
        pacer.set_credits(1);
        assert_eq!(pacer.next(start), Step::Draw);
        pacer.drawn();
        pacer.set_credits(1);
        let mut callbacks = 0;
        for ms in 0..10_000 {
            pacer.hidden_waits();
            match pacer.next(start + Duration::from_millis(ms)) {
                Step::Draw => panic!("nothing changed"),
                Step::Callbacks => callbacks += 1,
                Step::Wait(_) => {}
            }
        }
        assert!((9..=11).contains(&callbacks), "{callbacks}");
    }

    #[test]
    fn who_is_not_in_the_picture_is_called_back_at_the_full_rate_and_nothing_is_drawn() {
        let mut pacer = Pacer::new(60);
        let start = Instant::now();
        pacer.set_credits(1);
        assert_eq!(pacer.next(start), Step::Draw);
        pacer.drawn();
        pacer.set_credits(1);
        let mut callbacks = 0;
        for ms in 0..1000 {
            pacer.waits();
            match pacer.next(start + Duration::from_millis(ms)) {
                Step::Draw => panic!("nothing changed"),
                Step::Callbacks => callbacks += 1,
                Step::Wait(_) => {}
            }
        }
        assert!((57..=61).contains(&callbacks), "{callbacks}");
    }

    #[test]
    fn a_client_that_never_draws_is_called_back_once() {
        let mut bench = Bench::new(Duration::from_secs(3600), Duration::from_millis(1));
        bench.run(Duration::from_secs(10));
        // The empty desktop, and what the client showed when it came.
        assert_eq!((bench.callbacks, bench.pictures.len()), (1, 2));
    }
}
