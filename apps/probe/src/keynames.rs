//! Names of keys for input scripts: positions on a US board, as Windows virtual-key codes.

/// The virtual-key code of a name, whatever its case; `None` if nobody knows it.
pub fn virtual_key(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    if let [byte @ (b'A'..=b'Z' | b'0'..=b'9')] = upper.as_bytes() {
        return Some(u32::from(*byte));
    }
    if let Some(number) = upper.strip_prefix('F').and_then(|n| n.parse::<u32>().ok())
        && (1..=24).contains(&number)
    {
        return Some(0x6f + number);
    }
    if let Some(digit) = upper.strip_prefix("KP").and_then(|d| d.parse::<u32>().ok())
        && digit <= 9
    {
        return Some(0x60 + digit);
    }
    NAMES.iter().find(|(known, _)| *known == upper).map(|(_, vk)| *vk)
}

const NAMES: &[(&str, u32)] = &[
    ("BACKSPACE", 0x08),
    ("TAB", 0x09),
    ("ENTER", 0x0d),
    ("RETURN", 0x0d),
    ("SHIFT", 0xa0),
    ("LSHIFT", 0xa0),
    ("RSHIFT", 0xa1),
    ("CTRL", 0xa2),
    ("LCTRL", 0xa2),
    ("RCTRL", 0xa3),
    ("ALT", 0xa4),
    ("LALT", 0xa4),
    ("RALT", 0xa5),
    ("ALTGR", 0xa5),
    ("META", 0x5b),
    ("SUPER", 0x5b),
    ("LMETA", 0x5b),
    ("RMETA", 0x5c),
    ("MENU", 0x5d),
    ("PAUSE", 0x13),
    ("CAPSLOCK", 0x14),
    ("ESC", 0x1b),
    ("ESCAPE", 0x1b),
    ("SPACE", 0x20),
    ("PAGEUP", 0x21),
    ("PAGEDOWN", 0x22),
    ("END", 0x23),
    ("HOME", 0x24),
    ("LEFT", 0x25),
    ("UP", 0x26),
    ("RIGHT", 0x27),
    ("DOWN", 0x28),
    ("PRINTSCREEN", 0x2c),
    ("INSERT", 0x2d),
    ("DELETE", 0x2e),
    ("NUMLOCK", 0x90),
    ("SCROLLLOCK", 0x91),
    ("KPENTER", 0x6c),
    ("KPMULTIPLY", 0x6a),
    ("KPPLUS", 0x6b),
    ("KPMINUS", 0x6d),
    ("KPDOT", 0x6e),
    ("KPDIVIDE", 0x6f),
    ("SEMICOLON", 0xba),
    ("EQUAL", 0xbb),
    ("COMMA", 0xbc),
    ("MINUS", 0xbd),
    ("DOT", 0xbe),
    ("PERIOD", 0xbe),
    ("SLASH", 0xbf),
    ("GRAVE", 0xc0),
    ("LEFTBRACKET", 0xdb),
    ("BACKSLASH", 0xdc),
    ("RIGHTBRACKET", 0xdd),
    ("APOSTROPHE", 0xde),
    ("ISO", 0xe2),
];

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::keys::vk_to_evdev;

    #[test]
    fn every_name_is_a_key_that_hosts_know() {
        let more = ["A", "z", "0", "9", "F1", "f12", "KP0", "KP9"];
        for name in NAMES.iter().map(|(name, _)| *name).chain(more) {
            let vk = virtual_key(name).unwrap_or_else(|| panic!("{name}"));
            assert!(vk_to_evdev(vk).is_some(), "{name} = {vk:#x}");
        }
        // KEY_ENTER, KEY_A, KEY_F1, KEY_KPENTER of linux/input-event-codes.h.
        let evdev = |name| virtual_key(name).and_then(vk_to_evdev);
        assert_eq!(["enter", "a", "F1", "KPENTER"].map(evdev), [28, 30, 59, 96].map(Some));
        for unknown in ["", "F0", "F25", "KP10", "AA", "ß"] {
            assert_eq!(virtual_key(unknown), None, "{unknown}");
        }
    }
}
