//! Every other store, as it is on disks; each also broken.

mod common;

use common::{Home, codes, found, title};
use punktfunk_library::Scanner;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

#[test]
fn heroic_knows_three_stores_and_what_people_added() {
    let home = Home::new();
    let at = ".config/heroic";
    home.write(
        &format!("{at}/legendaryConfig/legendary/installed.json"),
        r#"{"Quail": {"app_name": "Quail", "title": "quail build", "is_dlc": false}, "Extra": {"title": "More", "is_dlc": true}, "Old one": {"title": "Old"}}"#,
    );
    home.write(
        &format!("{at}/store_cache/legendary_library.json"),
        r#"{"library": [{"app_name": "Quail", "title": "Quail: The Game", "art_square": "https://cdn.example/q.jpg"}, {"app_name": "NotInstalled", "title": "N"}, 7]}"#,
    );
    home.write(
        &format!("{at}/gog_store/installed.json"),
        r#"{"installed": [{"appName": "1207658924", "platform": "linux"}, {"nothing": 1}]}"#,
    );
    home.write(
        &format!("{at}/store_cache/gog_library.json"),
        r#"{"games": [{"app_name": "1207658924", "title": "Beneath a Steel Sky"}]}"#,
    );
    home.write(&format!("{at}/nile_config/nile/installed.json"), r#"[{"id": "amzn1.adg.product.x", "path": "/g"}]"#);
    home.write(
        &format!("{at}/store_cache/nile_library.json"),
        r#"{"library": [{"app_name": "amzn1.adg.product.x", "title": "Amazing"}]}"#,
    );
    home.write(&format!("{at}/sideload_apps/library.json"), r#"{"games": [{"app_name": "s1", "title": "Mine", "is_installed": true}, {"app_name": "s2", "title": "Gone", "is_installed": false}]}"#);
    let name: String = Sha256::digest(b"https://cdn.example/q.jpg").iter().map(|b| format!("{b:02x}")).collect();
    let cover = home.write(&format!("{at}/images-cache/{name}"), "x");
    let scan = home.scan(Scanner::Heroic);
    assert_eq!(
        found(&scan),
        [
            "heroic:amazon:amzn1.adg.product.x Amazing",
            "heroic:gog:1207658924 Beneath a Steel Sky",
            "heroic:sideload:s1 Mine",
            &format!("heroic:epic:x{:016x} Old", fnv("Old one")),
            "heroic:epic:Quail Quail: The Game",
        ]
    );
    assert_eq!(codes(&scan), Vec::<&str>::new());
    let quail = title(&scan, "heroic:epic:Quail");
    assert_eq!(quail.command, "heroic --no-gui 'heroic://launch?appName=Quail&runner=legendary'");
    assert_eq!((quail.cover.as_ref(), quail.mark.as_deref()), (Some(&cover), Some("HEROIC_APP_NAME=Quail")));
    assert!(scan.titles.iter().any(|t| t.command.contains("appName=Old%20one&")));

    home.write(&format!("{at}/gog_store/installed.json"), "{");
    home.write(&format!("{at}/store_cache/legendary_library.json"), "[]");
    let broken = home.scan(Scanner::Heroic);
    assert_eq!((broken.titles.len(), codes(&broken)), (4, vec!["library.store_broken"]));
    assert_eq!(title(&broken, "heroic:epic:Quail").title, "quail build", "the store's own name, without Heroic's");
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn heroics_flatpak_is_called_as_one() {
    let home = Home::new();
    home.write(
        ".var/app/com.heroicgameslauncher.hgl/config/heroic/legendaryConfig/legendary/installed.json",
        r#"{"A": {"title": "A"}}"#,
    );
    let scan = home.scan(Scanner::Heroic);
    assert_eq!(
        title(&scan, "heroic:epic:A").command,
        "flatpak run com.heroicgameslauncher.hgl --no-gui 'heroic://launch?appName=A&runner=legendary'"
    );
}

const LUTRIS: &str = "CREATE TABLE games (id INTEGER PRIMARY KEY, name TEXT, slug TEXT, runner TEXT, installed INTEGER);
    INSERT INTO games VALUES (1, 'Braid', 'braid', 'linux', 1), (2, 'Not there', 'not-there', 'linux', 0),
      (3, 'Of Steam', 'of-steam', 'steam', 1), (4, 'Braid (again)', 'braid', 'wine', 1), (5, 'Secret', 'secret', 'wine', 1),
      (6, 'Sluggish', NULL, NULL, 1), (7, NULL, 'nameless', 'wine', 1);";
const CATEGORIES: &str = "CREATE TABLE categories (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE games_categories (game_id INTEGER, category_id INTEGER);
    INSERT INTO categories VALUES (1, 'favorite'), (2, '.hidden'); INSERT INTO games_categories VALUES (1, 1), (5, 2);";

fn database(path: &std::path::Path, sql: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    Connection::open(path).and_then(|db| db.execute_batch(sql)).expect("made");
}

#[test]
fn lutris_is_read_from_its_database() {
    let home = Home::new();
    let path = home.path(".local/share/lutris/pga.db");
    database(&path, &format!("{LUTRIS}{CATEGORIES}"));
    let cover = home.write(".cache/lutris/coverart/braid.jpg", "x");
    let scan = home.scan(Scanner::Lutris);
    assert_eq!(found(&scan), ["lutris:braid Braid", "lutris:braid:4 Braid (again)", "lutris:6 Sluggish"]);
    let braid = title(&scan, "lutris:braid");
    assert_eq!((braid.command.as_str(), braid.cover.as_ref()), ("lutris lutris:rungameid/1", Some(&cover)));
    assert!(scan.is_current());

    // A release that knows no categories.
    std::fs::remove_file(&path).expect("there");
    database(&path, LUTRIS);
    assert_eq!(home.scan(Scanner::Lutris).titles.len(), 4);

    home.write(".local/share/lutris/pga.db", "no database");
    let broken = home.scan(Scanner::Lutris);
    assert_eq!((broken.titles.len(), codes(&broken)), (0, vec!["library.store_broken"]));
    database(&home.path(".var/app/net.lutris.Lutris/data/lutris/pga.db"), LUTRIS);
    let both = home.scan(Scanner::Lutris);
    assert_eq!((both.titles.len(), codes(&both)), (4, vec!["library.store_broken"]), "the other one is read");
    assert!(both.titles[0].command.starts_with("flatpak run net.lutris.Lutris "));
}

#[test]
fn itch_is_read_from_butlers_database() {
    let home = Home::new();
    let path = home.path(".config/itch/db/butler.db");
    database(
        &path,
        "CREATE TABLE games (id INTEGER PRIMARY KEY, title TEXT, cover_url TEXT); CREATE TABLE caves (id TEXT, game_id INTEGER);
         INSERT INTO games VALUES (3, 'Celeste Classic', 'x'), (4, 'Only looked at', 'x');
         INSERT INTO caves VALUES ('8f1a-22', 3), ('8f1a-33', 99);",
    );
    let scan = home.scan(Scanner::Itch);
    assert_eq!(found(&scan), ["itch:3 Celeste Classic"]);
    assert_eq!(scan.titles[0].command, "itch itch://caves/8f1a-22/launch");
    let own = home.write(".itch/itch", "x");
    assert_eq!(home.scan(Scanner::Itch).titles[0].command, format!("{} itch://caves/8f1a-22/launch", own.display()));
    database(&home.path(".var/app/io.itch.itch/config/itch/db/butler.db"), "CREATE TABLE caves (x)");
    assert_eq!(codes(&home.scan(Scanner::Itch)), ["library.store_broken"]);
}

#[test]
fn bottles_is_read_from_its_library() {
    let home = Home::new();
    let at = ".var/app/com.usebottles.bottles/data/bottles";
    home.write(
        &format!("{at}/library.yml"),
        "a1b2:\n  bottle:\n    name: Games\n    path: Games\n  icon: com.usebottles.bottles\n  id: '7'\n  name: Don't Starve\n  thumbnail: grid:ds.png\n\
         c3:\n  bottle:\n    name: Games\n    path: ../..\n  name: Up\n  thumbnail: grid:../up.png\nd4:\n  name: No bottle\n",
    );
    let cover = home.write(&format!("{at}/bottles/Games/grids/ds.png"), "x");
    let scan = home.scan(Scanner::Bottles);
    assert_eq!(found(&scan), ["bottles:a1b2 Don't Starve", "bottles:c3 Up"]);
    let game = title(&scan, "bottles:a1b2");
    assert_eq!(
        game.command,
        "flatpak run --command=bottles-cli com.usebottles.bottles run -b Games -p 'Don'\\''t Starve'"
    );
    assert_eq!((game.cover.as_ref(), title(&scan, "bottles:c3").cover.as_ref()), (Some(&cover), None));
    home.write(".local/share/bottles/library.yml", "a: &x [*x, *x]");
    let broken = home.scan(Scanner::Bottles);
    assert_eq!((broken.titles.len(), codes(&broken)), (2, vec!["library.store_broken"]));
}

#[test]
fn retroarch_is_read_from_its_playlists() {
    let home = Home::new();
    let rom = home.write("roms/Zelda (USA).sfc", "x");
    let zip = home.write("roms/many.zip", "x");
    let at = ".config/retroarch";
    home.write(
        &format!("{at}/playlists/SNES.lpl"),
        serde_json::json!({"version": "1.5", "default_core_path": "/usr/lib/libretro/snes9x_libretro.so", "items": [
            {"path": rom, "label": "Zelda: A Link", "core_path": "DETECT", "core_name": "DETECT"},
            {"path": format!("{}#b.sfc", zip.display()), "label": "", "core_path": "/opt/other.so"},
            {"path": "/gone/x.sfc", "label": "Gone"}, {"label": "No path"}, 3]})
        .to_string(),
    );
    home.write(
        &format!("{at}/playlists/NoCore.lpl"),
        serde_json::json!({"items": [{"path": rom, "label": "x"}]}).to_string(),
    );
    home.write(
        &format!("{at}/playlists/Old.lpl"),
        format!("{}\nOld Zelda\n/opt/core.so\nSnes9x\n0|crc\nOld.lpl\n{}\ncut\n", zip.display(), zip.display()),
    );
    home.write(&format!("{at}/playlists/content_history.lpl"), "{\"items\": 7}");
    let cover = home.write(&format!("{at}/thumbnails/SNES/Named_Boxarts/Zelda_ A Link.png"), "x");
    let scan = home.scan(Scanner::RetroArch);
    let names: Vec<_> = scan.titles.iter().map(|t| t.title.as_str()).collect();
    assert_eq!(names, ["b", "Old Zelda", "Zelda: A Link"]);
    let zelda = &scan.titles[2];
    assert_eq!(zelda.command, format!("retroarch -L /usr/lib/libretro/snes9x_libretro.so '{}'", rom.display()));
    assert_eq!(zelda.cover.as_ref(), Some(&cover));
    home.write(&format!("{at}/playlists/Broken.lpl"), "{\"items\": 7}");
    assert_eq!(codes(&home.scan(Scanner::RetroArch)), ["library.store_broken"]);
}

#[test]
fn desktop_files_are_read_as_specified() {
    let home = Home::new();
    for program in ["supertux2", "nethack", "steam", "flatpak"] {
        home.program(program);
    }
    let game = |more: &str| format!("[Desktop Entry]\nType=Application\nCategories=Game;\n{more}\n");
    let system = "usr/share/applications";
    home.write(&format!("{system}/supertux2.desktop"), game("Name=SuperTux\nExec=supertux2 %f\nPath=/usr/share"));
    home.write(&format!("{system}/kde/nethack.desktop"), game("Name=NetHack\nExec=nethack \"a b\"\nTerminal=true"));
    home.write(&format!("{system}/hidden.desktop"), game("Name=H\nExec=supertux2\nHidden=true"));
    home.write(&format!("{system}/nodisplay.desktop"), game("Name=H\nExec=supertux2\nNoDisplay=true"));
    home.write(&format!("{system}/gone.desktop"), game("Name=G\nExec=gone"));
    home.write(&format!("{system}/try.desktop"), game("Name=T\nTryExec=/usr/bin/gone\nExec=supertux2"));
    home.write(&format!("{system}/of-steam.desktop"), game("Name=Dota 2\nExec=steam steam://rungameid/570"));
    home.write(&format!("{system}/editor.desktop"), game("Name=E\nExec=supertux2").replace("Game", "Utility"));
    home.write(&format!("{system}/broken.desktop"), [0xff; 64]);
    // Hidden by the user, for themselves.
    home.write(&format!("{system}/mine.desktop"), game("Name=Mine\nExec=supertux2"));
    home.write(".local/share/applications/mine.desktop", game("Name=Mine\nExec=supertux2\nHidden=true"));
    home.write(
        ".local/share/flatpak/exports/share/applications/org.tux.Kart.desktop",
        game("Name=<b>Kart</b>\nExec=flatpak run --branch=stable --command=kart org.tux.Kart @@u %U @@\nX-Flatpak=org.tux.Kart"),
    );
    let scan = home.scan(Scanner::Desktop);
    assert_eq!(found(&scan), ["desktop:kde-nethack NetHack", "desktop:supertux2 SuperTux"]);
    assert_eq!(title(&scan, "desktop:kde-nethack").command, "foot nethack 'a b'");
    let tux = title(&scan, "desktop:supertux2");
    assert_eq!((tux.command.as_str(), tux.working_dir.as_deref()), ("supertux2", Some("/usr/share".as_ref())));
    let scan = home.scan(Scanner::Flatpak);
    assert_eq!(found(&scan), ["flatpak:org.tux.Kart <b>Kart</b>"]);
    assert_eq!(scan.titles[0].command, "flatpak run --branch=stable --command=kart org.tux.Kart");
}

#[test]
fn the_largest_icon_that_is_a_picture_is_the_cover() {
    let home = Home::new();
    home.program("game");
    let entry = |name: &str, icon: &str| {
        let text =
            format!("[Desktop Entry]\nType=Application\nCategories=Game;\nName={name}\nExec=game\nIcon={icon}\n");
        home.write(&format!("usr/share/applications/{name}.desktop"), text);
    };
    for (name, icon) in [("themed", "themed"), ("own", "themed.png"), ("old", "old"), ("drawn", "drawn")] {
        entry(name, icon);
    }
    entry("file", &home.path("usr/share/art/cover.jpg").display().to_string());
    for (name, icon) in [("far", "../../../etc/secret"), ("other", "/etc/passwd"), ("none", "")] {
        entry(name, icon);
    }
    let picture = |path: &str| home.write(path, "picture");
    picture("usr/share/icons/hicolor/64x64/apps/themed.png");
    picture("usr/share/icons/hicolor/256x256/apps/themed.png");
    picture("usr/share/icons/hicolor/scalable/apps/drawn.svg");
    picture("usr/share/pixmaps/old.png");
    picture("usr/share/art/cover.jpg");
    let scan = home.scan(Scanner::Desktop);
    let cover = |name: &str| title(&scan, &format!("desktop:{name}")).cover.clone();
    for name in ["themed", "own"] {
        assert_eq!(cover(name), Some(home.path("usr/share/icons/hicolor/256x256/apps/themed.png")), "{name}");
    }
    assert_eq!(cover("old"), Some(home.path("usr/share/pixmaps/old.png")));
    assert_eq!(cover("file"), Some(home.path("usr/share/art/cover.jpg")));
    for name in ["drawn", "far", "other", "none"] {
        assert_eq!(cover(name), None, "{name}");
    }
    // Flatpak exports icons beside its entries.
    let exports = ".local/share/flatpak/exports/share";
    home.write(&format!("{exports}/icons/hicolor/128x128/apps/org.a.B.png"), "picture");
    home.write(
        &format!("{exports}/applications/org.a.B.desktop"),
        "[Desktop Entry]\nType=Application\nCategories=Game;\nName=B\nExec=game\nIcon=org.a.B\nX-Flatpak=org.a.B\n",
    );
    let scan = home.scan(Scanner::Flatpak);
    let cover = home.path(&format!("{exports}/icons/hicolor/128x128/apps/org.a.B.png"));
    assert_eq!(scan.titles[0].cover.as_deref(), Some(cover.as_path()));
}

#[test]
fn an_empty_home_has_no_games_and_no_problems() {
    let home = Home::new();
    for scanner in Scanner::ALL {
        let scan = home.scan(scanner);
        assert!(
            scan.titles.is_empty() && scan.problems.is_empty() && scan.is_current(),
            "{scanner:?} {:?}",
            scan.problems
        );
        assert_eq!(Scanner::by_name(scanner.name()), Some(scanner));
        assert_eq!(serde_json::to_value(scanner).expect("a name"), scanner.name());
    }
}
