//! What each stage of the data plane costs per frame, beside what it cannot beat: `memcpy` and a bare AEAD loop.
//!
//! `cargo bench -p punktfunk-accel` prints CPU time of this thread, not wall time, so that a busy machine only disturbs
//! caches and frequency. Frames are cut into shards of 1408 bytes; FEC adds 20 %.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use punktfunk_accel::{Level, aes128_gcm, chacha20_poly1305, fec_at};
use punktfunk_core::Timestamp;
use punktfunk_core::fec::{Fec, FecScheme, ShardLayout, Strength};
use punktfunk_core::packet::{PacketBatch, TAG_BYTES, UserFlags};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::reassemble::{Reassembler, ReassemblerConfig};
use punktfunk_core::seal::{Aead, AeadTag, Direction, OpenError, Opener, Sealer};
use rustix::time::{ClockId, clock_gettime};

const SHARD: usize = 1408;
const SIZES: [usize; 5] = [20_000, 50_000, 100_000, 200_000, 1_000_000];
const KEY: [u8; 16] = [7; 16];
const SALT: [u8; 4] = [1, 2, 3, 4];

/// CPU time of the calling thread.
struct ThreadCpu;

fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

impl Measurement for ThreadCpu {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu()
    }

    fn end(&self, start: Duration) -> Duration {
        cpu() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Microseconds
    }
}

struct Microseconds;

impl ValueFormatter for Microseconds {
    fn scale_values(&self, _: f64, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|v| *v /= 1e3);
        "us cpu"
    }

    fn scale_throughputs(&self, _: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        if let Throughput::Bytes(bytes) = throughput {
            values.iter_mut().for_each(|v| *v = *bytes as f64 * 8.0 / *v);
        }
        "Gbit/s"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ns"
    }
}

struct NoSeal;

impl Aead for NoSeal {
    fn seal(&self, _: &[u8; 12], _: &[u8], _: &mut [u8]) -> AeadTag {
        [0; TAG_BYTES]
    }

    fn open(&self, _: &[u8; 12], _: &[u8], _: &mut [u8]) -> Result<(), OpenError> {
        Ok(())
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761) as u8).collect()
}

fn code(level: Level) -> Box<dyn Fec> {
    fec_at(FecScheme::Gf16, level).expect("available")
}

fn packetizer(aead: Box<dyn Aead>) -> Packetizer {
    let config = PacketizerConfig {
        shard_payload: SHARD as u16,
        max_data_per_block: 4096,
        scheme: FecScheme::Gf16,
        welcome_fec_percent: 10,
        max_frame_bytes: 64 << 20,
    };
    Packetizer::new(config, Sealer::new(aead, SALT, Direction::HostToClient), code(Level::best())).expect("valid")
}

fn meta(percent: u8) -> FrameMeta {
    FrameMeta { pts_ns: 1, user_flags: UserFlags::PICTURE, strength: Strength::Percent(percent), probe: false }
}

fn reassembler() -> Reassembler {
    let config = ReassemblerConfig {
        max_data_per_block: 4096,
        shard_payload: SHARD as u16,
        max_shard_payload: 0,
        scheme: FecScheme::Gf16,
        fec_percent: 10,
        bitrate_kbps: 50_000,
        refresh_hz: 60,
    };
    Reassembler::new(config, code(Level::best()))
}

/// Wire packets of a frame with 20 % recovery.
fn packets_of(len: usize) -> usize {
    let k = len.div_ceil(SHARD);
    k + (k * 20).div_ceil(100).max(2)
}

fn send_side(c: &mut Criterion<ThreadCpu>) {
    let mut group = c.benchmark_group("send");
    for len in SIZES {
        let au = bytes(len);
        let mut batch = PacketBatch::new();
        group.throughput(Throughput::Bytes(len as u64));
        let mut copy = vec![0u8; len];
        group.bench_function(BenchmarkId::new("memcpy", len), |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&au)));
        });
        let mut arena = bytes(packets_of(len) * (SHARD + 40));
        let bare = aes128_gcm(&KEY);
        group.bench_function(BenchmarkId::new("bare aes-128-gcm loop", len), |b| {
            let mut n = 0u64;
            b.iter(|| {
                for packet in arena.chunks_exact_mut(SHARD + 40) {
                    n += 1;
                    let mut nonce = [0; 12];
                    nonce[4..].copy_from_slice(&n.to_be_bytes());
                    black_box(bare.seal(&nonce, &n.to_be_bytes(), packet));
                }
            });
        });
        let mut plain = packetizer(Box::new(NoSeal));
        group.bench_function(BenchmarkId::new("packetize (copy, headers)", len), |b| {
            b.iter(|| plain.packetize(black_box(&au), &meta(0), &mut batch));
        });
        group.bench_function(BenchmarkId::new("packetize + fec 20 %", len), |b| {
            b.iter(|| plain.packetize(black_box(&au), &meta(20), &mut batch));
        });
        let mut aes = packetizer(aes128_gcm(&KEY));
        group.bench_function(BenchmarkId::new("packetize + fec 20 % + seal", len), |b| {
            b.iter(|| aes.packetize(black_box(&au), &meta(20), &mut batch));
        });
        let mut chacha = packetizer(chacha20_poly1305(&[7; 32]));
        group.bench_function(BenchmarkId::new("packetize + fec 20 % + seal chacha20", len), |b| {
            b.iter(|| chacha.packetize(black_box(&au), &meta(20), &mut batch));
        });
    }
    group.finish();
}

fn receive_side(c: &mut Criterion<ThreadCpu>) {
    let mut group = c.benchmark_group("receive");
    for len in SIZES {
        let au = bytes(len);
        group.throughput(Throughput::Bytes(len as u64));
        // Opening takes each sequence once, so every round seals a new frame outside the clock.
        group.bench_function(BenchmarkId::new("open", len), |b| {
            let mut packetizer = packetizer(aes128_gcm(&KEY));
            let mut opener = Opener::new(aes128_gcm(&KEY), SALT, Direction::HostToClient);
            let mut batch = PacketBatch::new();
            let mut wire = Vec::new();
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    packetizer.packetize(&au, &meta(20), &mut batch).expect("fits");
                    wire.clear();
                    wire.extend_from_slice(batch.packets(0..batch.len()));
                    let start = cpu();
                    for packet in wire.chunks_exact_mut(batch.packet_bytes()) {
                        black_box(opener.open(packet).is_ok());
                    }
                    spent += cpu() - start;
                }
                spent
            });
        });
        for lost_percent in [0, 5] {
            let name = format!("reassemble, {lost_percent} % lost");
            group.bench_function(BenchmarkId::new(name, len), |b| {
                let mut packetizer = packetizer(Box::new(NoSeal));
                let mut reassembler = reassembler();
                let mut batch = PacketBatch::new();
                b.iter_custom(|rounds| {
                    let mut spent = Duration::ZERO;
                    for round in 0..rounds {
                        packetizer.packetize(&au, &meta(20), &mut batch).expect("fits");
                        let now = Timestamp(round);
                        let start = cpu();
                        for (i, packet) in batch.iter().enumerate() {
                            if lost_percent == 0 || i % 20 != 7 {
                                reassembler.push(&packet[8..packet.len() - TAG_BYTES], now);
                            }
                        }
                        let unit = reassembler.next(now).expect("whole");
                        reassembler.recycle(black_box(unit));
                        spent += cpu() - start;
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

/// One block: data, recovery, and what is missing.
struct Block {
    layout: ShardLayout,
    data: Vec<u8>,
    recovery: Vec<u8>,
}

impl Block {
    fn new(k: usize, m: usize, shard: usize) -> Self {
        let layout = ShardLayout { stride: shard, shard_bytes: shard, k, m };
        Self { layout, data: bytes(k * shard), recovery: vec![0; m * shard] }
    }
}

fn fec(c: &mut Criterion<ThreadCpu>) {
    let shapes = [(8, 2), (15, 3), (36, 8), (40, 8), (72, 15), (143, 29), (300, 30), (711, 143)];
    let mut group = c.benchmark_group("fec16");
    for (k, m) in shapes {
        let mut block = Block::new(k, m, SHARD);
        group.throughput(Throughput::Bytes((k * SHARD) as u64));
        for level in Level::available() {
            let mut code = code(level);
            let name = format!("encode {level:?}");
            group.bench_function(BenchmarkId::new(name, format!("{k}+{m}")), |b| {
                b.iter(|| code.encode(black_box(&block.data), &mut block.recovery, &block.layout));
            });
            let mut counts = vec![1, 2, 4, m];
            counts.retain(|&e| e <= m);
            counts.dedup();
            for e in counts {
                let lost: Vec<u16> = (0..e).map(|i| (i * k / e) as u16).collect();
                let used: Vec<u16> = (0..e as u16).collect();
                let name = format!("decode {e} {level:?}");
                group.bench_function(BenchmarkId::new(name, format!("{k}+{m}")), |b| {
                    b.iter(|| code.recover(&mut block.data, &lost, &block.recovery, &used, &block.layout));
                });
            }
        }
    }
    group.finish();

    // GameStream's blocks: the announced minimum, a customary 20 % (the last one fills a block), and the largest that is
    // still protected; beside a copy of their data.
    let shapes = [(2, 2), (10, 2), (40, 8), (80, 16), (157, 32), (212, 43), (252, 3)];
    let mut group = c.benchmark_group("fec8");
    for (k, m) in shapes {
        let mut block = Block::new(k, m, 1280);
        let mut copy = vec![0u8; block.data.len()];
        let shape = format!("{k}+{m}");
        group.throughput(Throughput::Bytes(block.data.len() as u64));
        group.bench_function(BenchmarkId::new("memcpy", &shape), |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&block.data)));
        });
        for level in Level::available() {
            let mut code = fec_at(FecScheme::Gf8, level).expect("available");
            group.bench_function(BenchmarkId::new(format!("encode {level:?}"), &shape), |b| {
                b.iter(|| code.encode(black_box(&block.data), &mut block.recovery, &block.layout));
            });
        }
    }
    group.finish();
}

fn config() -> Criterion<ThreadCpu> {
    Criterion::default()
        .with_measurement(ThreadCpu)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(15)
}

criterion_group! { name = stages; config = config(); targets = send_side, receive_side, fec }
criterion_main!(stages);
