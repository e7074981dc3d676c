//! Input on real sways: what is injected is what a program receives.

mod common;

use std::time::Duration;

use common::{Bed, MODE, PrivateBench, frame_until, key, lend_new, on_every_desktop, on_every_sway, pixel, wait_until};
use punktfunk_desktop::{KeyboardLayout, PrivateContent};
use punktfunk_media::{InputAction, Mode, ScrollPhase, ScrollSource};
use punktfunk_testkit::desktop::TestSway;
use punktfunk_testkit::window::{Seen, Window};

#[test]
fn text_of_any_kind_arrives_in_a_terminal() {
    on_every_desktop(|suite| {
        // The program is one that a person could run: it writes every line it reads into a file.
        let command = "exec foot sh -c 'stty -echo; echo ready >\"$HOME/ready\"; cat >\"$HOME/typed\"'".to_owned();
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Shell(command)) else { return };
        let mut stage = bench.open("a", MODE);
        let mut injector = stage.injector().unwrap();
        assert!(injector.caps().text);
        let home = bench.launch.scratch().join("home");
        wait_until("the terminal runs", || home.join("ready").exists());
        // The shell runs before its window is there; a person would see that.
        wait_until("the terminal has the keyboard", || bench.focused() == "foot");
        // Many distinct characters in a row: every one of them changes the keymap.
        let ideographs: String = ('一'..).take(300).collect();
        let alphabets: String = ('А'..='я').chain('α'..='ω').collect();
        let text = format!("Grüße €😀 \"~\\|<>\n{alphabets}\n{ideographs}\nThe quick brown fox. 0123456789\n");
        for character in text.chars() {
            injector.inject(&InputAction::Text(character)).unwrap();
        }
        let typed = || std::fs::read_to_string(home.join("typed")).unwrap_or_default();
        let until = std::time::Instant::now() + common::PATIENCE;
        while typed().len() < text.len() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(typed(), text, "{suite:?}");
        // And the keyboard for keys still works, with its modifiers: Shift+A, Enter, Ctrl+D.
        for (code, down) in
            [(42, true), (30, true), (30, false), (42, false), (28, true), (28, false), (29, true), (32, true)]
        {
            injector.inject(&key(code, down)).unwrap();
        }
        for code in [32, 29] {
            injector.inject(&key(code, false)).unwrap();
        }
        wait_until("Shift+A and Enter arrived", || typed() == format!("{text}A\n"));
        let mark = PrivateBench::mark(&bench.journal.records()[0]);
        wait_until("Ctrl+D ended the program", || {
            common::living(&mark)
                .iter()
                .all(|pid| !std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "cat"))
        });
    });
}

#[test]
fn keys_follow_the_desktops_layout() {
    on_every_desktop(|suite| {
        let Some(mut bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let german = Some(KeyboardLayout::parse("de:nodeadkeys"));
        let localed = ["/etc/X11/xorg.conf.d/00-keyboard.conf", "/etc/default/keyboard", "/etc/vconsole.conf"];
        if localed.iter().any(|f| std::path::Path::new(f).exists()) {
            // The machine has a layout of its own, which comes before the configuration's: use the environment, which
            // comes before both.
            let pairs: Vec<_> = bench.launch.pairs().chain([("XKB_DEFAULT_LAYOUT", "de")]).collect();
            bench.environment = punktfunk_desktop::Environment::from_pairs(pairs);
        }
        bench.remake(german);
        let mut stage = bench.open("a", MODE);
        assert!(stage.keyboard_layout().starts_with("de"), "{}", stage.keyboard_layout());
        let mut injector = stage.injector().unwrap();
        let window = Window::open(&bench.display(), None, [10, 10, 10]);
        window.wait("the keyboard", |seen| seen.contains(&Seen::KeyboardEnter));
        window.forget();
        // Z and Y exchanged; AltGr+Q is @; Shift+2 is "; keypad digits with Num Lock on.
        let strokes = [(21, true), (21, false), (44, true), (44, false), (100, true), (16, true), (16, false)];
        let more = [(100, false), (42, true), (3, true), (3, false), (42, false), (79, true), (79, false)];
        for (code, down) in strokes.into_iter().chain(more) {
            injector.inject(&key(code, down)).unwrap();
        }
        window.wait("the last key", |seen| seen.iter().any(|s| matches!(s, Seen::Key { code: 79, down: false, .. })));
        assert_eq!(window.typed(), "zy@\"1", "{suite:?}: {:?}", window.seen());
        // Text does not care for the layout, also while a modifier is held, and gives the keyboard back.
        window.forget();
        injector.inject(&key(29, true)).unwrap();
        for character in "@yZ€".chars() {
            injector.inject(&InputAction::Text(character)).unwrap();
        }
        injector.inject(&key(29, false)).unwrap();
        injector.inject(&key(39, true)).unwrap();
        injector.inject(&key(39, false)).unwrap();
        window.wait("the last key", |seen| seen.iter().any(|s| matches!(s, Seen::Key { code: 39, down: false, .. })));
        assert_eq!(window.typed(), "@yZ€ö", "{suite:?}: {:?}", window.seen());
    });
}

#[test]
fn the_pointer_lands_on_the_very_pixel() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let odd = Mode { width: 1365, height: 767, refresh_hz: 60 };
        let mut stage = bench.open("a", odd);
        let mut injector = stage.injector().unwrap();
        let window = Window::open(&bench.display(), None, [10, 10, 10]);
        window.wait("its full size", |seen| seen.contains(&Seen::Shown { width: 1365, height: 767 }));
        for (x, y) in [(0u32, 0u32), (1, 1), (682, 383), (1000, 3), (3, 700), (1364, 766)] {
            let (fx, fy) = (f64::from(x) / 1365.0, f64::from(y) / 767.0);
            injector.inject(&InputAction::MotionAbs { x: fx, y: fy }).unwrap();
            let (x, y) = (f64::from(x), f64::from(y));
            window.wait("the exact position", |seen| {
                seen.iter().any(|s| {
                    matches!(s, Seen::Motion { x: a, y: b } | Seen::PointerEnter { x: a, y: b }
                    if (*a, *b) == (x, y))
                })
            });
        }
        // Relative motion adds up to the exact place, fractions included, and stays on the output.
        injector.inject(&InputAction::MotionAbs { x: 100.0 / 1365.0, y: 100.0 / 767.0 }).unwrap();
        for _ in 0..4 {
            injector.inject(&InputAction::Motion { dx: 2.5, dy: -1.25 }).unwrap();
        }
        window.wait("the sum", |seen| seen.contains(&Seen::Motion { x: 110.0, y: 95.0 }));
        window.forget();
        injector.inject(&InputAction::Motion { dx: 1e6, dy: 1e6 }).unwrap();
        window.wait("the corner", |seen| {
            seen.iter().any(|s| matches!(s, Seen::Motion { x, y } if *x >= 1364.0 && *y >= 766.0))
        });
        assert!(!window.seen().contains(&Seen::PointerLeave));
        window.forget();
        for down in [true, false] {
            injector.inject(&InputAction::Button { code: 0x110, down }).unwrap();
        }
        let seen = window.wait("the click", |s| s.contains(&Seen::Button { code: 0x110, down: false }));
        assert_eq!(
            seen,
            [Seen::Button { code: 0x110, down: true }, Seen::Button { code: 0x110, down: false }],
            "{suite:?}"
        );
    });
}

#[test]
fn the_scale_changes_while_the_stream_runs_and_the_pointer_stays_exact() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let rounded_up = |a: u32, b: u32| i32::try_from(a.div_ceil(b)).unwrap();
        let mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };
        let mut stage = bench.open("a", mode);
        let mut injector = stage.injector().unwrap();
        let mut capturer = stage.capturer().unwrap();
        lend_new(&mut *capturer);
        let window = Window::open(&bench.display(), None, [9, 99, 199]);
        for percent in [125u32, 150, 200, 100] {
            window.forget();
            stage.set_scale_percent(percent).unwrap();
            assert_eq!((stage.scale_percent(), stage.mode()), (percent, mode), "{suite:?}");
            // The window has its new size in units of its own, and is all of the picture, whose pixels stay as many.
            let (width, height) = (rounded_up(192_000, percent), rounded_up(108_000, percent));
            window.wait("its size at the new scale", |seen| seen.contains(&Seen::Shown { width, height }));
            let shown = frame_until(&mut *capturer, "all of it", |f| {
                // Sway's pixman darkens the rim of what it stretches, and this program knows no fractions.
                let rim = if suite == Bed::BuiltIn { 0.0 } else { 0.005 };
                let far = 0.999 - rim;
                let corners = [(rim, rim), (far, rim), (rim, far), (far, far)];
                corners.iter().all(|(x, y)| pixel(f, *x, *y) == [9, 99, 199])
            });
            assert_eq!((shown.layout.width, shown.layout.height), (1920, 1080));
            capturer.lend(shown.slot).unwrap();
            for (x, y) in [(0u32, 0u32), (1919, 1079), (683, 383), (1001, 3)] {
                let (fx, fy) = (f64::from(x) / 1920.0, f64::from(y) / 1080.0);
                injector.inject(&InputAction::MotionAbs { x: fx, y: fy }).unwrap();
                let pixel_of = |at: f64| (at * f64::from(percent) / 100.0 + 1e-6).floor();
                window.wait("the very pixel", |seen| {
                    seen.iter().any(|s| {
                        matches!(s, Seen::Motion { x: a, y: b } | Seen::PointerEnter { x: a, y: b }
                        if (pixel_of(*a), pixel_of(*b)) == (f64::from(x), f64::from(y)))
                    })
                });
            }
        }
        for absurd in [0, 99, 101, 305, u32::MAX] {
            let error = stage.set_scale_percent(absurd).unwrap_err();
            assert_eq!((error.reason.code, error.fatal), ("desktop.scale_refused", false));
        }
        assert!(!window.seen().iter().any(|s| matches!(s, Seen::Gone(_))), "{:?}", window.seen());
    });
}

#[test]
fn the_pointer_is_exact_on_every_output_at_every_scale() {
    on_every_sway(|suite| {
        let Some(launch) = suite.launch() else { return };
        // Beside each other, each reached through an injector of its own.
        let outputs = [
            ("HEADLESS-1", (1280u32, 720u32), 1.0, [10, 10, 10]),
            ("HEADLESS-2", (1920, 1080), 1.5, [20, 20, 20]),
            ("HEADLESS-3", (2560, 1440), 2.0, [30, 30, 30]),
        ];
        let mut config = String::new();
        for (at, (name, (width, height), scale, _)) in outputs.iter().enumerate() {
            let (mode, left) = (format!("{width}x{height}@60Hz"), at * 1280);
            config += &format!("output {name} mode --custom {mode} scale {scale} position {left} 0\n");
        }
        let sway = TestSway::start(&launch, &config);
        for _ in 1..outputs.len() {
            let made = std::process::Command::new("swaymsg").arg("-s").arg(&sway.ipc).arg("create_output").output();
            assert!(made.unwrap().status.success());
        }
        let last = |seen: &[Seen]| {
            seen.iter().rev().find_map(|s| match s {
                Seen::Motion { x, y } | Seen::PointerEnter { x, y } => Some((*x, *y)),
                _ => None,
            })
        };
        for (name, (width, height), scale, colour) in outputs {
            let window = Window::open(&sway.display, Some(name), colour);
            window.wait("its full size", |seen| seen.contains(&Seen::Shown { width: 1280, height: 720 }));
            let mut injector = punktfunk_inject::open(
                &sway.display,
                name,
                &punktfunk_inject::LiveLayout::new(KeyboardLayout::named("us")),
            )
            .unwrap();
            let (w, h) = (f64::from(width), f64::from(height));
            for (x, y) in
                [(0, 0), (1, 2), (2, 1), (3, 5), (640, 359), (1001, 700), (width / 2, 7), (width - 1, height - 1)]
            {
                injector.inject(&InputAction::MotionAbs { x: f64::from(x) / w, y: f64::from(y) / h }).unwrap();
                window.wait(&format!("pixel {x} {y} of {name}, {suite:?}"), |seen| {
                    let pixel = |place: f64| (place * scale).floor();
                    last(seen).is_some_and(|(a, b)| (pixel(a), pixel(b)) == (f64::from(x), f64::from(y)))
                });
            }
            // Relative motion is in the desktop's own pixels, as from a mouse, and adds up exactly.
            injector.inject(&InputAction::MotionAbs { x: 0.25, y: 0.25 }).unwrap();
            window.wait("a quarter", |seen| last(seen) == Some((320.0, 180.0)));
            for _ in 0..8 {
                injector.inject(&InputAction::Motion { dx: 2.625, dy: -1.375 }).unwrap();
            }
            window.wait(&format!("the sum on {name}, {suite:?}"), |seen| last(seen) == Some((341.0, 169.0)));
            // And it stays on its output.
            window.forget();
            for dx in [1e6, -1e6] {
                injector.inject(&InputAction::Motion { dx, dy: 0.0 }).unwrap();
                let edge = if dx > 0.0 { 1279.0..1280.0 } else { 0.0..1.0 };
                window.wait(&format!("the edge of {name}, {suite:?}"), |seen| {
                    last(seen).is_some_and(|(x, _)| edge.contains(&x))
                });
            }
            assert!(!window.seen().contains(&Seen::PointerLeave), "{name}, {suite:?}");
        }
    });
}

#[test]
fn every_button_of_a_mouse_arrives() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let mut injector = stage.injector().unwrap();
        let window = Window::open(&bench.display(), None, [10, 10, 10]);
        injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
        window.wait("the pointer", |seen| {
            seen.iter().any(|s| matches!(s, Seen::PointerEnter { .. } | Seen::Motion { .. }))
        });
        window.forget();
        // Left, right, middle, back, forward; the last two held together.
        let (left, right, middle, back, forward) = (0x110, 0x111, 0x112, 0x113, 0x114);
        let strokes = [left, right, middle].into_iter().flat_map(|code| [(code, true), (code, false)]);
        let strokes: Vec<_> = strokes.chain([(back, true), (forward, true), (back, false), (forward, false)]).collect();
        for (code, down) in &strokes {
            injector.inject(&InputAction::Button { code: *code, down: *down }).unwrap();
        }
        let end = Seen::Button { code: forward.into(), down: false };
        let mut seen = window.wait("the last button", |seen| seen.contains(&end));
        seen.retain(|s| matches!(s, Seen::Button { .. }));
        let expected: Vec<_> =
            strokes.iter().map(|(code, down)| Seen::Button { code: (*code).into(), down: *down }).collect();
        assert_eq!(seen, expected, "{suite:?}");
    });
}

#[test]
fn fractions_of_detents_and_phases_are_kept() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let mut injector = stage.injector().unwrap();
        let window = Window::open(&bench.display(), None, [10, 10, 10]);
        injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
        window.wait("the pointer", |seen| {
            seen.iter().any(|s| matches!(s, Seen::PointerEnter { .. } | Seen::Motion { .. }))
        });
        let mut scroll = |horizontal, source, phase, delta| {
            injector.inject(&InputAction::Scroll { horizontal, source, phase, delta }).unwrap();
        };
        let values = |seen: &[Seen], across: bool| -> Vec<f64> {
            let of = |s: &Seen| match s {
                Seen::Axis { horizontal, value } if *horizontal == across => Some(*value),
                _ => None,
            };
            seen.iter().filter_map(of).collect()
        };
        // A wheel of 16 steps a detent: every step moves the page, and the sixteenth completes the detent.
        window.forget();
        for _ in 0..16 {
            scroll(false, ScrollSource::Wheel, ScrollPhase::None, 7.5);
        }
        let whole = |s: &Seen| matches!(s, Seen::AxisDiscrete { steps: 1, .. } | Seen::AxisValue120 { units: 120, .. });
        let units = |s: &Seen| if let Seen::AxisValue120 { units, .. } = s { Some(*units) } else { None };
        if suite == Bed::BuiltIn {
            // Ours tells every step in its own units, and loses none of the halves.
            let seen = window.wait("the detent", |seen| values(seen, false).len() >= 16);
            assert_eq!(values(&seen, false), [0.9375; 16]);
            assert_eq!(seen.iter().filter_map(units).sum::<i32>(), 120, "{seen:?}");
        } else {
            let seen = window.wait("the detent", |seen| seen.iter().any(whole) && values(seen, false).len() >= 16);
            assert_eq!(values(&seen, false), [0.9375; 16], "{suite:?}");
            assert_eq!(seen.iter().filter(|s| whole(s)).count(), 1, "{suite:?}: {seen:?}");
        }

        // Two fingers across and down at once, then lifted, the last with what they still moved.
        window.forget();
        scroll(true, ScrollSource::Finger, ScrollPhase::Active, -3.5);
        scroll(false, ScrollSource::Finger, ScrollPhase::Active, 0.25);
        scroll(true, ScrollSource::Finger, ScrollPhase::End, -1.5);
        scroll(false, ScrollSource::Finger, ScrollPhase::End, 0.0);
        let stop = |horizontal| Seen::AxisStop { horizontal };
        let seen = window.wait("the lifts", |s| s.contains(&stop(true)) && s.contains(&stop(false)));
        assert_eq!((values(&seen, true), values(&seen, false)), (vec![-3.5, -1.5], vec![0.25]), "{suite:?}: {seen:?}");
        let sources: Vec<_> = seen.iter().filter(|s| matches!(s, Seen::AxisSource(_))).collect();
        assert!(sources.iter().all(|s| **s == Seen::AxisSource(1)), "{suite:?}: {seen:?}");

        // Anything continuous has a source of its own.
        window.forget();
        scroll(false, ScrollSource::Continuous, ScrollPhase::Active, 4.0);
        scroll(false, ScrollSource::Continuous, ScrollPhase::End, 0.0);
        let seen = window.wait("its end", |seen| seen.contains(&stop(false)));
        assert_eq!(values(&seen, false), [4.0], "{suite:?}: {seen:?}");
        assert!(seen.contains(&Seen::AxisSource(2)), "{suite:?}: {seen:?}");
    });
}

#[test]
fn wheels_and_fingers_scroll_as_they_should() {
    on_every_desktop(|suite| {
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let mut stage = bench.open("a", MODE);
        let mut injector = stage.injector().unwrap();
        let window = Window::open(&bench.display(), None, [10, 10, 10]);
        injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
        window.wait("the pointer", |seen| {
            seen.iter().any(|s| matches!(s, Seen::PointerEnter { .. } | Seen::Motion { .. }))
        });
        let mut scroll = |horizontal, source, phase, delta| {
            injector.inject(&InputAction::Scroll { horizontal, source, phase, delta }).unwrap();
        };
        let sum = |seen: &[Seen], across: bool| -> f64 {
            seen.iter()
                .filter_map(|s| match s {
                    Seen::Axis { horizontal, value } if *horizontal == across => Some(*value),
                    _ => None,
                })
                .sum()
        };
        let detents = |seen: &[Seen], across: bool| -> i32 {
            seen.iter()
                .map(|s| match s {
                    Seen::AxisDiscrete { horizontal, steps } if *horizontal == across => steps * 120,
                    Seen::AxisValue120 { horizontal, units } if *horizontal == across => *units,
                    _ => 0,
                })
                .sum()
        };

        // Two whole detents down, one up; four quarters to the right.
        window.forget();
        scroll(false, ScrollSource::Wheel, ScrollPhase::None, 240.0);
        scroll(false, ScrollSource::Wheel, ScrollPhase::None, -120.0);
        for _ in 0..4 {
            scroll(true, ScrollSource::Wheel, ScrollPhase::None, 30.0);
        }
        let seen = window.wait("the wheel", |s| sum(s, false) == 15.0 && sum(s, true) == 15.0);
        window.wait("the detents", |s| detents(s, false) == 120 && detents(s, true) == 120);
        assert!(seen.iter().all(|s| !matches!(s, Seen::AxisSource(1 | 2))), "{suite:?}: {seen:?}");

        // A finger: exact distances, then the lift.
        window.forget();
        scroll(false, ScrollSource::Finger, ScrollPhase::Active, 7.5);
        scroll(false, ScrollSource::Finger, ScrollPhase::Active, 2.25);
        scroll(false, ScrollSource::Finger, ScrollPhase::End, 0.0);
        let seen = window.wait("the lift", |s| s.contains(&Seen::AxisStop { horizontal: false }));
        assert_eq!(sum(&seen, false), 9.75, "{suite:?}: {seen:?}");
        assert_eq!(detents(&seen, false), 0, "{suite:?}: {seen:?}");
        assert!(seen.contains(&Seen::AxisSource(1)), "{suite:?}: {seen:?}");
        assert!(!seen.contains(&Seen::AxisSource(0)), "{suite:?}: {seen:?}");
    });
}

#[test]
fn what_cannot_be_injected_is_refused_and_the_rest_goes_on() {
    let bench = PrivateBench::new(punktfunk_testkit::desktop::Suite::Installed, PrivateContent::Empty).unwrap();
    let mut stage = bench.open("a", MODE);
    let mut injector = stage.injector().unwrap();
    assert!(!injector.caps().touch);
    for action in [InputAction::TouchDown { id: 0, x: 0.5, y: 0.5 }, InputAction::Text('\u{7}')] {
        let error = injector.inject(&action).unwrap_err();
        assert_eq!((error.reason.code, error.fatal), ("inject.unsupported", false));
    }
    injector.inject(&InputAction::Motion { dx: 1.0, dy: 1.0 }).unwrap();
    let _ = bench.desktop().info();
}
