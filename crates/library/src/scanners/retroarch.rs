//! RetroArch: the entries of playlists that name a core.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Caller, existing};
use crate::clean::{hash, id};
use crate::look::Look;
use crate::{Roots, Title};

struct Entry {
    path: String,
    label: String,
    core: String,
}

pub(super) fn scan(roots: &Roots, look: &mut Look) -> Vec<Title> {
    let places = [
        (roots.config.join("retroarch"), Caller::Program("retroarch".to_owned())),
        (roots.flatpak(FLATPAK).join("config/retroarch"), Caller::Flatpak(FLATPAK)),
    ];
    places.into_iter().flat_map(|(folder, caller)| installation(&folder, &caller, look)).collect()
}

fn installation(folder: &Path, caller: &Caller, look: &mut Look) -> Vec<Title> {
    let playlists = folder.join("playlists");
    let mut titles = Vec::new();
    for name in look.names(&playlists) {
        let Some(system) = name.strip_suffix(".lpl") else { continue };
        // What was played is in a system's list, too.
        if system.starts_with("content_") {
            continue;
        }
        let path = playlists.join(&name);
        let Some(text) = look.text(&path, crate::look::MAX_FILE) else { continue };
        let entries = match entries(&text) {
            Ok(entries) => entries,
            Err(e) => {
                look.broken(&path, e);
                continue;
            }
        };
        let mut covers = None;
        for entry in entries {
            // In an archive: `file.zip#game.rom`.
            let file = entry.path.split_once('#').map_or(entry.path.as_str(), |(archive, _)| archive);
            if !Path::new(file).is_absolute() || !Path::new(file).exists() {
                continue;
            }
            let covers = covers.get_or_insert_with(|| Covers::of(folder, system, look));
            titles.push(Title {
                id: id("retroarch", &format!("{:016x}", hash(&entry.path))),
                command: caller.command(&["-L", &entry.core, &entry.path]),
                cover: covers.of_label(&entry.label),
                title: entry.label,
                working_dir: None,
                mark: None,
            });
        }
    }
    titles
}

/// Every entry that can be started.
fn entries(text: &str) -> Result<Vec<Entry>, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(old_entries(text));
    }
    let file: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let default = file["default_core_path"].as_str().unwrap_or_default();
    let entry = |item: &Value| {
        let path = item["path"].as_str()?.to_owned();
        let core =
            [item["core_path"].as_str().unwrap_or_default(), default].into_iter().find(|c| is_core(c))?.to_owned();
        let label = item["label"].as_str().filter(|l| !l.is_empty()).map_or_else(|| stem(&path), str::to_owned);
        Some(Entry { path, label, core })
    };
    Ok(file["items"].as_array().ok_or("no items")?.iter().filter_map(entry).collect())
}

/// Six lines each: path, label, path of the core, its name, checksum, playlist. Until RetroArch 1.7.6.
fn old_entries(text: &str) -> Vec<Entry> {
    let lines: Vec<&str> = text.lines().collect();
    let entry = |lines: &[&str]| {
        let [path, label, core, ..] = lines else { return None };
        let label = if label.is_empty() { stem(path) } else { (*label).to_owned() };
        is_core(core).then(|| Entry { path: (*path).to_owned(), label, core: (*core).to_owned() })
    };
    lines.chunks_exact(6).filter_map(entry).collect()
}

fn is_core(path: &str) -> bool {
    !path.is_empty() && path != "DETECT" && Path::new(path).is_absolute()
}

fn stem(path: &str) -> String {
    let path = path.rsplit_once('#').map_or(path, |(_, inside)| inside);
    Path::new(path).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The box arts of one playlist.
struct Covers {
    folder: PathBuf,
    names: std::collections::HashSet<String>,
}

impl Covers {
    fn of(folder: &Path, system: &str, look: &mut Look) -> Self {
        let folder = folder.join("thumbnails").join(system).join("Named_Boxarts");
        Self { names: look.names(&folder).into_iter().collect(), folder }
    }

    fn of_label(&self, label: &str) -> Option<PathBuf> {
        // libretro documentation, "Thumbnails": what no file system likes becomes an underscore.
        let name = format!("{}.png", label.replace(|c: char| "&*/:`<>?\\|\"".contains(c), "_"));
        self.names.contains(&name).then(|| self.folder.join(name)).and_then(existing)
    }
}

const FLATPAK: &str = "org.libretro.RetroArch";
