//! Managing a real host from a shell: settings that are in force at once, on trial, kept, and taken back after a crash.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, HostOptions, Identity};
use rustix::process::Signal;
use serde_json::Value;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port()
}

/// Folders of a host whose console's port is a setting, not a flag.
fn folders(port: u16) -> tempfile::TempDir {
    let identity = Identity::for_tests();
    let dir = tempfile::Builder::new().prefix("pf-manage-").tempdir().expect("a folder");
    let state = dir.path().join("state/punktfunk");
    for folder in [dir.path(), &dir.path().join("state"), &state] {
        identity.make_dir(folder);
    }
    let file = state.join("settings.json");
    let text = format!("{{\"version\":1,\"revision\":1,\"values\":{{\"web.port\":{port}}}}}");
    std::fs::write(&file, text).expect("writable");
    if rustix::process::getuid().is_root() {
        std::os::unix::fs::chown(&file, Some(identity.uid()), Some(identity.gid())).expect("given away");
    }
    dir
}

fn start(dirs: &Path) -> Host {
    Host::start_with(&HostOptions {
        args: ["serve", "--desktop", "private", "--linger", "off"].map(str::to_owned).to_vec(),
        dirs: Some(dirs.to_owned()),
        web_port_from_settings: true,
        ..HostOptions::default()
    })
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refused(output: &Output, code: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(code), "{output:?}");
}

fn listens(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
}

fn until(what: &str, mut fits: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !fits() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_console_that_moves_is_open_at_both_ports_until_somebody_decides() {
    let (home, away) = (free_port(), free_port());
    let dirs = folders(home);
    let host = start(dirs.path());
    let set = |port: u16| host.command(&["ctl", "settings", "set", "web.port", &port.to_string(), "--json"]);
    let view = json(&set(away));
    assert_eq!(view["trial"]["console_port"], away);
    assert!(listens(home) && listens(away), "nobody is cut off by trying");
    refused(&set(away), "settings.trial_running");
    json(&host.command(&["ctl", "settings", "revert", "--json"]));
    until("the end of the door that was tried", || !listens(away));
    assert!(listens(home));
    refused(&host.command(&["ctl", "settings", "confirm"]), "settings.nothing_to_confirm");

    json(&set(away));
    assert_eq!(json(&host.command(&["ctl", "settings", "confirm", "--json"]))["trial"], Value::Null);
    until("the end of the old door", || !listens(home));
    assert!(listens(away));
    refused(&set(host.mgmt.expect("the API").port()), "host.port_taken");
    assert!(listens(away));

    // Off, and nobody confirms: back by itself.
    json(&host.command(&["ctl", "settings", "set", "web.enabled", "false", "--json"]));
    let trial = || json(&host.command(&["ctl", "settings", "list", "--json"]))["trial"].clone();
    assert_ne!(trial(), Value::Null);
    until("the end of the trial", || trial() == Value::Null);
    assert!(listens(away));
    assert!(host.log().contains("settings are as they were before"), "{}", host.log());
}

#[test]
fn a_host_that_dies_during_a_trial_starts_as_before() {
    let (home, away) = (free_port(), free_port());
    let dirs = folders(home);
    let mut host = start(dirs.path());
    json(&host.command(&["ctl", "settings", "set", "host.max_sessions", "2", "--json"]));
    json(&host.command(&["ctl", "settings", "set", "web.port", &away.to_string(), "--json"]));
    host.signal(Signal::KILL);
    assert!(host.wait(Duration::from_secs(10)).is_some());
    let host = start(dirs.path());
    assert_eq!(host.web.expect("served").port(), home);
    let view = json(&host.command(&["ctl", "settings", "list", "--json"]));
    assert_eq!(view["trial"], Value::Null);
    let value = |key: &str| {
        view["settings"].as_array().expect("a list").iter().find(|s| s["key"] == key).expect("a key")["running"].clone()
    };
    assert_eq!((value("web.port"), value("host.max_sessions")), (home.into(), 2.into()), "what was no risk stays");
    assert!(host.log().contains("nobody confirmed these settings"), "{}", host.log());
}

#[test]
fn a_host_whose_certificate_was_replaced_serves_with_the_new_one() {
    let dirs = folders(free_port());
    let fingerprint = |host: &Host| {
        let facts = json(&host.command(&["ctl", "host", "--json"]));
        facts["fingerprint"].as_str().expect("a fingerprint").to_owned()
    };
    let mut host = start(dirs.path());
    let first = fingerprint(&host);
    // While it runs, it keeps to what it started with.
    std::fs::remove_file(dirs.path().join("state/punktfunk/identity.json")).expect("there");
    assert_eq!(fingerprint(&host), first);
    assert!(listens(host.web.expect("served").port()));
    host.signal(Signal::TERM);
    assert!(host.wait(Duration::from_secs(20)).is_some_and(|s| s.success()));
    let host = start(dirs.path());
    let second = fingerprint(&host);
    assert_ne!(first, second);
    assert!(listens(host.web.expect("served").port()) && listens(host.mgmt.expect("served").port()));
    let url = host.command(&["console-url"]);
    assert!(String::from_utf8_lossy(&url.stdout).contains("https://"), "who has no password yet finds the way in");
}
