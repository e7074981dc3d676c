//! Sound of a running session, for both protocols: a real sway with a real PipeWire, WirePlumber and null sinks for
//! hardware, as a person has them who sits at the machine.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_e2e::{Host, HostOptions, Probe, ProbeOutcome};
use punktfunk_gsclient::{Client, Identity, Shape, StreamOptions, Style, Taps};
use punktfunk_testkit::desktop::{Launch, Suite, TestSway};
use punktfunk_testkit::sound::{Program, TestPipeWire, share_at, write_tones};
use rustix::process::Signal;
use serde_json::Value;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const TONES: [f32; 2] = [400.0, 700.0];

/// A session in which a program plays, and a host for it.
struct Seat<'a> {
    host: Host,
    server: TestPipeWire<'a>,
    tones: PathBuf,
    _sway: TestSway,
    _program: Program,
}

impl<'a> Seat<'a> {
    fn new(launch: &'a Launch, args: &[&str]) -> Self {
        let sway = TestSway::start(launch, "");
        let server = TestPipeWire::start(launch);
        server.add_sink("speakers");
        server.add_sink("headphones");
        let tones = server.runtime_dir.join("tones.wav");
        write_tones(&tones, &TONES, Duration::from_secs(120));
        let program = server.keep_playing(&tones, "FL,FR");
        let env = [
            ("SWAYSOCK", &sway.ipc),
            ("WAYLAND_DISPLAY", &sway.display),
            ("PIPEWIRE_RUNTIME_DIR", &server.runtime_dir),
        ];
        let own = ["serve", "--open", "--desktop", "wlroots", "--linger", "off"];
        let host = Host::start_with(&HostOptions {
            args: own.iter().chain(args).map(|a| (*a).to_owned()).collect(),
            env: env.iter().map(|(k, v)| ((*k).to_owned(), v.to_str().expect("ASCII").to_owned())).collect(),
            ..Default::default()
        });
        let this = Self { host, server, tones, _sway: sway, _program: program };
        this.wait("the headphones", |seat| {
            seat.server.choose_sink("headphones");
            seat.server.default_sink().as_deref() == Some("headphones")
        });
        this
    }

    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !wanted(self) {
            assert!(Instant::now() < until, "waited in vain for {what}\n{}\n{}", self.audio(), self.host.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn wait_default(&self, name: &str) {
        // Where it is missing, WirePlumber takes another one that is not chosen.
        let both = |seat: &Self| [seat.server.default_sink(), seat.server.chosen_sink()];
        self.wait(name, |seat| both(seat).iter().all(|sink| sink.as_deref() == Some(name)));
    }

    /// What `ctl audio show` says.
    fn audio(&self) -> Value {
        let output = self.host.command(&["ctl", "--json", "audio", "show"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn policy(&self, policy: &str) {
        let output = self.host.command(&["ctl", "--json", "audio", "policy", policy]);
        let view: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        assert_eq!(view["policy"], policy);
    }

    /// The share of the left tone in what the headphones play for a second or so; `None`: silence.
    fn headphones(&self) -> Option<f64> {
        let file = self.tones.with_extension("raw");
        // What is left of the last time is not what is heard now.
        let _ = std::fs::remove_file(&file);
        let recorder = self.server.record_sink("headphones", &file);
        let until = Instant::now() + PATIENCE;
        while file.metadata().map_or(0, |m| m.len()) < 48_000 * 8 {
            assert!(Instant::now() < until, "the recorder hears nothing, not even silence");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(recorder);
        let bytes = std::fs::read(&file).expect("it was written");
        let heard: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        heard.iter().any(|s| *s != 0.0).then(|| share_at(&heard, 2, 0, TONES[0]))
    }

    fn stream(&self, probe: &Probe, seconds: &str) -> Child {
        let quic = self.host.quic.to_string();
        let args = ["stream", &quic, "--mode", "1280x720@30", "--seconds", seconds, "--json", "out.json"];
        probe.command(&args).spawn().expect("the probe starts")
    }

    fn assert_given_back(&self) {
        self.wait_default("headphones");
        self.wait("the program in the headphones", |seat| seat.headphones().is_some_and(|share| share > 0.25));
        self.assert_nothing_of_ours();
    }

    fn assert_nothing_of_ours(&self) {
        self.wait("the end of our nodes", |seat| {
            !seat.server.nodes().iter().any(|(name, _)| name.contains("punktfunk"))
        });
    }
}

fn report(probe: &Probe) -> ProbeOutcome {
    let report = serde_json::from_slice(&std::fs::read(probe.dir().join("out.json")).expect("a report")).ok();
    ProbeOutcome { code: 0, stdout: String::new(), stderr: String::new(), report }
}

fn assert_heard(outcome: &ProbeOutcome) {
    for (channel, hz) in TONES.iter().enumerate() {
        let heard = outcome.number(&format!("/audio/levels/{channel}/hz"));
        assert!((heard / f64::from(*hz) - 1.0).abs() < 0.02, "channel {channel}: {heard} Hz: {outcome:#?}");
    }
    assert!(outcome.number("/audio/audible_ms") > 1_000.0, "{outcome:#?}");
    assert_eq!(outcome.number("/audio/decode_errors"), 0.0);
}

fn launch() -> Launch {
    Suite::Installed.launch().expect("what is installed is never skipped")
}

#[test]
fn a_native_client_hears_the_session_by_every_policy_and_the_default_is_given_back() {
    let launch = launch();
    let seat = Seat::new(&launch, &[]);
    let probe = Probe::new();
    let mut client = seat.stream(&probe, "120");
    seat.wait_default("punktfunk");
    seat.wait("silence at the host", |seat| seat.headphones().is_none());
    seat.wait("its standing", |seat| seat.audio()["sink"]["standing"] == "default");
    let view = seat.audio();
    assert_eq!((&view["policy"], &view["sink"]["speakers"]), (&"client_only".into(), &false.into()), "{view}");
    assert_eq!(view["listeners"].as_array().map(Vec::len), Some(1), "{view}");
    seat.policy("host_and_client");
    seat.wait("the speakers", |seat| seat.headphones().is_some_and(|share| share > 0.25));
    seat.policy("follow_default");
    seat.wait_default("headphones");
    assert!(seat.audio()["sink"].is_null());
    seat.policy("client_only");
    seat.wait_default("punktfunk");
    rustix::process::kill_process(rustix::process::Pid::from_child(&client), Signal::INT).expect("it runs");
    assert!(client.wait().expect("it ends").success(), "{}", seat.host.log());
    assert_heard(&report(&probe));
    seat.assert_given_back();

    // Heard from the beginning by another policy; and somebody's choice meanwhile stays.
    seat.policy("follow_default");
    let mut client = seat.stream(&probe, "6");
    assert!(client.wait().expect("it ends").success(), "{}", seat.host.log());
    assert_heard(&report(&probe));
    seat.assert_given_back();
}

/// The sources that programs of the session see of ours.
fn microphones(seat: &Seat<'_>) -> Vec<String> {
    let ours = |(name, class): &(String, String)| class == "Audio/Source" && name.starts_with("punktfunk-microphone");
    let mut names: Vec<_> = seat.server.nodes().into_iter().filter(ours).map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn each_client_that_may_talk_is_a_microphone_of_the_session_and_goes_with_it() {
    let launch = launch();
    let seat = Seat::new(&launch, &["--max-sessions", "3"]);
    let voices = [500.0, 900.0];
    let probes = [Probe::new(), Probe::new()];
    let names = ["punktfunk-microphone.sofa", "punktfunk-microphone.sofa.2"];
    let mut clients = Vec::new();
    for (n, (probe, hz)) in probes.iter().zip(voices).enumerate() {
        let tone = seat.tones.with_file_name(format!("voice{n}.wav"));
        write_tones(&tone, &[hz], Duration::from_secs(90));
        std::fs::set_permissions(&tone, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
        let (quic, tone) = (seat.host.quic.to_string(), tone.display().to_string());
        let args =
            ["stream", &quic, "--mode", "640x360@30", "--seconds", "80", "--name", "Sofa", "--microphone", &tone];
        clients.push(probe.command(&args).spawn().expect("the probe starts"));
        seat.wait("its microphone", |seat| microphones(seat) == names[..=n]);
    }
    // Both speak at once, each in its own source.
    for (name, hz) in names.into_iter().zip(voices) {
        let file = seat.tones.with_file_name(format!("{name}.raw"));
        seat.wait("a voice", |seat| {
            let _ = std::fs::remove_file(&file);
            let recorder = seat.server.record(name, &file);
            let until = Instant::now() + PATIENCE;
            while file.metadata().map_or(0, |m| m.len()) < 48_000 * 4 {
                assert!(Instant::now() < until, "the recorder hears nothing, not even silence");
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(recorder);
            let bytes = std::fs::read(&file).expect("it was written");
            let heard: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            share_at(&heard, 1, 0, hz) > 0.25
        });
    }
    let [mut first, mut second] = <[Child; 2]>::try_from(clients).expect("two");
    rustix::process::kill_process(rustix::process::Pid::from_child(&first), Signal::INT).expect("it runs");
    assert!(first.wait().expect("it ends").success(), "{}", seat.host.log());
    seat.wait("the end of its microphone", |seat| microphones(seat) == names[1..]);
    // This one goes without a word.
    second.kill().expect("it runs");
    second.wait().expect("it ended");
    seat.wait("the end of the other one", |seat| microphones(seat).is_empty());
    seat.assert_given_back();
}

#[test]
fn a_host_that_is_killed_gives_the_default_back_and_spares_what_somebody_chose() {
    let launch = launch();
    for chosen in [None, Some("speakers")] {
        let mut seat = Seat::new(&launch, &[]);
        let probe = Probe::new();
        let mut client = seat.stream(&probe, "60");
        seat.wait_default("punktfunk");
        if let Some(chosen) = chosen {
            seat.server.choose_sink(chosen);
            seat.wait_default(chosen);
        }
        seat.host.signal(Signal::KILL);
        seat.host.wait().expect("it is dead");
        seat.wait_default(chosen.unwrap_or("headphones"));
        seat.assert_nothing_of_ours();
        // Failing is all it can do now.
        let _ = client.kill();
        client.wait().expect("it is dead");
    }
}

#[test]
fn a_moonlight_client_hears_the_session_by_the_same_policies() {
    let launch = launch();
    let seat = Seat::new(&launch, &["--gamestream", "--gamestream-port", "0"]);
    let line = seat.host.line("gamestream http=").to_owned();
    let http = line.split_whitespace().find_map(|w| w.strip_prefix("http=")).and_then(|a| a.parse().ok());
    let mut client =
        Client::new(http.expect("an address"), Arc::new(Identity::generate(Shape::Serial0).expect("a key")));
    std::thread::scope(|scope| {
        let pairing = scope.spawn(|| client.pair("1234", Style::Qt));
        seat.wait("the PIN", |seat| seat.host.command(&["pair", "pin", "1234"]).status.success());
        pairing.join().expect("no panic").expect("paired");
    });
    for local_audio in [false, true] {
        let options = StreamOptions { local_audio, decode: true, ..StreamOptions::default() };
        let mut session = client.start(options, Taps::default()).unwrap_or_else(|e| panic!("{e}\n{}", seat.host.log()));
        assert!(session.wait_until(PATIENCE, |s| s.audio_packets() > 50), "no sound\n{}", seat.host.log());
        let streaming = std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                seat.wait_default("punktfunk");
                seat.wait("what the client wants of the speakers", |seat| match seat.headphones() {
                    None => !local_audio,
                    Some(share) => local_audio && share > 0.25,
                });
                seat.audio()
            });
            session.wait_until(PATIENCE, |_| looking.is_finished());
            looking.join().expect("as it should be")
        });
        assert_eq!(streaming["sink"]["speakers"], local_audio, "{streaming}");
        let report = session.stop().expect("a report");
        assert_eq!(report.violation_count, 0, "{:#?}\n{}", report.violations, seat.host.log());
        client.http.cancel().expect("it ends");
        seat.assert_given_back();
    }
}
