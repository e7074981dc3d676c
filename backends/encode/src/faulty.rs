//! Faults on purpose: a real encoder that breaks after some pictures, to show that a session moves down the ladder.

use std::sync::Arc;
use std::time::Instant;

use punktfunk_media::{
    Codec, Damage, EncodeError, EncodedFrame, Encoder, EncoderCaps, EncoderConfig, EncoderFactory, FrameLayout,
    FrameOrder, InvalidateOutcome, Keyframe, OpenEncoderError,
};

use crate::error::failed;

/// A factory whose encoders work until they have encoded `pictures` pictures and fail from then on.
pub struct FailsAfter {
    inner: Arc<dyn EncoderFactory>,
    pictures: u64,
}

impl FailsAfter {
    /// Wraps a factory.
    #[must_use]
    pub fn new(inner: Arc<dyn EncoderFactory>, pictures: u64) -> Self {
        Self { inner, pictures }
    }
}

impl EncoderFactory for FailsAfter {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn codec(&self) -> Codec {
        self.inner.codec()
    }

    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError> {
        Ok(Box::new(Failing { inner: self.inner.open(config)?, left: self.pictures }))
    }
}

struct Failing {
    inner: Box<dyn Encoder>,
    left: u64,
}

impl Failing {
    fn spend(&mut self) -> Result<(), EncodeError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| failed("broken on purpose"))?;
        Ok(())
    }
}

impl Encoder for Failing {
    fn caps(&self) -> EncoderCaps {
        self.inner.caps()
    }

    fn order(&mut self, order: FrameOrder) -> Result<InvalidateOutcome, EncodeError> {
        self.inner.order(order)
    }

    fn submit(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        damage: &Damage,
        keyframe: Keyframe,
    ) -> Result<(), EncodeError> {
        self.spend()?;
        self.inner.submit(layout, pixels, damage, keyframe)
    }

    fn submit_repeat(&mut self, keyframe: Keyframe) -> Result<(), EncodeError> {
        self.spend()?;
        self.inner.submit_repeat(keyframe)
    }

    fn poll(&mut self, out: &mut EncodedFrame, deadline: Instant) -> Result<bool, EncodeError> {
        self.inner.poll(out, deadline)
    }
}

#[cfg(test)]
mod tests {
    use punktfunk_media::{Colour, Mode, PixelFormat, Transform};

    use super::*;
    use crate::ladder;

    #[test]
    fn works_then_fails_for_good() {
        let factory = FailsAfter::new(ladder::factory("openh264").expect("the floor"), 3);
        let mode = Mode { width: 64, height: 64, refresh_hz: 60 };
        let config = EncoderConfig {
            mode,
            bitrate_bps: 1_000_000,
            multi_slice: false,
            slices: 0,
            max_frame_bytes: None,
            threads: 1,
            colour: Colour::default(),
        };
        let mut encoder = factory.open(&config).expect("opens");
        let layout =
            FrameLayout { width: 64, height: 64, stride: 256, format: PixelFormat::Bgrx, transform: Transform::Normal };
        let pixels = vec![90; layout.len()];
        let mut out = EncodedFrame::default();
        for index in 0..6 {
            let outcome = encoder.submit(&layout, &pixels, &Damage::Full, Keyframe::Auto);
            assert_eq!(outcome.is_ok(), index < 3, "picture {index}");
            assert_eq!(encoder.poll(&mut out, Instant::now()).expect("polls"), index < 3);
        }
        assert!(encoder.submit_repeat(Keyframe::Auto).is_err());
    }
}
