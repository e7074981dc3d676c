//! `import-sunshine`: a configuration of ours out of `sunshine.conf` and `apps.json`. Every key becomes one of ours or is
//! named as left out, with the reason; `docs/sunshine.md` has the table.

mod apps;
mod conf;
mod keys;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use punktfunk_hub::state::write_atomically;
use punktfunk_media::reason;
use toml::{Table, Value};

use crate::config;
use crate::exit::{Failure, USAGE};
use crate::paths::Paths;

/// What became of a file of Sunshine's.
#[derive(Debug, Default)]
pub struct Imported {
    /// Our configuration.
    pub config: Table,
    /// What was left out: where, and why.
    pub left_out: Vec<(String, String)>,
}

impl Imported {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        let Some((area, name)) = key.split_once('.') else { return };
        let table = self.config.entry(area).or_insert_with(|| Table::new().into());
        if let Value::Table(table) = table {
            table.insert(name.to_owned(), value.into());
        }
    }

    fn leave_out(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.left_out.push((what.into(), why.into()));
    }
}

/// Runs `import-sunshine`.
///
/// # Errors
/// Sunshine's files cannot be read, ours exists already or cannot be written, or what came out is no configuration.
pub fn run(from: Option<&Path>, output: Option<&Path>, dry_run: bool, paths: &Paths) -> Result<(), Failure> {
    let folder = from.map_or_else(|| sunshine_folder(paths), Path::to_owned);
    let imported = import(&folder)?;
    let text = text(&imported, &folder)?;
    for (what, why) in &imported.left_out {
        eprintln!("left out: {what}: {why}");
    }
    if dry_run {
        print!("{text}");
        return Ok(());
    }
    let path = output.map_or_else(|| paths.config.join("config.toml"), Path::to_owned);
    if path.exists() {
        let detail = format!("{} exists; look with --dry-run, or name another file with --output", path.display());
        return Err(Failure::new(&reason::IMPORT_EXISTS, detail).with_code(USAGE));
    }
    let unwritable = |e: std::io::Error| Failure::new(&reason::IMPORT_UNWRITABLE, format!("{}: {e}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(unwritable)?;
    }
    write_atomically(&path, text.as_bytes()).map_err(unwritable)?;
    println!("{}", path.display());
    Ok(())
}

/// Reads Sunshine's files.
///
/// # Errors
/// There are none, or they are not what Sunshine writes.
pub fn import(folder: &Path) -> Result<Imported, Failure> {
    let unreadable = |path: &Path, why: String| {
        Failure::new(&reason::IMPORT_UNREADABLE, format!("{}: {why}", path.display())).with_code(USAGE)
    };
    let conf = folder.join("sunshine.conf");
    let settings = match read(&conf) {
        Ok(text) => conf::parse(&text),
        // Sunshine needs none.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(unreadable(&conf, e.to_string())),
    };
    let named = settings.iter().find(|(key, _)| key == "file_apps").map(|(_, value)| folder.join(value));
    let list = named.unwrap_or_else(|| folder.join("apps.json"));
    let list_text = match read(&list) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(unreadable(&list, e.to_string())),
    };
    if settings.is_empty() && list_text.is_none() {
        return Err(unreadable(folder, "neither sunshine.conf nor apps.json is there".to_owned()));
    }
    let mut imported = Imported::default();
    keys::apply(&settings, &mut imported);
    if let Some(text) = list_text {
        apps::apply(&text, folder, &mut imported).map_err(|why| unreadable(&list, why))?;
    }
    Ok(imported)
}

/// Our file, checked by reading it.
fn text(imported: &Imported, folder: &Path) -> Result<String, Failure> {
    let internal = |detail: String| Failure::new(&reason::INTERNAL_PANIC, detail);
    let mut text = format!("# Imported from {}.\n", folder.display().to_string().replace(char::is_control, " "));
    for (what, why) in &imported.left_out {
        let line = format!("left out: {what}: {why}").replace(char::is_control, " ");
        text += &format!("# {line}\n");
    }
    text += "\n";
    text += &toml::to_string_pretty(&imported.config).map_err(|e| internal(e.to_string()))?;
    config::check(&text, &folder.join("config.toml"))?;
    Ok(text)
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_FILE {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("more than {MAX_FILE} bytes")));
    }
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// Where Sunshine keeps its files, natively or as a Flatpak.
fn sunshine_folder(paths: &Paths) -> PathBuf {
    let native = paths.config.parent().map(|config| config.join("sunshine")).unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let boxed = home.join(".var/app/dev.lizardbyte.app.Sunshine/config/sunshine");
    if !native.is_dir() && boxed.is_dir() { boxed } else { native }
}

/// Lists of programs are some kilobytes.
const MAX_FILE: u64 = 4 << 20;
