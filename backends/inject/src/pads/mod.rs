//! Gamepads that the kernel takes for real ones.
//!
//! ```text
//! PadReport ─┬─► uinput: Xbox 360, Xbox One, Switch Pro      what the kernel's own drivers for them would report
//!            └─► uhid:   DualShock 4, DualSense, … Edge      USB reports that hid-playstation reads: touchpad, motion,
//!                                                            battery, lights, adaptive triggers
//! PadFeedback ◄── a thread per pad (`pad-SESSION-SLOT`) that sleeps until a program says something
//! ```
//!
//! What a pad reports and understands is pure and tested everywhere ([`sony`], `uinput::model`, `ff`); that the kernel
//! agrees is tested in a guest (tests/guest).

mod ff;
pub mod sony;
mod uhid;
mod uinput;
mod wake;

use std::io;
use std::path::Path;
use std::sync::Arc;

use punktfunk_media::{Pad, PadError, PadEvents, PadFactory, PadKind, PadKinds, PadSpec, Reason, reason};
use rustix::fs::{Access as Wanted, access};

/// Makes pads through `/dev/uinput` and `/dev/uhid`.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelPads;

impl PadFactory for KernelPads {
    fn kinds(&self) -> PadKinds {
        let (uinput, uhid) = (usable(UINPUT).is_ok(), usable(UHID).is_ok());
        PadKind::ALL.into_iter().filter(|kind| if is_sony(*kind) { uhid } else { uinput }).collect()
    }

    fn missing(&self) -> Vec<&'static Reason> {
        let mut missing: Vec<_> = [UINPUT, UHID].into_iter().filter_map(|device| usable(device).err()).collect();
        missing.dedup();
        missing
    }

    fn plug(&self, spec: &PadSpec, events: Arc<dyn PadEvents>) -> Result<Box<dyn Pad>, PadError> {
        let pad: io::Result<Box<dyn Pad>> = if is_sony(spec.kind) {
            uhid::plug(spec, events).map(|pad| Box::new(pad) as Box<dyn Pad>)
        } else {
            uinput::plug(spec, events).map(|pad| Box::new(pad) as Box<dyn Pad>)
        };
        pad.map_err(|error| {
            let device = if is_sony(spec.kind) { UHID } else { UINPUT };
            let reason = usable(device).err().unwrap_or(&reason::PADS_FAILED);
            PadError { reason, detail: format!("{}: {error}", device.path) }
        })
    }
}

/// The kernel's doors for pads: device, what comes through it, and why it is shut for this user.
pub fn doors() -> [(&'static str, &'static str, Result<(), &'static Reason>); 2] {
    [(UINPUT.path, "Xbox and Switch pads", usable(UINPUT)), (UHID.path, "DualSense and DualShock pads", usable(UHID))]
}

/// Whether this user may make devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Open,
    Missing,
    Denied,
}

/// Whether this user may make devices through uinput.
pub(crate) fn uinput_access() -> Access {
    match usable(UINPUT) {
        Ok(()) => Access::Open,
        Err(reason) if *reason == reason::PADS_DENIED => Access::Denied,
        Err(_) => Access::Missing,
    }
}

/// One of the kernel's doors.
#[derive(Clone, Copy)]
struct Door {
    path: &'static str,
    missing: &'static Reason,
}

fn usable(door: Door) -> Result<(), &'static Reason> {
    if !Path::new(door.path).exists() {
        return Err(door.missing);
    }
    access(door.path, Wanted::READ_OK | Wanted::WRITE_OK).map_err(|_| &reason::PADS_DENIED)
}

const fn is_sony(kind: PadKind) -> bool {
    matches!(kind, PadKind::DualShock4 | PadKind::DualSense | PadKind::DualSenseEdge)
}

/// The name of a pad's thread.
fn thread_name(spec: &PadSpec) -> String {
    format!("pad-{}-{}", spec.session, spec.slot)
}

fn gone(error: &io::Error) -> PadError {
    PadError { reason: &reason::PADS_FAILED, detail: error.to_string() }
}

const UINPUT: Door = Door { path: "/dev/uinput", missing: &reason::PADS_UINPUT_MISSING };
const UHID: Door = Door { path: "/dev/uhid", missing: &reason::PADS_UHID_MISSING };
