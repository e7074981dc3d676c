//! GameStream from end to end: the real host, and our own Moonlight-side client that judges every byte of it.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, HostOptions};
use punktfunk_gsclient::control::{HostMessage, Message};
use punktfunk_gsclient::video::{Frame, KEY};
use punktfunk_gsclient::{
    Announce, Client, Error, Identity, Loss, Report, Rtsp, Session, Shape, StreamOptions, Style, Taps, input,
};
use rustix::process::Signal;

const SYNTHETIC: &[&str] = &["punktfunk1-host", "--source", "synthetic", "--gamestream", "--gamestream-port", "0"];
const PRIVATE: &[&str] = &["serve", "--desktop", "private", "--linger", "20", "--gamestream", "--gamestream-port", "0"];
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// DESIGN: a new client can stream within 2 s of any failure; the rest is for busy machines.
const SOON: Duration = Duration::from_secs(12);

/// Where a host's GameStream listens, from its own line on standard output.
fn http(host: &Host) -> SocketAddr {
    let line = host.line("gamestream http=");
    line.split_whitespace().find_map(|w| w.strip_prefix("http=")).and_then(|a| a.parse().ok()).expect("an address")
}

fn udp(host: &Host, what: &str) -> SocketAddr {
    let line = host.line("gamestream http=");
    let port: u16 =
        line.split_whitespace().find_map(|w| w.strip_prefix(what)).and_then(|p| p.parse().ok()).expect("a port");
    SocketAddr::new(http(host).ip(), port)
}

/// A client that the operator let in by typing its PIN.
fn paired(host: &Host, pin: &str) -> Client {
    let mut client = Client::new(http(host), Arc::new(Identity::generate(Shape::Serial0).expect("a key")));
    pair(host, &mut client, pin);
    client
}

fn pair(host: &Host, client: &mut Client, pin: &str) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && !host.command(&["pair", "pin", pin]).status.success() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = client.pair(pin, Style::Qt);
        done.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|e| panic!("not paired: {e}\n{}", host.log()));
    });
}

fn options() -> StreamOptions {
    StreamOptions { decode: true, ..StreamOptions::default() }
}

fn start(client: &mut Client, options: StreamOptions, host: &Host) -> Session {
    let mut session =
        client.start(options, Taps::default()).unwrap_or_else(|e| panic!("no stream: {e}\n{}", host.log()));
    assert!(session.wait_first_frame(PATIENCE), "no picture\n{}", host.log());
    session
}

fn judge(report: &Report, host: &Host) {
    assert_eq!(report.violation_count, 0, "{:#?}\n{}", report.violations, host.log());
    assert_eq!(report.video.decode_errors, 0, "{report:#?}");
}

/// Streams a little and finds nothing wrong.
fn stream(client: &mut Client, options: StreamOptions, host: &Host) -> Report {
    let mut session = start(client, options, host);
    session.run(Duration::from_millis(1500));
    let report = session.stop().expect("a report");
    judge(&report, host);
    assert!(report.video.stats.frames > 20, "{report:#?}");
    report
}

#[test]
fn every_kind_of_client_streams_and_no_rule_of_the_wire_is_broken() {
    let host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "1234");
    let apps = client.http.app_list().unwrap();
    assert_eq!(apps[0].title, "Desktop");
    assert!(client.http.app_asset(apps[0].id).unwrap().body.starts_with(b"\x89PNG"));
    let base = options();
    let table = [
        ("all sealed", StreamOptions { encryption: 6, ..base.clone() }),
        ("video in the clear", StreamOptions { encryption: 4, ..base.clone() }),
        ("surround 5.1", StreamOptions { channels: 6, ..base.clone() }),
        ("surround 7.1, high", StreamOptions { channels: 8, bitrate_kbps: 60_000, ..base.clone() }),
        ("small packets, far away", StreamOptions { packet_size: 1024, remote: true, ..base.clone() }),
        ("four slices", StreamOptions { slices: 4, ..base.clone() }),
        ("long blocks of sound", StreamOptions { packet_duration_ms: 10, ..base.clone() }),
        ("no sealed RTSP", StreamOptions { corever: Some(0), ..base.clone() }),
        ("from before the extensions", StreamOptions { corever: None, legacy: true, encryption: 0, ..base.clone() }),
        ("another mode", StreamOptions { width: 1366, height: 768, fps: 30, ..base }),
    ];
    for (name, options) in table {
        let (width, height) = (options.width as usize, options.height as usize);
        let report = stream(&mut client, options, &host);
        assert_eq!(report.video.picture_size, (width, height), "{name}");
        assert!(report.video.stamped > 20 && report.video.stamps_backwards == 0, "{name}: {report:#?}");
        assert!(report.audio.stats.packets > 100, "{name}: {report:#?}");
        client.http.cancel().unwrap();
        assert_eq!(client.http.server_info(true).unwrap().current_game, 0, "{name}");
    }
}

#[test]
fn a_private_desktop_is_streamed_typed_into_heard_and_found_again() {
    let host = Host::start(PRIVATE);
    let mut client = paired(&host, "0007");
    let effect = host.root().join("home/typed");
    let mut session = start(&mut client, options(), &host);
    // Super+Return opens a terminal; its shell reads what is typed once it is there.
    for (key, down) in [(0x5b, true), (0x0d, true), (0x0d, false), (0x5b, false)] {
        assert!(session.input(input::key(key, down, if key == 0x0d { META } else { 0 }, 0)));
    }
    std::thread::sleep(Duration::from_secs(2));
    for c in format!("echo 'Grüße €' > {}", effect.display()).chars() {
        input::text(&c.to_string()).into_iter().for_each(|packet| assert!(session.input(packet)));
    }
    for down in [true, false] {
        assert!(session.input(input::key(0x0d, down, 0, 0)));
    }
    let written = session.wait_until(PATIENCE, |_| std::fs::read_to_string(&effect).is_ok_and(|t| t == "Grüße €\n"));
    assert!(written, "{:?}\n{}", std::fs::read_to_string(&effect), host.log());
    assert!(session.wait_until(PATIENCE, |s| s.audio_packets() > 50), "no sound\n{}", host.log());

    // Gone without a word: the desktop is kept, and the shell on it still runs.
    let report = session.vanish().expect("a report");
    judge(&report, &host);
    let info = client.http.server_info(true).unwrap();
    assert_ne!(info.current_game, 0, "something to resume");
    let again = stream(&mut client, StreamOptions { width: 1600, height: 900, ..options() }, &host);
    assert!(again.resumed);
    assert_eq!(again.video.picture_size, (1600, 900));

    client.http.cancel().unwrap();
    assert_eq!(client.http.server_info(true).unwrap().current_game, 0);
    assert!(matches!(client.http.cancel(), Ok(()) | Err(Error::Refused { .. })));
    host.signal(Signal::INT);
    host.assert_nothing_left();
}

#[test]
fn each_client_has_its_own_session_and_sees_only_that() {
    let host = Host::start(SYNTHETIC);
    let (mut one, mut two) = (paired(&host, "1111"), paired(&host, "2222"));
    let first = start(&mut one, options(), &host);
    assert_ne!(one.http.server_info(true).unwrap().current_game, 0);
    assert_eq!(two.http.server_info(true).unwrap().current_game, 0);
    assert_eq!(one.http.server_info(false).unwrap().current_game, 0, "plain HTTP says FREE");
    let mut second = start(&mut two, StreamOptions { width: 640, height: 480, ..options() }, &host);
    two.http.cancel().unwrap();
    let told = second.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination { .. }));
    assert!(told.is_some(), "the end is announced before the disconnect");
    assert!(two.http.server_info(true).unwrap().current_game == 0);
    let frames = first.frames();
    let mut first = first;
    assert!(first.wait_until(PATIENCE, |s| s.frames() > frames + 30), "the other one goes on");
    judge(&first.stop().unwrap(), &host);
    judge(&second.stop().unwrap(), &host);
}

#[test]
fn losses_are_repaired_and_frames_beyond_repair_lead_to_a_keyframe() {
    let host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "3333");
    let light = StreamOptions { video_loss: Loss::new(1.0, 1, 7), audio_loss: Loss::new(1.0, 1, 8), ..options() };
    let mut session = start(&mut client, light, &host);
    session.run(Duration::from_secs(4));
    let report = session.stop().unwrap();
    judge(&report, &host);
    assert!(report.video.dropped_on_purpose > 0 && report.video.stats.recovered > 0, "{report:#?}");
    client.http.cancel().unwrap();

    let heavy = StreamOptions { video_loss: Loss::new(5.0, 12, 9), ..options() };
    let mut session = start(&mut client, heavy, &host);
    // A frame is lost, and a keyframe after it arrives.
    let healed = session.wait_until(PATIENCE, |s| s.frames() > 120);
    let report = session.stop().unwrap();
    assert!(healed, "{report:#?}");
    assert_eq!(report.violation_count, 0, "{:#?}", report.violations);
    assert!(report.video.stats.lost > 0 && report.video.stats.keyframes > 1, "{report:#?}");
}

/// A client asks once for a keyframe, and if that one is lost, once again: soon after it left.
#[test]
fn a_request_right_behind_a_keyframe_leads_to_another_one() {
    let host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "3434");
    let keyframes = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&keyframes);
    let count = move |frame: &Frame| _ = seen.fetch_add(u64::from(frame.kind == KEY), Ordering::Relaxed);
    let taps = Taps { frame: Some(Box::new(count)), ..Taps::default() };
    let mut session = client.start(options(), taps).unwrap();
    assert!(session.wait_first_frame(PATIENCE), "no picture\n{}", host.log());
    for wanted in 2..=4 {
        assert!(session.send(Message::RequestIdr));
        let came = session.wait_until(PATIENCE, |_| keyframes.load(Ordering::Relaxed) >= wanted);
        assert!(came, "{wanted} keyframes, and not {}", keyframes.load(Ordering::Relaxed));
    }
    judge(&session.stop().unwrap(), &host);
}

#[test]
fn a_client_that_stops_anywhere_costs_nothing_and_the_next_one_streams() {
    let host = Host::start(&[&["punktfunk1-host", "--max-sessions", "1"], &SYNTHETIC[1..]].concat());
    let (mut stopping, mut next) = (paired(&host, "4444"), paired(&host, "5555"));
    let junk = junk_on_all_ports(&host);
    // After launch alone.
    let info = stopping.http.server_info(true).unwrap();
    assert_eq!(info.current_game, 0);
    let app = stopping.http.app_list().unwrap()[0].id;
    stopping.http.launch(&launch(app)).unwrap();
    streams_soon(&mut next, &host);
    // With a control stream that says nothing any more.
    let silent = start(&mut stopping, StreamOptions { control_pings: false, ..options() }, &host);
    drop(silent);
    streams_soon(&mut next, &host);
    // In the middle of everything.
    let gone = start(&mut stopping, options(), &host);
    gone.vanish().unwrap();
    streams_soon(&mut next, &host);
    drop(junk);
}

#[test]
fn a_client_that_leaves_the_handshake_at_any_step_is_forgotten() {
    let host = Host::start(&[&["punktfunk1-host", "--max-sessions", "1"], &SYNTHETIC[1..]].concat());
    let (mut leaving, mut next) = (paired(&host, "1212"), paired(&host, "3434"));
    let app = leaving.http.app_list().unwrap()[0].id;
    for steps in 0..=6 {
        let started = leaving.http.launch(&launch(app)).unwrap();
        let mut rtsp = Rtsp::new(leaving.http.address(), &started, &[7; 16], false).unwrap();
        let mut describe = None;
        for step in 0..steps {
            match step {
                0 => drop(rtsp.options().unwrap()),
                1 => describe = Some(rtsp.describe().unwrap()),
                2 => drop(rtsp.setup("audio/0/0").unwrap()),
                3 => drop(rtsp.setup("video/0/0").unwrap()),
                4 => drop(rtsp.setup("control/13/0").unwrap()),
                _ => {
                    let describe = describe.as_ref().expect("step 1");
                    let wishes = options().wishes(describe, punktfunk_gsclient::Formats::H264);
                    rtsp.announce(&Announce::stock(&wishes), 47_998).unwrap();
                    rtsp.play().unwrap();
                }
            }
        }
        // It neither pings nor connects its control stream.
        streams_soon(&mut next, &host);
        assert!(rtsp.violations().is_empty(), "{:?}", rtsp.violations());
        drop(rtsp);
    }
    leaving.http.launch(&launch(app)).unwrap();
    assert_eq!(leaving.http.server_info(true).unwrap().current_game, app);
    // Nobody else wants the slot: then it is the session's own timer.
    host.wait_for_log("gamestream.never_came", PATIENCE);
    assert_eq!(leaving.http.server_info(true).unwrap().current_game, 0, "nothing of it is left");
}

#[test]
fn half_open_connections_keep_nobody_out() {
    let host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "5656");
    let rtsp = udp(&host, "rtsp=");
    let https =
        host.line("gamestream http=").split_whitespace().find_map(|w| w.strip_prefix("https=")).unwrap().parse();
    // A third each; none of them says a word.
    let doors = [http(&host), https.expect("an address"), rtsp];
    let crowd: Vec<_> = (0..1998).filter_map(|i| TcpStream::connect_timeout(&doors[i % 3], PATIENCE).ok()).collect();
    assert!(crowd.len() > 1000, "{} of 1998", crowd.len());
    stream(&mut client, options(), &host);
    drop(crowd);
}

/// The slot is free as soon as the one who holds it has been silent: launches until then say who has it.
fn streams_soon(client: &mut Client, host: &Host) {
    let begun = Instant::now();
    loop {
        match client.start(options(), Taps::default()) {
            Ok(mut session) => {
                assert!(session.wait_first_frame(PATIENCE), "no picture\n{}", host.log());
                judge(&session.stop().unwrap(), host);
                client.http.cancel().unwrap();
                return;
            }
            Err(Error::Refused { code: 503, message }) => {
                assert!(message.contains("Held by"), "{message}");
                assert!(begun.elapsed() < SOON, "still busy after {SOON:?}\n{}", host.log());
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(e) => panic!("{e}\n{}", host.log()),
        }
    }
}

fn launch(app_id: u32) -> punktfunk_gsclient::Launch {
    punktfunk_gsclient::Launch {
        app_id,
        width: 1280,
        height: 720,
        fps: 60,
        rikey: [7; 16],
        rikey_id: -5,
        sops: false,
        local_audio: false,
        surround_audio_info: 0x3_0002,
        hdr: false,
        gamepads: 0,
        corever: Some(1),
        extra: vec![],
        omit: vec![],
    }
}

/// Sends nonsense to every UDP port until dropped: bounded in rate, and over at the latest after a minute.
fn junk_on_all_ports(host: &Host) -> impl Drop + use<> {
    struct Stop(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
            self.1.take().map(std::thread::JoinHandle::join);
        }
    }
    let targets = ["video=", "control=", "audio="].map(|what| udp(host, what));
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let begun = Instant::now();
        let mut state = 1u32;
        while !until.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(60) {
            for target in targets {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let junk: Vec<u8> = (0..state % 1400).map(|i| (state >> (i % 24)) as u8).collect();
                let _ = socket.send_to(&junk, target);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    Stop(stop, Some(thread))
}

/// The id of the one client that is paired.
fn only_client(host: &Host) -> String {
    let list = host.command(&["pair", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert_eq!(list[0]["protocol"].as_str().or(list[0]["kind"].as_str()), Some("gamestream"), "{list}");
    list.as_array().and_then(|l| l[0]["id"].as_str()).expect("a client").to_owned()
}

#[test]
fn an_access_that_runs_out_ends_the_session_with_a_word() {
    let host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "6767");
    let mut session = start(&mut client, options(), &host);
    assert!(host.command(&["ctl", "clients", "expire", &only_client(&host), "2"]).status.success());
    assert!(session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination { .. })).is_some());
    drop(session);
    assert!(matches!(client.http.app_list(), Err(Error::Refused { code: 401, .. })));
}

#[test]
fn a_revoked_client_is_told_and_out() {
    let host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "6666");
    let mut session = start(&mut client, options(), &host);
    assert!(host.command(&["pair", "revoke", &only_client(&host)]).status.success());
    assert!(session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination { .. })).is_some());
    drop(session);
    assert!(matches!(client.http.app_list(), Err(Error::Refused { code: 401, .. })));
    // It pairs again and streams.
    pair(&host, &mut client, "7777");
    stream(&mut client, options(), &host);
}

#[test]
fn a_compositor_that_dies_ends_the_session_with_a_word() {
    let host = Host::start(PRIVATE);
    let mut client = paired(&host, "8888");
    let mut session = start(&mut client, options(), &host);
    // The one on the stage, not the warm spare.
    for (pid, line) in host.processes() {
        // The shell that becomes a worker has the worker's command in its own.
        if line.contains(" compositor ") && !line.contains("start.sh") {
            let pid = rustix::process::Pid::from_raw(pid).expect("a process");
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    let ended = session.wait_until(PATIENCE, |_| host.log().contains("desktop.died"));
    assert!(ended, "{}", host.log());
    assert!(session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination { .. })).is_some());
    drop(session);
    stream(&mut client, options(), &host);
}

#[test]
fn what_the_operator_forbids_is_refused_with_its_reason() {
    let host = Host::start(&[SYNTHETIC, &["--gamestream-encryption", "require"]].concat());
    let mut client = paired(&host, "9999");
    let refused = client.start(
        StreamOptions {
            encryption: 0,
            announce: vec![("x-ss-general.encryptionEnabled".into(), Some("0".into()))],
            ..options()
        },
        Taps::default(),
    );
    assert!(refused.is_err(), "nothing less than everything");
    host.wait_for_log("gamestream.encryption_required", PATIENCE);
    stream(&mut client, StreamOptions { encryption: 6, ..options() }, &host);
}

#[test]
fn host_messages_reach_the_client_and_the_host_says_good_bye() {
    let mut host = Host::start(SYNTHETIC);
    let mut client = paired(&host, "0000");
    let mut session = start(&mut client, options(), &host);
    assert!(session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Hdr { .. })).is_some(), "HDR is off");
    // A client sends fingers and pens only where they are offered; the synthetic desktop takes them.
    assert_eq!(session.negotiated().describe.feature_flags & TOUCH_AND_PEN, TOUCH_AND_PEN);
    let finger = input::Touch { x: 0.5, y: 0.5, ..input::Touch::default() };
    let pen = input::Pen { tool: 2, x: 0.5, y: 0.5, pressure: 0.5, tilt: Some(30), ..input::Pen::default() };
    assert!(session.input(input::touch(input::event::DOWN, &finger)));
    assert!(session.input(input::pen(input::event::DOWN, &pen, false)));
    // The synthetic host's pads answer every press with rumble.
    assert!(session.input(input::pad_arrival(0, 1, 0x2, 0xffff)));
    assert!(session.input(input::pad(0, 1, &input::PadState::default())));
    assert!(session.input(input::pad(0, 1, &input::PadState { buttons: 0x1000, ..input::PadState::default() })));
    let rumble = session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Rumble { .. }));
    assert!(rumble.is_some(), "{}", host.log());
    host.signal(Signal::INT);
    assert!(session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination { .. })).is_some());
    assert!(host.wait().is_some_and(|s| s.success()));
    judge(&session.stop().unwrap(), &host);
}

/// Modifier bit of GameStream's keyboard packets for a Windows key.
const META: u8 = 0x08;
/// Bit of `x-ss-general.featureFlags`.
const TOUCH_AND_PEN: u32 = 0x1;

const LIBRARY: &str = r#"
[[apps]]
name = "Game"
command = "echo begins >>$HOME/said; while [ -e $HOME/go ]; do sleep 0.05; done"
[[apps.prepare]]
run = "echo prepared >>$HOME/said"
undo = "echo undone >>$HOME/said"
"#;

#[test]
fn a_program_of_the_library_runs_through_a_resume_and_its_end_ends_the_stream() {
    let library = tempfile::Builder::new().prefix("pf-library-").tempdir().expect("a temporary folder");
    let file = library.path().join("config.toml");
    std::fs::write(&file, LIBRARY).expect("the configuration");
    for path in [library.path(), &file] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("readable for all");
    }
    let host = Host::start(&[PRIVATE, &["--config", file.to_str().expect("ASCII")]].concat());
    let home = host.root().join("home");
    std::fs::write(home.join("go"), "").expect("the host's home is there");
    let said = || std::fs::read_to_string(home.join("said")).unwrap_or_default();
    let mut client = paired(&host, "2468");
    let game = client.http.app_list().unwrap().into_iter().find(|a| a.title == "Game").expect("listed").id;
    let playing = || StreamOptions { app: Some(game), ..options() };

    let session = start(&mut client, playing(), &host);
    assert_eq!(session.negotiated().describe.feature_flags & TOUCH_AND_PEN, TOUCH_AND_PEN);
    judge(&session.vanish().unwrap(), &host);
    assert_eq!(client.http.server_info(true).unwrap().current_game, game);
    let mut session = start(&mut client, playing(), &host);
    assert_eq!(said(), "prepared\nbegins\n", "once, and it still runs");

    std::fs::remove_file(home.join("go")).expect("it was there");
    assert!(
        session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination { .. })).is_some(),
        "{}",
        host.log()
    );
    judge(&session.stop().unwrap(), &host);
    let until = Instant::now() + PATIENCE;
    while said() != "prepared\nbegins\nundone\n" || client.http.server_info(true).unwrap().current_game != 0 {
        assert!(Instant::now() < until, "{:?}\n{}", said(), host.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A stand-in for Steam: it starts what stays, and says so.
const STEAM: &str = "#!/bin/sh\necho \"steam $*\" >>$HOME/said\nexec sleep 1000\n";

#[test]
fn a_game_of_a_store_is_listed_with_its_box_art_and_launched() {
    use std::os::unix::fs::PermissionsExt;
    let bin = tempfile::Builder::new().prefix("pf-store-").tempdir().expect("a temporary folder");
    let launcher = bin.path().join("steam");
    std::fs::write(&launcher, STEAM).expect("written");
    for path in [bin.path(), &launcher] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("runs for all");
    }
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap_or_default());
    let host = Host::start_with(&HostOptions {
        args: PRIVATE.iter().map(|a| (*a).to_owned()).collect(),
        env: vec![("PATH".into(), path)],
        ..Default::default()
    });
    let home = host.root().join("home");
    let steam = home.join(".local/share/Steam");
    let covers = steam.join("appcache/librarycache");
    for folder in [&steam.join("steamapps"), &covers] {
        std::fs::create_dir_all(folder).expect("made");
    }
    let manifest = r#""AppState" { "appid" "570" "name" "Dota 2" "StateFlags" "4" }"#;
    std::fs::write(steam.join("steamapps/appmanifest_570.acf"), manifest).expect("written");
    let file = std::fs::File::create(covers.join("570_library_600x900.jpg")).expect("a file");
    let mut cover = png::Encoder::new(file, 60, 90);
    cover.set_color(png::ColorType::Rgb);
    cover.write_header().and_then(|mut w| w.write_image_data(&[77; 60 * 90 * 3])).expect("a picture");
    assert!(host.command(&["ctl", "library", "scan"]).status.success(), "{}", host.log());

    let mut client = paired(&host, "1357");
    let game = client.http.app_list().unwrap().into_iter().find(|a| a.title == "Dota 2").expect("listed").id;
    let art = client.http.app_asset(game).unwrap().body;
    let mut art = png::Decoder::new(std::io::Cursor::new(&art)).read_info().expect("a PNG");
    assert_eq!((art.info().width, art.info().height), (60, 90));
    let mut pixels = vec![0; art.output_buffer_size().expect("a size")];
    let drawn = art.next_frame(&mut pixels).expect("a picture");
    assert!(pixels[..drawn.buffer_size()].iter().all(|p| *p == 77), "the store's own picture");

    let session = start(&mut client, StreamOptions { app: Some(game), ..options() }, &host);
    let until = Instant::now() + PATIENCE;
    while std::fs::read_to_string(home.join("said")).unwrap_or_default() != "steam -silent steam://rungameid/570\n" {
        assert!(Instant::now() < until, "{}", host.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.http.server_info(true).unwrap().current_game, game);
    judge(&session.stop().unwrap(), &host);
}
