//! Which keyboard layout the desktop uses. Order: sway's own keyboards (IPC) → `XKB_DEFAULT_*` → what localed keeps on
//! disk → the host's configuration → `us`. On the built-in desktop, which has no settings of its own, the configuration comes
//! first. A client's own layout comes before all of them.

use std::fs;
use std::path::Path;

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{StageError, is_keyboard_layout, reason};

use crate::detect::Environment;
use crate::ipc::Input;

/// A layout and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLayout {
    /// The layout.
    pub layout: KeyboardLayout,
    /// Where it came from, for the log and `doctor`.
    pub source: &'static str,
}

impl std::fmt::Display for FoundLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (from {})", self.layout, self.source)
    }
}

/// Finds the layout of the built-in desktop: what the host is told, else as [`find`].
pub fn of_builtin(environment: &Environment, configured: Option<&KeyboardLayout>) -> FoundLayout {
    let told = configured.map(|layout| FoundLayout { layout: layout.clone(), source: "configuration" });
    told.unwrap_or_else(|| find(&[], environment, None))
}

/// A client's own layout, if XKB knows it.
///
/// # Errors
/// `desktop.layout_refused`.
pub fn of_client(layout: &str) -> Result<FoundLayout, StageError> {
    let refused = |detail: String| StageError { reason: &reason::DESKTOP_LAYOUT_REFUSED, detail, fatal: false };
    if !is_keyboard_layout(layout) {
        return Err(refused("this is no name of a keyboard layout".to_owned()));
    }
    let found = FoundLayout { layout: KeyboardLayout::parse(layout), source: "client" };
    if !punktfunk_inject::is_known(&found.layout) {
        return Err(refused(format!("XKB knows no keyboard layout {layout}")));
    }
    Ok(found)
}

/// Finds the layout in the fixed order.
pub fn find(inputs: &[Input], environment: &Environment, configured: Option<&KeyboardLayout>) -> FoundLayout {
    let found = |layout, source| FoundLayout { layout, source };
    if let Some(layout) = from_inputs(inputs) {
        return found(layout, "sway");
    }
    if let Some(layout) = from_environment(environment) {
        return found(layout, "XKB_DEFAULT_LAYOUT");
    }
    if let Some(layout) = LOCALED_FILES.iter().find_map(|f| from_file(Path::new(f))) {
        return found(layout, "localed");
    }
    match configured {
        Some(layout) => found(layout.clone(), "configuration"),
        None => found(KeyboardLayout::named("us"), "default"),
    }
}

/// The active layout of the first real keyboard. Sway tells only its description, so the XKB rules list translates.
fn from_inputs(inputs: &[Input]) -> Option<KeyboardLayout> {
    let rules = fs::read_to_string(RULES_LIST).ok()?;
    inputs.iter().filter(|i| i.kind == "keyboard" && !i.identifier.contains("virtual")).find_map(|i| {
        by_description(&rules, i.xkb_layout_names.get(i.xkb_active_layout_index.unwrap_or(0))?.as_deref()?)
    })
}

/// Finds the layout (and variant) whose description in the XKB rules list is `description`.
fn by_description(rules: &str, description: &str) -> Option<KeyboardLayout> {
    let mut section = "";
    for line in rules.lines() {
        if let Some(name) = line.strip_prefix('!') {
            section = name.trim();
            continue;
        }
        let Some((name, text)) = line.trim().split_once(char::is_whitespace) else { continue };
        let text = text.trim();
        if section == "layout" && text == description {
            return Some(KeyboardLayout::named(name));
        }
        if section == "variant"
            && let Some((layout, text)) = text.split_once(": ")
            && text == description
        {
            return Some(KeyboardLayout { variant: name.to_owned(), ..KeyboardLayout::named(layout) });
        }
    }
    None
}

fn from_environment(environment: &Environment) -> Option<KeyboardLayout> {
    let text = |name| environment.get(name).unwrap_or_default().to_owned();
    let layout = text("XKB_DEFAULT_LAYOUT");
    (!layout.is_empty()).then(|| KeyboardLayout {
        model: text("XKB_DEFAULT_MODEL"),
        layout,
        variant: text("XKB_DEFAULT_VARIANT"),
        options: text("XKB_DEFAULT_OPTIONS"),
    })
}

fn from_file(path: &Path) -> Option<KeyboardLayout> {
    from_localed(&fs::read_to_string(path).ok()?)
}

/// Reads shell-style `XKBLAYOUT="de"` (Debian, vconsole.conf) and X11's `Option "XkbLayout" "de"`.
fn from_localed(text: &str) -> Option<KeyboardLayout> {
    let value = |key: &str| {
        text.lines().map(str::trim).filter(|l| !l.starts_with('#')).find_map(|line| {
            let shell = line.strip_prefix(key).and_then(|rest| rest.strip_prefix('='));
            let value = shell.map(str::to_owned).or_else(|| {
                let mut quoted = line.strip_prefix("Option")?.split('"').skip(1).step_by(2);
                quoted.next()?.eq_ignore_ascii_case(key).then(|| quoted.next().unwrap_or_default().to_owned())
            })?;
            let value = value.trim_matches(|c| c == '"' || c == '\'').trim().to_owned();
            (!value.is_empty()).then_some(value)
        })
    };
    let read = |short: &str| {
        // X11 says XkbLayout where the shell files say XKBLAYOUT: the comparison above ignores case.
        value(short).unwrap_or_default()
    };
    Some(KeyboardLayout {
        layout: value("XKBLAYOUT")?,
        model: read("XKBMODEL"),
        variant: read("XKBVARIANT"),
        options: read("XKBOPTIONS"),
    })
}

/// Description to name, one line each, kept by xkeyboard-config.
const RULES_LIST: &str = "/usr/share/X11/xkb/rules/evdev.lst";
/// Where systemd-localed and Debian's keyboard-configuration keep the machine's layout.
const LOCALED_FILES: [&str; 3] =
    ["/etc/X11/xorg.conf.d/00-keyboard.conf", "/etc/default/keyboard", "/etc/vconsole.conf"];

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "! model\n  pc105  Generic\n\n! layout\n  us  English (US)\n  de  German\n\n! variant\n  \
                         nodeadkeys      de: German (no dead keys)\n  intl  us: English (US, intl., with dead keys)\n";

    #[test]
    fn descriptions_become_names() {
        assert_eq!(by_description(RULES, "German"), Some(KeyboardLayout::named("de")));
        let variant = by_description(RULES, "German (no dead keys)").unwrap();
        assert_eq!((variant.layout.as_str(), variant.variant.as_str()), ("de", "nodeadkeys"));
        assert_eq!(by_description(RULES, "Klingon"), None);
    }

    #[test]
    fn localed_files_are_read_in_both_styles() {
        let shell = "# KEYBOARD CONFIGURATION FILE\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"fr\"\nXKBVARIANT=\"\"\n";
        let layout = from_localed(shell).unwrap();
        assert_eq!((layout.layout.as_str(), layout.model.as_str(), layout.variant.as_str()), ("fr", "pc105", ""));
        let x11 =
            "Section \"InputClass\"\n    Option \"XkbLayout\" \"ch\"\n    Option \"XkbVariant\" \"fr\"\nEndSection";
        let layout = from_localed(x11).unwrap();
        assert_eq!((layout.layout.as_str(), layout.variant.as_str()), ("ch", "fr"));
        assert_eq!(from_localed("KEYMAP=de\n"), None);
    }

    #[test]
    fn a_client_may_have_what_xkb_knows_and_nothing_else() {
        assert_eq!(of_client("de:nodeadkeys").unwrap().to_string(), "de(nodeadkeys) (from client)");
        for nonsense in ["", "klingon", "de:no-such-variant", "de\0", "../../etc/passwd", &"de,".repeat(100)] {
            let refused = of_client(nonsense).expect_err(nonsense);
            assert_eq!((refused.reason.code, refused.fatal), ("desktop.layout_refused", false));
        }
    }

    #[test]
    fn the_order_is_sway_then_environment() {
        let environment = Environment::from_pairs([("XKB_DEFAULT_LAYOUT", "it")]);
        let found = find(&[], &environment, Some(&KeyboardLayout::named("se")));
        assert_eq!((found.layout.layout.as_str(), found.source), ("it", "XKB_DEFAULT_LAYOUT"));
        let told = of_builtin(&environment, Some(&KeyboardLayout::named("se")));
        assert_eq!(told.to_string(), "se (from configuration)");
        assert_eq!(of_builtin(&environment, None).to_string(), "it (from XKB_DEFAULT_LAYOUT)");
    }
}
