//! itch: the caves (installations) of butler's database.

use std::path::Path;

use super::{Caller, existing};
use crate::clean::id;
use crate::formats::sqlite;
use crate::look::Look;
use crate::{Roots, Title};

pub(super) fn scan(roots: &Roots, look: &mut Look) -> Vec<Title> {
    // itch installs itself into the home folder, and is not in the path then.
    let own = existing(roots.home.join(".itch/itch")).map(|p| p.to_string_lossy().into_owned());
    let native = Caller::Program(own.unwrap_or_else(|| "itch".to_owned()));
    let places = [
        (roots.config.join("itch"), native),
        (roots.flatpak("io.itch.itch").join("config/itch"), Caller::Flatpak("io.itch.itch")),
    ];
    places.into_iter().flat_map(|(folder, caller)| installation(&folder, &caller, look)).collect()
}

fn installation(folder: &Path, caller: &Caller, look: &mut Look) -> Vec<Title> {
    let path = folder.join("db/butler.db");
    look.stamp(&path);
    look.stamp(&folder.join("db/butler.db-wal"));
    if !path.exists() {
        return Vec::new();
    }
    let query = "SELECT g.id, g.title, c.id FROM caves c JOIN games g ON g.id = c.game_id ORDER BY g.id, c.id";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
    let Ok(rows) = sqlite::rows(&path, query, row).map_err(|e| look.broken(&path, e)) else { return Vec::new() };
    let title = |(game, title, cave): (i64, String, String)| Title {
        id: id("itch", &game.to_string()),
        title,
        command: caller.command(&[&format!("itch://caves/{cave}/launch")]),
        working_dir: None,
        cover: None,
        mark: None,
    };
    rows.into_iter().map(title).collect()
}
