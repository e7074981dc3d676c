//! A running sway session: outputs come and go beside the person's own.

mod common;

use std::sync::Arc;

use common::{MODE, frame_until, key, lend_new, next_frame, on_every_sway, pixel, request, wait_until};
use punktfunk_desktop::{
    Candidate, DesktopChoice, DetectConfig, Environment, KeyboardLayout, PrivateConfig, SessionSockets, WlrootsDesktop,
    detect, probe, undo,
};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{AudioPolicyCell, Desktop, InputAction, Journal, Mode, Stage, Transform};
use punktfunk_testkit::desktop::{Suite, TestSway};
use punktfunk_testkit::window::{Seen, Window};

struct Bench {
    desktop: WlrootsDesktop,
    journal: Arc<MemoryJournal>,
    sway: TestSway,
    // Last: its scratch folder holds the sockets.
    launch: punktfunk_testkit::desktop::Launch,
}

impl Bench {
    fn new(suite: common::Bed, config: &str) -> Option<Self> {
        let launch = suite.launch()?;
        let sway = TestSway::start(&launch, config);
        let sockets = SessionSockets { ipc: sway.ipc.clone(), display: sway.display.clone() };
        let desktop =
            WlrootsDesktop::connect(sockets, Environment::default(), None, AudioPolicyCell::default()).unwrap();
        Some(Self { desktop, journal: MemoryJournal::new(), sway, launch })
    }

    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal) as Arc<dyn Journal>
    }

    fn open(&self, identity: &str, mode: Mode) -> Box<dyn Stage> {
        self.desktop.open(&request(identity, mode), &self.journal()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Every output, as sway tells it.
    fn outputs(&self) -> Vec<serde_json::Value> {
        let output = std::process::Command::new("swaymsg")
            .arg("-s")
            .arg(&self.sway.ipc)
            .args(["-r", "-t", "get_outputs"])
            .output()
            .expect("swaymsg is installed with sway");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Name, place and size of every output in use, as sway tells it. One that sway 1.7 could not remove has shrunk to
    /// 16x16 and does not count.
    fn active(&self) -> Vec<(String, i64, i64, i64)> {
        let outputs = self.outputs();
        let active = outputs.iter().filter(|o| o["active"] == true && o["rect"]["width"] != 16);
        let number = |o: &serde_json::Value, key: &str| o["rect"][key].as_i64().unwrap();
        let all = active
            .map(|o| (o["name"].as_str().unwrap().to_owned(), number(o, "x"), number(o, "width"), number(o, "height")));
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    }
}

fn mode(width: u32, height: u32, refresh_hz: u32) -> Mode {
    Mode { width, height, refresh_hz }
}

/// A headless sway reads no devices of the kernel: the session goes on, and nobody is promised touch.
#[test]
fn a_headless_session_takes_no_touch_and_says_why() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "") else { return };
        assert_eq!(bench.desktop.touch().map_err(|reason| reason.code), Err("input.touch_unsupported"));
        let mut stage = bench.open("a", MODE);
        let caps = stage.injector().expect("keys and a pointer").caps();
        assert!(caps.text && caps.precise_scroll && !caps.touch && !caps.pen, "{suite:?}: {caps:?}");
        let records = bench.journal.records();
        assert!(records.len() == 1 && !records[0].change.contains("mapped"), "nothing was mapped: {records:?}");
    });
}

#[test]
fn outputs_come_and_go_and_the_persons_own_stays() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "") else { return };
        let own = bench.active();
        assert_eq!(own, [("HEADLESS-1".to_owned(), 0, 1280, 720)]);
        let mut first = bench.open("a", mode(1920, 1080, 120));
        let mut second = bench.open("b", mode(800, 600, 75));
        let active = bench.active();
        assert_eq!(active.len(), 3, "{suite:?}: {active:?}");
        assert_eq!(active[0], own[0], "the person's output is where it was");
        assert_eq!((active[1].1, active[1].2, active[1].3), (1280, 1920, 1080));
        assert_eq!((active[2].1, active[2].2, active[2].3), (3200, 800, 600));
        for (stage, size) in [(&mut first, (1920, 1080)), (&mut second, (800, 600))] {
            assert!(stage.is_alive());
            let mut capturer = stage.capturer().unwrap();
            lend_new(&mut *capturer);
            let layout = next_frame(&mut *capturer).layout;
            assert_eq!((layout.width, layout.height), size);
        }
        assert_eq!(bench.journal.records().len(), 2);
        drop(first);
        assert!(second.is_alive());
        drop(second);
        assert_eq!(bench.active(), own, "{suite:?}");
        assert_eq!(bench.journal.records(), Vec::new());
    });
}

#[test]
fn outputs_do_not_pile_up() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "") else { return };
        let own = bench.active();
        for round in 0..5u32 {
            let stage = bench.open("a", mode(1000 + round, 700, 60));
            assert_eq!(stage.mode(), mode(1000 + round, 700, 60));
            assert_eq!(bench.active().len(), 2);
        }
        assert_eq!(bench.active(), own);
        let all = bench.outputs();
        // Sway 1.7 cannot remove an output: the same one is used again every time.
        assert!(all.len() <= 2, "{suite:?}: {} outputs after five stages", all.len());
    });
}

#[test]
fn input_lands_on_the_stages_own_output_however_many_there_are() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "") else { return };
        let mut first = bench.open("a", mode(1000, 700, 60));
        let mut first_input = first.injector().unwrap();
        let mut second = bench.open("b", mode(640, 480, 60));
        let mut second_input = second.injector().unwrap();
        let names: Vec<_> = bench.active().into_iter().map(|o| o.0).collect();
        let windows: Vec<_> = names[1..]
            .iter()
            .zip([[200, 0, 0], [0, 200, 0]])
            .map(|(name, rgb)| Window::open(&bench.sway.display, Some(name), rgb))
            .collect();
        let place = |x: f64, y: f64, w: f64, h: f64| InputAction::MotionAbs { x: x / w, y: y / h };
        let arrived = |window: &Window, x: f64, y: f64| {
            window.wait("the exact position", |seen| {
                seen.iter().any(|s| {
                    matches!(s, Seen::Motion { x: a, y: b } | Seen::PointerEnter { x: a, y: b }
                    if (*a, *b) == (x, y))
                })
            });
        };
        first_input.inject(&place(123.0, 456.0, 1000.0, 700.0)).unwrap();
        arrived(&windows[0], 123.0, 456.0);
        second_input.inject(&place(639.0, 479.0, 640.0, 480.0)).unwrap();
        arrived(&windows[1], 639.0, 479.0);
        // The far edge belongs to this output, not to its neighbour.
        first_input.inject(&InputAction::MotionAbs { x: 1.0, y: 0.0 }).unwrap();
        windows[0].wait("the far edge", |seen| {
            seen.iter().any(|s| matches!(s, Seen::Motion { x, .. } | Seen::PointerEnter { x, .. } if *x >= 999.0))
        });
        // A third output comes: sway rearranges, the mapping stays.
        let third = bench.open("c", mode(320, 240, 60));
        first_input.inject(&place(500.0, 350.0, 1000.0, 700.0)).unwrap();
        arrived(&windows[0], 500.0, 350.0);
        drop(third);
        second_input.inject(&place(10.0, 20.0, 640.0, 480.0)).unwrap();
        arrived(&windows[1], 10.0, 20.0);
        // And so after a change of mode.
        first.set_mode(mode(800, 500, 60)).unwrap();
        windows[0].wait("the new size", |seen| seen.contains(&Seen::Shown { width: 800, height: 500 }));
        first_input.inject(&place(799.0, 1.0, 800.0, 500.0)).unwrap();
        arrived(&windows[0], 799.0, 1.0);
        let mut capturer = first.capturer().unwrap();
        lend_new(&mut *capturer);
        frame_until(&mut *capturer, "the first window", |f| pixel(f, 0.1, 0.9) == [200, 0, 0]);
    });
}

#[test]
fn windows_on_a_leaving_output_stay_reachable() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "") else { return };
        let stage = bench.open("a", mode(1000, 700, 60));
        let name = bench.active()[1].0.clone();
        let window = Window::open(&bench.sway.display, Some(&name), [200, 0, 0]);
        window.wait("its size there", |seen| seen.contains(&Seen::Shown { width: 1000, height: 700 }));
        window.forget();
        drop(stage);
        window.wait("its size on the person's output", |seen| seen.contains(&Seen::Shown { width: 1280, height: 720 }));
        assert_eq!(bench.active().len(), 1, "{suite:?}");
    });
}

#[test]
fn a_turned_output_is_told_with_its_transform() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "default_border none") else { return };
        let mut stage = bench.open("a", mode(600, 400, 60));
        let name = bench.active()[1].0.clone();
        // Upright, a person sees red on the left and green on the right.
        let _left = Window::open_tiled(&bench.sway.display, [200, 0, 0]);
        let _right = Window::open_tiled(&bench.sway.display, [0, 200, 0]);
        let turn = |by: &str| {
            let mut swaymsg = std::process::Command::new("swaymsg");
            let status = swaymsg.arg("-s").arg(&bench.sway.ipc).arg(format!("output {name} transform {by}")).output();
            assert!(status.unwrap().status.success());
        };
        let mut capturer = stage.capturer().unwrap();
        lend_new(&mut *capturer);
        // Where red and green lie in memory, after `wl_output.transform`: 90 is content turned counter-clockwise. (Sway's
        // own command counts clockwise.)
        for (by, transform, red, green) in [
            ("270", Transform::Rotate90, (0.5, 0.75), (0.5, 0.25)),
            ("180", Transform::Rotate180, (0.75, 0.5), (0.25, 0.5)),
            ("90", Transform::Rotate270, (0.5, 0.25), (0.5, 0.75)),
            ("flipped", Transform::Flipped, (0.75, 0.5), (0.25, 0.5)),
            ("normal", Transform::Normal, (0.25, 0.5), (0.75, 0.5)),
        ] {
            turn(by);
            let frame = frame_until(&mut *capturer, &format!("{suite:?}: turned by {by}"), |f| {
                f.layout.transform == transform
                    && pixel(f, red.0, red.1) == [200, 0, 0]
                    && pixel(f, green.0, green.1) == [0, 200, 0]
            });
            assert_eq!((frame.layout.width, frame.layout.height), (600, 400), "memory lies as it did");
            capturer.lend(frame.slot).unwrap();
        }
    });
}

#[test]
fn a_removed_output_and_a_crashed_session_are_told_with_their_reasons() {
    on_every_sway(|suite| {
        let Some(mut bench) = Bench::new(suite, "") else { return };
        let mut stage = bench.open("a", MODE);
        let record = bench.journal.records().remove(0);
        let mut capturer = stage.capturer().unwrap();
        lend_new(&mut *capturer);
        let frame = next_frame(&mut *capturer);
        capturer.lend(frame.slot).unwrap();
        // As a watchdog would, from the record alone; twice, since two may try.
        undo(&record).unwrap();
        undo(&record).unwrap();
        assert_eq!(bench.active().len(), 1, "{suite:?}");
        let can_unplug = bench.outputs().len() == 1;
        assert_eq!(
            can_unplug,
            suite != common::Bed::Sway(Suite::Installed) || !bench.desktop.info().version.starts_with("sway 1.7")
        );
        loop {
            match capturer.wait(std::time::Instant::now() + common::PATIENCE) {
                Err(error) => {
                    assert_eq!((error.reason.code, error.fatal), ("capture.lost", true), "{suite:?}: {error}");
                    break;
                }
                Ok(punktfunk_media::Captured::Frame(frame)) => capturer.lend(frame.slot).unwrap(),
                Ok(punktfunk_media::Captured::LayoutChanged(layout)) if !can_unplug => {
                    assert_eq!((layout.width, layout.height), (16, 16), "parked");
                    break;
                }
                Ok(other) => panic!("{suite:?}: {other:?}"),
            }
        }
        assert!(!stage.is_alive());
        drop((capturer, stage));

        let mut stage = bench.open("a", MODE);
        let mut capturer = stage.capturer().unwrap();
        bench.sway.crash();
        let error = capturer.wait(std::time::Instant::now() + common::PATIENCE).unwrap_err();
        assert_eq!((error.reason.code, error.fatal), ("desktop.died", true), "{suite:?}");
        assert!(!stage.is_alive());
        let Err(error) = stage.capturer().map(drop) else { panic!("a capturer of a dead session") };
        assert_eq!(error.reason.code, "desktop.died");
        drop((capturer, stage));
        assert_eq!(bench.journal.records(), Vec::new());
        let Err(error) = bench.desktop.open(&request("a", MODE), &bench.journal()) else {
            panic!("opened on a dead session")
        };
        assert_eq!(error.reason.code, "desktop.open_failed");
    });
}

#[test]
fn a_session_is_found_by_the_environment_or_by_its_sockets() {
    on_every_sway(|suite| {
        let Some(bench) = Bench::new(suite, "") else { return };
        let runtime_dir = bench.sway.runtime_dir.to_str().unwrap();
        let by_folder = Environment::from_pairs([("XDG_RUNTIME_DIR", runtime_dir)]);
        let sockets = SessionSockets { ipc: bench.sway.ipc.clone(), display: bench.sway.display.clone() };
        let found = SessionSockets::find(&by_folder);
        assert_eq!(found.iter().map(|f| &f.0).collect::<Vec<_>>(), [&sockets], "{suite:?}");
        let by_variable = Environment::from_pairs([("SWAYSOCK", bench.sway.ipc.to_str().unwrap())]);
        assert_eq!(SessionSockets::find(&by_variable)[0].0, sockets);
        assert!(SessionSockets::find(&Environment::default()).is_empty());

        let config = DetectConfig {
            choice: DesktopChoice::Auto,
            environment: by_folder,
            keyboard: None,
            private: PrivateConfig {
                launcher: bench.launch.prefix.clone(),
                owner: bench.launch.owner,
                ..PrivateConfig::below(bench.launch.scratch().join("desktops"))
            },
            audio: AudioPolicyCell::default(),
        };
        let candidates = detect(&config);
        assert_eq!(candidates.iter().map(|c| c.name).collect::<Vec<_>>(), ["sway", "private-sway"]);
        let Candidate { desktop: Ok(desktop), .. } = &candidates[0] else { panic!("{candidates:?}") };
        let report = probe(&**desktop, mode(1111, 666, 60), &bench.journal()).unwrap();
        assert_eq!(report.mode, "1111x666@60");
        assert!(report.picture.starts_with("1111x666 stride 4444"), "{}", report.picture);
        assert_eq!(report.input, Ok(()));
        assert!(report.desktop.version.starts_with("sway 1."), "{}", report.desktop.version);
        assert_eq!(bench.active().len(), 1);

        let nothing = DetectConfig { choice: DesktopChoice::Wlroots, environment: Environment::default(), ..config };
        let candidates = detect(&nothing);
        let error = candidates[0].desktop.as_ref().err().expect("no session");
        assert_eq!((candidates.len(), error.reason.code), (1, "desktop.missing"));
    });
}

#[test]
fn the_layout_of_the_desktops_own_keyboard_is_used() {
    on_every_sway(|suite| {
        let Some(launch) = suite.launch() else { return };
        // A headless sway has no keyboard. One inside another has: the outer seat's, which it takes for hardware.
        let outer = TestSway::start(&launch, "");
        let keyboard = punktfunk_inject::open(
            &outer.display,
            "HEADLESS-1",
            &punktfunk_inject::LiveLayout::new(KeyboardLayout::named("us")),
        )
        .unwrap();
        let layouts = "input type:keyboard {\nxkb_layout us,de\nxkb_variant ,nodeadkeys\n}\n";
        let inner = TestSway::start_inside(&outer, &launch, layouts);
        let sockets = SessionSockets { ipc: inner.ipc.clone(), display: inner.display.clone() };
        // Sway's word comes before the environment's and the configuration's.
        let environment = Environment::from_pairs([("XKB_DEFAULT_LAYOUT", "it")]);
        let configured = Some(KeyboardLayout::named("se"));
        let desktop = WlrootsDesktop::connect(sockets, environment, configured, AudioPolicyCell::default()).unwrap();
        let journal: Arc<dyn Journal> = MemoryJournal::new();
        wait_until("the nested seat has its keyboard", || {
            desktop.keyboard_layout().is_some_and(|l| l == "us (from sway)")
        });

        // A person switches to their other layout: the next stage types in it, and doctor says so.
        let switched = std::process::Command::new("swaymsg")
            .arg("-s")
            .arg(&inner.ipc)
            .args(["input", "type:keyboard", "xkb_switch_layout", "1"])
            .output()
            .expect("swaymsg is installed with sway");
        assert!(switched.status.success(), "{suite:?}: {}", String::from_utf8_lossy(&switched.stdout));
        let german = "de(nodeadkeys) (from sway)";
        assert_eq!(desktop.keyboard_layout().as_deref(), Some(german), "{suite:?}");
        let mut stage = desktop.open(&request("a", MODE), &journal).unwrap();
        assert_eq!(stage.keyboard_layout(), german, "{suite:?}");
        // Our own keyboard on the seat is no answer to what the person has.
        let mut injector = stage.injector().unwrap();
        assert_eq!(desktop.keyboard_layout().as_deref(), Some(german), "{suite:?}");

        let window = Window::open(&inner.display, None, [10, 10, 10]);
        window.wait("the keyboard", |seen| seen.contains(&Seen::KeyboardEnter));
        window.forget();
        for down in [true, false] {
            injector.inject(&key(21, down)).unwrap();
        }
        window.wait("the key", |seen| seen.iter().any(|s| matches!(s, Seen::Key { code: 21, down: false, .. })));
        assert_eq!(window.typed(), "z", "{suite:?}: {:?}", window.seen());
        drop((injector, window, stage, inner, keyboard, outer));
    });
}
