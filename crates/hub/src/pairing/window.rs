//! The PIN window as a pure state machine: time comes in, the PIN comes in, decisions go out.
//!
//! ```text
//! Closed ── arm ──► Armed(pin, until, bound?) ── consume | disarm | expiry ──► Closed
//! attempt:  Closed ─► NotArmed      bound to another ─► BoundToOther      under 2 s since the last admitted attempt, or
//!           a source that spent its allowance ─► RateLimited      else admitted
//! ```
//!
//! An admitted attempt is charged to everybody (the 2 s); every other attempt is charged to its own source only, so that
//! a neighbour who knocks at a closed door blocks nobody but himself (punktfunk1.md §2.5, §10.4 row 2).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use punktfunk_core::Fingerprint;

use super::PairRefusal;
use super::sources::Sources;

/// The window and what it remembers of attempts.
#[derive(Debug, Default)]
pub(super) struct Gate {
    window: Option<Window>,
    /// Rises with every window, so that an attempt can only consume the window that admitted it.
    generation: u64,
    last_admitted: Option<Instant>,
    sources: Sources,
}

#[derive(Debug)]
pub(super) struct Window {
    pub pin: String,
    pub until: Instant,
    pub bound: Option<Fingerprint>,
}

impl Gate {
    /// Opens a window; an open one is replaced.
    pub fn arm(&mut self, pin: String, length: Duration, bound: Option<Fingerprint>, now: Instant) {
        self.generation += 1;
        self.window = Some(Window { pin, until: now + length, bound });
    }

    /// The open window.
    pub fn window(&self, now: Instant) -> Option<&Window> {
        self.window.as_ref().filter(|w| now < w.until)
    }

    /// Forgets a window that has run out; tells whether there was one.
    pub fn expire(&mut self, now: Instant) -> bool {
        let expired = self.window.as_ref().is_some_and(|w| now >= w.until);
        if expired {
            self.window = None;
        }
        expired
    }

    /// Closes the window; tells whether one was open.
    pub fn disarm(&mut self, now: Instant) -> bool {
        self.window.take().is_some_and(|w| now < w.until)
    }

    /// May this attempt try the PIN? Answers with the window's generation and PIN.
    pub fn attempt(&mut self, who: &Fingerprint, source: IpAddr, now: Instant) -> Result<(u64, String), PairRefusal> {
        match self.decide(who, source, now) {
            Ok(admitted) => {
                self.last_admitted = Some(now);
                Ok(admitted)
            }
            Err(refusal) => {
                self.sources.charge(source, now);
                Err(refusal)
            }
        }
    }

    fn decide(&self, who: &Fingerprint, source: IpAddr, now: Instant) -> Result<(u64, String), PairRefusal> {
        let window = self.window(now).ok_or(PairRefusal::NotArmed)?;
        match window.bound {
            Some(bound) if bound != *who => return Err(PairRefusal::BoundToOther),
            // The window is for this very device: what others behind its address did does not count.
            Some(_) => {}
            None if !self.sources.may_try(source, now) => return Err(PairRefusal::RateLimited),
            None => {}
        }
        match self.last_admitted {
            Some(last) if now.saturating_duration_since(last) < COOLDOWN => Err(PairRefusal::RateLimited),
            _ => Ok((self.generation, window.pin.clone())),
        }
    }

    /// Spends the window of this generation; false if it is not open any more.
    pub fn consume(&mut self, generation: u64, now: Instant) -> bool {
        self.generation == generation && self.disarm(now)
    }
}

/// punktfunk1.md §2.5.
pub(super) const COOLDOWN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sources::{MAX_SOURCES, REFILL};
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const NEIGHBOUR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 66));
    const WINDOW: Duration = Duration::from_secs(120);

    fn fp(n: u8) -> Fingerprint {
        Fingerprint([n; 32])
    }

    #[test]
    fn refusals_come_in_the_order_of_the_specification() {
        let (mut gate, t) = (Gate::default(), Instant::now());
        assert_eq!(gate.attempt(&fp(1), HOME, t), Err(PairRefusal::NotArmed));
        gate.arm("0042".into(), WINDOW, Some(fp(1)), t);
        assert_eq!(gate.attempt(&fp(2), HOME, t), Err(PairRefusal::BoundToOther));
        assert!(gate.window(t).is_some(), "a refused attempt leaves the window open");
        assert_eq!(gate.attempt(&fp(1), HOME, t), Ok((1, "0042".into())));
        assert_eq!(gate.attempt(&fp(1), HOME, t), Err(PairRefusal::RateLimited));
        assert_eq!(gate.attempt(&fp(2), HOME, t), Err(PairRefusal::BoundToOther), "before the cooldown");
        assert!(gate.consume(1, t));
        assert!(!gate.consume(1, t), "single use");
        assert_eq!(gate.attempt(&fp(1), HOME, t + COOLDOWN), Err(PairRefusal::NotArmed));
    }

    #[test]
    fn a_neighbour_at_a_closed_door_blocks_only_himself() {
        let (mut gate, t) = (Gate::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(gate.attempt(&fp(9), NEIGHBOUR, t), Err(PairRefusal::NotArmed));
        }
        gate.arm("1234".into(), WINDOW, None, t);
        assert_eq!(gate.attempt(&fp(9), NEIGHBOUR, t), Err(PairRefusal::RateLimited));
        assert!(gate.attempt(&fp(1), HOME, t).is_ok(), "no cooldown was started by the neighbour");
        assert!(gate.attempt(&fp(9), NEIGHBOUR, t + REFILL).is_ok(), "he pays back with time");
    }

    #[test]
    fn a_flood_from_many_addresses_stays_bounded_and_one_ipv6_subscriber_is_one_source() {
        let (mut gate, t) = (Gate::default(), Instant::now());
        for i in 0..3000_u32 {
            let _ = gate.attempt(&fp(9), IpAddr::V4((0x0a00_0000 + i).into()), t);
        }
        assert!(gate.sources.0.len() <= MAX_SOURCES);
        let mut gate = Gate::default();
        for i in 0..3000_u128 {
            let _ = gate.attempt(&fp(9), IpAddr::V6((0x2001_0db8_u128 << 96 | i).into()), t);
        }
        assert_eq!(gate.sources.0.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Arm { seconds: u64, bound: Option<u8> },
        Disarm,
        Attempt { who: u8, source: u8 },
        Consume { attempt: usize },
        Wait { ms: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (15..=600_u64, proptest::option::of(0..3_u8)).prop_map(|(seconds, bound)| Op::Arm { seconds, bound }),
            Just(Op::Disarm),
            (0..3_u8, 0..3_u8).prop_map(|(who, source)| Op::Attempt { who, source }),
            (0..3_u8, 0..3_u8).prop_map(|(who, source)| Op::Attempt { who, source }),
            (0..8_usize).prop_map(|attempt| Op::Consume { attempt }),
            (0..4000_u64).prop_map(|ms| Op::Wait { ms }),
            (0..200_000_u64).prop_map(|ms| Op::Wait { ms }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn whatever_happens_a_window_serves_one_device_once(ops in proptest::collection::vec(op(), 1..80)) {
            let start = Instant::now();
            let (mut gate, mut now) = (Gate::default(), start);
            let mut admitted: Vec<(u64, u8)> = Vec::new();
            let mut consumed = std::collections::BTreeSet::new();
            let mut last_admitted: Option<Instant> = None;
            // The model: generation, end and owner of the open window.
            let mut open: Option<(u64, Instant, Option<u8>)> = None;
            let mut generation = 0;
            for op in ops {
                match op {
                    Op::Arm { seconds, bound } => {
                        gate.arm("0000".into(), Duration::from_secs(seconds), bound.map(fp), now);
                        generation += 1;
                        open = Some((generation, now + Duration::from_secs(seconds), bound));
                    }
                    Op::Disarm => {
                        prop_assert_eq!(gate.disarm(now), open.take().is_some());
                    }
                    Op::Attempt { who, source } => {
                        let source = IpAddr::V4([10, 0, 0, source].into());
                        let result = gate.attempt(&fp(who), source, now);
                        match (&result, open) {
                            (Ok((g, _)), Some((current, _, bound))) => {
                                prop_assert_eq!(*g, current);
                                prop_assert!(bound.is_none_or(|b| b == who));
                                prop_assert!(last_admitted.is_none_or(|l| now - l >= COOLDOWN));
                                last_admitted = Some(now);
                                admitted.push((*g, who));
                            }
                            (Ok(_), None) => prop_assert!(false, "admitted without a window"),
                            (Err(PairRefusal::NotArmed), window) => prop_assert!(window.is_none()),
                            (Err(PairRefusal::BoundToOther), window) => {
                                prop_assert!(window.is_some_and(|(_, _, b)| b.is_some_and(|b| b != who)));
                            }
                            (Err(PairRefusal::RateLimited), window) => prop_assert!(window.is_some()),
                        }
                    }
                    Op::Consume { attempt } => {
                        let Some((g, _)) = admitted.get(attempt).copied() else { continue };
                        let done = gate.consume(g, now);
                        prop_assert_eq!(done, open.is_some_and(|(current, ..)| current == g));
                        if done {
                            prop_assert!(consumed.insert(g), "one attempt per window");
                            open = None;
                        }
                    }
                    Op::Wait { ms } => now += Duration::from_millis(ms),
                }
                if open.is_some_and(|(_, until, _)| now >= until) {
                    open = None;
                }
                prop_assert_eq!(gate.window(now).is_some(), open.is_some());
            }
            // Never stuck: in a fresh window, a device from a source nobody used gets its attempt once the cooldown is over.
            now += COOLDOWN;
            gate.arm("0000".into(), WINDOW, None, now);
            prop_assert!(gate.attempt(&fp(7), IpAddr::V4([10, 9, 9, 9].into()), now).is_ok());
        }
    }
}
