//! A still desktop costs nothing.

mod common;

use std::time::Duration;

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, next_frame, pixel, settle};
use punktfunk_media::{Captured, Capturer as _};

#[test]
fn a_still_desktop_does_not_wake_up() {
    let worker = Worker::start(MODE);
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    settle(&mut capturer, frame.slot);
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(1280, 720, [9, 9, 99]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    let frame = frame_until(&mut capturer, "the window", |f| pixel(f, 0.5, 0.5) == [9, 9, 99]);
    settle(&mut capturer, frame.slot);
    let before = worker.sleeps();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(worker.sleeps() - before, 0, "wake-ups in three seconds");
}

#[test]
fn who_waits_for_pictures_can_be_woken_and_loses_none() {
    let worker = Worker::start(MODE);
    let mut capturer = worker.link().capturer().unwrap();
    let waker = capturer.waker().expect("the built-in desktop's can");
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    settle(&mut capturer, frame.slot);
    let far = || std::time::Instant::now() + Duration::from_secs(1000);
    // While it waits; and before, however often, for one wait.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| matches!(capturer.wait(far()), Ok(Captured::Unchanged)));
        std::thread::sleep(Duration::from_millis(20));
        waker.wake();
        assert!(waiting.join().unwrap());
    });
    waker.wake();
    waker.wake();
    assert!(matches!(capturer.wait(far()), Ok(Captured::Unchanged)));
    // A picture that is there comes first.
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(1280, 720, [9, 9, 99]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    waker.wake();
    frame_until(&mut capturer, "the window", |f| pixel(f, 0.5, 0.5) == [9, 9, 99]);
}

#[test]
fn a_desktop_that_nobody_watches_crawls() {
    let worker = Worker::start(MODE);
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(640, 480, [9, 9, 99]);
    let before = worker.sleeps();
    let started = std::time::Instant::now();
    // It draws as fast as it is called back.
    for i in 1..=3 {
        surface.frame(&program.handle(), ());
        program.show(&surface, &picture);
        while program.seen.callbacks < i {
            program.queue.blocking_dispatch(&mut program.seen).unwrap();
        }
    }
    let (slept, took) = (worker.sleeps() - before, started.elapsed());
    assert!(took > Duration::from_secs(2), "three callbacks within {took:?}");
    assert!(slept < 40, "{slept} wake-ups within {took:?}");
}
