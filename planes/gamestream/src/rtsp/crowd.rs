//! Who may wait at the same time.
//!
//! A newcomer always gets in. Where that is one too many, whoever has waited longest for its own request goes: of the
//! same source if that has too many, else of the source that has most. A client sends its request at once, so only those
//! who never send one are pushed out.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The bounds, on connections whose request is not there yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrowdLimits {
    pub total: usize,
    pub per_source: usize,
}

impl Default for CrowdLimits {
    /// A client has one connection at a time; several may sit behind one address.
    fn default() -> Self {
        Self { total: 128, per_source: 32 }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Crowd {
    limits: CrowdLimits,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    total: usize,
    /// Per source, who waits, oldest first.
    sources: HashMap<IpAddr, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// A place among those who wait; dropping or settling it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    source: IpAddr,
    crowd: Option<Crowd>,
    out: oneshot::Receiver<()>,
}

impl Crowd {
    pub fn new(limits: CrowdLimits) -> Self {
        Self { limits, waiting: Arc::default() }
    }

    pub fn enter(&self, ip: IpAddr) -> Place {
        let source = source(ip);
        let (sender, out) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.sources.get(&source).map_or(0, VecDeque::len);
        if own >= self.limits.per_source {
            waiting.push_out(source);
        } else if waiting.total >= self.limits.total
            && let Some(most) = waiting.sources.iter().max_by_key(|(_, line)| line.len()).map(|(ip, _)| *ip)
        {
            waiting.push_out(most);
        }
        let id = waiting.next;
        waiting.next += 1;
        waiting.total += 1;
        waiting.sources.entry(source).or_default().push_back((id, sender));
        Place { id, source, crowd: Some(self.clone()), out }
    }
}

impl Waiting {
    /// The oldest of `source` goes.
    fn push_out(&mut self, source: IpAddr) {
        let Some((_, sender)) = self.sources.get_mut(&source).and_then(VecDeque::pop_front) else { return };
        // Its task may be on its way out by itself.
        let _ = sender.send(());
        self.total -= 1;
        self.forget(source);
    }

    fn leave(&mut self, source: IpAddr, id: u64) {
        let Some(line) = self.sources.get_mut(&source) else { return };
        let before = line.len();
        line.retain(|(other, _)| *other != id);
        self.total -= before - line.len();
        self.forget(source);
    }

    /// Sources of whom nobody waits are not kept.
    fn forget(&mut self, source: IpAddr) {
        if self.sources.get(&source).is_some_and(VecDeque::is_empty) {
            self.sources.remove(&source);
        }
    }
}

impl Place {
    /// Comes when this place was given to a newcomer.
    pub async fn pushed_out(&mut self) {
        if (&mut self.out).await.is_err() {
            // The sender is only dropped with the place.
            std::future::pending::<()>().await;
        }
    }

    /// The request is there: it waits no longer.
    pub fn settle(&mut self) {
        if let Some(crowd) = self.crowd.take() {
            crowd.waiting.lock().unwrap_or_else(PoisonError::into_inner).leave(self.source, self.id);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.settle();
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host can choose addresses from.
pub(crate) fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(place: &mut Place) -> bool {
        place.out.try_recv().is_ok()
    }

    #[test]
    fn the_oldest_of_the_largest_source_goes() {
        let crowd = Crowd::new(CrowdLimits { total: 4, per_source: 3 });
        let (many, few) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([10, 0, 0, 1]));
        let mut first: Vec<_> = (0..3).map(|_| crowd.enter(many)).collect();
        let mut lone = crowd.enter(few);
        let fourth = crowd.enter(many);
        assert!(out(&mut first[0]), "its own source had too many");
        let other = crowd.enter(IpAddr::from([10, 0, 0, 2]));
        assert!(out(&mut first[1]) && !out(&mut first[2]) && !out(&mut lone), "all had too many");
        drop((first, lone, fourth, other));
        let left = crowd.waiting.lock().unwrap();
        assert!(left.total == 0 && left.sources.is_empty(), "{left:?}");
    }

    #[test]
    fn who_has_sent_its_request_is_left_alone() {
        let crowd = Crowd::new(CrowdLimits { total: 4, per_source: 1 });
        let ip = IpAddr::from([10, 0, 0, 9]);
        let mut settled = crowd.enter(ip);
        settled.settle();
        let _newcomer = crowd.enter(ip);
        assert!(!out(&mut settled));
    }
}
