//! Key codes of GameStream clients (gamestream.md §7.3, Appendix B) as the engine's positions.
//!
//! The engine knows keys by their position on a US board, as a virtual-key code of `punktfunk_core::keys`. So do clients
//! that normalise. A code with the *not normalised* flag is meant for the host's active layout: there it is the key that
//! carries this code. Which position that is, only the desktop's layout could tell; on Linux it is not told, and a code
//! is taken for its US position as well. That is exact for every key that does not move between layouts (all but letters
//! and some punctuation), and for all keys where the host's layout is a US one.

use punktfunk_core::keys::vk_to_evdev;

/// The engine's code for a client's virtual key; `None` for junk and for keys without a position.
#[must_use]
pub fn position(vk: u8) -> Option<u32> {
    let vk = match vk {
        // Some clients know no sides.
        0x10 => LEFT_SHIFT,
        0x11 => LEFT_CTRL,
        0x12 => LEFT_ALT,
        // Here it is the separator; in the native protocol it is the keypad's Enter, whose separator is 0xC2.
        0x6c => 0xc2,
        vk => vk,
    };
    vk_to_evdev(vk.into()).map(|_| vk.into())
}

/// The modifier of a position: its bit in the `modifiers` field of key packets.
#[must_use]
pub(crate) const fn modifier_bit(position: u32) -> Option<u8> {
    match position {
        0xa0 | 0xa1 => Some(SHIFT),
        0xa2 | 0xa3 => Some(CTRL),
        0xa4 | 0xa5 => Some(ALT),
        0x5b | 0x5c => Some(META),
        _ => None,
    }
}

/// The left key of each modifier bit.
pub(crate) const MODIFIERS: [(u8, u32); 4] =
    [(SHIFT, LEFT_SHIFT as u32), (CTRL, LEFT_CTRL as u32), (ALT, LEFT_ALT as u32), (META, 0x5b)];

const SHIFT: u8 = 0x01;
const CTRL: u8 = 0x02;
const ALT: u8 = 0x04;
const META: u8 = 0x08;
const LEFT_SHIFT: u8 = 0xa0;
const LEFT_CTRL: u8 = 0xa2;
const LEFT_ALT: u8 = 0xa4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix B, but for 2B (Execute), which no keyboard has.
    #[test]
    fn every_key_of_the_appendix_has_a_position() {
        let ranges = [0x30..=0x39, 0x41..=0x5a, 0x60..=0x69, 0x6a..=0x6f, 0x70..=0x87, 0xa0..=0xb3, 0xba..=0xc0];
        let single = [
            0x08, 0x09, 0x0c, 0x0d, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x19, 0x1b, 0x1c, 0x1d, 0x20, 0x21, 0x22, 0x23,
            0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2c, 0x2d, 0x2e, 0x2f, 0x5b, 0x5c, 0x5d, 0x5f, 0x90, 0x91, 0xdb,
            0xdc, 0xdd, 0xde, 0xe2,
        ];
        for vk in ranges.into_iter().flatten().chain(single) {
            assert!(position(vk).is_some(), "{vk:#04x}");
        }
    }

    #[test]
    fn junk_has_none_and_the_separator_is_its_own_key() {
        assert_eq!((position(0x00), position(0xff), position(0x07)), (None, None, None));
        assert_eq!(position(0x6c).and_then(vk_to_evdev), Some(121));
        assert_eq!(position(0x0d).and_then(vk_to_evdev), Some(28));
        assert_eq!([0x10, 0x11, 0x12].map(position), [Some(0xa0), Some(0xa2), Some(0xa4)]);
    }

    #[test]
    fn each_modifier_bit_names_its_left_key() {
        for (bit, key) in MODIFIERS {
            assert_eq!(modifier_bit(key), Some(bit));
            assert_eq!(position(key as u8), Some(key));
        }
    }
}
