//! Keys that are the desktop's own, all with Super, as on the sway desktop: another terminal, close, switch, full screen.

use smithay::input::keyboard::{FilterResult, Keycode, Keysym, KeysymHandle, ModifiersState};
use smithay::reexports::wayland_protocols::xdg::shell::server::xdg_toplevel;

use super::state::State;

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
        if !self.shortcuts_held.contains(&code) {
            self.shortcuts_held.push(code);
        }
        FilterResult::Intercept(shortcut)
    }

    /// Does what a key asked for.
    pub(super) fn obey(&mut self, shortcut: Shortcut) {
        let top = self.space.elements().next_back().cloned();
        match shortcut {
            Shortcut::Release => {}
            Shortcut::Terminal => self.terminal_wanted = true,
            Shortcut::Close => {
                if let Some(toplevel) = top.as_ref().and_then(|w| w.toplevel()) {
                    toplevel.send_close();
                }
            }
            Shortcut::Switch => {
                let last = self.space.elements().next().cloned();
                if last.is_some() {
                    self.focus_window(last.as_ref());
                }
            }
            Shortcut::FullScreen => {
                if let Some(toplevel) = top.as_ref().and_then(|w| w.toplevel()).cloned() {
                    let is = toplevel.current_state().states.contains(xdg_toplevel::State::Fullscreen);
                    self.set_fullscreen(&toplevel, !is);
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
        (Keysym::f, false) => Some(Shortcut::FullScreen),
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
