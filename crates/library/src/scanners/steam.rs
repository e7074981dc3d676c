//! Steam: `steamapps/appmanifest_*.acf` of every library folder, and `shortcuts.vdf` of every account.
//!
//! Covers: `appcache/librarycache`, as `570_library_600x900.jpg` (until 2024) or below `570/`, there maybe in a folder
//! named by a hash; and what people chose themselves in `userdata/*/config/grid`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Caller, existing};
use crate::clean::id;
use crate::formats::vdf::{Node, parse_binary, parse_text};
use crate::look::Look;
use crate::{Roots, Title};

pub(super) fn scan(roots: &Roots, look: &mut Look) -> Vec<Title> {
    let mut titles = Vec::new();
    for (root, caller) in installations(roots, look) {
        let mut covers = Covers::of(&root, look);
        for folder in library_folders(&root, look) {
            for name in look.names(&folder) {
                if name.starts_with("appmanifest_") && name.ends_with(".acf") {
                    titles.extend(manifest(&folder, &name, &caller, &mut covers, look));
                }
            }
        }
        for account in accounts(&root, look) {
            titles.extend(shortcuts(&account, &caller, &covers, look));
        }
    }
    titles
}

/// Every folder that holds a Steam, once, and how that Steam is called.
fn installations(roots: &Roots, look: &mut Look) -> Vec<(PathBuf, Caller)> {
    let flatpak = roots.flatpak("com.valvesoftware.Steam");
    let native = [
        roots.data.join("Steam"),
        roots.home.join(".local/share/Steam"),
        roots.home.join(".steam/steam"),
        roots.home.join(".steam/root"),
        roots.home.join(".steam/debian-installation"),
        roots.home.join("snap/steam/common/.local/share/Steam"),
    ]
    .map(|path| (path, Caller::Program("steam".to_owned())));
    let boxed = [flatpak.join(".local/share/Steam"), flatpak.join("data/Steam"), flatpak.join(".steam/steam")]
        .map(|path| (path, Caller::Flatpak("com.valvesoftware.Steam")));
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (path, caller) in native.into_iter().chain(boxed) {
        let steamapps = path.join("steamapps");
        match path.canonicalize() {
            Ok(real) if steamapps.is_dir() => {
                if seen.insert(real.clone()) {
                    found.push((real, caller));
                }
            }
            // It may come.
            _ => look.stamp(&steamapps),
        }
    }
    found
}

/// Every `steamapps` folder of an installation, once.
fn library_folders(root: &Path, look: &mut Look) -> Vec<PathBuf> {
    let own = root.join("steamapps");
    let mut folders = vec![own.clone()];
    let file = own.join("libraryfolders.vdf");
    if let Some(list) =
        look.text(&file, MAX_LIST).and_then(|text| parse_text(&text).map_err(|e| look.broken(&file, e)).ok())
    {
        for (_, folder) in list.get("libraryfolders").map(Node::map).unwrap_or_default() {
            // Until 2021 the path alone.
            let path = folder.get("path").and_then(Node::text).or_else(|| folder.text());
            let path = path.map(Path::new).filter(|p| p.is_absolute());
            folders.extend(path.map(|p| p.join("steamapps")));
        }
    }
    let mut seen = HashSet::new();
    folders.retain(|folder| folder.canonicalize().is_ok_and(|real| seen.insert(real)));
    folders.truncate(MAX_FOLDERS);
    folders
}

fn manifest(folder: &Path, name: &str, caller: &Caller, covers: &mut Covers, look: &mut Look) -> Option<Title> {
    let path = folder.join(name);
    let text = look.text(&path, MAX_MANIFEST)?;
    let node = parse_text(&text).map_err(|e| look.broken(&path, e)).ok()?;
    let app = node.get("AppState").filter(|app| app.get("appid").is_some());
    let Some(app) = app else {
        look.broken(&path, "no AppState");
        return None;
    };
    let number = app.get("appid").and_then(Node::number).filter(|n| (1..=u64::from(u32::MAX)).contains(n))?;
    let title = app.get("name").and_then(Node::text).unwrap_or_default().to_owned();
    let installed = app.get("StateFlags").and_then(Node::number).unwrap_or(0) & FULLY_INSTALLED != 0;
    let place = app.get("installdir").and_then(Node::text).filter(|dir| is_folder_name(dir));
    if !installed || is_tool(number, &title) || place.is_some_and(|dir| has_tool_manifest(folder, dir)) {
        return None;
    }
    let number = number.to_string();
    Some(Title {
        id: format!("steam:{number}"),
        title,
        command: caller.command(&["-silent", &format!("steam://rungameid/{number}")]),
        working_dir: None,
        cover: covers.of_app(&number, look),
        mark: Some(format!("SteamGameId={number}")),
    })
}

/// Proton, the Linux runtimes and what games share are installed like games.
fn is_tool(number: u64, title: &str) -> bool {
    TOOLS.contains(&number)
        || title.starts_with("Proton ")
        || title.starts_with("Steam Linux Runtime")
        || title.starts_with("Steamworks Common")
}

/// What Steam runs games with says so in its own folder.
fn has_tool_manifest(folder: &Path, dir: &str) -> bool {
    folder.join("common").join(dir).join("toolmanifest.vdf").is_file()
}

fn is_folder_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..")
}

fn accounts(root: &Path, look: &mut Look) -> Vec<PathBuf> {
    let userdata = root.join("userdata");
    let is_account = |name: &String| name.bytes().all(|b| b.is_ascii_digit()) && name != "0";
    look.names(&userdata).into_iter().filter(is_account).map(|name| userdata.join(name).join("config")).collect()
}

/// Games of elsewhere that people added to Steam.
fn shortcuts(account: &Path, caller: &Caller, covers: &Covers, look: &mut Look) -> Vec<Title> {
    let path = account.join("shortcuts.vdf");
    let Some(bytes) = look.bytes(&path, MAX_LIST) else { return Vec::new() };
    let Ok(node) = parse_binary(&bytes).map_err(|e| look.broken(&path, e)) else { return Vec::new() };
    let games = node.get("shortcuts").map(Node::map).unwrap_or_default();
    let title = |game: &Node| {
        // Written as a signed number.
        let app = game.get("appid").and_then(Node::number).and_then(|n| u32::try_from(n & 0xffff_ffff).ok())?;
        if app == 0 || game.get("IsHidden").and_then(Node::number) == Some(1) {
            return None;
        }
        let whole = u64::from(app) << 32 | SHORTCUT;
        Some(Title {
            id: id("steam:shortcut", &app.to_string()),
            title: game.get("AppName").and_then(Node::text).unwrap_or_default().to_owned(),
            command: caller.command(&["-silent", &format!("steam://rungameid/{whole}")]),
            working_dir: None,
            cover: covers.chosen(account, app),
            mark: Some(format!("SteamGameId={whole}")),
        })
    };
    games.iter().filter_map(|(_, game)| title(game)).collect()
}

/// What is in the cache of covers: looked at once, since asking for each would be thousands of questions.
struct Covers {
    cache: PathBuf,
    names: HashSet<String>,
    found: HashMap<String, Option<PathBuf>>,
}

impl Covers {
    fn of(root: &Path, look: &mut Look) -> Self {
        let cache = root.join("appcache/librarycache");
        Self { names: look.names(&cache).into_iter().collect(), cache, found: HashMap::new() }
    }

    fn of_app(&mut self, app: &str, look: &mut Look) -> Option<PathBuf> {
        if let Some(known) = self.found.get(app) {
            return known.clone();
        }
        let old = format!("{app}_library_600x900.jpg");
        let cover = if self.names.contains(app) { self.below(app, look) } else { None };
        let cover = cover.or_else(|| self.names.contains(&old).then(|| self.cache.join(old)));
        self.found.insert(app.to_owned(), cover.clone());
        cover
    }

    /// In the folder of an app, or in one of those in it.
    fn below(&self, app: &str, look: &mut Look) -> Option<PathBuf> {
        let folder = self.cache.join(app);
        let names = look.names(&folder);
        let here = COVERS.iter().find(|c| names.iter().any(|n| n == *c)).map(|c| folder.join(c));
        let folders = names.iter().filter(|n| !n.contains('.')).map(|n| folder.join(n));
        here.or_else(|| {
            let inside: Vec<_> = folders.collect();
            COVERS.iter().find_map(|c| inside.iter().find_map(|f| existing(f.join(c))))
        })
    }

    /// What people chose for a shortcut.
    fn chosen(&self, account: &Path, app: u32) -> Option<PathBuf> {
        ["png", "jpg", "jpeg", "webp"]
            .iter()
            .find_map(|ext| existing(account.join("grid").join(format!("{app}p.{ext}"))))
    }
}

/// Names of covers, the best first.
const COVERS: [&str; 4] =
    ["library_600x900.jpg", "library_capsule.jpg", "library_600x900_2x.jpg", "library_600x900.png"];
/// `EAppState`, StateFlags of an app manifest.
const FULLY_INSTALLED: u64 = 4;
/// The low half of a shortcut's game id (CGameID, type 2).
const SHORTCUT: u64 = 0x0200_0000;
/// Steamworks Common Redistributables, Steam Linux Runtimes, anti-cheat runtimes, and Proton's from before it had its
/// manifest; more is recognised by name and by `toolmanifest.vdf`.
const TOOLS: [u64; 20] = [
    228_980, 1_070_560, 1_391_110, 1_628_350, 4_183_110, 1_826_330, 1_161_040, 858_280, 930_400, 961_940, 996_510,
    1_054_830, 1_113_280, 1_245_040, 1_420_170, 1_580_130, 1_493_710, 1_887_720, 2_180_100, 2_348_590,
];
const MAX_LIST: u64 = 16 << 20;
const MAX_MANIFEST: u64 = 1 << 20;
const MAX_FOLDERS: usize = 64;
