//! The keyboard for text: a new character's keymap is sent right before its key. Wayland keeps the order, so every client
//! knows the character when the key arrives.

use std::os::fd::AsFd;

use punktfunk_media::InjectError;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use crate::link::{KEYMAP_FORMAT_XKB_V1, Link, keymap_file};
use crate::text_keymap::{KeymapPace, TextKeymap};
use crate::{lost, unsupported};

/// A virtual keyboard with a changing keymap.
pub struct Text {
    device: ZwpVirtualKeyboardV1,
    places: TextKeymap,
    /// Reused text of the keymap.
    keymap: String,
    pace: KeymapPace,
}

impl Text {
    /// Makes the keyboard.
    pub fn create(link: &Link) -> Result<Self, InjectError> {
        let device = link.state.keyboards.create_virtual_keyboard(&link.state.seat, &link.handle(), ());
        let mut text =
            Self { device, places: TextKeymap::default(), keymap: String::new(), pace: KeymapPace::default() };
        text.send_keymap()?;
        Ok(text)
    }

    /// Types one character. Line feed, tab, backspace, escape and delete are the keys of these names.
    pub fn type_character(&mut self, time: u32, character: char) -> Result<(), InjectError> {
        let (stroke, new) = self.places.stroke(character).ok_or_else(|| {
            unsupported(format!("U+{:04X} is a control character without a key", u32::from(character)))
        })?;
        if new {
            self.pace.pause();
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

    /// Takes the keyboard away.
    pub fn destroy(&self) {
        self.device.destroy();
    }
}
