//! The report: schema 1 as JSON for scripts, a table for people.

use std::fmt::Write as _;
use std::path::Path;

use punktfunk_client::{End, EndedBy, Percentiles, Stage, Summary};
use serde::Serialize;

use crate::cursor::Pointed;
use crate::failure::Failure;
use crate::microphone::Said;
use crate::player::Seen;
use crate::sound::Heard;

/// Everything a stream showed. Field names are fixed by scripts; more may be added, none may change its meaning.
#[derive(Serialize, Debug)]
pub struct Report {
    schema: u32,
    mode: String,
    codec: String,
    decoder: &'static str,
    frames_received: u64,
    /// Indices missing between the first and the last unit.
    frames_lost: u64,
    frames_recovered_by_fec: u64,
    /// Whole, but dependent on lost ones.
    frames_frozen: u64,
    keyframes: u64,
    repeats: u64,
    decode_errors: u64,
    goodput_bps: u64,
    /// From the start of the process to the first complete access unit.
    first_frame_ms: Option<f64>,
    clock_offset_us: Option<i64>,
    clock_rtt_us: Option<u64>,
    latency_us: Option<Spread>,
    drawn_to_decoded_us: Option<Decoded>,
    stages_us: Stages,
    cpu_s: Cpu,
    close_code: Option<u32>,
    reason: String,
    bitrate_kbps: u32,
    packets: Packets,
    requests: Requests,
    pictures: Pictures,
    audio: Option<Heard>,
    microphone: Option<Said>,
    cursor: Option<Pointed>,
    /// From each reconnect's first step to its first complete access unit.
    reconnect_first_frame_ms: Vec<f64>,
}

/// The middle, and the worst of ten and of a hundred.
#[derive(Serialize, Debug, Clone, Copy)]
pub struct Spread {
    /// Half are below.
    pub p50: u64,
    /// 90 of 100 are below.
    pub p90: u64,
    /// 99 of 100 are below.
    pub p99: u64,
}

/// The whole way of pictures: drawn on the host → out of the decoder.
#[derive(Serialize, Debug, Clone, Copy)]
struct Decoded {
    #[serde(flatten)]
    spread: Spread,
    /// Pictures that the decoder gave.
    frames: u64,
}

#[derive(Serialize, Debug)]
struct Stages {
    capture: Option<Spread>,
    convert: Option<Spread>,
    queue: Option<Spread>,
    encode: Option<Spread>,
    packetize: Option<Spread>,
    pace: Option<Spread>,
    network: Option<Spread>,
    receive: Option<Spread>,
    decode: Option<Spread>,
}

#[derive(Serialize, Debug)]
struct Cpu {
    #[serde(rename = "self")]
    own: f64,
}

#[derive(Serialize, Debug)]
struct Packets {
    received: u64,
    lost: u64,
    shards_recovered: u64,
    unopened: u64,
    invalid: u64,
    worst_window_loss_ppm: u32,
}

#[derive(Serialize, Debug)]
struct Requests {
    keyframe: u64,
    invalidation: u64,
    bitrate: u64,
    jumps_to_live: u64,
}

#[derive(Serialize, Debug)]
struct Pictures {
    shown: u64,
    width: usize,
    height: usize,
    stamped: u64,
    stamps_backwards: u64,
    png: u64,
    png_skipped: u64,
}

/// What goes into a report.
pub struct Facts<'a> {
    /// Asked for and agreed.
    pub codec: String,
    /// Who decoded.
    pub decoder: &'static str,
    /// The session's own account.
    pub summary: &'a Summary,
    /// The decoder's.
    pub seen: &'a Seen,
    /// The ears'.
    pub heard: Option<&'a Heard>,
    /// The mouth's.
    pub said: Option<Said>,
    /// The pointer, where the host told of it.
    pub cursor: Option<Pointed>,
    /// How it ended.
    pub end: &'a End,
    /// See [`Report::first_frame_ms`].
    pub first_frame_ms: Option<f64>,
    /// See [`Report::reconnect_first_frame_ms`].
    pub reconnects: Vec<f64>,
}

impl Report {
    /// Puts it together.
    pub fn new(facts: Facts<'_>) -> Self {
        let Facts { codec, decoder, summary: s, seen, heard, said, cursor, end, first_frame_ms, reconnects } = facts;
        let stage = |stage| s.stage(stage).map(Spread::from);
        Self {
            schema: 1,
            mode: s.mode.to_string(),
            codec,
            decoder,
            frames_received: s.frames_received,
            frames_lost: s.frames_lost,
            frames_recovered_by_fec: s.frames_recovered_by_fec,
            frames_frozen: s.frames_frozen,
            keyframes: s.keyframes,
            repeats: s.repeats,
            decode_errors: seen.decode_errors,
            goodput_bps: s.goodput_bps,
            first_frame_ms,
            clock_offset_us: s.clock.map(|(offset_ns, _)| offset_ns / 1000),
            clock_rtt_us: s.clock.map(|(_, rtt_ns)| rtt_ns / 1000),
            latency_us: stage(Stage::Total),
            drawn_to_decoded_us: s.stage(Stage::Decoded).map(|p| Decoded { spread: p.into(), frames: p.count }),
            stages_us: Stages {
                capture: stage(Stage::Capture),
                convert: stage(Stage::Convert),
                queue: stage(Stage::Queue),
                encode: stage(Stage::Encode),
                packetize: stage(Stage::Packetize),
                pace: stage(Stage::Pace),
                network: stage(Stage::Network),
                receive: stage(Stage::Receive),
                decode: stage(Stage::Decode),
            },
            cpu_s: Cpu { own: cpu_seconds() },
            close_code: end.code.map(|code| code.0),
            reason: reason(end),
            bitrate_kbps: s.bitrate_kbps,
            packets: Packets {
                received: s.packets_received,
                lost: s.packets_lost,
                shards_recovered: s.shards_recovered,
                unopened: s.packets_unopened,
                invalid: s.packets_invalid,
                worst_window_loss_ppm: s.worst_loss_ppm,
            },
            requests: Requests {
                keyframe: s.keyframe_requests,
                invalidation: s.invalidation_requests,
                bitrate: s.bitrate_requests,
                jumps_to_live: s.jumps_to_live,
            },
            pictures: Pictures {
                shown: seen.pictures,
                width: seen.size.0,
                height: seen.size.1,
                stamped: seen.stamped,
                stamps_backwards: seen.stamps_backwards,
                png: seen.shots,
                png_skipped: seen.shots_skipped,
            },
            audio: heard.cloned(),
            microphone: said,
            cursor,
            reconnect_first_frame_ms: reconnects,
        }
    }

    /// Writes the JSON file.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        write_json(path, self)
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<16} {value}");
        };
        let optional = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        row("stream", format!("{} {} ({}), {} kbit/s budget", self.mode, self.codec, self.decoder, self.bitrate_kbps));
        row(
            "frames",
            format!(
                "{} received, {} lost, {} recovered by FEC, {} frozen, {} keyframes, {} repeats",
                self.frames_received,
                self.frames_lost,
                self.frames_recovered_by_fec,
                self.frames_frozen,
                self.keyframes,
                self.repeats
            ),
        );
        row(
            "pictures",
            format!(
                "{} decoded, {} errors, {} stamped, {} out of order, {} PNG ({} skipped)",
                self.pictures.shown,
                self.decode_errors,
                self.pictures.stamped,
                self.pictures.stamps_backwards,
                self.pictures.png,
                self.pictures.png_skipped
            ),
        );
        row(
            "packets",
            format!(
                "{} received, {} lost, worst 750 ms {:.2} % lost",
                self.packets.received,
                self.packets.lost,
                f64::from(self.packets.worst_window_loss_ppm) / 1e4
            ),
        );
        row(
            "asked for",
            format!(
                "{} keyframes, {} invalidations, {} bitrates, {} jumps to live",
                self.requests.keyframe, self.requests.invalidation, self.requests.bitrate, self.requests.jumps_to_live
            ),
        );
        if let Some(cursor) = &self.cursor {
            row("pointer", cursor.sentence());
        }
        row("goodput", format!("{:.2} Mbit/s", self.goodput_bps as f64 / 1e6));
        row("first frame", optional(self.first_frame_ms));
        if !self.reconnect_first_frame_ms.is_empty() {
            let each: Vec<String> = self.reconnect_first_frame_ms.iter().map(|ms| format!("{ms:.1}")).collect();
            row("reconnects", format!("{} ms to the first frame", each.join(" ")));
        }
        let clock = match (self.clock_offset_us, self.clock_rtt_us) {
            (Some(offset), Some(rtt)) => format!("host {offset:+} µs, round trip {rtt} µs"),
            _ => "unknown".to_owned(),
        };
        row("clock", clock);
        row("cpu", format!("{:.2} s", self.cpu_s.own));
        row("end", if self.reason.is_empty() { "-".to_owned() } else { self.reason.clone() });
        let _ = writeln!(out, "\n{:<18} {:>10} {:>10} {:>10}", "µs", "p50", "p90", "p99");
        let s = &self.stages_us;
        let rows = [
            ("capture", s.capture),
            ("convert", s.convert),
            ("queue", s.queue),
            ("encode", s.encode),
            ("packetize", s.packetize),
            ("pace", s.pace),
            ("network", s.network),
            ("= latency", self.latency_us),
            ("receive", s.receive),
            ("decode", s.decode),
            ("= drawn to decoded", self.drawn_to_decoded_us.map(|decoded| decoded.spread)),
        ];
        for (name, value) in rows {
            let cell = |get: fn(Spread) -> u64| value.map_or("-".to_owned(), |v| get(v).to_string());
            let _ = writeln!(out, "{name:<18} {:>10} {:>10} {:>10}", cell(|v| v.p50), cell(|v| v.p90), cell(|v| v.p99));
        }
        out
    }
}

impl From<Percentiles> for Spread {
    fn from(p: Percentiles) -> Self {
        Self { p50: p.p50_us, p90: p.p90_us, p99: p.p99_us }
    }
}

/// Pretty JSON and a newline.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Failure::new(format!("the report: {e}")))?;
    text.push('\n');
    std::fs::write(path, text).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}

/// Empty for a stream that ran its time.
fn reason(end: &End) -> String {
    if end.by == EndedBy::Us { String::new() } else { end.to_string() }
}

/// CPU time of this process, all threads.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
