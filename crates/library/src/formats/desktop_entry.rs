//! `.desktop` files (Desktop Entry Specification 1.5).

/// The `[Desktop Entry]` group of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesktopEntry {
    values: Vec<(String, String)>,
}

impl DesktopEntry {
    /// Reads a file. `None`: it has no such group.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut values = Vec::new();
        let mut inside = false;
        let mut found = false;
        for line in text.lines().map(str::trim_end) {
            if line.starts_with('[') {
                inside = line == "[Desktop Entry]";
                found |= inside;
            } else if inside
                && !line.starts_with('#')
                && let Some((key, value)) = line.split_once('=')
                && values.len() < MAX_KEYS
            {
                values.push((key.trim_end().to_owned(), value.trim_start().to_owned()));
            }
        }
        found.then_some(Self { values })
    }

    /// A value as written.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A value of type `string` or `localestring` without a locale.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.raw(key).map(unescape)
    }

    /// A value of type `boolean`.
    #[must_use]
    pub fn is(&self, key: &str) -> bool {
        // "1" is what files from before the specification have.
        matches!(self.raw(key), Some("true" | "1"))
    }

    /// Whether a list has this item.
    #[must_use]
    pub fn has(&self, key: &str, item: &str) -> bool {
        self.raw(key).is_some_and(|list| list.split(';').any(|i| i.trim() == item))
    }

    /// The words of `Exec`, for a start without files; `path` is the entry's own. `None`: there are none, or they break the
    /// specification's rules of quoting.
    #[must_use]
    pub fn words(&self, path: &str) -> Option<Vec<String>> {
        let expand = |word: Word| -> Option<Vec<String>> {
            if !word.quoted {
                match word.text.as_str() {
                    // Files and addresses, of which there are none; and those that are to be ignored.
                    "%f" | "%F" | "%u" | "%U" | "%d" | "%D" | "%n" | "%N" | "%v" | "%m" => return Some(Vec::new()),
                    "%i" => {
                        let icon = self.text("Icon").filter(|icon| !icon.is_empty());
                        return Some(icon.map_or_else(Vec::new, |icon| vec!["--icon".to_owned(), icon]));
                    }
                    // Flatpak marks where it exports files.
                    "@@" | "@@u" => return Some(Vec::new()),
                    _ => {}
                }
            }
            let mut out = String::new();
            let mut chars = word.text.chars();
            while let Some(c) = chars.next() {
                match c {
                    '%' => match chars.next()? {
                        '%' => out.push('%'),
                        'c' => out.push_str(&self.text("Name").unwrap_or_default()),
                        'k' => out.push_str(path),
                        'f' | 'F' | 'u' | 'U' | 'd' | 'D' | 'n' | 'N' | 'v' | 'm' | 'i' => {}
                        _ => return None,
                    },
                    c => out.push(c),
                }
            }
            Some(vec![out])
        };
        let words: Vec<String> = command_line(&self.text("Exec")?)?
            .into_iter()
            .map(expand)
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        words.first().is_some_and(|program| !program.is_empty()).then_some(words)
    }
}

/// A word of `Exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes; field codes are still in it.
    pub text: String,
    /// Whether some of it was in quotes, where field codes must not be.
    pub quoted: bool,
}

/// The words of an `Exec` value. `None`: a quote without its end.
#[must_use]
pub fn command_line(exec: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = exec.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '"' => {
                let word = word.get_or_insert_with(|| Word { text: String::new(), quoted: true });
                word.quoted = true;
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '`' | '$' | '\\') => word.text.push(c),
                            other => word.text.extend(['\\', other]),
                        },
                        c => word.text.push(c),
                    }
                }
            }
            c => word.get_or_insert_with(|| Word { text: String::new(), quoted: false }).text.push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// `\s`, `\n`, `\t`, `\r` and `\\` of strings.
fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('s') => out.push(' '),
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

/// Translations included, none has a tenth of it.
const MAX_KEYS: usize = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(exec: &str) -> DesktopEntry {
        DesktopEntry::parse(&format!("[Desktop Entry]\nName=A \\s B\nIcon=game\nExec={exec}\n[Other]\nExec=no\n"))
            .expect("an entry")
    }

    #[test]
    fn exec_is_read_as_the_specification_says() {
        for (exec, words) in [
            ("game", Some(vec!["game"])),
            ("game --level %f --x %U", Some(vec!["game", "--level", "--x"])),
            (r#""/opt/a b/game" "say \\"hi\\"" 100%%"#, Some(vec!["/opt/a b/game", r#"say "hi""#, "100%"])),
            ("game %i --name=%c %k", Some(vec!["game", "--icon", "game", "--name=A   B", "/x.desktop"])),
            ("flatpak run --command=g org.g @@u %U @@", Some(vec!["flatpak", "run", "--command=g", "org.g"])),
            ("game \"open", None),
            ("game %q", None),
            ("game %", None),
            ("", None),
            ("%f", None),
        ] {
            let expected = words.map(|w| w.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(entry(exec).words("/x.desktop"), expected, "{exec}");
        }
    }

    #[test]
    fn only_the_one_group_counts() {
        let text = "# c\n[Desktop Action x]\nName=no\n[Desktop Entry]\nName = yes\nName[de]=ja\nCategories=Game;Action;\nHidden=true\n";
        let entry = DesktopEntry::parse(text).expect("an entry");
        assert_eq!(entry.text("Name").as_deref(), Some("yes"));
        assert!(entry.has("Categories", "Game") && !entry.has("Categories", "Gam") && entry.is("Hidden"));
        assert_eq!(DesktopEntry::parse("Name=x"), None);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in any::<String>(), exec in "[a%\"\\\\ fUick@$`]{0,40}") {
            let _ = DesktopEntry::parse(&text);
            let _ = entry(&exec).words("/x");
        }
    }
}
