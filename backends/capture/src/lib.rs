//! Screen capture means that desktops compose: ext-image-copy-capture where the compositor has it, else wlr-screencopy.
//!
//! ```text
//! open ─► Link (own Wayland connection, output found by name) ─► ImageCopy | Screencopy, both a Capturer
//!            slots: memfds that compositor and consumer map, made by ShmSlot
//! ```
//!
//! Both copy on request and answer when something changed, so that a still desktop costs nothing. Pictures are handed
//! on as announced: byte order, stride and transform travel in the layout; a format that nobody here reads is refused
//! with its name, never replaced by a dummy picture.

mod format;
mod image_copy;
mod link;
mod screencopy;
mod slot;

use std::path::Path;

use punktfunk_media::{CaptureError, Capturer, reason};

use crate::image_copy::ImageCopy;
use crate::link::Link;
use crate::screencopy::Screencopy;

/// Opens a capturer for the output `output` (its connector name, e.g. `HEADLESS-1`) of the compositor that listens at
/// the Wayland socket `display`. Waits until the compositor told the layout of the picture.
///
/// # Errors
/// [`CaptureError`] with `capture.unsupported`, `capture.format_unsupported`, `capture.lost` or `desktop.died`.
pub fn open(display: &Path, output: &str) -> Result<Box<dyn Capturer>, CaptureError> {
    let link = Link::open(display, output)?;
    if link.state.globals.has_image_copy() {
        tracing::debug!(output, "capturing through ext-image-copy-capture");
        Ok(Box::new(ImageCopy::open(link)?))
    } else if link.state.globals.screencopy.is_some() {
        tracing::debug!(output, "capturing through wlr-screencopy");
        Ok(Box::new(Screencopy::open(link)?))
    } else {
        Err(CaptureError {
            reason: &reason::CAPTURE_UNSUPPORTED,
            detail: format!(
                "{} has neither ext_image_copy_capture_manager_v1 nor zwlr_screencopy_manager_v1 version 3",
                display.display()
            ),
            fatal: true,
        })
    }
}

/// Every global that the compositor at `display` offers, as `interface version`, sorted.
///
/// # Errors
/// [`CaptureError`] when it cannot be reached.
pub fn globals(display: &Path) -> Result<Vec<String>, CaptureError> {
    link::globals(display)
}
