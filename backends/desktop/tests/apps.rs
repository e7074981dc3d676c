//! Programs on real sways: started with what they need, seen while they run, gone when they should be.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Bed, MODE, PrivateBench, living, on_every_desktop, on_every_sway, request, wait_until};
use punktfunk_desktop::{BACKEND_APP, Environment, PrivateContent, SessionSockets, WlrootsDesktop, undo};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{AppSpec, AudioPolicyCell, Desktop, Journal, RunningApp, Stage};
use punktfunk_testkit::desktop::{Launch, TestSway};

/// A program that says what it sees, and runs until the file `go` is gone.
fn spec(launch: &Launch) -> AppSpec {
    let home = launch.scratch().join("home");
    std::fs::write(home.join("go"), "").unwrap();
    AppSpec {
        name: "test".into(),
        command: "printf '%s|' \"$GREETING\" \"$PWD\" \"$WAYLAND_DISPLAY\" \"${SWAYSOCK:+sway}\" >\"$HOME/said.new\"\n\
                  mv \"$HOME/said.new\" \"$HOME/said\"\n\
                  while [ -e \"$HOME/go\" ]; do sleep 0.02; done"
            .into(),
        working_dir: Some("/usr/bin".into()),
        env: vec![("GREETING".into(), "it's $HOME \"here\"".into())],
        mark: None,
    }
}

fn said(launch: &Launch) -> String {
    let file = launch.scratch().join("home/said");
    wait_until("the program ran", || file.exists());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    text
}

fn scripts(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().starts_with("punktfunk-app")).count()
}

/// What holds on every desktop while its stage lives.
fn lives_and_ends(desktop: &dyn Desktop, stage: &mut dyn Stage, launch: &Launch, on_sway: bool) {
    let app = stage.launch(&spec(launch)).unwrap();
    let said = said(launch);
    assert!(said.starts_with("it's $HOME \"here\"|/usr/bin|"), "{said}");
    assert!(said.contains("wayland-") && said.ends_with("|sway|") == on_sway, "{said}");
    assert!(app.is_running());
    let again = desktop.app(&app.token()).expect("a later host finds it");
    assert!(again.is_running());
    // It exits by itself.
    std::fs::remove_file(launch.scratch().join("home/go")).unwrap();
    wait_until("the exit is noticed", || !app.is_running());
    assert!(desktop.app(&app.token()).is_none());

    // What it leaves behind counts as it, and ends with it, whether it wants to or not.
    let command = "(trap '' TERM; while :; do sleep 0.1; done) & exit".to_owned();
    let app = stage.launch(&AppSpec { command, ..AppSpec::default() }).unwrap();
    wait_until("only what it left behind runs", || living(&app.token()).len() < 3);
    assert!(app.is_running());
    app.end();
    assert!(!app.is_running() && living(&app.token()).is_empty());

    let nowhere = AppSpec { working_dir: Some("/no/such/folder".into()), ..spec(launch) };
    let Err(error) = stage.launch(&nowhere) else { panic!("started nowhere") };
    assert_eq!(error.reason.code, "app.failed");
    assert!(desktop.app("PATH=/usr/local/bin:/usr/bin:/bin").is_none(), "not one of ours");
}

fn ends_with(what: &str, app: &dyn RunningApp, end: impl FnOnce()) {
    assert!(app.is_running(), "{what}");
    end();
    // A killed process is seen for as long as the kernel takes to end it.
    wait_until(what, || !app.is_running() && living(&app.token()).is_empty());
}

#[test]
fn a_program_lives_on_a_private_desktop_and_ends_with_it() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        lives_and_ends(bench.desktop(), &mut *stage, &bench.launch, suite != Bed::BuiltIn);
        let dir = &common::folders(&bench.config.runtime_dir)[0];
        assert_eq!(scripts(dir), 0, "{suite:?}: scripts are left");

        // Commands beside it find the display, and those that are to end with it do.
        let environment = stage.environment();
        let variable = |name: &str| environment.display.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(variable("XDG_RUNTIME_DIR"), dir.to_str());
        assert_eq!(variable("WAYLAND_DISPLAY"), bench.display().to_str());
        assert!(variable("DBUS_SESSION_BUS_ADDRESS").is_some_and(|v| v.ends_with("/bus")));
        let (name, value) = environment.member.clone().expect("a mark");
        let mut beside = std::process::Command::new("sleep").arg("1000").env(name, value).spawn().unwrap();

        let app = stage.launch(&spec(&bench.launch)).unwrap();
        said(&bench.launch);
        let marks: Vec<_> = bench.journal.records().iter().map(PrivateBench::mark).collect();
        assert_eq!(marks.len(), 1, "the desktop's record covers its programs");
        ends_with("the stage", &*app, || drop(stage));
        assert!(!beside.wait().unwrap().success());
        bench.assert_nothing_left(&marks);
    });
}

#[test]
fn an_x11_program_runs_on_the_built_in_desktop_and_leaves_nothing_in_tmp() {
    let bench = PrivateBench::new(Bed::BuiltIn, PrivateContent::Empty).unwrap();
    let mut stage = bench.open("a", MODE);
    let environment = stage.environment();
    let display = environment.display.iter().find(|(n, _)| n == "DISPLAY").map(|(_, v)| v.clone()).expect("a display");
    let number: u32 = display.trim_start_matches(':').parse().unwrap();
    let left = |number: u32| {
        let files = [format!("/tmp/.X{number}-lock"), format!("/tmp/.X11-unix/X{number}")];
        files.into_iter().filter(|file| Path::new(file).exists()).collect::<Vec<_>>()
    };
    assert_eq!(left(number).len(), 2, "programs find their server there");
    let mut capturer = stage.capturer().unwrap();
    common::lend_new(&mut *capturer);
    let command = format!("test \"$DISPLAY\" = '{display}' && exec xterm -bg '#008000' -cr '#008000' -e sleep 1000");
    let app = stage.launch(&AppSpec { command, ..AppSpec::default() }).unwrap();
    common::frame_until(&mut *capturer, "the terminal", |f| common::pixel(f, 0.5, 0.9) == [0, 128, 0]);
    let mark = PrivateBench::mark(&bench.journal.records()[0]);
    drop(capturer);
    ends_with("the stage", &*app, || drop(stage));
    bench.assert_nothing_left(&[mark]);
    assert_eq!(left(number), Vec::<String>::new());
    assert_eq!(left(number + 1000), Vec::<String>::new());
}

#[test]
fn a_program_fills_the_output_and_what_was_there_comes_back_after_it() {
    on_every_desktop(|suite| {
        let shell = PrivateContent::Shell("exec foot --app-id behind sleep 1000".to_owned());
        let Some(bench) = PrivateBench::new(suite, shell) else { return };
        let mut stage = bench.open("a", MODE);
        wait_until("the desktop's own window", || bench.focused() == "behind");
        let before = bench.workspace();
        let command = "exec foot --app-id program sleep 1000".to_owned();
        let app = stage.launch(&AppSpec { command, ..AppSpec::default() }).unwrap();
        wait_until("its window fills the output", || {
            bench.focused_window() == ("program".to_owned(), [0, 0, 1280, 720])
        });
        drop(stage.capturer().unwrap());
        assert_eq!(bench.focused(), "program", "{suite:?}: it runs, so it is what a client sees");
        app.end();
        drop(stage.capturer().unwrap());
        assert_eq!((bench.workspace(), bench.focused()), (before, "behind".to_owned()), "{suite:?}");
    });
}

#[test]
fn a_program_in_a_running_session_ends_with_its_output() {
    on_every_sway(|suite| {
        let Some(launch) = suite.launch() else { return };
        let sway = TestSway::start(&launch, "");
        let sockets = SessionSockets { ipc: sway.ipc.clone(), display: sway.display.clone() };
        let desktop =
            WlrootsDesktop::connect(sockets, Environment::default(), None, AudioPolicyCell::default()).unwrap();
        let memory = MemoryJournal::new();
        let journal = Arc::clone(&memory) as Arc<dyn Journal>;
        let mut stage = desktop.open(&request("a", MODE), &journal).unwrap();
        lives_and_ends(&desktop, &mut *stage, &launch, true);
        assert_eq!(scripts(&sway.runtime_dir), 0, "{suite:?}: scripts are left");

        let app = stage.launch(&spec(&launch)).unwrap();
        said(&launch);
        // The watchdog would find it in the journal.
        let records = memory.records();
        let record = records.iter().find(|r| r.backend == BACKEND_APP && r.change.contains(&app.token()));
        ends_with("undo", &*app, || undo(record.expect("it is written down")).unwrap());
        undo(record.unwrap()).expect("twice is fine");

        let app = stage.launch(&spec(&launch)).unwrap();
        said(&launch);
        ends_with("the stage", &*app, || drop(stage));
        assert_eq!(memory.records(), Vec::new(), "{suite:?}");

        // Without a journal nothing is started.
        let mut stage = desktop.open(&request("a", MODE), &journal).unwrap();
        memory.set_full(true);
        let Err(error) = stage.launch(&spec(&launch)) else { panic!("started without a record") };
        assert_eq!(error.reason.code, "state.full");
        drop(stage);
    });
}
