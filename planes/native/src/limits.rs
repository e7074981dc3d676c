//! Who may be in a handshake at the same time.
//!
//! A connection is *pending* from its first packet until its first message was judged. Pending ones are bounded in all
//! and per source, so that a neighbour who opens many cannot keep others out; under load a client must first prove its
//! address (QUIC Retry), so that forged sources cost the forger a round trip and us nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use punktfunk_hub::pairing::source_of;

/// What to do with a new arrival.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// Go on; keep the guard while the connection is pending.
    Admit(Pending),
    /// Let it prove its address first.
    Retry,
    /// Too many already, from this source or in all.
    Refuse,
}

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Pending connections in all.
    pub total: usize,
    /// Pending connections of one source.
    pub per_source: usize,
    /// From so many pending ones on, addresses must be proven.
    pub retry_from: usize,
}

impl Default for Limits {
    /// A household's devices reconnecting at once after a power cut are far below this; 16 handshakes of one source
    /// cover a client that dials several times, or several clients behind one NAT.
    fn default() -> Self {
        Self { total: 128, per_source: 16, retry_from: 32 }
    }
}

/// Counts pending connections.
#[derive(Clone, Debug)]
pub(crate) struct Doorman {
    limits: Limits,
    pending: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Doorman {
    pub fn new(limits: Limits) -> Self {
        Self { limits, pending: Arc::default() }
    }

    /// Judges an arrival from `ip`, whose address is proven or not.
    pub fn judge(&self, ip: IpAddr, proven: bool) -> Judgement {
        let source = source_of(ip);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = pending.values().sum();
        if !proven && total >= self.limits.retry_from {
            return Judgement::Retry;
        }
        let own = pending.get(&source).copied().unwrap_or(0);
        if total >= self.limits.total || own >= self.limits.per_source {
            return Judgement::Refuse;
        }
        *pending.entry(source).or_default() += 1;
        Judgement::Admit(Pending { source, pending: Arc::clone(&self.pending) })
    }
}

/// Holds the place of one pending connection.
#[derive(Debug)]
pub(crate) struct Pending {
    source: IpAddr,
    pending: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pending.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { total: 6, per_source: 3, retry_from: 5 };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_cannot_keep_others_out_and_places_come_back() {
        let doorman = Doorman::new(SMALL);
        let neighbour: Vec<_> = (0..3).map(|_| doorman.judge(ip("10.0.0.9"), true)).collect();
        assert!(neighbour.iter().all(|j| matches!(j, Judgement::Admit(_))));
        assert!(matches!(doorman.judge(ip("10.0.0.9"), true), Judgement::Refuse));
        assert!(matches!(doorman.judge(ip("10.0.0.1"), true), Judgement::Admit(_)));
        drop(neighbour);
        assert!(matches!(doorman.judge(ip("10.0.0.9"), true), Judgement::Admit(_)));
        assert!(doorman.pending.lock().unwrap().is_empty(), "every guard is gone, so is every count");
    }

    #[test]
    fn under_load_addresses_must_be_proven_and_the_total_is_bounded() {
        let doorman = Doorman::new(SMALL);
        let held: Vec<_> = (0..5u8).map(|i| doorman.judge(IpAddr::from([10, 0, 0, i]), false)).collect();
        assert!(held.iter().all(|j| matches!(j, Judgement::Admit(_))));
        assert!(matches!(doorman.judge(ip("10.0.1.1"), false), Judgement::Retry));
        let sixth = doorman.judge(ip("10.0.1.1"), true);
        assert!(matches!(sixth, Judgement::Admit(_)));
        assert!(matches!(doorman.judge(ip("10.0.1.2"), true), Judgement::Refuse));
    }
}
