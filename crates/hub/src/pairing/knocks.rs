//! Unpaired devices that wait for the operator: a bounded list, pure but for the channel that carries the answer.
//!
//! ```text
//! knock ─► waiting (connection parked) ── approve | deny ──► gone
//!             │ connection gave up
//!             ▼
//!          left behind: may still be approved, so that the next connection comes in; gone 10 min after the knock
//! ```

use std::net::IpAddr;
use std::time::{Duration, Instant};

use punktfunk_core::Fingerprint;
use tokio::sync::oneshot;

use super::{Decision, KnockRefused};

/// All knocks.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    entries: Vec<Entry>,
    next_id: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Unique per knock; the operator addresses a knock by its device.
    pub id: u64,
    pub fingerprint: Fingerprint,
    pub name: String,
    pub source: IpAddr,
    pub since: Instant,
    /// `None` once the connection gave up.
    answer: Option<oneshot::Sender<Decision>>,
}

impl Entry {
    /// Whether the connection is still there.
    pub fn waits(&self) -> bool {
        self.answer.as_ref().is_some_and(|a| !a.is_closed())
    }

    pub fn answer(self, decision: Decision) {
        if let Some(answer) = self.answer {
            // The connection may be gone by now; then nobody needs the answer.
            let _ = answer.send(decision);
        }
    }
}

impl Knocks {
    /// Adds a knock. An older one of the same device is answered `Superseded`, and handed back as `true`.
    pub fn add(
        &mut self,
        fingerprint: Fingerprint,
        name: String,
        source: IpAddr,
        now: Instant,
    ) -> Result<(u64, oneshot::Receiver<Decision>, bool), KnockRefused> {
        self.expire(now);
        let older = self.entries.iter().position(|e| e.fingerprint == fingerprint).map(|i| self.entries.remove(i));
        let superseded = older.as_ref().is_some_and(Entry::waits);
        if let Some(older) = older {
            older.answer(Decision::Superseded);
        }
        let source = source.to_canonical();
        if self.entries.iter().filter(|e| e.source == source).count() >= MAX_PER_SOURCE {
            self.make_room(|e| e.source == source)?;
        }
        if self.entries.len() >= MAX_KNOCKS {
            self.make_room(|_| true)?;
        }
        let (sender, receiver) = oneshot::channel();
        self.next_id += 1;
        let id = self.next_id;
        self.entries.push(Entry { id, fingerprint, name, source, since: now, answer: Some(sender) });
        Ok((id, receiver, superseded))
    }

    /// Drops the oldest entry among these whose connection is gone.
    fn make_room(&mut self, among: impl Fn(&Entry) -> bool) -> Result<(), KnockRefused> {
        // Entries are in the order of their knocks.
        let index = self.entries.iter().position(|e| among(e) && !e.waits()).ok_or(KnockRefused)?;
        self.entries.remove(index);
        Ok(())
    }

    /// The connection of this knock gave up: it may still be approved for a while.
    pub fn gave_up(&mut self, id: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.id == id) {
            entry.answer = None;
        }
    }

    /// Forgets knocks older than ten minutes.
    pub fn expire(&mut self, now: Instant) {
        self.entries.retain(|e| now.saturating_duration_since(e.since) < KEEP);
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes out the knock of the device whose fingerprint starts with `id` (at least 4 digits), if it is the only one.
    pub fn find(&self, id: &str) -> Option<&Entry> {
        let id = id.to_ascii_lowercase();
        let mut matches = self.entries.iter().filter(|e| e.fingerprint.to_string().starts_with(&id));
        match (matches.next(), matches.next()) {
            (Some(entry), None) if id.len() >= 4 => Some(entry),
            _ => None,
        }
    }

    pub fn take(&mut self, id: u64) -> Option<Entry> {
        let index = self.entries.iter().position(|e| e.id == id)?;
        Some(self.entries.remove(index))
    }
}

/// punktfunk1.md §2.4.
const MAX_KNOCKS: usize = 32;
/// punktfunk1.md §2.4.
const MAX_PER_SOURCE: usize = 4;
/// punktfunk1.md §2.4.
const KEEP: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fp(n: u8) -> Fingerprint {
        Fingerprint([n; 32])
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::V4([192, 0, 2, n].into())
    }

    #[test]
    fn a_newer_knock_replaces_the_older_and_limits_hold() {
        let (mut knocks, t) = (Knocks::default(), Instant::now());
        let (_, mut first, _) = knocks.add(fp(1), "tv".into(), ip(1), t).expect("room");
        let (_, second, superseded) = knocks.add(fp(1), "tv".into(), ip(1), t).expect("room");
        assert!(superseded);
        assert_eq!(first.try_recv(), Ok(Decision::Superseded));
        let mut held = vec![second];
        for n in 2..=4 {
            held.push(knocks.add(fp(n), "x".into(), ip(1), t).expect("room").1);
        }
        assert!(knocks.add(fp(5), "x".into(), ip(1), t).is_err(), "four per source");
        drop(held.pop());
        assert!(knocks.add(fp(5), "x".into(), ip(1), t).is_ok(), "one that gave up makes room");
        assert!(knocks.find("0101").is_some() && knocks.find("01").is_none() && knocks.find("ffff").is_none());
        knocks.expire(t + KEEP);
        assert!(knocks.entries().is_empty());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Knock { who: u8, source: u8 },
        GiveUp { nth: usize },
        Answer { nth: usize },
        Wait { s: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (any::<u8>(), 0..12_u8).prop_map(|(who, source)| Op::Knock { who, source }),
            1 => (0..40_usize).prop_map(|nth| Op::GiveUp { nth }),
            1 => (0..40_usize).prop_map(|nth| Op::Answer { nth }),
            1 => (0..120_u64).prop_map(|s| Op::Wait { s }),
        ]
    }

    proptest! {
        #[test]
        fn the_list_stays_bounded_and_nobody_waits_without_an_answer(ops in proptest::collection::vec(op(), 1..200)) {
            let (mut knocks, mut now) = (Knocks::default(), Instant::now());
            let mut waiting: Vec<(u64, Fingerprint, oneshot::Receiver<Decision>)> = Vec::new();
            for op in ops {
                match op {
                    Op::Knock { who, source } => {
                        let source_full = {
                            let live = |e: &&Entry| e.waits() && e.fingerprint != fp(who);
                            let all = knocks.entries().iter().filter(live).count();
                            let same = knocks.entries().iter().filter(live).filter(|e| e.source == ip(source)).count();
                            all >= MAX_KNOCKS || same >= MAX_PER_SOURCE
                        };
                        match knocks.add(fp(who), "x".into(), ip(source), now) {
                            Ok((id, answer, _)) => waiting.push((id, fp(who), answer)),
                            Err(KnockRefused) => prop_assert!(source_full, "refused only when live ones fill a limit"),
                        }
                    }
                    Op::GiveUp { nth } if nth < waiting.len() => {
                        let (id, ..) = waiting.remove(nth);
                        knocks.gave_up(id);
                    }
                    Op::Answer { nth } if nth < waiting.len() => {
                        if let Some(entry) = knocks.take(waiting[nth].0) {
                            entry.answer(Decision::Denied);
                        }
                    }
                    Op::Wait { s } => now += Duration::from_secs(s),
                    Op::GiveUp { .. } | Op::Answer { .. } => {}
                }
                prop_assert!(knocks.entries().len() <= MAX_KNOCKS);
                for entry in knocks.entries() {
                    prop_assert!(knocks.entries().iter().filter(|e| e.source == entry.source).count() <= MAX_PER_SOURCE);
                    prop_assert_eq!(knocks.entries().iter().filter(|e| e.fingerprint == entry.fingerprint).count(), 1);
                }
                // Who is not in the list any more has his answer, or a closed channel.
                waiting.retain_mut(|(id, _, answer)| {
                    knocks.entries().iter().any(|e| e.id == *id)
                        || matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty))
                });
                for (id, ..) in &waiting {
                    prop_assert!(knocks.entries().iter().any(|e| e.id == *id), "parked without an entry or an answer");
                }
            }
        }
    }
}
