//! Device names as they arrive before trust exists: hostile until cleaned (punktfunk1.md §2.4).

use punktfunk_core::Fingerprint;

/// Cleans a device name: control, bidirectional and invisible characters go, white space collapses, at most 64 bytes of
/// UTF-8 stay. With nothing left it is `device <first 8 hex digits of the fingerprint>`.
#[must_use]
pub fn sanitise_name(name: &str, fingerprint: &Fingerprint) -> String {
    let mut clean = String::with_capacity(name.len().min(MAX_NAME_BYTES));
    for word in name.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut spaced = clean.is_empty();
        for c in word.chars().filter(|c| !is_invisible(*c)) {
            let space = usize::from(!spaced);
            if clean.len() + space + c.len_utf8() > MAX_NAME_BYTES {
                return clean;
            }
            if !spaced {
                clean.push(' ');
                spaced = true;
            }
            clean.push(c);
        }
    }
    if clean.is_empty() { format!("device {}", &fingerprint.to_string()[..8]) } else { clean }
}

/// A character that can steer a terminal, or make a line look like another: not for a log or a table.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Characters that take no room or turn the text around them: they can make one name look like another.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Longest name kept, in bytes (punktfunk1.md §2.4).
const MAX_NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FP: Fingerprint = Fingerprint([0xab; 32]);

    #[test]
    fn hostile_names_become_plain_ones() {
        for (name, clean) in [
            ("Living room", "Living room"),
            ("  a \t\r\n b  ", "a b"),
            ("evil\u{202E}txt.exe", "eviltxt.exe"),
            ("\u{0}\u{1b}[31mred", "[31mred"),
            ("", "device abababab"),
            ("\u{200B}\u{FEFF} \u{0007}", "device abababab"),
            ("Bücher 日本", "Bücher 日本"),
        ] {
            assert_eq!(sanitise_name(name, &FP), clean, "{name:?}");
        }
        assert_eq!(sanitise_name(&"ü".repeat(100), &FP), "ü".repeat(32));
        assert_eq!(sanitise_name(&format!("{} b", "a".repeat(63)), &FP), "a".repeat(63));
    }

    proptest! {
        #[test]
        fn every_name_comes_out_short_visible_and_stable(name in "\\PC{0,40}|.{0,200}") {
            let clean = sanitise_name(&name, &FP);
            prop_assert!(!clean.is_empty() && clean.len() <= MAX_NAME_BYTES);
            prop_assert!(!clean.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(!clean.contains("  ") && clean.trim() == clean);
            prop_assert_eq!(sanitise_name(&clean, &FP), clean);
        }
    }
}
