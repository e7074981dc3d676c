//! Figures of the pads thread on fake devices: 16 pads at 1000 Hz, and how long a press takes to come back as rumble.
//!
//! ```text
//! cargo run --release -p punktfunk-engine --example pads [SECONDS]
//! ```

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::Setup;
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{GamepadButtons, GamepadState, InputEvent};
use punktfunk_engine::pads::{PadPolicy, PadsSetup};
use punktfunk_media::fake::FakePads;
use punktfunk_media::{
    Pad, PadError, PadEvents, PadFactory, PadFeedback, PadKinds, PadReport, PadSpec, Reason, RumbleLevels,
};

fn main() {
    let seconds: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    flood(seconds * 1000);
    rumble_return(1000);
}

/// 16 pads, each in a new state every millisecond.
fn flood(rounds: u64) {
    let seen = Arc::new(Seen::default());
    let running = Setup { pads: Some(setup(Arc::new(Judges(Arc::clone(&seen))))), ..Setup::default() }.start();
    let begun = Instant::now();
    let cpu = cpu_of("pads-0");
    for round in 1..=rounds {
        let due = begun + Duration::from_millis(round);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for pad in 0..16 {
            // The stick counts, over both of its axes.
            let (left_x, left_y) = ((round & 0x7fff) as i16, (round >> 15) as i16);
            let state = GamepadState { pad, seq: round as u8, left_x, left_y, ..GamepadState::default() };
            running.control.input(InputEvent::GamepadState(state));
        }
    }
    let took = begun.elapsed();
    std::thread::sleep(Duration::from_millis(100));
    let cpu = cpu_of("pads-0").saturating_sub(cpu);
    let end = running.finish();
    let (counters, sent) = (end.stats.counters, rounds * 16);
    println!("16 pads, {:.0} reports/s each, {:.1} s", rounds as f64 / took.as_secs_f64(), took.as_secs_f64());
    let applied = seen.applied.load(Ordering::Relaxed);
    println!("  sent {sent}, played {applied}, merged {}, lost {}", counters.input_merged, counters.input_overflowed);
    println!("  out of order {}", seen.backwards.load(Ordering::Relaxed));
    println!(
        "  event -> device: p50 {} us, p99 {} us, max {} us",
        end.stats.input.p50, end.stats.input.p99, end.stats.input.max
    );
    println!("  CPU of the pads thread: {:.1} % of a core", 100.0 * cpu.as_secs_f64() / took.as_secs_f64());
}

/// From a press handed to the session until the plane is told to rumble.
fn rumble_return(presses: u32) {
    let running = Setup { pads: Some(setup(Arc::new(FakePads::echoing()))), ..Setup::default() }.start();
    let mut times = Vec::new();
    for press in 1..=presses {
        let buttons = GamepadButtons(press);
        let state = GamepadState { seq: press as u8, buttons, ..GamepadState::default() };
        let begun = Instant::now();
        running.control.input(InputEvent::GamepadState(state));
        let levels = RumbleLevels { low: press as u16, ..RumbleLevels::default() };
        running.client.wait_for("rumble", |s| (s.pads.last() == Some(&(0, PadFeedback::Rumble(levels)))).then_some(()));
        times.push(begun.elapsed().as_micros());
        // Beyond the shortest time between two messages to a client.
        std::thread::sleep(Duration::from_millis(5));
    }
    running.finish();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "press -> rumble at the plane, {presses} presses: p50 {} us, p99 {} us, max {} us",
        at(50),
        at(99),
        at(100)
    );
}

fn setup(factory: Arc<dyn PadFactory>) -> PadsSetup {
    PadsSetup { factory, policy: PadPolicy::Auto, default_kind: GamepadKind::Auto }
}

#[derive(Default)]
struct Seen {
    applied: AtomicU64,
    backwards: AtomicU64,
}

/// Pads that look whether their stick counts up.
struct Judges(Arc<Seen>);

struct Judge {
    seen: Arc<Seen>,
    last: u64,
}

impl PadFactory for Judges {
    fn kinds(&self) -> PadKinds {
        PadKinds::ALL
    }

    fn missing(&self) -> Vec<&'static Reason> {
        Vec::new()
    }

    fn plug(&self, _: &PadSpec, _: Arc<dyn PadEvents>) -> Result<Box<dyn Pad>, PadError> {
        Ok(Box::new(Judge { seen: Arc::clone(&self.0), last: 0 }))
    }
}

impl Pad for Judge {
    fn apply(&mut self, report: &PadReport) -> Result<(), PadError> {
        let count = (report.left_y as u64) << 15 | report.left_x as u64;
        self.seen.applied.fetch_add(1, Ordering::Relaxed);
        // Its neutral state at the end is no step back.
        if count != 0 && count <= self.last {
            self.seen.backwards.fetch_add(1, Ordering::Relaxed);
        }
        self.last = count;
        Ok(())
    }
}

/// CPU time of the thread with this name.
fn cpu_of(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let own = tasks
        .map(|t| t.path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let text = own.and_then(|task| std::fs::read_to_string(task.join("schedstat")).ok()).unwrap_or_default();
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
    Duration::from_nanos(ns)
}
