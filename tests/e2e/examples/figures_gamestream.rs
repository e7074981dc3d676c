//! Prints the figures of GameStream's whole path, seen by our own Moonlight-side client. Nothing here is a test: it
//! measures and prints.
//!
//! ```text
//! cargo run --release -p punktfunk-e2e --example figures_gamestream -- transport|synthetic|desktop|start|loss|all
//! ```
//!
//! Build the host with the same profile first (`cargo build --release -p punktfunk-host`). Host, desktop, client and
//! decoder share the machine: quote the load beside the numbers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use punktfunk_e2e::census::cpu_seconds;
use punktfunk_e2e::{Host, HostOptions};
use punktfunk_gsclient::{Client, Identity, Loss, Percentiles, Report, Shape, StreamOptions, Style, Taps};

fn main() {
    let what = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let all: [(&str, fn()); 5] =
        [("transport", transport), ("synthetic", synthetic), ("desktop", desktop), ("start", start), ("loss", loss)];
    let wanted: Vec<_> = all.iter().filter(|(name, _)| what == "all" || what == *name).collect();
    if wanted.is_empty() {
        eprintln!("figures_gamestream: one of {}, or all", all.map(|(name, _)| name).join(", "));
        std::process::exit(2);
    }
    for (name, run) in wanted {
        println!("\n== {name}");
        run();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("load averages: {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
    }
}

/// The way of packets alone: the host's access units are no bitstream and cost nothing to make.
fn transport() {
    for (name, encryption) in [("sealed", 7), ("video in the clear", 5)] {
        let host = gamestream_host(&["punktfunk1-host", "--source", "synthetic", "--codec", "none"]);
        let base = options(1280, 720, 50_000);
        let options = StreamOptions { fps: 120, decode: false, synthetic_payloads: true, encryption, ..base };
        measure(&format!("120 fps, 50 Mbit/s, {name}"), &host, &mut paired(&host), options);
    }
}

/// The pictures that the host makes itself, encoded: no compositor and no capture in the way.
fn synthetic() {
    for encoder in ENCODERS {
        for (width, height, kbps) in MODES {
            let host = synthetic_host(encoder);
            let options = options(width, height, kbps);
            measure(&format!("synthetic {width}x{height}@60 {encoder}"), &host, &mut paired(&host), options);
        }
    }
}

/// A sway of the client's own: a terminal that prints without end, and one that waits.
fn desktop() {
    for (name, shell) in [("scrolling", SCROLLING), ("still", STILL)] {
        for encoder in ENCODERS {
            for (width, height, kbps) in MODES {
                let host = desktop_host(encoder, shell);
                let options = options(width, height, kbps);
                measure(&format!("{name} {width}x{height}@60 {encoder}"), &host, &mut paired(&host), options);
            }
        }
    }
}

/// From the launch (or resume) request until the first whole picture.
fn start() {
    for (name, host) in [("synthetic", synthetic_host("x264")), ("private sway", desktop_host("x264", STILL))] {
        let mut client = paired(&host);
        let (mut launches, mut resumes) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            for times in [&mut launches, &mut resumes] {
                times.push(first_frame_ms(&mut client));
                // The host is told, and has put the display aside, before the next request.
                std::thread::sleep(Duration::from_millis(500));
            }
            client.http.cancel().expect("something runs");
            // A spare desktop is made ready.
            std::thread::sleep(Duration::from_secs(3));
        }
        for (what, times) in [("launch", &mut launches), ("resume", &mut resumes)] {
            times.sort_by(f64::total_cmp);
            println!("{name}, {what} → first frame: median {:.0} ms, slowest of 10 {:.0} ms", times[5], times[9]);
        }
    }
}

fn first_frame_ms(client: &mut Client) -> f64 {
    let options = StreamOptions { verify_recovery: false, ..StreamOptions::default() };
    let report = client.stream(options, Duration::from_millis(500)).expect("a stream");
    report.first_frame_ms.expect("a picture")
}

/// Datagrams thrown away by the receiver, 15 s each on a scrolling desktop.
fn loss() {
    for (name, percent, burst) in LOSSES {
        for invalidation in [false, true] {
            let host = desktop_host("openh264", SCROLLING);
            let video_loss = Loss::new(percent, burst, 7);
            let options = StreamOptions { video_loss, invalidation, ..options(1280, 720, 10_000) };
            let mut session = paired(&host).start(options, Taps::default()).expect("a stream");
            assert!(session.wait_first_frame(PATIENCE), "no picture\n{}", host.log());
            session.run(Duration::from_secs(15));
            let report = session.stop().expect("a report");
            let (video, how) = (&report.video, if invalidation { "invalidation" } else { "keyframes" });
            println!(
                "{name:<22} {how:<13} {:>5} frames, {:>3} repaired, {:>3} lost, {:>3} thrown away after them, {:>2} keyframes, {:>2} recovery frames, {} datagrams of {} dropped",
                video.stats.frames,
                video.stats.recovered,
                video.stats.lost,
                video.stats.discarded,
                video.stats.keyframes,
                video.stats.recovery_frames,
                video.dropped_on_purpose,
                video.stats.datagrams + video.dropped_on_purpose,
            );
            tell_violations(&report);
        }
    }
}

fn options(width: u32, height: u32, bitrate_kbps: u32) -> StreamOptions {
    StreamOptions { width, height, bitrate_kbps, decode: true, verify_recovery: false, ..StreamOptions::default() }
}

/// Streams; CPU is that of the seconds in the middle, the rest of the whole stream.
fn measure(label: &str, host: &Host, client: &mut Client, options: StreamOptions) {
    let mut session = client.start(options, Taps::default()).expect("a stream");
    assert!(session.wait_first_frame(PATIENCE), "no picture\n{}", host.log());
    session.run(Duration::from_secs(2));
    let (frames, used, begun) = (session.frames(), Cpu::of(host), Instant::now());
    session.run(Duration::from_secs(10));
    let (frames, used, seconds) =
        (session.frames() - frames, Cpu::of(host).since(&used), begun.elapsed().as_secs_f64());
    let report = session.stop().expect("a report");
    client.http.cancel().expect("it runs");
    let (video, audio) = (&report.video, &report.audio.stats);
    // Of the whole stream, brought down to the seconds in the middle.
    let packets = (video.stats.datagrams + audio.packets + audio.fec_packets) as f64 * seconds / report.seconds;
    println!(
        "{label:<34} {:>4.1} fps, {} lost, {:>5.2} Mbit/s  captured→decoded {} ms  cpu host {:>4.1} %, {:>5.2} ms per frame, {:>5.1} µs per packet; compositor {:>4.1} %",
        frames as f64 / seconds,
        video.stats.lost,
        video.goodput_bps as f64 / 1e6,
        milliseconds(video.capture_to_decoded_us),
        100.0 * used.host / seconds,
        1e3 * used.host / frames.max(1) as f64,
        1e6 * used.host / packets,
        100.0 * used.compositors / seconds,
    );
    for stage in ["capture", "queue", "convert", "encode", "packetize", "pace", "host"] {
        if let Some((p50, p99)) = stage_us(host, stage) {
            println!("    {stage:<10} p50 {p50:>7} µs   p99 {p99:>7} µs");
        }
    }
    for (stage, times) in [("receive", video.receive_us), ("decode", video.decode_us)] {
        if let Some(Percentiles { p50, p99, .. }) = times {
            println!("    {stage:<10} p50 {p50:>7} µs   p99 {p99:>7} µs");
        }
    }
    tell_violations(&report);
}

/// CPU time of the host, and of all sways in its folders, in seconds.
struct Cpu {
    host: f64,
    compositors: f64,
}

impl Cpu {
    fn of(host: &Host) -> Self {
        let sways = host.processes().into_iter().filter(|(_, command)| command.contains("sway "));
        Self {
            host: cpu_seconds(host.pid()),
            compositors: sways.map(|(pid, _)| cpu_seconds(pid.cast_unsigned())).sum(),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        Self { host: self.host - earlier.host, compositors: self.compositors - earlier.compositors }
    }
}

/// p50 and p99 as the host logs them once a session is over.
fn stage_us(host: &Host, stage: &str) -> Option<(u64, u64)> {
    let begin = format!("stage=\"{stage}\" ");
    let log = host.log();
    let line = log.lines().rev().find(|line| line.contains(&begin))?;
    let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
    Some((field("p50=")?, field("p99=")?))
}

fn milliseconds(times: Option<Percentiles>) -> String {
    times.map_or_else(
        || "-".to_owned(),
        |Percentiles { p50, p99, .. }| format!("{:.1} / {:.1}", p50 as f64 / 1e3, p99 as f64 / 1e3),
    )
}

fn tell_violations(report: &Report) {
    if report.violation_count > 0 || report.video.decode_errors > 0 {
        println!("    {} broken rules, {} decode errors", report.violation_count, report.video.decode_errors);
        report.violations.iter().for_each(|violation| println!("    {violation}"));
    }
}

fn synthetic_host(encoder: &str) -> Host {
    gamestream_host(&["punktfunk1-host", "--source", "synthetic", "--encoder", encoder])
}

fn desktop_host(encoder: &str, shell: &str) -> Host {
    let args = ["serve", "--desktop", "private", "--linger", "20", "--encoder", encoder];
    gamestream_host(&[&args[..], &["--private-desktop-shell", shell]].concat())
}

fn gamestream_host(args: &[&str]) -> Host {
    let args = args.iter().chain(&["--gamestream", "--gamestream-port", "0"]).map(|a| (*a).to_owned()).collect();
    // The stages' times are told on this level.
    let env = vec![("PUNKTFUNK_LOG".to_owned(), "info,punktfunk_gamestream::session=debug".to_owned())];
    Host::start_with(&HostOptions { args, env, ..HostOptions::default() })
}

/// A client whose PIN was typed at the host.
fn paired(host: &Host) -> Client {
    let line = host.line("gamestream http=");
    let http: SocketAddr =
        line.split_whitespace().find_map(|w| w.strip_prefix("http=")?.parse().ok()).expect("an address");
    let mut client = Client::new(http, Arc::new(Identity::generate(Shape::Serial0).expect("a key")));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && !host.command(&["pair", "pin", PIN]).status.success() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = client.pair(PIN, Style::Qt);
        done.store(true, Ordering::Relaxed);
        outcome.expect("paired");
    });
    client
}

const ENCODERS: [&str; 2] = ["x264", "openh264"];
/// Size and the user's bitrate in kbit/s.
const MODES: [(u32, u32, u32); 2] = [(1280, 720, 10_000), (1920, 1080, 20_000)];
/// Name, per cent of all datagrams, length of a run. Runs that 0.4 % of the datagrams begin are what the peer was measured with.
const LOSSES: [(&str, f64, u32); 3] = [("1 %", 1.0, 1), ("5 %", 5.0, 1), ("bursts of 8, 3.1 %", 3.1, 8)];
const SCROLLING: &str = "exec foot sh -c 'i=100000; while :; do seq $i 7 $((i+700)) | paste - - - - - - - - - -; i=$((i+701)); sleep 0.016; done'";
const STILL: &str = "exec foot sh -c 'echo still; sleep 1000'";
const PIN: &str = "1234";
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
