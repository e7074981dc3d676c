//! Lutris: the table `games` of its database.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Caller, existing};
use crate::clean::id;
use crate::formats::sqlite;
use crate::look::Look;
use crate::{Roots, Title};

struct Game {
    number: i64,
    name: String,
    slug: String,
}

pub(super) fn scan(roots: &Roots, look: &mut Look) -> Vec<Title> {
    let boxed = roots.flatpak("net.lutris.Lutris");
    let places = [
        (roots.data.join("lutris"), roots.cache.join("lutris"), Caller::Program("lutris".to_owned())),
        (boxed.join("data/lutris"), boxed.join("cache/lutris"), Caller::Flatpak("net.lutris.Lutris")),
    ];
    places.into_iter().flat_map(|(data, cache, caller)| installation(&data, &cache, &caller, look)).collect()
}

fn installation(data: &Path, cache: &Path, caller: &Caller, look: &mut Look) -> Vec<Title> {
    let path = data.join("pga.db");
    look.stamp(&path);
    look.stamp(&data.join("pga.db-wal"));
    if !path.exists() {
        return Vec::new();
    }
    // Steam's own games are Steam's. A game is hidden by a category of this name, which older releases do not have.
    let read = |hidden: &str| {
        let query = format!(
            "SELECT g.id, g.name, g.slug FROM games g WHERE g.installed = 1 AND g.name IS NOT NULL \
             AND coalesce(g.runner, '') <> 'steam' {hidden} ORDER BY g.id"
        );
        sqlite::rows(&path, &query, |row| {
            let slug: Option<String> = row.get(2)?;
            Ok(Game { number: row.get(0)?, name: row.get(1)?, slug: slug.unwrap_or_default() })
        })
    };
    let games = read(NOT_HIDDEN).or_else(|_| read(""));
    let Ok(games) = games.map_err(|e| look.broken(&path, e)) else { return Vec::new() };
    let covers: Vec<PathBuf> = [data, cache].map(|f| f.join("coverart")).to_vec();
    let mut slugs = HashSet::new();
    let title = |game: Game| {
        let number = game.number.to_string();
        // The same game may be there twice, as different editions.
        let name = if game.slug.is_empty() || !slugs.insert(game.slug.clone()) {
            format!("{}:{number}", game.slug)
        } else {
            game.slug.clone()
        };
        let is_name = !game.slug.contains('/') && !game.slug.is_empty();
        let cover = |ext: &str| covers.iter().find_map(|f| existing(f.join(format!("{}.{ext}", game.slug))));
        Title {
            id: id("lutris", name.trim_start_matches(':')),
            title: game.name.clone(),
            command: caller.command(&[&format!("lutris:rungameid/{number}")]),
            working_dir: None,
            cover: is_name.then(|| cover("jpg").or_else(|| cover("png"))).flatten(),
            mark: None,
        }
    };
    games.into_iter().map(title).collect()
}

const NOT_HIDDEN: &str = "AND g.id NOT IN (SELECT gc.game_id FROM games_categories gc JOIN categories c \
                          ON c.id = gc.category_id WHERE c.name = '.hidden')";
