//! Input injection means that desktops compose: wlr virtual pointer and virtual keyboard.

mod layout;

use std::path::Path;

pub use layout::KeyboardLayout;
use punktfunk_media::{InjectError, Injector, reason};

/// Opens an injector whose coordinates are the pixels of the output `output` of the compositor that listens at the
/// Wayland socket `display`.
///
/// # Errors
/// [`InjectError`] with `inject.unsupported` or `inject.lost`.
pub fn open(_display: &Path, output: &str, _layout: &KeyboardLayout) -> Result<Box<dyn Injector>, InjectError> {
    Err(InjectError { reason: &reason::INJECT_UNSUPPORTED, detail: output.to_owned(), fatal: true })
}
