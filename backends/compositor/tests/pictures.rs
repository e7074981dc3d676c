//! Pictures: exact modes, exact damage, and nothing where nothing changes.

mod common;

use std::time::{Duration, Instant};

use common::{MODE, Worker, frame_until, lend_new, next_frame, pixel, settle};
use punktfunk_media::{Captured, Capturer as _, Damage, Mode};
use punktfunk_testkit::window::{Seen, Window};

#[test]
fn a_window_fills_the_exact_mode() {
    let odd = Mode { width: 1366, height: 767, refresh_hz: 59 };
    let worker = Worker::start(odd);
    let mut link = worker.link();
    assert_eq!(link.mode().unwrap(), odd);
    let window = Window::open_tiled(&worker.display(), [250, 120, 30]);
    assert!(window.seen().contains(&Seen::Shown { width: 1366, height: 767 }), "{:?}", window.seen());
    let mut capturer = link.capturer().unwrap();
    assert_eq!((capturer.layout().width, capturer.layout().height), (1366, 767));
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    assert_eq!(frame.damage, Damage::Full, "the first picture comes at once, and is new as a whole");
    for (x, y) in [(0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.0, 1.0), (1.0, 1.0)] {
        assert_eq!(pixel(&frame, x, y), [250, 120, 30], "{x},{y}");
    }
    assert!(frame.drawn_at <= Instant::now());
}

#[test]
fn a_still_desktop_is_unchanged_and_a_change_comes_with_its_damage() {
    let worker = Worker::start(MODE);
    let link = worker.link();
    let window = Window::open(&worker.display(), None, [0, 0, 200]);
    let mut capturer = link.capturer().unwrap();
    lend_new(&mut capturer);
    let frame = frame_until(&mut capturer, "blue", |f| pixel(f, 0.5, 0.5) == [0, 0, 200]);
    settle(&mut capturer, frame.slot);
    assert!(matches!(capturer.wait(Instant::now() + Duration::from_secs(1)).unwrap(), Captured::Unchanged));
    window.paint([0, 200, 0]);
    let frame = next_frame(&mut capturer);
    assert_eq!(pixel(&frame, 0.5, 0.5), [0, 200, 0]);
    let rects: Vec<_> = frame.damage.rects().expect("told").collect();
    assert!(matches!(rects[..], [r] if (r.x, r.y, r.width, r.height) == (0, 0, 1280, 720)), "{rects:?}");
}

#[test]
fn every_slot_has_the_whole_picture_although_only_changes_are_drawn() {
    let worker = Worker::start(MODE);
    let link = worker.link();
    let window = Window::open(&worker.display(), None, [10, 0, 0]);
    let mut capturer = link.capturer().unwrap();
    let mut slots: Vec<_> = (0..3).map(|_| capturer.make_slot().unwrap()).collect();
    for shade in 1..12 {
        let colour = [shade * 20, shade, 0];
        window.paint(colour);
        capturer.lend(slots.remove(0)).unwrap();
        let frame = frame_until(&mut capturer, "its colour", |f| pixel(f, 0.3, 0.3) == colour);
        for (x, y) in [(0.0, 0.0), (1.0, 1.0), (0.9, 0.1)] {
            assert_eq!(pixel(&frame, x, y), colour);
        }
        slots.push(frame.slot);
    }
}

#[test]
fn the_mode_changes_while_pictures_are_taken() {
    let worker = Worker::start(MODE);
    let mut link = worker.link();
    let window = Window::open(&worker.display(), None, [9, 99, 199]);
    let mut capturer = link.capturer().unwrap();
    lend_new(&mut capturer);
    let mut frame = next_frame(&mut capturer);
    for new in
        [Mode { width: 1920, height: 1080, refresh_hz: 120 }, Mode { width: 641, height: 479, refresh_hz: 30 }, MODE]
    {
        let old = frame.slot;
        assert_eq!(link.set_mode(new, None).unwrap(), new);
        assert!(matches!(capturer.wait(Instant::now() + common::PATIENCE).unwrap(), Captured::LayoutChanged(l)
            if (l.width, l.height) == (new.width, new.height)));
        assert!(capturer.lend(old).is_err(), "a slot of another size");
        lend_new(&mut capturer);
        frame = frame_until(&mut capturer, "the window at its new size", |f| pixel(f, 1.0, 1.0) == [9, 99, 199]);
        assert_eq!((frame.layout.width, frame.layout.height), (new.width, new.height));
    }
    // The same size at another rate needs no new slots.
    assert_eq!(link.set_mode(Mode { refresh_hz: 144, ..MODE }, None).unwrap().refresh_hz, 144);
    settle(&mut capturer, frame.slot);
    window.paint([1, 2, 3]);
    let frame = next_frame(&mut capturer);
    assert_eq!(pixel(&frame, 0.5, 0.5), [1, 2, 3]);
    let absurd = Mode { width: 20_000, height: 20_000, refresh_hz: 60 };
    let refused = link.set_mode(absurd, None).unwrap_err().to_string();
    assert!(refused.contains("20000x20000@60"), "{refused}");
    assert_eq!(link.mode().unwrap().width, 1280);
    assert!(!window.seen().iter().any(|s| matches!(s, Seen::Gone(_))));
}

#[test]
fn windows_come_to_the_front_and_what_was_behind_appears_when_they_go() {
    let worker = Worker::start(MODE);
    let mut link = worker.link();
    let first = Window::open_tiled(&worker.display(), [200, 0, 0]);
    let mut capturer = link.capturer().unwrap();
    lend_new(&mut capturer);
    let red = frame_until(&mut capturer, "red", |f| pixel(f, 0.5, 0.5) == [200, 0, 0]);
    capturer.lend(red.slot).unwrap();
    let second = Window::open_tiled(&worker.display(), [0, 200, 0]);
    let green = frame_until(&mut capturer, "green", |f| pixel(f, 0.5, 0.5) == [0, 200, 0]);
    second.wait("the keyboard", |seen| seen.contains(&Seen::KeyboardEnter));
    first.wait("losing the keyboard", |seen| seen.contains(&Seen::KeyboardLeave));
    let windows = link.windows().unwrap();
    assert_eq!(
        windows.iter().map(|w| (w.app_id.as_str(), w.focused)).collect::<Vec<_>>(),
        [("punktfunk-test-window", true), ("punktfunk-test-window", false)]
    );
    assert_eq!(windows[0].place, [0, 0, 1280, 720]);
    capturer.lend(green.slot).unwrap();
    first.forget();
    drop(second);
    frame_until(&mut capturer, "red again", |f| pixel(f, 0.5, 0.5) == [200, 0, 0]);
    first.wait("the keyboard back", |seen| seen.contains(&Seen::KeyboardEnter));
}

#[test]
fn a_new_consumer_takes_the_place_of_the_old_one_and_the_desktop_outlives_both() {
    let mut worker = Worker::start(MODE);
    let link = worker.link();
    let _window = Window::open(&worker.display(), None, [77, 7, 7]);
    let mut old = link.capturer().unwrap();
    lend_new(&mut old);
    next_frame(&mut old);
    let mut new = link.capturer().unwrap();
    lend_new(&mut new);
    assert_eq!(pixel(&next_frame(&mut new), 0.5, 0.5), [77, 7, 7]);
    let error = old.wait(Instant::now() + common::PATIENCE).unwrap_err();
    assert_eq!((error.reason.code, error.fatal), ("desktop.died", true));
    drop((new, link));
    worker.assert_alive();
    let again = worker.link();
    let mut third = again.capturer().unwrap();
    lend_new(&mut third);
    assert_eq!(pixel(&next_frame(&mut third), 0.5, 0.5), [77, 7, 7]);
}
