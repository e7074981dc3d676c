//! Gamepads: what reaches the devices, what comes back, and that nothing stays held or plugged in.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{HANG, LinkFaults, Running, Setup};
use punktfunk_core::Grants;
use punktfunk_core::datagram::RichInput;
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{GamepadButtons, GamepadState, InputEvent};
use punktfunk_engine::pads::{PadPolicy, PadsSetup};
use punktfunk_engine::session::{SessionCommand, StopReason};
use punktfunk_media::fake::{FakePads, PadCall};
use punktfunk_media::{
    PadBattery, PadBatteryState, PadFeedback, PadKind, PadKinds, PadMotion, PadReport, RumbleLevels,
};

const A: GamepadButtons = GamepadButtons::A;

fn setup(pads: &FakePads) -> Setup {
    let factory = Arc::new(pads.clone());
    let pads = PadsSetup { factory, policy: PadPolicy::Auto, default_kind: GamepadKind::Auto };
    Setup { pads: Some(pads), ..Setup::default() }
}

fn state(pad: u8, seq: u8, buttons: GamepadButtons) -> InputEvent {
    InputEvent::GamepadState(GamepadState { pad, seq, buttons, ..GamepadState::default() })
}

fn arrival(pad: u8, kind: GamepadKind) -> InputEvent {
    InputEvent::GamepadArrival { pad, kind, haptics_audio: false, speaker_audio: false }
}

fn holding(buttons: GamepadButtons) -> PadReport {
    PadReport { buttons, ..PadReport::default() }
}

fn wait_calls(pads: &FakePads, n: usize) -> Vec<PadCall> {
    let deadline = Instant::now() + HANG;
    loop {
        let calls = pads.calls();
        if calls.len() >= n {
            return calls;
        }
        assert!(Instant::now() < deadline, "waited in vain for {n} calls: {calls:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pad_arrives_plays_and_leaves() {
    let pads = FakePads::new();
    let running = setup(&pads).start();
    let control = &running.control;
    control.input(arrival(3, GamepadKind::DualSense));
    control.input(state(3, 1, A));
    control.rich(RichInput::Motion { pad: 3, gyro: [1, 2, 3], accel: [4, 5, 6] });
    let battery = PadBattery { state: PadBatteryState::Discharging, percent: Some(40) };
    control.battery(3, battery);
    control.input(state(3, 2, GamepadButtons::NONE));
    control.input(InputEvent::GamepadRemove { pad: 3, seq: 3 });
    let motion = PadMotion { gyro: [1, 2, 3], accel: [4, 5, 6] };
    let calls = wait_calls(&pads, 7);
    let expected = [
        PadCall::Plug(3, PadKind::DualSense),
        PadCall::Apply(3, holding(A)),
        PadCall::Apply(3, PadReport { motion, ..holding(A) }),
        PadCall::Apply(3, PadReport { motion, battery, ..holding(A) }),
        PadCall::Apply(3, PadReport { motion, battery, ..PadReport::default() }),
        // Whatever it was in, it leaves in its neutral state.
        PadCall::Apply(3, PadReport { battery, ..PadReport::default() }),
        PadCall::Unplug(3),
    ];
    assert_eq!(calls[..7], expected, "{calls:?}");
    running.finish();
}

#[test]
fn sixteen_pads_keep_their_slots_and_their_order() {
    let pads = FakePads::new();
    let running = setup(&pads).start();
    let rounds = 100_u8;
    for round in 1..=rounds {
        for pad in 0..16 {
            running.control.input(state(pad, round, GamepadButtons(u32::from(round))));
        }
        // The queue merges and overflows elsewhere; here the thread keeps up.
        wait_until("all reports", || pads.applied() == u64::from(round) * 16);
    }
    for pad in 0..16 {
        let seen: Vec<u32> = pads
            .calls()
            .iter()
            .filter_map(|call| match call {
                PadCall::Apply(slot, report) if *slot == pad => Some(report.buttons.0),
                _ => None,
            })
            .collect();
        assert_eq!(seen, (1..=u32::from(rounds)).collect::<Vec<_>>(), "pad {pad}");
    }
    let end = running.finish();
    assert_eq!((end.stats.counters.input_merged, end.stats.counters.input_overflowed), (0, 0));
}

#[test]
fn the_kind_comes_from_the_arrival_even_a_late_one() {
    let pads = FakePads::of(PadKinds::from_iter([PadKind::Xbox360, PadKind::SwitchPro]));
    let running = setup(&pads).start();
    running.control.input(state(0, 1, A));
    let plugged = wait_calls(&pads, 2);
    assert_eq!(plugged, [PadCall::Plug(0, PadKind::Xbox360), PadCall::Apply(0, holding(A))]);
    // Folded to the same kind: no new device.
    running.control.input(arrival(0, GamepadKind::DualSense));
    running.control.input(arrival(0, GamepadKind::SwitchPro));
    let calls = wait_calls(&pads, 6);
    let replugged = [
        PadCall::Apply(0, PadReport::default()),
        PadCall::Unplug(0),
        PadCall::Plug(0, PadKind::SwitchPro),
        PadCall::Apply(0, holding(A)),
    ];
    assert_eq!(calls[2..6], replugged);
    running.finish();
}

#[test]
fn a_fixed_kind_is_what_every_pad_becomes() {
    let pads = FakePads::new();
    let mut setup = setup(&pads);
    if let Some(pads) = &mut setup.pads {
        pads.policy = PadPolicy::Fixed(PadKind::XboxOne);
    }
    let running = setup.start();
    running.control.input(arrival(5, GamepadKind::DualSense));
    assert_eq!(wait_calls(&pads, 1), [PadCall::Plug(5, PadKind::XboxOne)]);
    running.finish();
}

#[test]
fn wishes_come_back_and_rumble_is_renewed_until_it_stops() {
    let pads = FakePads::new();
    let running = setup(&pads).start();
    running.control.input(arrival(1, GamepadKind::DualSense));
    wait_calls(&pads, 1);
    let rumble = |low| PadFeedback::Rumble(RumbleLevels { low, ..RumbleLevels::default() });
    assert!(pads.feedback(1, &rumble(700)));
    assert!(pads.feedback(1, &PadFeedback::Led([1, 2, 3])));
    running.client.wait_for("rumble and light", |s| {
        (s.pads.contains(&(1, rumble(700))) && s.pads.contains(&(1, PadFeedback::Led([1, 2, 3])))).then_some(())
    });
    let motion = running.client.seen().pads.iter().any(|p| matches!(p, (1, PadFeedback::MotionRate(hz)) if *hz > 0));
    assert!(motion, "a DualSense wants to hear of motion");
    running.client.wait_for("three renewals", |s| {
        (s.pads_again.iter().filter(|p| **p == (1, rumble(700))).count() >= 3).then_some(())
    });
    pads.feedback(1, &rumble(0));
    running.client.wait_for("the stop, repeated", |s| {
        (s.pads_again.iter().filter(|p| **p == (1, rumble(0))).count() == 2).then_some(())
    });
    pads.feedback(1, &rumble(9));
    running.client.wait_for("rumble", |s| s.pads.contains(&(1, rumble(9))).then_some(()));
    running.control.input(InputEvent::GamepadRemove { pad: 1, seq: 1 });
    running.client.wait_for("the motors' stop", |s| (s.pads.last() == Some(&(1, rumble(0)))).then_some(()));
    running.finish();
}

#[test]
fn grants_are_enforced_and_a_grant_taken_away_unplugs() {
    let pads = FakePads::new();
    let running = Setup { grants: Grants::KEYBOARD, ..setup(&pads) }.start();
    running.control.input(state(0, 1, A));
    running.control.rich(RichInput::Motion { pad: 0, gyro: [1; 3], accel: [1; 3] });
    wait_until("two refusals", || running.control.stats().counters.input_refused == 2);
    running.control.command(SessionCommand::SetGrants(Grants::ALL));
    running.control.input(state(0, 2, A));
    let plugged = wait_calls(&pads, 2);
    assert_eq!(plugged, [PadCall::Plug(0, PadKind::Xbox360), PadCall::Apply(0, holding(A))]);
    running.control.command(SessionCommand::SetGrants(Grants::KEYBOARD));
    assert_eq!(wait_calls(&pads, 4)[2..], [PadCall::Apply(0, PadReport::default()), PadCall::Unplug(0)]);
    running.finish();
}

#[test]
fn everything_held_is_released_on_every_kind_of_end() {
    type Cause = Box<dyn Fn(&Running)>;
    let stop = |why: StopReason| Box::new(move |r: &Running| r.control.stop(why)) as Cause;
    let wait_end = || Box::new(|r: &Running| drop(r.client.wait_ending())) as Cause;
    let broken = LinkFaults { sink_breaks_at: Some(200), ..LinkFaults::default() };
    let panicking = LinkFaults { packetize_panics_at: Some(200), ..LinkFaults::default() };
    let cases: Vec<(&str, LinkFaults, Cause)> = vec![
        ("client left", LinkFaults::default(), stop(StopReason::ClientLeft)),
        ("client silent", LinkFaults::default(), stop(StopReason::ClientSilent)),
        ("superseded", LinkFaults::default(), stop(StopReason::Superseded)),
        ("revoked", LinkFaults::default(), stop(StopReason::Revoked)),
        ("shutdown", LinkFaults::default(), stop(StopReason::HostShutdown)),
        ("socket broken", broken, wait_end()),
        ("send panics", panicking, wait_end()),
    ];
    for (name, faults, end) in cases {
        let pads = FakePads::new();
        let running = Setup { faults, ..setup(&pads) }.start();
        let held = GamepadState { pad: 2, buttons: A, left_x: 9, right_trigger: 255, ..GamepadState::default() };
        running.control.input(InputEvent::GamepadState(held));
        wait_calls(&pads, 2);
        end(&running);
        let end = running.join();
        let calls = pads.calls();
        assert_eq!(calls[2..], [PadCall::Apply(2, PadReport::default()), PadCall::Unplug(2)], "{name}");
        assert_eq!(end.stats.counters.input_released, 1, "{name}");
    }
}

#[test]
fn a_pad_that_panics_ends_the_session_and_still_lets_the_others_go() {
    let pads = FakePads::new();
    pads.panic_at(2);
    let running = setup(&pads).start();
    for pad in 0..3 {
        running.control.input(state(pad, 1, A));
    }
    let ending = running.client.wait_ending();
    assert_eq!(ending.reason.map(|r| r.code), Some("internal.panic"));
    running.join();
    let unplugged = |calls: &[PadCall]| calls.iter().filter(|c| matches!(c, PadCall::Unplug(_))).count();
    assert_eq!(unplugged(&pads.calls()), 3);
}

#[test]
fn a_lost_pad_and_one_that_cannot_be_made_are_not_tried_at_every_event() {
    let pads = FakePads::new();
    pads.fail_next(1, 1);
    let running = setup(&pads).start();
    for seq in 1..100 {
        running.control.input(state(0, seq, GamepadButtons(u32::from(seq))));
        running.control.input(state(1, seq, GamepadButtons(u32::from(seq))));
    }
    wait_until("both failures", || running.control.stats().counters.input_failed == 2);
    wait_until("all events taken", || running.control.stats().counters.input_events == 198);
    let end = running.finish();
    assert_eq!(end.cause, StopReason::ClientLeft, "the session goes on without pads");
    assert_eq!(pads.calls(), [PadCall::Plug(1, PadKind::Xbox360), PadCall::Unplug(1)]);
}

#[test]
fn a_storm_of_arrivals_and_removals_makes_few_devices() {
    let pads = FakePads::new();
    let running = setup(&pads).start();
    let begun = Instant::now();
    for seq in 0..5000_u32 {
        running.control.input(state(0, (2 * seq) as u8, A));
        running.control.input(InputEvent::GamepadRemove { pad: 0, seq: (2 * seq + 1) as u8 });
    }
    running.control.input(state(0, 16, A));
    wait_until(
        "the last one",
        || matches!(pads.calls().last(), Some(PadCall::Apply(0, report)) if report.buttons == A),
    );
    let plugs = pads.calls().iter().filter(|c| matches!(c, PadCall::Plug(..))).count() as u128;
    running.finish();
    assert!(plugs <= 2 + begun.elapsed().as_millis() / 250, "{plugs} devices");
}

#[test]
fn without_pads_their_events_are_counted_and_go_nowhere() {
    let running = Setup::default().start();
    running.control.input(state(0, 1, A));
    running.control.rich(RichInput::Motion { pad: 0, gyro: [0; 3], accel: [0; 3] });
    let end = running.finish();
    assert_eq!((end.stats.counters.input_events, end.stats.counters.input_unsupported), (2, 2));
}
