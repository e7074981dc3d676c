//! Admission as a pure state machine. Time and silence come in, actions go out.
//!
//! ```text
//! slot:    Live ── evict (same identity | silent | operator) ──► Leaving ── released | given up ──► gone
//! waiter:  claims the slot its own identity is leaving, else waits for any ──► Admit
//!          a newer request of the same identity ──► Superseded
//!          1.6 s, and no slot is free or leaving for it ──► Busy(who)
//! ```
//!
//! Why nobody waits for more than 2 s: a slot that fell silent just before the request is taken after 1.5 s of silence,
//! and one heard from since then was live; so at 1.6 s it is known whether there is a slot. A holder that was asked to
//! leave and does not is given up after 1.5 s, or when a waiter that needs its slot has waited for 1.9 s.
//!
//! **The calling rule: carry out the actions of every call; while somebody waits, call [`Machine::poll`] at the latest
//! at [`Machine::deadline`], and every 100 ms, since silence grows without telling.**

use std::time::{Duration, Instant};

use super::Eviction;

/// Names a slot's holder for as long as the host runs.
pub(super) type SessionId = u64;
/// Names a waiter.
pub(super) type WaiterId = u64;
/// How long ago a session's peer was last heard.
pub(super) type Silence<'a> = &'a dyn Fn(SessionId) -> Duration;

/// The slots and those who wait for one.
#[derive(Debug)]
pub(super) struct Machine {
    max: usize,
    /// At most `max`, at most one per identity.
    slots: Vec<Slot>,
    /// In the order of their requests, at most one per identity.
    waiters: Vec<Waiter>,
    last_session: SessionId,
}

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub session: SessionId,
    pub identity: String,
    pub name: String,
    /// Since when the holder is asked to leave.
    pub leaving: Option<Instant>,
}

#[derive(Debug)]
struct Waiter {
    id: WaiterId,
    identity: String,
    name: String,
    since: Instant,
    /// It waits for the slot of its own identity, which nobody else gets.
    claims: bool,
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Hand this session's ticket to the waiter.
    Admit { waiter: WaiterId, session: SessionId },
    /// Tell the waiter who holds the slots.
    Busy { waiter: WaiterId, who: Vec<String> },
    /// Tell the waiter that a newer request of its identity replaced it.
    Superseded { waiter: WaiterId },
    /// Ask this session's holder to leave.
    Evict { session: SessionId, why: Eviction },
    /// This session's holder did not leave in time: its slot counts no more.
    GivenUp { session: SessionId },
}

impl Machine {
    /// `max` slots, at least one.
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), slots: Vec::new(), waiters: Vec::new(), last_session: 0 }
    }

    /// How many slots there are.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// From now on so many slots, at least one. Sessions that hold more than that stay until they end.
    pub fn set_max(&mut self, max: usize, now: Instant, silence: Silence<'_>) -> Vec<Action> {
        self.max = max.max(1);
        self.poll(now, silence)
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Somebody wants a slot.
    pub fn request(
        &mut self,
        waiter: WaiterId,
        identity: &str,
        name: &str,
        now: Instant,
        silence: Silence<'_>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(older) = self.waiters.iter().position(|w| w.identity == identity) {
            actions.push(Action::Superseded { waiter: self.waiters.remove(older).id });
        }
        let own = self.slots.iter_mut().find(|s| s.identity == identity);
        let claims = own.is_some();
        if let Some(slot) = own.filter(|s| s.leaving.is_none()) {
            slot.leaving = Some(now);
            actions.push(Action::Evict { session: slot.session, why: Eviction::SameIdentity });
        }
        self.waiters.push(Waiter { id: waiter, identity: identity.into(), name: name.into(), since: now, claims });
        self.settle(now, silence, &mut actions);
        actions
    }

    /// A holder gave its slot back. One that was given up before changes nothing.
    pub fn released(&mut self, session: SessionId, now: Instant, silence: Silence<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.slots.retain(|s| s.session != session);
        self.settle(now, silence, &mut actions);
        actions
    }

    /// A waiter went away.
    pub fn cancelled(&mut self, waiter: WaiterId) {
        self.waiters.retain(|w| w.id != waiter);
    }

    /// The operator ends a session. `None`: there is no such session.
    pub fn evict(&mut self, session: SessionId, now: Instant) -> Option<Vec<Action>> {
        let slot = self.slots.iter_mut().find(|s| s.session == session)?;
        if slot.leaving.is_some() {
            return Some(Vec::new());
        }
        slot.leaving = Some(now);
        Some(vec![Action::Evict { session, why: Eviction::Operator }])
    }

    /// Time passed.
    pub fn poll(&mut self, now: Instant, silence: Silence<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.settle(now, silence, &mut actions);
        actions
    }

    /// When, after `now`, something happens next if nobody calls; silence apart.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = self.waiters.iter().flat_map(|w| [w.since + DECIDE, w.since + LAST_MOMENT]);
        let leaving = self.slots.iter().filter_map(|s| s.leaving).map(|l| l + RELEASE_WAIT);
        waiting.chain(leaving).filter(|at| *at > now).min()
    }

    fn settle(&mut self, now: Instant, silence: Silence<'_>, actions: &mut Vec<Action>) {
        self.give_up(now, actions);
        self.admit(actions);
        self.take_silent(now, silence, actions);
        self.refuse(now, actions);
    }

    /// Slots whose holders do not leave count no more.
    fn give_up(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut given_up = |slot: &Slot| {
            actions.push(Action::GivenUp { session: slot.session });
        };
        self.slots.retain(|slot| {
            let over = slot.leaving.is_some_and(|l| now >= l + RELEASE_WAIT);
            if over {
                given_up(slot);
            }
            !over
        });
        // What is kept for a claim is not free for those who are late.
        let gone = |w: &&Waiter| w.claims && !self.slots.iter().any(|s| s.identity == w.identity);
        let owed = self.waiters.iter().filter(gone).count();
        let free = self.max.saturating_sub(self.slots.len() + owed);
        let late = self.waiters.iter().filter(|w| !w.claims && now >= w.since + LAST_MOMENT).count();
        let out_of_patience = if late == 0 { 0 } else { (late + self.excess()).saturating_sub(free) };
        for _ in 0..out_of_patience {
            let oldest = self.open_leaving().min_by_key(|s| s.leaving).map(|s| s.session);
            let Some(index) = oldest.and_then(|o| self.slots.iter().position(|s| s.session == o)) else { break };
            given_up(&self.slots.remove(index));
        }
    }

    /// Who claims a slot gets it as soon as its own is gone; other free slots go to those who waited longest.
    fn admit(&mut self, actions: &mut Vec<Action>) {
        let mut index = 0;
        while let Some(waiter) = self.waiters.get(index) {
            let own_left = self.slots.iter().any(|s| s.identity == waiter.identity);
            let claims_before = self.waiters.iter().filter(|w| w.claims && w.id != waiter.id);
            // A claim whose slot is gone is served in this very pass; what is kept for it is not free for others.
            let owed = claims_before.filter(|w| !self.slots.iter().any(|s| s.identity == w.identity)).count();
            let free = self.max.saturating_sub(self.slots.len());
            if own_left || free == 0 || (!waiter.claims && free <= owed) {
                // Its own slot went when there were more sessions than slots: it waits like everybody.
                self.waiters[index].claims &= own_left || free > 0;
                index += 1;
                continue;
            }
            let waiter = self.waiters.remove(index);
            self.last_session += 1;
            let session = self.last_session;
            actions.push(Action::Admit { waiter: waiter.id, session });
            self.slots.push(Slot { session, identity: waiter.identity, name: waiter.name, leaving: None });
        }
    }

    /// For every waiter without a slot in sight, the most silent holder is asked to leave.
    fn take_silent(&mut self, now: Instant, silence: Silence<'_>, actions: &mut Vec<Action>) {
        let wanted = self.waiters.iter().filter(|w| !w.claims).count();
        let needed = if wanted == 0 { 0 } else { wanted + self.excess() };
        let mut missing = needed.saturating_sub(self.open_leaving().count());
        while missing > 0 {
            let live = self.slots.iter_mut().filter(|s| s.leaving.is_none());
            let most_silent = live.map(|s| (silence(s.session), s)).max_by_key(|(silent, _)| *silent);
            let Some((_, slot)) = most_silent.filter(|(silent, _)| *silent >= SILENT) else { break };
            slot.leaving = Some(now);
            actions.push(Action::Evict { session: slot.session, why: Eviction::Silent });
            missing -= 1;
        }
    }

    /// Whoever waited long enough, and has no slot in sight, is told who holds them.
    fn refuse(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let in_sight = self.open_leaving().count().saturating_sub(self.excess());
        let who: Vec<String> = self.slots.iter().map(|s| s.name.clone()).collect();
        let mut place = 0;
        self.waiters.retain(|w| {
            if w.claims {
                return true;
            }
            place += 1;
            let over = place > in_sight && now >= w.since + DECIDE;
            if over {
                actions.push(Action::Busy { waiter: w.id, who: who.clone() });
            }
            !over
        });
    }

    /// How many sessions hold a slot that is none any more.
    const fn excess(&self) -> usize {
        self.slots.len().saturating_sub(self.max)
    }

    /// Slots being left that nobody claims.
    fn open_leaving(&self) -> impl Iterator<Item = &Slot> {
        let claimed = |s: &&Slot| !self.waiters.iter().any(|w| w.claims && w.identity == s.identity);
        self.slots.iter().filter(|s| s.leaving.is_some()).filter(claimed)
    }
}

/// DESIGN decision 11: a slot whose peer has sent nothing for this long may be taken.
pub(super) const SILENT: Duration = Duration::from_millis(1500);
/// How long a holder may take to leave (punktfunk1.md §8.3).
pub(super) const RELEASE_WAIT: Duration = Duration::from_millis(1500);
/// When it is clear whether a slot is free: [`SILENT`] and one poll.
pub(super) const DECIDE: Duration = Duration::from_millis(1600);
/// When a waiter takes a slot that is still being left: what remains of the promised 2 s is for the scheduler.
pub(super) const LAST_MOMENT: Duration = Duration::from_millis(1900);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn live(_: SessionId) -> Duration {
        Duration::ZERO
    }

    fn admitted(actions: &[Action]) -> Option<SessionId> {
        actions.iter().find_map(|a| if let Action::Admit { session, .. } = a { Some(*session) } else { None })
    }

    #[test]
    fn the_same_identity_waits_for_nothing_but_the_release() {
        let (mut m, t) = (Machine::new(1), Instant::now());
        let first = admitted(&m.request(1, "a", "A", t, &live)).expect("free");
        let actions = m.request(2, "b", "B", t, &live);
        assert_eq!(actions, [], "b waits: a is live");
        let actions = m.request(3, "a", "A", t + ms(10), &live);
        assert_eq!(actions, [Action::Evict { session: first, why: Eviction::SameIdentity }]);
        let actions = m.released(first, t + ms(20), &live);
        assert_eq!(actions, [Action::Admit { waiter: 3, session: 2 }], "although b waited longer");
        let actions = m.poll(t + DECIDE, &live);
        assert_eq!(actions, [Action::Busy { waiter: 2, who: vec!["A".into()] }]);
    }

    #[test]
    fn a_holder_that_does_not_leave_is_given_up() {
        let (mut m, t) = (Machine::new(1), Instant::now());
        let first = admitted(&m.request(1, "a", "A", t, &live)).expect("free");
        m.request(2, "a", "A", t, &live);
        assert_eq!(m.poll(t + RELEASE_WAIT - ms(1), &live), []);
        let actions = m.poll(t + RELEASE_WAIT, &live);
        assert_eq!(actions, [Action::GivenUp { session: first }, Action::Admit { waiter: 2, session: 2 }]);
        assert_eq!(m.released(first, t + ms(1600), &live), [], "the late release of the one given up changes nothing");
        assert_eq!(m.slots().len(), 1);
    }

    #[test]
    fn a_slot_that_fell_silent_just_before_is_taken_within_two_seconds() {
        let (mut m, t) = (Machine::new(1), Instant::now());
        let first = admitted(&m.request(1, "a", "A", t, &live)).expect("free");
        assert_eq!(m.request(2, "b", "B", t, &live), []);
        let actions = m.poll(t + SILENT, &|_| SILENT);
        assert_eq!(actions, [Action::Evict { session: first, why: Eviction::Silent }]);
        assert_eq!(m.poll(t + DECIDE, &|_| DECIDE), [], "a slot is in sight");
        let actions = m.poll(t + LAST_MOMENT, &|_| LAST_MOMENT);
        assert_eq!(actions, [Action::GivenUp { session: first }, Action::Admit { waiter: 2, session: 2 }]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Request { identity: u8 },
        Cancel { nth: usize },
        Release { nth: usize },
        EvictByOperator { nth: usize },
        FallSilent { nth: usize },
        Hear { nth: usize },
        Wait { ms: u64 },
        SetMax { max: usize },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..6_u8).prop_map(|identity| Op::Request { identity }),
            1 => (0..6_usize).prop_map(|nth| Op::Cancel { nth }),
            2 => (0..6_usize).prop_map(|nth| Op::Release { nth }),
            1 => (0..6_usize).prop_map(|nth| Op::EvictByOperator { nth }),
            2 => (0..6_usize).prop_map(|nth| Op::FallSilent { nth }),
            1 => (0..6_usize).prop_map(|nth| Op::Hear { nth }),
            4 => (1..900_u64).prop_map(|ms| Op::Wait { ms }),
            1 => (1..5_usize).prop_map(|max| Op::SetMax { max }),
        ]
    }

    /// A world around the machine: who holds, who is silent since when, who waits since when.
    struct World {
        machine: Machine,
        max: usize,
        /// Sessions at most: more than `max` while those leave that were there before it shrank.
        most: usize,
        now: Instant,
        holders: BTreeMap<SessionId, String>,
        silent_since: BTreeMap<SessionId, Instant>,
        waiting: BTreeMap<WaiterId, (String, Instant)>,
        next_waiter: WaiterId,
    }

    impl World {
        fn act(&mut self, call: impl FnOnce(&mut Machine, Instant, Silence<'_>) -> Vec<Action>) {
            let (now, silent_since) = (self.now, self.silent_since.clone());
            let silence = move |s: SessionId| silent_since.get(&s).map_or(Duration::ZERO, |t| now - *t);
            for action in call(&mut self.machine, now, &silence) {
                match action {
                    Action::Admit { waiter, session } => {
                        let (identity, since) = self.waiting.remove(&waiter).expect("admits only who waits");
                        assert!(now <= since + LAST_MOMENT, "admitted in time");
                        assert!(!self.holders.values().any(|h| *h == identity), "one slot per identity");
                        assert!(self.holders.insert(session, identity).is_none(), "session ids are fresh");
                    }
                    Action::Busy { waiter, who } => {
                        let (_, since) = self.waiting.remove(&waiter).expect("refuses only who waits");
                        assert!(now >= since + DECIDE && now <= since + LAST_MOMENT, "told in time, not sooner");
                        assert!(who.len() >= self.max, "busy only when full");
                        let silent = |s: &Slot| s.leaving.is_none() && silence(s.session) >= SILENT;
                        assert!(!self.machine.slots().iter().any(silent), "a silent slot would have been taken");
                    }
                    Action::Superseded { waiter } => {
                        assert!(self.waiting.remove(&waiter).is_some());
                    }
                    Action::Evict { session, why } => {
                        assert!(self.holders.contains_key(&session));
                        assert!(why != Eviction::Silent || silence(session) >= SILENT, "only silent slots are taken");
                    }
                    Action::GivenUp { session } => {
                        assert!(self.holders.remove(&session).is_some());
                    }
                }
            }
            let slots = self.machine.slots();
            assert!(slots.len() <= self.most, "never more sessions than slots");
            self.most = slots.len().max(self.max);
            assert!(
                slots.iter().map(|s| s.session).eq(self.holders.keys().copied()) || slots.len() == self.holders.len()
            );
            assert!(slots.iter().all(|s| self.holders.contains_key(&s.session)));
            if slots.len() < self.max {
                let needs = |(identity, _): &(String, Instant)| slots.iter().any(|s| s.identity == *identity);
                assert!(self.waiting.values().all(needs), "nobody waits beside a free slot");
            }
            assert!(self.waiting.values().all(|(_, since)| now < *since + LAST_MOMENT), "nobody waits for 1.9 s");
        }

        /// Advances as the calling rule demands.
        fn wait(&mut self, total: Duration) {
            let end = self.now + total;
            while self.now < end {
                let next = self.machine.deadline(self.now).unwrap_or(end);
                self.now = next.min(self.now + ms(100)).min(end);
                self.act(|m, now, silence| m.poll(now, silence));
            }
        }
    }

    #[test]
    fn shrunk_below_what_is_there_a_newcomer_still_gets_in() {
        let start = Instant::now();
        let mut m = Machine::new(2);
        let silent = |_: SessionId| Duration::from_secs(60);
        let loud = |_: SessionId| Duration::ZERO;
        assert_eq!(m.request(1, "a", "a", start, &loud).len() + m.request(2, "b", "b", start, &loud).len(), 2);
        assert!(m.set_max(1, start, &loud).is_empty(), "nobody is thrown out");
        let evicted = m.request(3, "c", "c", start, &silent);
        assert_eq!(evicted.len(), 2, "one slot needs both to leave: {evicted:?}");
        assert!(m.poll(start + DECIDE - ms(200), &silent).is_empty());
        let over = m.poll(start + RELEASE_WAIT, &silent);
        assert_eq!(over.len(), 3, "both are given up, and it is in: {over:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn never_stuck(max in 1..5_usize, ops in proptest::collection::vec(op(), 1..100)) {
            let mut w = World {
                machine: Machine::new(max),
                max,
                most: max,
                now: Instant::now() + Duration::from_secs(1000),
                holders: BTreeMap::new(),
                silent_since: BTreeMap::new(),
                waiting: BTreeMap::new(),
                next_waiter: 0,
            };
            let nth = |w: &World, n: usize| w.holders.keys().nth(n).copied();
            for op in ops {
                match op {
                    Op::SetMax { max } => {
                        (w.max, w.most) = (max, w.most.max(max));
                        w.act(|m, now, silence| m.set_max(max, now, silence));
                    }
                    Op::Request { identity } => {
                        w.next_waiter += 1;
                        let (id, identity) = (w.next_waiter, format!("id{identity}"));
                        w.waiting.insert(id, (identity.clone(), w.now));
                        w.act(|m, now, silence| m.request(id, &identity, &identity, now, silence));
                    }
                    Op::Cancel { nth } => {
                        if let Some(id) = w.waiting.keys().nth(nth).copied() {
                            w.waiting.remove(&id);
                            w.machine.cancelled(id);
                            w.act(|m, now, silence| m.poll(now, silence));
                        }
                    }
                    Op::Release { nth: n } => {
                        if let Some(session) = nth(&w, n) {
                            w.holders.remove(&session);
                            w.act(|m, now, silence| m.released(session, now, silence));
                        }
                    }
                    Op::EvictByOperator { nth: n } => {
                        if let Some(session) = nth(&w, n) {
                            w.act(|m, now, _| m.evict(session, now).expect("it holds a slot"));
                        }
                    }
                    Op::FallSilent { nth: n } => {
                        if let Some(session) = nth(&w, n) {
                            let now = w.now;
                            w.silent_since.entry(session).or_insert(now);
                        }
                    }
                    Op::Hear { nth: n } => {
                        if let Some(session) = nth(&w, n) {
                            w.silent_since.remove(&session);
                        }
                    }
                    Op::Wait { ms: n } => w.wait(ms(n)),
                }
            }
            w.wait(Duration::from_secs(2));
            prop_assert!(w.waiting.is_empty(), "two seconds later everybody knows");
            // After any history: with every holder silent, a newcomer is in within two seconds.
            let now = w.now;
            let all: Vec<SessionId> = w.holders.keys().copied().collect();
            w.silent_since.extend(all.into_iter().map(|s| (s, now)));
            w.next_waiter += 1;
            let id = w.next_waiter;
            w.waiting.insert(id, ("newcomer".into(), w.now));
            w.act(|m, now, silence| m.request(id, "newcomer", "newcomer", now, silence));
            w.wait(Duration::from_secs(2));
            prop_assert!(w.holders.values().any(|h| h == "newcomer"));
        }
    }
}
