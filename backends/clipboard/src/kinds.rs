//! What programs call the kinds that cross the wire.

use punktfunk_media::CLIPBOARD_KINDS;

/// The kinds of the wire among a program's `names`, each with the name to ask the program for. `image/png` is the one
/// picture that every side reads, so other pictures cross only beside it.
pub(crate) fn on_the_wire(names: &[String]) -> Vec<(&'static str, String)> {
    let find = |kind: &&'static str| {
        let name = read_as(kind).iter().find_map(|alias| names.iter().find(|n| n.eq_ignore_ascii_case(alias)))?;
        Some((*kind, name.clone()))
    };
    let mut found: Vec<_> = CLIPBOARD_KINDS.iter().filter_map(find).collect();
    if !found.iter().any(|(kind, _)| *kind == "image/png") {
        found.retain(|(kind, _)| !kind.starts_with("image/"));
    }
    found
}

/// The names to offer a kind by; none for one that is not known.
pub(crate) fn offered_as(kind: &str) -> &'static [&'static str] {
    let Some(kind) = CLIPBOARD_KINDS.iter().find(|known| **known == kind) else { return &[] };
    read_as(kind)
}

/// The kind that a program means by `name`.
pub(crate) fn meant_by(name: &str) -> Option<&'static str> {
    CLIPBOARD_KINDS.into_iter().find(|kind| read_as(kind).iter().any(|alias| name.eq_ignore_ascii_case(alias)))
}

/// The names of a kind, best first. X11's `STRING` is not among those of text: it is Latin-1.
fn read_as(kind: &'static str) -> &'static [&'static str] {
    match kind {
        "text/plain;charset=utf-8" => &["text/plain;charset=utf-8", "UTF8_STRING", "text/plain"],
        "text/html" => &["text/html"],
        "text/rtf" => &["text/rtf", "application/rtf", "text/richtext"],
        "image/png" => &["image/png"],
        "image/jpeg" => &["image/jpeg"],
        "image/gif" => &["image/gif"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(names: &[&str]) -> Vec<(&'static str, String)> {
        on_the_wire(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_kind_is_found_by_its_best_name() {
        let text = |name: &str| vec![("text/plain;charset=utf-8", name.to_owned())];
        assert_eq!(wire(&["STRING", "text/plain", "UTF8_STRING"]), text("UTF8_STRING"));
        assert_eq!(wire(&["text/plain;charset=UTF-8", "UTF8_STRING"]), text("text/plain;charset=UTF-8"));
        assert_eq!(wire(&["STRING", "TARGETS", "text/uri-list"]), []);
        for kind in CLIPBOARD_KINDS {
            assert!(offered_as(kind).contains(&kind));
            assert!(offered_as(kind).iter().all(|name| meant_by(name) == Some(kind)), "{kind}");
        }
        assert_eq!((offered_as("text/uri-list"), meant_by("STRING")), (&[][..], None));
    }

    #[test]
    fn other_pictures_cross_only_beside_png() {
        let kinds = |names: &[&str]| wire(names).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        assert_eq!(kinds(&["image/jpeg", "text/html"]), ["text/html"]);
        assert_eq!(kinds(&["image/jpeg", "image/png"]), ["image/png", "image/jpeg"]);
    }
}
