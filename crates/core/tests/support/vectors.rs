//! Reads the vector files: one `name hex` per line, `#` begins a comment.

use std::collections::BTreeMap;

/// Vectors by name. Panics on a malformed file: it is part of this repository.
pub struct Vectors(BTreeMap<&'static str, Vec<u8>>);

impl Vectors {
    pub fn parse(file: &'static str) -> Self {
        let lines = file.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let mut all = BTreeMap::new();
        for line in lines {
            let (name, digits) = line.split_once(' ').expect("`name hex`");
            assert!(all.insert(name, hex(digits.trim())).is_none(), "{name} is there twice");
        }
        Self(all)
    }

    /// The bytes of one vector; each is asked for once, so that [`Self::finish`] finds forgotten ones.
    pub fn take(&mut self, name: &str) -> Vec<u8> {
        self.0.remove(name).unwrap_or_else(|| panic!("no vector {name}"))
    }

    /// Fails if the file holds a vector that no test asked for.
    pub fn finish(self) {
        assert!(self.0.is_empty(), "not tested: {:?}", self.0.keys());
    }
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "odd number of digits");
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex digits")).collect()
}
