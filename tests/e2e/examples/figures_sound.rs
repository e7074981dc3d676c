//! Prints the figures of sound, both ways. Nothing here is a test: it measures and prints.
//!
//! ```text
//! cargo run --release -p punktfunk-e2e --example figures_sound -- sound|lossless|microphone|all
//! ```
//!
//! Build the programs with the same profile first (`cargo build --release`). Times are wall times on whatever machine
//! this is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use punktfunk_e2e::recorder::{Heard, record, wait_microphone};
use punktfunk_e2e::{Host, Probe, ProbeOutcome};
use punktfunk_testkit::sound::write_tones;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let all: [(&str, fn()); 3] = [("sound", sound), ("lossless", lossless), ("microphone", microphone)];
    let chosen: Vec<_> = all.iter().filter(|(name, _)| what == "all" || what == *name).collect();
    if chosen.is_empty() {
        eprintln!("figures_sound: sound, lossless, microphone, or all");
        std::process::exit(2);
    }
    for (name, run) in chosen {
        println!("\n== {name}");
        run();
    }
}

/// A host whose private desktop runs this, open to everybody.
fn host(shell: &str) -> Host {
    let private = ["--desktop", "private", "--linger", "off", "--open", "--private-desktop-shell", shell];
    Host::start(&[&["serve"][..], &private].concat())
}

fn tone(dir: &Path, seconds: u64) -> String {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).expect("a folder of ours");
    let file = dir.join("tone.wav");
    write_tones(&file, &[440.0, 660.0], Duration::from_secs(seconds));
    file.display().to_string()
}

fn number(o: &ProbeOutcome, pointer: &str) -> f64 {
    o.report.as_ref().and_then(|r| r.pointer(pointer)?.as_f64()).unwrap_or(f64::NAN)
}

fn last_line(host: &Host, text: &str) -> String {
    host.log().lines().rfind(|line| line.contains(text)).unwrap_or("nothing in the log").to_owned()
}

/// A tone of the private desktop to the probe: latency, skew to the pictures, gaps that losses leave.
fn sound() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let play = format!("while :; do pw-cat -p {}; done", tone(dir.path(), 600));
    let host = host(&play);
    println!("loss   captured → arrived p50/p99   skew to pictures   blocks  recovered   lost in gaps   gaps/min");
    for percent in ["0", "1", "5", "10"] {
        let args = ["--mode", "1280x720@60", "--seconds", "30", "--drop", percent, "--drop-sound", percent];
        let o = Probe::new().stream(host.quic, &args);
        println!(
            "{percent:>3} %  {:>9.1} / {:>6.1} ms  {:>14.1} ms  {:>12}  {:>9}  {:>6} in {:<4}  {:>8.0}",
            number(&o, "/audio/latency_us/p50") / 1e3,
            number(&o, "/audio/latency_us/p99") / 1e3,
            number(&o, "/audio/av_skew_us") / 1e3,
            number(&o, "/audio/datagrams"),
            number(&o, "/audio/recovered"),
            number(&o, "/audio/lost"),
            number(&o, "/audio/gaps"),
            number(&o, "/audio/gaps") * 2.0,
        );
        println!("       host: {}", last_line(&host, "sound ends"));
    }
}

/// The same without loss of quality.
fn lossless() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let play = format!("while :; do pw-cat -p {}; done", tone(dir.path(), 600));
    let host = host(&play);
    for (channels, bits) in [("2", "16"), ("2", "24"), ("8", "16")] {
        let args = ["--seconds", "15", "--bitrate", "40000", "--channels", channels, "--lossless", bits];
        let o = Probe::new().stream(host.quic, &args);
        let codec = o.report.as_ref().and_then(|r| r.pointer("/audio/codec")?.as_str()).unwrap_or("?").to_owned();
        println!(
            "{channels} channels, {bits} bits: {codec}, blocks of {} µs, captured → arrived {:.1} / {:.1} ms, {} lost",
            number(&o, "/audio/frame_us"),
            number(&o, "/audio/latency_us/p50") / 1e3,
            number(&o, "/audio/latency_us/p99") / 1e3,
            number(&o, "/audio/lost"),
        );
        println!("       host: {}", last_line(&host, "sound ends"));
    }
}

/// The probe's voice to a recorder on the private desktop: how long packets are held back, what losses leave.
fn microphone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = tone(dir.path(), 60);
    for percent in ["0", "1", "5", "10"] {
        let host = host("sleep 1000");
        let (probe, quic) = (Probe::new(), host.quic.to_string());
        let args = ["stream", &quic, "--seconds", "25", "--microphone", &file, "--drop-sound", percent];
        let mut speaking = probe.command(&args).stdout(Stdio::null()).spawn().expect("the probe starts");
        wait_microphone(&host, true, Duration::from_secs(30));
        let recording = record(&host, &dir.path().join(format!("voice{percent}.raw")), Duration::from_secs(15));
        let Heard { voiced, silent, gaps, .. } = Heard::of(&recording);
        let _ = speaking.wait();
        println!("{percent:>3} %  {} s recorded, {} ms silent in {gaps} gaps", (voiced + silent) / 100, silent * 10);
        println!("       host: {}", last_line(&host, "the microphone ends"));
    }
}
