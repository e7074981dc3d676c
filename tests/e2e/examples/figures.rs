//! Prints the figures of whole paths. Nothing here is a test: it measures and prints.
//!
//! ```text
//! cargo run --release -p punktfunk-e2e --example figures -- ping|transport|goodput|memory|start|sessions|revoke|narrow|desktop|all
//! ```
//!
//! Build the programs with the same profile first (`cargo build --release`). Times are wall times on whatever machine
//! this is; quote them beside the bare loopback row and as ratios.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use punktfunk_e2e::census::{self, ThreadTime, cpu_seconds};
use punktfunk_e2e::{Host, Probe, ProbeOutcome};

fn main() {
    let what = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let all: &[(&str, fn())] = &[
        ("ping", ping),
        ("transport", transport),
        ("goodput", goodput),
        ("memory", memory),
        ("start", start),
        ("sessions", sessions),
        ("revoke", revoke),
        ("narrow", narrow),
        ("desktop", desktop),
    ];
    let mut ran = false;
    for (name, run) in all {
        if what == "all" || what == *name {
            println!("\n== {name}");
            run();
            ran = true;
        }
    }
    if !ran {
        eprintln!("figures: one of {}, or all", all.map_names());
        std::process::exit(2);
    }
}

trait Names {
    fn map_names(&self) -> String;
}

impl Names for [(&str, fn())] {
    fn map_names(&self) -> String {
        self.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ")
    }
}

fn stream(host: &Host, args: &[&str]) -> ProbeOutcome {
    let outcome = Probe::new().stream(host.quic, args);
    if outcome.code != 0 {
        println!("the probe failed with {}: {}", outcome.code, outcome.stderr);
        std::process::exit(1);
    }
    outcome
}

/// One stream in a line. "latency" is drawn → last packet in, p50/p99; "decoded" is drawn → out of the decoder (the checker
/// of `PFT1` units where nothing is decoded), p50/p90/p99.
fn row(label: &str, o: &ProbeOutcome, seconds: f64, host_cpu: f64) {
    let n =
        |p: &str| o.report.as_ref().and_then(|r| r.pointer(p)).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    println!(
        "{label:<28} {:>7.0} frames {:>4.0} lost  {:>8.1} Mbit/s  latency {:>7.0}/{:>7.0} µs  decoded {:>7.0}/{:>7.0}/{:>7.0} µs  cpu host {:>5.1} % probe {:>5.1} %  per packet {:.2} / {:.2} µs",
        n("/frames_received"),
        n("/frames_lost"),
        n("/goodput_bps") / 1e6,
        n("/latency_us/p50"),
        n("/latency_us/p99"),
        n("/drawn_to_decoded_us/p50"),
        n("/drawn_to_decoded_us/p90"),
        n("/drawn_to_decoded_us/p99"),
        100.0 * host_cpu / seconds,
        100.0 * n("/cpu_s/self") / seconds,
        1e6 * host_cpu / n("/packets/received"),
        1e6 * n("/cpu_s/self") / n("/packets/received"),
    );
}

fn stages(o: &ProbeOutcome) {
    for stage in ["capture", "convert", "encode", "packetize", "pace", "network", "receive", "decode"] {
        let at = |q: &str| o.report.as_ref().and_then(|r| r.pointer(&format!("/stages_us/{stage}/{q}"))?.as_f64());
        if let (Some(p50), Some(p99)) = (at("p50"), at("p99")) {
            println!("    {stage:<10} p50 {p50:>8.0} µs   p99 {p99:>8.0} µs");
        }
    }
}

/// The bare loopback row that everything else is judged beside: 10 000 round trips of one 1472-byte datagram.
fn ping() {
    let a = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let b = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    a.connect(b.local_addr().expect("an address")).expect("loopback");
    b.connect(a.local_addr().expect("an address")).expect("loopback");
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        for _ in 0..10_000 {
            let n = b.recv(&mut buffer).expect("loopback");
            b.send(&buffer[..n]).expect("loopback");
        }
    });
    let mut times: Vec<u128> = (0..10_000)
        .map(|_| {
            let begun = Instant::now();
            let mut buffer = [0; 1472];
            a.send(&buffer).expect("loopback");
            a.recv(&mut buffer).expect("loopback");
            begun.elapsed().as_nanos() / 2
        })
        .collect();
    echo.join().expect("the echo thread ends");
    times.sort_unstable();
    println!("one way: p50 {:.1} µs  p99 {:.1} µs", times[5_000] as f64 / 1e3, times[9_900] as f64 / 1e3);
}

fn synthetic(extra: &[&str]) -> Host {
    let mut args = vec!["punktfunk1-host", "--source", "synthetic", "--open"];
    args.extend(extra);
    Host::start(&args)
}

fn transport() {
    let host = synthetic(&["--codec", "none", "--bitrate", "50000", "--fps", "120"]);
    let before = cpu_seconds(host.pid());
    let o = stream(&host, &["--mode", "1280x720@120", "--codec", "none", "--bitrate", "50000", "--seconds", "10"]);
    row("120 fps, 50 Mbit/s", &o, 10.0, cpu_seconds(host.pid()) - before);
    stages(&o);
}

fn goodput() {
    for mbit in [250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 5000] {
        let kbps = (mbit * 1000).to_string();
        let host = synthetic(&["--codec", "none", "--bitrate", &kbps, "--fps", "120"]);
        let before = cpu_seconds(host.pid());
        let o = stream(&host, &["--mode", "1280x720@120", "--codec", "none", "--bitrate", &kbps, "--seconds", "5"]);
        row(&format!("{mbit} Mbit/s asked"), &o, 5.0, cpu_seconds(host.pid()) - before);
    }
}

fn memory() {
    let host = synthetic(&["--codec", "none", "--bitrate", "20000"]);
    println!("idle: {} KiB", census::resident_kib(host.pid()));
    for _ in 0..3 {
        let quic = host.quic.to_string();
        let probe = Probe::new();
        let mut running = probe
            .command(&["stream", &quic, "--mode", "1280x720@60", "--codec", "none", "--seconds", "3"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("the probe starts");
        std::thread::sleep(Duration::from_secs(2));
        println!("with one session: {} KiB", census::resident_kib(host.pid()));
        running.wait().expect("the probe ends");
    }
}

fn start() {
    let begun = Instant::now();
    let host = synthetic(&["--codec", "none"]);
    println!("process to listening (as the harness sees it): {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    let o = stream(&host, &["--mode", "1280x720@60", "--codec", "none", "--seconds", "1", "--reconnect", "10"]);
    println!("probe start to first access unit, synthetic: {:.0} ms", o.number("/first_frame_ms"));
    println!("{}", o.stdout);
}

fn sessions() {
    let host = synthetic(&["--codec", "none", "--bitrate", "20000", "--max-sessions", "16"]);
    let before = cpu_seconds(host.pid());
    let outcomes: Vec<ProbeOutcome> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    stream(
                        &host,
                        &["--mode", "1280x720@60", "--codec", "none", "--bitrate", "20000", "--seconds", "10"],
                    )
                })
            })
            .collect();
        running.into_iter().map(|r| r.join().expect("a probe")).collect()
    });
    let host_cpu = cpu_seconds(host.pid()) - before;
    for (i, o) in outcomes.iter().enumerate() {
        row(&format!("session {i}"), o, 10.0, host_cpu / 16.0);
    }
    println!("host: {:.1} % of a core in all, {} KiB", 10.0 * host_cpu, census::resident_kib(host.pid()));
}

/// How soon a narrowed grant counts: from the start of `ctl clients grants ID view` (another process) until the session
/// has refused an input event of a client that sends one every 5 ms. Read off the API every millisecond or two.
fn narrow() {
    let host = Host::start(&["punktfunk1-host", "--source", "synthetic", "--codec", "none", "--pairing", "required"]);
    let armed: serde_json::Value =
        serde_json::from_slice(&host.command(&["pair", "arm", "--json"]).stdout).expect("armed");
    let probe = Probe::new();
    assert_eq!(probe.pair(host.quic, armed["pin"].as_str().expect("a PIN")).code, 0);
    let clients: serde_json::Value =
        serde_json::from_slice(&host.command(&["ctl", "clients", "list", "--json"]).stdout).expect("a list");
    let id = clients[0]["id"].as_str().expect("the only client").to_owned();
    let moves: String =
        (0..12_000).map(|n| format!("{{\"t_ms\":{},\"ev\":\"move\",\"dx\":1,\"dy\":0}}\n", n * 5)).collect();
    std::fs::write(probe.dir().join("moves"), moves).expect("writable");
    let quic = host.quic.to_string();
    let mut streaming = probe
        .command(&["stream", &quic, "--mode", "640x480@60", "--codec", "none", "--seconds", "60", "--input", "moves"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the probe starts");
    let socket = host.root().join("run/punktfunk/control.sock");
    let count = |name: &str| counter(&socket, name);
    while count("input_events") == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut times = Vec::new();
    for _ in 0..10 {
        assert!(host.command(&["ctl", "clients", "grants", &id, "full"]).status.success());
        std::thread::sleep(Duration::from_millis(300));
        let before = count("input_refused");
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(host.command(&["ctl", "clients", "grants", &id, "view"]).status.success()));
            while count("input_refused") == before {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("10 times, grant narrowed to input refused: median {:.0} ms, slowest {:.0} ms", times[5], times[9]);
    let _ = streaming.kill();
    let _ = streaming.wait();
}

/// A counter of the only session, asked over the control socket.
fn counter(socket: &std::path::Path, name: &str) -> u64 {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("the host runs");
    stream.write_all(b"GET /api/v1/stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let json = answer.split("\r\n\r\n").nth(1).and_then(|body| serde_json::from_str::<serde_json::Value>(body).ok());
    json.and_then(|json| json["sessions"][0]["details"]["counters"][name].as_u64()).unwrap_or(0)
}

/// How soon a revoked client is thrown out: from the start of `pair revoke` (another process, which asks the host over its
/// socket) to the end of the session (by the host's log) and to the end of the client's process, which has things of its
/// own to end.
fn revoke() {
    let host = Host::start(&["punktfunk1-host", "--source", "synthetic", "--codec", "none", "--pairing", "required"]);
    let (mut sessions, mut clients): (Vec<f64>, Vec<f64>) = (0..10).map(|_| revoke_once(&host)).unzip();
    for (what, times) in [("session over", &mut sessions), ("client's process over", &mut clients)] {
        times.sort_by(f64::total_cmp);
        println!("10 clients, {what}: median {:.0} ms, slowest {:.0} ms", times[5], times[9]);
    }
}

fn revoke_once(host: &Host) -> (f64, f64) {
    // A pairing that went through closes the window for 2 s.
    std::thread::sleep(Duration::from_millis(2100));
    let armed: serde_json::Value =
        serde_json::from_slice(&host.command(&["pair", "arm", "--json"]).stdout).expect("armed");
    let probe = Probe::new();
    let paired = probe.pair(host.quic, armed["pin"].as_str().expect("a PIN"));
    assert_eq!(paired.code, 0, "{paired:#?}");
    let clients: serde_json::Value =
        serde_json::from_slice(&host.command(&["pair", "list", "--json"]).stdout).expect("a list");
    let id = clients[0]["id"].as_str().expect("the only client").to_owned();
    let quic = host.quic.to_string();
    let mut streaming = probe
        .command(&["stream", &quic, "--mode", "1280x720@60", "--codec", "none", "--seconds", "60"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the probe starts");
    std::thread::sleep(Duration::from_secs(1));
    let over = || host.log().matches("session over").count();
    let before = over();
    let begun = Instant::now();
    let since = || begun.elapsed().as_secs_f64() * 1e3;
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(host.command(&["pair", "revoke", &id]).status.success(), "revoked"));
        while over() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        let session = since();
        streaming.wait().expect("the probe ends");
        (session, since())
    })
}

fn desktop() {
    // Scrolling: a terminal that prints without end. Still: a terminal that waits.
    for (name, shell) in [
        (
            "scrolling",
            "exec foot sh -c 'i=100000; while :; do seq $i 7 $((i+700)) | paste - - - - - - - - - -; i=$((i+701)); sleep 0.016; done'",
        ),
        ("still", "exec foot sh -c 'echo still; sleep 1000'"),
    ] {
        for mode in ["1280x720@60", "1920x1080@60"] {
            for encoder in ["x264", "openh264"] {
                let host = Host::start(&[
                    "punktfunk1-host",
                    "--source",
                    "virtual",
                    "--open",
                    "--desktop",
                    "private",
                    "--linger",
                    "off",
                    "--encoder",
                    encoder,
                    "--private-desktop-shell",
                    shell,
                ]);
                let quic = host.quic.to_string();
                let probe = Probe::new();
                let running = probe
                    .command(&[
                        "stream",
                        &quic,
                        "--mode",
                        mode,
                        "--bitrate",
                        "15000",
                        "--seconds",
                        "12",
                        "--json",
                        "report.json",
                    ])
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .expect("the probe starts");
                std::thread::sleep(Duration::from_secs(3));
                let before = Sample::take(&host);
                std::thread::sleep(Duration::from_secs(8));
                let after = Sample::take(&host);
                let _ = running.wait_with_output();
                let report = std::fs::read_to_string(probe.dir().join("report.json")).unwrap_or_default();
                let o = ProbeOutcome {
                    code: 0,
                    stdout: String::new(),
                    stderr: String::new(),
                    report: serde_json::from_str(&report).ok(),
                };
                row(&format!("{name} {mode} {encoder}"), &o, 8.0, after.host - before.host);
                stages(&o);
                split(&before, &after, &o, 8.0);
            }
        }
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load averages at the end: {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
}

/// CPU used so far by everything that a desktop's stream costs on the host's side.
struct Sample {
    host: f64,
    threads: Vec<ThreadTime>,
    /// Sways, the warm spare's included.
    compositors: f64,
    /// What else runs on the desktops: terminals, the bus, the scene.
    programs: f64,
}

impl Sample {
    fn take(host: &Host) -> Self {
        let (mut compositors, mut programs) = (0.0, 0.0);
        for (pid, command) in host.processes() {
            let pid = pid.cast_unsigned();
            match () {
                () if command.contains("sway ") || command.contains(" compositor ") => compositors += cpu_seconds(pid),
                // The host and its watchdog are no programs of a desktop.
                () if command.contains("punktfunk-host ") || pid == host.pid() => {}
                () => programs += cpu_seconds(pid),
            }
        }
        Self { host: cpu_seconds(host.pid()), threads: census::thread_times(host.pid()), compositors, programs }
    }
}

/// Who used the CPU between two samples. Conversion and encoding share a thread: its time is divided as the times of the
/// two stages are. Threads of an encoder's own have the name of the thread that started them.
fn split(before: &Sample, after: &Sample, o: &ProbeOutcome, seconds: f64) {
    let (mut capture, mut encode_thread, mut encoder_threads) = (0.0, None, 0.0);
    for thread in &after.threads {
        let earlier = before.threads.iter().find(|t| t.tid == thread.tid).map_or(0.0, |t| t.seconds);
        let used = thread.seconds - earlier;
        match thread.name.split_once('-').map(|(role, _)| role) {
            Some("capture") => capture += used,
            Some("encode") if encode_thread.is_none() => encode_thread = Some(used),
            Some("encode") => encoder_threads += used,
            _ => {}
        }
    }
    let p50 = |stage: &str| {
        let report = o.report.as_ref();
        report.and_then(|r| r.pointer(&format!("/stages_us/{stage}/p50"))?.as_f64()).unwrap_or(0.0)
    };
    let encode_thread = encode_thread.unwrap_or(0.0);
    let share = match p50("convert") + p50("encode") {
        both if both > 0.0 => p50("convert") / both,
        _ => 0.0,
    };
    let capture_and_convert = capture + share * encode_thread;
    let encoder = (1.0 - share) * encode_thread + encoder_threads;
    let rest = (after.host - before.host - capture - encode_thread - encoder_threads).max(0.0);
    let percent = |used: f64| 100.0 * used / seconds;
    println!(
        "    cpu: compositor {:.1} %, capture+convert {:.1} %, encoder {:.1} %, rest of the host {:.1} %, desktop's programs {:.1} %",
        percent(after.compositors - before.compositors),
        percent(capture_and_convert),
        percent(encoder),
        percent(rest),
        percent(after.programs - before.programs),
    );
}
