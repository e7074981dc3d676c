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

/// Ends a host with all that it started, before its folders go.
fn end(mut host: Host) {
    host.signal(Signal::TERM);
    assert!(host.wait().is_some_and(|s| s.success()), "{}", host.log());
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
    end(host);
}

#[test]
fn a_host_that_dies_during_a_trial_starts_as_before() {
    let (home, away) = (free_port(), free_port());
    let dirs = folders(home);
    let mut host = start(dirs.path());
    json(&host.command(&["ctl", "settings", "set", "host.max_sessions", "2", "--json"]));
    json(&host.command(&["ctl", "settings", "set", "web.port", &away.to_string(), "--json"]));
    host.signal(Signal::KILL);
    assert!(host.wait().is_some());
    let host = start(dirs.path());
    assert_eq!(host.web.expect("served").port(), home);
    let view = json(&host.command(&["ctl", "settings", "list", "--json"]));
    assert_eq!(view["trial"], Value::Null);
    let value = |key: &str| {
        view["settings"].as_array().expect("a list").iter().find(|s| s["key"] == key).expect("a key")["running"].clone()
    };
    assert_eq!((value("web.port"), value("host.max_sessions")), (home.into(), 2.into()), "what was no risk stays");
    assert!(host.log().contains("nobody confirmed these settings"), "{}", host.log());
    end(host);
}

#[test]
fn a_host_whose_certificate_was_replaced_serves_with_the_new_one() {
    let dirs = folders(free_port());
    let fingerprint = |host: &Host| {
        let facts = json(&host.command(&["ctl", "host", "--json"]));
        facts["fingerprint"].as_str().expect("a fingerprint").to_owned()
    };
    let host = start(dirs.path());
    let first = fingerprint(&host);
    // While it runs, it keeps to what it started with.
    std::fs::remove_file(dirs.path().join("state/punktfunk/identity.json")).expect("there");
    assert_eq!(fingerprint(&host), first);
    assert!(listens(host.web.expect("served").port()));
    end(host);
    let host = start(dirs.path());
    let second = fingerprint(&host);
    assert_ne!(first, second);
    assert!(listens(host.web.expect("served").port()) && listens(host.mgmt.expect("served").port()));
    let url = host.command(&["console-url"]);
    assert!(String::from_utf8_lossy(&url.stdout).contains("https://"), "who has no password yet finds the way in");
    end(host);
}

#[test]
fn how_long_displays_stay_is_changed_in_a_word_or_in_seconds() {
    let dirs = folders(free_port());
    let host = Host::start_with(&HostOptions {
        args: ["serve", "--desktop", "private"].map(str::to_owned).to_vec(),
        dirs: Some(dirs.path().to_owned()),
        web_port_from_settings: true,
        ..HostOptions::default()
    });
    let now = |words: &[&str]| {
        let view = get(&host, &[&["displays"], words].concat());
        (view["linger"].as_str().expect("a text").to_owned(), view["preset"].clone())
    };
    assert_eq!(now(&["list"]), ("10".into(), "short".into()));
    assert_eq!(now(&["policy", "always"]), ("forever".into(), "always".into()));
    assert_eq!(now(&["policy", "77"]), ("77".into(), Value::Null));
    assert_eq!(now(&["policy", "off"]), ("off".into(), "off".into()));
    refused(&host.command(&["ctl", "displays", "policy", "soon"]), "api.bad_request");
    assert_eq!(now(&["list"]), ("off".into(), "off".into()));
    end(host);
}

/// What `ctl` says of this resource.
fn get(host: &Host, words: &[&str]) -> Value {
    json(&host.command(&[&["ctl"], words, &["--json"]].concat()))
}

#[test]
fn a_gpu_is_chosen_or_refused_and_one_that_is_gone_keeps_nobody_from_streaming() {
    let dirs = folders(free_port());
    // Above every number that the kernel gives.
    let gone = "/dev/dri/renderD250";
    let start = |args: &[&str]| {
        let args = [&["serve", "--linger", "off"], args].concat();
        Host::start_with(&HostOptions {
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            dirs: Some(dirs.path().to_owned()),
            web_port_from_settings: true,
            ..HostOptions::default()
        })
    };
    let chosen = |host: &Host| get(host, &["choice"])["gpu"].clone();
    let finding = |host: &Host| {
        let rows = get(host, &["diagnostics"]);
        rows.as_array().expect("rows").iter().find(|row| row["id"] == "gpu.choice").expect("a row").clone()
    };
    let host = start(&["--desktop", "private"]);
    assert_eq!((chosen(&host), finding(&host)["status"].clone()), ("auto".into(), "ok".into()));
    refused(&host.command(&["ctl", "choice", "--gpu", gone]), "gpu.missing");
    refused(&host.command(&["ctl", "settings", "set", "video.gpu", "0000:ff:1f.7"]), "gpu.missing");
    refused(&host.command(&["ctl", "choice", "--gpu", "/dev/dri/card0"]), "settings.invalid");
    refused(&host.command(&["ctl", "choice", "--encoder", "openh264", "--gpu", gone]), "gpu.missing");
    let choice = get(&host, &["choice"]);
    assert_eq!(
        (&choice["gpu"], &choice["encoder"], &choice["restart_needed"]),
        (&"auto".into(), &"auto".into(), &false.into())
    );
    assert_eq!(get(&host, &["choice", "--gpu", "none"])["restart_needed"], true);
    json(&host.command(&["ctl", "restart", "--json"]));
    until("the host with its new choice", || {
        let output = host.command(&["ctl", "choice", "--json"]);
        output.status.success() && json(&output)["restart_needed"] == false
    });
    assert!(finding(&host)["detail"].as_str().is_some_and(|said| said.starts_with("none:")), "{}", finding(&host));
    assert_eq!(get(&host, &["displays", "list"])["desktop"], "private-builtin");
    end(host);

    // A flag counts more than the setting, and names a GPU that was taken out.
    let host = start(&["--desktop", "private", "--gpu", gone]);
    assert!(host.log().contains("gpu.missing"), "{}", host.log());
    let choice = get(&host, &["choice"]);
    assert_eq!((&choice["gpu"], &choice["gpu_pinned_by"]), (&gone.into(), &"command_line".into()));
    assert_eq!(choice["gpu_problem"]["code"], "gpu.missing");
    refused(&host.command(&["ctl", "choice", "--gpu", "auto"]), "config.pinned");
    let health = get(&host, &["health"]);
    assert_eq!((&health["status"], &health["problems"][0]["code"]), (&"degraded".into(), &"gpu.missing".into()));
    let said = finding(&host);
    assert_eq!((&said["status"], &said["code"]), (&"warn".into(), &"gpu.missing".into()));
    assert!(said["fix"].as_str().is_some_and(|fix| fix.contains("ctl gpus")), "{said}");
    end(host);
}
