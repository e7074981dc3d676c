//! The keymap for text: types any Unicode scalar, whatever the desktop's layout.
//!
//! It has the printable ASCII characters where a US keyboard has them, and 64 places for others, on keys that mean nothing
//! by themselves. A new character takes the place that was unused for longest.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::keys::EVDEV_TO_XKB;

/// One key with the modifiers that select the character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stroke {
    /// Evdev code.
    pub code: u16,
    /// Real modifiers' mask.
    pub modifiers: u32,
}

/// Which character lies where.
pub struct TextKeymap {
    /// Characters beyond ASCII, and when each was typed last (0: never).
    extra: [(char, u64); EXTRA_PLACES],
    typed: u64,
}

impl Default for TextKeymap {
    fn default() -> Self {
        Self { extra: [('\0', 0); EXTRA_PLACES], typed: 0 }
    }
}

impl TextKeymap {
    /// Where `character` lies, and whether the keymap had to change for it. `None` for control characters.
    pub fn stroke(&mut self, character: char) -> Option<(Stroke, bool)> {
        if let Some((_, code)) = SPECIAL.iter().find(|(special, _)| *special == character) {
            return Some((Stroke { code: *code, modifiers: 0 }, false));
        }
        for (first, plain, shifted) in ROWS {
            let at = |row: &str| row.chars().position(|c| c == character).map(|i| first + i as u16);
            if let Some(code) = at(plain) {
                return Some((Stroke { code, modifiers: 0 }, false));
            }
            if let Some(code) = at(shifted) {
                return Some((Stroke { code, modifiers: SHIFT }, false));
            }
        }
        if character.is_control() {
            return None;
        }
        self.typed += 1;
        let known = self.extra.iter().position(|(c, typed)| *typed > 0 && *c == character);
        let place = known.or_else(|| (0..EXTRA_PLACES).min_by_key(|i| self.extra[*i].1))?;
        self.extra[place] = (character, self.typed);
        let stroke = Stroke { code: EXTRA_KEYS[place / LEVELS.len()], modifiers: LEVELS[place % LEVELS.len()] };
        Some((stroke, known.is_none()))
    }

    /// Writes the whole keymap. It includes no file, so compositor and clients compile it quickly.
    pub fn write_keymap(&self, out: &mut String) {
        self.try_write_keymap(out).expect("writing to a String cannot fail");
    }

    fn try_write_keymap(&self, out: &mut String) -> std::fmt::Result {
        let keys = || ROWS.iter().flat_map(|(first, plain, _)| *first..first + plain.chars().count() as u16);
        let special = || SPECIAL.iter().map(|(_, code)| *code);
        let name = |code: u16| u32::from(code) + EVDEV_TO_XKB;
        out.push_str("xkb_keymap {\nxkb_keycodes \"text\" {\nminimum = 8;\nmaximum = 255;\n");
        for code in keys().chain(special()).chain(EXTRA_KEYS) {
            writeln!(out, "<K{0}> = {0};", name(code))?;
        }
        out.push_str(TYPES_AND_COMPATIBILITY);
        out.push_str("xkb_symbols \"text\" {\n");
        for (first, plain, shifted) in ROWS {
            for ((i, p), s) in plain.chars().enumerate().zip(shifted.chars()) {
                let (name, p, s) = (name(first + i as u16), u32::from(p), u32::from(s));
                writeln!(out, "key <K{name}> {{ type = \"TWO_LEVEL\", [U{p:04X}, U{s:04X}] }};")?;
            }
        }
        for ((_, code), symbol) in SPECIAL.iter().zip(SPECIAL_SYMBOLS) {
            writeln!(out, "key <K{}> {{ type = \"ONE_LEVEL\", [{symbol}] }};", name(*code))?;
        }
        for (key, characters) in EXTRA_KEYS.iter().zip(self.extra.chunks(LEVELS.len())) {
            if characters.iter().all(|(_, typed)| *typed == 0) {
                continue;
            }
            write!(out, "key <K{}> {{ type = \"FOUR_LEVEL\", [", name(*key))?;
            for (i, (character, typed)) in characters.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                match typed {
                    0 => out.push_str("NoSymbol"),
                    _ => write!(out, "U{:04X}", u32::from(*character))?,
                }
            }
            out.push_str("] };\n");
        }
        out.push_str("};\n};\n");
        Ok(())
    }
}

/// How fast keymaps may follow each other. Every keymap is a file descriptor on its way to every client that has the focus;
/// the kernel limits how many may be under way, and a compositor that meets the limit drops the client. So long runs of new
/// characters are slowed down to what clients read.
#[derive(Debug)]
pub struct KeymapPace {
    /// Keymaps that may be sent without a pause, refilled with time.
    allowance: u32,
    refilled: Instant,
}

impl Default for KeymapPace {
    fn default() -> Self {
        Self { allowance: BURST, refilled: Instant::now() }
    }
}

impl KeymapPace {
    /// Waits until the next keymap may follow. Time that a sleep takes too long is not earned: who is late is no faster
    /// afterwards.
    pub fn pause(&mut self) {
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
}

/// The rows of a US keyboard: evdev code of the first key, then the characters without and with Shift.
const ROWS: [(u16, &str, &str); 7] = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\", "|"),
    (44, "zxcvbnm,./", "ZXCVBNM<>?"),
    (57, " ", " "),
    (86, "\u{a0}", "\u{a0}"),
];

/// Control characters that are keys: evdev code, and its keysym below.
pub const SPECIAL: [(char, u16); 6] =
    [('\u{8}', 14), ('\t', 15), ('\n', 28), ('\r', 28), ('\u{1b}', 1), ('\u{7f}', 111)];
const SPECIAL_SYMBOLS: [&str; 6] = ["BackSpace", "Tab", "Return", "Return", "Escape", "Delete"];

/// Keys without a meaning of their own (F13–F24 and codes that evdev leaves unassigned), so that programs that look at
/// positions are not misled.
const EXTRA_KEYS: [u16; 16] = [183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198];
const SHIFT: u32 = 1;
/// What selects "third level" on most layouts.
const MOD5: u32 = 1 << 7;
/// The modifiers of the four levels of an extra key.
const LEVELS: [u32; 4] = [0, SHIFT, MOD5, SHIFT | MOD5];
/// Enough for any alphabet with both cases, so that only ideographs change the keymap all the time.
const EXTRA_PLACES: usize = EXTRA_KEYS.len() * LEVELS.len();

const TYPES_AND_COMPATIBILITY: &str = "};
xkb_types \"text\" {
type \"ONE_LEVEL\" { modifiers = none; level_name[Level1] = \"Any\"; };
type \"TWO_LEVEL\" { modifiers = Shift; map[Shift] = Level2; level_name[Level1] = \"Base\"; level_name[Level2] = \"Shift\"; };
type \"FOUR_LEVEL\" { modifiers = Shift+Mod5; map[Shift] = Level2; map[Mod5] = Level3; map[Shift+Mod5] = Level4; \
level_name[Level1] = \"Base\"; level_name[Level2] = \"Shift\"; level_name[Level3] = \"Third\"; level_name[Level4] = \"Fourth\"; };
};
xkb_compatibility \"text\" { interpret.useModMapMods = AnyLevel; interpret.repeat = False; };
";

/// A screenful of new characters at once is fine: the kernel allows some hundreds of descriptors under way.
const BURST: u32 = 64;
/// Clients compile such a keymap in well under this time.
const REFILL_EVERY: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use xkbcommon::xkb;

    /// What a client that has compiled the keymap would see.
    fn typed(keymap: &mut TextKeymap, text: &str) -> String {
        let mut seen = String::new();
        let mut keymap_text = String::new();
        let mut state = None;
        for character in text.chars() {
            let (stroke, new) = keymap.stroke(character).unwrap();
            if new || state.is_none() {
                keymap_text.clear();
                keymap.write_keymap(&mut keymap_text);
                let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
                let flags = xkb::KEYMAP_COMPILE_NO_FLAGS;
                let format = xkb::KEYMAP_FORMAT_TEXT_V1;
                let keymap = xkb::Keymap::new_from_string(&context, keymap_text.clone(), format, flags)
                    .unwrap_or_else(|| panic!("the keymap does not compile:\n{keymap_text}"));
                state = Some(xkb::State::new(&keymap));
            }
            let state = state.as_mut().unwrap();
            state.update_mask(stroke.modifiers, 0, 0, 0, 0, 0);
            seen.push_str(&state.key_get_utf8(xkb::Keycode::new(u32::from(stroke.code) + EVDEV_TO_XKB)));
        }
        seen
    }

    #[test]
    fn every_printable_ascii_character_and_more_is_typed() {
        let mut keymap = TextKeymap::default();
        let ascii: String = (' '..='~').collect();
        assert_eq!(typed(&mut keymap, &ascii), ascii);
        let text = "Grüße €😀 漢字 Ω\u{a0}\u{10FFFD}";
        assert_eq!(typed(&mut keymap, text), text);
    }

    #[test]
    fn more_characters_than_places_still_come_out_right() {
        let mut keymap = TextKeymap::default();
        let text: String = ('一'..).take(3 * EXTRA_PLACES).collect();
        assert_eq!(typed(&mut keymap, &text), text);
    }

    #[test]
    fn the_place_unused_for_longest_is_taken() {
        let mut keymap = TextKeymap::default();
        for c in ('а'..).take(EXTRA_PLACES) {
            assert!(keymap.stroke(c).unwrap().1);
        }
        assert!(!keymap.stroke('а').unwrap().1, "known");
        assert!(keymap.stroke('😀').unwrap().1, "new");
        assert!(!keymap.stroke('а').unwrap().1, "used again, so it stayed");
        assert!(keymap.stroke('б').unwrap().1, "gave way");
    }

    #[test]
    fn control_characters_are_keys_or_refused() {
        let mut keymap = TextKeymap::default();
        assert_eq!(keymap.stroke('\n').unwrap().0.code, 28);
        assert_eq!(keymap.stroke('\u{7}'), None);
        assert_eq!(keymap.stroke('\u{85}'), None);
    }
}
