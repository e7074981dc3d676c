//! The choice of a GPU on a machine that has two: boots the emulated machine and believes what it reports.

use std::path::Path;
use std::time::Duration;

use punktfunk_guest::{Guest, World};
use punktfunk_testkit::desktop::skip;

#[test]
fn a_private_sway_and_its_programs_get_the_gpu_that_was_chosen() {
    let Some(guest) = Guest::find().expect("a usable guest tree") else {
        return skip("a kernel to boot (scripts/debian-tree guest)");
    };
    let guest = guest.with_device("virtio-gpu-pci");
    let scratch = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_guest-gpu"));
    let outcome = guest.run(World::Tree, &["virtio-gpu", "vgem"], program, scratch.path(), PATIENCE);
    let outcome = outcome.expect("the emulator starts");
    println!("{}\nthe guest ran for {:.1} s", outcome.console, outcome.took.as_secs_f32());
    assert_eq!(outcome.status, Some(0), "see the console above");
}

/// About 30 s on an idle machine. Ends what hangs; passes nothing.
const PATIENCE: Duration = Duration::from_secs(170);
