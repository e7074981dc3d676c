//! A network in virtual time: deterministic, seeded, sans-IO.
//!
//! ```text
//! send ─► MTU ─► loss ─► queue (tail drop) ─► rate ─► delay + jitter (+ reorder, duplicate) ─► receive
//! ```
//!
//! A [`Link`] is one direction of a path. Loss comes before the queue, as on a radio link whose driver hands on what it
//! could not deliver; the queue drops what does not fit, as a router does.
//!
//! Calling rule: [`Link::send`] packets at rising times, [`Link::receive`] until it is `None` at each
//! [`Link::next_at`].

mod loss;
mod rng;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use punktfunk_core::Timestamp;

pub use loss::Loss;
pub use rng::Rng;

/// What a link does to packets.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Bottleneck rate in bit/s; `None` = unlimited.
    pub rate_bps: Option<u64>,
    /// Bytes that may wait for the bottleneck; more are dropped.
    pub queue_bytes: usize,
    /// One-way delay.
    pub delay: Duration,
    /// Up to this much more, uniformly; order is kept.
    pub jitter: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// Probability that a packet is overtaken: it is held back by up to [`LinkConfig::reorder_by`].
    pub reorder: f64,
    /// See [`LinkConfig::reorder`].
    pub reorder_by: Duration,
    /// Probability that a packet arrives twice.
    pub duplicate: f64,
    /// Largest packet in bytes; longer ones vanish.
    pub mtu: usize,
    /// Seed of every random decision.
    pub seed: u64,
}

impl Default for LinkConfig {
    /// A perfect link without delay.
    fn default() -> Self {
        Self {
            rate_bps: None,
            queue_bytes: usize::MAX,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            reorder: 0.0,
            reorder_by: Duration::from_millis(2),
            duplicate: 0.0,
            mtu: usize::MAX,
            seed: 1,
        }
    }
}

/// What became of the packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkStats {
    /// Packets given to [`Link::send`].
    pub sent: u64,
    /// Lost by [`LinkConfig::loss`].
    pub lost: u64,
    /// Dropped by the full queue.
    pub queue_drops: u64,
    /// Longer than the MTU.
    pub too_long: u64,
    /// Sent on twice.
    pub duplicated: u64,
    /// Handed out by [`Link::receive`], copies included.
    pub delivered: u64,
}

/// One direction of a path.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    burst: loss::State,
    /// When the bottleneck will have sent everything it accepted.
    free_at: Timestamp,
    /// Latest arrival so far among packets that keep their order.
    last_arrival: Timestamp,
    flying: BinaryHeap<Reverse<(Timestamp, u64, Packet)>>,
    serial: u64,
    spare: Vec<Packet>,
    stats: LinkStats,
}

/// A packet's bytes.
pub type Packet = Vec<u8>;

impl Link {
    /// An empty link.
    #[must_use]
    pub fn new(config: LinkConfig) -> Self {
        Self {
            rng: Rng::new(config.seed),
            config,
            burst: loss::State::default(),
            free_at: Timestamp(0),
            last_arrival: Timestamp(0),
            flying: BinaryHeap::new(),
            serial: 0,
            spare: Vec::new(),
            stats: LinkStats::default(),
        }
    }

    /// Changes the loss from now on.
    pub fn set_loss(&mut self, loss: Loss) {
        self.config.loss = loss;
    }

    /// Changes the bottleneck from now on.
    pub fn set_rate(&mut self, rate_bps: Option<u64>) {
        self.config.rate_bps = rate_bps;
    }

    /// Puts a packet on the link at `now`.
    pub fn send(&mut self, now: Timestamp, packet: &[u8]) {
        self.stats.sent += 1;
        if packet.len() > self.config.mtu {
            self.stats.too_long += 1;
            return;
        }
        if self.burst.loses(self.config.loss, &mut self.rng) {
            self.stats.lost += 1;
            return;
        }
        let start = now.max(self.free_at);
        if let Some(rate) = self.config.rate_bps {
            let waiting = start.since(now).as_nanos() * u128::from(rate) / 8_000_000_000;
            if waiting + packet.len() as u128 > self.config.queue_bytes as u128 {
                self.stats.queue_drops += 1;
                return;
            }
            let on_wire = packet.len() as u64 * 8_000_000_000 / rate.max(1);
            self.free_at = start + Duration::from_nanos(on_wire);
        } else {
            self.free_at = now;
        }
        let mut arrival = self.free_at + self.config.delay + self.rng.up_to(self.config.jitter);
        if self.rng.chance(self.config.reorder) {
            arrival = arrival + self.rng.up_to(self.config.reorder_by);
        } else {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        self.fly(arrival, packet);
        if self.rng.chance(self.config.duplicate) {
            self.stats.duplicated += 1;
            let later = arrival + self.rng.up_to(self.config.reorder_by);
            self.fly(later, packet);
        }
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next packet that has arrived by `now`. Give it back with [`Link::recycle`] to spare allocations.
    pub fn receive(&mut self, now: Timestamp) -> Option<Packet> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, _, packet)) = self.flying.pop()?;
        self.stats.delivered += 1;
        Some(packet)
    }

    /// Takes a packet's memory back.
    pub fn recycle(&mut self, packet: Packet) {
        self.spare.push(packet);
    }

    /// Totals so far.
    #[must_use]
    pub const fn stats(&self) -> &LinkStats {
        &self.stats
    }

    fn fly(&mut self, at: Timestamp, packet: &[u8]) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(packet);
        self.serial += 1;
        self.flying.push(Reverse((at, self.serial, bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Sends `count` packets of `len` bytes, `gap_ns` apart, and returns (arrival, number) in order of arrival.
    fn run(config: LinkConfig, count: u32, len: usize, gap_ns: u64) -> (Vec<(u64, u32)>, LinkStats) {
        let mut link = Link::new(config);
        for i in 0..count {
            let mut packet = vec![0; len];
            packet[..4].copy_from_slice(&i.to_le_bytes());
            link.send(Timestamp(u64::from(i) * gap_ns), &packet);
        }
        let mut out = vec![];
        while let Some(at) = link.next_at() {
            let packet = link.receive(at).expect("due");
            out.push((at.as_nanos(), u32::from_le_bytes(packet[..4].try_into().expect("4"))));
            link.recycle(packet);
        }
        (out, *link.stats())
    }

    #[test]
    fn the_same_seed_gives_the_same_network() {
        let config = LinkConfig {
            loss: Loss::Random(0.1),
            jitter: Duration::from_millis(3),
            reorder: 0.1,
            duplicate: 0.1,
            ..LinkConfig::default()
        };
        assert_eq!(run(config.clone(), 500, 100, MS), run(config.clone(), 500, 100, MS));
        assert_ne!(run(config.clone(), 500, 100, MS).0, run(LinkConfig { seed: 2, ..config }, 500, 100, MS).0);
    }

    #[test]
    fn rate_and_delay_are_exact() {
        let config = LinkConfig {
            rate_bps: Some(8_000_000), // 1 byte per µs
            delay: Duration::from_millis(5),
            ..LinkConfig::default()
        };
        let (out, _) = run(config, 3, 1000, 0);
        assert_eq!(out, [(6 * MS, 0), (7 * MS, 1), (8 * MS, 2)]);
    }

    #[test]
    fn a_full_queue_drops_its_tail() {
        let config = LinkConfig { rate_bps: Some(8_000_000), queue_bytes: 3000, ..LinkConfig::default() };
        let (out, stats) = run(config, 10, 1000, 0);
        assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(stats.queue_drops, 7);
    }

    #[test]
    fn long_packets_vanish() {
        let (out, stats) = run(LinkConfig { mtu: 1400, ..LinkConfig::default() }, 2, 1401, 0);
        assert_eq!((out.len(), stats.too_long), (0, 2));
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = LinkConfig { jitter: Duration::from_millis(5), ..LinkConfig::default() };
        let (out, _) = run(jitter, 1000, 100, MS / 10);
        assert!(out.windows(2).all(|w| w[0].1 < w[1].1));
        let reorder = LinkConfig { reorder: 0.2, ..LinkConfig::default() };
        let (out, _) = run(reorder, 1000, 100, MS / 10);
        let overtaken = out.windows(2).filter(|w| w[0].1 > w[1].1).count();
        assert!((50..400).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn duplicates_arrive_twice() {
        let (out, stats) = run(LinkConfig { duplicate: 0.25, ..LinkConfig::default() }, 4000, 100, MS);
        assert_eq!(out.len() as u64, 4000 + stats.duplicated);
        assert!((800..1200).contains(&stats.duplicated), "{}", stats.duplicated);
    }
}
