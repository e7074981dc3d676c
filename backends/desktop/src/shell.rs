//! Words for sh(1).

use std::ffi::OsString;

/// One word, whatever is in it.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Several words.
pub fn quote_all(words: &[OsString]) -> String {
    words.iter().map(|w| quote(&w.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn nothing_breaks_out_of_a_word() {
        let name = "x'; rm -rf \"$HOME\" ; echo \\";
        let sh = quote(name);
        let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {sh}")]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), name);
    }
}
