//! How the session's wire budget is spent: recovery against loss, and what is left for the picture.

mod fec_control;

pub use fec_control::FecController;

use crate::packet::PACKET_OVERHEAD;

/// What the encoder gets of the session's wire budget: audio, packet overhead and recovery come off first
/// (punktfunk1.md §3.9.2). `fec_percent` is the share of recovery packets, in per cent of the data packets.
#[must_use]
pub fn split_bitrate(wire_bps: u64, audio_bps: u64, shard_payload: u16, fec_percent: u32) -> u64 {
    let shard = u128::from(shard_payload);
    let video = u128::from(wire_bps.saturating_sub(audio_bps)) * shard * 100;
    let video = video / ((shard + PACKET_OVERHEAD as u128) * (100 + u128::from(fec_percent)));
    u64::try_from(video).unwrap_or(u64::MAX)
}

/// The figure of a LossReport from one window's deltas (punktfunk1.md §3.9.2): of the packets that should have come,
/// those that FEC had to rebuild and that did not arrive later, in millionths.
#[must_use]
pub fn loss_ppm(received: u64, recovered: u64, late: u64) -> u32 {
    let lost = u128::from(recovered.saturating_sub(late));
    let total = u128::from(received) + lost;
    if total == 0 {
        return 0;
    }
    u32::try_from(lost * 1_000_000 / total).unwrap_or(1_000_000).min(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_follows_the_formula() {
        // (20_000_000 - 128_000) × 1408 / 1472 × 100 / 110
        assert_eq!(split_bitrate(20_000_000, 128_000, 1408, 10), 17_280_000);
        assert_eq!(split_bitrate(100, 200, 1408, 10), 0);
        assert!(split_bitrate(u64::MAX, 0, 9152, 0) > u64::MAX / 2);
    }

    #[test]
    fn loss_is_lost_over_expected() {
        assert_eq!(loss_ppm(950, 50, 0), 50_000);
        assert_eq!(loss_ppm(950, 50, 50), 0);
        assert_eq!(loss_ppm(0, 0, 0), 0);
        assert_eq!(loss_ppm(0, 3, 0), 1_000_000);
    }
}
