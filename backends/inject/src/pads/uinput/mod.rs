//! Pads that are plain evdev devices, made through `/dev/uinput`.

mod model;

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evdev::uinput::VirtualDevice;
use evdev::{
    AbsInfo, AbsoluteAxisCode, AttributeSet, BusType, EventSummary, FFEffectCode, FFEffectData, FFEffectKind,
    InputEvent, InputId, KeyCode, UInputCode, UinputAbsSetup,
};
use punktfunk_media::{Pad, PadError, PadEvents, PadFeedback, PadReport, PadSpec, RumbleLevels};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::ff::{Effect, Effects, MAX_EFFECTS};
use super::wake::{PadThread, Sleeper, Woke};
use super::{gone, thread_name};
use model::Model;

/// A plugged evdev pad.
pub(super) struct UinputPad {
    // Ends before the device does.
    _thread: PadThread,
    device: Arc<Mutex<VirtualDevice>>,
    model: &'static Model,
    shown: PadReport,
    /// Memory for one report's changes.
    changes: Vec<InputEvent>,
}

/// Makes the device.
///
/// # Errors
/// What the kernel says.
pub(super) fn plug(spec: &PadSpec, events: Arc<dyn PadEvents>) -> io::Result<UinputPad> {
    let model = Model::of(spec.kind).ok_or(io::ErrorKind::Unsupported)?;
    let keys: AttributeSet<KeyCode> = model.all_keys().map(KeyCode).collect();
    // What the kernel's drivers offer for pads that can only rumble: waves are felt as rumble of their strength.
    let ff: AttributeSet<FFEffectCode> = [
        FFEffectCode::FF_RUMBLE,
        FFEffectCode::FF_PERIODIC,
        FFEffectCode::FF_SQUARE,
        FFEffectCode::FF_TRIANGLE,
        FFEffectCode::FF_SINE,
        FFEffectCode::FF_GAIN,
    ]
    .into_iter()
    .collect();
    let mut builder = VirtualDevice::builder()?
        .name(model.name)
        .input_id(InputId::new(BusType::BUS_USB, model.vendor, model.product, model.version))
        .with_keys(&keys)?;
    for (code, axis) in model.axes() {
        let info = AbsInfo::new(0, axis.min, axis.max, axis.fuzz, axis.flat, 0);
        builder = builder.with_absolute_axis(&UinputAbsSetup::new(AbsoluteAxisCode(code), info))?;
    }
    let device = builder.with_ff(&ff)?.with_ff_effects_max(MAX_EFFECTS as u32).build()?;
    // The pad's thread reads until nothing is left, and sleeps on poll.
    fcntl_setfl(&device, fcntl_getfl(&device)? | OFlags::NONBLOCK)?;
    let device = Arc::new(Mutex::new(device));
    let thread = PadThread::start(thread_name(spec), {
        let device = Arc::clone(&device);
        move |sleeper| Reader { device, events, effects: Effects::new(), told: RumbleLevels::default() }.run(&sleeper)
    })?;
    Ok(UinputPad {
        _thread: thread,
        device,
        model,
        shown: PadReport::default(),
        changes: Vec::with_capacity(MAX_CHANGES),
    })
}

impl Pad for UinputPad {
    fn apply(&mut self, report: &PadReport) -> Result<(), PadError> {
        let changes = &mut self.changes;
        changes.clear();
        self.model.changes(&self.shown, report, |kind, code, value| changes.push(InputEvent::new(kind, code, value)));
        self.shown = *report;
        if self.changes.is_empty() {
            return Ok(());
        }
        lock(&self.device).emit(&self.changes).map_err(|error| gone(&error))
    }
}

/// The pad's thread: serves programs that rumble.
struct Reader {
    device: Arc<Mutex<VirtualDevice>>,
    events: Arc<dyn PadEvents>,
    effects: Effects,
    told: RumbleLevels,
}

impl Reader {
    fn run(mut self, sleeper: &Sleeper) {
        // A second handle, so that sleeping does not hold the lock.
        let handle = match lock(&self.device).as_fd().try_clone_to_owned() {
            Ok(handle) => handle,
            Err(error) => return tracing::warn!(%error, "this pad cannot rumble"),
        };
        loop {
            let until = self.effects.next(Instant::now());
            match sleeper.sleep(handle.as_fd(), until) {
                Woke::End => return,
                Woke::Deadline => {}
                Woke::Readable => {
                    if let Err(error) = self.read() {
                        return tracing::warn!(%error, "this pad cannot rumble any more");
                    }
                }
            }
            let (low, high) = self.effects.levels(Instant::now());
            let levels = RumbleLevels { low, high, ..RumbleLevels::default() };
            if levels != self.told {
                self.told = levels;
                self.events.feedback(&PadFeedback::Rumble(levels));
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut device = lock(&self.device);
        let requests: Vec<InputEvent> = match device.fetch_events() {
            Ok(requests) => requests.collect(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        for request in requests {
            match request.destructure() {
                EventSummary::UInput(request, UInputCode::UI_FF_UPLOAD, _) => {
                    // The program waits for the answer, which dropping the upload gives.
                    let mut upload = device.process_ff_upload(request)?;
                    let place = usize::try_from(upload.effect_id()).unwrap_or(usize::MAX);
                    let stored = effect(&upload.effect()).is_some_and(|e| self.effects.store(place, e, now));
                    upload.set_retval(if stored { 0 } else { REFUSED });
                }
                EventSummary::UInput(request, UInputCode::UI_FF_ERASE, _) => {
                    let erase = device.process_ff_erase(request)?;
                    self.effects.erase(erase.effect_id() as usize);
                }
                EventSummary::ForceFeedback(_, FFEffectCode::FF_GAIN, gain) => {
                    self.effects.set_gain(gain.clamp(0, u16::MAX.into()) as u16);
                }
                EventSummary::ForceFeedback(_, FFEffectCode(id), times) => {
                    self.effects.play(id.into(), u32::try_from(times).unwrap_or(0), now);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn effect(data: &FFEffectData) -> Option<Effect> {
    let (strong, weak) = match data.kind {
        FFEffectKind::Rumble { strong_magnitude, weak_magnitude } => (strong_magnitude, weak_magnitude),
        FFEffectKind::Periodic { magnitude, .. } => {
            let level = magnitude.unsigned_abs().saturating_mul(2);
            (level, level)
        }
        _ => return None,
    };
    let ms = |ms: u16| Duration::from_millis(ms.into());
    let length = (data.replay.length > 0).then(|| ms(data.replay.length));
    Some(Effect { strong, weak, length, delay: ms(data.replay.delay) })
}

fn lock(device: &Mutex<VirtualDevice>) -> MutexGuard<'_, VirtualDevice> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `-EINVAL`: this pad plays no such effect.
const REFUSED: i32 = -22;
/// Every key and every axis at once.
const MAX_CHANGES: usize = 32;
