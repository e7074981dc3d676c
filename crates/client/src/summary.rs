//! What a session measured, as one value for reports.

use punktfunk_core::clock::ClockSync;
use punktfunk_core::packet::UserFlags;
use punktfunk_core::reassemble::{AccessUnit, Stats};
use punktfunk_core::{Mode, Timestamp};

use crate::latency::{Latency, Percentiles, Stage};
use crate::policy::Arrivals;

/// Counters that the session keeps itself.
#[derive(Debug)]
pub(crate) struct Counts {
    pub mode: Mode,
    pub bitrate_kbps: u32,
    pub first: Option<(u32, Timestamp)>,
    pub last: Option<(u32, Timestamp)>,
    pub received: u64,
    pub bytes: u64,
    /// Bytes of the first unit: they arrived at the start of the measured span, not in it.
    pub first_bytes: u64,
    pub keyframes: u64,
    pub repeats: u64,
    pub frozen: u64,
    pub recovered: u64,
    pub keyframe_requests: u64,
    pub invalidation_requests: u64,
    pub bitrate_requests: u64,
    pub jumps_to_live: u64,
    pub unopened_packets: u64,
    pub ignored_messages: u64,
    pub ignored_datagrams: u64,
    pub audio_packets: u64,
    pub worst_loss_ppm: u32,
}

impl Counts {
    pub(crate) fn new(mode: Mode, bitrate_kbps: u32) -> Self {
        Self {
            mode,
            bitrate_kbps,
            first: None,
            last: None,
            received: 0,
            bytes: 0,
            first_bytes: 0,
            keyframes: 0,
            repeats: 0,
            frozen: 0,
            recovered: 0,
            keyframe_requests: 0,
            invalidation_requests: 0,
            bitrate_requests: 0,
            jumps_to_live: 0,
            unopened_packets: 0,
            ignored_messages: 0,
            ignored_datagrams: 0,
            audio_packets: 0,
            worst_loss_ppm: 0,
        }
    }

    pub(crate) fn on_unit(&mut self, au: &AccessUnit, shown: bool) {
        if self.first.is_none() {
            self.first = Some((au.index, au.last_packet_at));
            self.first_bytes = au.data.len() as u64;
        }
        self.last = Some((au.index, au.last_packet_at));
        self.received += 1;
        self.bytes += au.data.len() as u64;
        self.keyframes += u64::from(au.user_flags.contains(UserFlags::KEYFRAME));
        self.repeats += u64::from(au.user_flags.contains(UserFlags::REPEAT));
        self.frozen += u64::from(!shown);
        self.recovered += u64::from(au.recovered_shards > 0);
    }

    pub(crate) fn on_window(&mut self, loss_ppm: u32) {
        self.worst_loss_ppm = self.worst_loss_ppm.max(loss_ppm);
    }
}

/// What a session measured so far.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The mode in force.
    pub mode: Mode,
    /// The wire budget in force, kbit/s; 0 unknown.
    pub bitrate_kbps: u32,
    /// Complete access units.
    pub frames_received: u64,
    /// Indices missing between the first and the last one.
    pub frames_lost: u64,
    /// Units that FEC completed.
    pub frames_recovered_by_fec: u64,
    /// Units that arrived whole but depended on lost ones.
    pub frames_frozen: u64,
    /// Keyframes.
    pub keyframes: u64,
    /// Re-encodes of an unchanged picture.
    pub repeats: u64,
    /// Bytes of access units, all of them.
    pub bytes: u64,
    /// Rate of access units between the first and the last one, bit/s.
    pub goodput_bps: u64,
    /// When the first unit was complete, on the session's clock.
    pub first_unit_at: Option<Timestamp>,
    /// Packets that opened.
    pub packets_received: u64,
    /// Packets numbered by the host that never came.
    pub packets_lost: u64,
    /// Data shards that FEC rebuilt.
    pub shards_recovered: u64,
    /// Datagrams on the data socket that are not ours, or came twice.
    pub packets_unopened: u64,
    /// Packets that opened and contradict the protocol.
    pub packets_invalid: u64,
    /// The worst 750 ms, packets lost per million.
    pub worst_loss_ppm: u32,
    /// `RequestKeyframe` sent.
    pub keyframe_requests: u64,
    /// `RfiRequest` sent.
    pub invalidation_requests: u64,
    /// `SetBitrate` sent.
    pub bitrate_requests: u64,
    /// Backlogs thrown away.
    pub jumps_to_live: u64,
    /// Control messages and datagrams that nothing here understands.
    pub ignored: u64,
    /// Audio packets.
    pub audio_packets: u64,
    /// Host clock minus ours, and the round trip it was measured with; `None` if no round was answered.
    pub clock: Option<(i64, u64)>,
    stages: [Option<Percentiles>; Stage::ALL.len()],
}

impl Summary {
    /// Of a session that never ran.
    #[must_use]
    pub fn empty(mode: Mode) -> Self {
        let counts = Counts::new(mode, 0);
        Self::new(&counts, &Latency::new(), &Stats::default(), &Arrivals::default(), &ClockSync::new())
    }

    pub(crate) fn new(
        counts: &Counts,
        latency: &Latency,
        stats: &Stats,
        arrivals: &Arrivals,
        clock: &ClockSync,
    ) -> Self {
        let (lost, goodput_bps) = match (counts.first, counts.last) {
            (Some((first, from)), Some((last, to))) => {
                let span = u64::from(last.wrapping_sub(first)) + 1;
                let nanos = to.since(from).as_nanos();
                let bits = u128::from(counts.bytes - counts.first_bytes) * 8_000_000_000;
                let rate = bits.checked_div(nanos).unwrap_or(0);
                (span.saturating_sub(counts.received), u64::try_from(rate).unwrap_or(u64::MAX))
            }
            _ => (0, 0),
        };
        Self {
            mode: counts.mode,
            bitrate_kbps: counts.bitrate_kbps,
            frames_received: counts.received,
            frames_lost: lost,
            frames_recovered_by_fec: counts.recovered,
            frames_frozen: counts.frozen,
            keyframes: counts.keyframes,
            repeats: counts.repeats,
            bytes: counts.bytes,
            goodput_bps,
            first_unit_at: counts.first.map(|(_, at)| at),
            packets_received: arrivals.received(),
            packets_lost: arrivals.missing(),
            shards_recovered: stats.recovered_shards,
            packets_unopened: counts.unopened_packets,
            packets_invalid: stats.malformed + stats.out_of_limits + stats.mismatched,
            worst_loss_ppm: counts.worst_loss_ppm,
            keyframe_requests: counts.keyframe_requests,
            invalidation_requests: counts.invalidation_requests,
            bitrate_requests: counts.bitrate_requests,
            jumps_to_live: counts.jumps_to_live,
            ignored: counts.ignored_messages + counts.ignored_datagrams,
            audio_packets: counts.audio_packets,
            clock: clock.best_rtt_ns().map(|rtt_ns| (clock.offset_ns(), rtt_ns)),
            stages: Stage::ALL.map(|stage| latency.of(stage)),
        }
    }

    /// The percentiles of a stage; `None` if nothing was measured.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Option<Percentiles> {
        self.stages[stage as usize]
    }
}
