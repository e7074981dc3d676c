//! Touch and pen on a real sway with real libinput and udev, over a real kernel: boots the emulated machine and believes
//! what it reports.

use std::path::Path;
use std::time::Duration;

use punktfunk_guest::{Guest, World};
use punktfunk_testkit::desktop::skip;

#[test]
fn programs_feel_the_clients_fingers_and_pen() {
    let Some(guest) = Guest::find().expect("a usable guest tree") else {
        return skip("a kernel to boot (scripts/debian-tree guest)");
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_guest-touch"));
    let outcome = guest.run(World::Tree, &["evdev", "uinput"], program, scratch.path(), PATIENCE);
    let outcome = outcome.expect("the emulator starts");
    println!("{}\nthe guest ran for {:.1} s", outcome.console, outcome.took.as_secs_f32());
    assert_eq!(outcome.status, Some(0), "see the console above");
}

/// About 30 s on an idle machine. Ends what hangs; passes nothing.
const PATIENCE: Duration = Duration::from_secs(170);
