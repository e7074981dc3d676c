//! The keyboard for text: a new character's keymap is sent right before its key. Wayland keeps the order, so every client
//! knows the character when the key arrives.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use punktfunk_media::InjectError;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use crate::link::{KEYMAP_FORMAT_XKB_V1, Link, keymap_file};
use crate::text_keymap::TextKeymap;
use crate::{lost, unsupported};

/// A virtual keyboard with a changing keymap.
pub struct Text {
    device: ZwpVirtualKeyboardV1,
    places: TextKeymap,
    /// Reused text of the keymap.
    keymap: String,
    /// Keymaps that may be sent without a pause, refilled with time.
    allowance: u32,
    refilled: Instant,
}

impl Text {
    /// Makes the keyboard.
    pub fn create(link: &Link) -> Result<Self, InjectError> {
        let device = link.state.keyboards.create_virtual_keyboard(&link.state.seat, &link.handle(), ());
        let mut text = Self {
            device,
            places: TextKeymap::default(),
            keymap: String::new(),
            allowance: BURST,
            refilled: Instant::now(),
        };
        text.send_keymap()?;
        Ok(text)
    }

    /// Types one character. Line feed, tab, backspace, escape and delete are the keys of these names.
    pub fn type_character(&mut self, time: u32, character: char) -> Result<(), InjectError> {
        let (stroke, new) = self.places.stroke(character).ok_or_else(|| {
            unsupported(format!("U+{:04X} is a control character without a key", u32::from(character)))
        })?;
        if new {
            self.pause_if_too_fast();
            self.send_keymap()?;
        }
        if stroke.modifiers != 0 {
            self.device.modifiers(stroke.modifiers, 0, 0, 0);
        }
        self.device.key(time, u32::from(stroke.code), 1);
        self.device.key(time, u32::from(stroke.code), 0);
        if stroke.modifiers != 0 {
            self.device.modifiers(0, 0, 0, 0);
        }
        Ok(())
    }

    fn send_keymap(&mut self) -> Result<(), InjectError> {
        self.keymap.clear();
        self.places.write_keymap(&mut self.keymap);
        let (file, size) = keymap_file(&self.keymap).map_err(|e| lost(format!("keymap: {e}")))?;
        self.device.keymap(KEYMAP_FORMAT_XKB_V1, file.as_fd(), size);
        Ok(())
    }

    /// Every keymap is a file descriptor on its way to every client that has the focus; the kernel limits how many may
    /// be under way, and a compositor that meets the limit drops the client. So long runs of new characters are slowed
    /// down to what clients read.
    fn pause_if_too_fast(&mut self) {
        let since = self.refilled.elapsed();
        let earned = u32::try_from(since.as_micros() / REFILL_EVERY.as_micros()).unwrap_or(BURST);
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(BURST);
            self.refilled = Instant::now();
        }
        if self.allowance == 0 {
            std::thread::sleep(REFILL_EVERY.saturating_sub(since));
            self.refilled = Instant::now();
        } else {
            self.allowance -= 1;
        }
    }

    /// Takes the keyboard away.
    pub fn destroy(&self) {
        self.device.destroy();
    }
}

/// A screenful of new characters at once is fine: the kernel allows some hundreds of descriptors under way.
const BURST: u32 = 64;
/// Clients compile such a keymap in well under this time.
const REFILL_EVERY: Duration = Duration::from_millis(2);
