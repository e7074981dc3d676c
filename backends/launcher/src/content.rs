//! What there is to choose from, and who knows.

/// Everything that is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The host's name.
    pub host: String,
    /// One line about the session; empty where none is known.
    pub session: String,
    /// What can be started, in order.
    pub entries: Vec<Entry>,
    /// What is open, the one on top first.
    pub windows: Vec<OpenWindow>,
}

/// Something that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the source knows it by.
    pub id: String,
    /// As people know it.
    pub title: String,
    /// Whether it has a picture.
    pub cover: bool,
}

/// A window of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// What the source knows it by.
    pub id: u64,
    /// As its program names it.
    pub title: String,
}

/// Who knows what there is and can do it. Called from a thread of its own; may block for seconds.
pub trait Source: Send {
    /// Everything that is shown.
    ///
    /// # Errors
    /// A sentence for people.
    fn look(&mut self) -> Result<Content, String>;

    /// The picture of an entry: PNG, JPEG or WebP. `None`: there is none.
    fn cover(&mut self, id: &str) -> Option<Vec<u8>>;

    /// Starts an entry.
    ///
    /// # Errors
    /// A sentence for people.
    fn launch(&mut self, id: &str) -> Result<(), String>;

    /// Brings a window to the front.
    ///
    /// # Errors
    /// A sentence for people.
    fn focus(&mut self, window: u64) -> Result<(), String>;

    /// Asks a window's program to close it.
    ///
    /// # Errors
    /// A sentence for people.
    fn close(&mut self, window: u64) -> Result<(), String>;
}
