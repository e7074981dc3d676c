//! What each source of pairing attempts may still do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What each source may still do: a small allowance that refills.
#[derive(Debug, Default)]
pub(super) struct Sources(pub(super) BTreeMap<IpAddr, Spent>);

#[derive(Debug)]
pub(super) struct Spent {
    /// Attempts not yet paid back, as of `at`.
    attempts: u32,
    at: Instant,
}

impl Sources {
    /// Whether this source has some of its allowance left.
    pub fn may_try(&self, source: IpAddr, now: Instant) -> bool {
        self.0.get(&source_of(source)).is_none_or(|s| s.left(now) < ALLOWANCE)
    }

    /// Takes one attempt off its allowance.
    pub fn charge(&mut self, source: IpAddr, now: Instant) {
        let source = source_of(source);
        if self.0.len() >= MAX_SOURCES && !self.0.contains_key(&source) {
            self.0.retain(|_, s| s.left(now) > 0);
            if self.0.len() >= MAX_SOURCES
                && let Some(oldest) = self.0.iter().min_by_key(|(_, s)| s.at).map(|(a, _)| *a)
            {
                self.0.remove(&oldest);
            }
        }
        let spent = self.0.entry(source).or_insert(Spent { attempts: 0, at: now });
        spent.attempts = (spent.left(now) + 1).min(ALLOWANCE);
        spent.at = now;
    }
}

impl Spent {
    fn left(&self, now: Instant) -> u32 {
        let refilled = now.saturating_duration_since(self.at).as_secs() / REFILL.as_secs();
        self.attempts.saturating_sub(u32::try_from(refilled).unwrap_or(u32::MAX))
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 subscriber has to himself.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// Attempts a source may make at a closed door before it has to wait even at an open one: a person who retries twice a
/// second for some seconds stays below it.
pub(super) const ALLOWANCE: u32 = 10;
/// One attempt is forgiven per this time: as fast as the cooldown of windows lets anybody try.
pub(super) const REFILL: Duration = super::window::COOLDOWN;
/// Bounds the memory; a flood from more addresses than this makes the oldest be forgotten first.
pub(super) const MAX_SOURCES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source_and_mapped_ones_are_ipv4() {
        let source = |text: &str| source_of(text.parse().expect("an address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
    }
}
