//! Fingers on a touchpad: each contact has a number that a new one never shares with the one before.

use punktfunk_media::PadTouch;

/// Numbers contacts.
#[derive(Debug, Default)]
pub(super) struct Fingers {
    /// Number of each place's contact, and whether it is down.
    places: [(u8, bool); 2],
    next: u8,
}

impl Fingers {
    /// Both contacts of a touchpad of `width` × `height`, four bytes each.
    pub fn bytes(&mut self, touches: &[Option<PadTouch>; 2], width: u32, height: u32) -> [u8; 8] {
        let mut bytes = [0; 8];
        for ((place, touch), out) in self.places.iter_mut().zip(touches).zip(bytes.chunks_exact_mut(4)) {
            let (number, down) = place;
            if touch.is_some() && !*down {
                *number = self.next;
                self.next = (self.next + 1) & (LIFTED - 1);
            }
            *down = touch.is_some();
            let at = touch.unwrap_or_default();
            let scaled = |v: u16, size: u32| (u32::from(v) * size / 0x1_0000) as u16;
            let (x, y) = (scaled(at.x, width), scaled(at.y, height));
            let lifted = if *down { 0 } else { LIFTED };
            out.copy_from_slice(&[*number | lifted, x as u8, (x >> 8) as u8 & 0x0f | (y as u8) << 4, (y >> 4) as u8]);
        }
        bytes
    }
}

/// Nobody is down; the rest is the number.
const LIFTED: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_keep_their_numbers_and_new_ones_get_new_ones() {
        let mut fingers = Fingers::default();
        let at = |x, y| Some(PadTouch { x, y });
        let mut bytes = |touches| fingers.bytes(&touches, 1920, 1080);
        assert_eq!(bytes([None, None]), [0x80, 0, 0, 0, 0x80, 0, 0, 0]);
        assert_eq!(bytes([at(0, 0), at(u16::MAX, u16::MAX)]), [0, 0, 0, 0, 1, 0x7f, 0x77, 0x43]);
        assert_eq!(bytes([None, at(0x8000, 0x8000)]), [0x80, 0, 0, 0, 1, 0xc0, 0xc3, 0x21]);
        assert_eq!(bytes([at(0, 0), at(0x8000, 0x8000)])[0], 2);
        for _ in 0..200 {
            bytes([None, None]);
            assert!(bytes([at(0, 0), None])[0] < 0x80);
        }
    }
}
