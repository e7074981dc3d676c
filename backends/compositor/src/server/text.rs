//! Text of any language: written where a program wants text (`text_input.rs`). For all others the keyboard gets a keymap
//! that has the character, and the desktop's own back with the next key.

use smithay::input::keyboard::xkb;
use smithay::input::keyboard::{KeyboardTarget as _, ModifiersState};
use smithay::utils::SERIAL_COUNTER;

use punktfunk_inject::{KeyboardLayout, KeymapPace, TextKeymap};

use super::globals;
use super::input::Moment;
use super::state::State;

/// What is kept between characters.
#[derive(Default)]
pub struct TextKeyboard {
    keymap: TextKeymap,
    pace: KeymapPace,
    /// A keymap is on its way: programs are to get it before the next.
    pub(super) sent: bool,
    /// The desktop's own keymap and its locks, while the other one is in use.
    own: Option<(String, ModifiersState)>,
}

impl State {
    /// Types one character. Control characters without a key are left out.
    pub(super) fn type_character(&mut self, character: char, at: Moment) {
        // Enter, Tab and their like are keys, whatever is written.
        if !character.is_control() && self.write_character(character) {
            return;
        }
        let Some((stroke, new)) = self.text.keymap.stroke(character) else {
            tracing::debug!("U+{:04X} is a control character without a key", u32::from(character));
            return;
        };
        let Some(keyboard) = self.seat.get_keyboard() else { return };
        if self.text.own.is_none() {
            let own = keyboard.with_xkb_state(self, |context| {
                let xkb = context.xkb().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                // SAFETY: the keymap is used here, under the lock, and not kept.
                unsafe { xkb.keymap() }.get_as_string(xkb::KEYMAP_FORMAT_TEXT_V1)
            });
            self.text.own = Some((own, keyboard.modifier_state()));
        } else if !new {
            return self.strike(stroke, at);
        }
        self.text.pace.pause();
        self.text.sent = true;
        let mut text = String::new();
        self.text.keymap.write_keymap(&mut text);
        if keyboard.set_keymap_from_string(self, text).is_err() {
            tracing::warn!("U+{:04X} cannot be typed: XKB refuses its keymap", u32::from(character));
            return;
        }
        self.strike(stroke, at);
    }

    /// Presses and releases a key with what selects the character.
    fn strike(&mut self, stroke: punktfunk_inject::Stroke, at: Moment) {
        let plain = ModifiersState::default();
        let selecting = ModifiersState {
            shift: stroke.modifiers & SHIFT != 0,
            iso_level3_shift: stroke.modifiers & LEVEL3 != 0,
            ..plain
        };
        self.set_modifiers(selecting);
        self.press(stroke.code, true, at);
        self.press(stroke.code, false, at);
        if selecting != plain {
            self.set_modifiers(plain);
        }
    }

    /// Sets modifiers and tells the program that has the keyboard.
    fn set_modifiers(&mut self, modifiers: ModifiersState) {
        let Some(keyboard) = self.seat.get_keyboard() else { return };
        if keyboard.set_modifier_state(modifiers) == 0 {
            return;
        }
        let (seat, told) = (self.seat.clone(), keyboard.modifier_state());
        if let Some(focus) = keyboard.current_focus() {
            focus.modifiers(&seat, self, told, SERIAL_COUNTER.next_serial());
        }
    }

    /// Back to the desktop's own keymap, if it is not in use.
    pub(super) fn leave_text_keymap(&mut self) {
        let Some((own, modifiers)) = self.text.own.take() else { return };
        let Some(keyboard) = self.seat.get_keyboard() else { return };
        if keyboard.set_keymap_from_string(self, own).is_err() {
            tracing::warn!("XKB refuses the keymap that it made");
        }
        self.keep_locks(modifiers);
    }

    /// Gives the keyboard another layout. Keys that are held, and locks, stay.
    pub(super) fn set_layout(&mut self, layout: &KeyboardLayout) -> Result<(), String> {
        let unknown = || format!("XKB knows no keyboard layout {layout}");
        if !layout.is_plain() {
            return Err(unknown());
        }
        self.leave_text_keymap();
        let Some(keyboard) = self.seat.get_keyboard() else { return Ok(()) };
        let before = keyboard.modifier_state();
        keyboard.set_xkb_config(self, globals::xkb_config(layout)).map_err(|_| unknown())?;
        self.keep_locks(before);
        tracing::info!(%layout, "keyboard layout changed");
        Ok(())
    }

    /// Locks are `before`'s under another keymap. Keys that are held are known to the keyboard itself.
    fn keep_locks(&mut self, before: ModifiersState) {
        let Some(keyboard) = self.seat.get_keyboard() else { return };
        let ModifiersState { caps_lock, num_lock, .. } = before;
        self.set_modifiers(ModifiersState { caps_lock, num_lock, ..keyboard.modifier_state() });
    }
}

const SHIFT: u32 = 1;
/// Mod5, which `TextKeymap` uses for the third level.
const LEVEL3: u32 = 1 << 7;
