//! Input that a sway has no protocol for, games' ways with the pointer, the desktop's own keys, and the clipboard.

mod common;

use std::io::Write as _;
use std::time::Duration;

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, pixel, wait_until};
use punktfunk_core::datagram::{PenSample, PenState, PenTool};
use punktfunk_media::{Capturer as _, Injector as _, InputAction};
use punktfunk_testkit::window::{Seen, Window};
use wayland_protocols::wp::pointer_constraints::zv1::client::zwp_pointer_constraints_v1::Lifetime;

fn shown(worker: &Worker, rgb: [u8; 3]) -> (Program, wayland_client::protocol::wl_surface::WlSurface) {
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(1280, 720, rgb);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    (program, surface)
}

#[test]
fn fingers_arrive_where_they_touch() {
    let worker = Worker::start(MODE);
    let (mut program, _surface) = shown(&worker, [1, 1, 1]);
    let _touch = program.seat.get_touch(&program.handle(), ());
    program.roundtrip().unwrap();
    let mut injector = worker.link().injector().unwrap();
    assert!(injector.caps().touch);
    for action in [
        InputAction::TouchDown { id: 0, x: 0.5, y: 0.5 },
        InputAction::TouchDown { id: 7, x: 0.25, y: 0.25 },
        InputAction::TouchMove { id: 0, x: 0.75, y: 0.5 },
        InputAction::TouchUp { id: 0 },
        InputAction::TouchUp { id: 7 },
    ] {
        injector.inject(&action).unwrap();
    }
    program.wait("the fingers to go", |seen| seen.touch.iter().filter(|t| t.starts_with("up")).count() == 2);
    let told: Vec<_> = program.seen.touch.iter().filter(|t| *t != "frame").cloned().collect();
    assert_eq!(told, ["down 0 640 360", "down 7 320 180", "motion 0 960 360", "up 0", "up 7"]);
}

#[test]
fn a_finger_from_a_side_switches_windows_and_is_cancelled_for_the_program() {
    let worker = Worker::start(MODE);
    let (mut below, _below) = shown(&worker, [1, 1, 1]);
    let (mut middle, _middle) = shown(&worker, [2, 2, 2]);
    let (mut top, _top) = shown(&worker, [3, 3, 3]);
    let touches: Vec<_> = [&below, &middle, &top].map(|p| p.seat.get_touch(&p.handle(), ())).into();
    for program in [&mut below, &mut middle, &mut top] {
        program.roundtrip().unwrap();
    }
    let mut link = worker.link();
    let mut order = || link.windows().unwrap().iter().map(|w| w.id).collect::<Vec<_>>();
    let before = order();
    assert_eq!(before.len(), 3);
    let mut injector = worker.link().injector().unwrap();
    let mut swipe = |places: &[(f64, f64)]| {
        injector.inject(&InputAction::TouchDown { id: 4, x: places[0].0, y: places[0].1 }).unwrap();
        for (x, y) in &places[1..] {
            injector.inject(&InputAction::TouchMove { id: 4, x: *x, y: *y }).unwrap();
        }
        injector.inject(&InputAction::TouchUp { id: 4 }).unwrap();
    };
    // From the left: the one on top goes to the back.
    swipe(&[(0.002, 0.5), (0.03, 0.5), (0.08, 0.5), (0.2, 0.5)]);
    top.wait("the end of the touch", |seen| seen.touch.iter().any(|t| t == "Cancel"));
    assert!(top.seen.touch[0].starts_with("down 4"), "{:?}", top.seen.touch);
    assert!(!top.seen.touch.iter().any(|t| t.starts_with("up")), "{:?}", top.seen.touch);
    assert_eq!(order(), [before[1], before[2], before[0]]);
    // From the right: the one at the back comes to the front.
    swipe(&[(0.999, 0.5), (0.95, 0.5), (0.9, 0.5)]);
    middle.wait("the end of the touch", |seen| seen.touch.iter().any(|t| t == "Cancel"));
    assert_eq!(order(), before);
    // Along the edge, or from elsewhere: the program's own.
    top.seen.touch.clear();
    swipe(&[(0.002, 0.2), (0.002, 0.4), (0.3, 0.4)]);
    swipe(&[(0.3, 0.5), (0.6, 0.5)]);
    top.wait("both", |seen| seen.touch.iter().filter(|t| t.starts_with("up")).count() == 2);
    assert!(!top.seen.touch.iter().any(|t| t == "Cancel"), "{:?}", top.seen.touch);
    assert_eq!(order(), before);
    drop(touches);
}

#[test]
fn a_game_locks_the_pointer_and_hears_motion_alone() {
    let worker = Worker::start(MODE);
    let (mut program, surface) = shown(&worker, [1, 1, 1]);
    let handle = program.handle();
    let pointer = program.seat.get_pointer(&handle, ());
    let _relative = program.relative.get_relative_pointer(&pointer, &handle, ());
    program.roundtrip().unwrap();
    let mut injector = worker.link().injector().unwrap();
    injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
    program.wait("the pointer", |seen| seen.motion.last() == Some(&(640.0, 360.0)));
    let locked = program.constraints.lock_pointer(&surface, &pointer, None, Lifetime::Persistent, &handle, ());
    program.wait("the lock", |seen| seen.holds == ["locked"]);
    program.seen.motion.clear();
    program.seen.relative.clear();
    // Motion of any size, and where a client can only point, the way from one place to the next.
    injector.inject(&InputAction::Motion { dx: 5000.0, dy: -2.5 }).unwrap();
    injector.inject(&InputAction::MotionAbs { x: 0.25, y: 0.5 }).unwrap();
    program.wait("the motion", |seen| seen.relative.len() == 2);
    assert_eq!(program.seen.relative, [(5000.0, -2.5), (-320.0, 0.0)]);
    assert!(program.seen.motion.is_empty(), "it moved: {:?}", program.seen.motion);
    locked.destroy();
    program.roundtrip().unwrap();
    injector.inject(&InputAction::Motion { dx: 10.0, dy: 0.0 }).unwrap();
    program.wait("motion again", |seen| seen.motion.last() == Some(&(650.0, 360.0)));
}

#[test]
fn a_pointer_is_confined_to_its_region() {
    let worker = Worker::start(MODE);
    let (mut program, surface) = shown(&worker, [1, 1, 1]);
    let handle = program.handle();
    let pointer = program.seat.get_pointer(&handle, ());
    program.roundtrip().unwrap();
    let mut injector = worker.link().injector().unwrap();
    injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
    program.wait("the pointer", |seen| seen.motion.last() == Some(&(640.0, 360.0)));
    let region = program.compositor.create_region(&handle, ());
    region.add(600, 300, 100, 100);
    let _confined =
        program.constraints.confine_pointer(&surface, &pointer, Some(&region), Lifetime::Persistent, &handle, ());
    program.wait("the confinement", |seen| seen.holds == ["confined"]);
    injector.inject(&InputAction::Motion { dx: 20.0, dy: 20.0 }).unwrap();
    program.wait("motion inside", |seen| seen.motion.last() == Some(&(660.0, 380.0)));
    injector.inject(&InputAction::Motion { dx: 500.0, dy: 0.0 }).unwrap();
    injector.inject(&InputAction::Motion { dx: 1.0, dy: 1.0 }).unwrap();
    program.wait("motion inside again", |seen| seen.motion.last() == Some(&(661.0, 381.0)));
    assert!(program.seen.motion.iter().all(|(x, y)| (600.0..700.0).contains(x) && (300.0..400.0).contains(y)));
}

#[test]
fn what_is_seen_is_told_with_its_time() {
    let worker = Worker::start(MODE);
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    let (mut program, surface) = shown(&worker, [1, 1, 1]);
    assert_eq!(program.seen.presentation_clock, Some(1), "CLOCK_MONOTONIC");
    let frame = frame_until(&mut capturer, "the window", |f| pixel(f, 0.5, 0.5) == [1, 1, 1]);
    let (before, mut slot) = (std::time::Instant::now(), frame.slot);
    for shade in 2..6u8 {
        capturer.lend(slot).unwrap();
        let picture = program.picture(1280, 720, [shade, 1, 1]);
        program.presentation.feedback(&surface, &program.handle(), ());
        program.show(&surface, &picture);
        program.roundtrip().unwrap();
        let frame = frame_until(&mut capturer, "the next", |f| pixel(f, 0.5, 0.5) == [shade, 1, 1]);
        let told = usize::from(shade) - 1;
        program.wait("the feedback", |seen| seen.presented.len() == told);
        // Told and noted within the same drawing, so they lie close together; the unit is what could be wrong.
        let age = frame.drawn_at.duration_since(before);
        assert!(age < Duration::from_secs(20), "{age:?}");
        slot = frame.slot;
    }
    let times: Vec<_> = program.seen.presented.iter().map(|t| t.expect("seen, not discarded")).collect();
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = clock.tv_sec as u64 * 1_000_000_000 + clock.tv_nsec as u64;
    assert!(times.iter().all(|t| *t <= now && now - t < 60_000_000_000), "{times:?} at {now}");
}

#[test]
fn the_desktops_own_keys_switch_close_and_start_and_no_program_hears_of_them() {
    const SUPER: u16 = 125;
    let worker = Worker::start(MODE);
    let marker = worker.dir.path().join("started");
    std::fs::write(worker.dir.path().join("terminal.sh"), format!(": >'{}'\n", marker.display())).unwrap();
    let first = Window::open_tiled(&worker.display(), [200, 0, 0]);
    let second = Window::open_tiled(&worker.display(), [0, 200, 0]);
    second.wait("the keyboard", |seen| seen.contains(&Seen::KeyboardEnter));
    let mut injector = worker.link().injector().unwrap();
    let mut chord = |codes: &[u16]| {
        let up = codes.iter().rev().map(|code| (*code, false));
        for (code, down) in codes.iter().map(|code| (*code, true)).chain(up) {
            injector.inject(&InputAction::Key { code, down }).unwrap();
        }
    };
    first.forget();
    // Super+Tab.
    chord(&[SUPER, 15]);
    first.wait("the keyboard", |seen| seen.contains(&Seen::KeyboardEnter));
    second.wait("losing it", |seen| seen.contains(&Seen::KeyboardLeave));
    for window in [&first, &second] {
        let tab = window.seen().iter().any(|s| matches!(s, Seen::Key { code: 15, .. }));
        assert!(!tab, "a program heard of the desktop's key: {:?}", window.seen());
    }
    // Super+Return.
    chord(&[SUPER, 28]);
    wait_until("the terminal's script ran", || marker.exists());
    // The same keys without Super are the program's.
    chord(&[15]);
    first.wait("Tab", |seen| seen.iter().any(|s| matches!(s, Seen::Key { code: 15, down: false, .. })));
}

#[test]
fn what_one_program_copies_another_pastes() {
    let worker = Worker::start(MODE);
    for primary in [false, true] {
        let with = |program: &str| {
            let mut command = worker.command(program);
            if primary {
                command.arg("--primary");
            }
            command
        };
        let mut copy = with("wl-copy").stdin(std::process::Stdio::piped()).spawn().expect("wl-clipboard is installed");
        copy.stdin.take().unwrap().write_all("Grüße € 漢字".as_bytes()).unwrap();
        copy.wait().unwrap();
        wait_until("it is pasted", || {
            let pasted = with("wl-paste").arg("--no-newline").stdout(std::process::Stdio::piped()).output().unwrap();
            pasted.stdout == "Grüße € 漢字".as_bytes()
        });
    }
}

fn place(worker: &Worker) -> [i32; 4] {
    worker.link().windows().unwrap()[0].place
}

const SUPER: u16 = 125;
const SPACE: u16 = 57;

#[test]
fn a_window_is_moved_by_hand_and_made_to_fill_the_room_again() {
    let worker = Worker::start(MODE);
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let (large, small) = (program.picture(1280, 720, [9, 9, 9]), program.picture(853, 480, [9, 9, 9]));
    program.show(&surface, &large);
    let pointer = program.seat.get_pointer(&program.handle(), ());
    program.roundtrip().unwrap();
    let mut injector = worker.link().injector().unwrap();
    let mut inject = |actions: &[InputAction]| actions.iter().for_each(|action| injector.inject(action).unwrap());
    let key = |code, down| InputAction::Key { code, down };
    let left = |down| InputAction::Button { code: 0x110, down };
    inject(&[InputAction::MotionAbs { x: 0.5, y: 0.5 }]);
    program.wait("the pointer", |seen| !seen.motion.is_empty());
    assert_eq!(place(&worker), [0, 0, 1280, 720]);

    let configured = program.seen.configured;
    inject(&[key(SUPER, true), left(true)]);
    program.wait("its new size", |seen| seen.configured > configured);
    program.show(&surface, &small);
    program.roundtrip().unwrap();
    // Held in the middle of its width, 16 pixels below its upper edge, as it was taken.
    wait_until("it came loose", || place(&worker) == [214, 344, 853, 480]);
    program.seen.motion.clear();
    inject(&[InputAction::MotionAbs { x: 0.25, y: 0.25 }]);
    wait_until("it follows the pointer", || place(&worker) == [-106, 164, 853, 480]);
    // However far: something to hold stays in the room, and the upper edge does.
    inject(&[InputAction::MotionAbs { x: 0.0, y: 0.0 }]);
    wait_until("it stops at the upper edge", || place(&worker) == [-426, 0, 853, 480]);
    program.roundtrip().unwrap();
    assert!(program.seen.motion.is_empty(), "it heard of the pointer while it was moved: {:?}", program.seen.motion);
    inject(&[InputAction::MotionAbs { x: 0.5, y: 0.5 }, left(false), key(SUPER, false)]);
    wait_until("it lies where it was dropped", || place(&worker) == [214, 344, 853, 480]);
    program.wait("the pointer to come back", |seen| !seen.motion.is_empty());
    program.seen.motion.clear();
    inject(&[InputAction::MotionAbs { x: 0.51, y: 0.5 }]);
    program.wait("the pointer again", |seen| !seen.motion.is_empty());

    let configured = program.seen.configured;
    inject(&[key(SUPER, true), key(SPACE, true), key(SPACE, false), key(SUPER, false)]);
    program.wait("its old size", |seen| seen.configured > configured);
    program.show(&surface, &large);
    program.roundtrip().unwrap();
    wait_until("it fills the room", || place(&worker) == [0, 0, 1280, 720]);
    pointer.release();
}

fn pen(state: PenState, x: f32, pressure: u16) -> InputAction {
    InputAction::Pen(PenSample {
        state,
        tool: PenTool::Pen,
        x,
        y: 0.5,
        pressure,
        distance: Some(6553),
        tilt_deg: Some(45),
        azimuth_deg: Some(90),
        ..PenSample::default()
    })
}

#[test]
fn a_pen_hovers_presses_leans_and_leaves() {
    let worker = Worker::start(MODE);
    let (mut program, _surface) = shown(&worker, [1, 1, 1]);
    let _tablet = program.tablets.get_tablet_seat(&program.seat, &program.handle(), ());
    program.roundtrip().unwrap();
    let mut injector = worker.link().injector().unwrap();
    assert!(injector.caps().pen);
    let (near, touching) = (PenState::IN_RANGE, PenState::IN_RANGE | PenState::TOUCHING);
    for action in [
        pen(near, 0.5, 0),
        pen(touching | PenState::BARREL1, 0.5, 32_768),
        pen(touching, 0.75, 65_535),
        pen(near, 0.75, 0),
        pen(PenState::NONE, 0.75, 0),
    ] {
        injector.inject(&action).unwrap();
    }
    program.wait("the pen to leave", |seen| seen.pen.last().is_some_and(|last| last == "pen out"));
    let (mut told, mut last) = (Vec::new(), String::new());
    // A place or a lean that is told again says nothing new.
    for event in program.seen.pen.drain(..).filter(|e| !e.contains("distance")) {
        if event != last {
            told.push(event.clone());
        }
        last = event;
    }
    let whole = told.join(", ");
    let steps = [
        "pen in, pen at 640 360",
        "pressure 0, pen tilt 45 0",
        "pressure 32768, pen tilt 45 0, pen down, pen button 0x14b Pressed",
        "pen at 960 360, pen pressure 65535, pen tilt 45 0, pen button 0x14b Released",
        "pressure 0, pen tilt 45 0, pen up",
        "pen out",
    ];
    let mut from = 0;
    for step in steps {
        let at = whole[from..].find(step).unwrap_or_else(|| panic!("no `{step}` after {from} in: {whole}"));
        from += at + step.len();
    }

    // The other end is another tool, and one that leaves without a word is lifted.
    let InputAction::Pen(sample) = pen(touching, 0.25, 1000) else { unreachable!() };
    injector.inject(&InputAction::Pen(sample)).unwrap();
    injector.inject(&InputAction::Pen(PenSample { tool: PenTool::Eraser, ..sample })).unwrap();
    program.wait("the eraser", |seen| seen.pen.iter().any(|e| e == "eraser down"));
    let order: Vec<_> = ["pen down", "pen up", "pen out", "eraser in", "eraser down"]
        .map(|event| program.seen.pen.iter().position(|e| e == event).unwrap_or(usize::MAX))
        .into();
    assert!(order.is_sorted() && order[4] < usize::MAX, "{:?}", program.seen.pen);
}

#[test]
fn a_pen_is_a_pointer_to_a_program_that_knows_no_pens() {
    let worker = Worker::start(MODE);
    let (mut program, _surface) = shown(&worker, [1, 1, 1]);
    let _pointer = program.seat.get_pointer(&program.handle(), ());
    program.roundtrip().unwrap();
    let mut injector = worker.link().injector().unwrap();
    injector.inject(&pen(PenState::IN_RANGE, 0.25, 0)).unwrap();
    injector.inject(&pen(PenState::IN_RANGE | PenState::TOUCHING, 0.5, 1000)).unwrap();
    injector.inject(&pen(PenState::NONE, 0.5, 0)).unwrap();
    program.wait("the button to be let go", |seen| seen.buttons == ["down", "up"]);
    assert_eq!(program.seen.motion, [(320.0, 360.0), (640.0, 360.0)]);
}

#[test]
fn what_a_host_held_is_let_go_of_when_it_is_gone_without_a_word() {
    let worker = Worker::start(MODE);
    let (mut program, _surface) = shown(&worker, [1, 1, 1]);
    let handle = program.handle();
    let _pointer = program.seat.get_pointer(&handle, ());
    let _touch = program.seat.get_touch(&handle, ());
    let _keyboard = program.seat.get_keyboard(&handle, ());
    program.roundtrip().unwrap();
    let mut gone = worker.link().injector().unwrap();
    let mut stays = worker.link().injector().unwrap();
    gone.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
    stays.inject(&InputAction::Key { code: 48, down: true }).unwrap();
    for action in [
        InputAction::Key { code: 30, down: true },
        InputAction::Button { code: 0x110, down: true },
        InputAction::TouchDown { id: 3, x: 0.5, y: 0.5 },
    ] {
        gone.inject(&action).unwrap();
    }
    program.wait("all of it", |seen| {
        seen.keys.contains(&(30, true)) && seen.buttons == ["down"] && seen.touch.iter().any(|t| t.starts_with("down"))
    });
    drop(gone);
    program.wait("all of it to be let go", |seen| {
        seen.keys.contains(&(30, false)) && seen.buttons == ["down", "up"] && seen.touch.iter().any(|t| t == "up 3")
    });
    assert!(!program.seen.keys.contains(&(48, false)), "another host's key: {:?}", program.seen.keys);
    drop(stays);
    program.wait("the other's key", |seen| seen.keys.contains(&(48, false)));
}
