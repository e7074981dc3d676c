//! `sunshine.conf`: `key = value` lines, `#` comments; a value that begins with `[` goes on to its bracket's end.

/// The keys and values, in the order of the file. Of a key that is there twice, Sunshine takes the first.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let bare = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = bare.split_once('=') else {
            rest = after;
            continue;
        };
        let key = key.trim().to_owned();
        let mut value = value.trim();
        if value.starts_with('[') {
            // Comments are none in there: a command may have the sign.
            let start = line.find('[').unwrap_or(0);
            let length = list_length(&rest[start..]);
            value = rest[start..start + length].trim();
            rest = rest[start + length..].split_once('\n').map_or("", |(_, after)| after);
        } else {
            rest = after;
        }
        if !key.is_empty() && !value.is_empty() && !settings.iter().any(|(other, _)| *other == key) {
            settings.push((key, value.to_owned()));
        }
    }
    settings
}

/// The bytes up to the end of the bracket that the text begins with; brackets in quotes do not count.
fn list_length(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_comments_and_lists_are_read() {
        let text = "# comment\nsunshine_name = den # the den\r\nport=47989\nempty =\n\
            global_prep_cmd = [{\"do\":\"a # b\",\n \"undo\":\"c ] \\\"\"}]\nlocale = de\nport = 1\n= x\nno equals\n";
        let expected = [
            ("sunshine_name", "den"),
            ("port", "47989"),
            ("global_prep_cmd", "[{\"do\":\"a # b\",\n \"undo\":\"c ] \\\"\"}]"),
            ("locale", "de"),
        ];
        assert_eq!(parse(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(parse("a = [1, 2"), [("a".to_owned(), "[1, 2".to_owned())], "an open end");
    }
}
