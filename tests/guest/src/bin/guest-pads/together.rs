//! Many pads at once, and pads that go.

use evdev::KeyCode;
use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{PadKind, PadReport};

use crate::nodes::{entries, opened, wait_key};
use crate::{plug, wait};

pub fn sixteen() {
    let before = entries("/dev/input", |n| n.starts_with("event")).len();
    let mut pads: Vec<_> =
        (0..16).map(|slot| plug(slot, PadKind::ALL[usize::from(slot) % PadKind::ALL.len()])).collect();
    for slot in 0..16 {
        let nodes = if slot % 6 < 3 { 1 } else { 3 };
        let devices = wait(&format!("{nodes} nodes of slot {slot}"), || {
            let devices = opened(slot);
            (devices.len() == nodes).then_some(devices)
        });
        let report = PadReport { buttons: B::A, ..PadReport::default() };
        pads[usize::from(slot)].0.apply(&report).expect("a report");
        let gamepad = devices
            .iter()
            .find(|d| d.supported_keys().is_some_and(|keys| keys.contains(KeyCode::BTN_SOUTH)))
            .expect("a gamepad");
        wait_key(gamepad, KeyCode::BTN_SOUTH, true);
    }
    // Taken out of the middle, the others stay.
    drop(pads.remove(8));
    wait("slot 8 to be empty", || opened(8).is_empty().then_some(()));
    assert_eq!(opened(9).len(), 3);
    drop(pads);
    wait("all nodes to go", || (entries("/dev/input", |n| n.starts_with("event")).len() == before).then_some(()));
}

pub fn unplugged() {
    for kind in [PadKind::Xbox360, PadKind::DualSense] {
        let (mut pad, _) = plug(3, kind);
        let mut device = wait("a gamepad", || {
            let mut all = opened(3).into_iter();
            all.find(|d| d.supported_keys().is_some_and(|keys| keys.contains(KeyCode::BTN_SOUTH)))
        });
        pad.apply(&PadReport { buttons: B::A, ..PadReport::default() }).expect("a report");
        wait_key(&device, KeyCode::BTN_SOUTH, true);
        drop(pad);
        // A program that still has it open reads the end.
        let end = loop {
            match device.fetch_events() {
                Ok(events) => drop(events),
                Err(error) => break error,
            }
        };
        assert_eq!(end.raw_os_error(), Some(ENODEV), "{kind:?}");
        wait("the node to go", || opened(3).is_empty().then_some(()));
    }
}

/// No such device.
const ENODEV: i32 = 19;
