//! The GPUs of this machine, as the kernel tells of them: every DRM render node with its device and driver, and whether we
//! may open it.

use std::fs::{self, File};
use std::path::Path;

use punktfunk_mgmt::GpuView;

/// Those of this machine.
#[must_use]
pub fn here() -> Vec<GpuView> {
    gpus(Path::new("/sys/class/drm"), Path::new("/dev/dri"))
}

/// All of them, by node. `sys` is `/sys/class/drm`, `dev` is `/dev/dri`; where there is none, there are no GPUs.
#[must_use]
fn gpus(sys: &Path, dev: &Path) -> Vec<GpuView> {
    let entries = fs::read_dir(sys).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut nodes: Vec<_> = names.filter(|name| is_render_node(name)).collect();
    nodes.sort();
    nodes.iter().take(MOST).map(|name| gpu(&sys.join(name).join("device"), &dev.join(name))).collect()
}

/// `renderD128` and later, as `drm_drv.c` of the kernel names them.
fn is_render_node(name: &str) -> bool {
    name.strip_prefix("renderD").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn gpu(device: &Path, node: &Path) -> GpuView {
    let target = |link: &str| {
        let path = fs::canonicalize(device.join(link)).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    let id = |file: &str| {
        let text = fs::read_to_string(device.join(file)).ok()?;
        u16::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    let vendor = id("vendor");
    let opened = File::options().read(true).write(true).open(node);
    GpuView {
        node: node.display().to_string(),
        bus: target("").unwrap_or_default(),
        vendor: vendor.map_or_else(String::new, vendor_name),
        device: id("device").map_or_else(String::new, |id| format!("{id:04x}")),
        driver: target("driver").unwrap_or_default(),
        usable: opened.is_ok(),
        detail: opened.err().map_or_else(String::new, |e| e.to_string()),
    }
}

/// The vendors of GPUs by their PCI ids (<https://pci-ids.ucw.cz>); others by the id itself.
fn vendor_name(id: u16) -> String {
    match id {
        0x1002 => "AMD".to_owned(),
        0x10de => "NVIDIA".to_owned(),
        0x8086 => "Intel".to_owned(),
        0x1af4 => "virtio".to_owned(),
        0x15ad => "VMware".to_owned(),
        other => format!("{other:04x}"),
    }
}

/// What the kernel has numbers for (`DRM_MINOR_RENDER`: 128 to 191).
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_render_node_is_told_with_its_device_and_whether_it_opens() {
        let root = tempfile::tempdir().unwrap();
        let (sys, dev) = (root.path().join("class"), root.path().join("dri"));
        assert_eq!(gpus(&sys, &dev), []);
        let card = root.path().join("devices/0000:01:00.0");
        let driver = root.path().join("drivers/amdgpu");
        for folder in [&sys, &dev, &card, &driver, &sys.join("renderD128"), &sys.join("renderD129"), &sys.join("card0")]
        {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(card.join("vendor"), "0x1002\n").unwrap();
        fs::write(card.join("device"), "0x744c\n").unwrap();
        symlink(&driver, card.join("driver")).unwrap();
        symlink(&card, sys.join("renderD128/device")).unwrap();
        fs::write(dev.join("renderD128"), "").unwrap();
        // No PCI device, and its node is missing.
        let [first, second] = <[GpuView; 2]>::try_from(gpus(&sys, &dev)).expect("two, and no card");
        assert!(first.node.ends_with("dri/renderD128") && first.usable && first.detail.is_empty(), "{first:?}");
        let facts = [&first.bus, &first.vendor, &first.device, &first.driver].map(String::as_str);
        assert_eq!(facts, ["0000:01:00.0", "AMD", "744c", "amdgpu"]);
        assert!(!second.usable && second.vendor.is_empty() && second.detail.contains("No such file"), "{second:?}");
        assert!(!["renderD", "renderDx", "card0", "version"].into_iter().any(is_render_node));
    }
}
