//! Once warm, a GameStream session does not allocate per frame or block of sound, on any of its threads: from the engine
//! through packets to the shared ports. Alone in its file: it counts what the whole process does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use punktfunk_core::probe::ProbeOutcome;
use punktfunk_core::{Grants, Mode};
use punktfunk_engine::clock::SessionClock;
use punktfunk_engine::link::{AudioSink, ClientEvents, ClientLink, SentFrame};
use punktfunk_engine::plan::{ClientWish, HostOffer, plan};
use punktfunk_engine::session::{Ending, Session, SessionCommand, SessionParams, StopReason};
use punktfunk_gamestream::media_ports::{MediaPorts, MediaPortsConfig, SessionTag};
use punktfunk_gamestream::wire::audio::{AudioConfig, AudioKey, RtpAudioSink};
use punktfunk_gamestream::wire::ping::Ping;
use punktfunk_gamestream::wire::video::{START_FEC_PERCENT, VideoConfig, VideoPacketizer};
use punktfunk_media::fake::{SyntheticDesktop, TransportEncoderFactory};
use punktfunk_media::{Codec, CodecSet, Colour, EncoderFactory};

/// Counts allocations while told to.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn count() {
    if COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system allocator, which keeps the contract; counting touches only
// atomics and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with this layout, as every pointer this allocator hands out.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`, and the caller keeps the rules for `new_size`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A plane that only counts.
#[derive(Default)]
struct Quiet {
    frames: AtomicU64,
}

impl ClientEvents for Quiet {
    fn frame_sent(&self, _: &SentFrame) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
    fn mode_changed(&self, _: Mode) {}
    fn pipeline_gap(&self, _: Duration) {}
    fn bitrate_changed(&self, _: u32) {}
    fn probe_done(&self, _: &ProbeOutcome) {}
    fn ended(&self, _: &Ending) {}
}

const HANG: Duration = Duration::from_secs(60);
const MODE: Mode = Mode { width: 640, height: 360, refresh_hz: 240 };
const KEY: [u8; 16] = [7; 16];

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_warm_session_does_not_allocate() {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ports = MediaPorts::start(&MediaPortsConfig { ip: Some(loopback), video_port: 0, audio_port: 0 });
    let ports = ports.expect("free ports");
    let ping = *b"0123456789abcdef";
    let tag = SessionTag { ping, legacy: false, peer: loopback, mark_video: true, mark_audio: true };
    let registration = ports.register(&tag);
    let client = UdpSocket::bind((loopback, 0)).expect("a port");
    for port in [ports.video_port(), ports.audio_port()] {
        let mut bytes = Vec::new();
        Ping::Tagged { payload: ping, counter: 1 }.encode(&mut bytes);
        client.send_to(&bytes, (loopback, port)).expect("sent");
    }
    wait("pings", || registration.pings.now().video.is_some() && registration.pings.now().audio.is_some());

    let clock = SessionClock::start();
    let config = VideoConfig { packet_size: 1360, min_recovery: 2, key: Some(KEY), epoch_ns: clock.now_ns() };
    let packetizer = VideoPacketizer::new(&config).expect("a packet size");
    let encoders: Vec<Arc<dyn EncoderFactory>> = vec![Arc::new(TransportEncoderFactory)];
    let wish = ClientWish {
        mode: MODE,
        codecs: CodecSet::only(Codec::H264),
        preferred: None,
        bitrate_kbps: 50_000,
        multi_slice: true,
        slices: 4,
        max_frame_bytes: Some(packetizer.max_frame_bytes()),
        colour: Colour::default(),
    };
    let offer = HostOffer { fec_percent: START_FEC_PERCENT, ..HostOffer::of(&encoders) };
    let events = Arc::new(Quiet::default());
    let params = SessionParams {
        id: 0,
        plan: plan(&offer, &wish).expect("a plan"),
        stage: SyntheticDesktop::default().stage(MODE),
        encoders,
        link: ClientLink {
            packetizer: Box::new(packetizer),
            sink: Box::new(registration.video),
            events: Arc::clone(&events) as Arc<dyn ClientEvents>,
            shard_payload: 1344,
            audio_bps: 96_000,
            repeat_every: Duration::from_millis(500),
        },
        audio: None,
        microphone: None,
        clock,
        frames: 0,
        grants: Grants::ALL,
        cursor_apart: false,
        pads: None,
        on_thread_start: None,
    };
    let session = Session::start(params).expect("threads");
    let control = session.control();
    let audio = AudioConfig { duration: Duration::from_millis(5), key: Some(AudioKey { rikey: KEY, rikey_id: 1 }) };
    let mut sound = RtpAudioSink::new(&audio, registration.audio);
    let coded = [7; 240];
    let frames = || events.frames.load(Ordering::Relaxed);
    let mut pings = Vec::with_capacity(64);
    let mut work = |turns: u32| {
        for i in 0..turns {
            control.command(SessionCommand::LossReport { ppm: 10_000 });
            control.command(SessionCommand::Keyframe);
            sound.send(&coded, 0, false).expect("sent");
            pings.clear();
            Ping::Tagged { payload: ping, counter: 2 + i }.encode(&mut pings);
            client.send_to(&pings, (loopback, ports.video_port())).expect("sent");
            let seen = frames();
            wait("frames", || frames() >= seen + 2);
        }
    };
    work(100);

    COUNTING.store(true, Ordering::Relaxed);
    let before = frames();
    work(100);
    COUNTING.store(false, Ordering::Relaxed);
    let sent = frames() - before;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);

    control.stop(StopReason::ClientLeft);
    let end = session.join();
    assert!(sent >= 200 && end.stats.counters.captured > 200);
    assert_eq!(allocations, 0, "in {sent} frames with sound, pings, loss reports and keyframe requests");
}
