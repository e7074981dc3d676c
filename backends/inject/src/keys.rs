//! The keyboard for keys: the desktop's own layout, modifiers computed by xkbcommon.

use std::os::fd::AsFd;

use punktfunk_media::InjectError;
use wayland_client::Proxy;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;
use xkbcommon::xkb;

use crate::layout::{KeyboardLayout, LiveLayout};
use crate::link::{KEYMAP_FORMAT_XKB_V1, Link, keymap_file};
use crate::lost;
use crate::unsupported;

/// A virtual keyboard with a layout.
pub struct Keys {
    device: ZwpVirtualKeyboardV1,
    state: KeyState,
    /// What the compositor was told last: depressed, latched, locked, group.
    told: [u32; 4],
    layout: LiveLayout,
    /// Which one of `layout` is in use.
    generation: u64,
    held: u32,
}

/// An `xkb_state` that may travel between threads.
struct KeyState(xkb::State);

// SAFETY: an `xkb_state` with its keymap and context is plain memory with non-atomic reference counts. This one was
// made together with its own context and keymap, whose other handles were dropped before it left `tell_keymap`; all
// remaining references are inside it, and it is only used through `&mut Keys`.
unsafe impl Send for KeyState {}

impl Keys {
    /// Makes a keyboard with `layout`.
    pub fn create(link: &Link, layout: &LiveLayout) -> Result<Self, InjectError> {
        let (first, generation) = layout.get();
        let keymap = compile(&first).or_else(|| {
            tracing::warn!(layout = %first, "XKB does not know this keyboard layout; using us");
            compile(&KeyboardLayout::named("us"))
        });
        let keymap = keymap.ok_or_else(|| unsupported("XKB has no layout `us`: install xkb-data".to_owned()))?;
        let device = link.state.keyboards.create_virtual_keyboard(&link.state.seat, &link.handle(), ());
        let state = tell_keymap(&device, keymap, None)?;
        let mut keys = Self { device, state, told: [0; 4], layout: layout.clone(), generation, held: 0 };
        keys.tell_modifiers();
        Ok(keys)
    }

    /// Takes the layout that there is now, if it is another one and known.
    fn keep_up(&mut self) {
        if self.held > 0 || self.layout.generation() == self.generation {
            return;
        }
        let (layout, generation) = self.layout.get();
        self.generation = generation;
        let Some(keymap) = compile(&layout) else {
            return tracing::warn!(%layout, "XKB does not know this keyboard layout; the keyboard stays as it was");
        };
        match tell_keymap(&self.device, keymap, Some(&self.state.0)) {
            Ok(state) => self.state = state,
            Err(e) => return tracing::warn!(%layout, "the keyboard stays as it was: {e}"),
        }
        tracing::info!(%layout, "keyboard layout changed");
        self.tell_modifiers();
    }

    /// Presses or releases a key.
    pub fn key(&mut self, time: u32, code: u16, down: bool) {
        self.keep_up();
        self.held = if down { self.held + 1 } else { self.held.saturating_sub(1) };
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

/// Gives a device a keymap. The locks are those of `before`; at first Num Lock is on: clients send the keypad's digits only
/// with it, and Insert, Home … as keys of their own.
fn tell_keymap(
    device: &ZwpVirtualKeyboardV1,
    keymap: xkb::Keymap,
    before: Option<&xkb::State>,
) -> Result<KeyState, InjectError> {
    let text = keymap.get_as_string(xkb::KEYMAP_FORMAT_TEXT_V1);
    let mut state = KeyState(xkb::State::new(&keymap));
    let locked = [xkb::MOD_NAME_NUM, xkb::MOD_NAME_CAPS].into_iter().filter(|name| match before {
        Some(before) => before.mod_name_is_active(*name, xkb::STATE_MODS_LOCKED),
        None => *name == xkb::MOD_NAME_NUM,
    });
    let indices = locked.map(|name| keymap.mod_get_index(name)).filter(|index| *index != xkb::MOD_INVALID);
    let locked = indices.fold(0, |mask, index| mask | 1 << index);
    state.0.update_mask(0, 0, locked, 0, 0, 0);
    drop(keymap);
    let (file, size) = keymap_file(&text).map_err(|e| lost(format!("keymap: {e}")))?;
    // Requests are copied into the connection's buffer, descriptors duplicated: the file may go then.
    device.keymap(KEYMAP_FORMAT_XKB_V1, file.as_fd(), size);
    Ok(state)
}

/// Whether XKB knows it. Compiles it: some milliseconds.
#[must_use]
pub fn is_known(layout: &KeyboardLayout) -> bool {
    compile(layout).is_some()
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
