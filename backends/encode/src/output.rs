//! What every software encoder does the same way around its library: times, the waiting access unit, and the bits per
//! picture.

use std::mem;
use std::time::Duration;

use punktfunk_media::{EncodeError, EncodedFrame};

use crate::error::failed;

/// The access unit between `submit` and `poll`. Its buffer is swapped with the caller's, so bytes are copied once and
/// after warm-up nothing allocates.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    frame: EncodedFrame,
    ready: bool,
}

impl Waiting {
    /// The buffer to fill with the next access unit, emptied. An access unit nobody took is an error of the caller:
    /// dropping it would break the stream.
    pub(crate) fn start(&mut self) -> Result<&mut Vec<u8>, EncodeError> {
        if self.ready {
            return Err(failed("the previous access unit was not taken"));
        }
        self.frame.data.clear();
        Ok(&mut self.frame.data)
    }

    /// What was filled in so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frame.data
    }

    /// The filled buffer becomes ready.
    pub(crate) fn finish(&mut self, keyframe: bool, recovery_anchor: bool, convert: Duration, encode: Duration) {
        self.frame.keyframe = keyframe;
        self.frame.recovery_anchor = recovery_anchor;
        self.frame.convert_time = convert;
        self.frame.encode_time = encode;
        self.ready = true;
    }

    /// Hands the access unit out, if one is ready.
    pub(crate) fn take(&mut self, out: &mut EncodedFrame) -> bool {
        let ready = mem::take(&mut self.ready);
        if ready {
            mem::swap(out, &mut self.frame);
        }
        ready
    }
}

/// Bitrate and frame rate as ordered, and what to tell an encoder that counts in pictures of a nominal rate.
///
/// Pictures come when something changes, not by a clock, so encoders are run as if pictures came evenly at a nominal
/// rate: each gets its share of bits, whatever the time between them. Another frame rate is then nothing but another
/// share: the nominal rate stays, the bitrate told is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) bitrate_bps: u32,
    pub(crate) refresh_hz: u32,
    pub(crate) nominal_hz: u32,
}

impl Budget {
    /// The bitrate that gives every picture `bitrate_bps / refresh_hz` bits at the nominal rate.
    pub(crate) fn nominal_bps(self) -> u32 {
        let scaled = u64::from(self.bitrate_bps) * u64::from(self.nominal_hz) / u64::from(self.refresh_hz.max(1));
        // Encoders hold bitrates in a signed int; the floor keeps a mistaken order from making the stream unusable.
        u32::try_from(scaled).unwrap_or(u32::MAX).clamp(MIN_BITRATE_BPS, i32::MAX as u32)
    }
}

impl Budget {
    /// The budget for coding a picture again that took `bytes` where `limit` is the most: less than in proportion,
    /// because rate controls only aim.
    pub(crate) fn shrunk(self, bytes: usize, limit: usize) -> Self {
        let scaled = u128::from(self.bitrate_bps) * limit as u128 * SHRINK_PERCENT / 100 / bytes.max(1) as u128;
        Self { bitrate_bps: u32::try_from(scaled).unwrap_or(u32::MAX).min(self.bitrate_bps), ..self }
    }
}

/// How often a picture is coded again that came out larger than can be sent. Each time takes as long as a picture; after
/// the last one it is what it is, and the packetizer has the last word.
pub(crate) const RECODE_AT_MOST: u32 = 4;
const SHRINK_PERCENT: u128 = 75;
/// 100 kbit/s: below it, 4:2:0 video at desktop sizes is noise and rate controls misbehave.
const MIN_BITRATE_BPS: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_share_whatever_the_nominal_rate() {
        let share = |refresh_hz, nominal_hz| {
            let budget = Budget { bitrate_bps: 12_000_000, refresh_hz, nominal_hz };
            budget.nominal_bps() / nominal_hz
        };
        assert_eq!(share(60, 60), 200_000);
        assert_eq!(share(240, 60), 50_000);
        assert_eq!(share(30, 60), 400_000);
        let absurd = Budget { bitrate_bps: u32::MAX, refresh_hz: 0, nominal_hz: 60 };
        assert_eq!(absurd.nominal_bps(), i32::MAX as u32);
    }

    #[test]
    fn a_picture_that_is_too_large_gets_less_than_its_share() {
        let budget = Budget { bitrate_bps: 10_000_000, refresh_hz: 60, nominal_hz: 60 };
        assert_eq!(budget.shrunk(200_000, 100_000).bitrate_bps, 3_750_000);
        assert_eq!(budget.shrunk(1, 100_000).bitrate_bps, 10_000_000, "never more");
        assert_eq!(budget.shrunk(usize::MAX, 1).nominal_bps(), MIN_BITRATE_BPS);
    }

    #[test]
    fn access_units_come_out_once_and_are_never_dropped() {
        let (mut waiting, mut out) = (Waiting::default(), EncodedFrame::default());
        assert!(!waiting.take(&mut out));
        waiting.start().unwrap().extend_from_slice(b"unit");
        waiting.finish(true, false, Duration::ZERO, Duration::ZERO);
        assert!(waiting.start().is_err());
        assert!(waiting.take(&mut out) && out.keyframe && out.data == b"unit");
        assert!(!waiting.take(&mut out));
    }
}
