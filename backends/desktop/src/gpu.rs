//! The GPUs of this machine, as the kernel tells of them (every DRM render node with its device and driver, and whether we
//! may open it), and what programs are told of the one that was chosen.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use punktfunk_media::{Gpu, GpuChoice};

/// Those of this machine, by node.
#[must_use]
pub fn gpus() -> Vec<Gpu> {
    gpus_below(Path::new("/"))
}

/// Those of the machine whose `/sys` and `/dev` are below `root`; where there is none, there are no GPUs.
#[must_use]
pub fn gpus_below(root: &Path) -> Vec<Gpu> {
    let (sys, dev) = (root.join("sys/class/drm"), root.join("dev/dri"));
    let entries = fs::read_dir(&sys).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut nodes: Vec<_> = names.filter(|name| is_render_node(name)).collect();
    nodes.sort();
    nodes.iter().take(MOST).map(|name| gpu(&sys.join(name).join("device"), &dev.join(name))).collect()
}

/// `renderD128` and later, as `drm_drv.c` of the kernel names them.
fn is_render_node(name: &str) -> bool {
    name.strip_prefix("renderD").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn gpu(device: &Path, node: &Path) -> Gpu {
    let target = |link: &str| {
        let path = fs::canonicalize(device.join(link)).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    let id = |file: &str| {
        let text = fs::read_to_string(device.join(file)).ok()?;
        u16::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    Gpu {
        node: node.to_owned(),
        bus: target("").unwrap_or_default(),
        vendor: id("vendor"),
        device: id("device"),
        driver: target("driver").unwrap_or_default(),
        closed: File::options().read(true).write(true).open(node).err().map(|e| e.to_string()),
    }
}

/// What every program of a private desktop has in its environment. Mesa takes `DRI_PRIME` for OpenGL and for Vulkan, where
/// the GPU is the first that it lists (<https://docs.mesa3d.org/envvars.html>).
pub(crate) fn variables(choice: &GpuChoice) -> Option<(&'static str, OsString)> {
    match choice {
        GpuChoice::Auto => None,
        GpuChoice::None => Some(("LIBGL_ALWAYS_SOFTWARE", "true".into())),
        // Of a GPU that is elsewhere than on PCI there is one at most.
        GpuChoice::One(gpu) => Some(("DRI_PRIME", format!("pci-{}", path_tag(&gpu.bus)?).into())),
    }
}

/// Whether programs of private desktops are told of the choice.
#[must_use]
pub fn programs_are_told(choice: &GpuChoice) -> bool {
    variables(choice).is_some()
}

/// A PCI address as udev's `ID_PATH_TAG` has it: `0000_01_00_0`.
fn path_tag(bus: &str) -> Option<String> {
    let parts: Vec<_> = bus.split([':', '.']).collect();
    let hexadecimal = |part: &&str, digits: usize| part.len() == digits && u32::from_str_radix(part, 16).is_ok();
    let fits = parts.len() == 4 && parts.iter().zip([4, 2, 2, 1]).all(|(part, digits)| hexadecimal(part, digits));
    fits.then(|| parts.join("_"))
}

/// What the kernel has numbers for (`DRM_MINOR_RENDER`: 128 to 191).
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_render_node_is_told_with_its_device_and_whether_it_opens() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(gpus_below(root.path()), []);
        let (sys, dev) = (root.path().join("sys/class/drm"), root.path().join("dev/dri"));
        let card = root.path().join("sys/devices/0000:01:00.0");
        let driver = root.path().join("sys/drivers/amdgpu");
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
        let [first, second] = <[Gpu; 2]>::try_from(gpus_below(root.path())).expect("two, and no card");
        assert!(first.node.ends_with("dri/renderD128") && first.closed.is_none(), "{first:?}");
        assert_eq!((first.vendor, first.device), (Some(0x1002), Some(0x744c)));
        assert_eq!([&first.bus, &first.driver].map(String::as_str), ["0000:01:00.0", "amdgpu"]);
        assert!(second.vendor.is_none() && second.closed.as_ref().is_some_and(|why| why.contains("No such file")));
        assert!(!["renderD", "renderDx", "card0", "version"].into_iter().any(is_render_node));
    }

    #[test]
    fn programs_are_told_what_mesa_documents() {
        let one = |bus: &str| {
            let node = Path::new("/dev/dri/renderD128").to_owned();
            let gpu =
                Gpu { node, bus: bus.to_owned(), vendor: None, device: None, driver: String::new(), closed: None };
            variables(&GpuChoice::One(gpu))
        };
        assert_eq!(one("0000:02:00.0"), Some(("DRI_PRIME", "pci-0000_02_00_0".into())));
        assert_eq!([one("vgem"), one("fde60000.gpu"), one(""), one("0000:0g:00.0")], [None, None, None, None]);
        assert_eq!(variables(&GpuChoice::Auto), None);
        assert_eq!(variables(&GpuChoice::None), Some(("LIBGL_ALWAYS_SOFTWARE", "true".into())));
    }
}
