//! As much of YAML as Bottles writes: one document of maps, lists and scalars. Aliases, with which a few lines can stand
//! for gigabytes, are refused.

use saphyr_parser::{Event, Parser};

/// A value; every scalar is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// A scalar.
    Text(String),
    /// A sequence.
    List(Vec<Yaml>),
    /// A mapping, in the order of the file; keys that are no scalars are left out.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// The value of this key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.map().iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Its keys and values; none if it is no map.
    #[must_use]
    pub fn map(&self) -> &[(String, Self)] {
        if let Self::Map(values) = self { values } else { &[] }
    }

    /// Its text; what stands for nothing is none.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => Some(text),
            _ => None,
        }
    }
}

enum Open {
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>, Option<Yaml>),
}

/// Reads the first document; an empty file is an empty map.
///
/// # Errors
/// A sentence: what is wrong.
pub fn parse_yaml(text: &str) -> Result<Yaml, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut events = 0_usize;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        events += 1;
        if events > MAX_EVENTS {
            return Err(format!("more than {MAX_EVENTS} values"));
        }
        let done = match event.map_err(|e| e.to_string())?.0 {
            Event::Scalar(text, ..) => Yaml::Text(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                return Err(format!("more than {MAX_DEPTH} values in each other"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(values)) => Yaml::List(values),
                Some(Open::Map(values, _)) => Yaml::Map(values),
                None => return Err("an end without a beginning".to_owned()),
            },
            Event::Alias(_) => return Err("an alias".to_owned()),
            Event::StreamEnd => break,
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::List(values)) => values.push(done),
            Some(Open::Map(values, key)) => match key.take() {
                None => *key = Some(done),
                Some(Yaml::Text(key)) => values.push((key, done)),
                Some(_) => {}
            },
        }
    }
    Ok(Yaml::Map(Vec::new()))
}

/// Bottles' own files are four deep.
const MAX_DEPTH: usize = 32;
/// A library of 5 000 titles has some 60 000.
const MAX_EVENTS: usize = 500_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_bottles_writes_is_read() {
        let yaml =
            parse_yaml("a1:\n  bottle:\n    name: My Bottle\n  icon: ''\n  name: 'It''s'\n  list:\n  - x\n  - y: 1\n")
                .expect("sound");
        let entry = yaml.get("a1").expect("the entry");
        assert_eq!(entry.get("bottle").and_then(|b| b.get("name")).and_then(Yaml::text), Some("My Bottle"));
        assert_eq!(entry.get("name").and_then(Yaml::text), Some("It's"));
        assert_eq!(entry.get("icon").and_then(Yaml::text), None);
        assert!(matches!(entry.get("list"), Some(Yaml::List(values)) if values.len() == 2));
        assert_eq!(parse_yaml(""), Ok(Yaml::Map(Vec::new())));
    }

    #[test]
    fn what_could_grow_is_refused() {
        assert!(parse_yaml("a: &x [1]\nb: *x\n").expect_err("an alias").contains("alias"));
        assert!(parse_yaml(&"[".repeat(100)).is_err());
        assert!(parse_yaml("a: [1\nb").is_err());
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "[a:&*\\[\\]{}'\"\n |>!%#-]{0,80}") {
            let _ = parse_yaml(&text);
        }
    }
}
