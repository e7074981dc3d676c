//! What a client's bitrates mean (gamestream.md §8.10), as pure arithmetic.

/// The client's wishes, and what takes part of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BitrateWish {
    /// `configuredBitrateKbps`: everything together; 0 = not told.
    pub configured_kbps: u32,
    /// `bw.maximumBitrateKbps`: the picture alone, of clients that tell no more.
    pub maximum_kbps: u32,
    /// Recovery shards per 100 data shards at the start.
    pub fec_percent: u8,
    /// Channels of sound.
    pub channels: u8,
    /// The high-quality layout of sound.
    pub high_quality: bool,
}

impl BitrateWish {
    /// The rate of the elementary stream that existing hosts derive, in kbit/s.
    #[must_use]
    pub fn encoder_kbps(&self) -> u32 {
        if self.configured_kbps == 0 {
            return self.maximum_kbps;
        }
        let mut left = u64::from(self.configured_kbps);
        if self.fec_percent <= MAX_FEC_SHARE {
            left = left * u64::from(100 - self.fec_percent) / 100;
        }
        let per_channel = if self.high_quality { HIGH_QUALITY_KBPS } else { NORMAL_KBPS };
        left -= (u64::from(self.channels) * per_channel).min(left * AUDIO_PERCENT / 100);
        left -= OVERHEAD_KBPS.min(left * OVERHEAD_PERCENT / 100);
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// The wire budget in kbit/s from which the engine gives the encoder [`Self::encoder_kbps`] at the start:
    /// `punktfunk_core::rate::split_bitrate` the other way round, for shards of `payload` bytes and sound of `audio_bps`.
    /// As recovery grows with losses, the encoder's part shrinks and the budget stays.
    #[must_use]
    pub fn wire_kbps(&self, payload: usize, audio_bps: u64) -> u32 {
        let payload = payload.max(1) as u128;
        let packet = payload + punktfunk_core::packet::PACKET_OVERHEAD as u128;
        let bps = u128::from(self.encoder_kbps()) * 1000 * packet * (100 + u128::from(self.fec_percent));
        let kbps = (bps.div_ceil(payload * 100) + u128::from(audio_bps)).div_ceil(1000);
        u32::try_from(kbps).unwrap_or(u32::MAX)
    }
}

/// Beyond that, existing hosts leave recovery out of the sum.
const MAX_FEC_SHARE: u8 = 80;
const NORMAL_KBPS: u64 = 96;
const HIGH_QUALITY_KBPS: u64 = 256;
/// Sound takes at most this share, whatever it would need.
const AUDIO_PERCENT: u64 = 20;
/// Control and headers.
const OVERHEAD_KBPS: u64 = 500;
const OVERHEAD_PERCENT: u64 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use punktfunk_core::rate::split_bitrate;

    use super::*;

    fn wish(configured_kbps: u32, maximum_kbps: u32, fec_percent: u8, channels: u8, high_quality: bool) -> BitrateWish {
        BitrateWish { configured_kbps, maximum_kbps, fec_percent, channels, high_quality }
    }

    #[test]
    fn a_table_of_wishes() {
        for (configured, maximum, fec, channels, high, expected) in [
            (20_000, 16_000, 20, 2, false, 15_308), // 16000 − 192 − 500
            (20_000, 16_000, 20, 2, true, 14_988),  // 16000 − 512 − 500
            (20_000, 16_000, 20, 8, true, 13_452),  // 16000 − 2048 − 500
            (20_000, 16_000, 10, 2, false, 17_308),
            (20_000, 16_000, 0, 2, false, 19_308),
            (20_000, 16_000, 80, 2, false, 3_428), // 4000 − 192 − 380
            (20_000, 16_000, 81, 2, false, 19_308),
            (1_000, 800, 20, 2, false, 576), // 800 − 160 (a fifth) − 64 (a tenth)
            (500, 400, 20, 6, true, 288),
            (150_000, 120_000, 20, 2, true, 118_988),
            (0, 16_000, 20, 2, true, 16_000), // clients that tell no total
            (0, 0, 20, 2, true, 0),
            (u32::MAX, 0, 0, 2, false, u32::MAX - 692),
            (1, 0, 20, 2, false, 0),
        ] {
            let wish = wish(configured, maximum, fec, channels, high);
            assert_eq!(wish.encoder_kbps(), expected, "{wish:?}");
        }
    }

    proptest! {
        #[test]
        fn the_engine_gives_the_encoder_what_was_derived(
            configured in 500_u32..500_000, fec in 0_u8..=80, channels in 2_u8..=8, high: bool, payload in 112_u16..9000,
            audio_bps in 0_u64..3_000_000,
        ) {
            let wish = wish(configured, 0, fec, channels, high);
            let wire = wish.wire_kbps(payload.into(), audio_bps);
            let given = split_bitrate(u64::from(wire) * 1000, audio_bps, payload, fec.into());
            let wanted = u64::from(wish.encoder_kbps()) * 1000;
            prop_assert!(given >= wanted && given < wanted + 2000, "{given} for {wanted}");
        }
    }
}
