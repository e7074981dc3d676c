//! Real render nodes, as the kernel and udev tell of them and as a private sway and its programs get them. Runs inside the
//! emulated machine with the guest tree below it; prints one line per check and fails if one does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_desktop::{Environment, PrivateConfig, PrivateContent, PrivateDesktop, gpus, programs_are_told};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{AppSpec, Desktop, Gpu, GpuChoice, GpuInUse, Journal, Mode, StageRequest};

fn main() -> ExitCode {
    let checks: [(&str, fn()); 4] = [
        ("both nodes are told, with their bus and driver", nodes_are_told),
        ("programs are told of the GPU as udev tags it", programs_are_told_as_udev_tags),
        ("a sway with the GPU runs, and one that cannot draw with it says so", sway_gets_the_node),
        ("a node that is closed to the host's user is told as such", closed_node),
    ];
    let failed = checks.iter().filter(|(name, check)| {
        let began = Instant::now();
        // The panic's message is on the console already.
        let passed = catch_unwind(AssertUnwindSafe(check)).is_ok();
        println!("{}: {name} ({:.1} s)", if passed { "ok" } else { "FAILED" }, began.elapsed().as_secs_f32());
        !passed
    });
    match failed.count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The emulated card, on PCI.
fn card() -> Gpu {
    let found = gpus().into_iter().find(|gpu| gpu.driver == "virtio-pci" || gpu.vendor == Some(VIRTIO));
    found.unwrap_or_else(|| panic!("no card among {:?}", gpus()))
}

fn nodes_are_told() {
    let all = gpus();
    println!("{all:?}");
    assert_eq!(all.len(), 2, "the emulated card, and the kernel's own without hardware");
    assert!(all.iter().all(|gpu| gpu.node.starts_with("/dev/dri") && gpu.closed.is_none()));
    let card = card();
    assert_eq!((card.vendor, card.device), (Some(VIRTIO), Some(VIRTIO_GPU)));
    assert!(card.bus.starts_with("0000:00:") && card.bus.ends_with(".0"), "{}", card.bus);
    let other = all.iter().find(|gpu| **gpu != card).expect("vgem");
    assert_eq!((other.bus.as_str(), other.vendor), ("vgem", None));
    assert!(programs_are_told(&GpuChoice::One(card)) && !programs_are_told(&GpuChoice::One(other.clone())));
}

/// What a program on a private sway with this choice sees of these variables.
fn on_sway(gpu: &GpuInUse) -> String {
    // The same path on both sides of the tree's root.
    let (here, there) = (Path::new("/run/desktops"), Path::new("/tree/run/desktops"));
    if !there.exists() {
        for folder in [here, there] {
            fs::create_dir_all(folder).expect("a folder");
        }
        assert!(Command::new("mount").args(["-o", "bind"]).args([here, there]).status().is_ok_and(|s| s.success()));
    }
    let words = ["chroot", "/tree", "/usr/bin/setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];
    let config = PrivateConfig {
        gpu: gpu.clone(),
        content: PrivateContent::Empty,
        launcher: words.map(Into::into).to_vec(),
        owner: Some((USER, USER)),
        ..PrivateConfig::below(here.to_owned())
    };
    let environment = Environment::from_pairs([("PATH", "/usr/bin:/bin"), ("HOME", "/tmp")]);
    let desktop = PrivateDesktop::new(config, environment, None).expect("sway is in the tree");
    let request = StageRequest { identity: "a".into(), name: "a".into(), mode: MODE };
    let mut stage = desktop.open(&request, &(MemoryJournal::new() as Arc<dyn Journal>)).expect("a desktop");
    let (file, seen) = ("/tmp/told", Path::new("/tree/tmp/told"));
    let command = format!(
        "printf '%s|' \"$DRI_PRIME\" \"$LIBGL_ALWAYS_SOFTWARE\" \"$WLR_RENDERER\" \"$WLR_RENDER_DRM_DEVICE\" >{file}.new; mv {file}.new {file}"
    );
    stage.launch(&AppSpec { name: "tell".into(), command, ..AppSpec::default() }).expect("started");
    let until = Instant::now() + Duration::from_secs(60);
    while !seen.exists() {
        assert!(Instant::now() < until, "the program says nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = fs::read_to_string(seen).expect("readable");
    fs::remove_file(seen).expect("ours");
    text
}

fn programs_are_told_as_udev_tags() {
    let card = card();
    let info = Command::new("chroot").args(["/tree", "udevadm", "test-builtin", "path_id"]).arg(sys(&card)).output();
    let info = info.expect("udevadm");
    let said = String::from_utf8_lossy(&info.stdout).into_owned() + &String::from_utf8_lossy(&info.stderr);
    let tag =
        said.lines().find_map(|line| line.trim().strip_prefix("ID_PATH_TAG=")).unwrap_or_else(|| panic!("{said}"));
    let told = on_sway(&GpuInUse::new(GpuChoice::One(card)));
    println!("udev: {tag}; programs: {told}");
    assert_eq!(told.split('|').next(), Some(tag));
    assert_eq!(on_sway(&GpuInUse::new(GpuChoice::None)), "|true|pixman||");
}

/// QEMU's card has a node that opens, and draws nothing by itself: a sway that was given it says so in its own words.
fn sway_gets_the_node() {
    let card = card();
    fs::set_permissions(&card.node, fs::Permissions::from_mode(0o666)).expect("root's own");
    let node = card.node.display().to_string();
    let gpu = GpuInUse::new(GpuChoice::One(card));
    let told = on_sway(&gpu);
    let Some(trouble) = gpu.trouble() else {
        return assert!(told.ends_with(&format!("|gles2|{node}|")), "{told}");
    };
    println!("{}: {}", trouble.reason, trouble.detail);
    assert_eq!(trouble.reason.code, "gpu.failed");
    assert!(trouble.detail.contains("GLES2") && !trouble.detail.contains("Permission denied"), "it was opened");
    assert!(told.ends_with("|pixman||"), "{told}");
}

fn closed_node() {
    // Root opens everything; what is no device any more, nobody opens.
    let node = card().node;
    fs::set_permissions(&node, fs::Permissions::from_mode(0o000)).expect("root's own");
    fs::rename(&node, "/dev/away").expect("moved");
    let card = card();
    println!("{:?}", card.closed);
    assert!(card.closed.is_some_and(|why| why.contains("No such file")));
}

/// Where the kernel tells of it.
fn sys(gpu: &Gpu) -> String {
    let name = gpu.node.file_name().expect("a node").to_string_lossy();
    format!("/sys/class/drm/{name}")
}

/// PCI ids of QEMU's card (`virtio-gpu-pci`).
const VIRTIO: u16 = 0x1af4;
const VIRTIO_GPU: u16 = 0x1050;
/// Small: every picture is drawn by an emulated processor.
const MODE: Mode = Mode { width: 320, height: 200, refresh_hz: 10 };
/// Sway refuses root.
const USER: u32 = 1000;
