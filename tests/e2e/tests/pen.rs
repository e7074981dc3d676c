//! A pen, from a client of either protocol to a GTK program on the built-in desktop, with its pressure.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, Probe};
use punktfunk_gsclient::input::{self, Pen, event};
use punktfunk_gsclient::{Client, Identity, Shape, StreamOptions, Style, Taps};

/// Writes down every event of a pen: what, by which end, where, how hard.
const CANVAS: &str = r#"
import gi, sys
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
out = open(sys.argv[1], "w", buffering=1)
ENDS = {Gdk.InputSource.PEN: "pen", Gdk.InputSource.ERASER: "eraser"}
def heard(_, event):
    device = event.get_source_device()
    end = device and ENDS.get(device.get_source())
    if end and event.type in (Gdk.EventType.BUTTON_PRESS, Gdk.EventType.MOTION_NOTIFY, Gdk.EventType.BUTTON_RELEASE):
        _, x, y = event.get_root_coords()
        ok, pressure = event.get_axis(Gdk.AxisUse.PRESSURE)
        out.write(f"{event.type.value_nick} {end} {x:.0f} {y:.0f} {pressure if ok else -1:.2f}\n")
    return False
window = Gtk.Window(title="canvas")
window.add_events(Gdk.EventMask.ALL_EVENTS_MASK)
window.connect("event", heard)
window.fullscreen()
window.show_all()
GLib = gi.repository.GLib
GLib.timeout_add(500, lambda: out.write("ready\n") and False)
Gtk.main()
"#;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host with the canvas at hand: what starts it in a terminal, and where it writes.
fn host(args: &[&str]) -> (Host, String, PathBuf) {
    let host = Host::start(
        &[&["serve", "--desktop", "private", "--private-desktop", "builtin", "--linger", "0"], args].concat(),
    );
    let home = host.root().join("home");
    std::fs::write(home.join("canvas.py"), CANVAS).expect("the host's home is there");
    let said = home.join("said");
    let line = format!("GDK_BACKEND=wayland python3 {} {}", home.join("canvas.py").display(), said.display());
    (host, line, said)
}

/// Whether lines that begin like these were written, in this order.
fn wrote(said: &PathBuf, wanted: &[&str]) -> bool {
    let text = std::fs::read_to_string(said).unwrap_or_default();
    let mut lines = text.lines();
    wanted.iter().all(|wanted| lines.any(|line| line.starts_with(wanted)))
}

/// A stroke from the middle to the right, harder and harder, with either end. GTK counts places in pixels.
const STROKES: [&str; 6] = [
    "button-press pen 640 360 0.25",
    "motion-notify pen 960 360 0.75",
    "button-release pen 960 360 ",
    "button-press eraser 320 180 0.50",
    "motion-notify eraser 640 180 1.00",
    "button-release eraser 640 180 ",
];

#[test]
fn a_client_of_punktfunk_1_draws() {
    let (host, line, said) = host(&["--open"]);
    let probe = Probe::new();
    // A terminal first.
    let mut script = String::new();
    for (key, down) in [("META", true), ("ENTER", true), ("ENTER", false), ("META", false)] {
        script += &format!("{}\n", serde_json::json!({"t_ms": 300, "ev": "key", "key": key, "down": down}));
    }
    script += &format!("{}\n", serde_json::json!({"t_ms": 1500, "ev": "text", "text": line}));
    for down in [true, false] {
        script += &format!("{}\n", serde_json::json!({"t_ms": 2500, "ev": "key", "key": "ENTER", "down": down}));
    }
    // Again and again, until the program is there and has drawn.
    let samples = [
        serde_json::json!({"at": [0.5, 0.5]}),
        serde_json::json!({"at": [0.5, 0.5], "pressure": 0.25}),
        serde_json::json!({"at": [0.75, 0.5], "pressure": 0.75}),
        serde_json::json!({"at": [0.75, 0.5]}),
        serde_json::json!({}),
        serde_json::json!({"eraser": true, "at": [0.25, 0.25]}),
        serde_json::json!({"eraser": true, "at": [0.25, 0.25], "pressure": 0.5}),
        serde_json::json!({"eraser": true, "at": [0.5, 0.25], "pressure": 1.0}),
        serde_json::json!({"eraser": true, "at": [0.5, 0.25]}),
        serde_json::json!({"eraser": true}),
    ];
    for (n, sample) in (0..280).zip(samples.iter().cycle()) {
        let mut sample = sample.clone();
        sample["t_ms"] = (3000 + n * 50).into();
        sample["ev"] = "pen".into();
        script += &format!("{sample}\n");
    }
    std::fs::write(probe.dir().join("input.jsonl"), script).unwrap();
    let quic = host.quic.to_string();
    let mut streaming = probe
        .command(&["stream", &quic, "--mode", "1280x720@60", "--seconds", "60", "--input", "input.jsonl"])
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while !wrote(&said, &STROKES) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = streaming.kill();
    let _ = streaming.wait();
    assert!(wrote(&said, &STROKES), "{:?}\n{}", std::fs::read_to_string(&said), host.log());
}

#[test]
fn a_client_of_gamestream_draws() {
    let (host, line, said) = host(&["--gamestream", "--gamestream-port", "0"]);
    let http = host.line("gamestream http=");
    let http = http.split_whitespace().find_map(|w| w.strip_prefix("http=")).and_then(|a| a.parse().ok()).unwrap();
    let mut client = Client::new(http, Arc::new(Identity::generate(Shape::Serial0).expect("a key")));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && !host.command(&["pair", "pin", "0042"]).status.success() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = client.pair("0042", Style::Qt);
        done.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|e| panic!("not paired: {e}\n{}", host.log()));
    });
    let mut session =
        client.start(StreamOptions::default(), Taps::default()).unwrap_or_else(|e| panic!("{e}\n{}", host.log()));
    assert!(session.wait_first_frame(PATIENCE), "no picture\n{}", host.log());
    for (key, down) in [(0x5b, true), (0x0d, true), (0x0d, false), (0x5b, false)] {
        assert!(session.input(input::key(key, down, 0, 0)));
    }
    // The shell reads what is typed once it is there.
    std::thread::sleep(Duration::from_secs(2));
    for c in line.chars() {
        input::text(&c.to_string()).into_iter().for_each(|packet| assert!(session.input(packet)));
    }
    for down in [true, false] {
        assert!(session.input(input::key(0x0d, down, 0, 0)));
    }
    let ready = session.wait_until(PATIENCE, |_| std::fs::read_to_string(&said).is_ok_and(|t| t.contains("ready")));
    assert!(ready, "no canvas\n{}", host.log());
    let at = |tool, x, y, pressure| Pen { tool, x, y, pressure, ..Pen::default() };
    for (kind, pen) in [
        (event::HOVER, at(1, 0.5, 0.5, 0.0)),
        (event::DOWN, at(1, 0.5, 0.5, 0.25)),
        (event::MOVE, at(1, 0.75, 0.5, 0.75)),
        (event::UP, at(1, 0.75, 0.5, 0.0)),
        (event::HOVER_LEAVE, at(1, 0.75, 0.5, 0.0)),
        (event::HOVER, at(2, 0.25, 0.25, 0.0)),
        (event::DOWN, at(2, 0.25, 0.25, 0.5)),
        (event::MOVE, at(2, 0.5, 0.25, 1.0)),
        (event::UP, at(2, 0.5, 0.25, 0.0)),
        (event::HOVER_LEAVE, at(2, 0.5, 0.25, 0.0)),
    ] {
        assert!(session.input(input::pen(kind, &pen, false)));
        session.wait_until(Duration::from_millis(100), |_| false);
    }
    let drew = session.wait_until(PATIENCE, |_| wrote(&said, &STROKES));
    assert!(drew, "{:?}\n{}", std::fs::read_to_string(&said), host.log());
}
