//! When packets may leave (punktfunk1.md §5.10), sans-IO.
//!
//! A frame's first burst leaves at once: 10 ms worth at pace rate, clamped to 16–256 KiB, learned down when the network
//! loses packets. The rest follows in groups of max(16 packets, 500 µs worth) at three times the bitrate, or faster
//! where that would not fit the frame interval. A bucket carries over from frame to frame, so that frames released
//! back to back do not add up to a larger burst.
//!
//! Calling rule: [`Pacer::plan`] once per frame, then [`Pacer::next`] with what was sent until it says `count == 0`.

use core::time::Duration;

use crate::Timestamp;

/// What may be sent next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// Packets of this group; 0 when the frame is done.
    pub count: usize,
    /// When the group may leave.
    pub not_before: Timestamp,
}

/// The pacer of one session.
#[derive(Debug)]
pub struct Pacer {
    plan: Plan,
    /// Largest burst that has proved safe, in bytes.
    burst_cap: usize,
    /// When the bucket was last looked at, and what it held, in bytes.
    bucket: Option<(Timestamp, usize)>,
}

/// One frame's schedule.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    start: Timestamp,
    packets: usize,
    /// Packets of the first burst.
    burst: usize,
    group: usize,
    /// Nanoseconds per packet after the burst.
    packet_ns: u64,
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new()
    }
}

impl Pacer {
    /// A pacer with a full bucket.
    #[must_use]
    pub const fn new() -> Self {
        let plan = Plan { start: Timestamp(0), packets: 0, burst: 0, group: 1, packet_ns: 0 };
        Self { plan, burst_cap: MAX_BURST_BYTES, bucket: None }
    }

    /// Plans a frame of `packets` × `packet_bytes` that is ready at `frame_start`. `bitrate_bps` is the session's rate,
    /// 0 = unknown: then only the interval sets the pace.
    pub fn plan(
        &mut self,
        frame_start: Timestamp,
        packets: usize,
        packet_bytes: usize,
        bitrate_bps: u64,
        frame_interval: Duration,
    ) {
        let window = frame_interval.clamp(MIN_WINDOW, MAX_WINDOW) * 9 / 10;
        let bytes = packets * packet_bytes;
        let fit_bps = per_second(bytes, window);
        let pace_bps = (3 * bitrate_bps).max(fit_bps).max(MIN_PACE_BPS);

        let worth = (pace_bps / 8 / 100) as usize; // 10 ms of it
        let full = worth.clamp(MIN_BURST_BYTES, self.burst_cap);
        let credit = match self.bucket {
            None => full,
            Some((at, held)) => {
                let refill = frame_start.since(at).as_nanos() * u128::from(pace_bps) / 8_000_000_000;
                full.min(held.saturating_add(usize::try_from(refill).unwrap_or(usize::MAX)))
            }
        };
        let per_packet = packet_bytes.max(1);
        let burst = (credit / per_packet).min(packets);
        let group_bytes = (pace_bps / 8 / 2000) as usize; // 500 µs of it
        self.plan = Plan {
            start: frame_start,
            packets,
            burst,
            group: (group_bytes / per_packet).max(MIN_GROUP_PACKETS),
            packet_ns: per_packet as u64 * 8_000_000_000 / pace_bps,
        };
        let rest = packets - burst;
        let end = frame_start + Duration::from_nanos(rest as u64 * self.plan.packet_ns);
        let left = if rest == 0 { credit - burst * per_packet } else { 0 };
        self.bucket = Some((end, left));
    }

    /// What may leave after `sent` packets of the planned frame have.
    #[must_use]
    pub fn next(&self, sent: usize) -> Release {
        let plan = &self.plan;
        let left = plan.packets.saturating_sub(sent);
        if sent < plan.burst {
            return Release { count: (plan.burst - sent).min(left), not_before: plan.start };
        }
        let count = plan.group.min(left);
        let paced = (sent - plan.burst + count) as u64;
        Release { count, not_before: plan.start + Duration::from_nanos(paced * plan.packet_ns) }
    }

    /// The receiver reported `ppm` lost packets over a report window. Real loss halves the burst, a clean window lets it
    /// grow back slowly.
    pub fn on_loss(&mut self, ppm: u32) {
        self.burst_cap = if ppm >= LOSS_THAT_COUNTS_PPM {
            (self.burst_cap / 2).max(MIN_BURST_BYTES)
        } else {
            (self.burst_cap + self.burst_cap / 16).min(MAX_BURST_BYTES)
        };
    }

    /// The largest burst at present, in bytes.
    #[must_use]
    pub const fn burst_bytes(&self) -> usize {
        self.burst_cap
    }
}

fn per_second(bytes: usize, window: Duration) -> u64 {
    let bits = bytes as u128 * 8 * 1_000_000_000;
    u64::try_from(bits / window.as_nanos().max(1)).unwrap_or(u64::MAX)
}

/// The smallest first burst: ten packets, which every path takes.
const MIN_BURST_BYTES: usize = 16 << 10;
/// The largest first burst: half of the usual socket buffer.
const MAX_BURST_BYTES: usize = 256 << 10;
/// Groups below this waste the segmentation offload.
const MIN_GROUP_PACKETS: usize = 16;
/// Shorter intervals than that of 1000 Hz are measurement noise.
const MIN_WINDOW: Duration = Duration::from_millis(1);
/// A slow stream still sends its frame within this.
const MAX_WINDOW: Duration = Duration::from_millis(100);
/// Three times the lowest bitrate of the protocol, 500 kbit/s: keeps a tiny frame from trickling.
const MIN_PACE_BPS: u64 = 1_500_000;
/// Two lost packets in five hundred: below that, loss says nothing about our bursts.
const LOSS_THAT_COUNTS_PPM: u32 = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends a whole frame and returns (time, packets) of each group.
    fn drain(pacer: &Pacer) -> alloc::vec::Vec<(Timestamp, usize)> {
        let (mut sent, mut out) = (0, alloc::vec![]);
        loop {
            let r = pacer.next(sent);
            if r.count == 0 {
                return out;
            }
            sent += r.count;
            out.push((r.not_before, r.count));
        }
    }

    #[test]
    fn a_small_frame_leaves_at_once() {
        let mut p = Pacer::new();
        p.plan(Timestamp(5), 44, 1472, 20_000_000, 16 * MS);
        assert_eq!(drain(&p), [(Timestamp(5), 44)]);
    }

    #[test]
    fn a_large_frame_is_spread_within_its_interval() {
        let mut p = Pacer::new();
        let start = Timestamp(1_000_000);
        p.plan(start, 700, 1472, 20_000_000, Duration::from_micros(16_667));
        let groups = drain(&p);
        assert_eq!(groups.iter().map(|g| g.1).sum::<usize>(), 700);
        assert_eq!(groups[0].0, start);
        assert!(groups[0].1 * 1472 <= MAX_BURST_BYTES);
        assert!(groups[1..].iter().all(|g| g.1 <= 64), "{groups:?}");
        assert!(groups.windows(2).all(|w| w[0].0 < w[1].0), "{groups:?}");
        let last = groups.last().expect("groups").0;
        assert!(last.since(start) <= Duration::from_micros(16_667), "{last:?}");
    }

    #[test]
    fn back_to_back_frames_share_one_bucket() {
        let mut p = Pacer::new();
        p.plan(Timestamp(0), 100, 1472, 50_000_000, 8 * MS);
        let first = drain(&p)[0].1;
        p.plan(Timestamp(1000), 100, 1472, 50_000_000, 8 * MS);
        let second = p.next(0);
        assert_eq!(first, 100);
        assert!(second.count < 100, "{second:?}");
        // After a pause the bucket is full again.
        p.plan(Timestamp(1_000_000_000), 100, 1472, 50_000_000, 8 * MS);
        assert_eq!(p.next(0).count, 100);
    }

    #[test]
    fn loss_shrinks_the_burst_and_quiet_lets_it_grow_back() {
        let mut p = Pacer::new();
        for _ in 0..10 {
            p.on_loss(20_000);
        }
        assert_eq!(p.burst_bytes(), MIN_BURST_BYTES);
        for _ in 0..100 {
            p.on_loss(0);
        }
        assert_eq!(p.burst_bytes(), MAX_BURST_BYTES);
    }
}
