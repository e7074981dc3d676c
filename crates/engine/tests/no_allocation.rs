//! Once warm, a session does not allocate per frame, on any of its threads. Alone in its file: it counts what the whole
//! process does.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{HANG, MODE, SHARD, packetizer, plan_for};
use punktfunk_core::Grants;
use punktfunk_core::input::InputEvent;
use punktfunk_core::packet::PacketBatch;
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_engine::clock::SessionClock;
use punktfunk_engine::link::{
    AudioLink, AudioSink, ClientEvents, ClientLink, DatagramSink, LinkError, REPEAT_EVERY, SentFrame,
};
use punktfunk_engine::session::{Ending, Session, SessionCommand, SessionParams, StopReason};
use punktfunk_media::fake::{PcmCodec, SyntheticDesktop, TransportEncoderFactory, voice_packet};
use punktfunk_media::{AudioCodecConfig, AudioRequest, ChannelLayout, CursorUpdate, EncoderFactory, Mode};

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

/// A client that only counts.
#[derive(Default)]
struct Quiet {
    frames: AtomicU64,
    places: AtomicU64,
}

impl ClientEvents for Quiet {
    fn frame_sent(&self, _: &SentFrame) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
    fn cursor(&self, _: &CursorUpdate) {
        self.places.fetch_add(1, Ordering::Relaxed);
    }
    fn mode_changed(&self, _: Mode) {}
    fn pipeline_gap(&self, _: Duration) {}
    fn bitrate_changed(&self, _: u32) {}
    fn probe_done(&self, _: &ProbeOutcome) {}
    fn ended(&self, _: &Ending) {}
}

struct Void;

impl AudioSink for Void {
    fn send(&mut self, _: &[u8], _: u64, _: bool) -> Result<(), LinkError> {
        Ok(())
    }
}

impl DatagramSink for Void {
    fn send(&mut self, _: &PacketBatch, range: Range<usize>) -> Result<usize, LinkError> {
        Ok(range.len())
    }
}

#[test]
fn a_warm_session_does_not_allocate() {
    let encoders: Vec<Arc<dyn EncoderFactory>> = vec![Arc::new(TransportEncoderFactory)];
    let (client, desktop) = (Arc::new(Quiet::default()), SyntheticDesktop::default());
    let link = ClientLink {
        packetizer: Box::new(packetizer()),
        sink: Box::new(Void),
        events: Arc::clone(&client) as Arc<dyn ClientEvents>,
        shard_payload: SHARD,
        audio_bps: 0,
        repeat_every: REPEAT_EVERY,
    };
    let (layout, block) = (ChannelLayout::Surround71, Duration::from_millis(5));
    let audio = AudioLink {
        request: AudioRequest { layout, block, also_on_host: false },
        codec: Arc::new(PcmCodec),
        config: AudioCodecConfig::coupled(layout, block, 768_000),
        sink: Box::new(Void),
    };
    let params = SessionParams {
        id: 0,
        plan: plan_for(&encoders, MODE, 50_000),
        stage: desktop.stage(MODE),
        encoders,
        link,
        audio: Some(audio),
        microphone: Some(Arc::new(PcmCodec)),
        clock: SessionClock::start(),
        frames: 0,
        grants: Grants::ALL,
        cursor_apart: true,
        pads: None,
        on_thread_start: None,
    };
    let session = Session::start(params).expect("threads");
    let control = session.control();
    let wait = |n: u64| {
        let deadline = Instant::now() + HANG;
        while client.frames.load(Ordering::Relaxed) < n {
            assert!(Instant::now() < deadline, "no frames");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let said = voice_packet(&[0.25; 480]);
    let mut seq = 0;
    let mut work = |turns: u32| {
        for i in 0..turns {
            control.voice(seq, 0, &said);
            seq += 1;
            control.input(InputEvent::MouseMove { dx: 1, dy: i as i32 });
            control.input(InputEvent::Key { vk: 0x41, down: i % 2 == 0 });
            control.command(SessionCommand::LossReport { ppm: 10_000 });
            control.command(SessionCommand::Keyframe);
            wait(client.frames.load(Ordering::Relaxed) + 2);
        }
    };
    wait(30);
    // As many as the microphone's buffer has places.
    work(80);

    COUNTING.store(true, Ordering::Relaxed);
    let before = client.frames.load(Ordering::Relaxed);
    work(100);
    COUNTING.store(false, Ordering::Relaxed);
    let frames = client.frames.load(Ordering::Relaxed) - before;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);

    control.stop(StopReason::ClientLeft);
    let end = session.join();
    assert!(end.stats.counters.audio_blocks > 20 && end.stats.voice.count > 20);
    assert!(frames >= 200 && end.stats.counters.captured > 200);
    assert!(client.places.load(Ordering::Relaxed) > 200);
    assert_eq!(allocations, 0, "in {frames} frames with input, a microphone, loss reports and keyframe requests");
}
