//! Which stages are kept, and until when: pure, generic over what is kept so that tests need no desktop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a display stays after its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// It ends with the session.
    Off,
    /// It is kept for its client for this long.
    For(Duration),
    /// It is kept until the host ends, or others need its place.
    Forever,
}

impl Default for Linger {
    /// Ten seconds: long enough to walk from one device to another or for a network to come back (punktfunk1.md §8.3).
    fn default() -> Self {
        Self::For(Duration::from_secs(10))
    }
}

/// What is kept for whom.
#[derive(Debug)]
pub(super) struct Keeper<T> {
    kept: BTreeMap<String, Kept<T>>,
    /// How many stages each identity has in use. More than one only while an old session is being given up.
    in_use: BTreeMap<String, usize>,
    max_kept: usize,
}

#[derive(Debug)]
struct Kept<T> {
    stage: T,
    since: Instant,
    /// `None`: for ever.
    until: Option<Instant>,
}

impl<T> Keeper<T> {
    pub fn new(max_kept: usize) -> Self {
        Self { kept: BTreeMap::new(), in_use: BTreeMap::new(), max_kept: max_kept.max(1) }
    }

    /// A session of this identity has a stage.
    pub fn begin(&mut self, identity: &str) {
        *self.in_use.entry(identity.to_owned()).or_default() += 1;
    }

    /// It has it no more.
    pub fn end(&mut self, identity: &str) {
        if let Some(count) = self.in_use.get_mut(identity) {
            *count -= 1;
            if *count == 0 {
                self.in_use.remove(identity);
            }
        }
    }

    /// Keeps a stage for `linger`. What must go instead comes back: the stage itself when it is not worth keeping (its
    /// identity has a newer one in use), an older one of the identity, or the one kept longest when there are too many.
    pub fn keep(&mut self, identity: &str, stage: T, linger: Duration, now: Instant) -> Vec<T> {
        if self.in_use.contains_key(identity) {
            return vec![stage];
        }
        let until = now.checked_add(linger);
        let mut gone: Vec<T> = self.kept.remove(identity).map(|k| k.stage).into_iter().collect();
        if self.kept.len() >= self.max_kept
            && let Some(oldest) = self.kept.iter().min_by_key(|(_, k)| k.since).map(|(i, _)| i.clone())
        {
            gone.extend(self.kept.remove(&oldest).map(|k| k.stage));
        }
        self.kept.insert(identity.to_owned(), Kept { stage, since: now, until });
        gone
    }

    /// Takes out what has run out, and what `over` says is not to be kept any more.
    pub fn expire(&mut self, now: Instant, mut over: impl FnMut(&str, &mut T) -> bool) -> Vec<(String, T)> {
        let mut over = |i: &str, k: &mut Kept<T>| k.until.is_some_and(|u| now >= u) || over(i, &mut k.stage);
        let names: Vec<String> = self.kept.iter_mut().filter_map(|(i, k)| over(i, k).then(|| i.clone())).collect();
        names.into_iter().filter_map(|i| self.kept.remove(&i).map(|k| (i, k.stage))).collect()
    }

    /// When [`Self::expire`] has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.kept.values().filter_map(|k| k.until).min()
    }

    /// Takes out everything that is kept.
    pub fn take_all(&mut self) -> Vec<(String, T, Option<Instant>)> {
        std::mem::take(&mut self.kept).into_iter().map(|(i, k)| (i, k.stage, k.until)).collect()
    }

    /// Takes out what is kept for one identity.
    #[must_use]
    pub fn take(&mut self, identity: &str) -> Option<T> {
        self.kept.remove(identity).map(|k| k.stage)
    }

    /// Whether this identity has a stage, in use or kept.
    pub fn holds(&self, identity: &str) -> bool {
        self.in_use.contains_key(identity) || self.kept.contains_key(identity)
    }

    /// For whom something is kept, and until when.
    pub fn kept(&self) -> impl Iterator<Item = (&str, Option<Instant>)> {
        self.kept.iter().map(|(i, k)| (i.as_str(), k.until))
    }
}
