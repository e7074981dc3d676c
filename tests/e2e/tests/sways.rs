//! The whole host on every sway there is: on Debian 12's, and on Debian 13's from inside a root folder of that suite.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, HostOptions, Probe};
use punktfunk_testkit::desktop::{Launch, Suite, TestSway};
use punktfunk_testkit::window::{Seen, Window};

fn host_in(suite: Suite, launch: &Launch, args: &[&str], env: &[(&str, &Path)]) -> Host {
    Host::start_with(&HostOptions {
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        env: env.iter().map(|(k, v)| ((*k).to_owned(), v.to_str().expect("an ASCII path").to_owned())).collect(),
        prefix: if suite == Suite::Installed { Vec::new() } else { launch.prefix.clone() },
        ..Default::default()
    })
}

/// A client that streams for `seconds` from its first frame on and leaves pictures in `shots`.
fn streaming(probe: &Probe, host: &Host, mode: &str, seconds: &str) -> Child {
    let quic = host.quic.to_string();
    let args = ["stream", &quic, "--mode", mode, "--seconds", seconds, "--png-every", "5", "--out", "shots"];
    probe.command(&args).spawn().expect("the probe starts")
}

fn picture_size(probe: &Probe) -> (u32, u32) {
    let shots = std::fs::read_dir(probe.dir().join("shots")).expect("pictures were left");
    let shot = shots.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "png"));
    let file = std::fs::File::open(shot.expect("a picture")).expect("it can be read");
    let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
    (reader.info().width, reader.info().height)
}

/// Sizes of a session's outputs in use, smallest first. One that sway 1.7 could not remove has shrunk to 16x16 and does
/// not count.
fn outputs(sway: &TestSway) -> Vec<(u64, u64)> {
    let said =
        std::process::Command::new("swaymsg").arg("-s").arg(&sway.ipc).args(["-r", "-t", "get_outputs"]).output();
    let said = said.expect("swaymsg is installed with sway").stdout;
    let all: Vec<serde_json::Value> = serde_json::from_slice(&said).expect("JSON");
    let side = |o: &serde_json::Value, which: &str| o["current_mode"][which].as_u64().unwrap_or(0);
    let active = all.iter().filter(|o| o["active"] == true).map(|o| (side(o, "width"), side(o, "height")));
    let mut sizes: Vec<_> = active.filter(|size| *size != (16, 16)).collect();
    sizes.sort_unstable();
    sizes
}

fn wait_for_outputs(sway: &TestSway, host: &Host, wanted: &[(u64, u64)]) {
    let until = Instant::now() + Duration::from_secs(20);
    while outputs(sway) != wanted {
        assert!(Instant::now() < until, "{:?} instead of {wanted:?}\n{}", outputs(sway), host.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

const OWN: (u64, u64) = (1280, 720);

#[test]
fn on_a_running_session_outputs_come_and_go_with_their_clients() {
    for suite in [Suite::Installed, Suite::Trixie] {
        let Some(launch) = suite.launch() else { continue };
        let sway = TestSway::start(&launch, "");
        let args = ["serve", "--open", "--desktop", "wlroots", "--linger", "off"];
        let mut host = host_in(suite, &launch, &args, &[("SWAYSOCK", &sway.ipc), ("WAYLAND_DISPLAY", &sway.display)]);
        let (a, b) = (Probe::new(), Probe::new());
        for round in 0..2 {
            let mut first = streaming(&a, &host, "1366x768@60", "60");
            wait_for_outputs(&sway, &host, &[OWN, (1366, 768)]);
            let mut second = streaming(&b, &host, "800x600@30", "2");
            wait_for_outputs(&sway, &host, &[(800, 600), OWN, (1366, 768)]);
            // One leaves as it should; the other vanishes, then leaves too: a vanished one's output goes when its silence is
            // noticed.
            let ended = second.wait().expect("the probe ends");
            assert!(ended.success(), "{suite:?} {round}: {ended}\n{}", host.log());
            wait_for_outputs(&sway, &host, &[OWN, (1366, 768)]);
            let how = if round == 0 { rustix::process::Signal::KILL } else { rustix::process::Signal::INT };
            rustix::process::kill_process(rustix::process::Pid::from_child(&first), how).expect("it runs");
            first.wait().expect("it is dead");
            wait_for_outputs(&sway, &host, &[OWN]);
            assert_eq!(picture_size(&b), (800, 600), "{suite:?} {round}");
        }
        // Somebody still streams when the host is told to end.
        let mut last = streaming(&b, &host, "1024x768@60", "60");
        wait_for_outputs(&sway, &host, &[(1024, 768), OWN]);
        host.signal(rustix::process::Signal::INT);
        let status = host.wait(Duration::from_secs(10)).expect("the host ends");
        assert_eq!(status.code(), Some(0), "{suite:?}: {}", host.log());
        assert_eq!(outputs(&sway), [OWN], "{suite:?}: left behind\n{}", host.log());
        last.wait().expect("the probe was told");
        host.assert_nothing_left(Duration::from_secs(2));
    }
}

/// In the person's own session a key that the client holds must not stay down, even if nobody is left to release it.
#[test]
fn a_host_that_dies_leaves_nothing_held_in_a_session() {
    for suite in [Suite::Installed, Suite::Trixie] {
        let Some(launch) = suite.launch() else { continue };
        let sway = TestSway::start(&launch, "");
        let args = ["serve", "--open", "--desktop", "wlroots", "--linger", "off"];
        let mut host = host_in(suite, &launch, &args, &[("SWAYSOCK", &sway.ipc), ("WAYLAND_DISPLAY", &sway.display)]);
        let probe = Probe::new();
        let script = probe.dir().join("held.jsonl");
        let lines = [
            "\"abs\",\"x\":400,\"y\":300",
            "\"button\",\"button\":\"left\",\"down\":true",
            "\"key\",\"key\":\"A\",\"down\":true",
        ];
        let lines: Vec<_> = lines.iter().map(|line| format!("{{\"t_ms\":3000,\"ev\":{line}}}")).collect();
        std::fs::write(&script, lines.join("\n")).expect("the script");
        let script = script.to_str().expect("ASCII");
        let quic = host.quic.to_string();
        let client = ["stream", &quic, "--mode", "800x600@30", "--seconds", "60", "--input", script];
        let mut client = probe.command(&client).spawn().expect("the probe starts");
        wait_for_outputs(&sway, &host, &[(800, 600), OWN]);
        let window = Window::open(&sway.display, Some("HEADLESS-2"), [9, 9, 9]);
        let key = |seen: &[Seen], wanted| {
            seen.iter().any(|s| matches!(s, Seen::Key { code: 30, down, .. } if *down == wanted))
        };
        let button = |seen: &[Seen], down| seen.contains(&Seen::Button { code: 0x110, down });
        window.wait("the client's hands", |seen| key(seen, true) && button(seen, true));
        host.signal(rustix::process::Signal::KILL);
        // Whoever loses keyboard or pointer takes everything on it for released.
        window.wait("the key and the button to go up", |seen| {
            (key(seen, false) || seen.contains(&Seen::KeyboardLeave))
                && (button(seen, false) || seen.contains(&Seen::PointerLeave))
        });
        host.wait(Duration::from_secs(10)).expect("it is dead");
        wait_for_outputs(&sway, &host, &[OWN]);
        client.kill().and_then(|()| client.wait()).expect("the probe ends");
        host.assert_nothing_left(Duration::from_secs(2));
    }
}

#[test]
fn newer_sways_carry_private_desktops() {
    let suite = Suite::Trixie;
    let Some(launch) = suite.launch() else { return };
    let mut host = host_in(suite, &launch, &["serve", "--open", "--desktop", "private", "--linger", "off"], &[]);
    host.wait_for_log("private desktop started", Duration::from_secs(20));
    let (a, b) = (Probe::new(), Probe::new());
    let running = [streaming(&a, &host, "1366x768@60", "3"), streaming(&b, &host, "800x600@60", "3")];
    for mut client in running {
        let ended = client.wait().expect("the probe ends");
        assert!(ended.success(), "{ended}\n{}", host.log());
    }
    assert_eq!((picture_size(&a), picture_size(&b)), ((1366, 768), (800, 600)));
    host.signal(rustix::process::Signal::INT);
    let status = host.wait(Duration::from_secs(10)).expect("the host ends");
    assert_eq!(status.code(), Some(0), "{}", host.log());
    host.assert_nothing_left(Duration::from_secs(2));
}
