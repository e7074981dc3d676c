//! The keyboard of both planes: US-positional Windows virtual-key codes ↔ Linux evdev codes (punktfunk1.md §4.2).
//!
//! A code names the key's *position* on a US board, never what the desktop's layout prints on it. The table is sorted by
//! virtual key; where two codes name one position (generic and sided modifiers), the canonical one comes first in
//! [`evdev_to_vk`]. Media and browser keys come from GameStream clients only: the native protocol does not carry them.

/// The evdev code (`KEY_*`) at the position of a virtual-key code, `None` for codes without a position.
#[must_use]
pub fn vk_to_evdev(vk: u32) -> Option<u16> {
    let vk = u8::try_from(vk).ok()?;
    KEYS.binary_search_by_key(&vk, |(vk, _)| *vk).ok().map(|i| KEYS[i].1)
}

/// The virtual-key code at the position of an evdev code; modifiers come out with their side.
#[must_use]
pub fn evdev_to_vk(code: u16) -> Option<u32> {
    // From the back: A0–A5 stand behind the generic 10–12.
    KEYS.iter().rfind(|(_, c)| *c == code).map(|(vk, _)| u32::from(*vk))
}

/// `(virtual key, evdev code)`, sorted by virtual key.
#[rustfmt::skip]
const KEYS: &[(u8, u16)] = &[
    (0x08, 14),  // Backspace
    (0x09, 15),  // Tab
    (0x0c, 355), // Clear
    (0x0d, 28),  // Enter
    (0x10, 42),  // Shift → left
    (0x11, 29),  // Ctrl → left
    (0x12, 56),  // Alt → left
    (0x13, 119), // Pause
    (0x14, 58),  // CapsLock
    (0x15, 122), // Hangul
    (0x19, 123), // Hanja
    (0x1b, 1),   // Escape
    (0x1c, 92),  // Henkan
    (0x1d, 94),  // Muhenkan
    (0x20, 57),  // Space
    (0x21, 104), // PageUp
    (0x22, 109), // PageDown
    (0x23, 107), // End
    (0x24, 102), // Home
    (0x25, 105), // Left
    (0x26, 103), // Up
    (0x27, 106), // Right
    (0x28, 108), // Down
    (0x29, 353), // Select
    (0x2a, 210), // Print
    (0x2c, 99),  // PrintScreen
    (0x2d, 110), // Insert
    (0x2e, 111), // Delete
    (0x2f, 138), // Help
    (0x30, 11), (0x31, 2), (0x32, 3), (0x33, 4), (0x34, 5), // 0 1 2 3 4
    (0x35, 6), (0x36, 7), (0x37, 8), (0x38, 9), (0x39, 10), // 5 6 7 8 9
    (0x41, 30), (0x42, 48), (0x43, 46), (0x44, 32), (0x45, 18), (0x46, 33), (0x47, 34), // A B C D E F G
    (0x48, 35), (0x49, 23), (0x4a, 36), (0x4b, 37), (0x4c, 38), (0x4d, 50), (0x4e, 49), // H I J K L M N
    (0x4f, 24), (0x50, 25), (0x51, 16), (0x52, 19), (0x53, 31), (0x54, 20), (0x55, 22), // O P Q R S T U
    (0x56, 47), (0x57, 17), (0x58, 45), (0x59, 21), (0x5a, 44),                         // V W X Y Z
    (0x5b, 125), // left Meta
    (0x5c, 126), // right Meta
    (0x5d, 127), // Menu (Apps)
    (0x5f, 142), // Sleep
    (0x60, 82), (0x61, 79), (0x62, 80), (0x63, 81), (0x64, 75), // keypad 0 1 2 3 4
    (0x65, 76), (0x66, 77), (0x67, 71), (0x68, 72), (0x69, 73), // keypad 5 6 7 8 9
    (0x6a, 55),  // keypad *
    (0x6b, 78),  // keypad +
    (0x6c, 96),  // keypad Enter (the separator code)
    (0x6d, 74),  // keypad -
    (0x6e, 83),  // keypad .
    (0x6f, 98),  // keypad /
    (0x70, 59), (0x71, 60), (0x72, 61), (0x73, 62), (0x74, 63), (0x75, 64),   // F1–F6
    (0x76, 65), (0x77, 66), (0x78, 67), (0x79, 68), (0x7a, 87), (0x7b, 88),   // F7–F12
    (0x7c, 183), (0x7d, 184), (0x7e, 185), (0x7f, 186), (0x80, 187), (0x81, 188), // F13–F18
    (0x82, 189), (0x83, 190), (0x84, 191), (0x85, 192), (0x86, 193), (0x87, 194), // F19–F24
    (0x90, 69),  // NumLock
    (0x91, 70),  // ScrollLock
    (0xa0, 42),  // left Shift
    (0xa1, 54),  // right Shift
    (0xa2, 29),  // left Ctrl
    (0xa3, 97),  // right Ctrl
    (0xa4, 56),  // left Alt
    (0xa5, 100), // right Alt
    (0xa6, 158), (0xa7, 159), (0xa8, 173), (0xa9, 128), // browser back, forward, refresh, stop
    (0xaa, 217), (0xab, 156), (0xac, 172),              // browser search, favourites, home
    (0xad, 113), (0xae, 114), (0xaf, 115),              // volume mute, down, up
    (0xb0, 163), (0xb1, 165), (0xb2, 166), (0xb3, 164), // next, previous, stop, play/pause
    (0xba, 39),  // ;
    (0xbb, 13),  // =
    (0xbc, 51),  // ,
    (0xbd, 12),  // -
    (0xbe, 52),  // .
    (0xbf, 53),  // /
    (0xc0, 41),  // `
    (0xc1, 89),  // JIS Ro
    (0xc2, 121), // keypad , (ABNT2)
    (0xdb, 26),  // [
    (0xdc, 43),  // \
    (0xdd, 27),  // ]
    (0xde, 40),  // '
    (0xe1, 124), // JIS Yen
    (0xe2, 86),  // ISO key beside left Shift
    (0xf2, 93),  // Kana (Katakana/Hiragana)
    (0xf3, 85),  // Zenkaku/Hankaku
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_unambiguous() {
        assert!(KEYS.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn every_position_comes_back() {
        for (vk, code) in KEYS {
            assert_eq!(vk_to_evdev((*vk).into()), Some(*code));
            let back = evdev_to_vk(*code).unwrap();
            assert_eq!(vk_to_evdev(back), Some(*code), "vk {vk:#x} → {code} → {back:#x}");
            // Only the generic modifiers come back as another code: their left one.
            if !matches!(vk, 0x10..=0x12) {
                assert_eq!(back, u32::from(*vk));
            }
        }
    }

    #[test]
    fn named_positions_of_the_specification() {
        let named =
            [(0x6c, 96), (0xe2, 86), (0xc1, 89), (0xc2, 121), (0xe1, 124), (0x41, 30), (0x5d, 127), (0xa5, 100)];
        for (vk, code) in named {
            assert_eq!(vk_to_evdev(vk), Some(code));
        }
        for none in [0, 0x01, 0x07, 0xff, 0xb4, 0x141, u32::MAX] {
            assert_eq!(vk_to_evdev(none), None, "{none:#x}");
        }
    }
}
