//! Force feedback: which effects a program has stored, which of them play, and what the motors do because of that.
//!
//! The kernel hands uinput devices the programs' requests as they are; what its own drivers get done by `ff-memless`
//! (durations, repetition, gain, adding up) is done here.

use std::time::{Duration, Instant};

/// The effects of one pad.
///
/// Calling rule: any of the changes, then [`Self::levels`], and again when [`Self::next`] is due.
#[derive(Debug)]
pub(super) struct Effects {
    stored: [Option<Stored>; MAX_EFFECTS],
    gain: u16,
}

/// Most effects at a time; the kernel numbers them below it. As many as `ff-memless` has.
pub(super) const MAX_EFFECTS: usize = 16;

/// An effect as a program describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Effect {
    /// Low-frequency motor.
    pub strong: u16,
    /// High-frequency motor.
    pub weak: u16,
    /// `None` = until it is stopped.
    pub length: Option<Duration>,
    /// Between the start and the first movement.
    pub delay: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    effect: Effect,
    /// When it began, and how often it plays.
    playing: Option<(Instant, u32)>,
}

impl Effects {
    pub const fn new() -> Self {
        Self { stored: [None; MAX_EFFECTS], gain: u16::MAX }
    }

    /// Stores an effect, or changes one; one that plays begins anew. False: there is no such place.
    pub fn store(&mut self, id: usize, effect: Effect, now: Instant) -> bool {
        let Some(place) = self.stored.get_mut(id) else { return false };
        let playing = place.and_then(|old| old.playing).map(|(_, times)| (now, times));
        *place = Some(Stored { effect, playing });
        true
    }

    pub fn erase(&mut self, id: usize) {
        if let Some(place) = self.stored.get_mut(id) {
            *place = None;
        }
    }

    /// Plays an effect so many times; 0 stops it.
    pub fn play(&mut self, id: usize, times: u32, now: Instant) {
        if let Some(Some(stored)) = self.stored.get_mut(id) {
            stored.playing = (times > 0).then_some((now, times));
        }
    }

    pub fn set_gain(&mut self, gain: u16) {
        self.gain = gain;
    }

    /// What the motors do now: strong, weak.
    pub fn levels(&mut self, now: Instant) -> (u16, u16) {
        let (mut strong, mut weak) = (0_u16, 0_u16);
        for stored in self.stored.iter_mut().flatten() {
            match stored.phase(now) {
                Phase::Moves(_) => {
                    strong = strong.saturating_add(stored.effect.strong);
                    weak = weak.saturating_add(stored.effect.weak);
                }
                Phase::Over => stored.playing = None,
                Phase::Waits(_) => {}
            }
        }
        let scaled = |level: u16| (u32::from(level) * u32::from(self.gain) / u32::from(u16::MAX)) as u16;
        (scaled(strong), scaled(weak))
    }

    /// When the levels change by themselves.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let changes = self.stored.iter().flatten().filter_map(|stored| match stored.phase(now) {
            Phase::Moves(until) => until,
            Phase::Waits(until) => Some(until),
            Phase::Over => None,
        });
        changes.min()
    }
}

enum Phase {
    /// Until then, or until it is stopped.
    Moves(Option<Instant>),
    Waits(Instant),
    Over,
}

impl Stored {
    fn phase(&self, now: Instant) -> Phase {
        let Some((began, times)) = self.playing else { return Phase::Over };
        let Effect { length, delay, .. } = self.effect;
        let Some(length) = length else {
            return if now < began + delay { Phase::Waits(began + delay) } else { Phase::Moves(None) };
        };
        // At most 2 minutes and 11 s, because both are 16 bits of milliseconds.
        let round = (delay + length).as_millis().max(1);
        let done = now.saturating_duration_since(began).as_millis() / round;
        if done >= u128::from(times) {
            return Phase::Over;
        }
        let begins = began + Duration::from_millis(u64::try_from(done * round).unwrap_or(u64::MAX));
        if now < begins + delay { Phase::Waits(begins + delay) } else { Phase::Moves(Some(begins + delay + length)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a program may do, by the numbers that the kernel hands over.
    #[derive(Clone, Copy, Debug)]
    enum Request {
        Store(usize, Effect),
        Erase(usize),
        Play(usize, u32),
        Gain(u16),
        Wait(u64),
    }

    fn requests() -> impl Strategy<Value = Vec<Request>> {
        let place = || prop_oneof![0..MAX_EFFECTS + 2, Just(usize::MAX)];
        let times = || prop_oneof![Just(0), 1..4_u32, Just(u32::MAX)];
        let effect = (any::<u16>(), any::<u16>(), any::<Option<u16>>(), any::<u16>()).prop_map(
            |(strong, weak, length, delay)| Effect {
                strong,
                weak,
                // 0 is "until it is stopped".
                length: length.filter(|length| *length > 0).map(|length| ms(length.into())),
                delay: ms(delay.into()),
            },
        );
        proptest::collection::vec(
            prop_oneof![
                (place(), effect).prop_map(|(id, effect)| Request::Store(id, effect)),
                place().prop_map(Request::Erase),
                (place(), times()).prop_map(|(id, times)| Request::Play(id, times)),
                any::<u16>().prop_map(Request::Gain),
                (0..200_000_u64).prop_map(Request::Wait),
            ],
            0..200,
        )
    }

    proptest! {
        /// Whatever programs ask for, nothing breaks, the thread that plays effects is never woken for nothing, and
        /// when the last effect has been erased the motors are still.
        #[test]
        fn no_request_breaks_a_pad(requests in requests()) {
            let (mut effects, mut now) = (Effects::new(), Instant::now());
            for request in requests {
                match request {
                    Request::Store(id, effect) => prop_assert_eq!(effects.store(id, effect, now), id < MAX_EFFECTS),
                    Request::Erase(id) => effects.erase(id),
                    Request::Play(id, times) => effects.play(id, times, now),
                    Request::Gain(gain) => effects.set_gain(gain),
                    Request::Wait(passed) => now += ms(passed),
                }
                let (strong, weak) = effects.levels(now);
                prop_assert!(strong <= effects.gain && weak <= effects.gain);
                prop_assert!(effects.next(now).is_none_or(|next| next >= now));
            }
            (0..MAX_EFFECTS).for_each(|id| effects.erase(id));
            prop_assert_eq!((effects.levels(now), effects.next(now)), ((0, 0), None));
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_effect_lasts_as_long_as_it_says_and_as_often() {
        let (mut effects, start) = (Effects::new(), Instant::now());
        let effect = Effect { strong: 1000, weak: 10, length: Some(ms(100)), delay: ms(50) };
        assert!(effects.store(3, effect, start));
        assert_eq!((effects.levels(start), effects.next(start)), ((0, 0), None));
        effects.play(3, 2, start);
        let mut seen = Vec::new();
        let mut now = start;
        while let Some(next) = effects.next(now) {
            now = next;
            seen.push(((now - start).as_millis(), effects.levels(now)));
        }
        assert_eq!(seen, [(50, (1000, 10)), (150, (0, 0)), (200, (1000, 10)), (300, (0, 0))]);
    }

    #[test]
    fn an_endless_effect_plays_until_it_is_stopped_or_erased() {
        let (mut effects, start) = (Effects::new(), Instant::now());
        let effect = Effect { strong: 7, ..Effect::default() };
        effects.store(0, effect, start);
        effects.play(0, 1, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!((effects.levels(later), effects.next(later)), ((7, 0), None));
        effects.store(0, Effect { strong: 8, ..effect }, later);
        assert_eq!(effects.levels(later), (8, 0), "changed while it plays");
        effects.play(0, 0, later);
        assert_eq!(effects.levels(later), (0, 0));
        effects.play(0, 1, later);
        effects.erase(0);
        effects.play(0, 1, later);
        assert_eq!(effects.levels(later), (0, 0));
    }

    #[test]
    fn effects_add_up_and_gain_scales_them() {
        let (mut effects, now) = (Effects::new(), Instant::now());
        for id in 0..2 {
            effects.store(id, Effect { strong: 40_000, weak: 100, ..Effect::default() }, now);
            effects.play(id, 1, now);
        }
        assert_eq!(effects.levels(now), (u16::MAX, 200));
        effects.set_gain(0x8000);
        assert_eq!(effects.levels(now), (0x8000, 100));
        effects.set_gain(0);
        assert_eq!(effects.levels(now), (0, 0));
    }

    #[test]
    fn absurd_requests_do_nothing() {
        let (mut effects, now) = (Effects::new(), Instant::now());
        assert!(!effects.store(MAX_EFFECTS, Effect::default(), now));
        effects.erase(usize::MAX);
        effects.play(usize::MAX, 1, now);
        effects.store(0, Effect { strong: 1, length: Some(ms(0)), ..Effect::default() }, now);
        effects.play(0, u32::MAX, now);
        let _ = (effects.levels(now), effects.next(now));
        assert_eq!(effects.levels(now + Duration::from_secs(10_000_000)), (0, 0));
    }
}
