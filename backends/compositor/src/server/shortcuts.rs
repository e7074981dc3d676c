//! Keys that are the desktop's own, all with Super, as on the sway desktop: another terminal, close, switch, full screen, a
//! size of its own; and what can be started. A program may have them all (`handlers/hints.rs`).

use smithay::input::keyboard::{FilterResult, Keycode, Keysym, KeysymHandle, ModifiersState};

use super::state::State;
use super::window::AppWindow;

/// What a key asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shortcut {
    /// Super+Return.
    Terminal,
    /// Super+Shift+Q.
    Close,
    /// Super+Tab: the window that was not seen for longest comes to the front.
    Switch,
    /// Super+F.
    FullScreen,
    /// Super+Space: a window of its own size, or one that fills the room.
    Loose,
    /// Super+D: what can be started comes to the front, or goes back.
    Launcher,
    /// Super+Escape: the keys above are the program's that wants them, or the desktop's again.
    EveryKey,
    /// The release of a key whose press was one.
    Release,
}

impl State {
    /// Whether a key is the desktop's or the program's.
    pub(super) fn sort_key(
        &mut self,
        modifiers: &ModifiersState,
        key: &KeysymHandle<'_>,
        down: bool,
    ) -> FilterResult<Shortcut> {
        let code = key.raw_code();
        if !down {
            let held = self.shortcuts_held.iter().position(|held| *held == code);
            return held.map_or(FilterResult::Forward, |at| {
                self.shortcuts_held.swap_remove(at);
                FilterResult::Intercept(Shortcut::Release)
            });
        }
        // By what the key means in the first layout that has Latin letters: Q is Q also where people write Greek.
        let Some(shortcut) = key.raw_latin_sym_or_raw_current_sym().and_then(|sym| shortcut(modifiers, sym)) else {
            return FilterResult::Forward;
        };
        if shortcut != Shortcut::EveryKey && self.wants_every_key() {
            return FilterResult::Forward;
        }
        if !self.shortcuts_held.contains(&code) {
            self.shortcuts_held.push(code);
        }
        FilterResult::Intercept(shortcut)
    }

    /// With a button it moves the window under the pointer.
    pub(super) fn super_is_held(&self) -> bool {
        let held = self.seat.get_keyboard().map(|keyboard| keyboard.modifier_state());
        let alone = |ModifiersState { logo, shift, ctrl, alt, .. }| logo && !shift && !ctrl && !alt;
        held.is_some_and(alone) && !self.wants_every_key()
    }

    /// Does what a key asked for.
    pub(super) fn obey(&mut self, shortcut: Shortcut) {
        let top = self.top_window();
        match shortcut {
            Shortcut::Release => {}
            Shortcut::Terminal => self.terminal_wanted = true,
            Shortcut::Close => top.iter().for_each(AppWindow::close),
            Shortcut::Switch => self.switch_window(false),
            Shortcut::Launcher => self.toggle_launcher(),
            Shortcut::EveryKey => self.toggle_every_key(),
            Shortcut::Loose => top.iter().for_each(|top| self.toggle_loose(top)),
            Shortcut::FullScreen => {
                if let Some(top) = top {
                    self.set_fullscreen(&top, !top.is_fullscreen());
                }
            }
        }
    }
}

fn shortcut(modifiers: &ModifiersState, sym: Keysym) -> Option<Shortcut> {
    let ModifiersState { logo, shift, ctrl, alt, .. } = *modifiers;
    if !logo || ctrl || alt {
        return None;
    }
    match (sym, shift) {
        (Keysym::Return, false) => Some(Shortcut::Terminal),
        (Keysym::Tab, false) => Some(Shortcut::Switch),
        (Keysym::q | Keysym::Q, true) => Some(Shortcut::Close),
        (Keysym::space, false) => Some(Shortcut::Loose),
        (Keysym::d, false) => Some(Shortcut::Launcher),
        (Keysym::f, false) => Some(Shortcut::FullScreen),
        (Keysym::Escape, false) => Some(Shortcut::EveryKey),
        _ => None,
    }
}

/// Codes of keys that are down and were shortcuts: programs hear of neither press nor release.
pub type Held = Vec<Keycode>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_super_alone_makes_a_shortcut() {
        let logo = ModifiersState { logo: true, ..Default::default() };
        assert_eq!(shortcut(&logo, Keysym::Return), Some(Shortcut::Terminal));
        assert_eq!(shortcut(&ModifiersState { shift: true, ..logo }, Keysym::q), Some(Shortcut::Close));
        assert_eq!(shortcut(&logo, Keysym::q), None);
        assert_eq!(shortcut(&ModifiersState { ctrl: true, ..logo }, Keysym::Tab), None);
        assert_eq!(shortcut(&ModifiersState::default(), Keysym::Tab), None);
    }
}
