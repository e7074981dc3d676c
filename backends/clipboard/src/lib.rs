//! The clipboard of a Wayland desktop: a client of its compositor, through `ext-data-control-v1` where that is offered,
//! else `wlr-data-control-unstable-v1`.
//!
//! ```text
//! thread `clipboard`   selection ─► names ─► kinds of the wire ─► ClipboardWatcher::copied
//!                      send (a program pastes) ─► a pipe's end ─► ClipboardWatcher::pasted
//! any thread           ClipboardLink::read ─► receive ─► a pipe's other end;   ClipboardLink::offer ─► set_selection
//! ```
//!
//! What we offer carries a name that no other program knows, so that it is recognised when the compositor tells of it.
//! The primary selection (text that is merely marked) stays on the desktop: the wire has one clipboard.
#![forbid(unsafe_code)]

mod kinds;
mod link;
mod pipe;
mod protocol;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use punktfunk_media::{Clipboard, ClipboardError, ClipboardLink, ClipboardWatcher, reason};

/// The clipboard of the compositor that listens at the Wayland socket `display`. One question to it.
///
/// # Errors
/// [`ClipboardError`]: it cannot be reached, or gives its clipboard to no other program.
pub fn find(display: &Path) -> Result<Arc<dyn Clipboard>, ClipboardError> {
    link::Bound::new(display)?;
    Ok(Arc::new(WaylandClipboard { display: display.to_owned() }))
}

struct WaylandClipboard {
    display: PathBuf,
}

impl Clipboard for WaylandClipboard {
    fn open(&self, watcher: Arc<dyn ClipboardWatcher>) -> Result<Arc<dyn ClipboardLink>, ClipboardError> {
        Ok(Arc::new(link::Bound::new(&self.display)?.follow(watcher)?))
    }
}

fn lost(detail: impl ToString) -> ClipboardError {
    ClipboardError { reason: &reason::CLIPBOARD_LOST, detail: detail.to_string() }
}
