//! What goes wrong, and what a session makes of it.

mod common;

use std::sync::Arc;

use common::{LinkFaults, Setup, SoundSetup, code, encoder};
use punktfunk_engine::session::{SessionCommand, SessionEnd, StopReason, ThreadRole};
use punktfunk_media::fake::{EncoderScript, Faults, SyntheticDesktop, SyntheticOptions};

fn desktop(faults: Faults) -> SyntheticDesktop {
    SyntheticDesktop::new(SyntheticOptions { background: false, faults, ..Default::default() })
}

fn assert_panicked(end: &SessionEnd, who: &str) {
    assert_eq!((end.cause, code(end.reason)), (StopReason::Failed, "internal.panic"), "{who}");
    assert!(end.detail.starts_with(who), "{}", end.detail);
}

#[test]
fn a_broken_encoder_is_replaced_by_the_next_with_a_keyframe_and_without_a_gap_in_the_numbers() {
    let encoders = vec![
        encoder("closed", EncoderScript { open_fails: true, ..EncoderScript::default() }),
        encoder("weak", EncoderScript { fail_after: Some(10), ..EncoderScript::default() }),
        encoder("floor", EncoderScript::default()),
    ];
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(30);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    assert_eq!((end.stats.encoder, end.stats.counters.encoder_changes), ("floor", 2));
    let seen = client.seen();
    let steps: Vec<_> = seen.encoder_changes.iter().map(|c| (c.from, c.to)).collect();
    assert_eq!(steps, [("closed", Some("weak")), ("weak", Some("floor"))]);
    for (i, unit) in seen.units.iter().enumerate() {
        assert_eq!((unit.index as usize, unit.is_keyframe()), (i, i == 0 || i == 10));
    }
    assert_eq!(seen.gaps.len(), 1, "the first encoder never ran, so only the second change is a gap");
}

#[test]
fn an_encoder_that_breaks_on_a_still_desktop_is_fed_the_last_picture_again() {
    let encoders = vec![
        encoder("weak", EncoderScript { fail_after: Some(1), ..EncoderScript::default() }),
        encoder("floor", EncoderScript::default()),
    ];
    let still = desktop(Faults { still_after: Some(1), ..Faults::default() });
    let running = Setup { encoders, desktop: still, ..Setup::default() }.start();
    let second = running.client.wait_for("a second unit", |s| s.units.get(1).cloned());
    assert!(second.is_keyframe() && second.is_repeat());
    assert_eq!(running.finish().stats.encoder, "floor");
}

#[test]
fn with_no_encoder_left_the_session_says_so_and_the_stage_is_kept() {
    let weak = |name| encoder(name, EncoderScript { fail_after: Some(5), ..EncoderScript::default() });
    let running = Setup { encoders: vec![weak("one"), weak("two")], ..Setup::default() }.start();
    let client = Arc::clone(&running.client);
    client.wait_ending();
    let end = running.join();
    assert_eq!(code(end.reason), "encode.no_encoder_left");
    assert!(end.stage.is_some(), "the desktop is not to blame");
    let last = client.seen().encoder_changes.last().cloned().expect("a change");
    assert_eq!((last.from, last.to), ("two", None));
    assert!(last.detail.contains("told to fail"), "{}", last.detail);
}

#[test]
fn capture_recovers_once() {
    let faults = Faults { capture_fatal_after: Some(10), capture_fatal_times: 1, ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    running.client.wait_units(30);
    let end = running.finish();
    assert_eq!((end.stats.counters.capture_restarts, code(end.reason)), (1, "-"));
}

#[test]
fn capture_that_keeps_failing_ends_the_session_with_its_reason() {
    let faults = Faults { capture_fatal_after: Some(10), ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    running.client.wait_ending();
    let end = running.join();
    assert_eq!((code(end.reason), end.stats.counters.capture_restarts), ("capture.lost", 1));
}

#[test]
fn hiccups_of_the_capturer_are_waited_out() {
    let faults = Faults { capture_flaky_every: Some(3), ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    running.client.wait_units(30);
    let end = running.finish();
    assert!(end.stats.counters.capture_errors > 0 && end.stats.counters.capture_restarts == 0);
}

#[test]
fn a_capturer_that_does_nothing_but_fail_ends_the_session() {
    let faults = Faults { capture_flaky_every: Some(1), ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    running.client.wait_ending();
    assert_eq!(code(running.join().reason), "capture.lost");
}

#[test]
fn a_dead_compositor_ends_the_session_and_takes_its_stage_with_it() {
    let running = Setup::default().start();
    running.client.wait_units(5);
    running.desktop.kill();
    running.client.wait_ending();
    let open = |d: &SyntheticDesktop| d.open_stages();
    let common::Running { desktop, handle, .. } = running;
    let end = handle.expect("running").join();
    assert_eq!((code(end.reason), end.stage.is_none(), open(&desktop)), ("desktop.died", true, 0));
}

#[test]
fn a_panic_in_any_thread_ends_this_session_only() {
    let other = Setup::default().start();

    let faults = Faults { capture_panic_after: Some(5), ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    running.client.wait_ending();
    let common::Running { desktop, handle, .. } = running;
    let end = handle.expect("running").join();
    assert_panicked(&end, "capture-0");
    assert_eq!((end.stage.is_none(), desktop.open_stages()), (true, 0), "its stage is undone");

    let panicking = encoder("panicking", EncoderScript { panic_after: Some(5), ..EncoderScript::default() });
    let running = Setup { encoders: vec![panicking], ..Setup::default() }.start();
    running.client.wait_ending();
    let end = running.join();
    assert_panicked(&end, "encode-0");
    assert!(end.stage.is_some());

    let faults = LinkFaults { packetize_panics_at: Some(5), ..LinkFaults::default() };
    let running = Setup { faults, ..Setup::default() }.start();
    running.client.wait_ending();
    let end = running.join();
    assert_panicked(&end, "send-0");
    assert!(end.stage.is_some());

    for role in [ThreadRole::Capture, ThreadRole::Encode, ThreadRole::Send, ThreadRole::Inject, ThreadRole::Audio] {
        let hook = Arc::new(move |r: ThreadRole| assert_ne!(r, role, "told to panic"));
        let running = Setup { hook: Some(hook), sound: Some(SoundSetup::default()), ..Setup::default() }.start();
        running.client.wait_ending();
        assert_panicked(&running.join(), &format!("{}-0", role.name()));
    }

    other.client.wait_more(10);
    assert_eq!(code(other.finish().reason), "-");
}

#[test]
fn a_broken_socket_ends_the_session() {
    let faults = LinkFaults { sink_breaks_at: Some(20), ..LinkFaults::default() };
    let running = Setup { faults, ..Setup::default() }.start();
    running.client.wait_ending();
    assert_eq!(code(running.join().reason), "native.data_socket");
}

#[test]
fn a_frame_lost_at_the_socket_is_followed_by_a_keyframe() {
    // Late enough that the keyframe at the start is no excuse any more.
    let faults = LinkFaults { sink_drops_at: Some(150), ..LinkFaults::default() };
    let running = Setup { faults, ..Setup::default() }.start();
    let (gap, healed) = running.client.wait_for("a keyframe after the loss", |s| {
        let gap = s.units.windows(2).position(|w| w[1].index != w[0].index + 1)?;
        let healed = s.units[gap + 1..].iter().find(|u| u.is_keyframe())?;
        Some((s.units[gap].index, healed.index))
    });
    assert!(healed > gap + 1);
    let end = running.finish();
    assert_eq!((end.stats.counters.frames_damaged, end.stats.counters.keyframes), (1, 2));
}

#[test]
fn a_session_without_injector_streams_all_the_same() {
    let faults = Faults { no_injector: true, ..Faults::default() };
    let running = Setup { desktop: desktop(faults), ..Setup::default() }.start();
    running.control.input(punktfunk_core::input::InputEvent::Key { vk: 0x41, down: true });
    running.client.wait_units(10);
    running.control.command(SessionCommand::Keyframe);
    running.client.wait_more(10);
    let end = running.finish();
    assert_eq!((code(end.reason), end.stats.counters.input_unsupported), ("-", 1));
}
