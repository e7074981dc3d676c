//! What comes from stores is shown to people and sent to clients: texts are cleaned once, here.

/// A title for people: without control characters and without what changes the direction of the text around it, on one
/// line, at most 200 characters. Empty where nothing is left.
#[must_use]
pub fn clean_title(title: &str) -> String {
    let mut clean = String::new();
    let mut length = 0;
    for word in title.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word: String = word.chars().filter(|c| !is_hidden(*c)).collect();
        if word.is_empty() {
            continue;
        }
        if length > 0 {
            clean.push(' ');
            length += 1;
        }
        for c in word.chars() {
            if length == LONGEST_TITLE {
                return clean.trim_end().to_owned();
            }
            clean.push(c);
            length += 1;
        }
    }
    clean
}

/// Whether a text can be an id: 1 to 128 bytes (`Hello.launch`, punktfunk1.md §3.4) of visible characters.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control() || is_hidden(c))
}

/// `store:name`, where the name may be anything; names that are no part of an id get one made of their hash.
pub(crate) fn id(store: &str, name: &str) -> String {
    let id = format!("{store}:{name}");
    if !name.is_empty() && is_id(&id) { id } else { format!("{store}:x{:016x}", hash(name)) }
}

/// FNV-1a: short, the same in every release, and nobody gains by a collision in their own library.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Zero-width characters, marks and overrides of direction (Unicode, Bidi_Control and Default_Ignorable_Code_Point), the
/// byte order mark, interlinear annotations and tags.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}'
        | '\u{e0000}'..='\u{e0fff}')
}

const LONGEST_TITLE: usize = 200;
const LONGEST_ID: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn titles_are_one_harmless_line() {
        for (dirty, clean) in [
            ("  Half-Life\t2:\r\nUpdate ", "Half-Life 2: Update"),
            ("evil\u{202e}gnp.exe", "evilgnp.exe"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("<b>bold</b> & \"quoted\"", "<b>bold</b> & \"quoted\""),
            ("ゼルダの伝説 ÄÖÜ", "ゼルダの伝説 ÄÖÜ"),
            ("\u{200b}\u{2066}", ""),
        ] {
            assert_eq!(clean_title(dirty), clean, "{dirty:?}");
        }
        assert_eq!(clean_title(&"x ".repeat(1000)).chars().count(), LONGEST_TITLE - 1);
    }

    #[test]
    fn ids_stay_readable_where_they_can() {
        assert_eq!(id("heroic:epic", "Quail"), "heroic:epic:Quail");
        let odd = id("retroarch", "a name\nwith everything");
        assert!(is_id(&odd) && odd.starts_with("retroarch:x"), "{odd}");
        assert!(is_id(&id("x", &"y".repeat(500))) && is_id(&id("x", "")));
    }

    proptest! {
        #[test]
        fn whatever_comes_in(text in any::<String>()) {
            let clean = clean_title(&text);
            prop_assert!(clean.chars().count() <= LONGEST_TITLE);
            prop_assert!(!clean.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert_eq!(clean_title(&clean), clean.clone());
            prop_assert!(is_id(&id("store", &text)));
        }
    }
}
