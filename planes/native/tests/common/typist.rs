//! Somebody who types fast over a way that loses datagrams, and counts what the desktop got.

use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_client::{ClientClock, DialBudget, Dialer, SessionConfig, Stream, StreamOptions, Target};
use punktfunk_core::input::InputEvent;
use punktfunk_core::keys::vk_to_evdev;
use punktfunk_core::{CloseCode, Codec, CodecSet};
use punktfunk_media::InputAction;
use punktfunk_media::fake::Recording;

use crate::common::{HD, Options, TestHost, client_identity};
use crate::relay::Relay;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Keys pressed and released.
    pub presses: u64,
    /// Presses and releases that never reached the desktop.
    pub missing: u64,
    /// Those that came twice, or in another order.
    pub wrong: u64,
    /// Keys that stayed down.
    pub stuck: u64,
}

/// Types `rounds` rounds of [`ROUND`] keys while `permille` of the datagrams are lost in each direction, with the pointer
/// moving all the while. Our own client, over QUIC, to a whole host on fakes.
pub async fn type_over_loss(rounds: u64, permille: u32) -> (Typed, Duration) {
    let host = TestHost::start(Options::open());
    let relay = Relay::start(host.address, 7);
    let target: Target = relay.address.to_string().parse().expect("an address");
    let mut dialer = Dialer::new(Arc::new(client_identity()));
    let link = dialer.dial(&target, None, DialBudget::default()).await.expect("dials");
    let config = SessionConfig::new(HD, CodecSet::only(Codec::H264), None);
    let stream = Stream::open(&link, ClientClock::start(), StreamOptions::new(config)).await.expect("streams");
    let handle = stream.handle();
    // Nobody types before there is a picture.
    let first = stream.handle();
    let first = tokio::task::spawn_blocking(move || first.next_unit(Duration::from_secs(10)).is_some());
    assert!(first.await.expect("no panic"), "a picture");
    let draining = std::thread::spawn({
        let handle = stream.handle();
        move || while handle.next_unit(Duration::from_secs(5)).is_some() {}
    });
    let recording = host.desktop.recording();
    relay.lose(permille);
    let (mut typed, begun) = (Typed::default(), Instant::now());
    for round in 0..rounds {
        let mut expected = Vec::new();
        for at in 0..ROUND {
            let vk = 0x41 + (round * 7 + at * 3) as u32 % 26;
            let code = vk_to_evdev(vk).expect("a letter");
            for down in [true, false] {
                handle.input(InputEvent::Key { vk, down });
                expected.push(InputAction::Key { code, down });
            }
            if at % 8 == 0 {
                handle.input(InputEvent::MouseMove { dx: 1, dy: 0 });
            }
        }
        // A key that no round types ends it; reliable and in order, so everything before it is there.
        let mark = InputAction::Key { code: MARK_CODES[(round % 2) as usize], down: false };
        for down in [true, false] {
            handle.input(InputEvent::Key { vk: MARK_VKS[(round % 2) as usize], down });
        }
        let got = until_mark(&recording, mark).await;
        typed.presses += ROUND;
        judge(&expected, &got, &mut typed);
    }
    let took = begun.elapsed();
    relay.lose(0);
    stream.close(CloseCode::QUIT).await;
    draining.join().expect("no panic");
    drop(relay);
    host.stop().await;
    (typed, took)
}

/// How long motions take from the client's call to the injector, sorted; one every millisecond.
#[allow(dead_code, reason = "the example's")]
pub async fn motion_times(count: u16) -> Vec<Duration> {
    let host = TestHost::start(Options::open());
    let target: Target = host.address.to_string().parse().expect("an address");
    let mut dialer = Dialer::new(Arc::new(client_identity()));
    let link = dialer.dial(&target, None, DialBudget::default()).await.expect("dials");
    let config = SessionConfig::new(HD, CodecSet::only(Codec::H264), None);
    let stream = Stream::open(&link, ClientClock::start(), StreamOptions::new(config)).await.expect("streams");
    let (handle, recording) = (stream.handle(), host.desktop.recording());
    let measuring = std::thread::spawn(move || {
        let mut times = Vec::new();
        let _first = handle.next_unit(Duration::from_secs(10));
        for x in 1..=count {
            let begun = Instant::now();
            handle.input(InputEvent::MouseMoveAbs { x: x.into(), y: 0, ref_width: u16::MAX, ref_height: 1 });
            let wanted = InputAction::MotionAbs { x: f64::from(x) / f64::from(u16::MAX), y: 0.0 };
            // One that is lost is left out.
            while recording.last() != Some(wanted) && begun.elapsed() < Duration::from_millis(100) {
                std::thread::sleep(Duration::from_micros(5));
            }
            if recording.last() == Some(wanted) {
                times.push(begun.elapsed());
            }
            while handle.next_unit(Duration::ZERO).is_some() {}
            std::thread::sleep(Duration::from_millis(1));
        }
        times.sort_unstable();
        times
    });
    let times = tokio::task::spawn_blocking(move || measuring.join().expect("no panic")).await.expect("no panic");
    stream.close(CloseCode::QUIT).await;
    host.stop().await;
    times
}

/// The keys since the last mark, once `mark` has come.
async fn until_mark(recording: &Recording, mark: InputAction) -> Vec<InputAction> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let actions = recording.actions();
        let keys: Vec<_> = actions.into_iter().filter(|a| matches!(a, InputAction::Key { .. })).collect();
        if let Some(end) = keys.iter().rposition(|a| *a == mark)
            && end + 1 == keys.len()
        {
            let is_mark = |a: &InputAction| matches!(a, InputAction::Key { code, .. } if MARK_CODES.contains(code));
            let this = &keys[..end.saturating_sub(1)];
            let begin = this.iter().rposition(is_mark).map_or(0, |at| at + 1);
            return this[begin..].to_vec();
        }
        assert!(Instant::now() < deadline, "the way is shut");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn judge(expected: &[InputAction], got: &[InputAction], typed: &mut Typed) {
    typed.missing += expected.len().saturating_sub(got.len()) as u64;
    typed.wrong += got.len().saturating_sub(expected.len()) as u64;
    typed.wrong += expected.iter().zip(got).filter(|(a, b)| a != b).count() as u64;
    let mut down = std::collections::BTreeSet::new();
    for action in got {
        if let InputAction::Key { code, down: pressed } = action {
            if *pressed {
                down.insert(*code)
            } else {
                down.remove(code)
            };
        }
    }
    typed.stuck += down.len() as u64;
}

/// Keys of a round. With their ends no more than the client keeps for a control stream that is slow.
pub const ROUND: u64 = 100;
/// F11 and F12, in turn.
const MARK_VKS: [u32; 2] = [0x7a, 0x7b];
const MARK_CODES: [u16; 2] = [87, 88];
