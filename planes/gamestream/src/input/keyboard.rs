//! Keys: positions, sides, repeats, and modifiers that the client holds although it never pressed them.

use punktfunk_core::input::InputEvent;

use crate::wire::input::Key;
use crate::wire::keys::{MODIFIERS, modifier_bit, position};

/// The keys that are down.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    down: [u64; 4],
}

impl Keyboard {
    /// Junk and keys without a position vanish, and so do repeats: the desktop repeats by itself. If a key comes with a
    /// modifier that is not down (a shortcut of an on-screen keyboard), that is pressed around it.
    pub fn key(&mut self, key: Key, out: &mut impl FnMut(InputEvent)) {
        let Some(vk) = position(key.vk) else { return };
        if self.is_down(vk) == key.down {
            return;
        }
        let missing = if key.down && modifier_bit(vk).is_none() { key.modifiers & !self.modifiers() } else { 0 };
        let around = MODIFIERS.iter().filter(|(bit, _)| missing & bit != 0);
        for (_, modifier) in around.clone() {
            out(InputEvent::Key { vk: *modifier, down: true });
        }
        self.flip(vk);
        out(InputEvent::Key { vk, down: key.down });
        for (_, modifier) in around.rev() {
            out(InputEvent::Key { vk: *modifier, down: false });
        }
    }

    /// The bits of the modifiers that are down on either side.
    fn modifiers(&self) -> u8 {
        (0x5b..=0xa5).filter(|vk| self.is_down(*vk)).filter_map(modifier_bit).fold(0, |all, bit| all | bit)
    }

    fn is_down(&self, vk: u32) -> bool {
        self.down.get(vk as usize / 64).is_some_and(|word| word >> (vk % 64) & 1 == 1)
    }

    fn flip(&mut self, vk: u32) {
        if let Some(word) = self.down.get_mut(vk as usize / 64) {
            *word ^= 1 << (vk % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(keys: &[(u8, bool, u8)]) -> Vec<(u32, bool)> {
        let (mut keyboard, mut out) = (Keyboard::default(), Vec::new());
        for (vk, down, modifiers) in keys {
            let key = Key { vk: *vk, down: *down, modifiers: *modifiers, normalised: true };
            keyboard.key(key, &mut |event| match event {
                InputEvent::Key { vk, down } => out.push((vk, down)),
                other => panic!("{other:?}"),
            });
        }
        out
    }

    #[test]
    fn missing_modifiers_are_pressed_around_the_key() {
        let around = [(0xa0, true), (0xa2, true), (0x41, true), (0xa2, false), (0xa0, false), (0x41, false)];
        assert_eq!(play(&[(0x41, true, 0x03), (0x41, false, 0x03)]), around);
    }

    #[test]
    fn a_modifier_that_is_down_on_either_side_is_not_pressed_again() {
        assert_eq!(play(&[(0xa1, true, 0x01), (0x41, true, 0x01)]), [(0xa1, true), (0x41, true)]);
        assert_eq!(play(&[(0x10, true, 0x01), (0x41, true, 0x01)]), [(0xa0, true), (0x41, true)]);
        let again = [(0x5c, true), (0x5c, false), (0x5b, true), (0x41, true), (0x5b, false)];
        assert_eq!(play(&[(0x5c, true, 0x08), (0x5c, false, 0), (0x41, true, 0x08)]), again);
    }

    #[test]
    fn repeats_junk_and_releases_of_what_is_up_vanish() {
        let keys = [(0x41, true, 0), (0x41, true, 0x01), (0, true, 0), (0xff, true, 0), (0x42, false, 0)];
        assert_eq!(play(&keys), [(0x41, true)]);
    }

    #[test]
    fn modifiers_are_not_pressed_around_modifiers_or_releases() {
        assert_eq!(play(&[(0xa2, true, 0x03), (0xa2, false, 0x01)]), [(0xa2, true), (0xa2, false)]);
    }
}
