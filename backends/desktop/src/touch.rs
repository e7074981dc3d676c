//! Touch and pen on a running sway: its protocols have neither, but it may read the kernel's input devices.
//!
//! ```text
//! plug:  record ─► sway: input NAME map_to_output OUTPUT ─► uinput devices called NAME ─► wait until sway has them
//! drop:  devices away ─► sway: input NAME map_to_output *
//! ```
//!
//! Mapped first: sway keeps the wish for a device that is still to come, so no touch ever lands on the person's own
//! output. Headless sways read no devices; a session of a seat does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use punktfunk_inject::digitizer::{DeviceName, Digitizers, Touching};
use punktfunk_media::{Injector, Reason, reason};

use crate::ipc::{Input, IpcError, SwayIpc};
use crate::process::ProcessId;

/// A touch screen and a pen on one output of a sway. Dropping it takes them away.
pub struct TouchDevices {
    digitizers: Option<Arc<Mutex<Digitizers>>>,
    ipc: PathBuf,
    identifiers: Vec<String>,
    /// Sway has them.
    seen: bool,
}

/// Why there is no touch on a stage.
#[derive(Debug)]
pub struct NoTouch {
    pub reason: &'static Reason,
    pub detail: String,
}

/// Whether `sway`, whose devices are `inputs`, would see devices of the kernel and this user can make them.
pub fn possible(inputs: &[Input], sway: ProcessId) -> Result<(), &'static Reason> {
    if !inputs.iter().any(|input| input.libinput.is_some()) && !asks_for_libinput(sway) {
        return Err(&reason::INPUT_TOUCH_UNSUPPORTED);
    }
    Digitizers::possible()
}

/// A session with a seat but without any device yet tells by how it was started.
fn asks_for_libinput(sway: ProcessId) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", sway.pid)).unwrap_or_default();
    let mut backends = environment.split(|byte| *byte == 0).filter_map(|entry| entry.strip_prefix(b"WLR_BACKENDS="));
    backends.any(|list| list.split(|byte| *byte == b',').any(|backend| backend == b"libinput"))
}

/// What sway calls the devices for `output`.
pub fn identifiers(output: &str) -> Vec<String> {
    Digitizers::names(output).iter().map(identifier).collect()
}

/// As sway forms it: numbers in decimal, and no spaces or unprintable characters in the name.
fn identifier(DeviceName { id: (vendor, product), name }: &DeviceName) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    format!("{vendor}:{product}:{}", name.trim().chars().map(plain).collect::<String>())
}

/// Lets sway forget where these devices belong.
pub fn unmap(ipc: &mut SwayIpc, identifiers: &[String]) -> Result<(), IpcError> {
    identifiers.iter().try_for_each(|name| ipc.command(&format!("input \"{name}\" map_to_output *")))
}

impl TouchDevices {
    /// Makes the devices for `output` of the sway at `path`. That they will be mapped has been recorded.
    pub fn plug(path: &Path, ipc: &mut SwayIpc, output: &str) -> Result<Self, NoTouch> {
        let failed = |reason| move |detail: String| NoTouch { reason, detail };
        let identifiers = identifiers(output);
        let mut devices = Self { digitizers: None, ipc: path.to_owned(), identifiers, seen: false };
        for name in &devices.identifiers {
            let mapped = ipc.command(&format!("input \"{name}\" map_to_output {output}"));
            mapped.map_err(|e| e.to_string()).map_err(failed(&reason::INPUT_TOUCH_UNSUPPORTED))?;
        }
        let why = Digitizers::possible().err().unwrap_or(&reason::INPUT_TOUCH_UNSUPPORTED);
        let plugged = Digitizers::plug(output).map_err(|e| format!("/dev/uinput: {e}")).map_err(failed(why))?;
        devices.digitizers = Some(Arc::new(Mutex::new(plugged)));
        Ok(devices)
    }

    /// `inner` with touch and pen. The first call waits until sway has the devices.
    pub fn on(&mut self, inner: Box<dyn Injector>) -> Result<Box<dyn Injector>, (NoTouch, Box<dyn Injector>)> {
        let Some(digitizers) = &self.digitizers else { return Ok(inner) };
        if !self.seen
            && let Err(detail) = self.wait()
        {
            return Err((NoTouch { reason: &reason::INPUT_TOUCH_UNSUPPORTED, detail }, inner));
        }
        self.seen = true;
        Ok(Box::new(Touching::new(inner, Arc::clone(digitizers))))
    }

    fn wait(&self) -> Result<(), String> {
        let mut ipc = SwayIpc::connect(&self.ipc).map_err(|e| e.to_string())?;
        let until = Instant::now() + SEEN_WITHIN;
        loop {
            let inputs = ipc.inputs().map_err(|e| e.to_string())?;
            if self.identifiers.iter().all(|name| inputs.iter().any(|input| input.identifier == *name)) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(format!("sway has not seen {:?} within {SEEN_WITHIN:?}", self.identifiers));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for TouchDevices {
    fn drop(&mut self) {
        self.digitizers = None;
        // A sway that is gone has forgotten it.
        if let Err(e) = SwayIpc::connect(&self.ipc).and_then(|mut ipc| unmap(&mut ipc, &self.identifiers)) {
            tracing::debug!("the touch devices stay mapped: {e}");
        }
    }
}

/// udev tells sway of a device some 50 ms after it was made; a loaded machine may take much longer.
const SEEN_WITHIN: Duration = Duration::from_secs(3);
/// Not noticed when a client connects.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_sway_names_them() {
        let expected = ["28774:2:punktfunk_touch_HEADLESS-2", "28774:1:punktfunk_pen_HEADLESS-2"];
        assert_eq!(identifiers("HEADLESS-2"), expected);
    }

    #[test]
    fn a_sway_without_kernel_devices_takes_no_touch() {
        let own = ProcessId::of(std::process::id().cast_signed()).unwrap();
        let input = |libinput: &str| -> Input {
            serde_json::from_str(&format!("{{\"identifier\":\"1:1:x\",\"type\":\"keyboard\"{libinput}}}")).unwrap()
        };
        assert_eq!(possible(&[], own).unwrap_err().code, "input.touch_unsupported");
        assert_eq!(possible(&[input("")], own).unwrap_err().code, "input.touch_unsupported");
        let real = possible(&[input(""), input(",\"libinput\":{\"send_events\":\"enabled\"}")], own);
        assert_ne!(real.err().map(|reason| reason.code), Some("input.touch_unsupported"));
    }
}
