//! When to encode a still picture once more, and which stamp a frame gets.

use std::time::{Duration, Instant};

/// Repeats of a picture that does not change: 100 and 300 ms after the last change, then at the client's own interval.
/// The first two sharpen the picture and heal losses at the end of a movement; the rest keep the client sure that we
/// live.
#[derive(Debug)]
pub(super) struct Idle {
    every: Duration,
    state: Option<Repeats>,
}

#[derive(Clone, Copy, Debug)]
struct Repeats {
    last_change: Instant,
    done: u32,
    last_repeat: Instant,
}

impl Idle {
    pub const fn new(every: Duration) -> Self {
        Self { every, state: None }
    }

    /// A picture with changes was encoded.
    pub fn changed(&mut self, now: Instant) {
        self.state = Some(Repeats { last_change: now, done: 0, last_repeat: now });
    }

    /// A repeat was encoded because it was due.
    pub fn repeated(&mut self, now: Instant) {
        if let Some(state) = &mut self.state {
            state.done += 1;
            state.last_repeat = now;
        }
    }

    /// When the next repeat is due; `None` before the first picture.
    pub fn due(&self) -> Option<Instant> {
        self.state.map(|s| match FIRST_REPEATS.get(s.done as usize) {
            Some(after) => s.last_change + *after,
            // Counted from the repeat before, so that a machine that slept does not make up for it.
            None => s.last_repeat + self.every,
        })
    }
}

/// Stamps that rise strictly, whatever the capturer says.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    last: Option<u64>,
}

impl Stamps {
    /// The stamp to use for a frame of `wanted` ns.
    pub fn next(&mut self, wanted: u64) -> u64 {
        let stamp = self.last.map_or(wanted, |last| wanted.max(last.saturating_add(1)));
        self.last = Some(stamp);
        stamp
    }
}

const FIRST_REPEATS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::REPEAT_EVERY;

    #[test]
    fn repeats_come_at_100_and_300_ms_then_every_2_s() {
        let start = Instant::now();
        let mut idle = Idle::new(REPEAT_EVERY);
        assert_eq!(idle.due(), None);
        idle.changed(start);
        let mut at = Vec::new();
        for _ in 0..5 {
            let due = idle.due().expect("a picture was there");
            at.push((due - start).as_millis());
            idle.repeated(due);
        }
        assert_eq!(at, [100, 300, 2300, 4300, 6300]);
        let later = start + Duration::from_secs(60);
        idle.repeated(later);
        assert_eq!(idle.due(), Some(later + REPEAT_EVERY), "no burst after a long sleep");
        idle.changed(later);
        assert_eq!(idle.due(), Some(later + FIRST_REPEATS[0]));
    }

    #[test]
    fn a_client_may_want_repeats_more_often() {
        let start = Instant::now();
        let mut idle = Idle::new(Duration::from_millis(500));
        idle.changed(start);
        let at: Vec<_> = (0..4)
            .map(|_| {
                let due = idle.due().expect("a picture was there");
                idle.repeated(due);
                (due - start).as_millis()
            })
            .collect();
        assert_eq!(at, [100, 300, 800, 1300]);
    }

    #[test]
    fn stamps_rise_strictly() {
        let mut stamps = Stamps::default();
        let given: Vec<_> = [5, 5, 4, 100, 7].into_iter().map(|w| stamps.next(w)).collect();
        assert_eq!(given, [5, 6, 7, 100, 101]);
    }
}
