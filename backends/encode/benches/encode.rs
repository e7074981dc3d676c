//! Conversion beside a plain copy of the same bytes, and one picture through each encoder, per size.
//!
//! Measures thread CPU time, not wall time: a busy machine does not blur it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use punktfunk_convert::{Converter, PlanesMut};
use punktfunk_encode::{NAMES, factory};
use punktfunk_media::{Colour, Damage, EncodedFrame, EncoderConfig, Keyframe, Mode, PixelFormat, Rect, Transform};
use rustix::time::{ClockId, clock_gettime};

#[path = "../tests/conformance/scene.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod scene;

const SIZES: [(u32, u32); 3] = [(1280, 720), (1920, 1080), (2560, 1440)];

fn convert(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("convert");
    for (width, height) in SIZES {
        let upright = scene::moving(width, height, 0);
        let mut copy = upright.pixels.clone();
        group.bench_function(BenchmarkId::new("memcpy", height), |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&upright.pixels)));
        });
        let mut strip = Damage::none();
        strip.add(Rect { x: width / 4, y: height / 2, width: 200, height: height / 10 });
        let turned = scene::relaid(&upright, PixelFormat::Bgrx, Transform::Rotate90, 0);
        let cases = [("full", &upright, Damage::Full), ("tenth", &upright, strip), ("turned", &turned, Damage::Full)];
        for (name, drawn, damage) in cases {
            let mut converter = Converter::new(width, height, Colour::default());
            let (w, h) = (width as usize, height as usize);
            let (mut y, mut u, mut v) = (vec![0; w * h], vec![0; w * h / 4], vec![0; w * h / 4]);
            group.bench_function(BenchmarkId::new(name, height), |b| {
                b.iter(|| {
                    let mut planes = PlanesMut { y: (&mut y, w), u: (&mut u, w / 2), v: (&mut v, w / 2) };
                    converter.convert(&drawn.layout, &drawn.pixels, &damage, &mut planes).expect("fits")
                });
            });
        }
    }
}

fn encode(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("encode");
    group.sample_size(30);
    for (width, height) in SIZES {
        let pictures: Vec<_> = (0..12).map(|i| scene::moving(width, height, i)).collect();
        for name in NAMES {
            let mode = Mode { width, height, refresh_hz: 60 };
            let bitrate_bps = width * height * 10;
            let config = EncoderConfig {
                mode,
                bitrate_bps,
                multi_slice: false,
                slices: 0,
                max_frame_bytes: None,
                threads: 1,
                colour: Colour::default(),
            };
            let mut encoder = factory(name).expect("a rung").open(&config).expect("opens");
            let (mut out, mut next) = (EncodedFrame::default(), 0);
            group.bench_function(BenchmarkId::new(*name, height), |b| {
                b.iter_batched(
                    || {
                        next += 1;
                        &pictures[next % pictures.len()]
                    },
                    |drawn| {
                        encoder.submit(&drawn.layout, &drawn.pixels, &Damage::Full, Keyframe::Auto).expect("submits");
                        encoder.poll(&mut out, Instant::now()).expect("polls")
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

/// CPU time of the measuring thread.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn end(&self, started: Duration) -> Duration {
        self.start().saturating_sub(started)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2)).without_plots();
    targets = convert, encode
}
criterion_main!(benches);
