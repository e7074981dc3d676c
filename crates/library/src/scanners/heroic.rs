//! Heroic: what is installed, by the store's own tool (legendary, gogdl, nile), and the names by Heroic's cache.
//!
//! Covers are files named by the SHA-256 of the address that they came from.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Caller, existing};
use crate::clean::id;
use crate::look::Look;
use crate::{Roots, Title};

pub(super) fn scan(roots: &Roots, look: &mut Look) -> Vec<Title> {
    let boxed = roots.flatpak(FLATPAK).join("config");
    let places = [
        (roots.config.join("heroic"), roots.config.clone(), Caller::Program("heroic".to_owned())),
        (boxed.join("heroic"), boxed, Caller::Flatpak(FLATPAK)),
    ];
    let mut titles = Vec::new();
    for (folder, config, caller) in places {
        if folder.is_dir() {
            titles.extend(installation(&folder, &config, &caller, look));
        } else {
            look.stamp(&folder);
        }
    }
    titles
}

fn installation(folder: &Path, config: &Path, caller: &Caller, look: &mut Look) -> Vec<Title> {
    let cache = folder.join("store_cache");
    let mut titles = Vec::new();

    // Before Heroic 2.9 legendary had its folder beside Heroic's.
    let epic = [folder.join("legendaryConfig/legendary"), config.join("legendary")];
    let installed = epic.iter().find_map(|f| look.json(&f.join("installed.json")));
    let games = installed.as_ref().and_then(Value::as_object).into_iter().flatten();
    let games: Vec<_> = games.filter(|(_, game)| game["is_dlc"] != true).collect();
    let known = known(&cache.join("legendary_library.json"), "library", !games.is_empty(), look);
    for (name, game) in games {
        let fallback = game["title"].as_str().unwrap_or(name);
        titles.push(title("epic", "legendary", name, known.get(name.as_str()), fallback, folder, caller));
    }

    let gog = look.json(&folder.join("gog_store/installed.json"));
    let games = gog.as_ref().and_then(|g| g["installed"].as_array()).into_iter().flatten();
    let games: Vec<_> = games.filter(|game| game["is_dlc"] != true).filter_map(|g| g["appName"].as_str()).collect();
    let known = self::known(&cache.join("gog_library.json"), "games", !games.is_empty(), look);
    titles.extend(games.iter().map(|name| title("gog", "gog", name, known.get(*name), name, folder, caller)));

    let amazon = look.json(&folder.join("nile_config/nile/installed.json"));
    let games: Vec<_> =
        amazon.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(|g| g["id"].as_str()).collect();
    let known = self::known(&cache.join("nile_library.json"), "library", !games.is_empty(), look);
    titles.extend(games.iter().map(|name| title("amazon", "nile", name, known.get(*name), name, folder, caller)));

    let own = self::known(&folder.join("sideload_apps/library.json"), "games", true, look);
    let mut own: Vec<_> = own.iter().filter(|(_, game)| game["is_installed"] != false).collect();
    own.sort_by_key(|(name, _)| name.as_str());
    titles.extend(
        own.into_iter().map(|(name, game)| title("sideload", "sideload", name, Some(game), name, folder, caller)),
    );
    titles
}

/// What Heroic knows about games, by their name in the store.
fn known(path: &Path, list: &str, wanted: bool, look: &mut Look) -> HashMap<String, Value> {
    let Some(mut file) = wanted.then(|| look.json(path)).flatten() else { return HashMap::new() };
    let Some(Value::Array(games)) = file.get_mut(list).map(Value::take) else { return HashMap::new() };
    games.into_iter().filter_map(|game| Some((game["app_name"].as_str()?.to_owned(), game))).collect()
}

fn title(
    store: &str,
    runner: &str,
    name: &str,
    known: Option<&Value>,
    fallback: &str,
    folder: &Path,
    caller: &Caller,
) -> Title {
    let text = |key: &str| known.and_then(|k| k[key].as_str()).filter(|t| !t.is_empty());
    let address = format!("heroic://launch?appName={}&runner={runner}", escape(name));
    Title {
        id: id(&format!("heroic:{store}"), name),
        title: text("title").unwrap_or(fallback).to_owned(),
        command: caller.command(&["--no-gui", &address]),
        working_dir: None,
        cover: text("art_square").or_else(|| text("art_cover")).and_then(|art| cover(folder, art)),
        mark: Some(format!("HEROIC_APP_NAME={name}")).filter(|m| !m.contains(['\n', '\0'])),
    }
}

/// What a query of an address cannot hold as it is (RFC 3986, §2.3).
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn cover(folder: &Path, art: &str) -> Option<PathBuf> {
    // Its grid asks for small pictures, its pages for the whole ones.
    [format!("{art}?h=400&resize=1&w=300"), art.to_owned()].iter().find_map(|address| {
        let name = Sha256::digest(address.as_bytes()).iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        existing(folder.join("images-cache").join(name))
    })
}

const FLATPAK: &str = "com.heroicgameslauncher.hgl";
