//! The ladder: which encoders there are, best first.

use std::sync::Arc;

use punktfunk_media::{EncoderChoice, EncoderFactory};

use crate::openh264::{self, OpenH264Factory};
use crate::x264::{self, X264Factory};

/// Every encoder's name, best first.
pub const NAMES: &[&str] = &[x264::NAME, openh264::NAME];

/// The encoders that the operator allows, best first. Cheap: opens no library. A rung whose library is missing refuses
/// when it is opened (`encode.ffmpeg_missing`), and the next one is taken. A pinned name that we do not know gives an
/// empty ladder.
#[must_use]
pub fn available(choice: &EncoderChoice) -> Vec<Arc<dyn EncoderFactory>> {
    NAMES
        .iter()
        .filter(|name| match choice {
            EncoderChoice::Auto => true,
            EncoderChoice::Pinned(pinned) => pinned == *name,
        })
        .filter_map(|name| factory(name))
        .collect()
}

/// The factory with this name.
#[must_use]
pub fn factory(name: &str) -> Option<Arc<dyn EncoderFactory>> {
    match name {
        x264::NAME => Some(Arc::new(X264Factory)),
        openh264::NAME => Some(Arc::new(OpenH264Factory)),
        _ => None,
    }
}

/// One encoder as `doctor` shows it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct EncoderFact {
    /// Name on the ladder.
    pub name: &'static str,
    /// Codec it writes.
    pub codec: &'static str,
    /// Whether it can be opened here.
    pub usable: bool,
    /// Library and version, or why it is not usable.
    pub detail: String,
    /// Reason code where it is not usable.
    pub reason: Option<&'static str>,
    /// What to do about it; empty where nothing is wrong.
    pub fix: &'static str,
}

/// What `doctor` says about every rung. Opens the libraries; with the first call of a process this takes tens of
/// milliseconds, so a host asks after it listens.
#[must_use]
pub fn facts() -> Vec<EncoderFact> {
    NAMES
        .iter()
        .map(|name| {
            let version = if *name == x264::NAME { x264::version() } else { Ok(openh264::version()) };
            let (usable, detail, reason, fix) = match version {
                Ok(version) => (true, version, None, ""),
                Err(e) => (false, e.detail, Some(e.reason.code), e.reason.fix),
            };
            EncoderFact { name, codec: "h264", usable, detail, reason, fix }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_last_and_pins_are_kept() {
        let names = |choice| available(&choice).iter().map(|f| f.name()).collect::<Vec<_>>();
        assert_eq!(names(EncoderChoice::Auto), NAMES);
        assert_eq!(NAMES.last(), Some(&openh264::NAME));
        assert_eq!(names(EncoderChoice::Pinned("openh264".to_owned())), ["openh264"]);
        assert!(names(EncoderChoice::Pinned("quill".to_owned())).is_empty());
    }

    #[test]
    fn facts_name_every_rung() {
        let facts = facts();
        assert_eq!(facts.iter().map(|f| f.name).collect::<Vec<_>>(), NAMES);
        for fact in facts {
            println!("{fact:?}");
            assert_eq!(fact.usable, fact.reason.is_none() && fact.fix.is_empty(), "{fact:?}");
        }
    }
}
