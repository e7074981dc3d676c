//! Bad days of the host program itself: each has its exit code, its reason code and its fix, and leaves nothing behind.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use punktfunk_e2e::{Host, HostOptions, Probe, census};

const SYNTHETIC: &[&str] = &["punktfunk1-host", "--source", "synthetic", "--open"];

fn options(args: &[&str]) -> HostOptions {
    HostOptions { args: args.iter().map(|a| (*a).to_owned()).collect(), ..Default::default() }
}

fn refused(options: &HostOptions) -> (i32, String) {
    match Host::try_start(options) {
        Ok(host) => panic!("the host runs:\n{}", host.log()),
        Err((status, log)) => (status.code().unwrap_or(-1), log),
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, log) = refused(&options(&["punktfunk1-host", "--source", "synthetic", "--open", "--port", &port]));
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("host.port_taken") && log.contains("fix:"), "{log}");
}

#[test]
fn a_broken_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("config.toml");
    for (text, reason) in [
        ("[network]\nprot = 1\n", "config.unknown_key"),
        ("[network]\nport = \"x\"\n", "config.invalid"),
        ("[network\n", "config.unreadable"),
    ] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (code, log) = refused(&options(&["serve", "--config", file.to_str().unwrap()]));
        assert_eq!(code, 2, "{log}");
        assert!(log.contains(reason), "{log}");
    }
    let (code, log) = refused(&options(&["serve", "--config", "/nonexistent/config.toml"]));
    assert_eq!(code, 2);
    assert!(log.contains("config.unreadable"), "{log}");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let probe = Probe::new();
    let state = probe.dir().join("closed");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut opts = options(SYNTHETIC);
    opts.env = vec![("XDG_STATE_HOME".into(), state.to_str().unwrap().into())];
    let (code, log) = refused(&opts);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("state.unwritable") && log.contains("fix:"), "{log}");
}

fn write_picture(path: &std::path::Path) {
    let file = std::fs::File::create(path).expect("a file");
    let mut encoder = png::Encoder::new(file, 4, 6);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&[90; 24])).expect("a PNG");
}

#[test]
fn a_full_state_folder_is_named_and_the_host_keeps_serving() {
    if !rustix::process::getuid().is_root() {
        // A tiny file system needs mount; everything else about a full disk is tested in the hub with a failing writer.
        return punktfunk_testkit::desktop::skip("root, to mount a tiny file system");
    }
    let probe = Probe::new();
    let state = probe.dir().join("tiny");
    std::fs::create_dir(&state).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs"])
        .arg(&state)
        .status()
        .is_ok_and(|s| s.success());
    assert!(mounted, "mount -t tmpfs failed");
    let result = std::panic::catch_unwind(|| {
        let mut opts = options(&["serve", "--desktop", "private", "--linger", "off"]);
        opts.env = vec![("XDG_STATE_HOME".into(), state.to_str().unwrap().into())];
        let host = Host::start_with(&opts);
        let added = host.command(&["ctl", "library", "add", "Game", "sleep 1", "--json"]);
        let added: serde_json::Value = serde_json::from_slice(&added.stdout).expect("added");
        let game = added["id"].as_str().expect("an id").to_owned();
        let cover = probe.dir().join("cover.png");
        write_picture(&cover);
        let library = || host.command(&["ctl", "library", "all", "--json"]).stdout;
        let before: serde_json::Value = serde_json::from_slice(&library()).expect("JSON");
        // Fill what is left; from now on nothing new can be written down.
        let filler = std::fs::write(state.join("filler"), vec![0; 256 * 1024]);
        assert!(filler.is_err(), "the tmpfs is not full");
        let client = Probe::new();
        let out = host.command(&["pair", "arm", "--json"]);
        if out.status.success() {
            let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            let outcome = client.pair(host.quic, answer["pin"].as_str().unwrap());
            assert_ne!(outcome.code, 0, "a pairing that could not be saved must not be confirmed: {outcome:#?}");
        }
        assert!(host.log().contains("state.full"), "{}", host.log());
        // What cannot be saved is refused, and not in force either.
        for args in [
            &["ctl", "settings", "set", "host.max_sessions", "2"][..],
            &["ctl", "tokens", "create", "x", "--scope", "read"],
            &["ctl", "stats", "save"],
            &["ctl", "library", "add", "Another", "sleep 1"],
            &["ctl", "library", "edit", &game, r#"{"title":"Renamed","command":"sleep 2","env":{},"prepare":[]}"#],
            &["ctl", "library", "hide", &game],
            &["ctl", "library", "off", "steam"],
            &["ctl", "library", "set-cover", &game, cover.to_str().unwrap()],
            &["ctl", "library", "remove", &game],
        ] {
            let out = host.command(args);
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.code() == Some(1) && said.contains("state.full"), "{args:?}: {out:?}");
        }
        let out = host.command(&["ctl", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
        assert_eq!(status["max_sessions"], 4);
        let after: serde_json::Value = serde_json::from_slice(&library()).expect("JSON");
        assert_eq!((&after["revision"], &after["entries"]), (&before["revision"], &before["entries"]));
        // Room again: it works again, without a restart.
        std::fs::remove_file(state.join("filler")).unwrap();
        std::thread::sleep(Duration::from_millis(2100));
        let out = host.command(&["pair", "arm", "--json"]);
        let answer: serde_json::Value = serde_json::from_slice(&out.stdout).expect("armed");
        assert_eq!(client.pair(host.quic, answer["pin"].as_str().unwrap()).code, 0, "{}", host.log());
        for args in
            [&["ctl", "library", "set-cover", &game, cover.to_str().unwrap()][..], &["ctl", "library", "hide", &game]]
        {
            assert!(host.command(args).status.success(), "{args:?}: {}", host.log());
        }
    });
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&state).status().is_ok_and(|s| s.success());
    assert!(unmounted, "umount failed");
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn no_host_is_exit_5() {
    let host = Host::start(SYNTHETIC);
    let out = host.command(&["pair", "status"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let root = host.root().to_owned();
    let mut opts = options(&["pair", "status"]);
    opts.dirs = Some(root);
    host.signal(rustix::process::Signal::INT);
    let mut host = host;
    assert_eq!(host.wait().and_then(|s| s.code()), Some(0));
    let out = host.command(&["pair", "status"]);
    assert_eq!(out.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&out.stderr).contains("host.not_running"));
}

#[test]
fn absurd_modes_and_codecs_are_refused_with_their_reason() {
    let host = Host::start(SYNTHETIC);
    for (args, word) in [
        (["--mode", "1281x721@60", "--seconds", "1", "--codec", "h264"], "0x68"),
        (["--mode", "20000x20000@60", "--seconds", "1", "--codec", "h264"], "0x68"),
        (["--mode", "1280x720@60", "--seconds", "1", "--codec", "av1"], "0x68"),
    ] {
        let outcome = Probe::new().stream(host.quic, &args);
        assert_eq!(outcome.code, 3, "{outcome:#?}");
        assert!(outcome.stderr.contains(word), "{outcome:#?}");
    }
    let outcome = Probe::new().stream(host.quic, &["--mode", "640x480@60", "--seconds", "1"]);
    assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
}

#[test]
fn an_unpaired_client_is_not_let_in_and_a_wrong_pin_costs_the_window() {
    let host = Host::start(&["punktfunk1-host", "--source", "synthetic", "--pairing", "required"]);
    let out = host.command(&["pair", "arm", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let right = answer["pin"].as_str().unwrap();
    let wrong = if right == "0000" { "0001" } else { "0000" };
    let probe = Probe::new();
    let outcome = probe.pair(host.quic, wrong);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    std::thread::sleep(Duration::from_millis(2100));
    let outcome = probe.pair(host.quic, right);
    assert_eq!(outcome.code, 3, "the window is single use: {outcome:#?}");
    assert!(outcome.stderr.contains("0x60"), "{outcome:#?}");
}

#[test]
fn an_approved_knock_streams_on_the_same_connection() {
    let host = Host::start(&["punktfunk1-host", "--source", "synthetic", "--pairing", "required"]);
    let probe = Probe::new();
    let quic = host.quic.to_string();
    let streaming = probe
        .command(&["stream", &quic, "--mode", "640x480@60", "--seconds", "1"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let id = loop {
        let out = host.command(&["pair", "list", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
        if let Some(entry) = list.as_array().and_then(|l| l.iter().find(|e| e["state"] == "pending")) {
            break entry["id"].as_str().expect("an id").to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "nobody knocks: {list}\n{}", host.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(host.command(&["pair", "approve", &id]).status.success());
    let out = streaming.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{out:?}\n{}", host.log());
    assert!(host.command(&["pair", "revoke", &id]).status.success());
}

#[test]
fn a_thousand_reconnects_leave_memory_files_and_threads_flat() {
    let host = Host::start(SYNTHETIC);
    let probe = Probe::new();
    let run = |n: &str| {
        let outcome = probe.stream(host.quic, &["--mode", "640x480@60", "--seconds", "1", "--reconnect", n]);
        assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
    };
    run("20");
    std::thread::sleep(Duration::from_millis(500));
    let pid = host.pid();
    let (files, threads, memory) = (census::open_files(pid), census::threads(pid), census::resident_kib(pid));
    run("1000");
    std::thread::sleep(Duration::from_millis(500));
    assert!(census::open_files(pid) <= files + 2, "{} files, {files} before", census::open_files(pid));
    assert!(census::threads(pid) <= threads + 1, "{} threads, {threads} before", census::threads(pid));
    let grown = census::resident_kib(pid).saturating_sub(memory);
    // A leak of 8 KiB a session would show; allocators keep some pages.
    assert!(grown < 8 * 1024, "{grown} KiB more after 1000 reconnects");
}
