//! A keyboard layout in XKB's words (rules `evdev`): model, layout, variant, options.

use std::fmt;

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
