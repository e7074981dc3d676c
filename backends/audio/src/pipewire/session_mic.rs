//! The microphones of a running session: one source for each client that may talk, named after it.
//!
//! They stand beside the session's own microphones, and none is made the default one: which voice a program listens to is
//! its user's choice, in the program or a mixer. (Where there is no other source, the session manager takes ours.)

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use punktfunk_media::{AudioError, MicSink, MicWanted};

use super::mic::PipeWireMic;

/// Names in use.
pub type MicNames = Arc<Mutex<BTreeSet<String>>>;

/// A client's source; it exists while this does.
#[derive(Debug)]
pub struct SessionMic {
    // First: its name is free only once it is gone.
    mic: PipeWireMic,
    _name: Name,
}

impl SessionMic {
    /// Opens one on the server at `socket` for the client with this name.
    pub fn open(socket: &Path, names: &MicNames, client: &str) -> Result<Self, AudioError> {
        let name = Name::take(names, client);
        let described = client.trim();
        let description =
            if described.is_empty() { "punktfunk microphone".to_owned() } else { format!("punktfunk: {described}") };
        Ok(Self { mic: PipeWireMic::open(socket, &name.name, &description)?, _name: name })
    }
}

impl MicSink for SessionMic {
    fn wanted(&mut self, deadline: Instant) -> Result<MicWanted, AudioError> {
        self.mic.wanted(deadline)
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        self.mic.write(samples)
    }
}

/// A node name that no other client has now, and the same client has again the next time: programs and session managers
/// remember sources by it.
#[derive(Debug)]
struct Name {
    name: String,
    names: MicNames,
}

impl Name {
    fn take(names: &MicNames, client: &str) -> Self {
        let mut taken = names.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let words: String = client.chars().take(MOST_LETTERS).map(plain).collect();
        let words: Vec<_> = words.split('-').filter(|word| !word.is_empty()).collect();
        let first = if words.is_empty() { MIC.to_owned() } else { format!("{MIC}.{}", words.join("-")) };
        let mut name = first.clone();
        for n in 2.. {
            if taken.insert(name.clone()) {
                break;
            }
            name = format!("{first}.{n}");
        }
        Self { name, names: Arc::clone(names) }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

const MIC: &str = "punktfunk-microphone";
const MOST_LETTERS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_different_and_the_same_again() {
        let names = MicNames::default();
        let take = |client: &str| Name::take(&names, client);
        let first = take("Sofa <b>TV</b>");
        assert_eq!(first.name, "punktfunk-microphone.sofa-b-tv-b");
        let (second, third) = (take("Sofa <b>TV</b>"), take("sofa b tv b"));
        assert_eq!(second.name, "punktfunk-microphone.sofa-b-tv-b.2");
        assert_eq!(third.name, "punktfunk-microphone.sofa-b-tv-b.3");
        drop(first);
        assert_eq!(take("SOFA B TV B").name, "punktfunk-microphone.sofa-b-tv-b");
        assert_eq!(take("\u{202e}日本").name, "punktfunk-microphone");
        assert!(take(&"x".repeat(500)).name.len() < 70);
    }
}
