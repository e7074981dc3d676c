//! Decoding and encoding of the messages that arrive often: what the control and datagram planes cost per message.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use punktfunk_core::Mode;
use punktfunk_core::control::{ControlMessage, CursorShape};
use punktfunk_core::datagram::{ClientDatagram, HostDatagram, HostTiming, OurTiming, StageTiming};
use punktfunk_core::framing::{FrameReader, frame_with};
use punktfunk_core::handshake::{Hello, VideoCaps};
use punktfunk_core::input::InputEvent;

fn bytes(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let mut run = |name: &str, coded: &[u8], decode: &dyn Fn(&[u8]) -> bool| {
        assert!(decode(coded), "{name}");
        group.throughput(Throughput::Bytes(coded.len() as u64));
        group.bench_function(name, |b| b.iter(|| decode(black_box(coded))));
    };
    let client = |coded: &[u8]| ClientDatagram::decode(coded).is_ok();
    let host = |coded: &[u8]| HostDatagram::decode(coded).is_ok();
    let control = |coded: &[u8]| ControlMessage::decode(coded).is_ok();

    let motion = ClientDatagram::Input(InputEvent::MouseMove { dx: -12, dy: 34 });
    run("input event, 18 B", &bytes(|out| motion.encode(out)), &client);
    let audio = HostDatagram::Audio { seq: 1, pts_ns: 2, opus: &[7; 160] };
    run("audio, 173 B", &bytes(|out| audio.encode(out)), &host);
    let timing = HostTiming {
        stages: Some(StageTiming::default()),
        applied_phase_ns: Some(0),
        ours: Some(OurTiming::default()),
        ..HostTiming::default()
    };
    run("host timing, 41 B", &bytes(|out| HostDatagram::HostTiming(timing).encode(out)), &host);
    run(
        "clock echo, 29 B",
        &bytes(|out| ControlMessage::ClockEcho { t1_ns: 1, t2_ns: 2, t3_ns: 3 }.encode(out)),
        &control,
    );
    let cursor = CursorShape::new(1, [64, 64], [0, 0], vec![9; 64 * 64 * 4]).expect("a cursor of 64 pixels");
    run("cursor shape, 16 KiB", &bytes(|out| ControlMessage::CursorShape(cursor).encode(out)), &control);
    let hello = Hello {
        name: Some("living room".into()),
        video_caps: VideoCaps::HOST_TIMING,
        max_shard_payload: 9152,
        ..Hello::new(Mode { width: 1920, height: 1080, refresh_hz: 60 })
    };
    run("hello, 46 B", &bytes(|out| hello.encode(out)), &|coded| Hello::decode(coded).is_ok());
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut out = Vec::with_capacity(64);
    c.bench_function("encode/clock echo in its frame", |b| {
        b.iter(|| {
            out.clear();
            let echo = ControlMessage::ClockEcho { t1_ns: black_box(1), t2_ns: 2, t3_ns: 3 };
            frame_with(&mut out, |payload| echo.encode(payload)).expect("29 bytes");
            black_box(out.len())
        });
    });
}

fn framing(c: &mut Criterion) {
    let mut stream = Vec::new();
    for _ in 0..1000 {
        frame_with(&mut stream, |out| ControlMessage::LossReport { loss_ppm: 0 }.encode(out)).expect("9 bytes");
    }
    let mut group = c.benchmark_group("framing");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 frames in pieces of 1200 B", |b| {
        b.iter(|| {
            let mut reader = FrameReader::new();
            let mut frames = 0;
            for piece in stream.chunks(1200) {
                reader.push(piece);
                while let Some(frame) = reader.next() {
                    frames += usize::from(!frame.is_empty());
                }
            }
            assert_eq!(frames, 1000);
        });
    });
    group.finish();
}

criterion_group!(benches, decode, encode, framing);
criterion_main!(benches);
