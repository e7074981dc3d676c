//! After warm-up, neither conversion nor encoding nor handing out allocates on our side of the libraries.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use punktfunk_encode::{NAMES, factory};
use punktfunk_media::{
    Colour, Damage, EncodedFrame, EncoderConfig, FrameOrder, Keyframe, Mode, PixelFormat, Transform,
};

#[path = "conformance/scene.rs"]
#[allow(dead_code, reason = "the conformance suite uses all of it")]
mod scene;

/// The system's allocator, counting Rust's requests of each thread. C libraries go to malloc directly.
struct Counting;

thread_local! {
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        REQUESTS.with(|r| r.set(r.get() + 1));
        // SAFETY: the caller's promises, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises, passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        REQUESTS.with(|r| r.set(r.get() + 1));
        // SAFETY: the caller's promises, passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_per_picture() {
    let (width, height) = (320, 192);
    let pictures: Vec<_> = (0..8)
        .map(|i| scene::relaid(&scene::moving(width, height, i), PixelFormat::Bgrx, Transform::Rotate90, 8))
        .collect();
    for name in NAMES {
        let mode = Mode { width, height, refresh_hz: 60 };
        let config = EncoderConfig {
            mode,
            bitrate_bps: 2_000_000,
            multi_slice: false,
            slices: 0,
            max_frame_bytes: None,
            threads: 1,
            colour: Colour::default(),
        };
        let mut encoder = factory(name).expect("a rung").open(&config).expect("opens");
        let mut out = EncodedFrame::default();
        let mut before = 0;
        for index in 0..200u32 {
            // Long enough for the buffers to have seen a keyframe and every order once.
            if index == 100 {
                before = REQUESTS.with(Cell::get);
            }
            let drawn = &pictures[index as usize % pictures.len()];
            let keyframe = if index % 50 == 0 { Keyframe::Force } else { Keyframe::Auto };
            if index % 20 == 0 {
                encoder.order(FrameOrder::Bitrate(1_500_000 + index * 1000)).expect("answers");
            }
            if index % 30 == 7 {
                let lost = FrameOrder::Invalidate { first: index - 3, last: index - 2 };
                encoder.order(lost).expect("answers");
            }
            encoder.submit(&drawn.layout, &drawn.pixels, &Damage::Full, keyframe).expect("submits");
            assert!(encoder.poll(&mut out, Instant::now()).expect("polls"));
        }
        // An access unit larger than any before may still grow a buffer; that is no allocation per picture.
        let requests = REQUESTS.with(Cell::get) - before;
        assert!(requests <= 4, "{name}: {requests} allocations in 100 pictures");
    }
}
