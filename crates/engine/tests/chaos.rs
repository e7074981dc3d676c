//! Random requests, stalls and input against whole sessions; what must hold is checked at the end of each.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Running, Setup, code, encoder};
use punktfunk_core::Grants;
use punktfunk_core::input::{InputEvent, MouseButton};
use punktfunk_engine::session::SessionCommand;
use punktfunk_media::fake::{EncoderScript, Faults, SyntheticDesktop, SyntheticOptions, read_fake_unit};
use punktfunk_media::{InputAction, Mode};

/// SplitMix64, so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)) >> 32) as u32 % sides
    }
}

fn one_operation(dice: &mut Dice, running: &Running) {
    let control = &running.control;
    let newest = running.client.seen().units.last().map_or(0, |u| u.index);
    match dice.roll(10) {
        0 => {
            let (width, height) = (160 + dice.roll(20) * 16, 120 + dice.roll(10) * 16);
            control.command(SessionCommand::SetMode(Mode { width, height, refresh_hz: 60 + dice.roll(400) }));
        }
        1 => control.command(SessionCommand::Keyframe),
        2 => {
            let first = newest.wrapping_sub(dice.roll(20));
            control.command(SessionCommand::Invalidate { first, last: first.wrapping_add(dice.roll(300)) });
        }
        3 => control.command(SessionCommand::LossReport { ppm: dice.roll(300_000) }),
        4 => control.command(SessionCommand::SetBitrate { kbps: dice.roll(60_000) }),
        5 => control.command(SessionCommand::Probe { target_kbps: 10_000, duration_ms: 20 }),
        6 => control.command(SessionCommand::SetGrants(Grants(dice.roll(8)))),
        7 => {
            let mut stalled = running.client.stalled.lock().expect("not poisoned");
            *stalled = !*stalled;
        }
        8 => control.input(InputEvent::Key { vk: 0x41 + dice.roll(26), down: dice.roll(3) > 0 }),
        _ => {
            let button = [MouseButton::Left, MouseButton::Right][dice.roll(2) as usize];
            control.input(InputEvent::MouseButton { button, down: dice.roll(3) > 0 });
            control.input(InputEvent::MouseMove { dx: dice.roll(9) as i32, dy: 0 });
        }
    }
    if dice.roll(3) == 0 {
        std::thread::sleep(Duration::from_millis(dice.roll(6).into()));
    }
}

#[test]
fn whatever_is_asked_the_stream_stays_whole_and_nothing_stays_held() {
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let faults = Faults { capture_flaky_every: (seed % 3 == 0).then_some(7), ..Faults::default() };
        let options = SyntheticOptions { background: seed % 2 == 0, faults, ..Default::default() };
        let weak = EncoderScript { fail_after: Some(40), can_invalidate: true, ..EncoderScript::default() };
        let stiff = EncoderScript { fixed_rate: seed % 4 == 1, ..EncoderScript::default() };
        let encoders = vec![encoder("weak", weak), encoder("floor", stiff)];
        let desktop = SyntheticDesktop::new(options);
        let running = Setup { desktop, encoders, ..Setup::default() }.start();
        for _ in 0..150 {
            one_operation(&mut dice, &running);
        }
        // After any of it, a client that reads again and asks gets a keyframe of the mode it asks for.
        *running.client.stalled.lock().expect("not poisoned") = false;
        let last = Mode { width: 512, height: 288, refresh_hz: 240 };
        running.control.command(SessionCommand::SetMode(last));
        running.client.wait_for(&format!("the last mode, seed {seed}"), |s| {
            let sized = |u: &common::Received| {
                read_fake_unit(&u.data).is_some_and(|(key, w, h, _)| key && (w, h) == (last.width, last.height))
            };
            s.units.iter().any(sized).then_some(())
        });
        running.client.wait_more(5);
        let client = Arc::clone(&running.client);
        running.control.stop(punktfunk_engine::session::StopReason::ClientLeft);
        let Running { desktop, handle, .. } = running;
        let end = handle.expect("running").join();
        assert_eq!((code(end.reason), end.stage.map(|s| s.mode())), ("-", Some(last)), "seed {seed}");
        check_stream(seed, &client);
        check_input(seed, &desktop);
    }
}

/// Indices and stamps rise, a new size starts with a keyframe (or its start was lost), nothing came twice.
fn check_stream(seed: u64, client: &common::Client) {
    let seen = client.seen();
    for pair in seen.units.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        assert!(new.index > old.index && new.pts_ns > old.pts_ns, "seed {seed}: {} after {}", new.index, old.index);
        let size = |u: &common::Received| read_fake_unit(&u.data).map(|(_, w, h, _)| (w, h));
        let whole = new.index == old.index + 1;
        assert!(!whole || new.is_keyframe() || size(new) == size(old), "seed {seed}: {} has another size", new.index);
    }
    assert_eq!(seen.endings.len(), 1, "seed {seed}");
}

/// Presses and releases alternate, and the last of each is a release.
fn check_input(seed: u64, desktop: &SyntheticDesktop) {
    let mut down = std::collections::BTreeSet::new();
    for action in desktop.recording().actions() {
        if let InputAction::Key { code, down: pressed } | InputAction::Button { code, down: pressed } = action {
            let changed = if pressed { down.insert(code) } else { down.remove(&code) };
            assert!(changed, "seed {seed}: {code} went the same way twice");
        }
    }
    assert!(down.is_empty(), "seed {seed}: still held: {down:?}");
}
