//! The choice of a GPU, as programs on private desktops and their compositors feel it.

mod common;

use std::ffi::OsString;

use common::{Bed, MODE, PrivateBench, on_every_desktop, on_every_sway, wait_until};
use punktfunk_desktop::PrivateContent;
use punktfunk_media::{AppSpec, Gpu, GpuChoice, GpuInUse, Stage};
use punktfunk_testkit::desktop::{Suite, skip};

/// A GPU with this node.
fn one(node: &std::path::Path) -> GpuInUse {
    let (bus, driver) = ("0000:01:00.0".to_owned(), "amdgpu".to_owned());
    GpuInUse::new(GpuChoice::One(Gpu { node: node.to_owned(), bus, vendor: None, device: None, driver, closed: None }))
}

/// What a program on this desktop has in these variables, and the desktop's own terminal and scene with it.
fn told(bench: &PrivateBench, stage: &mut dyn Stage) -> String {
    let file = bench.launch.scratch().join("home/told");
    let command =
        "printf '%s|' \"$DRI_PRIME\" \"$LIBGL_ALWAYS_SOFTWARE\" \"$WLR_RENDERER\" \"$WLR_RENDER_DRM_DEVICE\" \
                   >\"$HOME/told.new\" && mv \"$HOME/told.new\" \"$HOME/told\""
            .to_owned();
    stage.launch(&AppSpec { name: "tell".into(), command, ..AppSpec::default() }).unwrap();
    wait_until("the program told", || file.exists());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    text
}

/// A desktop with this choice, opened.
fn told_with(bed: Bed, gpu: GpuInUse) -> Option<String> {
    let mut bench = PrivateBench::new(bed, PrivateContent::Empty)?;
    bench.config.gpu = gpu;
    bench.remake(None);
    let mut stage = bench.open("a", MODE);
    let said = told(&bench, &mut *stage);
    assert!(stage.is_alive());
    Some(said)
}

#[test]
fn programs_see_what_was_chosen() {
    on_every_desktop(|bed| {
        // WLR_… are sway's own, and what it starts inherits them.
        let renderer = if bed == Bed::BuiltIn { "|" } else { "pixman|" };
        let Some(auto) = told_with(bed, GpuInUse::default()) else { return };
        assert_eq!(auto, format!("||{renderer}|"), "{bed:?}");
        assert_eq!(told_with(bed, GpuInUse::new(GpuChoice::None)).unwrap(), format!("|true|{renderer}|"), "{bed:?}");
    });
    let said = told_with(Bed::BuiltIn, one("/dev/dri/renderD128".as_ref())).unwrap();
    assert_eq!(said, "pci-0000_01_00_0||||");
}

/// A node that opens and is no GPU: as one whose driver is missing.
#[test]
fn a_sway_that_cannot_draw_with_the_gpu_draws_without_and_tells() {
    on_every_sway(|bed| {
        let Some(mut bench) = PrivateBench::new(bed, PrivateContent::Empty) else { return };
        let gpu = one("/dev/null".as_ref());
        bench.config.gpu = gpu.clone();
        bench.remake(None);
        assert_eq!(gpu.trouble(), None);
        let mut stage = bench.open("a", MODE);
        assert_eq!(told(&bench, &mut *stage), "pci-0000_01_00_0||pixman||", "{bed:?}");
        let trouble = gpu.trouble().expect("it is told");
        assert_eq!(trouble.reason.code, "gpu.failed");
        assert!(trouble.detail.contains("/dev/null") || trouble.detail.contains("renderer"), "{}", trouble.detail);
        // Nothing of the first try is left beside the second.
        assert_eq!(common::folders(&bench.config.runtime_dir).len(), 1, "{bed:?}");
        assert_eq!(bench.journal.records().len(), 1, "{bed:?}");
    });
}

/// Sway 1.7 looks at the kernel's modules; later ones at what they draw with, which is never this driver here.
#[test]
fn sway_starts_where_nvidias_own_driver_is_loaded() {
    if !rustix::process::geteuid().is_root() {
        return skip("a list of modules of its own, which needs root");
    }
    if !std::path::Path::new("/proc/modules").exists() {
        return skip("a kernel that has modules");
    }
    let mut bench = PrivateBench::new(Suite::Installed, PrivateContent::Empty).unwrap();
    let modules = bench.launch.scratch().join("modules");
    std::fs::write(&modules, "nvidia 56823808 1 nvidia_modeset, Live 0x0000000000000000\n").unwrap();
    let own = ["unshare", "-m", "sh", "-c", "mount --bind \"$0\" /proc/modules && exec \"$@\""];
    let own = own.map(OsString::from).into_iter().chain([modules.into()]);
    bench.config.launcher = own.chain(bench.config.launcher.clone()).collect();
    bench.remake(None);
    assert!(bench.open("a", MODE).is_alive());
}
