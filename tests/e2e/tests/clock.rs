//! The wall clock of the host is set while it serves: a stream, a PIN's window and a session's age do not notice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use punktfunk_e2e::{Host, HostOptions, Probe};
use serde_json::Value;

/// Debian's libfaketime: another wall clock for one process, here one that a file sets while the process runs.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").flatten();
    let found = folders.map(|f| f.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("`scripts/setup test` installs the package faketime")
}

/// Sets the host's wall clock this many seconds ahead of ours, or back.
fn set(clock: &Path, seconds: i64) {
    let new = clock.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).expect("writable");
    std::fs::rename(new, clock).expect("replaced at once");
}

fn json(host: &Host, args: &[&str]) -> Value {
    let output = host.command(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const DAY: i64 = 86_400;

#[test]
fn a_wall_clock_that_jumps_disturbs_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("readable");
    let clock = dir.path().join("clock");
    set(&clock, 0);
    let text = |path: &Path| path.to_str().expect("an ASCII path").to_owned();
    let env = [
        ("LD_PRELOAD", text(&library())),
        ("FAKETIME_TIMESTAMP_FILE", text(&clock)),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let host = Host::start_with(&HostOptions {
        args: ["serve", "--desktop", "private"].map(str::to_owned).to_vec(),
        env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..HostOptions::default()
    });
    let pin =
        |host: &Host| json(host, &["pair", "arm", "--seconds", "120", "--json"])["pin"].as_str().map(str::to_owned);
    let probe = Probe::new();
    let paired = probe.pair(host.quic, &pin(&host).expect("a PIN"));
    assert_eq!(paired.code, 0, "{paired:#?}");

    std::thread::scope(|scope| {
        let stream =
            scope.spawn(|| probe.stream(host.quic, &["--mode", "640x360@30", "--codec", "h264", "--seconds", "8"]));
        let sessions = || json(&host, &["ctl", "sessions", "list", "--json"]);
        while sessions().as_array().is_none_or(Vec::is_empty) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let later = pin(&host).expect("a PIN");
        let client = json(&host, &["ctl", "clients", "list", "--json"])[0]["id"].as_str().map(str::to_owned);
        let client = client.expect("the one that streams");
        for (seconds, scale) in [(DAY, "125"), (-2 * DAY, "150"), (300 * DAY, "175"), (-1, "200")] {
            set(&clock, seconds);
            // Something that acts on the stream, and that the host writes down with its date.
            let scaled = host.command(&["ctl", "clients", "scale", &client, scale]);
            assert!(scaled.status.success(), "{seconds}: {scaled:?}");
            std::thread::sleep(Duration::from_millis(800));
            assert_eq!(sessions().as_array().map(Vec::len), Some(1), "{seconds}: it goes on\n{}", host.log());
        }
        // The window is as long as it was made, whatever day it is meanwhile.
        let other = Probe::new();
        let paired = other.pair(host.quic, &later);
        assert_eq!(paired.code, 0, "{paired:#?}\n{}", host.log());
        let streamed = other.stream(host.quic, &["--mode", "640x360@30", "--codec", "h264", "--seconds", "1"]);
        assert_eq!(streamed.code, 0, "{streamed:#?}\n{}", host.log());

        let outcome = stream.join().expect("no panic");
        assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
        assert!(outcome.number("/frames_lost") == 0.0 && outcome.number("/frames_received") > 60.0, "{outcome:#?}");
        // Times of the wire are the session's own: had they followed the wall clock, a frame would be days late.
        assert!(outcome.number("/latency_us/p99") < 5e6, "{outcome:#?}");
    });
    let log = host.log();
    assert!(!log.contains("panicked"), "{log}");
    let mut days: Vec<_> = log.lines().filter_map(|line| line.split_once('T')).map(|(day, _)| day).collect();
    days.sort_unstable();
    days.dedup();
    assert!(days.len() >= 2, "its clock was set: {days:?}");
}
