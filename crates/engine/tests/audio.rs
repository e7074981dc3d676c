//! Sound on fakes: what a client hears, and that nothing that goes wrong with it touches the pictures.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Client, Running, Setup, SoundSetup, code};
use punktfunk_engine::session::{SessionCommand, StopReason};
use punktfunk_media::fake::{Faults, SyntheticDesktop, SyntheticOptions, TONES_HZ};
use punktfunk_media::{ChannelLayout, SAMPLE_RATE};

const STEREO: SoundSetup = SoundSetup {
    layout: ChannelLayout::Stereo,
    block: Duration::from_millis(5),
    bitrate_bps: 96_000,
    breaks_at: None,
    drops_at: None,
};

fn start(faults: Faults, sound: SoundSetup) -> Running {
    let desktop = SyntheticDesktop::new(SyntheticOptions { background: false, faults, ..Default::default() });
    Setup { desktop, sound: Some(sound), ..Setup::default() }.start()
}

fn wait_heard(client: &Client, n: usize) {
    client.wait_for(&format!("{n} blocks of sound"), |s| (s.heard.len() >= n).then_some(()));
}

/// Waits until the sound ended; returns its reason.
fn wait_sound_end(client: &Client) -> &'static str {
    client.wait_for("the sound's end", |s| s.sound_ends.first().map(|end| end.reason.code))
}

#[test]
fn a_client_hears_every_channel_in_its_place() {
    for (layout, ms) in [(ChannelLayout::Stereo, 10), (ChannelLayout::Surround51, 5), (ChannelLayout::Surround71, 5)] {
        let block = Duration::from_millis(ms);
        let running = start(Faults::default(), SoundSetup { layout, block, ..STEREO });
        wait_heard(&running.client, 40);
        let client = Arc::clone(&running.client);
        let end = running.finish();
        assert_eq!((end.cause, code(end.reason)), (StopReason::ClientLeft, "-"));
        let c = end.stats.counters;
        assert!(c.audio_blocks >= 40 && c.audio_silent == 0 && c.audio_errors == 0, "{c:?}");
        assert_eq!(end.stats.audio.count, c.audio_blocks);
        let seen = client.seen();
        let channels = layout.channels();
        let bytes = ms as usize * SAMPLE_RATE as usize / 1000 * channels * 2;
        assert!(seen.heard.iter().all(|h| h.packet.len() == bytes && !h.silent));
        assert!(seen.heard.windows(2).all(|w| w[1].captured_ns - w[0].captured_ns == ms * 1_000_000));
        let samples: Vec<i16> = seen
            .heard
            .iter()
            .flat_map(|h| h.packet.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)))
            .collect();
        for (channel, hz) in TONES_HZ[..channels].iter().enumerate() {
            let line: Vec<i16> = samples.iter().skip(channel).step_by(channels).copied().collect();
            let rising = line.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count() as f32;
            let expected = hz * line.len() as f32 / SAMPLE_RATE as f32;
            assert!((rising - expected).abs() <= 1.5, "channel {channel}: {rising} periods instead of {expected}");
        }
    }
}

#[test]
fn a_desktop_without_sound_costs_the_sound_and_nothing_else() {
    let running = start(Faults { no_sound: true, ..Faults::default() }, STEREO);
    assert_eq!(wait_sound_end(&running.client), "audio.unsupported");
    running.client.wait_more(30);
    assert_eq!(running.finish().cause, StopReason::ClientLeft);
}

#[test]
fn an_impossible_codec_costs_the_sound_and_nothing_else() {
    let running = start(Faults::default(), SoundSetup { bitrate_bps: 0, ..STEREO });
    assert_eq!(wait_sound_end(&running.client), "audio.codec");
    running.client.wait_more(30);
    assert_eq!(running.finish().cause, StopReason::ClientLeft);
}

#[test]
fn a_sound_server_that_is_slow_to_start_delays_no_picture() {
    let never = start(Faults { sound_opens_late: u32::MAX, ..Faults::default() }, STEREO);
    never.client.wait_units(30);
    assert!(never.client.seen().sound_ends.is_empty(), "it is still waited for");
    assert_eq!(never.finish().stats.counters.audio_blocks, 0);

    let late = start(Faults { sound_opens_late: 2, ..Faults::default() }, STEREO);
    wait_heard(&late.client, 5);
    assert!(late.finish().stats.counters.audio_blocks >= 5);
}

#[test]
fn a_source_that_ends_is_reported_once_and_pictures_go_on() {
    let running = start(Faults { sound_fatal_after: Some(20), ..Faults::default() }, STEREO);
    assert_eq!(wait_sound_end(&running.client), "audio.lost");
    running.client.wait_more(30);
    let client = Arc::clone(&running.client);
    assert_eq!(running.finish().cause, StopReason::ClientLeft);
    let seen = client.seen();
    assert_eq!((seen.heard.len(), seen.sound_ends.len()), (20, 1));
}

#[test]
fn a_broken_link_ends_the_sound_and_a_lost_packet_does_not() {
    let running = start(Faults::default(), SoundSetup { drops_at: Some(3), breaks_at: Some(20), ..STEREO });
    assert_eq!(wait_sound_end(&running.client), "native.data_socket");
    running.client.wait_more(30);
    let client = Arc::clone(&running.client);
    assert_eq!(running.finish().stats.counters.audio_errors, 1);
    assert_eq!(client.seen().heard.len(), 19);
}

#[test]
fn silence_is_told_only_after_the_coder_has_let_go_of_the_last_sound() {
    let running = start(Faults { sound_silent_after: Some(10), ..Faults::default() }, STEREO);
    wait_heard(&running.client, 40);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    let seen = client.seen();
    let first = seen.heard.iter().position(|h| h.silent).expect("silence");
    assert_eq!(first, 14);
    assert!(seen.heard[first..].iter().all(|h| h.silent && h.packet.iter().all(|b| *b == 0)));
    assert_eq!(end.stats.counters.audio_silent, end.stats.counters.audio_blocks - 14);
}

#[test]
fn a_gap_in_the_source_is_a_gap_in_time() {
    let running = start(Faults { sound_gap_every: Some(10), ..Faults::default() }, STEREO);
    wait_heard(&running.client, 30);
    let client = Arc::clone(&running.client);
    drop(running.finish());
    let seen = client.seen();
    let steps: Vec<u64> = seen.heard.windows(2).map(|w| (w[1].captured_ns - w[0].captured_ns) / 1_000_000).collect();
    assert_eq!(&steps[..18], [[5; 8].as_slice(), &[10], &[5; 8], &[10]].concat());
}

#[test]
fn a_panicking_source_ends_the_session_with_its_reason() {
    let running = start(Faults { sound_panic_after: Some(5), ..Faults::default() }, STEREO);
    running.client.wait_ending();
    let end = running.join();
    assert_eq!((end.cause, code(end.reason)), (StopReason::Failed, "internal.panic"));
    assert!(end.detail.starts_with("audio-0 panicked") && end.stage.is_some(), "{}", end.detail);
}

#[test]
fn sound_and_pictures_share_one_clock_and_a_client_without_sound_gets_none() {
    let running = start(Faults::default(), STEREO);
    wait_heard(&running.client, 20);
    running.client.wait_units(20);
    running.control.command(SessionCommand::Keyframe);
    let client = Arc::clone(&running.client);
    drop(running.finish());
    let seen = client.seen();
    let (sound, picture) = (seen.heard[0].captured_ns, seen.units[0].pts_ns);
    assert!(sound.abs_diff(picture) < 60_000_000_000, "sound at {sound}, picture at {picture}");

    let silent = Setup::default().start();
    silent.client.wait_units(30);
    assert_eq!(silent.finish().stats.counters.audio_blocks, 0);
}
