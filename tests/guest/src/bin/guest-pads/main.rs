//! Makes every kind of gamepad and judges what the kernel makes of it. Runs inside the emulated machine, where nothing
//! else has devices; prints one line per check and fails if one does.

mod digitizers;
mod doors;
mod evdev_pads;
mod nodes;
mod sdl;
mod sony_pads;
mod together;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_inject::pads::KernelPads;
use punktfunk_media::{Pad, PadEvents, PadFactory, PadFeedback, PadKind, PadSpec};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(doors::AS_ANYBODY) {
        doors::as_anybody();
        return ExitCode::SUCCESS;
    }
    let checks: [(&str, fn()); 16] = [
        ("every kind can be made here", every_kind),
        ("a door that is missing has its reason", doors::missing),
        ("a door that is shut has its reason", doors::denied),
        ("an Xbox 360 pad is what its driver makes", evdev_pads::xbox_360),
        ("an Xbox Series pad is what its driver makes", evdev_pads::xbox_series),
        ("a Switch Pro pad is what its driver makes", evdev_pads::switch_pro),
        ("effects play, add up, end and are erased", evdev_pads::force_feedback),
        ("hid-playstation drives a DualSense", sony_pads::dualsense),
        ("hid-playstation drives a DualSense Edge", sony_pads::dualsense_edge),
        ("hid-playstation drives a DualShock 4", sony_pads::dualshock_4),
        ("a DualSense's lights, motors and triggers come back", sony_pads::dualsense_feedback),
        ("a DualShock 4's lights and motors come back", sony_pads::dualshock_4_feedback),
        ("sixteen pads of all kinds live together", together::sixteen),
        ("a pen hovers, presses, leans and turns around", digitizers::pen),
        ("a touch screen follows ten fingers", digitizers::touch_screen),
        ("a pad that is unplugged while it is held is gone at once", together::unplugged),
    ];
    let mut failed = 0;
    for (name, check) in checks {
        let began = Instant::now();
        // The panic's message is on the console already.
        let verdict = if catch_unwind(check).is_ok() { "ok" } else { "FAILED" };
        failed += usize::from(verdict == "FAILED");
        println!("{verdict}: {name} ({:.1} s)", began.elapsed().as_secs_f32());
    }
    println!("{} checks, {failed} failed", checks.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn every_kind() {
    assert_eq!(KernelPads.missing(), Vec::<&punktfunk_media::Reason>::new());
    for kind in PadKind::ALL {
        assert!(KernelPads.kinds().contains(kind), "{kind:?}");
    }
}

/// What programs wished of a pad.
#[derive(Clone, Debug, Default)]
pub struct Wishes(Arc<Mutex<Vec<PadFeedback>>>);

impl PadEvents for Wishes {
    fn feedback(&self, feedback: &PadFeedback) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(*feedback);
    }
}

impl Wishes {
    /// Waits until `wanted` was wished since the last call, and forgets everything up to it.
    pub fn wait(&self, wanted: PadFeedback) {
        wait(&format!("{wanted:?} of {self:?}"), || {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = all.iter().position(|f| *f == wanted)?;
            all.drain(..=at);
            Some(())
        });
    }

    /// Everything since the last call.
    pub fn take(&self) -> Vec<PadFeedback> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Plugs a pad in.
pub fn plug(slot: u8, kind: PadKind) -> (Box<dyn Pad>, Wishes) {
    let wishes = Wishes::default();
    let spec = PadSpec { session: 7, slot, kind };
    let pad = nodes::remember(slot, || KernelPads.plug(&spec, Arc::new(wishes.clone()))).expect("a pad");
    (pad, wishes)
}

/// Waits until `found` gives something: a kernel under emulation takes its time.
pub fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
