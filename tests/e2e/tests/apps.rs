//! Programs of the library on real private desktops: launched by a client, seen running, ended as they should be.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, HostOptions, Probe};
use rustix::process::Signal;

/// A host with a library, and what its commands write.
struct Bench {
    host: Host,
    /// Where commands say what they do, one word a line.
    said: PathBuf,
    /// The program `app:game` runs as long as this exists.
    go: PathBuf,
}

const LIBRARY: &str = r#"
[[apps]]
name = "Game"
command = "echo game-$WEAPON-on-${WAYLAND_DISPLAY:+a-display} >>$HOME/said; while [ -e $HOME/go ]; do sleep 0.05; done"
env = { WEAPON = "crowbar" }
[[apps.prepare]]
run = "echo prepare-on-${WAYLAND_DISPLAY:+a-display} >>$HOME/said"
undo = "echo undo-1-on-${WAYLAND_DISPLAY:+a-display} >>$HOME/said"
[[apps.prepare]]
undo = "echo undo-2 >>$HOME/said"

[[apps]]
name = "Slow"
command = "echo never >>$HOME/said"
[[apps.prepare]]
run = "echo slowly >>$HOME/said; sleep 1000"
undo = "echo undo-slow >>$HOME/said"
timeout = 0.3
"#;

impl Bench {
    fn new(linger: &str) -> Self {
        Self::in_folders(linger, None)
    }

    fn in_folders(linger: &str, dirs: Option<&Path>) -> Self {
        let library = tempfile::Builder::new().prefix("pf-library-").tempdir().expect("a temporary folder");
        let file = library.path().join("config.toml");
        std::fs::write(&file, LIBRARY).expect("the configuration");
        for path in [library.path(), &file] {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("readable for all");
        }
        let args =
            ["serve", "--open", "--desktop", "private", "--linger", linger, "--config", file.to_str().expect("ASCII")];
        let host = Host::start_with(&HostOptions {
            args: args.map(str::to_owned).to_vec(),
            dirs: dirs.map(Path::to_owned),
            ..Default::default()
        });
        let home = host.root().join("home");
        if dirs.is_none() {
            std::fs::write(home.join("go"), "").expect("the host's home is there");
        }
        Self { said: home.join("said"), go: home.join("go"), host }
    }

    fn said(&self) -> Vec<String> {
        std::fs::read_to_string(&self.said).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn wait_said(&self, wanted: &[&str]) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.said() != wanted {
            assert!(Instant::now() < until, "{:?} instead of {wanted:?}\n{}", self.said(), self.host.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A client that asks for `app` and streams for `seconds` from its first frame on.
    fn launching(&self, probe: &Probe, app: &str, seconds: &str, more: &[&str]) -> Child {
        let quic = self.host.quic.to_string();
        let args = ["stream", &quic, "--mode", "640x480@30", "--seconds", seconds, "--launch", app];
        let mut command = probe.command(&args);
        command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the probe starts")
    }

    /// Waits for a client's end: exit code, and what it said on stderr.
    fn finish(&self, client: Child) -> (i32, String) {
        let output = client.wait_with_output().expect("the probe ends");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// How many programs run.
    fn games(&self) -> usize {
        let carries = |pid: &i32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|b| *b == 0).any(|v| v.starts_with(b"PUNKTFUNK_APP="))
                && std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sh")
        };
        self.host.processes().iter().filter(|(pid, _)| carries(pid)).count()
    }
}

const PREPARED: [&str; 2] = ["prepare-on-a-display", "game-crowbar-on-a-display"];
const UNDONE: [&str; 2] = ["undo-2", "undo-1-on-a-display"];

#[test]
fn a_program_outlives_its_session_and_its_exit_ends_the_next() {
    let bench = Bench::new("60");
    let probe = Probe::new();
    let (code, said) = bench.finish(bench.launching(&probe, "app:game", "1", &[]));
    assert_eq!(code, 0, "{said}\n{}", bench.host.log());
    assert!(said.contains("launch: Spawned (Game)"), "{said}");
    assert_eq!((bench.said(), bench.games()), (PREPARED.map(str::to_owned).to_vec(), 1));

    // The client comes back to the same program, which then exits: the session is over, as asked for.
    let client = bench.launching(&probe, "app:game", "60", &[]);
    bench.host.wait_for_log("what=\"resumed\"", Duration::from_secs(20));
    std::thread::sleep(Duration::from_secs(1));
    std::fs::remove_file(&bench.go).expect("it is there");
    let (code, said) = bench.finish(client);
    assert_eq!(code, 0, "0x52 is a normal end: {said}\n{}", bench.host.log());
    assert!(said.contains("launch: Adopted (Game)"), "{said}");
    bench.wait_said(&[PREPARED, UNDONE].concat());
    assert_eq!(bench.games(), 0);
    assert!(bench.host.log().contains("app.exited"), "{}", bench.host.log());
}

#[test]
fn a_prepare_command_that_takes_too_long_is_ended_and_undone_and_the_stream_goes_on() {
    let bench = Bench::new("off");
    let (code, said) = bench.finish(bench.launching(&Probe::new(), "app:slow", "1", &[]));
    assert_eq!(code, 0, "{said}\n{}", bench.host.log());
    assert!(said.contains("launch: Failed (app.prepare_failed"), "{said}");
    assert_eq!(bench.said(), ["slowly", "undo-slow"]);
    let (code, said) = bench.finish(bench.launching(&Probe::new(), "steam:570", "1", &[]));
    assert_eq!(code, 0, "{said}\n{}", bench.host.log());
    assert!(said.contains("launch: Refused (app.unknown"), "{said}");
}

#[test]
fn the_end_of_a_display_is_the_end_of_its_program() {
    let mut bench = Bench::new("60");
    // A client that quits on purpose.
    let (code, said) = bench.finish(bench.launching(&Probe::new(), "app:game", "1", &["--quit"]));
    assert_eq!(code, 0, "{said}\n{}", bench.host.log());
    bench.wait_said(&[PREPARED, UNDONE].concat());
    assert_eq!(bench.games(), 0);
    // Ctrl-C while one runs that is kept.
    let (code, said) = bench.finish(bench.launching(&Probe::new(), "app:game", "1", &[]));
    assert_eq!((code, bench.games()), (0, 1), "{said}");
    bench.host.signal(Signal::INT);
    let status = bench.host.wait().expect("the host ends");
    assert_eq!(status.code(), Some(0), "{}", bench.host.log());
    assert_eq!(bench.said(), [PREPARED, UNDONE, PREPARED, UNDONE].concat());
    bench.host.assert_nothing_left();
}

#[test]
fn a_host_killed_hard_leaves_no_program_and_nothing_prepared() {
    let mut bench = Bench::new("off");
    let mut client = bench.launching(&Probe::new(), "app:game", "60", &[]);
    bench.wait_said(&PREPARED);
    bench.host.signal(Signal::KILL);
    bench.host.wait().expect("the host dies");
    bench.wait_said(&[PREPARED, UNDONE].concat());
    bench.host.assert_nothing_left();
    let _ = client.kill();
    let _ = client.wait();
}

#[test]
fn the_next_host_takes_over_a_program_with_its_desktop() {
    let mut first = Bench::new("30");
    let probe = Probe::new();
    let (code, said) = first.finish(first.launching(&probe, "app:game", "1", &[]));
    assert_eq!((code, first.games()), (0, 1), "{said}\n{}", first.host.log());
    // As a restart of the service does.
    first.host.signal(Signal::TERM);
    assert_eq!(first.host.wait().and_then(|s| s.code()), Some(0), "{}", first.host.log());
    assert_eq!((first.said().len(), first.games()), (2, 1), "it goes on:\n{}", first.host.log());

    let second = Bench::in_folders("30", Some(first.host.root()));
    let (code, said) = second.finish(second.launching(&probe, "app:game", "1", &[]));
    assert_eq!(code, 0, "{said}\n{}", second.host.log());
    assert!(said.contains("launch: Adopted (Game)"), "{said}\n{}", second.host.log());
    assert_eq!((second.said().len(), second.games()), (2, 1));
    // Its exit is noticed by the host that did not start it.
    std::fs::remove_file(&second.go).expect("it is there");
    second.wait_said(&[PREPARED, UNDONE].concat());
}

#[test]
fn the_library_is_printed_for_scripts() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, LIBRARY).expect("written");
    let out = std::process::Command::new(punktfunk_e2e::binaries().join("punktfunk-host"))
        .args(["library", "--config"])
        .arg(&file)
        .env("HOME", dir.path())
        .env("XDG_DATA_DIRS", dir.path())
        .output()
        .expect("it starts");
    let rows: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let ids: Vec<_> = rows.as_array().expect("a list").iter().map(|r| r["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["desktop", "app:game", "app:slow"]);
    assert!(rows[1]["number"].as_u64().is_some_and(|n| n > 0 && n < 1 << 31));
}

/// A launcher that stays when its game ends, as Steam does.
const LAUNCHER: &str = r#"#!/bin/sh
echo "steam $*" >>$HOME/said
SteamGameId=570 sh -c 'echo game-at-$SUNSHINE_CLIENT_WIDTH >>$HOME/said; while [ -e $HOME/go ]; do sleep 0.05; done' &
exec sleep 1000
"#;

#[test]
fn a_game_of_a_store_is_found_launched_and_its_end_noticed_though_its_launcher_stays() {
    use std::os::unix::fs::PermissionsExt;
    let bin = tempfile::Builder::new().prefix("pf-store-").tempdir().expect("a temporary folder");
    let launcher = bin.path().join("steam");
    std::fs::write(&launcher, LAUNCHER).expect("written");
    for path in [bin.path(), &launcher] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("runs for all");
    }
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap_or_default());
    let host = Host::start_with(&HostOptions {
        args: ["serve", "--open", "--desktop", "private", "--linger", "off"].map(str::to_owned).to_vec(),
        env: vec![("PATH".into(), path)],
        ..Default::default()
    });
    let home = host.root().join("home");
    let steam = home.join(".local/share/Steam/steamapps");
    std::fs::create_dir_all(&steam).expect("made");
    let manifest = r#""AppState" { "appid" "570" "name" "Dota 2" "StateFlags" "4" }"#;
    std::fs::write(steam.join("appmanifest_570.acf"), manifest).expect("written");
    std::fs::write(steam.join("appmanifest_7.acf"), "\"AppState\" {").expect("written");
    std::fs::write(home.join("go"), "").expect("written");
    let scanned = host.command(&["ctl", "library", "scan", "--json"]);
    let library: serde_json::Value = serde_json::from_slice(&scanned.stdout).expect("JSON");
    let ids: Vec<_> = library["entries"].as_array().expect("a list").iter().map(|e| e["id"].as_str()).collect();
    assert!(ids.contains(&Some("steam:570")), "{library}");
    assert_eq!(library["scanners"][0]["problems"][0]["code"], "library.store_broken", "{library}");

    let bench = Bench { said: home.join("said"), go: home.join("go"), host };
    let client = bench.launching(&Probe::new(), "steam:570", "60", &[]);
    bench.wait_said(&["steam -silent steam://rungameid/570", "game-at-640"]);
    std::thread::sleep(Duration::from_secs(1));
    std::fs::remove_file(&bench.go).expect("it is there");
    let (code, said) = bench.finish(client);
    assert_eq!(code, 0, "{said}\n{}", bench.host.log());
    assert!(said.contains("launch: Spawned (Dota 2)"), "{said}");
    assert!(bench.host.log().contains("app.exited"), "{}", bench.host.log());
    // The launcher ends with the display.
    let until = Instant::now() + Duration::from_secs(20);
    while bench.host.processes().iter().any(|(_, command)| command.contains("sleep 1000")) {
        assert!(Instant::now() < until, "{:?}", bench.host.processes());
        std::thread::sleep(Duration::from_millis(50));
    }
}
