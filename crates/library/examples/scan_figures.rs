//! Prints how long scans take. Nothing here is a test: it measures and prints.
//!
//! ```text
//! cargo run --release -p punktfunk-library --example scan_figures -- [titles]
//! ```
//!
//! It makes a home folder with that many titles (5 000 unless told) spread over all stores, with covers, and scans it: cold
//! as far as a process can make it (the first scan of a fresh process; the files are in the page cache, since they were just
//! written), warm, and the question whether anything changed.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use punktfunk_library::{Roots, Scan, Scanner};
use rusqlite::Connection;

const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let titles: usize = std::env::args().nth(1).map_or(Ok(5000), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    fill(dir.path(), titles)?;
    let roots = Roots::below(dir.path());
    println!("{titles} titles, {ROUNDS} rounds; ms");
    println!("| scanner | found | first | median | worst | unchanged? |");
    println!("|---|---|---|---|---|---|");
    let mut sums = [Duration::ZERO; 4];
    let mut all = 0;
    for scanner in Scanner::ALL {
        let (first, scan) = timed(|| scanner.scan(&roots));
        let mut again: Vec<Duration> = (0..ROUNDS).map(|_| timed(|| scanner.scan(&roots)).0).collect();
        again.sort();
        let mut checks: Vec<Duration> = (0..ROUNDS).map(|_| timed(|| assert!(scan.is_current())).0).collect();
        checks.sort();
        let row = [first, again[ROUNDS / 2], again[ROUNDS - 1], checks[ROUNDS / 2]];
        all += print(scanner.name(), scan.titles.len(), &row, &scan);
        sums.iter_mut().zip(row).for_each(|(sum, time)| *sum += time);
    }
    print("all", all, &sums, &Scan::default());
    Ok(())
}

fn print(name: &str, found: usize, times: &[Duration; 4], scan: &Scan) -> usize {
    let cells: Vec<String> = times.iter().map(|t| format!("{:.1}", t.as_secs_f64() * 1e3)).collect();
    println!("| {name} | {found} | {} |", cells.join(" | "));
    scan.problems.iter().for_each(|p| println!("{}: {} {}", p.reason.code, p.path.display(), p.detail));
    found
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let out = work();
    (started.elapsed(), out)
}

fn write(path: PathBuf, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)
}

/// Half of the titles are Steam's, the rest is spread evenly.
fn fill(home: &Path, titles: usize) -> Result<(), Box<dyn Error>> {
    let steam = home.join(".local/share/Steam");
    let each = titles / 14;
    for n in 1..=titles - 7 * each {
        let text = format!(
            "\"AppState\"\n{{\n\t\"appid\"\t\"{n}\"\n\t\"universe\"\t\"1\"\n\t\"name\"\t\"Game number {n}\"\n\t\"StateFlags\"\t\"4\"\n\
             \t\"installdir\"\t\"Game {n}\"\n\t\"LastUpdated\"\t\"1700000000\"\n\t\"SizeOnDisk\"\t\"123456789\"\n\t\"buildid\"\t\"1\"\n\
             \t\"InstalledDepots\"\n\t{{\n\t\t\"{n}1\"\n\t\t{{\n\t\t\t\"manifest\"\t\"1234567890123456789\"\n\t\t\t\"size\"\t\"1\"\n\t\t}}\n\t}}\n}}\n"
        );
        write(steam.join(format!("steamapps/appmanifest_{n}.acf")), &text)?;
        // A third each: old layout, new layout, none.
        match n % 3 {
            0 => write(steam.join(format!("appcache/librarycache/{n}_library_600x900.jpg")), "x")?,
            1 => write(steam.join(format!("appcache/librarycache/{n}/0123456789abcdef/library_600x900.jpg")), "x")?,
            _ => {}
        }
    }
    let (mut installed, mut known) = (String::new(), String::new());
    let (mut library, mut items) = (String::new(), String::new());
    let (mut lutris, mut itch) = (LUTRIS.to_owned(), ITCH.to_owned());
    for n in 0..each {
        let comma = if n == 0 { "" } else { "," };
        write!(
            installed,
            "{comma}\"App{n}\": {{\"title\": \"Epic {n}\", \"is_dlc\": false, \"install_path\": \"/games/{n}\"}}"
        )?;
        write!(
            known,
            "{comma}{{\"app_name\": \"App{n}\", \"title\": \"Epic {n}\", \"art_square\": \"https://example.org/{n}.jpg\"}}"
        )?;
        write!(
            library,
            "id{n}:\n  bottle:\n    name: B\n    path: B\n  name: Bottled {n}\n  thumbnail: grid:{n}.png\n"
        )?;
        let rom = home.join(format!("roms/{n}.sfc"));
        write(rom.clone(), "x")?;
        write!(
            items,
            "{comma}{{\"path\": \"{}\", \"label\": \"Rom {n}\", \"core_path\": \"/core.so\"}}",
            rom.display()
        )?;
        write!(lutris, "INSERT INTO games VALUES ({n}, 'Lutris {n}', 'slug-{n}', 'wine', 1);")?;
        write!(itch, "INSERT INTO games VALUES ({n}, 'Itch {n}'); INSERT INTO caves VALUES ('c{n}', {n});")?;
        let entry = format!("[Desktop Entry]\nType=Application\nName=Desk {n}\nExec=game {n}\nCategories=Game;\n");
        write(home.join(format!("usr/share/applications/desk{n}.desktop")), &entry)?;
        let boxed = entry.replace("Name=Desk", "Name=Flat") + &format!("X-Flatpak=org.flat.App{n}\n");
        write(home.join(format!("usr/share/applications/org.flat.App{n}.desktop")), &boxed)?;
    }
    let heroic = home.join(".config/heroic");
    write(heroic.join("legendaryConfig/legendary/installed.json"), &format!("{{{installed}}}"))?;
    write(heroic.join("store_cache/legendary_library.json"), &format!("{{\"library\": [{known}]}}"))?;
    write(home.join(".local/share/bottles/library.yml"), &library)?;
    write(home.join(".config/retroarch/playlists/SNES.lpl"), &format!("{{\"items\": [{items}]}}"))?;
    for (path, sql) in [(".local/share/lutris/pga.db", lutris), (".config/itch/db/butler.db", itch)] {
        let path = home.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        Connection::open(path)?.execute_batch(&format!("BEGIN; {sql} COMMIT;"))?;
    }
    write(home.join("usr/bin/game"), "#!/bin/sh\n")?;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(home.join("usr/bin/game"), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

const LUTRIS: &str =
    "CREATE TABLE games (id INTEGER PRIMARY KEY, name TEXT, slug TEXT, runner TEXT, installed INTEGER);";
const ITCH: &str =
    "CREATE TABLE games (id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE caves (id TEXT, game_id INTEGER);";
