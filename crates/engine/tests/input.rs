//! Input: what reaches the desktop, what does not, and that nothing stays held.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{HANG, LinkFaults, Running, Setup, encoder};
use punktfunk_core::Grants;
use punktfunk_core::datagram::{PenBatch, PenSample, PenState, PenTool, RichInput};
use punktfunk_core::input::{Contact, InputEvent, MouseButton};
use punktfunk_engine::session::{PEN_SILENCE, SessionCommand, SessionEnd, StopReason};
use punktfunk_media::InputAction;
use punktfunk_media::fake::{EncoderScript, Faults, SyntheticDesktop, SyntheticOptions};

const A: InputEvent = InputEvent::Key { vk: 0x41, down: true };
const A_UP: InputEvent = InputEvent::Key { vk: 0x41, down: false };
const LEFT: InputEvent = InputEvent::MouseButton { button: MouseButton::Left, down: true };

fn desktop(faults: Faults) -> SyntheticDesktop {
    SyntheticDesktop::new(SyntheticOptions { background: false, faults, ..Default::default() })
}

/// Waits until `n` actions were played back.
fn wait_actions(desktop: &SyntheticDesktop, n: usize) -> Vec<InputAction> {
    let deadline = Instant::now() + HANG;
    loop {
        let actions = desktop.recording().actions();
        if actions.len() >= n {
            return actions;
        }
        assert!(Instant::now() < deadline, "waited in vain for {n} actions: {actions:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn key(code: u16, down: bool) -> InputAction {
    InputAction::Key { code, down }
}

fn button(code: u16, down: bool) -> InputAction {
    InputAction::Button { code, down }
}

fn touch(id: u32) -> InputEvent {
    InputEvent::TouchDown(Contact { id, x: 1, y: 1, ref_width: 2, ref_height: 2 })
}

fn near() -> PenSample {
    PenSample { state: PenState::IN_RANGE, tool: PenTool::Pen, x: 0.5, y: 0.25, ..PenSample::default() }
}

fn pressing() -> PenSample {
    PenSample { state: PenState::IN_RANGE | PenState::TOUCHING | PenState::BARREL1, pressure: 900, ..near() }
}

fn gone(last: PenSample) -> InputAction {
    InputAction::Pen(PenSample { state: PenState::NONE, pressure: 0, distance: None, ..last })
}

fn batch(seq: u16, samples: &[PenSample]) -> PenBatch {
    PenBatch::new(seq, samples).expect("a batch")
}

#[test]
fn events_become_actions_in_order() {
    let running = Setup::default().start();
    for event in [A, InputEvent::Text('é'), A_UP, InputEvent::MouseMove { dx: 3, dy: -4 }, LEFT] {
        running.control.input(event);
    }
    let expected = [
        key(30, true),
        InputAction::Text('é'),
        key(30, false),
        InputAction::Motion { dx: 3.0, dy: -4.0 },
        button(0x110, true),
    ];
    assert_eq!(wait_actions(&running.desktop, 5), expected);
    let end = running.finish();
    assert_eq!((end.stats.counters.input_events, end.stats.input.count), (5, 5));
}

#[test]
fn repeats_and_foreign_releases_do_nothing() {
    let running = Setup::default().start();
    for event in [A_UP, A, A, A_UP, A_UP, InputEvent::TouchUp { id: 9 }, LEFT] {
        running.control.input(event);
    }
    assert_eq!(wait_actions(&running.desktop, 3), [key(30, true), key(30, false), button(0x110, true)]);
    assert_eq!(running.finish().stats.counters.input_redundant, 4);
}

#[test]
fn grants_are_enforced_and_counted() {
    let running = Setup { grants: Grants::KEYBOARD, ..Setup::default() }.start();
    for event in [LEFT, InputEvent::MouseMove { dx: 1, dy: 1 }, touch(1), A] {
        running.control.input(event);
    }
    assert_eq!(wait_actions(&running.desktop, 1), [key(30, true)]);
    let end = running.finish();
    assert_eq!(end.stats.counters.input_refused, 3);
}

#[test]
fn a_grant_taken_away_releases_what_it_covered_and_one_given_opens() {
    let running = Setup::default().start();
    for event in [A, LEFT, touch(1)] {
        running.control.input(event);
    }
    wait_actions(&running.desktop, 3);
    running.control.command(SessionCommand::SetGrants(Grants::POINTER));
    assert_eq!(wait_actions(&running.desktop, 4)[3], key(30, false));
    running.control.input(A);
    let deadline = Instant::now() + HANG;
    while running.control.stats().counters.input_refused == 0 {
        assert!(Instant::now() < deadline, "the key is refused");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.control.command(SessionCommand::SetGrants(Grants::KEYBOARD));
    assert_eq!(wait_actions(&running.desktop, 6)[4..], [button(0x110, false), InputAction::TouchUp { id: 1 }]);
    running.control.input(A);
    wait_actions(&running.desktop, 7);
    let end = running.finish();
    assert!(end.stats.counters.input_released >= 3);
}

#[test]
fn a_pen_plays_every_sample_once_and_needs_the_pointers_grant() {
    let running = Setup::default().start();
    let eraser = PenSample { tool: PenTool::Eraser, ..near() };
    let guess = PenSample { state: pressing().state | PenState::PREDICTED, ..pressing() };
    running.control.pen(&batch(9, &[near(), pressing(), guess]), false);
    running.control.pen(&batch(9, &[eraser]), false);
    running.control.pen(&batch(8, &[eraser]), false);
    running.control.pen(&batch(10, &[pressing(), eraser]), false);
    let expected = [near(), pressing(), eraser].map(InputAction::Pen);
    assert_eq!(wait_actions(&running.desktop, 3), expected);
    running.control.command(SessionCommand::SetGrants(Grants::KEYBOARD));
    assert_eq!(wait_actions(&running.desktop, 4)[3], gone(eraser));
    running.control.pen(&batch(11, &[pressing()]), false);
    running.control.input(A);
    assert_eq!(wait_actions(&running.desktop, 5)[4], key(30, true));
    let counters = running.finish().stats.counters;
    assert_eq!((counters.input_refused, counters.input_redundant), (1, 1));
}

#[test]
fn a_pen_that_falls_silent_leaves_where_its_client_would_repeat_itself() {
    let running = Setup::default().start();
    running.control.rich(RichInput::Pen(batch(1, &[pressing()])));
    let begun = Instant::now();
    assert_eq!(wait_actions(&running.desktop, 2)[1], gone(pressing()));
    assert!(begun.elapsed() > PEN_SILENCE / 2);
    // A client that tells only changes may rest.
    running.control.pen(&batch(2, &[pressing()]), false);
    wait_actions(&running.desktop, 3);
    std::thread::sleep(2 * PEN_SILENCE);
    assert_eq!(running.desktop.recording().actions().len(), 3);
    running.finish();
}

#[test]
fn everything_held_is_released_on_every_kind_of_end() {
    let stop = |why: StopReason| move |r: &Running| r.control.stop(why);
    type Cause = Box<dyn Fn(&Running)>;
    let wait_end = |r: &Running| drop(r.client.wait_ending());
    let panicking = |n| vec![encoder("panicking", EncoderScript { panic_after: Some(n), ..EncoderScript::default() })];
    // Faults come late enough that the input below has been played back: each waits for its own cause.
    let cases: Vec<(&str, Setup, Cause)> = vec![
        ("client left", Setup::default(), Box::new(stop(StopReason::ClientLeft))),
        ("client silent", Setup::default(), Box::new(stop(StopReason::ClientSilent))),
        ("superseded", Setup::default(), Box::new(stop(StopReason::Superseded))),
        ("revoked", Setup::default(), Box::new(stop(StopReason::Revoked))),
        ("shutdown", Setup::default(), Box::new(stop(StopReason::HostShutdown))),
        ("frames done", Setup { frames: 200, ..Setup::default() }, Box::new(wait_end)),
        ("encode panics", Setup { encoders: panicking(200), ..Setup::default() }, Box::new(wait_end)),
        (
            "capture panics",
            Setup {
                desktop: desktop(Faults { capture_panic_after: Some(200), ..Faults::default() }),
                ..Setup::default()
            },
            Box::new(wait_end),
        ),
        (
            "no encoder left",
            Setup {
                encoders: vec![encoder("weak", EncoderScript { fail_after: Some(200), ..EncoderScript::default() })],
                ..Setup::default()
            },
            Box::new(wait_end),
        ),
        (
            "socket broken",
            Setup { faults: LinkFaults { sink_breaks_at: Some(200), ..LinkFaults::default() }, ..Setup::default() },
            Box::new(wait_end),
        ),
        (
            "send panics",
            Setup {
                faults: LinkFaults { packetize_panics_at: Some(200), ..LinkFaults::default() },
                ..Setup::default()
            },
            Box::new(wait_end),
        ),
    ];
    for (name, setup, end) in cases {
        let running = setup.start();
        for event in [A, LEFT, touch(5)] {
            running.control.input(event);
        }
        running.control.pen(&batch(1, &[pressing()]), false);
        wait_actions(&running.desktop, 4);
        end(&running);
        let Running { desktop, handle, .. } = running;
        let end: SessionEnd = handle.expect("running").join();
        let actions = desktop.recording().actions();
        let lifted = InputAction::TouchUp { id: 5 };
        assert_eq!(actions[4..], [key(30, false), button(0x110, false), lifted, gone(pressing())], "{name}");
        assert_eq!(end.stats.counters.input_released, 4, "{name}");
    }
}

#[test]
fn a_panicking_injector_still_releases_the_rest() {
    let faults = Faults { inject_panic_after: Some(3), ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    for event in [A, LEFT, touch(5), InputEvent::Text('x')] {
        running.control.input(event);
    }
    let client = Arc::clone(&running.client);
    let ending = client.wait_ending();
    assert_eq!(ending.reason.map(|r| r.code), Some("internal.panic"));
    let Running { desktop, handle, .. } = running;
    drop(handle.expect("running").join());
    assert_eq!(
        desktop.recording().actions()[3..],
        [key(30, false), button(0x110, false), InputAction::TouchUp { id: 5 }]
    );
}

#[test]
fn a_broken_injector_is_replaced_a_few_times() {
    let faults = Faults { inject_fatal_after: Some(2), ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    // Each injector plays two actions back and breaks at the third, which is lost.
    for _ in 0..20 {
        running.control.input(InputEvent::Text('x'));
    }
    let actions = wait_actions(&running.desktop, 8);
    let deadline = Instant::now() + HANG;
    while running.control.stats().counters.input_unsupported < 8 {
        assert!(Instant::now() < deadline, "{:?}", running.control.stats().counters);
        std::thread::sleep(Duration::from_millis(1));
    }
    let end = running.finish();
    assert_eq!((actions.len(), end.stats.counters.input_failed, end.stats.counters.input_unsupported), (8, 4, 8));
    assert_eq!(end.cause, StopReason::ClientLeft, "the session goes on without input");
}
