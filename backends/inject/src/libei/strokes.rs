//! Which keys type a character under a keymap that is not ours.

use std::collections::HashMap;

use xkbcommon::xkb;

use crate::keys::EVDEV_TO_XKB;

/// A key with the modifiers that are held for it, by evdev code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stroke {
    keys: [u16; 3],
    len: usize,
}

impl Stroke {
    fn new(modifiers: &[u16], code: u16) -> Self {
        let mut keys = [0; 3];
        for (place, key) in keys.iter_mut().zip(modifiers.iter().chain([&code])) {
            *place = *key;
        }
        Self { keys, len: modifiers.len() + 1 }
    }

    /// The keys in the order in which they go down.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        self.keys.into_iter().take(self.len)
    }
}

/// Every character that one key types, alone or with Shift, AltGr or both, while `group` and the `locked` modifiers are
/// in force. Nothing for a keymap that XKB does not understand. Dead keys are no characters.
pub fn strokes(keymap: &str, group: u32, locked: u32) -> HashMap<char, Stroke> {
    let mut found = HashMap::new();
    // The binding wants no NUL in a text.
    let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
    let (format, flags) = (xkb::KEYMAP_FORMAT_TEXT_V1, xkb::KEYMAP_COMPILE_NO_FLAGS);
    let keymap = (!keymap.contains('\0'))
        .then(|| xkb::Keymap::new_from_string(&context, keymap.to_owned(), format, flags))
        .flatten();
    let Some(keymap) = keymap else {
        tracing::warn!("XKB does not understand the desktop's keymap; no text can be typed");
        return found;
    };
    let codes = || {
        let range = keymap.min_keycode().raw().max(EVDEV_TO_XKB)..=keymap.max_keycode().raw().min(MOST_XKB);
        range.map(|key| (key - EVDEV_TO_XKB) as u16).filter(|code| !KEYPAD.contains(code))
    };
    let xkb_code = |code: u16| xkb::Keycode::new(u32::from(code) + EVDEV_TO_XKB);
    let under = |depressed| {
        let mut state = xkb::State::new(&keymap);
        state.update_mask(depressed, 0, locked, 0, 0, group);
        state
    };
    let mask = |keys: &[u16]| {
        let mut state = under(0);
        for code in keys {
            state.update_key(xkb_code(*code), xkb::KeyDirection::Down);
        }
        state.serialize_mods(xkb::STATE_MODS_DEPRESSED)
    };
    let plain = under(0);
    // The key that people press, where it is that: XKB also has places that no keyboard has.
    let key_of = |usual, symbol| {
        [usual].into_iter().chain(codes()).find(|code| plain.key_get_one_sym(xkb_code(*code)).raw() == symbol)
    };
    let shift = key_of(LEFT_SHIFT, xkb::keysyms::KEY_Shift_L);
    let third = key_of(RIGHT_ALT, xkb::keysyms::KEY_ISO_Level3_Shift);
    for modifiers in [[None, None], [shift, None], [third, None], [shift, third]] {
        let keys: Vec<u16> = modifiers.into_iter().flatten().collect();
        let state = under(mask(&keys));
        for code in codes() {
            // XKB has characters for dead keys too; they type nothing by themselves.
            let dead = DEAD_KEYS.contains(&state.key_get_one_sym(xkb_code(code)).raw());
            let character = char::from_u32(state.key_get_utf32(xkb_code(code))).filter(|c| !c.is_control());
            if let Some(character) = character.filter(|_| !dead) {
                // The first is the one with the fewest modifiers.
                found.entry(character).or_insert_with(|| Stroke::new(&keys, code));
            }
        }
    }
    found
}

/// Programs tell them apart, and Num Lock changes them.
const KEYPAD: [u16; 20] = [55, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 96, 98, 117, 118, 121, 179];
const LEFT_SHIFT: u16 = 42;
const RIGHT_ALT: u16 = 100;
/// `XK_dead_grave` to `XK_dead_longsolidusoverlay`.
const DEAD_KEYS: std::ops::RangeInclusive<u32> = 0xfe50..=0xfe93;
/// Evdev's largest key.
const MOST_XKB: u32 = 0x2ff + EVDEV_TO_XKB;

#[cfg(test)]
mod tests {
    use super::*;

    fn keymap(layout: &str) -> String {
        let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
        let flags = xkb::KEYMAP_COMPILE_NO_FLAGS;
        let keymap = xkb::Keymap::new_from_names(&context, "evdev", "", layout, "", None, flags).unwrap();
        keymap.get_as_string(xkb::KEYMAP_FORMAT_TEXT_V1)
    }

    fn keys(found: &HashMap<char, Stroke>, character: char) -> Vec<u16> {
        found.get(&character).map(|s| s.keys().collect()).unwrap_or_default()
    }

    #[test]
    fn characters_lie_where_the_layout_has_them() {
        let german = strokes(&keymap("de"), 0, 0);
        assert_eq!(keys(&german, 'z'), [21]);
        assert_eq!(keys(&german, 'Z'), [42, 21]);
        assert_eq!(keys(&german, '@'), [100, 16]);
        assert_eq!(keys(&german, '+'), [27], "not the keypad's");
        assert_eq!(keys(&german, '^'), [0; 0], "a dead key types nothing");
        assert_eq!(keys(&german, '😀'), [0; 0]);
    }

    #[test]
    fn groups_and_locks_are_followed() {
        let both = keymap("us,ru");
        assert_eq!(keys(&strokes(&both, 0, 0), 'q'), [16]);
        assert_eq!(keys(&strokes(&both, 1, 0), 'й'), [16]);
        assert_eq!(keys(&strokes(&both, 1, 0), 'q'), [0; 0]);
        // Caps Lock, the real modifier 1.
        assert_eq!(keys(&strokes(&both, 0, 2), 'Q'), [16]);
        assert_eq!(keys(&strokes(&both, 0, 2), 'q'), [42, 16]);
    }

    #[test]
    fn nonsense_is_no_keymap() {
        assert!(strokes("xkb_keymap {", 0, 0).is_empty());
        assert!(strokes("\0", 0, 0).is_empty());
    }
}
