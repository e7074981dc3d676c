//! Bottles: the programs that people put into its library.

use std::path::{Path, PathBuf};

use super::{Caller, existing};
use crate::clean::id;
use crate::formats::yaml::{Yaml, parse_yaml};
use crate::look::Look;
use crate::{Roots, Title};

pub(super) fn scan(roots: &Roots, look: &mut Look) -> Vec<Title> {
    let places = [
        (roots.data.join("bottles"), Caller::Program("bottles-cli".to_owned())),
        (roots.flatpak(FLATPAK).join("data/bottles"), Caller::Flatpak(FLATPAK)),
    ];
    places.into_iter().flat_map(|(folder, caller)| installation(&folder, &caller, look)).collect()
}

fn installation(folder: &Path, caller: &Caller, look: &mut Look) -> Vec<Title> {
    let Some(library) = yaml(&folder.join("library.yml"), look) else { return Vec::new() };
    if library.map().is_empty() {
        return Vec::new();
    }
    // Bottles may be kept elsewhere.
    let elsewhere = yaml(&folder.join("data.yml"), look);
    let elsewhere = elsewhere.as_ref().and_then(|d| d.get("custom_bottles_path")).and_then(Yaml::text);
    let bottles = elsewhere.map(PathBuf::from).filter(|p| p.is_absolute()).unwrap_or_else(|| folder.join("bottles"));
    let title = |(key, entry): &(String, Yaml)| {
        let bottle = entry.get("bottle")?;
        let name = entry.get("name").and_then(Yaml::text)?;
        let bottle_name = bottle.get("name").and_then(Yaml::text)?;
        let arguments = ["run", "-b", bottle_name, "-p", name];
        let command = match caller {
            Caller::Flatpak(app) => {
                let head = ["flatpak", "run", "--command=bottles-cli", *app];
                crate::join(head.into_iter().chain(arguments))
            }
            Caller::Program(_) => caller.command(&arguments),
        };
        Some(Title {
            id: id("bottles", key),
            title: name.to_owned(),
            command,
            working_dir: None,
            cover: bottle.get("path").and_then(Yaml::text).and_then(|path| cover(&bottles, path, entry)),
            mark: None,
        })
    };
    library.map().iter().filter_map(title).collect()
}

/// `grid:NAME` is a file in the bottle's folder `grids`.
fn cover(bottles: &Path, bottle: &str, entry: &Yaml) -> Option<PathBuf> {
    let name = entry.get("thumbnail").and_then(Yaml::text)?.split_once(':')?.1;
    let inside = |part: &str| !part.is_empty() && !part.contains('/') && !matches!(part, "." | "..");
    (inside(name) && inside(bottle)).then(|| bottles.join(bottle).join("grids").join(name)).and_then(existing)
}

fn yaml(path: &Path, look: &mut Look) -> Option<Yaml> {
    let text = look.text(path, MAX_YAML)?;
    parse_yaml(&text).map_err(|e| look.broken(path, e)).ok()
}

const FLATPAK: &str = "com.usebottles.bottles";
const MAX_YAML: u64 = 4 << 20;
