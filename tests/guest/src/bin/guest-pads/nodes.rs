//! The nodes that the kernel makes of a pad.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use evdev::{AbsoluteAxisCode, Device, KeyCode};

use crate::wait;

/// The event device of the pad in `slot` with this name.
pub fn find(slot: u8, name: &str) -> Device {
    wait(&format!("{name} of slot {slot}"), || opened(slot).into_iter().find(|d| d.name() == Some(name)))
}

/// Every event device of the pad in `slot`.
pub fn opened(slot: u8) -> Vec<Device> {
    let own = EVDEV_NODES.lock().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned();
    // The serial number of HID pads begins with the slot.
    let serial = format!(":{slot:02x}");
    let is_own = |node: &PathBuf| own.as_ref() == Some(node) || uniq(node).ends_with(&serial);
    let paths = event_nodes().into_iter().filter(is_own);
    // A node that went away meanwhile is none.
    paths.filter_map(|node| Device::open(Path::new("/dev/input").join(node.file_name()?)).ok()).collect()
}

/// Remembers which node a pad's plugging makes at once: evdev pads carry no serial number.
pub fn remember<T>(slot: u8, plug: impl FnOnce() -> T) -> T {
    let nodes = || -> Vec<PathBuf> { event_nodes().into_iter().filter(|node| uniq(node).is_empty()).collect() };
    let before = nodes();
    let plugged = plug();
    let own = nodes().into_iter().find(|path| !before.contains(path));
    let mut known = EVDEV_NODES.lock().unwrap_or_else(PoisonError::into_inner);
    match own {
        Some(path) => known.insert(slot, path),
        None => known.remove(&slot),
    };
    plugged
}

/// Event nodes in sysfs, which tells about them without opening each: that takes long under emulation.
fn event_nodes() -> Vec<PathBuf> {
    entries("/sys/class/input", |name| name.starts_with("event"))
}

fn uniq(node: &Path) -> String {
    read(&node.join("device/uniq")).to_lowercase()
}

static EVDEV_NODES: Mutex<BTreeMap<u8, PathBuf>> = Mutex::new(BTreeMap::new());

/// Waits until a key is in this state.
pub fn wait_key(device: &Device, key: KeyCode, down: bool) {
    wait(&format!("{key:?} {down} of {:?}", device.name()), || {
        let keys = device.get_key_state().expect("key state");
        (keys.contains(key) == down).then_some(())
    });
}

/// Where an axis is.
pub fn axis(device: &Device, code: AbsoluteAxisCode) -> i32 {
    device.get_abs_state().expect("axis state")[usize::from(code.0)].value
}

/// Waits until an axis is there.
pub fn wait_axis(device: &Device, code: AbsoluteAxisCode, value: i32) {
    wait(&format!("{code:?} = {value} of {:?}, it is {}", device.name(), axis(device, code)), || {
        (axis(device, code) == value).then_some(())
    });
}

/// Entries of a folder of sysfs whose names satisfy `wanted`.
pub fn entries(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten();
    all.filter(|entry| wanted(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect()
}

/// A file of sysfs.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Writes a file of sysfs.
pub fn write(path: &Path, value: &str) {
    std::fs::write(path, value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
