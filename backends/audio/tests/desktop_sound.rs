//! The sound of a running desktop: a real PipeWire and WirePlumber with null sinks for hardware.
#![cfg(feature = "pipewire")]

mod ear;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ear::{Ear, PATIENCE, TONES, assert_tones, request};
use punktfunk_audio::{BACKEND_DEFAULT_SINK, DesktopSound, undo};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{
    AudioPolicy, AudioPolicyCell, AudioRequest, ChannelLayout, Journal, SinkStanding, Sound, SoundState,
};
use punktfunk_testkit::desktop::{Launch, Suite};
use punktfunk_testkit::sound::{Program, TestPipeWire, share_at, write_tones};

fn launch() -> Launch {
    Suite::Installed.launch().expect("what is installed is never skipped")
}

/// A desktop with speakers and headphones, of which a person chose the headphones.
struct Desk<'a> {
    server: TestPipeWire<'a>,
    policy: AudioPolicyCell,
    sound: Arc<DesktopSound>,
    journal: Arc<MemoryJournal>,
    tones: PathBuf,
}

impl<'a> Desk<'a> {
    fn new(launch: &'a Launch, policy: AudioPolicy) -> Self {
        let desk = Self::with(TestPipeWire::start(launch), policy);
        desk.wait("headphones chosen", |desk| {
            desk.server.choose_sink("headphones");
            desk.server.default_sink().as_deref() == Some("headphones")
        });
        desk
    }

    fn with(server: TestPipeWire<'a>, policy: AudioPolicy) -> Self {
        hardware(&server);
        let policy = AudioPolicyCell::new(policy);
        let sound = DesktopSound::new(server.socket(), policy.clone());
        let tones = server.runtime_dir.join("tones.wav");
        write_tones(&tones, &TONES[..2], Duration::from_secs(120));
        Self { server, policy, sound, journal: MemoryJournal::new(), tones }
    }

    fn stage(&self, name: &str) -> Arc<dyn Sound> {
        self.sound.stage(name, &(Arc::clone(&self.journal) as Arc<dyn Journal>))
    }

    fn listen(&self, stage: &Arc<dyn Sound>, request: &AudioRequest) -> Ear {
        Ear::of(stage.source(request).unwrap_or_else(|e| panic!("{e}")), request)
    }

    /// A program that plays to wherever programs play.
    fn play(&self) -> Program {
        self.server.keep_playing(&self.tones, "FL,FR")
    }

    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !wanted(self) {
            let now =
                || (self.sound.state(), self.server.chosen_sink(), self.server.default_sink(), self.server.nodes());
            assert!(Instant::now() < until, "waited in vain for {what}: {:?}", now());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn wait_chosen(&self, name: &str) {
        // Where nothing is chosen, the session manager takes whatever there is, ours too.
        let (chosen, playing) = (|| self.server.chosen_sink(), || self.server.default_sink());
        self.wait(name, |_| chosen().as_deref() == Some(name) && playing().as_deref() == Some(name));
    }

    fn assert_undone(&self, chosen: &str) {
        assert_eq!(self.server.chosen_sink().as_deref(), Some(chosen));
        self.wait_chosen(chosen);
        assert_eq!(self.journal.records(), []);
        assert_eq!(self.sound.state(), SoundState::default());
        let left: Vec<_> = self.server.nodes().into_iter().filter(|(name, _)| name.contains("punktfunk")).collect();
        assert_eq!(left, []);
    }

    /// What the headphones play for a second or so.
    fn headphones(&self) -> Vec<f32> {
        let file = self.server.runtime_dir.join("headphones.raw");
        // What is left of the last time is not what is heard now.
        let _ = std::fs::remove_file(&file);
        let recorder = self.server.record_sink("headphones", &file);
        let until = Instant::now() + PATIENCE;
        while file.metadata().map_or(0, |m| m.len()) < 48_000 * 8 {
            assert!(Instant::now() < until, "the recorder hears nothing, not even silence");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(recorder);
        std::fs::read(&file).unwrap().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

fn hardware(server: &TestPipeWire<'_>) {
    server.add_sink("speakers");
    server.add_sink("headphones");
}

fn stereo(also_on_host: bool) -> AudioRequest {
    AudioRequest { also_on_host, ..request(ChannelLayout::Stereo) }
}

/// Waits for sound and compares it.
#[track_caller]
fn assert_heard(ear: &mut Ear) {
    ear.wait("sound", |seen| seen == Some(false));
    assert_tones(&ear.listen(60), 2);
}

#[test]
fn the_client_hears_the_desktop_alone_and_the_default_is_given_back() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let player = desk.play();
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    assert_heard(&mut ear);
    desk.wait_chosen("punktfunk");
    let state = desk.sound.state();
    let sink = state.sink.expect("a sink");
    assert_eq!((sink.channels, sink.standing, sink.speakers), (2, SinkStanding::Default, false));
    assert_eq!(state.listeners, ["tablet"]);
    assert!(desk.headphones().iter().all(|s| *s == 0.0), "the speakers are silent");
    // The client left, its display is kept: nothing is heard at the host yet.
    drop(ear);
    assert_eq!(desk.server.chosen_sink().as_deref(), Some("punktfunk"));
    drop(stage);
    desk.assert_undone("headphones");
    desk.wait("the program where it played before", |desk| share_at(&desk.headphones(), 2, 0, TONES[0]) > 0.25);
    drop(player);
}

/// pw-cat ends when it is left without a sink for a moment.
#[test]
fn programs_move_before_their_sink_goes() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let player = desk.server.play(&desk.tones, "FL,FR", None);
    for _ in 0..5 {
        let stage = desk.stage("tablet");
        let mut ear = desk.listen(&stage, &stereo(false));
        assert_heard(&mut ear);
        desk.wait_chosen("punktfunk");
        drop((ear, stage));
        desk.assert_undone("headphones");
    }
    drop(player);
}

#[test]
fn both_hear_where_policy_or_every_client_says_so_and_a_change_is_followed_at_once() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::HostAndClient);
    let mut player = desk.play();
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    assert_heard(&mut ear);
    let on_host = |desk: &Desk<'_>| {
        let heard = desk.headphones();
        let (own, foreign) = (share_at(&heard, 2, 0, TONES[0]), share_at(&heard, 2, 0, TONES[1]));
        (own > 0.25 && foreign < own / 4.0, heard.iter().all(|s| *s == 0.0))
    };
    desk.wait("the speakers", |desk| on_host(desk).0);
    assert!(desk.sound.state().sink.is_some_and(|s| s.speakers));

    desk.policy.set(AudioPolicy::ClientOnly);
    assert_heard(&mut ear);
    desk.wait("silence at the host", |desk| on_host(desk).1);
    // The client's own wish.
    drop(ear);
    let mut ear = desk.listen(&stage, &stereo(true));
    assert_heard(&mut ear);
    desk.wait("the speakers again", |desk| on_host(desk).0);
    // Another client wants it silent.
    let other = desk.stage("phone");
    let mut second = desk.listen(&other, &stereo(false));
    assert_heard(&mut second);
    desk.wait("silence at the host", |desk| on_host(desk).1);
    drop((second, other));
    desk.wait("the speakers again", |desk| on_host(desk).0);

    desk.policy.set(AudioPolicy::FollowDefault);
    desk.assert_moved(&mut ear, &mut player);
    desk.assert_followed("headphones");
    assert_heard(&mut ear);
    desk.policy.set(AudioPolicy::ClientOnly);
    ear.wait("blocks", |seen| seen.is_some());
    desk.wait_chosen("punktfunk");
    desk.assert_moved(&mut ear, &mut player);
    drop((ear, stage));
    desk.assert_undone("headphones");
}

impl Desk<'_> {
    /// A program that moved to another sink is heard. PipeWire 0.3.65 now and then leaves one silent for ever (its links
    /// are active, and another program is heard at once), which a person mends by starting it again.
    #[track_caller]
    fn assert_moved(&self, ear: &mut Ear, player: &mut Program) {
        let until = Instant::now() + PATIENCE / 4;
        while ear.block() != Some(false) {
            if Instant::now() >= until {
                *player = self.play();
                break;
            }
        }
        assert_heard(ear);
    }

    fn assert_followed(&self, chosen: &str) {
        self.wait_chosen(chosen);
        assert!(self.sound.state().sink.is_none(), "nothing of ours");
        assert_eq!(self.journal.records(), []);
    }
}

#[test]
fn the_default_is_followed_wherever_it_goes() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::FollowDefault);
    let _player = desk.play();
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    assert_heard(&mut ear);
    desk.assert_followed("headphones");
    desk.server.choose_sink("speakers");
    desk.assert_followed("speakers");
    // The program moves to the speakers, and so do we.
    let _ = ear.listen(100);
    assert_heard(&mut ear);
    drop((ear, stage));
    desk.assert_undone("speakers");
}

#[test]
fn several_clients_share_one_sink_and_leave_in_any_order() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let _player = desk.play();
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let mut clients: Vec<_> = (0..3)
            .map(|n| {
                let stage = desk.stage(&format!("client {n}"));
                let mut ear = desk.listen(&stage, &stereo(false));
                assert_heard(&mut ear);
                Some((ear, stage))
            })
            .collect();
        assert_eq!(desk.sound.state().listeners.len(), 3);
        assert_eq!(desk.journal.records().len(), 1);
        desk.wait_chosen("punktfunk");
        for (left, n) in order.into_iter().enumerate() {
            drop(clients[n].take());
            if left < 2 {
                assert_eq!(desk.server.chosen_sink().as_deref(), Some("punktfunk"), "{order:?} after {left}");
                clients.iter_mut().flatten().for_each(|(ear, _)| assert_heard(ear));
            }
        }
        desk.assert_undone("headphones");
    }
}

#[test]
fn many_who_look_at_the_same_time_do_not_make_it_deaf() {
    let launch = launch();
    let mut desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let ours = |desk: &Desk<'_>| desk.sound.state().sink.is_some_and(|s| s.standing == SinkStanding::Default);
    // While a client binds the metadata, PipeWire tells nobody else of changes.
    let lookers = [desk.server.keep_looking(), desk.server.keep_looking(), desk.server.keep_looking()];
    for _ in 0..8 {
        let stage = desk.stage("tablet");
        let ear = desk.listen(&stage, &stereo(false));
        desk.wait("the sink's standing", ours);
        assert_eq!(desk.server.chosen_sink().as_deref(), Some("punktfunk"));
        drop((ear, stage));
        assert_eq!(desk.server.chosen_sink().as_deref(), Some("headphones"));
    }
    let stage = desk.stage("tablet");
    let ear = desk.listen(&stage, &stereo(false));
    desk.wait("the sink's standing", ours);
    for _ in 0..4 {
        desk.server.crash_session_manager();
        desk.wait("its end", |desk| !ours(desk));
        desk.server.start_session_manager();
        desk.wait("the sink's standing after a restart", ours);
    }
    drop((lookers, ear, stage));
    desk.assert_undone("headphones");
}

#[test]
fn whoever_chose_another_sink_meanwhile_keeps_it() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let stage = desk.stage("tablet");
    let ear = desk.listen(&stage, &stereo(false));
    desk.wait_chosen("punktfunk");
    desk.server.choose_sink("speakers");
    desk.wait("the choice", |desk| desk.sound.state().sink.is_some_and(|s| s.standing == SinkStanding::Overruled));
    let record = desk.journal.records().remove(0);
    assert_eq!(record.backend, BACKEND_DEFAULT_SINK);
    // As the watchdog would after a crash.
    undo(&record).unwrap();
    assert_eq!(desk.server.chosen_sink().as_deref(), Some("speakers"));
    drop((ear, stage));
    desk.assert_undone("speakers");
}

#[test]
fn after_a_crash_the_record_gives_the_default_back() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let stage = desk.stage("tablet");
    let ear = desk.listen(&stage, &stereo(false));
    desk.wait_chosen("punktfunk");
    let record = desk.journal.records().remove(0);
    undo(&record).unwrap();
    desk.wait_chosen("headphones");
    undo(&record).unwrap();
    assert_eq!(desk.server.chosen_sink().as_deref(), Some("headphones"));
    drop((ear, stage));
}

#[test]
fn nothing_was_chosen_before_and_nothing_is_afterwards() {
    let launch = launch();
    let desk = Desk::with(TestPipeWire::start(&launch), AudioPolicy::ClientOnly);
    let stage = desk.stage("tablet");
    let ear = desk.listen(&stage, &stereo(false));
    desk.wait_chosen("punktfunk");
    drop((ear, stage));
    desk.wait("no choice", |desk| desk.server.chosen_sink().is_none());
    assert_eq!(desk.journal.records(), []);
}

#[test]
fn everything_comes_back_after_pipewire_was_restarted() {
    let launch = launch();
    let mut desk = Desk::new(&launch, AudioPolicy::HostAndClient);
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    let player = desk.play();
    assert_heard(&mut ear);
    desk.server.crash();
    ear.wait("nothing while the server is away", |seen| seen.is_none());
    drop(player);
    desk.server.restart();
    hardware(&desk.server);
    desk.wait_chosen("punktfunk");
    let _player = desk.play();
    assert_heard(&mut ear);
    drop((ear, stage));
    desk.wait("the sink of before", |desk| desk.server.default_sink().as_deref() == Some("headphones"));
    assert_eq!(desk.journal.records(), []);
}

#[test]
fn a_session_manager_that_comes_late_or_again_is_told() {
    let launch = launch();
    let server = TestPipeWire::without_session_manager(&launch, launch.make_dir("late"));
    let mut desk = Desk::with(server, AudioPolicy::ClientOnly);
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    ear.wait("silence: nobody links anything", |seen| seen != Some(false));
    assert!(desk.sound.state().sink.is_some_and(|s| s.standing == SinkStanding::Waiting));
    desk.server.start_session_manager();
    desk.wait_chosen("punktfunk");
    let player = desk.play();
    assert_heard(&mut ear);
    desk.server.crash_session_manager();
    desk.wait("its end", |desk| desk.sound.state().sink.is_some_and(|s| s.standing == SinkStanding::Waiting));
    // Its links went with it, and WirePlumber 0.4 links nothing that was there before it: what comes then, it does.
    drop(player);
    desk.server.start_session_manager();
    desk.wait_chosen("punktfunk");
    let _player = desk.play();
    assert_heard(&mut ear);
    // Gone when the client leaves: the record stays for whoever can give the default back.
    desk.server.crash_session_manager();
    desk.wait("its end", |desk| desk.sound.state().sink.is_some_and(|s| s.standing == SinkStanding::Waiting));
    drop((ear, stage));
    let records = desk.journal.records();
    assert_eq!(records.len(), 1);
    assert!(undo(&records[0]).is_err(), "not yet");
    desk.server.start_session_manager();
    desk.wait("the undoing", |_| undo(&records[0]).is_ok());
    desk.wait("no choice of ours", |desk| desk.server.chosen_sink().as_deref() != Some("punktfunk"));
}

#[test]
fn a_sink_that_somebody_destroys_is_made_again_and_is_the_default_again() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let _player = desk.play();
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    assert_heard(&mut ear);
    desk.wait_chosen("punktfunk");
    desk.server.destroy("punktfunk");
    desk.wait_chosen("punktfunk");
    // What was heard meanwhile are the leftovers of before.
    let _ = ear.listen(100);
    assert_heard(&mut ear);
    drop((ear, stage));
    desk.assert_undone("headphones");
}

#[test]
fn a_graph_at_another_rate_sounds_the_same() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let _player = desk.play();
    let stage = desk.stage("tablet");
    let mut ear = desk.listen(&stage, &stereo(false));
    for hz in [44_100, 96_000, 0] {
        desk.server.force_rate(hz);
        let _ = ear.listen(60);
        assert_heard(&mut ear);
    }
    drop((ear, stage));
    desk.assert_undone("headphones");
}

#[test]
fn without_a_server_or_a_journal_nothing_is_changed_and_the_reason_is_told() {
    let launch = launch();
    let desk = Desk::new(&launch, AudioPolicy::ClientOnly);
    let nobody = DesktopSound::new("/nowhere/pipewire-0".into(), AudioPolicyCell::default());
    let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&desk.journal);
    let error = nobody.stage("tablet", &journal).source(&stereo(false)).err().expect("no server");
    assert!(!error.fatal && error.reason.code == "audio.lost", "{error}");
    desk.journal.set_full(true);
    let stage = desk.stage("tablet");
    let error = stage.source(&stereo(false)).err().expect("no journal");
    assert_eq!(error.reason.code, "state.full");
    assert_eq!(desk.server.chosen_sink().as_deref(), Some("headphones"));
    desk.journal.set_full(false);
    drop(stage);
    desk.assert_undone("headphones");
}
