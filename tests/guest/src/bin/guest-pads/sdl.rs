//! Gamepads as SDL sees them: buttons and axes are numbered in the order of their codes, and a mapping keyed on the
//! device's identity gives them names. Mappings: SDL's own table for Linux.

use evdev::{AbsoluteAxisCode, Device, KeyCode};

/// The pad's identity as SDL writes it.
pub fn guid(device: &Device) -> String {
    let id = device.input_id();
    let word = |v: u16| {
        let [low, high] = v.to_le_bytes();
        format!("{low:02x}{high:02x}0000")
    };
    [id.bus_type().0, id.vendor(), id.product(), id.version()].map(word).concat()
}

/// What a name of a mapping stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Key(KeyCode),
    Axis(AbsoluteAxisCode),
    /// Axis of the hat, and which way.
    Hat(AbsoluteAxisCode, i32),
}

/// Looks `name` up in `mapping`.
pub fn control(device: &Device, mapping: &str, name: &str) -> Control {
    let value = mapping.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(':'));
    let value = value.unwrap_or_else(|| panic!("the mapping has no {name}"));
    if let Some(bit) = value.strip_prefix("h0.") {
        return match bit {
            "1" => Control::Hat(AbsoluteAxisCode::ABS_HAT0Y, -1),
            "2" => Control::Hat(AbsoluteAxisCode::ABS_HAT0X, 1),
            "4" => Control::Hat(AbsoluteAxisCode::ABS_HAT0Y, 1),
            _ => Control::Hat(AbsoluteAxisCode::ABS_HAT0X, -1),
        };
    }
    let (kind, number) = value.split_at(1);
    let number: usize = number.parse().expect("a number");
    if kind == "b" {
        let keys: Vec<_> = device.supported_keys().expect("keys").iter().collect();
        // Joystick and gamepad codes first, everything below after them.
        let (pad, other): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.0 >= 0x120);
        let key = pad.into_iter().chain(other).nth(number);
        return Control::Key(key.unwrap_or_else(|| panic!("no button {number} for {name}")));
    }
    let mut axes = device.supported_absolute_axes().expect("axes").iter().filter(|axis| axis.0 < 0x10);
    Control::Axis(axes.nth(number).unwrap_or_else(|| panic!("no axis {number} for {name}")))
}
