//! The clipboard from end to end: wl-copy and wl-paste on a private desktop, the probe at the other end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, Probe};

const PATIENCE: Duration = Duration::from_secs(30);
const THEIRS: &str = "Vom Gerät: Grüße € 漢字 👍🏽\n\tzweite Zeile";
const OURS: &str = "Vom Desktop: Öl, Übermut, ß 🦊";

#[test]
fn text_crosses_both_ways_on_a_sway() {
    text_crosses_both_ways_and_a_narrowed_grant_stops_it("sway");
}

#[test]
fn text_crosses_both_ways_on_a_builtin_desktop() {
    text_crosses_both_ways_and_a_narrowed_grant_stops_it("builtin");
}

/// A host with one client that streams with its clipboard on.
struct Bench {
    host: Host,
    probe: Probe,
    streaming: Child,
    /// The Wayland socket of its desktop; empty until it is known.
    display: PathBuf,
}

impl Bench {
    fn start(kind: &str) -> Self {
        let args = ["serve", "--desktop", "private", "--private-desktop", kind, "--linger", "off"];
        let host = Host::start(&[&args[..], &["--private-desktop-shell", "sleep 1000"]].concat());
        let probe = Probe::new();
        let armed = host.command(&["pair", "arm", "--seconds", "60", "--json"]);
        let armed: serde_json::Value = serde_json::from_slice(&armed.stdout).expect("pair arm --json prints JSON");
        let paired = probe.pair(host.quic, armed["pin"].as_str().expect("a PIN"));
        assert_eq!(paired.code, 0, "{paired:#?}");
        std::fs::write(probe.dir().join("theirs.txt"), THEIRS).unwrap();
        let quic = host.quic.to_string();
        let words =
            ["stream", &quic, "--seconds", "300", "--clipboard-set", "theirs.txt", "--clipboard-out", "ours.txt"];
        let stderr = std::fs::File::create(probe.dir().join("stderr")).unwrap();
        let streaming = probe.command(&words).stdout(Stdio::null()).stderr(stderr).spawn().expect("the probe starts");
        Self { host, probe, streaming, display: PathBuf::new() }
    }

    fn on(&self, display: &Path, program: &str) -> Command {
        let mut command = Command::new(program);
        self.host.identity().apply(&mut command);
        command.env("WAYLAND_DISPLAY", display).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn paste(&self, display: &Path) -> String {
        let pasted = self.on(display, "wl-paste").arg("--no-newline").output().expect("wl-clipboard is installed");
        String::from_utf8(pasted.stdout).expect("UTF-8")
    }

    fn copy(&self, text: &str) {
        let mut copy = self.on(&self.display, "wl-copy").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        copy.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(copy.wait().unwrap().success());
    }

    fn fetched(&self) -> String {
        std::fs::read_to_string(self.probe.dir().join("ours.txt")).unwrap_or_default()
    }

    /// What the probe said.
    fn said(&self) -> String {
        std::fs::read_to_string(self.probe.dir().join("stderr")).unwrap_or_default()
    }

    fn wait(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "not {what}:\n{}\n{}", self.said(), self.host.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn grant(&self, preset: &str) {
        let sessions = self.host.command(&["ctl", "--json", "sessions", "list"]);
        let sessions: serde_json::Value = serde_json::from_slice(&sessions.stdout).expect("JSON");
        let id = sessions.pointer("/sessions/0/id").or_else(|| sessions.pointer("/0/id")).expect("a session");
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let out = self.host.command(&["ctl", "sessions", "grants", &id, preset]);
        assert!(out.status.success(), "{out:?}");
    }

    fn count(&self, what: &str) -> usize {
        self.said().matches(what).count()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Fails only when it ended.
        let _ = self.streaming.kill();
        let _ = self.streaming.wait();
    }
}

/// The Wayland sockets of a host's desktops, that of a spare included.
fn displays(dir: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("wayland-") && !name.ends_with(".lock") {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            displays(&path, depth - 1, found);
        }
    }
}

fn text_crosses_both_ways_and_a_narrowed_grant_stops_it(kind: &str) {
    let mut bench = Bench::start(kind);
    // The client's text is on its desktop's clipboard, and on no other.
    let mut found = None;
    bench.wait("pasted on the desktop", |bench| {
        let mut all = Vec::new();
        displays(&bench.host.root().join("run"), 3, &mut all);
        found = all.into_iter().find(|display| bench.paste(display) == THEIRS);
        found.is_some()
    });
    bench.display = found.unwrap();
    bench.copy(OURS);
    bench.wait("fetched by the client", |bench| bench.fetched() == OURS);
    assert_eq!(bench.paste(&bench.display), OURS, "what a program copied stays its own");

    bench.grant("view");
    bench.wait("told that it is off", |bench| bench.count("clipboard: off (NotPermitted)") == 1);
    let offers = bench.count("the host offers");
    bench.copy("not for the client");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((bench.fetched().as_str(), bench.count("the host offers")), (OURS, offers), "{}", bench.said());

    bench.grant("full");
    bench.wait("told that it is on", |bench| bench.count("clipboard: on (Ok)") == 2);
    // The client offers its text again, which takes the clipboard back.
    bench.wait("pasted again", |bench| bench.paste(&bench.display) == THEIRS);
    bench.copy("once more");
    bench.wait("fetched again", |bench| bench.fetched() == "once more");
}
