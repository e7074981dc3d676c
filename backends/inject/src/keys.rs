//! The keyboard for keys: the desktop's own layout, modifiers computed by xkbcommon.

use punktfunk_media::InjectError;
use wayland_client::Proxy;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;
use xkbcommon::xkb;

use crate::layout::KeyboardLayout;
use crate::link::{KEYMAP_FORMAT_XKB_V1, Link, keymap_file};
use crate::lost;
use crate::unsupported;

/// A virtual keyboard with a layout.
pub struct Keys {
    device: ZwpVirtualKeyboardV1,
    state: KeyState,
    /// What the compositor was told last: depressed, latched, locked, group.
    told: [u32; 4],
}

/// An `xkb_state` that may travel between threads.
struct KeyState(xkb::State);

// SAFETY: an `xkb_state` with its keymap and context is plain memory with non-atomic reference counts. This one was
// made together with its own context and keymap, whose other handles were dropped before it left `Keys::create`; all
// remaining references are inside it, and it is only used through `&mut Keys`.
unsafe impl Send for KeyState {}

impl Keys {
    /// Makes a keyboard with `layout`.
    pub fn create(link: &Link, layout: &KeyboardLayout) -> Result<Self, InjectError> {
        let keymap = compile(layout).or_else(|| {
            tracing::warn!(%layout, "XKB does not know this keyboard layout; using us");
            compile(&KeyboardLayout::named("us"))
        });
        let keymap = keymap.ok_or_else(|| unsupported("XKB has no layout `us`: install xkb-data".to_owned()))?;
        let text = keymap.get_as_string(xkb::KEYMAP_FORMAT_TEXT_V1);
        let mut state = KeyState(xkb::State::new(&keymap));
        // Clients send the keypad's digits only with Num Lock on, and Insert, Home … as keys of their own.
        let index = keymap.mod_get_index(xkb::MOD_NAME_NUM);
        if index != xkb::MOD_INVALID {
            state.0.update_mask(0, 0, 1 << index, 0, 0, 0);
        }
        drop(keymap);

        let device = link.state.keyboards.create_virtual_keyboard(&link.state.seat, &link.handle(), ());
        let (file, size) = keymap_file(&text).map_err(|e| lost(format!("keymap: {e}")))?;
        {
            use std::os::fd::AsFd;
            device.keymap(KEYMAP_FORMAT_XKB_V1, file.as_fd(), size);
        }
        // Requests are copied into the connection's buffer, descriptors duplicated: the file may go now.
        let mut keys = Self { device, state, told: [0; 4] };
        keys.tell_modifiers();
        Ok(keys)
    }

    /// Presses or releases a key.
    pub fn key(&mut self, time: u32, code: u16, down: bool) {
        self.device.key(time, u32::from(code), u32::from(down));
        let direction = if down { xkb::KeyDirection::Down } else { xkb::KeyDirection::Up };
        self.state.0.update_key(xkb::Keycode::new(u32::from(code) + EVDEV_TO_XKB), direction);
        self.tell_modifiers();
    }

    fn tell_modifiers(&mut self) {
        let state = &self.state.0;
        let now = [
            state.serialize_mods(xkb::STATE_MODS_DEPRESSED),
            state.serialize_mods(xkb::STATE_MODS_LATCHED),
            state.serialize_mods(xkb::STATE_MODS_LOCKED),
            state.serialize_layout(xkb::STATE_LAYOUT_EFFECTIVE),
        ];
        if now != self.told {
            self.told = now;
            self.device.modifiers(now[0], now[1], now[2], now[3]);
        }
    }

    /// Takes the keyboard away.
    pub fn destroy(&self) {
        if self.device.is_alive() {
            self.device.destroy();
        }
    }
}

fn compile(layout: &KeyboardLayout) -> Option<xkb::Keymap> {
    if !layout.is_plain() {
        return None;
    }
    let KeyboardLayout { model, layout, variant, options } = layout;
    let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
    let options = (!options.is_empty()).then(|| options.clone());
    let rules = "evdev".to_owned();
    xkb::Keymap::new_from_names(&context, &rules, model, layout, variant, options, xkb::KEYMAP_COMPILE_NO_FLAGS)
}

/// XKB counts keys from 8, as X11 did.
pub const EVDEV_TO_XKB: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_compiled_and_nonsense_is_not() {
        let german = compile(&KeyboardLayout::parse("de:nodeadkeys")).expect("xkb-data has German");
        let state = xkb::State::new(&german);
        // KEY_Y lies where German keyboards have z.
        assert_eq!(state.key_get_utf8(xkb::Keycode::new(21 + EVDEV_TO_XKB)), "z");
        assert!(compile(&KeyboardLayout::named("de\0")).is_none());
        assert!(compile(&KeyboardLayout::named("no-such-layout")).is_none());
    }
}
