//! Words for a shell.

/// The text as one word of a POSIX shell.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // Nothing is special between single quotes, and the quote itself cannot be there. A NUL cannot be in an argument.
    format!("'{}'", word.replace('\0', "").replace('\'', "'\\''"))
}

/// The words as a shell command.
#[must_use]
pub fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_what_was_meant(words in proptest::collection::vec("[^\0]{0,12}", 1..4)) {
            let command = format!("printf '%s\\0' {}", join(words.iter().map(String::as_str)));
            let out = std::process::Command::new("sh").args(["-c", &command]).output().expect("a shell");
            let read: Vec<_> = String::from_utf8(out.stdout).expect("UTF-8").split_terminator('\0').map(str::to_owned).collect();
            prop_assert_eq!(read, words);
        }
    }
}
