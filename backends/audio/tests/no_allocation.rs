//! Coding allocates nothing per block. Alone in its file: it counts what the whole process does.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use punktfunk_audio::OpusCodec;
use punktfunk_media::{AudioCodec, AudioCodecConfig, ChannelLayout};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on unchanged to the system allocator, which keeps the contract; counting touches only an
// atomic and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with this layout, as every pointer this allocator hands out.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_coder_does_not_allocate() {
    let config = AudioCodecConfig::coupled(ChannelLayout::Surround71, Duration::from_millis(5), 768_000);
    let mut encoder = OpusCodec.encoder(&config).unwrap();
    let mut decoder = OpusCodec.decoder(&config).unwrap();
    let (mut block, mut packet) = (vec![0.0; 240 * 8], Vec::new());
    let mut turn = |n: usize| {
        common::tones(&mut block, &[300.0; 8], n * 240);
        encoder.encode(&block, &mut packet).unwrap();
        decoder.decode(Some(&packet), &mut block).unwrap();
    };
    (0..10).for_each(&mut turn);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (10..500).for_each(&mut turn);
    let during = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(during, 0, "allocations in 490 blocks");
}
