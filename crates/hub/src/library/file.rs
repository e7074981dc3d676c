//! `library.json`: what people changed in the console or with `ctl`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use punktfunk_library::clean_title;
use punktfunk_media::{AppSpec, reason};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::LibraryError;
use crate::catalogue::{App, Source, Step};
use crate::state::Document;

/// The file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct LibraryFile {
    /// Rises with every change.
    #[serde(default)]
    pub revision: u64,
    /// What clients do not see.
    #[serde(default)]
    pub hidden: BTreeSet<String>,
    /// Scanners that were turned on or off, by name.
    #[serde(default)]
    pub scanners: BTreeMap<String, bool>,
    /// Entries, by key.
    #[serde(default)]
    pub custom: BTreeMap<String, Custom>,
    /// What a newer release wrote.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Document for LibraryFile {
    const NAME: &'static str = "library.json";
    const VERSION: u64 = 1;
}

/// An entry that people added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custom {
    /// For people.
    pub title: String,
    /// A shell command.
    pub command: String,
    /// An absolute path; the home folder if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// Variables for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Commands around it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<Step>,
    /// Whether its exit ends the session; as configured for all if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_session: Option<bool>,
    /// The name of its cover's file: set by [`super::Library::set_cover`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
}

impl Custom {
    /// Cleaned, if it can be started at all.
    ///
    /// # Errors
    /// `library.invalid`.
    pub fn checked(mut self) -> Result<Self, LibraryError> {
        let invalid = |what: String| Err(LibraryError::new(&reason::LIBRARY_INVALID, what));
        self.title = clean_title(&self.title);
        self.cover = None;
        if self.title.is_empty() {
            return invalid("it needs a title".to_owned());
        }
        let texts = [&self.command].into_iter().chain(self.env.values());
        let steps = self.prepare.iter().flat_map(|s| [Some(&s.run), s.undo.as_ref()]).flatten();
        for text in texts.chain(steps) {
            if text.contains('\0') || text.len() > MAX_TEXT {
                return invalid(format!("a command or value with a NUL character, or of more than {MAX_TEXT} bytes"));
            }
        }
        if self.command.trim().is_empty() {
            return invalid("it needs a command".to_owned());
        }
        if self.working_dir.as_ref().is_some_and(|dir| !dir.is_absolute() || dir.as_os_str().len() > MAX_TEXT) {
            return invalid("its working folder is not an absolute path".to_owned());
        }
        if let Some(name) = self.env.keys().find(|name| !is_variable(name)) {
            return invalid(format!("{name:?} is no name of a variable"));
        }
        if self.env.len() > MAX_PARTS || self.prepare.len() > MAX_PARTS {
            return invalid(format!("more than {MAX_PARTS} variables or steps"));
        }
        let sane = |t: Duration| t >= Duration::from_millis(1) && t <= Step::LONGEST;
        if let Some(step) = self.prepare.iter().find(|step| !sane(step.timeout)) {
            return invalid(format!("a time limit of {:?} is not 0.001 s to {:?}", step.timeout, Step::LONGEST));
        }
        Ok(self)
    }

    pub(super) fn app(&self, key: &str, covers: &Path, ends_session: bool) -> App {
        let spec = AppSpec {
            name: self.title.clone(),
            command: self.command.clone(),
            working_dir: self.working_dir.clone(),
            env: self.env.clone().into_iter().collect(),
            mark: None,
        };
        // A name out of the file that is more than a name would lead elsewhere.
        let is_name = |name: &&String| !name.contains('/') && !name.starts_with('.');
        App {
            key: key.to_owned(),
            title: self.title.clone(),
            source: Source::Custom,
            cover: self.cover.as_ref().filter(is_name).map(|name| covers.join(name)),
            spec: Some(spec),
            prepare: self.prepare.clone(),
            library_prepare: true,
            ends_session: self.ends_session.unwrap_or(ends_session),
        }
    }
}

/// What every shell takes for the name of a variable.
#[must_use]
pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

const MAX_TEXT: usize = 8192;
const MAX_PARTS: usize = 64;
const MAX_NAME: usize = 128;
