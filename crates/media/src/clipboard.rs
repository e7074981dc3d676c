//! A desktop's clipboard.
//!
//! ```text
//! program copies ──► ClipboardWatcher::copied(generation, formats) ─ ─ ► ClipboardLink::read(generation, mime) ──► bytes
//! ClipboardLink::offer(offer, formats) ─ ─ ► program pastes ──► ClipboardWatcher::pasted(Paste { offer, mime, into })
//! ```
//!
//! Formats are named as on the wire (`text/plain;charset=utf-8`, `image/png`, …); a backend knows the other names that
//! programs of its desktop have for them. Nothing is copied before somebody asks for it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::Reason;

/// The kinds that cross the wire (punktfunk1.md §3.9.3), best first. Files do not.
pub const CLIPBOARD_KINDS: [&str; 6] =
    ["text/plain;charset=utf-8", "text/html", "text/rtf", "image/png", "image/jpeg", "image/gif"];

/// The clipboard of a stage's desktop. What it hands out works on its own while the stage is used for pictures.
pub trait Clipboard: Send + Sync {
    /// Follows the clipboard from now on: `watcher` is told what it holds now, and every change. Blocking, a few questions
    /// to the compositor; every open link is independent of the others.
    ///
    /// # Errors
    /// [`ClipboardError`] where the desktop is gone, or takes no clients for its clipboard.
    fn open(&self, watcher: Arc<dyn ClipboardWatcher>) -> Result<Arc<dyn ClipboardLink>, ClipboardError>;
}

/// A followed clipboard. Callable from any thread; dropping it takes its offer back and ends what programs still paste.
pub trait ClipboardLink: Send + Sync {
    /// Asks for what a program copied, in one of the formats that [`ClipboardWatcher::copied`] told. Returns at once; the
    /// reader waits at most [`CLIPBOARD_SLICE`] at a time, says [`std::io::ErrorKind::WouldBlock`] if nothing came, and 0 at
    /// the end. Whoever reads sets the limits: a program may never write anything.
    ///
    /// # Errors
    /// [`ClipboardError`] if something else was copied meanwhile (another `generation`), or there is no such format.
    fn read(&self, generation: u64, mime: &str) -> Result<Box<dyn Read + Send>, ClipboardError>;

    /// The clipboard holds this now, and `watcher` is asked for it when a program pastes. Formats that the desktop cannot
    /// place are left out; none at all takes the last offer back. Never told to [`ClipboardWatcher::copied`]. Quick.
    fn offer(&self, offer: u32, formats: &[String]);
}

/// Whoever follows a clipboard. Called from the backend's thread: must not block.
pub trait ClipboardWatcher: Send + Sync {
    /// A program copied something; no formats: the clipboard is empty, or holds only what cannot cross the wire.
    /// `generation` names it for [`ClipboardLink::read`].
    fn copied(&self, generation: u64, formats: Vec<String>);

    /// A program wants what [`ClipboardLink::offer`] announced. Dropping `paste` gives it no more.
    fn pasted(&self, paste: Paste);

    /// The clipboard is gone: the compositor ended. Nothing follows.
    fn ended(&self);
}

/// A program waits for data.
pub struct Paste {
    /// Of which offer.
    pub offer: u32,
    /// In which of its formats.
    pub mime: String,
    /// Takes the data; waits at most [`CLIPBOARD_SLICE`] at a time and says [`std::io::ErrorKind::WouldBlock`] where the
    /// program read nothing. Dropping it is the end of the data.
    pub into: Box<dyn Write + Send>,
}

/// There is no clipboard, or nothing of this kind in it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct ClipboardError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
}

/// How long one read or write of the clipboard's data waits at most.
pub const CLIPBOARD_SLICE: Duration = Duration::from_millis(100);
