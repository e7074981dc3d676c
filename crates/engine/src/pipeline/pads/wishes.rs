//! What programs wish of a pad, on its way to the client: the newest of each kind, never faster than a client can use,
//! rumble renewed while it lasts.

use std::time::{Duration, Instant};

use punktfunk_media::{PadFeedback, RumbleLevels};

/// The newest wish of each kind that was not told yet. Bounded by its shape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    rumble: Option<RumbleLevels>,
    led: Option<[u8; 3]>,
    player_leds: Option<u8>,
    triggers: [Option<[u8; 11]>; 2],
    mic_led: Option<u8>,
    motion_rate: Option<u16>,
}

impl Wishes {
    pub fn note(&mut self, feedback: &PadFeedback) {
        match *feedback {
            PadFeedback::Rumble(levels) => self.rumble = Some(levels),
            PadFeedback::Led(rgb) => self.led = Some(rgb),
            PadFeedback::PlayerLeds(bits) => self.player_leds = Some(bits),
            PadFeedback::TriggerEffect { right, effect } => self.triggers[usize::from(right)] = Some(effect),
            PadFeedback::MicLed(mode) => self.mic_led = Some(mode),
            PadFeedback::MotionRate(hz) => self.motion_rate = Some(hz),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// Every wish, in a fixed order.
    pub fn each(&self) -> impl Iterator<Item = PadFeedback> {
        let effect = |right| move |effect| PadFeedback::TriggerEffect { right, effect };
        let all = [
            self.rumble.map(PadFeedback::Rumble),
            self.motion_rate.map(PadFeedback::MotionRate),
            self.led.map(PadFeedback::Led),
            self.player_leds.map(PadFeedback::PlayerLeds),
            self.triggers[0].map(effect(false)),
            self.triggers[1].map(effect(true)),
            self.mic_led.map(PadFeedback::MicLed),
        ];
        all.into_iter().flatten()
    }
}

/// What a client was told about one pad, and what to tell it next.
///
/// Calling rule: [`Self::wish`] whenever a program wishes something, [`Self::tell`] after that and whenever
/// [`Self::next`] is due.
#[derive(Debug, Default)]
pub(super) struct Told {
    waiting: Wishes,
    /// The last of each kind that was told.
    last: Wishes,
    /// Not before: the client hears of one pad at most every [`SPACING`].
    quiet_until: Option<Instant>,
    /// When to tell the rumble again, and for how many more times if it is still.
    renew: Option<(Instant, u8)>,
    /// When to tell everything else a second time.
    repeat_at: Option<Instant>,
}

/// How something is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Telling {
    News,
    Again,
}

impl Told {
    pub fn wish(&mut self, feedback: &PadFeedback) {
        self.waiting.note(feedback);
    }

    /// Tells what is due.
    pub fn tell(&mut self, now: Instant, mut tell: impl FnMut(Telling, &PadFeedback)) {
        if !self.waiting.is_empty() && self.quiet_until.is_none_or(|at| now >= at) {
            let news = std::mem::take(&mut self.waiting);
            let known: [Option<PadFeedback>; KINDS] = collect(self.last.each());
            for feedback in news.each().filter(|f| !known.contains(&Some(*f))) {
                self.last.note(&feedback);
                self.quiet_until = Some(now + SPACING);
                match feedback {
                    PadFeedback::Rumble(_) => self.renew = Some((now + RUMBLE_RENEWAL, STOP_REPEATS)),
                    _ => self.repeat_at = Some(now + REPEAT),
                }
                tell(Telling::News, &feedback);
            }
        }
        if let (Some((at, left)), Some(levels)) = (self.renew, self.last.rumble)
            && now >= at
        {
            tell(Telling::Again, &PadFeedback::Rumble(levels));
            self.renew = match (levels.is_still(), left) {
                (true, 0 | 1) => None,
                (true, left) => Some((now + RUMBLE_RENEWAL, left - 1)),
                (false, left) => Some((now + RUMBLE_RENEWAL, left)),
            };
        }
        if self.repeat_at.is_some_and(|at| now >= at) {
            self.repeat_at = None;
            let others = self.last.each().filter(|f| !matches!(f, PadFeedback::Rumble(_)));
            others.for_each(|feedback| tell(Telling::Again, &feedback));
        }
    }

    /// The pad is gone: motors stop, and what another pad in this place wishes is new.
    pub fn forget(&mut self, mut tell: impl FnMut(Telling, &PadFeedback)) {
        let ran = self.last.rumble.is_some_and(|levels| !levels.is_still());
        *self = Self::default();
        if ran {
            tell(Telling::News, &PadFeedback::Rumble(RumbleLevels::default()));
        }
    }

    /// When [`Self::tell`] has something to do next.
    pub fn next(&self) -> Option<Instant> {
        let news = if self.waiting.is_empty() { None } else { self.quiet_until };
        [news, self.renew.map(|(at, _)| at), self.repeat_at].into_iter().flatten().min()
    }
}

fn collect(feedback: impl Iterator<Item = PadFeedback>) -> [Option<PadFeedback>; KINDS] {
    let mut all = [None; KINDS];
    for (place, feedback) in all.iter_mut().zip(feedback) {
        *place = Some(feedback);
    }
    all
}

/// Kinds of wishes: those of [`PadFeedback`], with one trigger effect each.
const KINDS: usize = 7;
/// A client falls silent after so long without hearing of a running motor (punktfunk1.md §4.5).
pub const RUMBLE_TTL: Duration = Duration::from_millis(400);
/// 30 % of [`RUMBLE_TTL`], so that three renewals in a row may be lost.
pub const RUMBLE_RENEWAL: Duration = Duration::from_millis(120);
/// A stop is told two more times.
const STOP_REPEATS: u8 = 2;
/// A motor does not follow anything faster, and a program that writes lights in a loop does not flood the network.
const SPACING: Duration = Duration::from_millis(4);
/// Lights and trigger effects have no renewal: they are told once more, for planes whose datagrams get lost.
const REPEAT: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn rumble(low: u16) -> PadFeedback {
        PadFeedback::Rumble(RumbleLevels { low, ..RumbleLevels::default() })
    }

    /// Runs from `from` to `to` the way the thread does, and collects what is told.
    fn run(told: &mut Told, start: Instant, from: u64, to: u64) -> Vec<(u64, Telling, PadFeedback)> {
        let mut all = Vec::new();
        let mut now = from;
        loop {
            told.tell(start + Duration::from_millis(now), |how, f| all.push((now, how, *f)));
            let Some(next) = told.next() else { return all };
            now = next.duration_since(start).as_millis() as u64;
            if now > to {
                return all;
            }
        }
    }

    #[test]
    fn rumble_is_renewed_while_it_lasts_and_its_stop_is_repeated_twice() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.wish(&rumble(100));
        use Telling::{Again, News};
        let on = rumble(100);
        assert_eq!(run(&mut told, start, 0, 300), [(0, News, on), (120, Again, on), (240, Again, on)]);
        told.wish(&rumble(0));
        let off = rumble(0);
        assert_eq!(run(&mut told, start, 300, 9999), [(300, News, off), (420, Again, off), (540, Again, off)]);
        assert_eq!(told.next(), None);
    }

    #[test]
    fn a_burst_is_told_at_once_and_then_only_its_newest() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.wish(&rumble(1));
        assert_eq!(run(&mut told, start, 0, 0), [(0, Telling::News, rumble(1))]);
        for level in 2..100 {
            told.wish(&rumble(level));
            assert_eq!(run(&mut told, start, 1, 1), []);
        }
        assert_eq!(run(&mut told, start, 4, 4), [(4, Telling::News, rumble(99))]);
    }

    #[test]
    fn lights_are_told_twice_and_what_is_known_not_at_all() {
        let (mut told, start) = (Told::default(), Instant::now());
        let (led, effect) = (PadFeedback::Led([1, 2, 3]), PadFeedback::TriggerEffect { right: true, effect: [2; 11] });
        told.wish(&led);
        told.wish(&effect);
        use Telling::{Again, News};
        let expected = [(0, News, led), (0, News, effect), (250, Again, led), (250, Again, effect)];
        assert_eq!(run(&mut told, start, 0, 9999), expected);
        told.wish(&led);
        assert_eq!(run(&mut told, start, 1000, 9999), []);
    }

    #[test]
    fn a_pad_that_leaves_stops_its_motors() {
        let (mut told, start) = (Told::default(), Instant::now());
        let mut all = Vec::new();
        told.forget(|how, f| all.push((how, *f)));
        told.wish(&rumble(5));
        run(&mut told, start, 0, 0);
        told.forget(|how, f| all.push((how, *f)));
        assert_eq!(all, [(Telling::News, rumble(0))]);
        assert_eq!(told.next(), None);
    }
}
