//! Games with a `.desktop` file; those that Flatpak exports are the Flatpak scanner's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::clean::id;
use crate::formats::desktop_entry::DesktopEntry;
use crate::look::Look;
use crate::{Roots, Title, join};

pub(super) fn scan(roots: &Roots, look: &mut Look, flatpaks: bool) -> Vec<Title> {
    // For everybody it is among the data folders.
    let exported = roots.data.join("flatpak/exports/share");
    let folders = std::iter::once(&roots.data).chain(&roots.data_dirs).chain([&exported]);
    let mut seen = HashSet::new();
    let mut titles = Vec::new();
    for folder in folders.map(|f| f.join("applications")) {
        for (name, path) in entries(&folder, look) {
            // The first folder that has it decides, also where it says that it is hidden.
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(entry) = look.text(&path, MAX_ENTRY).and_then(|text| DesktopEntry::parse(&text)) else { continue };
            let title = game(&name, &path, &entry, roots, flatpaks);
            titles.extend(title.map(|title| Title {
                cover: entry.text("Icon").and_then(|icon| picture(&icon, roots, &exported)),
                ..title
            }));
        }
    }
    titles
}

/// Desktop file ids and their files, also of folders in it.
fn entries(folder: &Path, look: &mut Look) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), folder.to_owned(), 0)];
    while let Some((prefix, folder, depth)) = folders.pop() {
        for name in look.names(&folder) {
            let path = folder.join(&name);
            match name.strip_suffix(".desktop") {
                Some(stem) => found.push((format!("{prefix}{stem}"), path)),
                None if depth < MAX_DEPTH && !name.contains('.') && path.is_dir() => {
                    folders.push((format!("{prefix}{name}-"), path, depth + 1));
                }
                None => {}
            }
        }
    }
    found
}

fn game(name: &str, path: &Path, entry: &DesktopEntry, roots: &Roots, flatpaks: bool) -> Option<Title> {
    let app = entry.text("X-Flatpak").filter(|app| !app.is_empty());
    let shown = entry.raw("Type") == Some("Application") && !entry.is("NoDisplay") && !entry.is("Hidden");
    if !shown || !entry.has("Categories", "Game") || app.is_some() != flatpaks {
        return None;
    }
    if entry.text("TryExec").is_some_and(|program| !program.is_empty() && !roots.has_program(&program)) {
        return None;
    }
    let words = entry.words(&path.to_string_lossy())?;
    if !roots.has_program(&words[0]) || is_a_stores(&words) {
        return None;
    }
    let command = join(words.iter().map(String::as_str));
    Some(Title {
        id: app.map_or_else(|| id("desktop", name), |app| id("flatpak", &app)),
        title: entry.text("Name").unwrap_or_default(),
        command: if entry.is("Terminal") { format!("{TERMINAL} {command}") } else { command },
        working_dir: entry.text("Path").map(PathBuf::from).filter(|p| p.is_absolute()),
        cover: None,
        mark: None,
    })
}

/// The icon as a picture, the largest there is: a file, or one of the theme `hicolor`, which every program installs (Icon Theme
/// Specification 0.13). Drawings (SVG) are none: nothing here draws them.
fn picture(icon: &str, roots: &Roots, exported: &Path) -> Option<PathBuf> {
    let exists = |path: PathBuf| path.is_file().then_some(path);
    if icon.starts_with('/') {
        let path = PathBuf::from(icon);
        return if is_picture(&path) { exists(path) } else { None };
    }
    if icon.is_empty() || icon.contains('/') {
        return None;
    }
    let name = if is_picture(Path::new(icon)) { icon.rsplit_once('.')?.0 } else { icon };
    let folders =
        || std::iter::once(roots.data.as_path()).chain(roots.data_dirs.iter().map(PathBuf::as_path)).chain([exported]);
    let themed = |size: &str| {
        folders().find_map(|folder| exists(folder.join(format!("icons/hicolor/{size}x{size}/apps/{name}.png"))))
    };
    ICON_SIZES.iter().find_map(|size| themed(size)).or_else(|| {
        // Where icons were before there were themes.
        folders().find_map(|folder| exists(folder.join(format!("pixmaps/{name}.png"))))
    })
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["png", "jpg", "jpeg", "webp"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Stores make such files for their games; their own scanners know more about those.
fn is_a_stores(words: &[String]) -> bool {
    let of_store = |word: &String| {
        ["steam://rungameid/", "heroic://launch", "lutris:rungame", "itch://", "bottles:run"]
            .iter()
            .any(|s| word.starts_with(s))
    };
    words.iter().any(of_store) || words.iter().any(|w| w == "bottles-cli") || words.iter().any(|w| w == "-applaunch")
}

/// What programs install, down to what is still recognised on a television.
const ICON_SIZES: [&str; 6] = ["512", "256", "192", "128", "96", "64"];
/// What private desktops have.
const TERMINAL: &str = "foot";
const MAX_ENTRY: u64 = 1 << 20;
const MAX_DEPTH: usize = 4;
