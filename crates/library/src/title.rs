//! One game.

use std::path::PathBuf;

/// A game that a store installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Names store and game, e.g. `steam:570`; see [`crate::is_id`].
    pub id: String,
    /// For people; cleaned.
    pub title: String,
    /// A shell command that starts it.
    pub command: String,
    /// Where it starts.
    pub working_dir: Option<PathBuf>,
    /// A picture that its store keeps: PNG, JPEG or WebP, maybe broken.
    pub cover: Option<PathBuf>,
    /// `NAME=value` that the game's own processes have in their environment, where its launcher stays behind when it ends.
    pub mark: Option<String>,
}
