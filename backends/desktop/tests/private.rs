//! The private desktop on real sways: exact modes, real pixels, and nothing left behind.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{
    Bed, MODE, PATIENCE, PrivateBench, folders, frame_until, key, lend_new, living, next_frame, on_every_desktop,
    on_every_sway, pixel, request, settle, wait_until,
};
use punktfunk_desktop::{BACKEND_BUILTIN, BACKEND_PRIVATE, PrivateContent, undo};
use punktfunk_media::{
    AppSpec, AudioRead, AudioRequest, Captured, CapturedFrame, ChannelLayout, Damage, Journal, Keep, Mode, Stage,
    UndoGuard, UndoRecord,
};
use punktfunk_testkit::desktop::{Suite, marked, skip};
use punktfunk_testkit::sound::{share_at, write_tones};
use punktfunk_testkit::window::{Seen, Window};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_client_gets_exactly_its_mode_and_its_pixels_and_nothing_stays() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let odd = Mode { width: 1366, height: 767, refresh_hz: 59 };
        let mut stage = bench.open("a", odd);
        assert_eq!(stage.mode(), odd);
        assert!(stage.is_alive());
        let marks: Vec<_> = bench.journal.records().iter().map(PrivateBench::mark).collect();
        assert_eq!(marks.len(), 1);

        let window = Window::open(&bench.display(), None, [250, 120, 30]);
        assert!(window.seen().contains(&Seen::Shown { width: 1366, height: 767 }), "{:?}", window.seen());
        let mut capturer = stage.capturer().unwrap();
        let layout = capturer.layout();
        assert_eq!((layout.width, layout.height), (1366, 767));
        lend_new(&mut *capturer);
        let frame = frame_until(&mut *capturer, "the window's colour", |f| pixel(f, 0.5, 0.5) == [250, 120, 30]);
        for (x, y) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            assert_eq!(pixel(&frame, x, y), [250, 120, 30], "{suite:?}: corner {x},{y}");
        }
        assert!(frame.drawn_at <= Instant::now());

        drop((capturer, window));
        drop(stage);
        bench.assert_nothing_left(&marks);
    });
}

#[test]
fn a_still_desktop_is_unchanged_and_a_change_comes_with_its_damage() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let window = Window::open(&bench.display(), None, [0, 0, 200]);
        let mut capturer = stage.capturer().unwrap();
        lend_new(&mut *capturer);
        let frame = frame_until(&mut *capturer, "blue", |f| pixel(f, 0.5, 0.5) == [0, 0, 200]);
        settle(&mut *capturer, frame.slot);
        // Still: not one picture in a second.
        assert!(matches!(capturer.wait(Instant::now() + Duration::from_secs(1)).unwrap(), Captured::Unchanged));
        window.paint([0, 200, 0]);
        let frame = frame_until(&mut *capturer, "green", |f| pixel(f, 0.5, 0.5) == [0, 200, 0]);
        let Damage::Rects { .. } = frame.damage else { panic!("{suite:?}: the change came without its damage") };
        assert!(frame.damage.rects().unwrap().any(|r| r.width == 1280 && r.height == 720), "{:?}", frame.damage);
    });
}

#[test]
fn the_mode_changes_while_the_stream_runs() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let mut capturer = stage.capturer().unwrap();
        lend_new(&mut *capturer);
        let frame = next_frame(&mut *capturer);
        settle(&mut *capturer, frame.slot);
        let window = Window::open(&bench.display(), None, [9, 99, 199]);
        for new in [
            Mode { width: 1920, height: 1080, refresh_hz: 120 },
            Mode { width: 640, height: 480, refresh_hz: 30 },
            MODE,
        ] {
            assert_eq!(stage.set_mode(new).unwrap(), new, "{suite:?}");
            let fits =
                |f: &punktfunk_media::CapturedFrame| (f.layout.width, f.layout.height) == (new.width, new.height);
            let shown = frame_until(&mut *capturer, "the new mode's picture", |f| {
                fits(f) && pixel(f, 0.999, 0.999) == [9, 99, 199]
            });
            capturer.lend(shown.slot).unwrap();
        }
        // A refused mode changes nothing.
        let absurd = Mode { width: 20_000, height: 20_000, refresh_hz: 60 };
        let error = stage.set_mode(absurd).unwrap_err();
        assert_eq!((error.reason.code, error.fatal), ("desktop.mode_refused", false));
        assert_eq!(stage.mode(), MODE);
        assert!(!window.seen().iter().any(|s| matches!(s, Seen::Gone(_))), "{:?}", window.seen());
    });
}

#[test]
fn the_usual_content_moves_a_little_and_has_a_terminal() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let mut bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        // Where the unprivileged user may read it.
        let scene = bench.launch.scratch().join("scene");
        std::fs::copy(common::example("scene"), &scene).unwrap();
        let content = PrivateContent::BuiltIn { scene: Some(vec![scene.into_os_string()]), launcher: None };
        bench.config.content = content;
        bench.remake(None);
        let mut stage = bench.open("a", MODE);
        let mark = PrivateBench::mark(&bench.journal.records()[0]);
        wait_until("the terminal has the keyboard", || bench.focused() == "foot");
        let mut capturer = stage.capturer().unwrap();
        lend_new(&mut *capturer);
        // The wave's damage alone: once everything is drawn, what changes at a refresh is small.
        let small = |f: &punktfunk_media::CapturedFrame| {
            f.damage.rects().is_some_and(|mut rects| rects.all(|r| r.width <= 240 && r.height <= 40 && r.y < 40))
        };
        let frame = frame_until(&mut *capturer, "only the wave to move", small);
        let bar = pixel(&frame, 0.2, 0.02);
        assert_eq!(bar, [0x10, 0x1a, 0x24], "the bar is there");
        capturer.lend(frame.slot).unwrap();
        for _ in 0..10 {
            let frame = next_frame(&mut *capturer);
            capturer.lend(frame.slot).unwrap();
        }
        if let Some(path) = std::env::var_os("PUNKTFUNK_TEST_PICTURE") {
            let frame = next_frame(&mut *capturer);
            std::fs::write(path, frame.slot.memory.bytes()).unwrap();
        }
        stage.set_mode(Mode { width: 800, height: 500, refresh_hz: 60 }).unwrap();
        frame_until(&mut *capturer, "the bar at the new size", |f| {
            f.layout.width == 800 && pixel(f, 0.99, 0.02) == [0x10, 0x1a, 0x24]
        });
        drop(capturer);
        drop(stage);
        bench.assert_nothing_left(&[mark]);
    }
}

#[test]
fn absurd_modes_open_nothing() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        for mode in [
            Mode { width: 0, height: 720, refresh_hz: 60 },
            Mode { width: 20_000, height: 20_000, refresh_hz: 60 },
            Mode { width: 1280, height: 720, refresh_hz: 0 },
        ] {
            let Err(error) = bench.desktop().open(&request("a", mode), &bench.journal()) else { panic!("{mode}") };
            assert_eq!(error.reason.code, "desktop.mode_refused");
        }
        bench.assert_nothing_left(&[]);
    }
}

#[test]
fn every_identity_has_a_desktop_of_its_own() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let other = Mode { width: 800, height: 600, refresh_hz: 75 };
        let (mut a, mut b) = (bench.open("a", MODE), bench.open("b", other));
        assert_eq!(folders(&bench.config.runtime_dir).len(), 2);
        let sizes = [&mut a, &mut b].map(|s| s.capturer().unwrap().layout()).map(|l| (l.width, l.height));
        assert_eq!(sizes, [(1280, 720), (800, 600)]);
        let marks: Vec<_> = bench.journal.records().iter().map(PrivateBench::mark).collect();
        drop(a);
        assert!(b.is_alive());
        drop(b);
        bench.assert_nothing_left(&marks);
    });
}

#[test]
fn a_warm_spare_becomes_a_clients_desktop() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let mut bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        bench.desktop().warm(&bench.journal());
        bench.desktop().warm(&bench.journal());
        let spare = bench.journal.records();
        assert_eq!(spare.len(), 1, "one spare, however often it is asked for");
        let odd = Mode { width: 1000, height: 500, refresh_hz: 90 };
        let mut stage = bench.open("a", odd);
        let records = bench.journal.records();
        assert_eq!(PrivateBench::mark(&records[0]), PrivateBench::mark(&spare[0]), "the spare was taken");
        assert!(records[0].change.contains("\"identity\":\"a\""), "{}", records[0].change);
        let layout = stage.capturer().unwrap().layout();
        assert_eq!((layout.width, layout.height), (1000, 500));
        bench.desktop().warm(&bench.journal());
        let marks: Vec<_> = bench.journal.records().iter().map(PrivateBench::mark).collect();
        assert_eq!(marks.len(), 2);
        drop(stage);
        assert_eq!(bench.journal.records().len(), 1, "the new spare stays");
        bench.desktop = None;
        bench.assert_nothing_left(&marks);
    }
}

#[test]
fn a_killed_compositor_is_told_with_its_reason_and_cleaned_up() {
    on_every_desktop(|suite| {
        // A program with an environment of its own, as browsers' children have, and soon nobody's child.
        let hidden = format!("sleep 1000.{}", std::process::id());
        let command = format!("(env -i {hidden} &) ; sleep 1000");
        let hidden = || runs(&hidden.replace(' ', "\0"));
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Shell(command)) else { return };
        let mut stage = bench.open("a", MODE);
        let mut capturer = stage.capturer().unwrap();
        let mut injector = stage.injector().unwrap();
        lend_new(&mut *capturer);
        let frame = next_frame(&mut *capturer);
        settle(&mut *capturer, frame.slot);
        let records = bench.journal.records();
        let mark = PrivateBench::mark(&records[0]);
        wait_until("the programs run", || living(&mark).len() >= 3 && hidden());
        let change: serde_json::Value = serde_json::from_str(&records[0].change).unwrap();
        let sway = change["leader"]["pid"].as_i64().unwrap() as i32;
        // Its X11 display has its lock, with its process id, where all X servers have theirs.
        let display =
            || stage.environment().display.into_iter().find_map(|(name, value)| (name == "DISPLAY").then_some(value));
        wait_until("its display is told", || display().is_some());
        let lock = format!("/tmp/.X{}-lock", display().unwrap_or_default().trim_start_matches(':'));
        let locked =
            || std::fs::read_to_string(&lock).is_ok_and(|pid| pid.trim_matches([' ', '\n', '\0']).parse() == Ok(sway));
        assert!(locked(), "{suite:?}: {lock}");
        rustix::process::kill_process(rustix::process::Pid::from_raw(sway).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        let error = loop {
            match capturer.wait(Instant::now() + common::PATIENCE) {
                Err(error) => break error,
                Ok(Captured::Frame(frame)) => capturer.lend(frame.slot).unwrap(),
                Ok(other) => panic!("{suite:?}: {other:?}"),
            }
        };
        assert_eq!((error.reason.code, error.fatal), ("desktop.died", true));
        wait_until("the injector notices", || !stage_is_alive(&mark, sway));
        let error = (0..100)
            .find_map(|_| injector.inject(&punktfunk_media::InputAction::Motion { dx: 1.0, dy: 0.0 }).err())
            .expect("the injector notices");
        assert_eq!((error.reason.code, error.fatal), ("inject.lost", true));
        // A killed process takes a moment to be gone altogether.
        let mut patience = 0..;
        while stage.is_alive() {
            assert!(patience.next() < Some(1000), "{suite:?}: a dead stage counts as alive");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop((capturer, injector));
        drop(stage);
        // `sleep 1000`, which sway had put into a session of its own, and the bus are gone as well.
        bench.assert_nothing_left(&[mark]);
        assert!(!locked(), "{suite:?}: {lock} stays behind");
        assert!(!hidden(), "{suite:?}: what hides its mark stays behind");
    });
}

/// Whether a process has this command, word by word.
fn runs(command: &str) -> bool {
    let commands = std::fs::read_dir("/proc").unwrap().flatten();
    commands.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).any(|words| {
        let words = String::from_utf8_lossy(&words).into_owned();
        words.trim_end_matches('\0') == command
    })
}

fn stage_is_alive(mark: &str, sway: i32) -> bool {
    living(mark).contains(&sway)
}

#[test]
fn a_desktop_outlives_its_host_and_is_taken_over_or_undone() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        let mut stage = bench.open("a", MODE);
        let record = bench.journal.records().remove(0);
        let mark = PrivateBench::mark(&record);
        let backend = if bed == Bed::BuiltIn { BACKEND_BUILTIN } else { BACKEND_PRIVATE };
        assert_eq!(record.backend, backend);
        // Policy keeps it for a minute; then the host is gone, and nobody runs the stage's destructor.
        let keep = Keep { keep_for: Duration::from_secs(60), lease_until_ms: Some(u64::MAX) };
        assert!(stage.keep(keep));
        let record = UndoRecord { keep_for: keep.keep_for, lease_until_ms: keep.lease_until_ms, ..record };
        assert_eq!(bench.journal.records(), std::slice::from_ref(&record));
        stage.leave();
        assert!(!living(&mark).is_empty());

        // The next host takes it over.
        let guard = Arc::clone(&bench.journal).record(record.clone()).unwrap();
        let mut adopted = bench.desktop().adopt(&record, guard).expect("it still runs");
        // Nobody watches it: a sway rests at a slow pace until the next client says what it wants; the built-in desktop has no
        // pace of its own.
        let resting = if bed == Bed::BuiltIn { MODE } else { Mode { refresh_hz: 5, ..MODE } };
        assert_eq!((adopted.identity.as_str(), adopted.stage.mode()), ("a", resting));
        assert_eq!(adopted.stage.set_mode(MODE).unwrap(), MODE);
        assert!(adopted.stage.is_alive());
        let mut capturer = adopted.stage.capturer().unwrap();
        lend_new(&mut *capturer);
        next_frame(&mut *capturer);
        drop(capturer);
        adopted.stage.leave();

        // And a watchdog ends it, from the record alone. Twice, since two may try.
        undo(&record).unwrap();
        undo(&record).unwrap();
        assert_eq!(living(&mark), Vec::<i32>::new());
        assert_eq!(folders(&bench.config.runtime_dir).len(), 0);

        // What is gone cannot be taken over.
        let guard: UndoGuard = Arc::clone(&bench.journal).record(record.clone()).unwrap();
        assert!(bench.desktop().adopt(&record, guard).is_none());
    }
}

#[test]
fn a_kept_desktop_rests_until_it_is_taken_again() {
    on_every_sway(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let (leased, used) = (Some(u64::MAX), None);
        let keep = |lease_until_ms| Keep { keep_for: Duration::from_secs(60), lease_until_ms };
        for _ in 0..2 {
            assert!(stage.keep(keep(leased)));
            assert_eq!(bench.refresh_mhz(), 5_000, "{suite:?}");
            assert_eq!(stage.mode(), MODE, "what it will have again");
            assert!(stage.keep(keep(used)));
            assert_eq!(bench.refresh_mhz(), 60_000, "{suite:?}");
        }
        // Whoever forgets to say so gets the full pace with the capturer.
        stage.keep(keep(leased));
        let mut capturer = stage.capturer().unwrap();
        assert_eq!(bench.refresh_mhz(), 60_000, "{suite:?}");
        lend_new(&mut *capturer);
        next_frame(&mut *capturer);
    });
}

/// A whole desktop as one program: Weston, with a panel and a background of its own.
const NESTED: &str = "cat >$XDG_RUNTIME_DIR/weston.ini <<END
[shell]
background-color=0xff336699
panel-position=top
END
exec weston --backend=wayland-backend.so --use-pixman --fullscreen --socket=nested --idle-time=0 \
    --config=$XDG_RUNTIME_DIR/weston.ini";

/// An X11 session: a server with a root window of its own, and programs that know nothing of Wayland.
const ROOTFUL: &str = "Xwayland -shm -displayfd 3 3>$XDG_RUNTIME_DIR/number &
while [ ! -s $XDG_RUNTIME_DIR/number ]; do sleep 0.05; done
DISPLAY=:$(cat $XDG_RUNTIME_DIR/number) exec xterm -geometry 300x100+0+0 -bg '#336699' -fg '#336699' -e sleep 1000";

#[test]
fn an_x11_session_runs_inside_ours_with_its_programs() {
    let bench = PrivateBench::new(Bed::BuiltIn, PrivateContent::Shell(ROOTFUL.to_owned())).unwrap();
    let mut stage = bench.open("a", MODE);
    let mut capturer = stage.capturer().unwrap();
    lend_new(&mut *capturer);
    frame_until(&mut *capturer, "its program fills its root window", |f| {
        [(0.5, 0.5), (0.1, 0.9), (0.95, 0.9)].into_iter().all(|(x, y)| pixel(f, x, y) == [0x33, 0x66, 0x99])
    });
    let windows = stage.windows().unwrap();
    assert_eq!(windows.len(), 1, "the server is one window: {windows:?}");
}

#[test]
fn another_desktop_runs_inside_ours_with_its_programs() {
    // (On sway 1.7 a Weston that asks for the full screen shows nothing.)
    let bench = PrivateBench::new(Bed::BuiltIn, PrivateContent::Shell(NESTED.to_owned())).unwrap();
    let mut stage = bench.open("a", MODE);
    let mark = PrivateBench::mark(&bench.journal.records()[0]);
    let dir = folders(&bench.config.runtime_dir)[0].clone();
    let mut capturer = stage.capturer().unwrap();
    lend_new(&mut *capturer);
    let background = [0x33, 0x66, 0x99];
    let everywhere = |f: &CapturedFrame| {
        [(0.5, 0.5), (0.01, 0.97), (0.99, 0.97)].into_iter().all(|(x, y)| pixel(f, x, y) == background)
    };
    let frame = frame_until(&mut *capturer, "its background fills the output", everywhere);
    capturer.lend(frame.slot).unwrap();
    // A program of it, full screen.
    wait_until("it takes programs", || dir.join("nested").exists());
    let command = "WAYLAND_DISPLAY=nested exec foot --fullscreen --override=colors.background=ff0000 \
         --override=colors.alpha=1 sleep 1000";
    let app = stage.launch(&AppSpec { command: command.to_owned(), ..AppSpec::default() }).unwrap();
    frame_until(&mut *capturer, "its program is seen", |f| pixel(f, 0.5, 0.9) == [0xff, 0, 0]);
    app.end();
    drop(capturer);
    drop(stage);
    bench.assert_nothing_left(&[mark]);
}

/// labwc, in whose window frames of its own lie around a terminal that writes down what is typed into it.
const LABWC: &str = r##"mkdir -p $XDG_RUNTIME_DIR/labwc
cat >$XDG_RUNTIME_DIR/labwc/rc.xml <<END
<labwc_config>
  <windowRules><windowRule identifier="*"><action name="Maximize"/></windowRule></windowRules>
</labwc_config>
END
echo 'window.active.title.bg.color: #336699' >$XDG_RUNTIME_DIR/labwc/themerc-override
exec labwc --config-dir $XDG_RUNTIME_DIR/labwc --startup "foot --override=colors.background=ff0000 \
    --override=colors.alpha=1 sh -c 'stty -echo; echo ready >\$HOME/ready; cat >\$HOME/typed'""##;

#[test]
fn labwc_runs_inside_ours_with_its_programs() {
    let tree = std::env::var_os("PUNKTFUNK_TRIXIE").map(std::path::PathBuf::from);
    if tree.is_none_or(|tree| !tree.join("usr/bin/labwc").exists()) {
        return skip("a Debian 13 root folder with labwc (PUNKTFUNK_TRIXIE names none)");
    }
    let Some(launch) = Suite::Trixie.launch() else { return };
    let bench = PrivateBench::launched(Bed::BuiltIn, launch, PrivateContent::Shell(LABWC.to_owned()));
    let mut stage = bench.open("a", MODE);
    let mark = PrivateBench::mark(&bench.journal.records()[0]);
    let mut capturer = stage.capturer().unwrap();
    let mut injector = stage.injector().unwrap();
    lend_new(&mut *capturer);
    // Its frame above, the terminal below, from edge to edge.
    frame_until(&mut *capturer, "labwc draws its frame around the terminal", |f| {
        let red = [(0.02, 0.5), (0.5, 0.97), (0.98, 0.5)].into_iter().all(|(x, y)| pixel(f, x, y) == [0xff, 0, 0]);
        red && (0..30).any(|row| pixel(f, 0.2, f64::from(row) / 720.0) == [0x33, 0x66, 0x99])
    });
    let home = bench.launch.scratch().join("home");
    wait_until("the terminal runs", || home.join("ready").exists());
    let windows = stage.windows().unwrap();
    assert_eq!(windows.len(), 1, "labwc is one window: {windows:?}");
    // H, I, Enter.
    for code in [35, 23, 28] {
        injector.inject(&key(code, true)).unwrap();
        injector.inject(&key(code, false)).unwrap();
    }
    wait_until("what was typed arrived", || std::fs::read_to_string(home.join("typed")).is_ok_and(|t| t == "hi\n"));
    assert!(living(&mark).len() > 2, "labwc, the terminal and what runs in it");
    drop((injector, capturer));
    drop(stage);
    bench.assert_nothing_left(&[mark]);
}

#[test]
fn without_a_journal_nothing_is_started() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        bench.journal.set_full(true);
        let Err(error) = bench.desktop().open(&request("a", MODE), &bench.journal()) else {
            panic!("opened without a record")
        };
        assert_eq!(error.reason.code, "state.full");
        assert_eq!(folders(&bench.config.runtime_dir).len(), 0);
    }
}

#[test]
fn a_session_bus_that_is_killed_comes_back_and_the_desktop_goes_on() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        let mut stage = bench.open("a", MODE);
        let mark = PrivateBench::mark(&bench.journal.records()[0]);
        let bus = folders(&bench.config.runtime_dir)[0].join("bus");
        let daemons = || -> Vec<i32> {
            let is_one = |pid: &i32| {
                std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "dbus-daemon")
            };
            marked(&mark).into_iter().filter(is_one).collect()
        };
        let answers = || std::os::unix::net::UnixStream::connect(&bus).is_ok();
        wait_until("the bus is there", || answers() && daemons().len() == 1);
        let first = daemons()[0];
        kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
        wait_until("there is another one", || answers() && daemons().iter().any(|pid| *pid != first));
        let command = "exec foot --app-id after sleep 1000".to_owned();
        let app = stage.launch(&AppSpec { command, ..AppSpec::default() }).unwrap();
        wait_until("a program is seen", || bench.focused() == "after");
        app.end();
        drop(stage);
        bench.assert_nothing_left(&[mark]);
    }
}

#[test]
fn a_full_runtime_folder_is_told_and_leaves_nothing_behind() {
    if !rustix::process::geteuid().is_root() {
        return skip("root, to mount a tiny file system");
    }
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let mut bench = PrivateBench::new(bed, PrivateContent::Empty).unwrap();
        let tiny = bench.launch.scratch().join("tiny");
        std::fs::create_dir(&tiny).unwrap();
        let mount = |program: &str, arguments: &[&str]| {
            let done = std::process::Command::new(program).args(arguments).arg(&tiny).status();
            assert!(done.is_ok_and(|s| s.success()), "{program}");
        };
        mount("mount", &["-t", "tmpfs", "-o", "size=128k,mode=0777", "tmpfs"]);
        bench.config.runtime_dir = tiny.join("desktops");
        bench.remake(None);
        let filler = tiny.join("filler");
        assert!(std::fs::write(&filler, vec![0; 1 << 20]).is_err(), "it is full");
        let outcome = bench.desktop().open(&request("a", MODE), &bench.journal()).map(drop);
        let left = (folders(&bench.config.runtime_dir).len(), bench.journal.records().len());
        // There is room again, and it works again.
        std::fs::remove_file(&filler).unwrap();
        mount("mount", &["-o", "remount,size=64m"]);
        let again = bench.desktop().open(&request("a", MODE), &bench.journal()).map(drop);
        drop(bench.desktop.take());
        mount("umount", &["-l"]);
        let error = outcome.expect_err("nothing fits");
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(left, (0, 0), "{error}");
        again.unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn root_is_refused_with_the_fix() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = PrivateBench::new(Suite::Installed, PrivateContent::Empty).unwrap();
    let config = punktfunk_desktop::PrivateConfig { owner: None, launcher: Vec::new(), ..bench.config.clone() };
    let error = punktfunk_desktop::PrivateDesktop::new(config, bench.environment.clone(), None).unwrap_err();
    assert_eq!(error.reason.code, "desktop.root");
}

#[test]
fn programs_are_heard_and_can_record_and_the_sound_server_goes_with_the_desktop() {
    for bed in [Bed::BuiltIn, Bed::Sway(Suite::Installed)] {
        let mut bench = PrivateBench::new(bed, PrivateContent::Empty).expect("never skipped");
        let mut stage = bench.open("heard", MODE);
        let mark = PrivateBench::mark(&bench.journal.records()[0]);
        let dir = folders(&bench.config.runtime_dir)[0].clone();
        // At once: its sound server is still on its way.
        let file = dir.join("tones.wav");
        write_tones(&file, &[440.0, 660.0], Duration::from_secs(20));
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let command = format!("exec pw-cat -p {}", file.display());
        let play = |stage: &mut Box<dyn Stage>| {
            let app = AppSpec { command: command.clone(), ..AppSpec::default() };
            stage.launch(&app).unwrap_or_else(|e| panic!("{e}"))
        };
        let mut app = play(&mut stage);
        let sound = stage.sound().unwrap_or_else(|e| panic!("{e}"));
        let request =
            AudioRequest { layout: ChannelLayout::Stereo, block: Duration::from_millis(5), also_on_host: false };
        let until = Instant::now() + PATIENCE;
        let mut source = loop {
            match sound.source(&request) {
                Ok(source) => break source,
                Err(e) => assert!(!e.fatal && Instant::now() < until, "{e}"),
            }
        };
        let mic = sound.microphone().unwrap_or_else(|e| panic!("{e}"));

        let mut block = vec![0.0; request.block_samples()];
        let mut hear = || {
            let (mut heard, until) = (Vec::new(), Instant::now() + PATIENCE);
            while heard.len() < 48_000 {
                assert!(Instant::now() < until, "the program is not heard");
                let read = source.read(&mut block, Instant::now() + Duration::from_millis(100)).unwrap();
                if matches!(read, AudioRead::Block { silent: false, .. }) {
                    heard.extend_from_slice(&block);
                }
            }
            assert!(share_at(&heard, 2, 0, 440.0) > 0.5 && share_at(&heard, 2, 1, 660.0) > 0.5);
            assert!(share_at(&heard, 2, 0, 660.0) < 0.2 && share_at(&heard, 2, 1, 440.0) < 0.2);
        };
        hear();
        // What dies is started again, and a program that is launched then is heard.
        for program in ["wireplumber", "pipewire", "pipewire-pulse"] {
            app.end();
            let named =
                |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == program);
            let pids: Vec<_> = marked(&mark).into_iter().filter(named).filter_map(Pid::from_raw).collect();
            assert!(!pids.is_empty(), "{program} runs");
            pids.iter().for_each(|pid| kill_process(*pid, Signal::KILL).unwrap());
            wait_until("it has ended", || {
                !marked(&mark).iter().any(|pid| pids.contains(&Pid::from_raw(*pid).unwrap()))
            });
            if program != "pipewire-pulse" {
                wait_until("its end was noticed", || !dir.join("sound-ready").exists());
            }
            app = play(&mut stage);
            hear();
        }
        drop((source, mic, sound));
        app.end();
        drop(stage);
        drop(bench.desktop.take());
        bench.assert_nothing_left(&[mark]);
    }
}
