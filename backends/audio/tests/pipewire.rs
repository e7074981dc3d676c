//! A real PipeWire: what a program plays is heard in its channel, and what a client says is recorded.
#![cfg(feature = "pipewire")]

mod ear;

use std::time::{Duration, Instant};

use ear::{Ear, MAP, PATIENCE, TONES, assert_tones, request};
use punktfunk_audio::{Listen, PipeWire};
use punktfunk_media::{ChannelLayout, MicWanted};
use punktfunk_testkit::desktop::{Launch, Suite};
use punktfunk_testkit::sound::{TestPipeWire, share_at, write_tones};

fn launch() -> Launch {
    Suite::Installed.launch().expect("what is installed is never skipped")
}

fn own_sink() -> Listen {
    Listen::OwnSink { name: "punktfunk-test".into(), description: "punktfunk test".into(), alone: true }
}

#[test]
fn every_channel_of_every_layout_is_heard_in_its_place() {
    let launch = launch();
    let server = TestPipeWire::start(&launch);
    for layout in [ChannelLayout::Stereo, ChannelLayout::Surround51, ChannelLayout::Surround71] {
        let channels = layout.channels();
        let mut ear = Ear::to(&server, &own_sink(), &request(layout));
        ear.wait("silence while nothing plays", |seen| seen == Some(true));
        let file = server.runtime_dir.join("tones.wav");
        write_tones(&file, &TONES[..channels], Duration::from_secs(20));
        let player = server.play(&file, &MAP[..channels].join(","), Some("punktfunk-test"));
        let heard = ear.listen(100);
        assert_tones(&heard[heard.len() / 4..], channels);
        drop(player);
        ear.wait("silence after the player ended", |seen| seen == Some(true));
        drop(ear);
        let left: Vec<_> = server.nodes().into_iter().filter(|(name, _)| name.contains("punktfunk")).collect();
        assert_eq!(left, [], "the sink goes with its source");
    }
}

#[test]
fn the_only_sink_is_the_default_one_and_its_monitor_can_be_listened_to_as_well() {
    let launch = launch();
    let server = TestPipeWire::start(&launch);
    let mut own = Ear::to(&server, &own_sink(), &request(ChannelLayout::Stereo));
    let file = server.runtime_dir.join("tones.wav");
    write_tones(&file, &TONES[..2], Duration::from_secs(20));
    let _player = server.play(&file, "FL,FR", None);
    let heard = own.listen(50);
    assert_tones(&heard, 2);
    let mut monitor = Ear::to(&server, &Listen::DefaultSink, &request(ChannelLayout::Stereo));
    let reader = std::thread::spawn(move || {
        // Somebody must go on listening to the sink itself.
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && own.block().is_some() {}
    });
    let heard = monitor.listen(50);
    assert_tones(&heard, 2);
    drop(monitor);
    drop(server);
    reader.join().unwrap();
}

#[test]
fn sound_comes_back_after_the_server_was_restarted_and_a_missing_one_is_no_end() {
    let launch = launch();
    let mut server = TestPipeWire::start(&launch);
    let mut ear = Ear::to(&server, &own_sink(), &request(ChannelLayout::Stereo));
    ear.wait("silence", |seen| seen == Some(true));
    server.crash();
    ear.wait("nothing while the server is away", |seen| seen.is_none());
    server.restart();
    ear.wait("silence again", |seen| seen == Some(true));
    let file = server.runtime_dir.join("tones.wav");
    write_tones(&file, &TONES[..2], Duration::from_secs(20));
    let _player = server.play(&file, "FL,FR", None);
    assert_tones(&ear.listen(50), 2);

    server.crash();
    let gone = PipeWire { socket: server.socket() };
    let error = gone.source(&own_sink(), &request(ChannelLayout::Stereo)).err().expect("no server");
    assert!(!error.fatal && error.reason.code == "audio.lost", "{error}");
}

#[test]
fn a_sink_that_somebody_destroys_is_made_again() {
    let launch = launch();
    let server = TestPipeWire::start(&launch);
    let mut ear = Ear::to(&server, &own_sink(), &request(ChannelLayout::Stereo));
    ear.wait("silence", |seen| seen == Some(true));
    server.destroy("punktfunk-test");
    let until = Instant::now() + PATIENCE;
    while !server.nodes().iter().any(|(name, _)| name == "punktfunk-test") {
        assert!(Instant::now() < until, "no sink again");
    }
    let file = server.runtime_dir.join("tones.wav");
    write_tones(&file, &TONES[..2], Duration::from_secs(60));
    let _player = server.keep_playing(&file, "FL,FR");
    ear.wait("sound", |seen| seen == Some(false));
    assert_tones(&ear.listen(50), 2);
    assert!(server.nodes().iter().any(|(name, class)| name == "punktfunk-test" && class == "Audio/Sink"));
}

#[test]
fn what_a_client_says_is_recorded() {
    let launch = launch();
    let server = TestPipeWire::start(&launch);
    let pipewire = PipeWire { socket: server.socket() };
    let mut mic = pipewire.microphone("punktfunk-mic", "punktfunk microphone").unwrap_or_else(|e| panic!("{e}"));
    assert!(server.nodes().iter().any(|(name, class)| name == "punktfunk-mic" && class == "Audio/Source"));
    let file = server.runtime_dir.join("voice.raw");
    let recorder = server.record("punktfunk-mic", &file);
    let until = Instant::now() + Duration::from_secs(4);
    let (frames, mut block) = (480, 0);
    while Instant::now() < until {
        match mic.wanted(Instant::now() + Duration::from_millis(100)).unwrap() {
            MicWanted::Nobody => std::thread::sleep(Duration::from_millis(2)),
            MicWanted::Enough => {}
            MicWanted::Samples { .. } => {
                let samples: Vec<f32> = (0..frames)
                    .map(|i| (440.0 * (block * frames + i) as f32 / 48_000.0).fract())
                    .map(|turn| 0.5 * (std::f32::consts::TAU * turn).sin())
                    .collect();
                mic.write(&samples).unwrap();
                block += 1;
            }
        }
    }
    drop(recorder);
    let bytes = std::fs::read(&file).unwrap();
    let samples: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let voice: Vec<f32> = samples.iter().copied().skip_while(|s| s.abs() < 1e-3).collect();
    assert!(voice.len() > 48_000, "{} samples of {}", voice.len(), samples.len());
    let middle = &voice[voice.len() / 4..voice.len() / 4 + 24_000];
    let share = share_at(middle, 1, 0, 440.0);
    assert!(share > 0.5, "{share} of the energy at 440 Hz");
    drop(mic);
    assert!(!server.nodes().iter().any(|(name, _)| name == "punktfunk-mic"), "it goes with the client");
}

/// For docs/performance.md: `cargo test -p punktfunk-audio --features pipewire --test pipewire -- --nocapture reader`.
#[test]
fn a_voice_is_at_its_reader_soon_after_it_was_written() {
    let launch = launch();
    let server = TestPipeWire::start(&launch);
    let mut ear = Ear::to(&server, &own_sink(), &request(ChannelLayout::Stereo));
    let pipewire = PipeWire { socket: server.socket() };
    let mut mic = pipewire.microphone("punktfunk-mic", "punktfunk microphone").unwrap_or_else(|e| panic!("{e}"));
    // The session's own sink reads the microphone: its stamps tell when each sample was heard.
    let port = |way: &str, node: &str| {
        let out = server.command("pw-link").arg(way).output().expect("run pw-link");
        let ports = String::from_utf8_lossy(&out.stdout).into_owned();
        ports.lines().find(|port| port.starts_with(node)).map(str::to_owned)
    };
    let until = Instant::now() + PATIENCE;
    let (from, to) = loop {
        if let Some(ports) = port("-o", "punktfunk-mic:").zip(port("-i", "punktfunk-test:")) {
            break ports;
        }
        assert!(Instant::now() < until, "no ports to link");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(server.command("pw-link").args([&from, &to]).status().expect("run pw-link").success());
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::<Instant>::new()));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let speaker = std::thread::spawn({
        let (said, stop) = (said.clone(), stop.clone());
        move || {
            // A click of 5 ms every 200 ms, in silence.
            for n in 0u32.. {
                match mic.wanted(Instant::now() + Duration::from_millis(20)).unwrap() {
                    MicWanted::Nobody => std::thread::sleep(Duration::from_millis(2)),
                    MicWanted::Enough => {}
                    MicWanted::Samples { .. } => {
                        let click = n.is_multiple_of(40);
                        if click {
                            said.lock().unwrap().push(Instant::now());
                        }
                        mic.write(&[if click { 0.5 } else { 0.0 }; 240]).unwrap();
                    }
                }
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        }
    });
    let (mut took, mut quiet) = (Vec::new(), true);
    let until = Instant::now() + PATIENCE;
    while took.len() < 20 {
        assert!(Instant::now() < until, "{} clicks heard", took.len());
        ear.block();
        let first = ear.block.chunks_exact(2).position(|frame| frame[0].abs() > 0.1 || frame[1].abs() > 0.1);
        if let (Some(at), true) = (first, quiet) {
            let heard = ear.last.unwrap() - Duration::from_micros((240 - at as u64) * 1_000_000 / 48_000);
            let before = said.lock().unwrap().iter().rev().find(|said| **said <= heard).copied();
            took.extend(before.map(|said| heard - said));
        }
        quiet = first.is_none();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    speaker.join().unwrap();
    took.sort();
    eprintln!("written → heard by a reader: p50 {:?}, of 20 the longest {:?}", took[10], took[19]);
}
