//! Access units of the right size without an encoder (`--codec none`).

use std::time::{Duration, Instant};

use super::pft1;
use crate::{
    Codec, Damage, EncodeError, EncodedFrame, Encoder, EncoderCaps, EncoderConfig, EncoderFactory, FrameLayout,
    FrameOrder, InvalidateOutcome, Keyframe, Mode, OpenEncoderError, reason,
};

/// Opens [`TransportEncoder`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransportEncoderFactory;

impl EncoderFactory for TransportEncoderFactory {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Nominal: see [`EncoderFactory::carries_any_codec`].
    fn codec(&self) -> Codec {
        Codec::H264
    }

    fn carries_any_codec(&self) -> bool {
        true
    }

    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError> {
        Ok(Box::new(TransportEncoder {
            bitrate_bps: config.bitrate_bps,
            refresh_hz: config.mode.refresh_hz.max(1),
            index: 0,
            pending: None,
        }))
    }
}

/// Makes a `PFT1` access unit ([`pft1`]) of bitrate/8/fps bytes per picture, whatever the picture shows. The index in it
/// counts this encoder's access units from 0, through mode changes too.
#[derive(Debug)]
pub struct TransportEncoder {
    bitrate_bps: u32,
    refresh_hz: u32,
    index: u32,
    pending: Option<Keyframe>,
}

impl TransportEncoder {
    fn unit_bytes(&self) -> usize {
        (self.bitrate_bps / 8 / self.refresh_hz) as usize
    }
}

impl Encoder for TransportEncoder {
    fn caps(&self) -> EncoderCaps {
        EncoderCaps { name: NAME, version: "PFT1".into(), can_invalidate: true }
    }

    fn order(&mut self, order: FrameOrder) -> Result<InvalidateOutcome, EncodeError> {
        match order {
            FrameOrder::Bitrate(bps) => self.bitrate_bps = bps,
            FrameOrder::FrameRate(hz) => self.refresh_hz = hz.max(1),
            // Every access unit stands alone.
            FrameOrder::Invalidate { .. } => {}
        }
        Ok(InvalidateOutcome::Done)
    }

    fn resize(&mut self, mode: Mode) -> Result<InvalidateOutcome, EncodeError> {
        self.order(FrameOrder::FrameRate(mode.refresh_hz))
    }

    fn submit(&mut self, _: &FrameLayout, _: &[u8], _: &Damage, keyframe: Keyframe) -> Result<(), EncodeError> {
        self.submit_repeat(keyframe)
    }

    fn submit_repeat(&mut self, keyframe: Keyframe) -> Result<(), EncodeError> {
        if self.pending.replace(keyframe).is_some() {
            let detail = "a picture was submitted before the last one was polled".into();
            return Err(EncodeError { reason: &reason::ENCODE_FAILED, detail });
        }
        Ok(())
    }

    fn poll(&mut self, out: &mut EncodedFrame, _: Instant) -> Result<bool, EncodeError> {
        let Some(keyframe) = self.pending.take() else { return Ok(false) };
        let started = Instant::now();
        pft1::write(self.index, self.unit_bytes(), &mut out.data);
        out.keyframe = keyframe == Keyframe::Force || self.index == 0;
        out.recovery_anchor = false;
        out.convert_time = Duration::ZERO;
        out.encode_time = started.elapsed();
        self.index = self.index.wrapping_add(1);
        Ok(true)
    }
}

const NAME: &str = "transport";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_the_size_that_the_bitrate_asks_for() {
        let mode = Mode { width: 640, height: 480, refresh_hz: 120 };
        let config = EncoderConfig {
            mode,
            bitrate_bps: 50_000_000,
            multi_slice: false,
            slices: 0,
            max_frame_bytes: None,
            threads: 1,
            colour: crate::Colour::default(),
        };
        let mut encoder = TransportEncoderFactory.open(&config).expect("opens");
        let mut out = EncodedFrame::default();
        let mut unit = |order: Option<FrameOrder>| {
            order.into_iter().for_each(|o| assert_eq!(encoder.order(o).expect("obeys"), InvalidateOutcome::Done));
            encoder.submit_repeat(Keyframe::Auto).expect("takes it");
            assert!(encoder.poll(&mut out, Instant::now()).expect("works"));
            (pft1::check(&out.data).expect("a sound unit"), out.data.len(), out.keyframe)
        };
        assert_eq!(unit(None), (0, 52_083, true));
        assert_eq!(unit(Some(FrameOrder::Bitrate(960_000))), (1, 1000, false));
        assert_eq!(unit(Some(FrameOrder::FrameRate(60))), (2, 2000, false));
        assert_eq!(unit(Some(FrameOrder::Bitrate(0))), (3, pft1::OVERHEAD, false));
    }
}
