//! The list of rules that the host broke.

use std::fmt;

/// Rules of the wire that were broken, with the place in the protocol's description. Only the first few of each run are
/// kept; [`Violations::count`] counts all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<String>,
    count: u64,
}

impl Violations {
    /// Notes one. `rule` is the section, `what` what was seen.
    pub fn note(&mut self, rule: &str, what: impl fmt::Display) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(format!("{rule}: {what}"));
        }
    }

    /// Notes one unless `holds`.
    pub fn check(&mut self, holds: bool, rule: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.note(rule, what());
        }
    }

    /// Takes over another list.
    pub fn extend(&mut self, other: Self) {
        self.count += other.count;
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// The first ones, in words.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.kept
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the host kept every rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Enough to see a pattern; a broken host would otherwise fill the memory at line rate.
const KEPT: usize = 64;
