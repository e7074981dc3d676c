//! A keyboard layout in XKB's words (rules `evdev`): model, layout, variant, options.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Which keyboard the desktop believes to have. Empty texts mean XKB's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyboardLayout {
    /// XKB model, e.g. `pc105`.
    pub model: String,
    /// XKB layout, e.g. `de` (several separated by commas).
    pub layout: String,
    /// XKB variant, e.g. `nodeadkeys`, one per layout.
    pub variant: String,
    /// XKB options, e.g. `caps:escape`.
    pub options: String,
}

impl KeyboardLayout {
    /// The given layout without variant or options.
    #[must_use]
    pub fn named(layout: &str) -> Self {
        Self { layout: layout.to_owned(), ..Self::default() }
    }

    /// Reads `LAYOUT[:VARIANT[:OPTIONS]]`, the form of the configuration file and the command line.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, ':').map(|p| p.trim().to_owned());
        let mut next = || parts.next().unwrap_or_default();
        Self { layout: next(), variant: next(), options: next(), model: String::new() }
    }

    /// Whether the texts hold only what XKB's names are made of. They come from configuration files; XKB's bindings want
    /// no NUL in them.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+:,.()".contains(c));
        [&self.model, &self.layout, &self.variant, &self.options].into_iter().all(|text| plain(text))
    }
}

impl fmt::Display for KeyboardLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.layout.is_empty() { "us" } else { &self.layout })?;
        if !self.variant.is_empty() {
            write!(f, "({})", self.variant)?;
        }
        if !self.options.is_empty() {
            write!(f, " {}", self.options)?;
        }
        Ok(())
    }
}

/// A layout that injectors share, and that may change while they are in use: they take the new one with the first key
/// that finds no other held.
#[derive(Clone, Debug, Default)]
pub struct LiveLayout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    layout: Mutex<KeyboardLayout>,
    /// Rises with every change: looked at with every key.
    generation: AtomicU64,
}

impl LiveLayout {
    /// Starts with `layout`.
    #[must_use]
    pub fn new(layout: KeyboardLayout) -> Self {
        Self(Arc::new(Shared { layout: Mutex::new(layout), generation: AtomicU64::new(0) }))
    }

    /// Changes it for all that share it.
    pub fn set(&self, layout: KeyboardLayout) {
        *self.0.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// The layout, and what [`Self::generation`] says while it is the one.
    pub(crate) fn get(&self) -> (KeyboardLayout, u64) {
        // Read first: a change in between is then seen with the next key.
        let generation = self.generation();
        (self.0.layout.lock().unwrap_or_else(PoisonError::into_inner).clone(), generation)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::KeyboardLayout;

    #[test]
    fn the_short_form_names_layout_variant_and_options() {
        let layout = KeyboardLayout::parse("de:nodeadkeys:caps:escape");
        assert_eq!((layout.layout.as_str(), layout.variant.as_str()), ("de", "nodeadkeys"));
        assert_eq!(layout.options, "caps:escape");
        assert_eq!(layout.to_string(), "de(nodeadkeys) caps:escape");
        assert_eq!(KeyboardLayout::parse("").to_string(), "us");
    }
}
