//! The library with real files: a store's, and its own.

use std::fs;

use punktfunk_media::AppSpec;

use super::*;

struct Bench {
    dir: tempfile::TempDir,
    events: Arc<Events>,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("state")).expect("made");
        Self { dir, events: Arc::default() }
    }

    fn open(&self, config: LibraryConfig) -> Arc<Library> {
        let roots = Roots::below(self.dir.path().join("home"));
        let library = Library::open(config, Some(roots), &self.dir.path().join("state"), Arc::clone(&self.events));
        assert!(library.settle(PATIENCE));
        library
    }

    fn game(&self, app: u32, name: &str) {
        let folder = self.dir.path().join("home/.local/share/Steam/steamapps");
        fs::create_dir_all(&folder).expect("made");
        let text = format!("\"AppState\" {{ \"appid\" \"{app}\" \"name\" \"{name}\" \"StateFlags\" \"4\" }}");
        fs::write(folder.join(format!("appmanifest_{app}.acf")), text).expect("written");
    }
}

fn keys(library: &Library) -> Vec<String> {
    library.catalogue().apps().iter().map(|a| a.key.clone()).collect()
}

fn named(key: &str) -> App {
    let spec = Some(AppSpec { command: "true".into(), ..AppSpec::default() });
    App { key: key.into(), title: key.into(), source: Source::File, spec, ..App::desktop() }
}

fn custom(title: &str) -> Custom {
    Custom { title: title.into(), command: "foot".into(), ..Custom::default() }
}

fn code<T: std::fmt::Debug>(result: Result<T, LibraryError>) -> &'static str {
    result.expect_err("refused").reason.code
}

#[test]
fn what_people_wrote_comes_first_then_what_stores_installed() {
    let bench = Bench::new();
    bench.game(570, "Dota 2");
    bench.game(220, "Another");
    let apps = Catalogue::new(vec![named("app:z"), named("steam:570")]).expect("all different");
    let library = bench.open(LibraryConfig { apps, ..LibraryConfig::default() });
    library.add(custom("My Files"), None).expect("added");
    assert_eq!(keys(&library), ["desktop", "app:z", "steam:570", "custom:my-files", "steam:220"]);
    assert_eq!(library.entry("steam:570").map(|a| a.source), Some(Source::File), "what is written down wins");
    let scanned = library.catalogue().by_key("steam:220").cloned().expect("found");
    assert_eq!(scanned.spec.and_then(|s| s.mark).as_deref(), Some("SteamGameId=220"));
    let steam = library.view().scanners.into_iter().find(|s| s.scanner == Scanner::Steam).expect("a scanner");
    assert_eq!((steam.found, steam.on, steam.pinned, steam.took.is_some()), (2, true, false, true));
}

#[test]
fn what_was_found_is_not_looked_for_again_when_a_client_asks() {
    let bench = Bench::new();
    for app in 1..=5000 {
        bench.game(app, &format!("Game {app}"));
    }
    let begun = Instant::now();
    let library = bench.open(LibraryConfig::default());
    let scan = begun.elapsed();
    let begun = Instant::now();
    let rounds = 1000;
    for _ in 0..rounds {
        assert_eq!(library.catalogue().apps().len(), 5001);
    }
    let asked = begun.elapsed() / rounds;
    let begun = Instant::now();
    assert_eq!(library.view().visible.len(), 5001);
    println!(
        "5000 titles: opened and scanned {scan:?}; asked again {asked:?}; all of it for the API {:?}",
        begun.elapsed()
    );
    assert!(asked * 100 < scan, "{asked:?} against {scan:?}");
}

#[test]
fn a_game_that_is_installed_later_is_found() {
    let bench = Bench::new();
    let library = bench.open(LibraryConfig::default());
    assert_eq!(keys(&library), ["desktop"]);
    let mut heard = bench.events.subscribe();
    bench.game(570, "Dota 2");
    assert!(library.rescan(PATIENCE));
    assert_eq!(keys(&library), ["desktop", "steam:570"]);
    assert!(matches!(heard.try_recv().map(|e| e.kind), Ok(EventKind::LibraryChanged { entries: 2, .. })));
    fs::remove_dir_all(bench.dir.path().join("home/.local/share/Steam")).expect("there");
    // Without being asked.
    let until = Instant::now() + PATIENCE;
    while keys(&library).len() > 1 {
        assert!(Instant::now() < until, "the store is gone");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn changes_outlive_the_host() {
    let bench = Bench::new();
    bench.game(570, "Dota 2");
    bench.game(220, "Half-Life 2");
    {
        let library = bench.open(LibraryConfig::default());
        let (key, revision) = library.add(custom("Files\u{202e}"), Some(0)).expect("added");
        assert_eq!((key.as_str(), revision), ("custom:files", 1));
        assert_eq!(library.add(custom("files!"), Some(1)).expect("added").0, "custom:files-2");
        library.edit("custom:files-2", custom("Terminal"), Some(2)).expect("changed");
        library.hide("steam:570", true, Some(3)).expect("hidden");
        library.hide("custom:files", true, None).expect("hidden");
        assert_eq!(keys(&library), ["desktop", "custom:files-2", "steam:220"]);
    }
    let library = bench.open(LibraryConfig::default());
    assert_eq!(keys(&library), ["desktop", "custom:files-2", "steam:220"]);
    assert_eq!(library.entry("custom:files-2").map(|a| a.title).as_deref(), Some("Terminal"));
    assert_eq!(library.view().hidden.len(), 2);
    library.hide("steam:570", false, None).expect("shown");
    library.remove("custom:files", None).expect("removed");
    library.switch(Scanner::Steam, false, None).expect("off");
    assert_eq!(keys(&library), ["desktop", "custom:files-2"]);
    library.switch(Scanner::Steam, true, None).expect("on");
    assert!(library.settle(PATIENCE));
    assert_eq!(keys(&library).len(), 4);
}

#[test]
fn two_people_do_not_undo_each_others_changes() {
    let bench = Bench::new();
    let library = bench.open(LibraryConfig::default());
    let (key, revision) = library.add(custom("A"), None).expect("added");
    library.edit(&key, custom("By one"), Some(revision)).expect("changed");
    assert_eq!(code(library.edit(&key, custom("By the other"), Some(revision))), "library.conflict");
    assert_eq!(code(library.hide(&key, true, Some(revision))), "library.conflict");
    assert_eq!(library.entry(&key).map(|a| a.title).as_deref(), Some("By one"));
    // Many at once, each with what it saw: as many succeed as the revision rises.
    let before = library.view().revision;
    let wins: usize = std::thread::scope(|scope| {
        let edit = |_| scope.spawn(|| library.edit(&key, custom("Race"), Some(library.view().revision)).is_ok());
        (0..8).map(edit).collect::<Vec<_>>().into_iter().map(|t| usize::from(t.join().expect("no panic"))).sum()
    });
    assert_eq!(library.view().revision, before + wins as u64);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let bench = Bench::new();
    bench.game(570, "Dota 2");
    let config = LibraryConfig {
        apps: Catalogue::new(vec![named("app:z")]).expect("one"),
        scanners: vec![(Scanner::Itch, false)],
        hidden: ["steam:1".to_owned()].into(),
        ..LibraryConfig::default()
    };
    let library = bench.open(config);
    assert_eq!(code(library.edit("app:z", custom("x"), None)), "library.pinned");
    assert_eq!(code(library.remove("steam:570", None)), "library.pinned");
    assert_eq!(code(library.set_cover("steam:570", Some(b"x"), None)), "library.pinned");
    assert_eq!(code(library.remove("custom:none", None)), "library.not_found");
    assert_eq!(code(library.hide("desktop", true, None)), "library.not_found");
    assert_eq!(code(library.hide("steam:1", false, None)), "config.pinned");
    assert_eq!(code(library.switch(Scanner::Itch, true, None)), "config.pinned");
    let with = |change: &dyn Fn(&mut Custom)| {
        let mut it = custom("x");
        change(&mut it);
        library.add(it, None)
    };
    let step = |timeout| Step { run: "x".into(), undo: None, timeout };
    assert_eq!(code(with(&|c| c.title = "\u{202e}\n".into())), "library.invalid");
    assert_eq!(code(with(&|c| c.command = " ".into())), "library.invalid");
    assert_eq!(code(with(&|c| c.command = "a\0b".into())), "library.invalid");
    assert_eq!(code(with(&|c| c.working_dir = Some("here".into()))), "library.invalid");
    assert_eq!(code(with(&|c| drop(c.env.insert("A B".into(), "x".into())))), "library.invalid");
    assert_eq!(code(with(&|c| c.prepare = vec![step(Duration::MAX)])), "library.invalid");
    assert_eq!(library.view().revision, 0);
    let fixed = Library::fixed(Catalogue::default());
    assert!(fixed.add(custom("x"), None).is_err() && fixed.view().revision == 0, "a disk that takes nothing");
}

fn png() -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 2, 3);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().and_then(|mut w| w.write_image_data(&[9; 18])).expect("in memory");
    out
}

#[test]
fn covers_are_made_anew_and_kept_in_their_folder() {
    let bench = Bench::new();
    let library = bench.open(LibraryConfig::default());
    let (key, _) = library.add(custom("../../etc/passwd"), None).expect("added");
    assert_eq!(code(library.set_cover(&key, Some(b"<svg/>"), None)), "library.cover_invalid");
    library.set_cover(&key, Some(&png()), None).expect("a picture");
    let files = || -> Vec<_> {
        let folder = fs::read_dir(bench.dir.path().join("state/covers")).expect("made");
        folder.map(|e| e.expect("an entry").file_name().into_string().expect("ASCII")).collect()
    };
    assert_eq!(files().len(), 1);
    let (kind, bytes) = library.cover(&key).expect("it has one");
    let number = library.entry(&key).expect("there").number();
    assert_eq!((kind, library.cover_png(number)), ("image/png", Some(bytes)));
    assert_eq!(code(library.set_cover(&key, None, Some(0))), "library.conflict");
    assert_eq!(files().len(), 1, "nothing changed");
    library.edit(&key, custom("Renamed"), None).expect("changed");
    assert!(library.cover(&key).is_some(), "it stays");
    library.set_cover(&key, None, None).expect("away");
    assert!(library.cover(&key).is_none() && files().is_empty());
    library.set_cover(&key, Some(&png()), None).expect("again");
    library.remove(&key, None).expect("removed");
    assert!(files().is_empty());
}

#[test]
fn a_file_that_leads_elsewhere_leads_nowhere() {
    let bench = Bench::new();
    let state = bench.dir.path().join("state");
    fs::write(bench.dir.path().join("secret.png"), png()).expect("written");
    let file = r#"{"version": 1, "custom": {"custom:x": {"title": "X", "command": "x", "cover": "../../secret.png"}}}"#;
    fs::write(state.join("library.json"), file).expect("written");
    let library = bench.open(LibraryConfig::default());
    assert!(library.entry("custom:x").is_some() && library.cover("custom:x").is_none());
}
