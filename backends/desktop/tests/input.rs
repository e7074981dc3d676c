//! Input on real sways: what is injected is what a program receives.

mod common;

use std::time::Duration;

use common::{MODE, PrivateBench, key, on_every_sway, wait_until};
use punktfunk_desktop::{KeyboardLayout, PrivateContent, PrivateDesktop};
use punktfunk_media::{Desktop, InputAction, Mode, ScrollPhase, ScrollSource};
use punktfunk_testkit::window::{Seen, Window};

#[test]
fn text_of_any_kind_arrives_in_a_terminal() {
    on_every_sway(|suite| {
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
    on_every_sway(|suite| {
        let Some(mut bench) = PrivateBench::new(suite, PrivateContent::Empty) else { return };
        let german = Some(KeyboardLayout::parse("de:nodeadkeys"));
        let localed = ["/etc/X11/xorg.conf.d/00-keyboard.conf", "/etc/default/keyboard", "/etc/vconsole.conf"];
        if localed.iter().any(|f| std::path::Path::new(f).exists()) {
            // The machine has a layout of its own, which comes before the configuration's: use the environment, which
            // comes before both.
            let pairs: Vec<_> = bench.launch.pairs().chain([("XKB_DEFAULT_LAYOUT", "de")]).collect();
            bench.environment = punktfunk_desktop::Environment::from_pairs(pairs);
        }
        bench.desktop = Some(PrivateDesktop::new(bench.config.clone(), bench.environment.clone(), german).unwrap());
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
    on_every_sway(|suite| {
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
fn wheels_and_fingers_scroll_as_they_should() {
    on_every_sway(|suite| {
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
