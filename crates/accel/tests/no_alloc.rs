//! Once warm, neither side allocates per frame: a counting global allocator watches both.
//!
//! One test in this file on purpose: the counter sees the whole process, and tests of one file share it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use punktfunk_accel::{Level, aes128_gcm, fec_at};
use punktfunk_core::Timestamp;
use punktfunk_core::fec::{FecScheme, Strength};
use punktfunk_core::pace::Pacer;
use punktfunk_core::packet::{PacketBatch, UserFlags};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::reassemble::{Reassembler, ReassemblerConfig};
use punktfunk_core::seal::{Direction, Opener, Sealer};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's own promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's own promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's own promise.
        unsafe { System.realloc(at, layout, new) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Both ends of a stream, with a network that loses and reorders between them.
struct Stream {
    packetizer: Packetizer,
    pacer: Pacer,
    batch: PacketBatch,
    opener: Opener,
    reassembler: Reassembler,
    wire: Vec<u8>,
    au: Vec<u8>,
    random: u64,
    delivered: u64,
    recovered: u64,
    lost: u64,
}

impl Stream {
    fn new(level: Level) -> Self {
        let (key, salt) = ([3; 16], [1, 2, 3, 4]);
        let code = || fec_at(FecScheme::Gf16, level).expect("available");
        let geometry = PacketizerConfig {
            shard_payload: 1388, // with a partial last group
            max_data_per_block: 100,
            scheme: FecScheme::Gf16,
            welcome_fec_percent: 90,
            max_frame_bytes: 8 << 20,
        };
        let receiver = ReassemblerConfig {
            max_data_per_block: 100,
            shard_payload: 1388,
            max_shard_payload: 0,
            scheme: FecScheme::Gf16,
            fec_percent: 10,
            bitrate_kbps: 50_000,
            refresh_hz: 60,
        };
        let sealer = Sealer::new(aes128_gcm(&key), salt, Direction::HostToClient);
        Self {
            packetizer: Packetizer::new(geometry, sealer, code()).expect("valid"),
            pacer: Pacer::new(),
            batch: PacketBatch::new(),
            opener: Opener::new(aes128_gcm(&key), salt, Direction::HostToClient),
            reassembler: Reassembler::new(receiver, code()),
            wire: vec![0; 2048],
            au: (0..400_000).map(|i| (i * 31) as u8).collect(),
            random: 5,
            delivered: 0,
            recovered: 0,
            lost: 0,
        }
    }

    fn frame(&mut self, n: u64, len: usize, strength: Strength) {
        let now = Timestamp(n * 16_000_000);
        let meta = FrameMeta { pts_ns: now.as_nanos(), user_flags: UserFlags::PICTURE, strength, probe: false };
        self.packetizer.packetize(&self.au[..len], &meta, &mut self.batch).expect("fits");
        self.pacer.plan(now, self.batch.len(), self.batch.packet_bytes(), 50_000_000, Duration::from_millis(16));
        let mut sent = 0;
        while self.pacer.next(sent).count > 0 {
            sent += self.pacer.next(sent).count;
        }
        assert_eq!(sent, self.batch.len());
        // Every frame loses about 4 %, is delivered backwards in pairs, and one in fifty loses half.
        let heavy = n % 50 == 49;
        for i in 0..self.batch.len() {
            let i = (i ^ 1).min(self.batch.len() - 1);
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let lost = (self.random >> 33) % 100 < if heavy { 50 } else { 4 };
            if lost {
                continue;
            }
            let packet = self.batch.packet(i);
            let packet_bytes = &mut self.wire[..packet.len()];
            packet_bytes.copy_from_slice(packet);
            // The clamp above repeats the last packet of an odd count: a replay.
            if let Ok(plaintext) = self.opener.open(packet_bytes) {
                self.reassembler.push(plaintext, now);
            }
            while let Some(unit) = self.reassembler.next(now) {
                self.delivered += 1;
                self.recovered += u64::from(unit.recovered_shards > 0);
                assert!(unit.data[..] == self.au[..unit.data.len()]);
                self.reassembler.recycle(unit);
            }
            while self.reassembler.poll_event().is_some() {
                self.lost += 1;
            }
        }
    }

    /// Frames of changing size: mostly small, now and then as large as a keyframe.
    fn frames(&mut self, range: std::ops::Range<u64>) {
        for n in range {
            let len = match n % 40 {
                0 => 400_000,
                _ => 2_000 + (n as usize * 7_919) % 90_000,
            };
            let strength = if n % 3 == 0 { Strength::Percent(20) } else { Strength::Loss { ppm: 50_000 } };
            self.frame(n, len, strength);
        }
    }
}

#[test]
fn a_warm_stream_allocates_nothing() {
    for level in Level::available() {
        let mut stream = Stream::new(level);
        stream.frames(0..400);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        assert!(before > 0, "the counter counts");
        stream.frames(400..1200);
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(allocations, 0, "{level:?}: allocations in 800 frames");
        assert!(stream.delivered > 1000, "{level:?}: {} delivered", stream.delivered);
        assert!(stream.recovered > 500 && stream.lost > 5, "{level:?}: FEC and loss were exercised");
    }
}
