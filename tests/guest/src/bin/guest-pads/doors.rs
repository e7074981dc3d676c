//! The kernel's doors for devices, as the host's user finds them: open, shut, or not there.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use punktfunk_inject::digitizer::Digitizers;
use punktfunk_inject::pads::KernelPads;
use punktfunk_media::{PadFactory, PadKind, Reason};

use crate::plug;

/// A door that is not there has its own reason, and what comes through the other one goes on.
pub fn missing() {
    for (door, reason, left) in [
        ("/dev/uinput", "pads.uinput_missing", PadKind::DualSense),
        ("/dev/uhid", "pads.uhid_missing", PadKind::Xbox360),
    ] {
        let away = Path::new("/dev/away");
        std::fs::rename(door, away).expect("moved away");
        let (missing, kinds) = (codes(&KernelPads.missing()), KernelPads.kinds());
        let touch = Digitizers::possible().map_err(|reason| reason.code);
        let made = plug(3, left);
        std::fs::rename(away, door).expect("moved back");
        assert_eq!(missing, [reason]);
        assert!(kinds.contains(left));
        let other = if left == PadKind::DualSense { PadKind::Xbox360 } else { PadKind::DualSense };
        assert!(!kinds.contains(other), "{kinds:?}");
        assert_eq!(touch.is_err(), door == "/dev/uinput", "{touch:?}");
        drop(made);
    }
    assert_eq!(codes(&KernelPads.missing()), Vec::<&str>::new());
}

/// To a user whom no rule lets in, both doors are shut: this very program finds out as one.
pub fn denied() {
    let mut other = Command::new(std::env::current_exe().expect("a path"));
    let status = other.arg(AS_ANYBODY).uid(1000).gid(1000).status().expect("it runs");
    assert!(status.success(), "{status}");
}

/// What [`denied`] starts.
pub fn as_anybody() {
    assert_eq!(codes(&KernelPads.missing()), ["pads.denied"]);
    assert_eq!(Digitizers::possible().map_err(|reason| reason.code), Err("input.touch_denied"));
    assert!(PadKind::ALL.iter().all(|kind| !KernelPads.kinds().contains(*kind)));
}

fn codes(reasons: &[&'static Reason]) -> Vec<&'static str> {
    reasons.iter().map(|reason| reason.code).collect()
}

/// The argument that makes this program call [`as_anybody`].
pub const AS_ANYBODY: &str = "as-anybody";
