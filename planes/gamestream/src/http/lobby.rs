//! Connections that have not asked for anything yet, and requests that are not answered yet: bounded, in all and per
//! source.
//!
//! A connection is *half-open* from its first packet until its request head was read. When there are too many, the oldest
//! one of the longest line goes, so that a newcomer always gets its turn: a real client asks within a round trip, one that
//! holds connections open does not. Each port has its own lines: the two accept side by side, and what still waits to be
//! accepted on one of them came earlier than who is already in on the other.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use punktfunk_hub::pairing::source_of;
use tokio::sync::Notify;

use super::lock;

/// The bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Half-open connections in all.
    pub half_open: usize,
    /// Half-open connections of one source on one port.
    pub half_open_per_source: usize,
    /// Requests being answered, in all. A pairing waits in here for its PIN.
    pub requests: usize,
    /// Requests of one source being answered.
    pub requests_per_source: usize,
    /// From the first packet to the end of the request head, the TLS handshake included.
    pub head: Duration,
    /// For taking an answer that is ready.
    pub answer: Duration,
}

impl Default for Limits {
    /// A client opens a handful of connections at once. The totals stay well below the usual 1024 descriptors.
    fn default() -> Self {
        Self {
            half_open: 192,
            half_open_per_source: 48,
            requests: 128,
            requests_per_source: 32,
            head: Duration::from_secs(10),
            answer: Duration::from_secs(10),
        }
    }
}

/// Counts connections and requests.
#[derive(Debug)]
pub(super) struct Lobby {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    half_open: VecDeque<Entry>,
    next_id: u64,
    requests: HashMap<IpAddr, usize>,
}

/// The half-open connections of one source on one port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Line {
    source: IpAddr,
    secure: bool,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    line: Line,
    /// It has sent something.
    spoke: bool,
    evict: Arc<Notify>,
}

impl Lobby {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes a new connection in, from `address` on the HTTPS port (`secure`) or the other; `spoke`: its first bytes are
    /// there. Somebody else may have to go.
    pub fn enter(self: &Arc<Self>, address: IpAddr, secure: bool, spoke: bool) -> Guest {
        let (source, evict) = (source_of(address), Arc::new(Notify::new()));
        let line = Line { source, secure };
        let mut state = lock(&self.state);
        if state.half_open.iter().filter(|e| e.line == line).count() >= self.limits.half_open_per_source {
            state.evict_oldest(line);
        } else if state.half_open.len() >= self.limits.half_open {
            let mut counts = HashMap::new();
            state.half_open.iter().for_each(|e| *counts.entry(e.line).or_insert(0) += 1);
            if let Some((longest, _)) = counts.into_iter().max_by_key(|(_, n): &(_, usize)| *n) {
                state.evict_oldest(longest);
            }
        }
        state.next_id += 1;
        let id = state.next_id;
        state.half_open.push_back(Entry { id, line, spoke, evict: Arc::clone(&evict) });
        Guest { lobby: Arc::clone(self), id, source, evict }
    }
}

impl State {
    /// Whoever is silent goes before those who are in the middle of their request: a crowd that never says a word does not
    /// push out a client behind the same address.
    fn evict_oldest(&mut self, line: Line) {
        let silent = self.half_open.iter().position(|e| e.line == line && !e.spoke);
        if let Some(index) = silent.or_else(|| self.half_open.iter().position(|e| e.line == line))
            && let Some(entry) = self.half_open.remove(index)
        {
            // A permit stays if it does not wait yet.
            entry.evict.notify_one();
        }
    }
}

/// The place of a half-open connection.
#[derive(Debug)]
pub(super) struct Guest {
    lobby: Arc<Lobby>,
    id: u64,
    source: IpAddr,
    evict: Arc<Notify>,
}

impl Guest {
    /// Notified once when this connection must make room.
    pub fn eviction(&self) -> Arc<Notify> {
        Arc::clone(&self.evict)
    }

    /// Its first bytes are there.
    pub fn spoke(&self) {
        let mut state = lock(&self.lobby.state);
        if let Some(entry) = state.half_open.iter_mut().find(|e| e.id == self.id) {
            entry.spoke = true;
        }
    }

    /// The request is read: gives the place back for one among the requests; `None` when there are too many.
    pub fn asks(self) -> Option<Asking> {
        let (lobby, source) = (Arc::clone(&self.lobby), self.source);
        drop(self);
        let mut state = lock(&lobby.state);
        let total: usize = state.requests.values().sum();
        let own = state.requests.get(&source).copied().unwrap_or(0);
        if total >= lobby.limits.requests || own >= lobby.limits.requests_per_source {
            return None;
        }
        *state.requests.entry(source).or_default() += 1;
        drop(state);
        Some(Asking { lobby, source })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        lock(&self.lobby.state).half_open.retain(|e| e.id != self.id);
    }
}

/// The place of a request that is being answered.
#[derive(Debug)]
pub(super) struct Asking {
    lobby: Arc<Lobby>,
    source: IpAddr,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut state = lock(&self.lobby.state);
        if let Some(count) = state.requests.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                state.requests.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lobby() -> Arc<Lobby> {
        let limits =
            Limits { half_open: 6, half_open_per_source: 3, requests: 4, requests_per_source: 2, ..Limits::default() };
        Lobby::new(limits)
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    async fn evicted(guest: &Guest) -> bool {
        tokio::time::timeout(Duration::ZERO, guest.evict.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_of_a_crowd_goes_and_a_quiet_one_stays() {
        let lobby = lobby();
        let quiet = lobby.enter(ip(1), false, false);
        let crowd: Vec<_> = (0..5).map(|_| lobby.enter(ip(9), false, false)).collect();
        let mut gone = Vec::new();
        for guest in &crowd {
            gone.push(evicted(guest).await);
        }
        assert_eq!(gone, [true, true, false, false, false]);
        let other: Vec<_> = (2..=5).map(|n| lobby.enter(ip(n), false, false)).collect();
        assert!(evicted(&crowd[2]).await, "in all too many: the crowd pays");
        assert!(!evicted(&quiet).await && !evicted(&other[0]).await);
        drop((quiet, crowd, other));
        assert!(lock(&lobby.state).half_open.is_empty());
    }

    #[tokio::test]
    async fn the_silent_go_before_those_who_speak() {
        let lobby = lobby();
        let client = lobby.enter(ip(9), false, false);
        client.spoke();
        let crowd: Vec<_> = (0..20).map(|_| lobby.enter(ip(9), false, false)).collect();
        assert!(!evicted(&client).await && evicted(&crowd[0]).await && evicted(&crowd[17]).await);
        crowd[18..].iter().for_each(Guest::spoke);
        let newcomer = lobby.enter(ip(9), false, false);
        assert!(evicted(&client).await && !evicted(&newcomer).await, "all speak: the oldest goes");
    }

    #[tokio::test]
    async fn who_spoke_before_it_was_accepted_stays_and_the_other_port_is_another_line() {
        let lobby = lobby();
        let (client, waits) = (lobby.enter(ip(9), false, true), lobby.enter(ip(9), true, false));
        let crowd: Vec<_> = (0..20).map(|_| lobby.enter(ip(9), false, false)).collect();
        assert!(evicted(&crowd[0]).await, "too many");
        assert!(!evicted(&client).await && !evicted(&waits).await);
    }

    #[tokio::test]
    async fn requests_are_bounded_and_places_come_back() {
        let lobby = lobby();
        let ask = |n| lobby.enter(ip(n), false, false).asks();
        let held = (ask(1), ask(1), ask(2), ask(3));
        assert!(held.0.is_some() && held.3.is_some());
        assert!(ask(4).is_none(), "in all");
        drop(held.3);
        assert!(ask(1).is_none(), "of one source");
        assert!(ask(4).is_some());
        drop((held.0, held.1, held.2));
        assert!(lock(&lobby.state).requests.is_empty());
    }
}
