//! Sound from end to end: a program on a private desktop is heard by the probe, every channel in its place.

#[path = "../../../planes/native/tests/common/relay.rs"]
mod relay;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use punktfunk_e2e::{Host, Probe, ProbeOutcome};
use punktfunk_testkit::sound::{write_tones, write_wav};
use relay::Relay;
use rustix::process::{Pid, Signal, kill_process};

const TONES: [f32; 8] = [400.0, 700.0, 1100.0, 100.0, 1700.0, 2300.0, 3100.0, 4300.0];
const MAP: [&str; 8] = ["FL", "FR", "FC", "LFE", "RL", "RR", "SL", "SR"];

/// A host whose private desktop plays a tone per channel, and its client.
fn playing(dir: &Path, channels: usize) -> (Host, Probe) {
    write_tones(&dir.join("sound.wav"), &TONES[..channels], Duration::from_secs(60));
    playing_file(dir, channels)
}

/// A host whose private desktop plays `sound.wav`, and its client.
fn playing_file(dir: &Path, channels: usize) -> (Host, Probe) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.join("sound.wav");
    // Again and again: the sound server may be restarted under it.
    let play = format!(
        "while :; do pw-cat -p --channel-map {} {}; sleep 0.1; done",
        MAP[..channels].join(","),
        file.display()
    );
    let host = Host::start(&["serve", "--desktop", "private", "--linger", "off", "--private-desktop-shell", &play]);
    let probe = Probe::new();
    let out = host.command(&["pair", "arm", "--seconds", "60", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).expect("pair arm --json prints JSON");
    let outcome = probe.pair(host.quic, answer["pin"].as_str().expect("a PIN"));
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    (host, probe)
}

fn assert_tones(outcome: &ProbeOutcome, channels: usize) {
    assert_eq!(outcome.number("/audio/channels"), channels as f64);
    assert_eq!(outcome.number("/audio/decode_errors"), 0.0);
    for (channel, hz) in TONES[..channels].iter().enumerate() {
        let heard = outcome.number(&format!("/audio/levels/{channel}/hz"));
        assert!((heard / f64::from(*hz) - 1.0).abs() < 0.02, "channel {channel}: {heard} Hz, not {hz}: {outcome:#?}");
    }
}

#[test]
fn a_program_is_heard_in_stereo_in_5_1_and_in_7_1_and_nothing_stays() {
    for channels in [2, 6, 8] {
        let dir = tempfile::tempdir().unwrap();
        let (mut host, probe) = playing(dir.path(), channels);
        let count = channels.to_string();
        let args = ["--mode", "1280x720@60", "--seconds", "6", "--channels", &count, "--wav", "heard.wav"];
        let outcome = probe.stream(host.quic, &args);
        assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
        assert_tones(&outcome, channels);
        assert!(outcome.number("/audio/audible_ms") > 1_000.0, "{outcome:#?}");
        let wav = std::fs::read(probe.dir().join("heard.wav")).expect("the WAV file");
        assert_eq!(usize::from(wav[22]), channels);
        assert!(wav.len() > 44 + 48_000 * channels * 2, "{} bytes", wav.len());

        host.signal(Signal::INT);
        let status = host.wait().expect("the host ends");
        assert_eq!(status.code(), Some(0), "{}", host.log());
        host.assert_nothing_left();
        // Capture to wire, for docs/performance.md: `cargo test -p punktfunk-e2e --test sound -- --nocapture`.
        let log = host.log();
        eprintln!("{}", log.lines().find(|line| line.contains("sound ends")).expect("the figures of the sound"));
    }
}

#[test]
fn a_path_that_loses_sound_gets_it_twice_also_where_no_picture_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (host, probe) = playing(dir.path(), 2);
    // Sound goes by QUIC, which loses a twentieth here; pictures have a way of their own, which loses nothing.
    let relay = Relay::start(host.quic, 11);
    relay.lose(50);
    let outcome = probe.stream(relay.address, &["--mode", "640x360@30", "--seconds", "12"]);
    assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
    let number = |name: &str| outcome.number(&format!("/audio/{name}"));
    let (came, recovered, lost) = (number("datagrams"), number("recovered"), number("lost"));
    assert!(came > 1_500.0 && outcome.number("/frames_lost") == 0.0, "{outcome:#?}");
    // Of about 110 that did not come, all but the first ones and those of which both copies are gone.
    assert!(recovered > 40.0 && recovered > 2.0 * lost, "{recovered} recovered, {lost} lost: {outcome:#?}");
}

#[test]
fn a_sound_server_killed_in_mid_session_comes_back_and_pictures_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (host, probe) = playing(dir.path(), 2);
    let quic = host.quic.to_string();
    let mut streaming = probe
        .command(&["stream", &quic, "--mode", "1280x720@60", "--seconds", "12", "--json", "killed.json"])
        .spawn()
        .unwrap();
    host.wait_for_log("sending video", Duration::from_secs(20));
    std::thread::sleep(Duration::from_secs(4));
    let servers: Vec<i32> =
        host.processes().into_iter().filter(|(_, command)| command.trim() == "pipewire").map(|(pid, _)| pid).collect();
    assert!(!servers.is_empty(), "{:?}", host.processes());
    for pid in servers.into_iter().filter_map(Pid::from_raw) {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let status = streaming.wait().unwrap();
    assert!(status.success(), "{}", host.log());
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(probe.dir().join("killed.json")).unwrap()).unwrap();
    let outcome = ProbeOutcome { code: 0, stdout: String::new(), stderr: String::new(), report: Some(report) };
    assert_tones(&outcome, 2);
    assert_eq!(outcome.number("/frames_lost"), 0.0, "{outcome:#?}");
    // Four seconds before, and at least one of the eight after.
    assert!(outcome.number("/audio/audible_ms") > 5_000.0, "{outcome:#?}");
}

/// Noise whose every sample is a number of so many bits.
fn noise(bits: u32, samples: usize) -> Vec<i32> {
    let mut state = 1u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Not at full scale: what clips is no longer the same.
        (state.cast_signed() >> (32 - bits)) * 9 / 10
    };
    (0..samples).map(|_| number()).collect()
}

/// The longest run of `heard` that is a run of `played`, in samples, tried from every 4800th on.
fn longest_run(played: &[i32], heard: &[i32]) -> usize {
    let runs = (0..heard.len().saturating_sub(16)).step_by(4800).map(|from| {
        let heard = &heard[from..];
        let begins = played.windows(16).position(|window| window == &heard[..16]);
        begins.map_or(0, |at| played[at..].iter().zip(heard).take_while(|(p, h)| p == h).count())
    });
    runs.max().unwrap_or(0)
}

#[test]
fn sound_without_loss_arrives_bit_for_bit_or_the_log_says_why_not() {
    for bits in [16u32, 24] {
        let dir = tempfile::tempdir().unwrap();
        let played = noise(bits, 48_000 * 2 * 20);
        let scale = f64::from((1 << (bits - 1)) - 1);
        let samples: Vec<f32> = played.iter().map(|n| (f64::from(*n) / scale) as f32).collect();
        write_wav(&dir.path().join("sound.wav"), 2, &samples);
        let (host, probe) = playing_file(dir.path(), 2);
        let (bits_text, common) = (bits.to_string(), ["--mode", "1280x720@60", "--seconds", "6"]);
        let args = [&common[..], &["--bitrate", "20000", "--lossless", &bits_text, "--wav", "heard.wav"]].concat();
        let outcome = probe.stream(host.quic, &args);
        assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
        let codec = outcome.report.as_ref().and_then(|r| r.pointer("/audio/codec")?.as_str()).unwrap_or_default();
        assert_eq!(codec, format!("pcm{bits}"), "{outcome:#?}\n{}", host.log());
        assert_eq!(outcome.number("/audio/decode_errors"), 0.0);
        let wav = std::fs::read(probe.dir().join("heard.wav")).expect("the WAV file");
        assert_eq!(u32::from(wav[34]), bits);
        let heard: Vec<i32> = wav[44..]
            .chunks_exact(bits as usize / 8)
            .map(|b| match b {
                [a, b, c] => i32::from_le_bytes([0, *a, *b, *c]) >> 8,
                _ => i16::from_le_bytes([b[0], b[1]]).into(),
            })
            .collect();
        // Half a second of both channels without a single bit different; a busy machine tears the rest now and then.
        let run = longest_run(&played, &heard);
        assert!(run >= 48_000, "{run} samples of {} at {bits} bits\n{}", heard.len(), host.log());

        // 1.7 Mbit/s are more than a quarter of 5.
        let args = [&common[..3], &["2", "--bitrate", "5000", "--lossless"]].concat();
        let outcome = probe.stream(host.quic, &args);
        let codec = outcome.report.as_ref().and_then(|r| r.pointer("/audio/codec")?.as_str()).unwrap_or_default();
        assert_eq!(codec, "opus", "{outcome:#?}");
        assert!(host.log().contains("audio.lossless_dear"), "{}", host.log());
    }
}
