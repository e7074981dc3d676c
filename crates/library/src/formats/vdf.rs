//! Valve's key-values, as text (`appmanifest_570.acf`, `libraryfolders.vdf`) and binary (`shortcuts.vdf`).
//!
//! Text: `"key" "value"` and `"key" { … }`, words with or without quotes, `\"`, `\\`, `\n`, `\t` in quotes, `//` comments,
//! `[$CONDITION]` after a value. Binary: a byte of type, a NUL-ended name, the value; 8 ends a map.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Text.
    Text(String),
    /// A number; only in binary files.
    Number(u64),
    /// Named values, in the order of the file. Names may repeat.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The first value of this name, whatever the case of its letters.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.map().iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Its named values; none if it is no map.
    #[must_use]
    pub fn map(&self) -> &[(String, Self)] {
        if let Self::Map(values) = self { values } else { &[] }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Its number, also one that is written as text.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Map(_) => None,
        }
    }
}

/// Reads the text form.
///
/// # Errors
/// A sentence: what is wrong, and at which byte.
pub fn parse_text(text: &str) -> Result<Node, String> {
    let mut words = Words { text, at: 0 };
    let mut open: Vec<(String, Vec<(String, Node)>)> = Vec::new();
    let mut values = Vec::new();
    let mut count = 0;
    loop {
        let at = words.at;
        let key = match words.next()? {
            Word::End if open.is_empty() => return Ok(Node::Map(values)),
            Word::Close if !open.is_empty() => {
                let (name, outer) = open.pop().unwrap_or_default();
                let inner = std::mem::replace(&mut values, outer);
                values.push((name, Node::Map(inner)));
                continue;
            }
            Word::Text(key) => key,
            Word::End => return Err(format!("{} maps are not closed", open.len())),
            Word::Open | Word::Close => return Err(format!("a brace without a name at byte {at}")),
        };
        count += 1;
        if count > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        match words.next()? {
            Word::Text(value) => values.push((key, Node::Text(value))),
            Word::Open if open.len() < MAX_DEPTH => open.push((key, std::mem::take(&mut values))),
            Word::Open => return Err(format!("more than {MAX_DEPTH} maps in each other")),
            Word::Close | Word::End => return Err(format!("a name without a value at byte {at}")),
        }
    }
}

/// Reads the binary form.
///
/// # Errors
/// A sentence: what is wrong, and at which byte.
pub fn parse_binary(bytes: &[u8]) -> Result<Node, String> {
    let mut reader = Bytes { bytes, at: 0 };
    let mut open: Vec<(String, Vec<(String, Node)>)> = Vec::new();
    let mut values = Vec::new();
    for _ in 0..MAX_VALUES {
        let kind = match reader.take(1) {
            Ok(kind) => kind[0],
            // Steam ends the file with a map's end of its own; other writers do not.
            Err(_) if open.is_empty() => return Ok(Node::Map(values)),
            Err(e) => return Err(e),
        };
        if matches!(kind, END | END_OTHER) {
            let Some((name, outer)) = open.pop() else { return Ok(Node::Map(values)) };
            let inner = std::mem::replace(&mut values, outer);
            values.push((name, Node::Map(inner)));
            continue;
        }
        let name = reader.text()?;
        let value = match kind {
            MAP if open.len() < MAX_DEPTH => {
                open.push((name, std::mem::take(&mut values)));
                continue;
            }
            MAP => return Err(format!("more than {MAX_DEPTH} maps in each other")),
            TEXT => Node::Text(reader.text()?),
            INT32 | FLOAT | POINTER | COLOUR => Node::Number(reader.number(4)?),
            UINT64 | INT64 => Node::Number(reader.number(8)?),
            other => return Err(format!("a value of the unknown kind {other} before byte {}", reader.at)),
        };
        values.push((name, value));
    }
    Err(format!("more than {MAX_VALUES} values"))
}

enum Word {
    Text(String),
    Open,
    Close,
    End,
}

struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Result<Word, String> {
        loop {
            let rest = &self.text[self.at..];
            let Some(first) = rest.chars().next() else { return Ok(Word::End) };
            if first.is_whitespace() || first == '\u{feff}' || first == '\0' {
                self.at += first.len_utf8();
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if first == '[' {
                // A condition on platforms. What it belongs to is kept: wrong is better than missing.
                self.at += rest.find([']', '\n']).map_or(rest.len(), |end| end + 1);
            } else {
                return self.word(first);
            }
        }
    }

    fn word(&mut self, first: char) -> Result<Word, String> {
        let rest = &self.text[self.at..];
        match first {
            '{' | '}' => {
                self.at += 1;
                Ok(if first == '{' { Word::Open } else { Word::Close })
            }
            '"' => self.quoted(&rest[1..]),
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || "{}\"".contains(c)).unwrap_or(rest.len());
                self.at += length;
                Ok(Word::Text(rest[..length].to_owned()))
            }
        }
    }

    fn quoted(&mut self, rest: &str) -> Result<Word, String> {
        let start = self.at;
        let mut word = String::new();
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + 1 + at + 1;
                    return Ok(Word::Text(word));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, 't')) => word.push('\t'),
                    Some((_, c @ ('"' | '\\'))) => word.push(c),
                    Some((_, other)) => word.extend(['\\', other]),
                    None => break,
                },
                c => word.push(c),
            }
        }
        Err(format!("a text without its end at byte {start}"))
    }
}

struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count));
        self.at += count;
        taken.ok_or_else(|| format!("the file ends before byte {}", self.at))
    }

    fn text(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length =
            rest.iter().position(|b| *b == 0).ok_or_else(|| format!("a text without its end at byte {}", self.at))?;
        self.at += length + 1;
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Kinds of binary values (Valve developer community, "KeyValues class", and files of current Steam).
const MAP: u8 = 0;
const TEXT: u8 = 1;
const INT32: u8 = 2;
const FLOAT: u8 = 3;
const POINTER: u8 = 4;
const COLOUR: u8 = 6;
const UINT64: u8 = 7;
const END: u8 = 8;
const INT64: u8 = 10;
const END_OTHER: u8 = 11;
/// Steam's own files are four deep.
const MAX_DEPTH: usize = 32;
/// A libraryfolders.vdf has two for each game.
const MAX_VALUES: usize = 200_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_read_with_all_it_may_have() {
        let node = parse_text(
            "// made by hand\n\"AppState\"\n{\n\t\"appid\"\t\t\"570\"\n\tname \"Dota \\\"2\\\" \\\\ \\x\" [$LINUX]\n\
             \t\"Nested\" { \"a\" \"\" }\n}\n",
        )
        .expect("sound");
        let app = node.get("appstate").expect("a map");
        assert_eq!(app.get("APPID").and_then(Node::number), Some(570));
        assert_eq!(app.get("name").and_then(Node::text), Some("Dota \"2\" \\ \\x"));
        assert_eq!(app.get("nested").and_then(|n| n.get("a")).and_then(Node::text), Some(""));
        assert_eq!(parse_text(""), Ok(Node::Map(Vec::new())));
    }

    #[test]
    fn broken_text_is_told() {
        for (text, word) in [
            ("\"a\" {", "not closed"),
            ("}", "without a name"),
            ("{", "without a name"),
            ("\"a\"", "without a value"),
            ("\"a\" }", "without a value"),
            ("\"a", "without its end"),
            ("\"a\\", "without its end"),
            (&"a{".repeat(100), "in each other"),
        ] {
            let error = parse_text(text).expect_err(word);
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn binary_is_read_and_broken_binary_told() {
        let file = b"\0shortcuts\0\x000\0\x02appid\0\xfe\xff\xff\xff\x01AppName\0Doom\0\x08\x08\x08";
        let node = parse_binary(file).expect("sound");
        let game = node.get("shortcuts").and_then(|s| s.get("0")).expect("the first");
        assert_eq!(game.get("appid").and_then(Node::number), Some(0xffff_fffe));
        assert_eq!(game.get("appname").and_then(Node::text), Some("Doom"));
        for cut in 1..file.len() - 1 {
            assert!(parse_binary(&file[..cut]).is_err(), "cut at {cut}");
        }
        assert!(parse_binary(b"\x63x\0").expect_err("kind").contains("unknown kind"));
        assert!(parse_binary(&b"\0x\0".repeat(100)).expect_err("deep").contains("in each other"));
    }

    fn written(values: &[(String, Node)]) -> String {
        let quoted = |t: &str| format!("\"{}\"", t.replace('\\', "\\\\").replace('"', "\\\""));
        let one = |(name, value): &(String, Node)| match value {
            Node::Text(text) => format!("{} {}\n", quoted(name), quoted(text)),
            Node::Number(number) => format!("{} \"{number}\"\n", quoted(name)),
            Node::Map(inner) => format!("{} {{\n{}}}\n", quoted(name), written(inner)),
        };
        values.iter().map(one).collect()
    }

    fn node() -> impl Strategy<Value = Node> {
        let text = any::<String>().prop_map(Node::Text);
        text.prop_recursive(4, 40, 6, |inner| {
            proptest::collection::vec((any::<String>(), inner), 0..6).prop_map(Node::Map)
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec((any::<String>(), node()), 0..6)) {
            prop_assert_eq!(parse_text(&written(&values)), Ok(Node::Map(values)));
        }

        #[test]
        fn no_text_breaks_it(text in "[\"{}\\\\a \n/\\[\\]]{0,64}") {
            let _ = parse_text(&text);
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(0_u8..12, 0..200)) {
            let _ = parse_binary(&bytes);
            let _ = parse_text(&String::from_utf8_lossy(&bytes));
        }
    }
}
