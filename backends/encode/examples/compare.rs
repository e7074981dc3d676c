//! Encoders side by side: CPU time, bits and quality per picture, as a table. Not a test: it prints.
//!
//! `cargo run --release -p punktfunk-encode --example compare [pictures]`

use std::time::{Duration, Instant};

use punktfunk_encode::decode::{self, Picture};
use punktfunk_encode::{NAMES, factory};
use punktfunk_media::{Codec, Colour, Damage, EncodedFrame, EncoderConfig, Keyframe, Mode};
use rustix::time::{ClockId, clock_gettime};

#[path = "../tests/conformance/scene.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod scene;

fn main() {
    let pictures = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(120);
    println!("| scene | mode | encoder | slices | CPU ms median | p99 | wall p50 | Mbit/s | largest KB | luma PSNR |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, draw) in
        [("scrolling", scene::moving as fn(u32, u32, u32) -> scene::Drawn), ("restless", scene::restless)]
    {
        for (width, height, mbps) in [(1280, 720, 10), (1920, 1080, 20)] {
            for encoder in NAMES {
                for threads in [1, 2] {
                    run(name, draw, Mode { width, height, refresh_hz: 60 }, mbps, encoder, threads, pictures);
                }
            }
        }
    }
}

fn run(
    scene: &str,
    draw: fn(u32, u32, u32) -> scene::Drawn,
    mode: Mode,
    mbps: u32,
    name: &str,
    threads: usize,
    pictures: u32,
) {
    let config = EncoderConfig {
        mode,
        bitrate_bps: mbps * 1_000_000,
        multi_slice: threads > 1,
        slices: 0,
        max_frame_bytes: None,
        threads,
        colour: Colour::default(),
    };
    let mut encoder = match factory(name).expect("a rung").open(&config) {
        Ok(encoder) => encoder,
        Err(e) => return println!("| {scene} | {mode} | {name} | {threads} | {e} |"),
    };
    let mut judge = decode::open_any(Codec::H264).expect("a decoder");
    let (mut unit, mut shown) = (EncodedFrame::default(), Picture::default());
    let (mut cpu, mut wall, mut sizes, mut psnr) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    for index in 0..pictures {
        let drawn = draw(mode.width, mode.height, index);
        let (started, started_cpu) = (Instant::now(), process_time());
        encoder.submit(&drawn.layout, &drawn.pixels, &Damage::Full, Keyframe::Auto).expect("submits");
        assert!(encoder.poll(&mut unit, Instant::now()).expect("polls"));
        cpu.push(process_time() - started_cpu);
        wall.push(started.elapsed());
        sizes.push(unit.data.len());
        assert!(judge.decode(&unit.data, &mut shown).expect("decodes"));
        // Full comparisons are slow in floating point; every tenth picture tells.
        if index % 10 == 9 {
            psnr += scene::ideal(&drawn).luma_psnr(&shown);
        }
    }
    let mbit = sizes.iter().sum::<usize>() as f64 * 8.0 * f64::from(mode.refresh_hz) / f64::from(pictures) / 1e6;
    let largest = sizes[1..].iter().max().map_or(0, |s| s / 1000);
    println!(
        "| {scene} | {mode} | {name} | {threads} | {:.1} | {:.1} | {:.1} | {mbit:.1} of {mbps} | {largest} | {:.1} |",
        percentile(&mut cpu, 50),
        percentile(&mut cpu, 99),
        percentile(&mut wall, 50),
        psnr / f64::from(pictures / 10),
    );
}

fn process_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// In milliseconds.
fn percentile(values: &mut [Duration], percent: usize) -> f64 {
    values.sort_unstable();
    values[(values.len() - 1) * percent / 100].as_secs_f64() * 1000.0
}
