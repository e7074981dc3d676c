//! Programs that say when their pictures are to be seen, and how much of them.

mod common;

use std::time::Duration;

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, next_frame, pixel, shows};
use punktfunk_media::{Capturer as _, Injector as _, InputAction};
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_protocols::wp::alpha_modifier::v1::client::wp_alpha_modifier_v1::WpAlphaModifierV1;
use wayland_protocols::wp::commit_timing::v1::client::wp_commit_timing_manager_v1::WpCommitTimingManagerV1;
use wayland_protocols::wp::fifo::v1::client::wp_fifo_manager_v1::WpFifoManagerV1;
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::zwp_keyboard_shortcuts_inhibit_manager_v1::ZwpKeyboardShortcutsInhibitManagerV1;

fn shown(worker: &Worker) -> (Program, WlSurface) {
    let mut program = Program::connect(&worker.display());
    let _keyboard = program.seat.get_keyboard(&program.handle(), ());
    let surface = program.window();
    let picture = program.picture(1280, 720, [9, 9, 9]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    (program, surface)
}

/// Shades that no other picture has.
fn shades() -> impl Iterator<Item = u8> {
    (1..=6).map(|i| i * 40)
}

#[test]
fn a_picture_that_waits_for_the_one_before_is_seen_after_it() {
    let worker = Worker::start(MODE);
    let (mut program, surface) = shown(&worker);
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    let frame = frame_until(&mut capturer, "the window", |f| shows(f, [9, 9, 9]));
    capturer.lend(frame.slot).unwrap();

    let fifos: WpFifoManagerV1 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
    let fifo = fifos.get_fifo(&surface, &program.handle(), ());
    // All at once: without waiting only the last of them would be seen.
    let pictures: Vec<_> = shades().map(|shade| program.picture(1280, 720, [shade, 0, 0])).collect();
    for picture in &pictures {
        fifo.wait_barrier();
        fifo.set_barrier();
        program.show(&surface, picture);
    }
    program.roundtrip().unwrap();
    for shade in shades() {
        let frame = next_frame(&mut capturer);
        assert_eq!(pixel(&frame, 0.5, 0.5), [shade, 0, 0], "one after the other, none left out");
        capturer.lend(frame.slot).unwrap();
    }
    // It is no surface's but its own: another one is as free as ever, and so is this one without a barrier before it.
    let last = program.picture(1280, 720, [0, 200, 0]);
    program.show(&surface, &last);
    program.roundtrip().unwrap();
    let frame = next_frame(&mut capturer);
    assert_eq!(pixel(&frame, 0.5, 0.5), [0, 200, 0]);
}

#[test]
fn pictures_go_on_while_nobody_looks() {
    let worker = Worker::start(MODE);
    let (mut program, surface) = shown(&worker);
    let fifos: WpFifoManagerV1 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
    let fifo = fifos.get_fifo(&surface, &program.handle(), ());
    let pictures: Vec<_> = [50, 100, 150].map(|shade| program.picture(1280, 720, [shade, 0, 0])).into();
    for picture in &pictures {
        fifo.wait_barrier();
        fifo.set_barrier();
        // A frame callback says that the commit is in force.
        surface.frame(&program.handle(), ());
        program.show(&surface, picture);
    }
    program.roundtrip().unwrap();
    program.wait("all of them to be in force", |seen| seen.callbacks == 3);
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    assert_eq!(pixel(&next_frame(&mut capturer), 0.5, 0.5), [150, 0, 0]);
}

#[test]
fn a_picture_for_later_is_not_seen_before() {
    let worker = Worker::start(MODE);
    let (mut program, surface) = shown(&worker);
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    let frame = frame_until(&mut capturer, "the window", |f| shows(f, [9, 9, 9]));
    capturer.lend(frame.slot).unwrap();

    let timing: WpCommitTimingManagerV1 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
    let timer = timing.get_timer(&surface, &program.handle(), ());
    // The capturer tells times of another clock that counts the same way.
    let (before, clock) = (std::time::Instant::now(), rustix::time::clock_gettime(rustix::time::ClockId::Monotonic));
    let (later, soon) = (program.picture(1280, 720, [0, 0, 200]), program.picture(1280, 720, [0, 200, 0]));
    let mut at = |ahead: Duration, picture| {
        let due = Duration::new(clock.tv_sec as u64, clock.tv_nsec as u32) + ahead;
        timer.set_timestamp((due.as_secs() >> 32) as u32, due.as_secs() as u32, due.subsec_nanos());
        program.show(&surface, picture);
        program.roundtrip().unwrap();
    };
    // What is past is seen at once.
    at(Duration::ZERO, &soon);
    at(Duration::from_millis(400), &later);
    let frame = next_frame(&mut capturer);
    assert_eq!(pixel(&frame, 0.5, 0.5), [0, 200, 0]);
    capturer.lend(frame.slot).unwrap();
    let frame = next_frame(&mut capturer);
    assert_eq!(pixel(&frame, 0.5, 0.5), [0, 0, 200]);
    assert!(frame.drawn_at >= before + Duration::from_millis(400), "{:?} early", before.elapsed());
}

#[test]
fn a_program_may_be_seen_through() {
    for planes in [None, Some(punktfunk_media::Colour::default())] {
        let worker = Worker::start(MODE);
        let (mut program, surface) = shown(&worker);
        let alphas: WpAlphaModifierV1 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
        let alpha = alphas.get_surface(&surface, &program.handle(), ());
        let mut capturer = worker.link().capturer().unwrap();
        if let Some(colour) = planes {
            assert!(capturer.take_planes(colour).unwrap());
        }
        lend_new(&mut capturer);
        let white = program.picture(1280, 720, [255, 255, 255]);
        program.show(&surface, &white);
        program.roundtrip().unwrap();
        let frame = frame_until(&mut capturer, "all of it", |f| shows(f, [255, 255, 255]));
        capturer.lend(frame.slot).unwrap();
        // Nothing else changes, and behind it is the desktop's own dark ground.
        alpha.set_multiplier(u32::MAX / 2);
        surface.commit();
        program.roundtrip().unwrap();
        let half = |f: &punktfunk_media::CapturedFrame| pixel(f, 0.5, 0.5).into_iter().all(|c| (110..190).contains(&c));
        let frame = frame_until(&mut capturer, "half of it", half);
        capturer.lend(frame.slot).unwrap();
        alpha.destroy();
        surface.commit();
        program.roundtrip().unwrap();
        frame_until(&mut capturer, "all of it again", |f| shows(f, [255, 255, 255]));
    }
}

#[test]
fn a_desktop_in_a_window_has_every_key_until_a_person_takes_them_back() {
    const SUPER: u16 = 125;
    const TAB: u16 = 15;
    const ESCAPE: u16 = 1;
    let worker = Worker::start(MODE);
    let (mut program, surface) = shown(&worker);
    let inhibits: ZwpKeyboardShortcutsInhibitManagerV1 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
    let _inhibitor = inhibits.inhibit_shortcuts(&surface, &program.seat, &program.handle(), ());
    program.wait("the keys", |seen| seen.every_key);
    let mut injector = worker.link().injector().unwrap();
    let mut with_super = |code| {
        for (code, down) in [(SUPER, true), (code, true), (code, false), (SUPER, false)] {
            injector.inject(&InputAction::Key { code, down }).unwrap();
        }
    };
    let pressed =
        |program: &Program, code: u16| program.seen.keys.iter().filter(|k| **k == (code.into(), true)).count();
    with_super(TAB);
    program.wait("Super+Tab", |seen| seen.keys.len() == 4);
    assert_eq!(pressed(&program, TAB), 1);
    with_super(ESCAPE);
    program.wait("them to be taken back", |seen| !seen.every_key);
    with_super(TAB);
    with_super(30);
    program.wait("another key", |seen| seen.keys.contains(&(30, false)));
    assert_eq!((pressed(&program, TAB), pressed(&program, ESCAPE)), (1, 0));
    with_super(ESCAPE);
    program.wait("the keys again", |seen| seen.every_key);
}
