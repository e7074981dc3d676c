//! The library: what a client may start. The same for every plane, ordered as the configuration has it, with the bare
//! desktop first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use punktfunk_media::AppSpec;

/// Everything that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Never empty: the desktop comes first.
    apps: Vec<App>,
}

/// An entry of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// What native clients name in `Hello.launch`, e.g. `desktop` or `app:files`; 1 to 128 bytes.
    pub key: String,
    /// The name that people see.
    pub title: String,
    /// A PNG to show for it.
    pub cover: Option<PathBuf>,
    /// What is started; `None`: the desktop alone.
    pub spec: Option<AppSpec>,
    /// Commands that run before it starts, in order.
    pub prepare: Vec<Step>,
}

/// A command that prepares for a program, and the one that undoes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// A shell command; the program is not started if it fails. May be empty where there is only something to undo.
    pub run: String,
    /// A shell command that runs when the program is over, in the reverse order of the steps. It may run twice after a
    /// crash of the host.
    pub undo: Option<String>,
    /// For each of the two; then it is killed.
    pub timeout: Duration,
}

/// Two entries cannot be told apart.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The same key twice.
    #[error("two programs have the id `{0}`")]
    SameKey(String),
    /// Different keys with the same number, which a GameStream client could not tell apart. As likely as a lottery win.
    #[error("the ids `{0}` and `{1}` give the same number; change one of them")]
    SameNumber(String, String),
    /// A key of no or more than 128 bytes.
    #[error("the id `{0}` is not 1 to {MAX_KEY_BYTES} bytes long")]
    KeyLength(String),
}

impl App {
    /// The bare desktop.
    #[must_use]
    pub fn desktop() -> Self {
        Self { key: "desktop".into(), title: "Desktop".into(), cover: None, spec: None, prepare: Vec::new() }
    }

    /// The number that GameStream clients know it by: 1 to 2^31 − 1, from nothing but the key, so that it is the same
    /// after every change of the rest.
    #[must_use]
    pub fn number(&self) -> u32 {
        (crc32fast::hash(self.key.as_bytes()) & 0x7fff_ffff).max(1)
    }
}

impl Catalogue {
    /// The desktop, then these.
    ///
    /// # Errors
    /// [`CatalogueError`] where clients could not tell two of them apart.
    pub fn new(apps: Vec<App>) -> Result<Self, CatalogueError> {
        let apps: Vec<App> = std::iter::once(App::desktop()).chain(apps).collect();
        let mut numbers: BTreeMap<u32, &str> = BTreeMap::new();
        for app in &apps {
            if app.key.is_empty() || app.key.len() > MAX_KEY_BYTES {
                return Err(CatalogueError::KeyLength(app.key.clone()));
            }
            match numbers.insert(app.number(), &app.key) {
                None => {}
                Some(other) if other == app.key => return Err(CatalogueError::SameKey(app.key.clone())),
                Some(other) => return Err(CatalogueError::SameNumber(other.to_owned(), app.key.clone())),
            }
        }
        Ok(Self { apps })
    }

    /// Every entry, the desktop first.
    #[must_use]
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The entry with this key.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<&App> {
        self.apps.iter().find(|a| a.key == key)
    }

    /// The entry with this [`App::number`].
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<&App> {
        self.apps.iter().find(|a| a.number() == number)
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { apps: vec![App::desktop()] }
    }
}

/// The key of a program that has none of its own: `app:` and its name in small letters, with dashes for all that is
/// neither letter nor digit.
#[must_use]
pub fn key_of(name: &str) -> String {
    let mut key = "app:".to_owned();
    for word in name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        if !key.ends_with(':') {
            key.push('-');
        }
        key.extend(word.chars().flat_map(char::to_lowercase));
    }
    key
}

/// `Hello.launch` holds no more (punktfunk1.md §3.4).
const MAX_KEY_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn app(key: &str) -> App {
        App { key: key.into(), title: key.to_uppercase(), spec: Some(AppSpec::default()), ..App::desktop() }
    }

    #[test]
    fn the_desktop_is_always_there_and_numbers_stay() {
        let library = Catalogue::new(vec![app("app:a"), app("steam:570")]).expect("all different");
        assert_eq!(
            library.apps().iter().map(|a| a.key.as_str()).collect::<Vec<_>>(),
            ["desktop", "app:a", "steam:570"]
        );
        // Clients store these: they must be the same in every release.
        let numbers: Vec<u32> = library.apps().iter().map(App::number).collect();
        assert_eq!(numbers, [157_353_380, 1_117_974_171, 2_001_852_339]);
        assert_eq!(library.by_number(numbers[2]).map(|a| a.title.as_str()), Some("STEAM:570"));
        assert_eq!(Catalogue::default(), Catalogue::new(Vec::new()).expect("only the desktop"));
    }

    #[test]
    fn what_clients_cannot_tell_apart_is_refused() {
        for (apps, word) in [
            (vec![app("a"), app("a")], "two programs"),
            (vec![app("desktop")], "two programs"),
            (vec![app("")], "128 bytes"),
            (vec![app(&"x".repeat(129))], "128 bytes"),
            // Two texts with the same CRC-32, found by search.
            (vec![app("plumless"), app("buckeroo")], "the same number"),
        ] {
            let error = Catalogue::new(apps).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn names_become_readable_keys() {
        for (name, key) in [
            ("Files", "app:files"),
            ("  Half-Life 2: Update ", "app:half-life-2-update"),
            ("Übung", "app:übung"),
            ("?!", "app:"),
        ] {
            assert_eq!(key_of(name), key);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_positive_31_bit_ones(key in ".{1,128}") {
            let number = app(&key).number();
            prop_assert!((1..1 << 31).contains(&number));
        }
    }
}
