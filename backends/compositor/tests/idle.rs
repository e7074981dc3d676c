//! A still desktop costs nothing.

mod common;

use std::time::Duration;

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, next_frame, pixel, settle};

/// How often the worker has gone to sleep so far: every wake-up ends in another sleep.
fn sleeps(worker: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.child.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

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
    let before = sleeps(&worker);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sleeps(&worker) - before, 0, "wake-ups in three seconds");
}

#[test]
fn a_desktop_that_nobody_watches_crawls() {
    let worker = Worker::start(MODE);
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(640, 480, [9, 9, 99]);
    let before = sleeps(&worker);
    let started = std::time::Instant::now();
    // It draws as fast as it is called back.
    for i in 1..=3 {
        surface.frame(&program.handle(), ());
        program.show(&surface, &picture);
        while program.seen.callbacks < i {
            program.queue.blocking_dispatch(&mut program.seen).unwrap();
        }
    }
    let (slept, took) = (sleeps(&worker) - before, started.elapsed());
    assert!(took > Duration::from_secs(2), "three callbacks within {took:?}");
    assert!(slept < 40, "{slept} wake-ups within {took:?}");
}
