//! Files of stores, which are whatever a store, a download or a stranger put there.

use punktfunk_library::{DesktopEntry, clean_title, is_id, parse_binary, parse_text, parse_yaml, picture_type, to_png};

/// Every format that a scanner reads by itself, and covers.
pub fn fuzz_library(data: &[u8]) {
    let _ = parse_binary(data);
    let text = String::from_utf8_lossy(data);
    let _ = parse_text(&text);
    let _ = parse_yaml(&text);
    if let Some(entry) = DesktopEntry::parse(&text) {
        let _ = entry.words("/usr/share/applications/x.desktop");
    }
    let title = clean_title(&text);
    assert_eq!(clean_title(&title), title, "clean stays clean");
    let _ = is_id(&text);
    if let Ok(png) = to_png(data) {
        assert_eq!(picture_type(&png), Some("image/png"));
    }
}
