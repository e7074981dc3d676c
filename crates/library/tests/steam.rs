//! Steam, as it is on disks: native, as a Flatpak, several drives, covers in every layout, tools, shortcuts, broken files.

mod common;

use std::os::unix::fs::symlink;

use common::{Home, codes, found, manifest, shortcuts, title};
use punktfunk_library::Scanner;

const ROOT: &str = ".local/share/Steam";

#[test]
fn installed_games_of_every_drive_are_found_and_tools_are_not() {
    let home = Home::new();
    let other = home.path("mnt/games");
    home.write(
        &format!("{ROOT}/steamapps/libraryfolders.vdf"),
        format!(
            "\"libraryfolders\"\n{{\n\"0\"\n{{\n\"path\" \"{}\"\n}}\n\"1\"\n{{\n\"path\" \"{}\"\n\"apps\" {{ \"220\" \"1\" }}\n}}\n\"2\" {{ \"path\" \"/nowhere\" }}\n}}\n",
            home.path(ROOT).display(),
            other.display()
        ),
    );
    for (app, name, flags) in [
        (570, "Dota 2", 4),
        (440, "Team Fortress 2", 6),
        (620, "Portal 2, still loading", 1026),
        (228_980, "Steamworks Common Redistributables", 4),
        (1_493_710, "Proton Experimental", 4),
        (1_628_350, "Steam Linux Runtime 3.0 (sniper)", 4),
        (999_999, "A new tool", 4),
    ] {
        home.write(&format!("{ROOT}/steamapps/appmanifest_{app}.acf"), manifest(app, name, flags));
    }
    home.write(&format!("{ROOT}/steamapps/common/dir999999/toolmanifest.vdf"), "\"manifest\" {}");
    home.write("mnt/games/steamapps/appmanifest_220.acf", manifest(220, "Half-Life 2\u{202e}", 4));
    // The same game twice, as after moving it by hand.
    home.write("mnt/games/steamapps/appmanifest_570.acf", manifest(570, "Dota 2", 4));
    // Steam's own links to itself.
    std::fs::create_dir_all(home.path(".steam")).expect("made");
    symlink(home.path(ROOT), home.path(".steam/steam")).expect("linked");
    symlink(home.path(ROOT), home.path(".steam/root")).expect("linked");

    let scan = home.scan(Scanner::Steam);
    assert_eq!(found(&scan), ["steam:570 Dota 2", "steam:220 Half-Life 2", "steam:440 Team Fortress 2"]);
    assert_eq!(codes(&scan), Vec::<&str>::new());
    let dota = title(&scan, "steam:570");
    assert_eq!(dota.command, "steam -silent steam://rungameid/570");
    assert_eq!(dota.mark.as_deref(), Some("SteamGameId=570"));
}

#[test]
fn covers_are_found_in_every_layout() {
    let home = Home::new();
    for app in [1, 2, 3, 4, 5] {
        home.write(&format!("{ROOT}/steamapps/appmanifest_{app}.acf"), manifest(app, &format!("Game {app}"), 4));
    }
    let cache = format!("{ROOT}/appcache/librarycache");
    let old = home.write(&format!("{cache}/1_library_600x900.jpg"), "x");
    let new = home.write(&format!("{cache}/2/library_600x900.jpg"), "x");
    home.write(&format!("{cache}/2/library_hero.jpg"), "x");
    let hashed = home.write(&format!("{cache}/3/0a1b2c3d4e5f60718293a4b5c6d7e8f901234567/library_capsule.jpg"), "x");
    home.write(&format!("{cache}/4/logo.png"), "x");
    let scan = home.scan(Scanner::Steam);
    let covers: Vec<_> = scan.titles.iter().map(|t| t.cover.clone()).collect();
    // Below a home folder that is itself a link the paths are the real ones.
    let real = |p: std::path::PathBuf| Some(p.canonicalize().expect("there"));
    assert_eq!(covers, [real(old), real(new), real(hashed), None, None]);
}

#[test]
fn a_flatpaks_games_and_shortcuts_are_started_by_the_flatpak() {
    let home = Home::new();
    let root = ".var/app/com.valvesoftware.Steam/.local/share/Steam";
    home.write(&format!("{root}/steamapps/appmanifest_570.acf"), manifest(570, "Dota 2", 4));
    let games = [(0x8000_0001, "Emulator's \"best\"", false), (7, "Hidden", true), (0, "Odd", false)];
    home.write(&format!("{root}/userdata/1234/config/shortcuts.vdf"), shortcuts(&games));
    let cover = home.write(&format!("{root}/userdata/1234/config/grid/2147483649p.png"), "x");
    let scan = home.scan(Scanner::Steam);
    assert_eq!(found(&scan), ["steam:570 Dota 2", "steam:shortcut:2147483649 Emulator's \"best\""]);
    let shortcut = title(&scan, "steam:shortcut:2147483649");
    let game = (0x8000_0001_u64 << 32) | 0x0200_0000;
    assert_eq!(shortcut.command, format!("flatpak run com.valvesoftware.Steam -silent steam://rungameid/{game}"));
    assert_eq!(shortcut.cover, Some(cover.canonicalize().expect("there")));
}

#[test]
fn broken_files_cost_only_themselves() {
    let home = Home::new();
    home.write(&format!("{ROOT}/steamapps/libraryfolders.vdf"), "\"libraryfolders\" {");
    home.write(&format!("{ROOT}/steamapps/appmanifest_1.acf"), manifest(1, "Whole", 4));
    home.write(&format!("{ROOT}/steamapps/appmanifest_2.acf"), [0xff, 0xfe, b'"', b'{']);
    home.write(&format!("{ROOT}/steamapps/appmanifest_3.acf"), "");
    home.write(&format!("{ROOT}/steamapps/appmanifest_4.acf"), manifest(4, "Large", 4) + &" ".repeat(2 << 20));
    home.write(
        &format!("{ROOT}/steamapps/appmanifest_5.acf"),
        manifest(5, "../../up", 4).replace("dir5", "../../../etc"),
    );
    std::fs::create_dir_all(home.path(&format!("{ROOT}/steamapps/appmanifest_6.acf"))).expect("made");
    home.write(&format!("{ROOT}/userdata/9/config/shortcuts.vdf"), b"\0shortcuts\0\x63");
    let scan = home.scan(Scanner::Steam);
    assert_eq!(found(&scan), ["steam:5 ../../up", "steam:1 Whole"]);
    let mut codes = codes(&scan);
    codes.sort_unstable();
    let broken = "library.store_broken";
    let expected = [broken, broken, broken, broken, "library.store_too_large", "library.store_unreadable"];
    assert_eq!(codes, expected, "{:#?}", scan.problems);
}

#[test]
fn a_change_makes_a_scan_out_of_date() {
    let home = Home::new();
    let none = home.scan(Scanner::Steam);
    assert!(none.titles.is_empty() && none.is_current());
    home.write(&format!("{ROOT}/steamapps/appmanifest_1.acf"), manifest(1, "One", 1026));
    assert!(!none.is_current(), "a Steam came");
    let loading = home.scan(Scanner::Steam);
    assert!(loading.titles.is_empty() && loading.is_current());
    // Rewritten in place, without a trace in its folder.
    home.write(&format!("{ROOT}/steamapps/appmanifest_1.acf"), manifest(1, "One", 4));
    assert!(!loading.is_current(), "it is installed now");
    assert_eq!(found(&home.scan(Scanner::Steam)), ["steam:1 One"]);
}
