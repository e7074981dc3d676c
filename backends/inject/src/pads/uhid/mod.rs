//! Pads that are HID devices, made through `/dev/uhid`: the kernel's own driver takes them for Sony's.

mod event;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_media::{Pad, PadError, PadEvents, PadReport, PadSpec};
use rustix::fs::OFlags;

use self::event::{EVENT_BYTES, FEATURE_REPORT, FromKernel, OUTPUT_REPORT};
use super::sony::{Serial, SonyPad};
use super::wake::{PadThread, Sleeper, Woke};
use super::{gone, thread_name};

/// A plugged HID pad. Closing the file unplugs it.
pub(super) struct UhidPad {
    // Ends before the file closes.
    _thread: PadThread,
    device: Arc<Device>,
}

struct Device {
    file: File,
    state: Mutex<State>,
    began: Instant,
}

/// The pad, and what it shows.
struct State {
    pad: SonyPad,
    shown: PadReport,
    message: Vec<u8>,
}

/// Makes the device. Its driver looks at it after that, in the kernel's own time, and asks the pad's thread what it needs
/// to know.
///
/// # Errors
/// What the kernel says.
pub(super) fn plug(spec: &PadSpec, events: Arc<dyn PadEvents>) -> io::Result<UhidPad> {
    let serial = serial(spec);
    let pad = SonyPad::new(spec.kind, serial).ok_or(io::ErrorKind::Unsupported)?;
    let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(flags.cast_signed()).open("/dev/uhid")?;
    let [a, b, c, d, e, f] = serial;
    let uniq = format!("{f:02x}:{e:02x}:{d:02x}:{c:02x}:{b:02x}:{a:02x}");
    let phys = format!("punktfunk/{}/{}", spec.session, spec.slot);
    file.write_all(&event::create(pad.identity(), &uniq, &phys))?;
    let state = State { pad, shown: PadReport::default(), message: Vec::with_capacity(MESSAGE_BYTES) };
    let device = Arc::new(Device { file, state: Mutex::new(state), began: Instant::now() });
    let thread = PadThread::start(thread_name(spec), {
        let device = Arc::clone(&device);
        move |sleeper| serve(&device, &*events, &sleeper)
    })?;
    Ok(UhidPad { _thread: thread, device })
}

/// A locally administered address that no other pad of this machine has: drivers refuse a second pad with the same.
fn serial(spec: &PadSpec) -> Serial {
    let [s0, s1, ..] = spec.session.to_le_bytes();
    let [p0, p1, ..] = std::process::id().to_le_bytes();
    [spec.slot, s0, s1, p0, p1, 0x02]
}

impl Pad for UhidPad {
    fn apply(&mut self, report: &PadReport) -> Result<(), PadError> {
        self.device.show(Some(report)).map_err(|error| gone(&error))
    }
}

impl Device {
    /// Shows a state, or the last one again.
    fn show(&self, report: Option<&PadReport>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { pad, shown, message } = &mut *state;
        if let Some(report) = report {
            *shown = *report;
        }
        let now_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        event::input(message, &pad.report(shown, now_us));
        (&self.file).write_all(message)
    }

    fn feature(&self, id: u8) -> Option<Vec<u8>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).pad.feature(id)
    }

    fn output(&self, report: &[u8], events: &dyn PadEvents) {
        // The lock is not held while the listener runs.
        let mut wishes = Vec::new();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).pad.output(report, |wish| wishes.push(wish));
        wishes.iter().for_each(|wish| events.feedback(wish));
    }

    /// Answers one message.
    fn answer(&self, message: &[u8], events: &dyn PadEvents) -> io::Result<()> {
        match FromKernel::read(message) {
            FromKernel::Opened => self.show(None),
            FromKernel::Output(report) => {
                self.output(report, events);
                Ok(())
            }
            FromKernel::GetReport { request, id, kind } => {
                let report = if kind == FEATURE_REPORT { self.feature(id) } else { None };
                (&self.file).write_all(&event::get_report_reply(request, report.as_deref()))
            }
            FromKernel::SetReport { request, kind, data } => {
                if kind == OUTPUT_REPORT {
                    self.output(data, events);
                }
                (&self.file).write_all(&event::set_report_reply(request))
            }
            FromKernel::Other => Ok(()),
        }
    }
}

/// The pad's thread: answers the driver and programs, and repeats the state now and then.
///
/// A real pad never stops reporting. Here the kernel drops what is shown before its driver is ready, so the state is shown
/// again and again while the driver starts, and rarely after that, for programs that open the device late.
fn serve(device: &Device, events: &dyn PadEvents, sleeper: &Sleeper) {
    let mut buffer = vec![0; EVENT_BYTES];
    let mut repeat = Instant::now() + EARLY;
    loop {
        let done = match sleeper.sleep(device.file.as_fd(), Some(repeat)) {
            Woke::End => return,
            Woke::Deadline => {
                let early = device.began.elapsed() < DRIVER_START;
                repeat = Instant::now() + if early { EARLY } else { LATER };
                device.show(None)
            }
            Woke::Readable => match (&device.file).read(&mut buffer) {
                Ok(len) => device.answer(&buffer[..len], events),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = done {
            return tracing::warn!(%error, "this pad hears its programs no more");
        }
    }
}

/// A report and its head.
const MESSAGE_BYTES: usize = 128;
/// Drivers are ready within some ten milliseconds, on a loaded machine within a second.
const DRIVER_START: Duration = Duration::from_secs(3);
const EARLY: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use punktfunk_media::{PadFeedback, PadKind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl PadEvents for Count {
        fn feedback(&self, _: &PadFeedback) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn device(kind: PadKind) -> Device {
        let file = OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
        let pad = SonyPad::new(kind, [0; 6]).expect("Sony's");
        let state = State { pad, shown: PadReport::default(), message: Vec::new() };
        Device { file, state: Mutex::new(state), began: Instant::now() }
    }

    /// A message of any kind, of any length, with any content and any length in its own fields.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..200);
        (0..20_u32, bytes, any::<u16>(), prop_oneof![Just(EVENT_BYTES), 0..EVENT_BYTES]).prop_map(
            |(kind, data, said, len)| {
                let mut message = kind.to_ne_bytes().to_vec();
                message.extend(data);
                message.resize(EVENT_BYTES, 0);
                // Where an output report's own length is.
                message[4100..4102].copy_from_slice(&said.to_ne_bytes());
                message.truncate(len);
                message
            },
        )
    }

    proptest! {
        /// Whatever a program writes to the pad's nodes, the pad answers, and asks the client for no more than it has.
        #[test]
        fn every_message_is_answered(messages in proptest::collection::vec(message(), 0..20)) {
            for kind in [PadKind::DualShock4, PadKind::DualSense, PadKind::DualSenseEdge] {
                let (device, count) = (device(kind), Count::default());
                for message in &messages {
                    prop_assert!(device.answer(message, &count).is_ok());
                }
                prop_assert!(count.0.load(Ordering::Relaxed) <= 6 * messages.len());
            }
        }
    }
}
