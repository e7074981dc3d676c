//! What of the wire budget is video, as loss and budget change.

use punktfunk_core::fec::Strength;
use punktfunk_core::rate::{FecController, split_bitrate};

use crate::plan::{SessionPlan, clamp_kbps};

/// The budget of a session.
#[derive(Debug)]
pub(super) struct Budget {
    wire_kbps: u32,
    default_kbps: u32,
    max_kbps: u32,
    audio_bps: u64,
    shard_payload: u16,
    fec: FecController,
    /// Recovery in per cent of the data, measured; at the start as planned.
    overhead_percent: u32,
    video_bps: u32,
}

impl Budget {
    pub fn new(plan: &SessionPlan, shard_payload: u16, audio_bps: u64) -> Self {
        let mut budget = Self {
            wire_kbps: plan.wire_kbps,
            default_kbps: plan.default_kbps,
            max_kbps: plan.max_kbps,
            audio_bps,
            shard_payload,
            // An operator who plans without recovery wants none.
            fec: if plan.fec_percent == 0 {
                FecController::fixed(0)
            } else {
                FecController::adaptive_from(plan.fec_percent)
            },
            overhead_percent: plan.fec_percent.into(),
            video_bps: 0,
        };
        budget.video_bps = budget.split();
        budget
    }

    pub const fn wire_kbps(&self) -> u32 {
        self.wire_kbps
    }

    pub fn wire_bps(&self) -> u64 {
        u64::from(self.wire_kbps) * 1000
    }

    /// What the encoder is to spend, in bit/s.
    pub const fn video_bps(&self) -> u32 {
        self.video_bps
    }

    pub const fn strength(&self) -> Strength {
        self.fec.strength()
    }

    /// The client wants another wire budget. Returns whether the encoder must be told.
    pub fn set_wire(&mut self, kbps: u32) -> bool {
        self.wire_kbps = clamp_kbps(kbps, self.default_kbps, self.max_kbps);
        let before = self.video_bps;
        self.video_bps = self.split();
        self.video_bps != before
    }

    /// A loss report over a window of `packets`; `overhead_permille` is what recovery took of late, 0 = not measured.
    /// Returns whether the encoder must be told of a new share.
    pub fn on_loss(&mut self, ppm: u32, packets: u32, overhead_permille: u32) -> bool {
        self.fec.on_report(ppm, packets);
        if overhead_permille > 0 {
            self.overhead_percent = overhead_permille.div_ceil(10);
        }
        let next = self.split();
        // Small drifts are not worth a change of the encoder's rate control.
        if next.abs_diff(self.video_bps) <= self.video_bps / DRIFT_DIVISOR {
            return false;
        }
        self.video_bps = next;
        true
    }

    /// The client lost a frame in spite of recovery.
    pub fn on_frame_lost(&mut self) {
        self.fec.on_frame_lost();
    }

    fn split(&self) -> u32 {
        let video = split_bitrate(self.wire_bps(), self.audio_bps, self.shard_payload, self.overhead_percent);
        u32::try_from(video).unwrap_or(u32::MAX).max(MIN_VIDEO_BPS)
    }
}

/// Three per cent.
const DRIFT_DIVISOR: u32 = 33;
/// Encoders refuse a bitrate of nothing; audio alone may eat a tiny budget.
const MIN_VIDEO_BPS: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::Mode;
    use punktfunk_media::{Codec, Colour};

    fn plan(wire_kbps: u32, fec_percent: u8) -> SessionPlan {
        SessionPlan {
            mode: Mode { width: 1280, height: 720, refresh_hz: 60 },
            codec: Codec::H264,
            encoders: vec![],
            wire_kbps,
            max_kbps: 50_000,
            default_kbps: 20_000,
            fec_percent,
            multi_slice: false,
            slices: 0,
            max_frame_bytes: None,
            colour: Colour::default(),
            downgrades: vec![],
        }
    }

    #[test]
    fn the_share_of_video_follows_budget_and_recovery() {
        let mut budget = Budget::new(&plan(20_000, 10), 1408, 128_000);
        assert_eq!(budget.video_bps(), 17_280_000);
        assert!(budget.set_wire(10_000));
        assert_eq!(budget.video_bps(), 8_584_347);
        assert!(!budget.on_loss(0, 1000, 105), "half a point is drift");
        assert!(budget.on_loss(100_000, 1000, 300));
        assert!(budget.video_bps() < 7_300_000, "{}", budget.video_bps());
        assert!(matches!(budget.strength(), Strength::Loss { ppm } if ppm >= 100_000));
    }

    #[test]
    fn wishes_stay_within_the_cap_and_zero_means_the_default() {
        let mut budget = Budget::new(&plan(20_000, 10), 1408, 0);
        budget.set_wire(u32::MAX);
        assert_eq!(budget.wire_kbps(), 50_000);
        budget.set_wire(0);
        assert_eq!(budget.wire_kbps(), 20_000);
        budget.set_wire(1);
        assert_eq!(budget.wire_kbps(), 500);
    }

    #[test]
    fn audio_never_leaves_the_encoder_without_any_bits() {
        assert_eq!(Budget::new(&plan(500, 10), 1408, 600_000).video_bps(), MIN_VIDEO_BPS);
    }

    #[test]
    fn planned_without_recovery_stays_without() {
        let mut budget = Budget::new(&plan(20_000, 0), 1408, 0);
        budget.on_loss(200_000, 1000, 0);
        assert_eq!(budget.strength(), Strength::Percent(0));
    }
}
