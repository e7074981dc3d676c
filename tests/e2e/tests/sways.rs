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
        let status = host.wait().expect("the host ends");
        assert_eq!(status.code(), Some(0), "{suite:?}: {}", host.log());
        assert_eq!(outputs(&sway), [OWN], "{suite:?}: left behind\n{}", host.log());
        last.wait().expect("the probe was told");
        host.assert_nothing_left();
    }
}

/// What a client's hands do reaches a program in the person's session, from the probe's script to the program's own events;
/// and when the host is killed with a key and a button down, both go up although nobody is left to release them.
#[test]
fn a_clients_hands_reach_a_session_and_let_go_when_the_host_dies() {
    for suite in [Suite::Installed, Suite::Trixie] {
        let Some(launch) = suite.launch() else { continue };
        let sway = TestSway::start(&launch, "");
        let args = ["serve", "--open", "--desktop", "wlroots", "--linger", "off"];
        let mut host = host_in(suite, &launch, &args, &[("SWAYSOCK", &sway.ipc), ("WAYLAND_DISPLAY", &sway.display)]);
        let probe = Probe::new();
        let script = probe.dir().join("hands.jsonl");
        std::fs::write(&script, HANDS).expect("the script");
        let script = script.to_str().expect("ASCII");
        let quic = host.quic.to_string();
        let client = ["stream", &quic, "--mode", "800x600@30", "--seconds", "60", "--input", script];
        let mut client = probe.command(&client).spawn().expect("the probe starts");
        wait_for_outputs(&sway, &host, &[(800, 600), OWN]);
        let window = Window::open(&sway.display, Some("HEADLESS-2"), [9, 9, 9]);
        let button = |code, down| Seen::Button { code, down };
        let key = |seen: &[Seen], wanted| {
            seen.iter().any(|s| matches!(s, Seen::Key { code: 30, down, .. } if *down == wanted))
        };
        let seen = window.wait("the client's hands", |seen| key(seen, true) && seen.contains(&button(0x110, true)));
        // Back and forward, an eighth of a detent upward, and two fingers that move and are lifted.
        let buttons: Vec<_> = seen.iter().filter(|s| matches!(s, Seen::Button { .. })).cloned().collect();
        let expected =
            [button(0x113, true), button(0x113, false), button(0x114, true), button(0x114, false), button(0x110, true)];
        assert_eq!(buttons, expected, "{suite:?}: {seen:?}");
        let down = |value| Seen::Axis { horizontal: false, value };
        let across = |value| Seen::Axis { horizontal: true, value };
        for wanted in
            [down(-1.875), across(7.0), Seen::AxisStop { horizontal: true }, Seen::AxisSource(0), Seen::AxisSource(1)]
        {
            assert!(seen.contains(&wanted), "{suite:?}: no {wanted:?} in {seen:?}");
        }
        host.signal(rustix::process::Signal::KILL);
        // Whoever loses keyboard or pointer takes everything on it for released.
        window.wait("the key and the button to go up", |seen| {
            (key(seen, false) || seen.contains(&Seen::KeyboardLeave))
                && (seen.contains(&button(0x110, false)) || seen.contains(&Seen::PointerLeave))
        });
        host.wait().expect("it is dead");
        wait_for_outputs(&sway, &host, &[OWN]);
        client.kill().and_then(|()| client.wait()).expect("the probe ends");
        host.assert_nothing_left();
    }
}

const HANDS: &str = r#"
{"t_ms":3000,"ev":"abs","x":400,"y":300}
{"t_ms":3100,"ev":"button","button":"x1"}
{"t_ms":3120,"ev":"button","button":"x2"}
{"t_ms":3200,"ev":"scroll","delta":15}
{"t_ms":3300,"ev":"scroll","axis":"horizontal","delta":7,"finger":"begin"}
{"t_ms":3400,"ev":"scroll","axis":"horizontal","delta":0,"finger":"end"}
{"t_ms":3500,"ev":"button","button":"left","down":true}
{"t_ms":3600,"ev":"key","key":"A","down":true}
"#;

#[test]
fn newer_sways_carry_private_desktops() {
    let suite = Suite::Trixie;
    let Some(launch) = suite.launch() else { return };
    let args = ["serve", "--open", "--desktop", "private", "--private-desktop", "sway", "--linger", "off"];
    let mut host = host_in(suite, &launch, &args, &[]);
    host.wait_for_log("private desktop started", Duration::from_secs(20));
    let (a, b) = (Probe::new(), Probe::new());
    let running = [streaming(&a, &host, "1366x768@60", "3"), streaming(&b, &host, "800x600@60", "3")];
    for mut client in running {
        let ended = client.wait().expect("the probe ends");
        assert!(ended.success(), "{ended}\n{}", host.log());
    }
    assert_eq!((picture_size(&a), picture_size(&b)), ((1366, 768), (800, 600)));
    host.signal(rustix::process::Signal::INT);
    let status = host.wait().expect("the host ends");
    assert_eq!(status.code(), Some(0), "{}", host.log());
    host.assert_nothing_left();
}
