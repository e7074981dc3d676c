//! The library: what a client may start. The same for every plane: the bare desktop first, then what people wrote down in
//! their order, then what their stores installed.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use punktfunk_library::Scanner;
use punktfunk_media::AppSpec;

/// Everything that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Never empty: the desktop comes first.
    apps: Vec<App>,
    /// Where each key and each number is among them.
    by_key: HashMap<String, usize>,
    by_number: BTreeMap<u32, usize>,
}

/// An entry of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// What native clients name in `Hello.launch`, e.g. `desktop` or `app:files`; 1 to 128 bytes.
    pub key: String,
    /// The name that people see.
    pub title: String,
    /// Where it comes from.
    pub source: Source,
    /// A picture to show for it: PNG, JPEG or WebP.
    pub cover: Option<PathBuf>,
    /// What is started; `None`: the desktop alone.
    pub spec: Option<AppSpec>,
    /// Commands that run before it starts, in order.
    pub prepare: Vec<Step>,
    /// Whether the commands around every program run before them.
    pub library_prepare: bool,
    /// Whether its exit ends the session that asked for it; otherwise the client finds itself on the bare desktop.
    pub ends_session: bool,
}

/// Where an entry of the library comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The bare desktop.
    Desktop,
    /// The configuration file.
    File,
    /// The API.
    Custom,
    /// A store.
    Store(Scanner),
}

impl Source {
    /// As in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Desktop => "host",
            Self::File => "file",
            Self::Custom => "custom",
            Self::Store(scanner) => scanner.name(),
        }
    }
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

impl Step {
    /// The longest time limit: a client waits meanwhile.
    pub const LONGEST: Duration = Duration::from_secs(600);
    /// The time limit where none is given: enough for whatever ends at all.
    pub const USUAL: Duration = Duration::from_secs(10);
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
        Self {
            key: "desktop".into(),
            title: "Desktop".into(),
            source: Source::Desktop,
            cover: None,
            spec: None,
            prepare: Vec::new(),
            library_prepare: true,
            ends_session: true,
        }
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
        let mut catalogue = Self::default();
        apps.into_iter().try_for_each(|app| catalogue.add(app))?;
        Ok(catalogue)
    }

    /// One more, at the end.
    ///
    /// # Errors
    /// [`CatalogueError`] where clients could not tell it from another; it is not added then.
    pub fn add(&mut self, app: App) -> Result<(), CatalogueError> {
        if app.key.is_empty() || app.key.len() > MAX_KEY_BYTES {
            return Err(CatalogueError::KeyLength(app.key));
        }
        let number = app.number();
        if let Some(other) = self.by_number.get(&number).and_then(|at| self.apps.get(*at)) {
            return Err(if other.key == app.key {
                CatalogueError::SameKey(app.key)
            } else {
                CatalogueError::SameNumber(other.key.clone(), app.key)
            });
        }
        self.by_number.insert(number, self.apps.len());
        self.by_key.insert(app.key.clone(), self.apps.len());
        self.apps.push(app);
        Ok(())
    }

    /// Every entry, the desktop first.
    #[must_use]
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The entry with this key.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<&App> {
        self.by_key.get(key).and_then(|at| self.apps.get(*at))
    }

    /// The entry with this [`App::number`].
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<&App> {
        self.by_number.get(&number).and_then(|at| self.apps.get(*at))
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        let desktop = App::desktop();
        Self {
            by_key: HashMap::from([(desktop.key.clone(), 0)]),
            by_number: BTreeMap::from([(desktop.number(), 0)]),
            apps: vec![desktop],
        }
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
