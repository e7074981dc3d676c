//! Programs on a synthetic desktop, with real commands around them and a real journal.

use std::path::{Path, PathBuf};
use std::time::Instant;

use punktfunk_media::fake::{FakeApps, SyntheticDesktop, SyntheticOptions};
use punktfunk_media::{AppSpec, Desktop, Mode, StageRequest};

use super::*;
use crate::catalogue::{Catalogue, Step};
use crate::displays::{DisplayConfig, Linger, Release};
use crate::journal::UndoMap;

struct Bench {
    apps: Arc<Apps>,
    displays: Arc<Displays>,
    journal: Arc<FileJournal>,
    fakes: FakeApps,
    desktop: Arc<SyntheticDesktop>,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

fn catalogue(file: &Path) -> Catalogue {
    let say = |what: &str| format!("echo {what} >>'{}'", file.display());
    let step = |run: &str, undo: &str| Step { run: say(run), undo: Some(say(undo)), timeout: Duration::from_secs(20) };
    let app = |key: &str, command: &str, prepare| App {
        key: key.into(),
        title: key.into(),
        spec: Some(AppSpec { name: key.into(), command: command.into(), ..AppSpec::default() }),
        prepare,
        ..App::desktop()
    };
    let slow = Step { run: "sleep 60".into(), undo: Some(say("wake")), timeout: Duration::from_millis(50) };
    Catalogue::new(vec![
        app("game", "game", vec![step("one", "undo-one"), step("two", "undo-two")]),
        app("other", "other", Vec::new()),
        app("broken", "false", vec![step("three", "undo-three")]),
        app("slow", "slow", vec![step("four", "undo-four"), slow, step("never", "undo-never")]),
    ])
    .expect("all different")
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let journal = FileJournal::open(&dir.path().join("journal")).expect("free").0;
        let desktop = Arc::new(SyntheticDesktop::new(SyntheticOptions::default()));
        let events = Arc::new(Events::default());
        let config = DisplayConfig { linger: Linger::Forever, warm: false, ..DisplayConfig::default() };
        let shared = Arc::clone(&desktop) as Arc<dyn Desktop>;
        let displays = Displays::start(shared, &journal, config, Arc::clone(&events), Box::new(()));
        let file = dir.path().join("said");
        let apps = Apps::start(Library::fixed(catalogue(&file)), Arc::clone(&displays), &journal, events);
        Self { apps, displays, journal, fakes: desktop.apps(), desktop, file, _dir: dir }
    }

    fn stage(&self, identity: &str) -> Box<dyn Stage> {
        let mode = Mode { width: 64, height: 64, refresh_hz: 60 };
        self.displays.acquire(&StageRequest { identity: identity.into(), name: "A".into(), mode }).expect("it opens")
    }

    fn number(&self, key: &str) -> u32 {
        self.apps.catalogue().by_key(key).expect("in the library").number()
    }

    fn launch(&self, identity: &str, key: &str, stage: &mut dyn Stage) -> Result<Launched, LaunchError> {
        self.apps.launch(identity, self.number(key), stage, &ClientFacts::default())
    }

    fn said(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for what must come.
    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < until, "{what}: {:?} {:?}", self.said(), self.fakes.running());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_program_is_prepared_for_survives_its_sessions_and_is_tidied_up_after() {
    let bench = Bench::new();
    let mut stage = bench.stage("a");
    assert_eq!(bench.launch("a", "game", &mut *stage).expect("it starts"), Launched::Started);
    assert_eq!((bench.said(), bench.fakes.running()), (vec!["one".into(), "two".into()], vec!["game".into()]));
    assert_eq!(bench.apps.current("a"), Some(bench.number("game")));
    assert_eq!(bench.apps.current("b"), None);

    // The client leaves and comes back: the same program.
    bench.displays.release("a", Some(stage), Release::Linger);
    std::thread::sleep(POLL * 3);
    let mut stage = bench.stage("a");
    assert_eq!(bench.launch("a", "game", &mut *stage).expect("it runs"), Launched::Resumed);
    assert_eq!((bench.said().len(), bench.fakes.running().len()), (2, 1));

    // It exits: whoever watches hears of it, and what was prepared is undone, last first.
    let mut watch = bench.apps.watch();
    watch.mark_unchanged();
    bench.fakes.exit("game");
    bench.until("the exit is noticed", |b| b.apps.current("a").is_none());
    bench.until("undone", |b| b.said()[2..] == ["undo-two", "undo-one"]);
    bench.until("told", |_| watch.has_changed().expect("the apps live"));
    bench.until("forgotten", |b| b.journal.len() == 1);
    drop(stage);
}

#[test]
fn another_program_replaces_the_first_and_end_means_end() {
    let bench = Bench::new();
    let (mut a, mut b) = (bench.stage("a"), bench.stage("b"));
    bench.launch("a", "game", &mut *a).expect("it starts");
    bench.launch("b", "other", &mut *b).expect("it starts");
    bench.launch("a", "other", &mut *a).expect("it starts");
    assert_eq!(bench.fakes.running(), ["other", "other"]);
    assert_eq!(bench.said(), ["one", "two", "undo-two", "undo-one"]);
    assert!(bench.apps.end("a"));
    assert_eq!((bench.apps.current("a"), bench.apps.current("b")), (None, Some(bench.number("other"))));
    assert_eq!(bench.fakes.running(), ["other"]);
    assert!(!bench.apps.end("a"), "nothing runs");
    let refused = bench.apps.launch("a", 12345, &mut *a, &ClientFacts::default()).expect_err("no such number");
    assert_eq!(refused.reason.code, "app.unknown");
}

#[test]
fn the_bare_desktop_runs_as_long_as_its_display() {
    let bench = Bench::new();
    let mut stage = bench.stage("a");
    bench.launch("a", "desktop", &mut *stage).expect("nothing to start");
    bench.displays.release("a", Some(stage), Release::Linger);
    std::thread::sleep(POLL * 4);
    assert_eq!(bench.apps.current("a"), Some(bench.number("desktop")));
    bench.displays.forget("a");
    bench.until("gone with its display", |b| b.apps.current("a").is_none());
}

#[test]
fn what_fails_is_undone_and_says_why() {
    let bench = Bench::new();
    let mut stage = bench.stage("a");
    let error = bench.launch("a", "broken", &mut *stage).expect_err("the stage refuses");
    assert_eq!((error.reason.code, bench.said()), ("app.failed", vec!["three".into(), "undo-three".into()]));
    std::fs::remove_file(&bench.file).expect("ours");
    let error = bench.launch("a", "slow", &mut *stage).expect_err("too slow");
    assert_eq!(error.reason.code, "app.prepare_failed");
    assert_eq!(bench.said(), ["four", "wake", "undo-four"]);
    assert_eq!((bench.apps.current("a"), bench.fakes.running().len(), bench.journal.len()), (None, 0, 1));
}

#[test]
fn a_display_that_ends_takes_its_program_and_what_was_prepared_with_it() {
    let bench = Bench::new();
    let mut stage = bench.stage("a");
    bench.launch("a", "game", &mut *stage).expect("it starts");
    bench.displays.release("a", Some(stage), Release::Now);
    bench.until("undone", |b| b.said()[2..] == ["undo-two", "undo-one"]);
    bench.until("forgotten", |b| b.journal.is_empty());
    assert_eq!(bench.desktop.open_stages(), 0);

    // The same when the host ends.
    let mut stage = bench.stage("a");
    bench.launch("a", "game", &mut *stage).expect("it starts");
    bench.displays.release("a", Some(stage), Release::Linger);
    bench.displays.shutdown(AtEnd::EndLeases);
    bench.apps.shutdown(AtEnd::EndLeases);
    assert_eq!(bench.said()[4..], ["one", "two", "undo-two", "undo-one"]);
    assert!(bench.journal.is_empty());
    let error =
        bench.launch("a", "game", &mut *SyntheticDesktop::default().stage(Mode { width: 2, height: 2, refresh_hz: 1 }));
    assert_eq!(error.expect_err("closed").reason.code, "host.shutting_down");
}

#[test]
fn what_a_dead_host_prepared_is_undone_by_the_next_or_the_watchdog() {
    let bench = Bench::new();
    let mut stage = bench.stage("a");
    bench.launch("a", "game", &mut *stage).expect("it starts");
    // The journal as a killed host leaves it, without a lease for the display.
    let dir = tempfile::tempdir().expect("a folder");
    let left = dir.path().join("journal");
    std::fs::copy(bench.journal.path(), &left).expect("a copy");
    let (journal, _) = FileJournal::open(&left).expect("free");
    let nothing = |_: &punktfunk_media::UndoRecord| Ok(());
    journal.replay(UndoMap::new().with(BACKEND, undo).with("synthetic", nothing));
    let desktop = Arc::new(SyntheticDesktop::default()) as Arc<dyn Desktop>;
    let events = Arc::new(Events::default());
    let displays = Displays::start(desktop, &journal, DisplayConfig::default(), Arc::clone(&events), Box::new(()));
    let apps = Apps::start(Library::fixed(catalogue(&bench.file)), displays, &journal, events);
    assert_eq!(apps.current("a"), None, "its display is gone");
    assert_eq!(bench.said(), ["one", "two", "undo-two", "undo-one"]);
    bench.fakes.exit("game");
    drop(stage);
}

#[test]
fn the_operator_starts_programs_beside_what_the_client_asked_for() {
    let bench = Bench::new();
    let refused = bench.apps.launch_beside("a", "game").expect_err("it streams nothing");
    assert_eq!(refused.reason, &reason::DISPLAY_NOT_FOUND);
    let mut a = bench.stage("a");
    bench.launch("a", "other", &mut *a).expect("started");
    assert_eq!(bench.apps.launch_beside("a", "game").expect("started"), Launched::Started);
    assert_eq!(bench.apps.launch_beside("a", "game").expect("it runs"), Launched::Resumed);
    assert_eq!(bench.apps.launch_beside("a", "other").expect("it runs"), Launched::Resumed);
    let (other, game) = (bench.number("other"), bench.number("game"));
    assert_eq!((bench.apps.current("a"), bench.apps.running("a")), (Some(other), vec![other, game]));
    assert_eq!(bench.fakes.running(), ["other", "game"]);
    bench.fakes.exit("game");
    bench.until("the exit is noticed", |b| b.apps.running("a") == [other]);
    assert_eq!(bench.apps.launch_beside("a", "desktop").expect_err("no program").reason, &reason::APP_UNKNOWN);
    assert_eq!(bench.apps.launch_beside("a", "broken").expect_err("it cannot").reason, &reason::APP_FAILED);
    bench.apps.launch_beside("a", "game").expect("again");
    assert!(bench.apps.end("a"));
    assert_eq!((bench.apps.running("a"), bench.fakes.running().len()), (Vec::new(), 0));
    // The session is over: nobody visits a display that is kept.
    bench.displays.release("a", Some(a), Release::Linger);
    assert_eq!(bench.apps.launch_beside("a", "game").expect_err("over").reason, &reason::DISPLAY_NOT_FOUND);
    assert_eq!(bench.journal.len(), 1, "the display alone");
}

#[test]
fn commands_and_programs_know_their_client_by_our_names_and_by_sunshines() {
    let bench = Bench::new();
    let mode = Mode { width: 1280, height: 800, refresh_hz: 90 };
    let client = ClientFacts { mode: Some(mode), hdr: true, gamepads: 3, channels: 6, ..ClientFacts::default() };
    let app = bench.apps.catalogue().by_key("game").cloned().expect("in the library");
    let variables: std::collections::BTreeMap<_, _> = client.variables(&app).into_iter().collect();
    for (name, value) in [
        ("SUNSHINE_CLIENT_WIDTH", "1280"),
        ("SUNSHINE_CLIENT_HEIGHT", "800"),
        ("SUNSHINE_CLIENT_FPS", "90"),
        ("SUNSHINE_CLIENT_HDR", "true"),
        ("SUNSHINE_CLIENT_GCMAP", "3"),
        ("SUNSHINE_CLIENT_HOST_AUDIO", "false"),
        ("SUNSHINE_CLIENT_ENABLE_SOPS", "false"),
        ("SUNSHINE_CLIENT_AUDIO_CONFIGURATION", "5.1"),
        ("SUNSHINE_CLIENT_AUDIO_SURROUND_PARAMS", ""),
        ("SUNSHINE_APP_NAME", "game"),
        ("SUNSHINE_APP_ID", app.number().to_string().as_str()),
        ("PUNKTFUNK_CLIENT_WIDTH", "1280"),
        ("PUNKTFUNK_APP_ID", "game"),
    ] {
        assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
    }
    let unknown = ClientFacts::default().variables(&app);
    assert!(!unknown.iter().any(|(name, _)| name.ends_with("_WIDTH")), "nobody said");
}
