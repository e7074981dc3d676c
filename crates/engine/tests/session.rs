//! Whole sessions on fakes: what a client sees, what requests do, how sessions end.

mod common;

use std::sync::{Arc, Mutex};

use common::{Client, LinkFaults, MODE, Running, Setup, code};
use punktfunk_engine::session::{SessionCommand, StopReason, ThreadRole};
use punktfunk_media::fake::{
    EncoderCall, EncoderLog, EncoderScript, FakeEncoderFactory, Faults, SyntheticDesktop, SyntheticOptions,
    TransportEncoderFactory, pft1, read_fake_unit,
};
use punktfunk_media::{Codec, EncoderFactory, FrameOrder, Keyframe, Mode};

fn logged(script: EncoderScript) -> (Vec<Arc<dyn EncoderFactory>>, EncoderLog) {
    let log = EncoderLog::default();
    let factory = FakeEncoderFactory::new("logged", Codec::H264, script).logged(log.clone());
    (vec![Arc::new(factory)], log)
}

fn still_desktop(after: u64) -> SyntheticDesktop {
    let faults = Faults { still_after: Some(after), ..Faults::default() };
    SyntheticDesktop::new(SyntheticOptions { background: false, faults, ..Default::default() })
}

fn orders(log: &EncoderLog) -> Vec<FrameOrder> {
    let order = |call| if let EncoderCall::Order(order) = call { Some(order) } else { None };
    log.calls().into_iter().filter_map(order).collect()
}

#[test]
fn a_client_gets_every_frame_in_order_with_a_keyframe_first() {
    let running = Setup::default().start();
    running.client.wait_units(60);
    let end = running.finish();
    assert_eq!((end.cause, code(end.reason)), (StopReason::ClientLeft, "-"));
    assert!(end.stage.is_some(), "the stage comes back for the next session");
    let c = end.stats.counters;
    assert_eq!((c.frames_damaged, c.packets_dropped, c.capture_errors, c.keyframes), (0, 0, 0, 1));
    assert!(c.captured >= c.encoded - c.repeats && c.encoded >= c.frames_sent && c.frames_sent >= 60);
    assert!(c.encoded - c.repeats > c.encoded / 2, "a moving desktop is captured, not repeated: {c:?}");
    assert_eq!(end.stats.encoder, "one");
    assert_eq!(end.stats.host.count, c.frames_sent);
}

#[test]
fn a_source_that_draws_for_slots_draws_no_more_than_a_slow_encoder_takes() {
    let run = |for_slots| {
        let takes = std::time::Duration::from_millis(20);
        let (encoders, _) = logged(EncoderScript { takes, ..EncoderScript::default() });
        let desktop = SyntheticDesktop::new(SyntheticOptions { for_slots, ..Default::default() });
        let running = Setup { encoders, desktop, ..Setup::default() }.start();
        running.client.wait_units(40);
        running.finish().stats.counters
    };
    // One that draws anyway (240 times a second here) is asked all the time, and the newest picture is the one that counts.
    let (free, bound) = (run(false), run(true));
    assert!(free.replaced > free.captured / 2, "{free:?}");
    assert!(bound.replaced * 10 < bound.captured, "{bound:?}");
    // And it keeps the encoder as busy.
    assert!(bound.encoded - bound.repeats > 30 && free.encoded - free.repeats > 30, "{bound:?} {free:?}");
}

#[test]
fn nobody_looks_for_credit_while_the_encoder_is_busy() {
    // Long enough for a thread that looks every millisecond to be found out, however slow the machine.
    let takes = std::time::Duration::from_millis(30);
    let (encoders, _) = logged(EncoderScript { takes, ..EncoderScript::default() });
    let desktop = SyntheticDesktop::new(SyntheticOptions { for_slots: true, ..Default::default() });
    let running = Setup { encoders, desktop, ..Setup::default() }.start();
    running.client.wait_units(30);
    let (waits, captured) = (running.desktop.waits(), running.control.stats().counters.captured);
    drop(running.finish());
    // Handed over; told when the next one may be drawn; that moment; drawn. Once more where the bell rang beside a look.
    assert!(waits <= 5 * captured + 10, "{waits} looks for {captured} pictures");
}

#[test]
fn a_still_desktop_that_can_be_woken_is_left_alone_until_something_rings() {
    let faults = Faults { still_after: Some(3), ..Faults::default() };
    let desktop = SyntheticDesktop::new(SyntheticOptions { for_slots: true, faults, ..Default::default() });
    let running = Setup { desktop, ..Setup::default() }.start();
    running.client.wait_units(3);
    // The encoder repeats the last picture meanwhile; a slot is lent, and there is nothing to look for.
    let mut last = running.desktop.waits();
    let still = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(80));
        let before = std::mem::replace(&mut last, running.desktop.waits());
        before == last
    });
    assert!(still, "it goes on looking: {last} times");
    // An order rings: three more pictures, of another size. So does the end.
    running.control.command(SessionCommand::SetMode(Mode { width: 640, ..MODE }));
    running.client.wait_for("the new mode", |s| (!s.modes.is_empty()).then_some(()));
    while running.control.stats().counters.captured < 6 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(running.desktop.waits() < last + 20, "{last}, then {}", running.desktop.waits());
    assert_eq!(running.finish().cause, StopReason::ClientLeft);
}

#[test]
fn indices_have_no_gaps_and_stamps_rise() {
    let running = Setup::default().start();
    running.client.wait_units(100);
    let client = Arc::clone(&running.client);
    drop(running.finish());
    let seen = client.seen();
    assert_eq!(seen.lost, 0);
    for (i, unit) in seen.units.iter().enumerate() {
        assert_eq!(unit.index as usize, i);
        assert_eq!(unit.is_keyframe(), i == 0);
        assert_eq!(read_fake_unit(&unit.data).map(|u| (u.0, u.3)), Some((i == 0, i as u32)));
    }
    assert!(seen.units.windows(2).all(|w| w[0].pts_ns < w[1].pts_ns));
    assert_eq!(seen.endings.len(), 1);
    for (unit, sent) in seen.units.iter().zip(&seen.sent) {
        assert_eq!((unit.index, unit.pts_ns, unit.data.len()), (sent.index, sent.pts_ns, sent.bytes));
        let stages = [sent.capture_us, sent.queue_us, sent.convert_us, sent.encode_us, sent.packetize_us, sent.pace_us];
        let sum: u32 = stages.iter().sum();
        // The stages make up the whole, but for what rounding down takes from each and the hand-over costs.
        assert!(sum <= sent.host_us + 6, "{sent:?}");
    }
}

#[test]
fn a_bounded_session_sends_exactly_its_frames() {
    let running = Setup { frames: 25, ..Setup::default() }.start();
    let client = Arc::clone(&running.client);
    let end = running.join();
    assert_eq!((end.cause, end.stats.counters.frames_sent), (StopReason::FramesDone, 25));
    assert_eq!(client.seen().units.len(), 25);
}

#[test]
fn transport_units_arrive_whole_and_have_the_size_of_the_bitrate() {
    let encoders: Vec<Arc<dyn EncoderFactory>> = vec![Arc::new(TransportEncoderFactory)];
    let running = Setup { encoders, kbps: 50_000, ..Setup::default() }.start();
    running.client.wait_units(50);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    let size = end.stats.video_bps / 8 / u64::from(MODE.refresh_hz);
    for unit in &client.seen().units {
        assert_eq!(pft1::check(&unit.data), Ok(unit.index));
        assert_eq!(unit.data.len() as u64, size);
    }
}

#[test]
fn a_still_desktop_is_repeated_and_marked() {
    let running = Setup { desktop: still_desktop(3), ..Setup::default() }.start();
    running.client.wait_for("two repeats", |s| (s.units.iter().filter(|u| u.is_repeat()).count() >= 2).then_some(()));
    let client = Arc::clone(&running.client);
    let end = running.finish();
    let seen = client.seen();
    let fresh = seen.units.iter().take_while(|u| !u.is_repeat()).count();
    assert!((1..=3).contains(&fresh), "{fresh}");
    assert!(seen.units[fresh..].iter().all(|u| u.is_repeat() && !u.is_keyframe()));
    // 100 ms, 300 ms, then every 2 s: a machine that stops for a while may see more, never a stream of them.
    assert_eq!(end.stats.counters.repeats as usize, seen.units.len() - fresh);
}

#[test]
fn a_keyframe_comes_on_request_also_when_nothing_changes() {
    let running = Setup { desktop: still_desktop(1), ..Setup::default() }.start();
    running.client.wait_units(1);
    // The first is taken as an echo of the IDR on its way until that one is old enough, as the protocol's rules have it;
    // a client asks until it gets one.
    let keyframes = |running: &Running| running.client.seen().units.iter().filter(|u| u.is_keyframe()).count();
    while keyframes(&running) < 2 {
        running.control.command(SessionCommand::Keyframe);
        running.client.wait_for("anything", |_| Some(()));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(running.client.seen().endings.is_empty());
    }
    let end = running.finish();
    assert!(end.stats.counters.keyframe_requests >= 1);
}

#[test]
fn an_invalidation_is_honoured_in_the_encoders_own_numbers() {
    let (encoders, log) = logged(EncoderScript { can_invalidate: true, ..EncoderScript::default() });
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(10);
    running.control.command(SessionCommand::Invalidate { first: 6, last: 8 });
    let anchor = running.client.wait_for("an anchor", |s| {
        s.units.iter().find(|u| u.flags.contains(punktfunk_core::packet::UserFlags::RECOVERY_ANCHOR)).cloned()
    });
    assert!(!anchor.is_keyframe() && anchor.index > 8);
    let end = running.finish();
    assert_eq!((end.stats.counters.invalidations, end.stats.counters.keyframes), (1, 1));
    assert_eq!(orders(&log), [FrameOrder::Invalidate { first: 6, last: 8 }]);
}

#[test]
fn without_invalidation_a_lost_range_costs_a_keyframe() {
    let running = Setup::default().start();
    while running.client.seen().units.iter().filter(|u| u.is_keyframe()).count() < 2 {
        running.client.wait_more(5);
        let last = running.client.seen().units.len() as u32 - 1;
        running.control.command(SessionCommand::Invalidate { first: last, last });
    }
    assert_eq!(running.finish().stats.counters.invalidations, 0);
}

#[test]
fn the_bitrate_follows_the_client_without_a_keyframe() {
    let (encoders, log) = logged(EncoderScript::default());
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(5);
    running.control.command(SessionCommand::SetBitrate { kbps: 5_000 });
    running.client.wait_for("an answer", |s| (s.bitrates == [5_000]).then_some(()));
    running.client.wait_more(5);
    running.control.command(SessionCommand::SetBitrate { kbps: 5_000 });
    running.client.wait_for("an answer to every request", |s| (s.bitrates == [5_000, 5_000]).then_some(()));
    let end = running.finish();
    assert_eq!((end.stats.counters.keyframes, end.stats.wire_kbps), (1, 5_000));
    assert_eq!(orders(&log), [FrameOrder::Bitrate(end.stats.video_bps as u32)]);
}

#[test]
fn an_encoder_of_fixed_rate_is_opened_again() {
    let (encoders, log) = logged(EncoderScript { fixed_rate: true, ..EncoderScript::default() });
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(5);
    running.control.command(SessionCommand::SetBitrate { kbps: 5_000 });
    running
        .client
        .wait_for("a second keyframe", |s| (s.units.iter().filter(|u| u.is_keyframe()).count() == 2).then_some(()));
    let client = Arc::clone(&running.client);
    let end = running.finish();
    let opened = log.calls().into_iter().filter(|c| matches!(c, EncoderCall::Open(..))).collect::<Vec<_>>();
    assert_eq!(opened.last(), Some(&EncoderCall::Open(MODE, end.stats.video_bps as u32)));
    assert_eq!((opened.len(), end.stats.counters.encoder_changes, client.seen().gaps.len()), (2, 0, 1));
}

#[test]
fn loss_makes_room_for_recovery() {
    let (encoders, log) = logged(EncoderScript::default());
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(20);
    let before = running.control.stats().video_bps;
    // Recovery grows with the report; the share of video follows once frames were sent with it.
    let mut after = before;
    while after >= before * 9 / 10 {
        running.control.command(SessionCommand::LossReport { ppm: 150_000 });
        running.client.wait_more(20);
        after = running.control.stats().video_bps;
    }
    let end = running.finish();
    assert_eq!((end.stats.loss_ppm, end.stats.wire_kbps, end.stats.counters.keyframes), (150_000, 20_000, 1));
    assert!(orders(&log).iter().all(|o| matches!(o, FrameOrder::Bitrate(_))));
}

#[test]
fn a_speed_test_runs_beside_the_video() {
    let running = Setup::default().start();
    running.client.wait_units(3);
    running.control.command(SessionCommand::Probe { target_kbps: 20_000, duration_ms: 100 });
    let outcome = running.client.wait_for("a result", |s| s.probes.first().copied());
    assert!(outcome.units_sent > 0 && outcome.wire_packets_sent >= outcome.units_sent && outcome.send_dropped == 0);
    running.control.command(SessionCommand::Probe { target_kbps: 20_000, duration_ms: 100 });
    running.client.wait_more(20);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    let seen = client.seen();
    assert_eq!((seen.probes.len(), end.stats.counters.probes_refused), (1, 1), "one in ten seconds");
    assert_eq!((seen.lost, seen.units.last().map(|u| u.index as usize + 1)), (0, Some(seen.units.len())));
}

#[test]
fn a_client_that_stops_reading_costs_pictures_not_memory_and_comes_back_with_a_keyframe() {
    let running = Setup::default().start();
    running.client.wait_units(5);
    *running.client.stalled.lock().expect("not poisoned") = true;
    running.client.wait_for("damaged frames", |s| (s.sent.len() > 40).then_some(()));
    *running.client.stalled.lock().expect("not poisoned") = false;
    let back = running.client.wait_for("a keyframe", |s| {
        let missing = s.units.windows(2).position(|w| w[1].index != w[0].index + 1)?;
        s.units[missing + 1..].iter().find(|u| u.is_keyframe()).map(|u| u.index)
    });
    assert!(back > 5);
    let end = running.finish();
    assert!(end.stats.counters.frames_damaged >= 30 && end.stats.counters.packets_dropped > 0);
    assert_eq!(code(end.reason), "-");
}

#[test]
fn a_refused_frame_takes_no_index_and_is_followed_by_a_keyframe() {
    let faults = LinkFaults { refuse_unit: Some(10), ..LinkFaults::default() };
    let (encoders, log) = logged(EncoderScript { can_invalidate: true, ..EncoderScript::default() });
    let running = Setup { faults, encoders, ..Setup::default() }.start();
    let healed = running
        .client
        .wait_for("a keyframe after it", |s| s.units.iter().skip(10).find(|u| u.is_keyframe()).map(|u| u.index));
    running.client.wait_units(healed as usize + 6);
    // From here on the encoder counts one more than the wire.
    running.control.command(SessionCommand::Invalidate { first: healed + 3, last: healed + 4 });
    running.client.wait_for("an anchor", |s| {
        s.units.iter().any(|u| u.flags.contains(punktfunk_core::packet::UserFlags::RECOVERY_ANCHOR)).then_some(())
    });
    let client = Arc::clone(&running.client);
    drop(running.finish());
    assert_eq!(orders(&log), [FrameOrder::Invalidate { first: healed + 4, last: healed + 5 }]);
    assert!(client.seen().units.iter().enumerate().all(|(i, u)| u.index as usize == i));
}

#[test]
fn threads_are_named_and_the_hook_runs_on_each() {
    let roles = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let roles = Arc::clone(&roles);
        Arc::new(move |role: ThreadRole| {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            roles.lock().expect("not poisoned").push((role.name(), name));
        })
    };
    let running = Setup { hook: Some(hook), ..Setup::default() }.start();
    running.client.wait_units(1);
    drop(running.finish());
    let mut roles = roles.lock().expect("not poisoned").clone();
    roles.sort_unstable();
    let expected = ["capture", "encode", "inject", "send"].map(|r| (r, format!("{r}-0")));
    assert_eq!(roles, expected);
}

#[test]
fn stopping_works_in_every_state_and_only_the_first_reason_counts() {
    // At once, with the threads hardly there; after the first frame; while the sink takes nothing; on a still desktop;
    // after a mode change was asked for; with a speed test running; by dropping the handle.
    type State = (&'static str, fn() -> Setup, fn(&Running));
    let states: [State; 6] = [
        ("at once", Setup::default, |_| {}),
        ("streaming", Setup::default, |r| r.client.wait_units(3)),
        ("stalled", Setup::default, |r| {
            r.client.wait_units(1);
            *r.client.stalled.lock().expect("not poisoned") = true;
            r.client.wait_for("a damaged frame", |s| (s.sent.len() > 3).then_some(()));
        }),
        ("still", || Setup { desktop: still_desktop(1), ..Setup::default() }, |r| r.client.wait_units(1)),
        ("changing mode", Setup::default, |r| {
            r.control.command(SessionCommand::SetMode(punktfunk_media::Mode { width: 640, ..MODE }));
        }),
        ("testing speed", Setup::default, |r| {
            r.control.command(SessionCommand::Probe { target_kbps: 10_000, duration_ms: 5_000 });
            r.client.wait_units(3);
        }),
    ];
    for (state, setup, reach) in states {
        let running = setup().start();
        reach(&running);
        running.control.stop(StopReason::Superseded);
        running.control.stop(StopReason::HostShutdown);
        let client = Arc::clone(&running.client);
        let (desktop, end) = {
            let Running { desktop, handle, client, control } = running;
            drop((client, control));
            (desktop, handle.expect("running").join())
        };
        assert_eq!((state, end.cause), (state, StopReason::Superseded));
        assert_eq!((desktop.open_stages(), end.stage.is_some()), (1, true), "{state}");
        drop(end);
        assert_eq!(desktop.open_stages(), 0, "{state}");
        assert_eq!(client.seen().endings.len(), 1, "{state}");
        assert_eq!(Arc::strong_count(&client), 1, "{state}: every thread let go of the link");
    }
    let running = Setup::default().start();
    running.client.wait_units(1);
    let client: Arc<Client> = Arc::clone(&running.client);
    drop(running);
    assert_eq!(client.seen().endings[0].cause, StopReason::HandleDropped);
}

#[test]
fn a_repeated_keyframe_request_reaches_the_encoder_as_force() {
    let (encoders, log) = logged(EncoderScript::default());
    let running = Setup { encoders, desktop: still_desktop(1), ..Setup::default() }.start();
    running.client.wait_units(1);
    while !log.calls().contains(&EncoderCall::Repeat(Keyframe::Force)) {
        running.control.command(SessionCommand::Keyframe);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(running.client.seen().endings.is_empty());
    }
    drop(running.finish());
}
