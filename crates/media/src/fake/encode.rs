//! A small, strict encoder for tests: it insists on the rules of [`Encoder`] and fails where its script says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{
    Codec, Damage, EncodeError, EncodedFrame, Encoder, EncoderCaps, EncoderConfig, EncoderFactory, FrameLayout,
    FrameOrder, InvalidateOutcome, Keyframe, Mode, OpenEncoderError, Transform, reason,
};

/// What a [`FakeEncoder`] shall do. Counts are access units of one encoder; `None` = never.
#[derive(Clone, Debug, Default)]
pub struct EncoderScript {
    /// Opening fails.
    pub open_fails: bool,
    /// After this many access units the encoder is broken.
    pub fail_after: Option<u64>,
    /// After this many access units it panics.
    pub panic_after: Option<u64>,
    /// It cannot change its bitrate or frame rate while running.
    pub fixed_rate: bool,
    /// It honours invalidations.
    pub can_invalidate: bool,
    /// How long an access unit takes.
    pub takes: Duration,
    /// Bytes of an access unit; 0 = as the bitrate asks.
    pub unit_bytes: usize,
}

/// What happened to a fake encoder, for tests to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncoderCall {
    /// Opened with this mode and bitrate in bit/s.
    Open(Mode, u32),
    /// Ordered so.
    Order(FrameOrder),
    /// A picture was submitted.
    Submit(Keyframe),
    /// The last picture was submitted again.
    Repeat(Keyframe),
    /// Dropped.
    Closed,
}

/// The calls of all encoders of one factory, in order. Clones share it. Grows; tests only.
#[derive(Clone, Debug, Default)]
pub struct EncoderLog(Arc<Mutex<Vec<EncoderCall>>>);

impl EncoderLog {
    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<EncoderCall> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, call: EncoderCall) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

/// Opens [`FakeEncoder`]s of one kind.
#[derive(Clone, Debug)]
pub struct FakeEncoderFactory {
    name: &'static str,
    codec: Codec,
    script: EncoderScript,
    log: Option<EncoderLog>,
}

impl FakeEncoderFactory {
    /// A factory called `name` whose encoders do as `script` says.
    #[must_use]
    pub const fn new(name: &'static str, codec: Codec, script: EncoderScript) -> Self {
        Self { name, codec, script, log: None }
    }

    /// The same, writing every call into `log`.
    #[must_use]
    pub fn logged(self, log: EncoderLog) -> Self {
        Self { log: Some(log), ..self }
    }
}

impl EncoderFactory for FakeEncoderFactory {
    fn name(&self) -> &'static str {
        self.name
    }

    fn codec(&self) -> Codec {
        self.codec
    }

    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError> {
        if self.script.open_fails {
            let detail = format!("{} was told not to open", self.name);
            return Err(OpenEncoderError { reason: &reason::ENCODE_FAILED, detail });
        }
        if let Some(log) = &self.log {
            log.push(EncoderCall::Open(config.mode, config.bitrate_bps));
        }
        Ok(Box::new(FakeEncoder {
            kind: self.clone(),
            config: config.clone(),
            units: 0,
            pending: None,
            seen: false,
            anchor: false,
        }))
    }
}

/// Makes access units of the form read by [`read_fake_unit`].
#[derive(Debug)]
pub struct FakeEncoder {
    kind: FakeEncoderFactory,
    config: EncoderConfig,
    units: u64,
    pending: Option<Keyframe>,
    seen: bool,
    anchor: bool,
}

impl FakeEncoder {
    fn log(&self, call: EncoderCall) {
        if let Some(log) = &self.kind.log {
            log.push(call);
        }
    }

    fn broken(&self, what: &str) -> EncodeError {
        let detail = format!("{}: {what} (after {} access units)", self.kind.name, self.units);
        EncodeError { reason: &reason::ENCODE_FAILED, detail }
    }

    fn take(&mut self, keyframe: Keyframe) -> Result<(), EncodeError> {
        let script = &self.kind.script;
        if script.panic_after.is_some_and(|n| self.units >= n) {
            panic!("{} was told to panic after {} access units", self.kind.name, self.units);
        }
        if script.fail_after.is_some_and(|n| self.units >= n) {
            return Err(self.broken("was told to fail"));
        }
        if !self.seen {
            return Err(self.broken("there is no picture to repeat"));
        }
        if self.pending.replace(keyframe).is_some() {
            return Err(self.broken("the last picture was not polled"));
        }
        Ok(())
    }
}

impl Encoder for FakeEncoder {
    fn caps(&self) -> EncoderCaps {
        let can_invalidate = self.kind.script.can_invalidate;
        EncoderCaps { name: self.kind.name, version: "fake".into(), can_invalidate }
    }

    fn order(&mut self, order: FrameOrder) -> Result<InvalidateOutcome, EncodeError> {
        self.log(EncoderCall::Order(order));
        match order {
            FrameOrder::Bitrate(_) | FrameOrder::FrameRate(_) if self.kind.script.fixed_rate => {
                return Ok(InvalidateOutcome::Unsupported);
            }
            FrameOrder::Bitrate(bps) => self.config.bitrate_bps = bps,
            FrameOrder::FrameRate(hz) => self.config.mode.refresh_hz = hz,
            FrameOrder::Invalidate { last, .. } => {
                if !self.kind.script.can_invalidate || u64::from(last) >= self.units {
                    return Ok(InvalidateOutcome::Unsupported);
                }
                self.anchor = true;
            }
        }
        Ok(InvalidateOutcome::Done)
    }

    fn submit(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        _damage: &Damage,
        keyframe: Keyframe,
    ) -> Result<(), EncodeError> {
        self.log(EncoderCall::Submit(keyframe));
        let turned = matches!(
            layout.transform,
            Transform::Rotate90 | Transform::Rotate270 | Transform::Flipped90 | Transform::Flipped270
        );
        let (width, height) = if turned { (layout.height, layout.width) } else { (layout.width, layout.height) };
        if (width, height) != (self.config.mode.width, self.config.mode.height) || pixels.len() < layout.len() {
            return Err(self.broken("the picture has another size than it was opened for"));
        }
        self.seen = true;
        std::thread::sleep(self.kind.script.takes);
        self.take(keyframe)
    }

    fn submit_repeat(&mut self, keyframe: Keyframe) -> Result<(), EncodeError> {
        self.log(EncoderCall::Repeat(keyframe));
        self.take(keyframe)
    }

    fn poll(&mut self, out: &mut EncodedFrame, _deadline: Instant) -> Result<bool, EncodeError> {
        let Some(keyframe) = self.pending.take() else { return Ok(false) };
        let mode = self.config.mode;
        out.keyframe = keyframe == Keyframe::Force || self.units == 0;
        out.recovery_anchor = std::mem::take(&mut self.anchor) && !out.keyframe;
        out.convert_time = Duration::ZERO;
        out.encode_time = Duration::ZERO;
        let by_rate = self.config.bitrate_bps as usize / 8 / mode.refresh_hz.max(1) as usize;
        let size = if self.kind.script.unit_bytes == 0 { by_rate } else { self.kind.script.unit_bytes };
        out.data.clear();
        out.data.resize(size.max(UNIT_HEADER), 0);
        out.data[..4].copy_from_slice(MAGIC);
        out.data[4] = u8::from(out.keyframe);
        out.data[5..9].copy_from_slice(&mode.width.to_le_bytes());
        out.data[9..13].copy_from_slice(&mode.height.to_le_bytes());
        out.data[13..17].copy_from_slice(&(self.units as u32).to_le_bytes());
        self.units += 1;
        Ok(true)
    }
}

impl Drop for FakeEncoder {
    fn drop(&mut self) {
        self.log(EncoderCall::Closed);
    }
}

/// What a [`FakeEncoder`]'s access unit says: keyframe, width, height, number since its encoder was opened. `None` if it
/// is none.
#[must_use]
pub fn read_fake_unit(unit: &[u8]) -> Option<(bool, u32, u32, u32)> {
    let number = |at: usize| unit.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (unit.starts_with(MAGIC)).then_some(())?;
    Some((*unit.get(4)? == 1, number(5)?, number(9)?, number(13)?))
}

const MAGIC: &[u8; 4] = b"FAKE";
const UNIT_HEADER: usize = 17;
