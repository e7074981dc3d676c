//! A session's figures in the log, once it is over.

use punktfunk_engine::session::SessionEnd;
use punktfunk_engine::stats::Percentiles;

/// Tells what `session` did, and on level `debug` how long each stage took.
pub fn tell(session: &SessionEnd) {
    let (stats, counters) = (&session.stats, &session.stats.counters);
    tracing::info!(
        cause = ?session.cause,
        frames = counters.frames_sent,
        keyframes = counters.keyframes,
        packets = counters.packets_sent,
        dropped = counters.packets_dropped,
        input = counters.input_events,
        "session over"
    );
    let stages = [
        ("host", stats.host),
        ("capture", stats.capture),
        ("queue", stats.queue),
        ("convert", stats.convert),
        ("encode", stats.encode),
        ("packetize", stats.packetize),
        ("pace", stats.pace),
        ("input", stats.input),
        ("audio", stats.audio),
    ];
    for (stage, Percentiles { count, p50, p99, max }) in stages {
        tracing::debug!(stage, count, p50, p99, max, "a stage's time in µs");
    }
}
