//! A client's microphone on fakes: what programs record, and that nothing that goes wrong with it touches the pictures.

mod common;

use std::f32::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Running, Setup, code};
use punktfunk_core::Grants;
use punktfunk_engine::session::{SessionCommand, StopReason};
use punktfunk_media::fake::{Faults, PcmCodec, SyntheticDesktop, SyntheticOptions, Voice, voice_packet};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(faults: Faults, grants: Grants) -> (Running, Voice) {
    let desktop = SyntheticDesktop::new(SyntheticOptions { background: false, faults, ..Default::default() });
    let voice = desktop.voice();
    (Setup { desktop, grants, microphone: Some(Arc::new(PcmCodec)), ..Setup::default() }.start(), voice)
}

fn wait(what: &str, reached: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A client that says a tone of 500 Hz.
struct Mouth {
    due: Instant,
    seq: u32,
    said: usize,
}

impl Mouth {
    fn new() -> Self {
        Self { due: Instant::now(), seq: 0, said: 0 }
    }

    fn packet(&mut self) -> Vec<u8> {
        let samples: Vec<f32> =
            (self.said..self.said + 480).map(|n| 0.5 * (TAU * (500.0 * n as f32 / 48_000.0).fract()).sin()).collect();
        self.said += 480;
        voice_packet(&samples)
    }

    /// Says so many packets, 10 ms apart; those for which `lost` is true do not arrive.
    fn say(&mut self, running: &Running, packets: u32, lost: impl Fn(u32) -> bool) {
        for _ in 0..packets {
            let packet = self.packet();
            if !lost(self.seq) {
                running.control.voice(self.seq, self.said as u64 * 20_833, &packet);
            }
            self.seq += 1;
            self.due += Duration::from_millis(10);
            std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
        }
    }
}

/// The largest bend between neighbouring samples: of the tone 0.0022; of a click far more.
fn largest_bend(samples: &[f32]) -> f32 {
    samples.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn programs_hear_what_the_client_says() {
    let (running, voice) = start(Faults::default(), Grants::ALL);
    wait("a microphone", || voice.microphones() == 1);
    let mut mouth = Mouth::new();
    mouth.say(&running, 100, |_| false);
    wait("what was said", || voice.samples().len() >= 40_000);
    let end = running.finish();
    assert_eq!((end.cause, code(end.reason)), (StopReason::ClientLeft, "-"));
    assert_eq!(voice.microphones(), 0, "it goes with the client");
    let c = end.stats.counters;
    assert_eq!((c.voice_packets, c.voice_refused, c.voice_undecodable), (100, 0, 0));
    assert!(end.stats.voice.count >= 80, "{:?}", end.stats.voice);
    let samples = voice.samples();
    let rising = samples.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count() as f32;
    let expected = 500.0 * samples.iter().filter(|s| **s != 0.0).count() as f32 / 48_000.0;
    assert!((rising / expected - 1.0).abs() < 0.1, "{rising} periods, {expected} expected");
}

#[test]
fn what_a_client_may_not_say_is_not_heard_and_the_source_goes_at_once() {
    let silent = Grants(Grants::ALL.0 & !Grants::MIC.0);
    let (running, voice) = start(Faults::default(), Grants::ALL);
    wait("a microphone", || voice.microphones() == 1);
    let mut mouth = Mouth::new();
    mouth.say(&running, 30, |_| false);
    running.control.command(SessionCommand::SetGrants(silent));
    wait("no microphone", || voice.microphones() == 0);
    let heard = voice.samples().len();
    mouth.say(&running, 20, |_| false);
    assert_eq!((voice.samples().len(), voice.microphones()), (heard, 0));
    assert_eq!(running.control.stats().counters.voice_refused, 20);
    running.control.command(SessionCommand::SetGrants(Grants::ALL));
    wait("a microphone again", || voice.microphones() == 1);
    mouth.say(&running, 30, |_| false);
    wait("the client", || voice.samples().len() > heard);
    assert_eq!(running.finish().cause, StopReason::ClientLeft);

    let (never, voice) = start(Faults::default(), silent);
    Mouth::new().say(&never, 10, |_| false);
    assert_eq!((voice.samples().len(), voice.microphones()), (0, 0));
    assert_eq!(never.finish().stats.counters.voice_refused, 10);
}

#[test]
fn a_client_that_talks_while_nobody_records_leaves_nothing_for_later() {
    let (running, voice) = start(Faults::default(), Grants::ALL);
    voice.set_recorded(false);
    let mut mouth = Mouth::new();
    mouth.say(&running, 50, |_| false);
    assert!(voice.samples().is_empty());
    voice.set_recorded(true);
    mouth.say(&running, 30, |_| false);
    wait("the client", || voice.samples().len() > 4_800);
    let heard = voice.samples().len();
    assert!(heard <= 31 * 480 * 21 / 20, "{heard} samples of 30 packets");
    drop(running.finish());
}

#[test]
fn lost_and_wrong_packets_are_bridged() {
    let (running, voice) = start(Faults::default(), Grants::ALL);
    wait("a microphone", || voice.microphones() == 1);
    let mut mouth = Mouth::new();
    mouth.say(&running, 100, |seq| seq % 20 == 10);
    for wrong in [&[][..], &[0xff; 1], &[0x83, 0], &[30 << 3, 1], &[0xf0; 4000]] {
        running.control.voice(mouth.seq, 0, wrong);
        mouth.seq += 1;
        mouth.say(&running, 10, |_| false);
    }
    wait("what was said", || voice.samples().len() >= 60_000);
    let end = running.finish();
    assert_eq!((end.cause, code(end.reason)), (StopReason::ClientLeft, "-"));
    assert!(end.stats.counters.voice_undecodable >= 1);
}

#[test]
fn two_clocks_are_kept_together_without_a_click() {
    let (running, voice) = start(Faults::default(), Grants::ALL);
    wait("a microphone", || voice.microphones() == 1);
    let mut mouth = Mouth::new();
    // A client's clock that is two per cent fast, far more than any: half a second of packets in 490 ms.
    for _ in 0..12 {
        mouth.say(&running, 50, |_| false);
        mouth.due = mouth.due.checked_sub(Duration::from_millis(10)).unwrap();
    }
    wait("what was said", || voice.samples().len() >= 200_000);
    let samples = voice.samples();
    drop(running.finish());
    // A busy machine may starve the recorder; what was heard without a break must be smooth.
    let bends: Vec<f32> = samples.chunks(4_800).map(largest_bend).collect();
    let smooth = bends.iter().filter(|bend| **bend < 0.01).count();
    assert!(smooth * 10 >= bends.len() * 8, "{bends:?}");
}

#[test]
fn a_desktop_without_a_microphone_costs_the_microphone_and_nothing_else() {
    for faults in [Faults { no_microphone: true, ..Faults::default() }, Faults { no_sound: true, ..Faults::default() }]
    {
        let (running, _) = start(faults, Grants::ALL);
        running.client.wait_for("the microphone's end", |s| {
            s.microphone_ends.first().map(|end| assert_eq!(end.reason.code, "audio.unsupported"))
        });
        running.client.wait_more(30);
        running.control.voice(0, 0, &[30 << 3]);
        let client = Arc::clone(&running.client);
        let end = running.finish();
        assert_eq!((end.cause, end.stats.counters.voice_refused), (StopReason::ClientLeft, 1));
        assert_eq!(client.seen().microphone_ends.len(), 1);
    }
}

#[test]
fn a_protocol_without_a_microphone_has_none() {
    let running = Setup::default().start();
    running.client.wait_units(5);
    running.control.voice(0, 0, &[30 << 3]);
    running.control.command(SessionCommand::SetGrants(Grants::ALL));
    running.control.voice(1, 0, &[30 << 3]);
    assert_eq!(running.finish().stats.counters.voice_refused, 2);
}
