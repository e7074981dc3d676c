//! What a private desktop costs: time to open it cold and warm, and CPU of compositor, scene and capture while something
//! moves and while nothing does. Prints; judges nothing.
//!
//! ```sh
//! cargo run --release -p punktfunk-desktop --example cost -- [WxH@HZ] [SECONDS]
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_desktop::{Environment, PrivateConfig, PrivateContent, PrivateDesktop};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{Captured, Capturer, Desktop, InputAction, Journal, Keep, Mode, Stage, StageRequest};
use punktfunk_testkit::desktop::{Launch, Suite, marked};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mode =
        arguments.first().and_then(|text| parse(text)).unwrap_or(Mode { width: 1280, height: 720, refresh_hz: 60 });
    let seconds = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let launch = Suite::Installed.launch().expect("sway is installed");
    let scene = launch.scratch().join("scene");
    let own = std::env::current_exe().expect("own path").with_file_name("scene");
    std::fs::copy(&own, &scene).expect("build the example `scene` first");

    let moving = PrivateContent::BuiltIn { scene: Some(vec![scene.into_os_string()]), launcher: None };
    run(&launch, "scene and terminal", moving, mode, seconds);
    run(&launch, "still", PrivateContent::Empty, mode, seconds);
}

fn run(launch: &Launch, what: &str, content: PrivateContent, mode: Mode, seconds: u64) {
    let config = PrivateConfig {
        content,
        launcher: launch.prefix.clone(),
        owner: launch.owner,
        ..PrivateConfig::below(launch.scratch().join("desktops"))
    };
    let desktop =
        PrivateDesktop::new(config, Environment::from_pairs(launch.pairs()), None).expect("sway is installed");
    let memory = MemoryJournal::new();
    let journal = Arc::clone(&memory) as Arc<dyn Journal>;
    println!("{what}, {mode}");
    let (stage, _) = open(&desktop, &journal, mode, "cold");
    drop(stage);
    desktop.warm(&journal);
    let (mut stage, mut capturer) = open(&desktop, &journal, mode, "warm");
    let mark =
        memory.records()[0].change.split("\"mark\":\"").nth(1).and_then(|r| r.split('"').next()).map(str::to_owned);
    let processes = mark.map(|mark| marked(&mark)).unwrap_or_default();

    let cpu: Vec<_> = processes.iter().map(|pid| cpu_ms(&pid.to_string())).collect();
    let (own, until) = (cpu_ms("self"), Instant::now() + Duration::from_secs(seconds));
    let (mut frames, mut capture) = (0u32, Vec::new());
    while Instant::now() < until {
        match capturer.wait(until).expect("the desktop lives") {
            Captured::Frame(frame) => {
                frames += 1;
                capture.push(frame.capture_time);
                capturer.lend(frame.slot).expect("the same slot");
            }
            Captured::LayoutChanged(_) => lend(&mut *capturer),
            Captured::Unchanged => {}
        }
    }
    capture.sort_unstable();
    let at = |share: usize| capture.get(capture.len() * share / 100).copied().unwrap_or_default();
    println!("  {frames} pictures in {seconds} s; drawn -> readable p50 {:?} p99 {:?}", at(50), at(99));
    let per_second = |ms: u64| ms as f64 / seconds as f64;
    println!("  capture thread {:.1} ms/s", per_second(cpu_ms("self") - own));
    for (pid, before) in processes.iter().zip(cpu) {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        println!("  {:<12} {:.1} ms/s", name.trim(), per_second(cpu_ms(&pid.to_string()).saturating_sub(before)));
    }

    drop(capturer);
    stage.keep(Keep { keep_for: Duration::from_secs(60), lease_until_ms: Some(u64::MAX) });
    let total = |pids: &[i32]| -> u64 { pids.iter().map(|pid| cpu_ms(&pid.to_string())).sum() };
    let before = total(&processes);
    std::thread::sleep(Duration::from_secs(seconds));
    println!("  kept, nobody watching: all of it {:.1} ms/s", per_second(total(&processes).saturating_sub(before)));
    let started = Instant::now();
    stage.keep(Keep { keep_for: Duration::ZERO, lease_until_ms: None });
    capturer = stage.capturer().expect("the desktop lives");
    first_picture(&mut *capturer);
    println!("  taken again: first picture after {:?}", started.elapsed());
    assert_eq!(stage.mode(), mode);

    let mut injector = stage.injector().expect("input");
    let mut taken: Vec<_> = (0..1000u32)
        .map(|i| {
            let action = InputAction::Motion { dx: f64::from(i % 3) - 1.0, dy: 0.0 };
            let started = Instant::now();
            injector.inject(&action).expect("the desktop lives");
            started.elapsed()
        })
        .collect();
    taken.sort_unstable();
    println!("  inject p50 {:?} p99 {:?}", taken[500], taken[990]);
}

fn open(
    desktop: &PrivateDesktop,
    journal: &Arc<dyn Journal>,
    mode: Mode,
    how: &str,
) -> (Box<dyn Stage>, Box<dyn Capturer>) {
    let started = Instant::now();
    let request = StageRequest { identity: how.to_owned(), name: how.to_owned(), mode };
    let mut stage = desktop.open(&request, journal).unwrap_or_else(|e| panic!("{e}"));
    let opened = started.elapsed();
    let mut capturer = stage.capturer().unwrap_or_else(|e| panic!("{e}"));
    first_picture(&mut *capturer);
    println!("  {how}: open {opened:?}, first picture after {:?}", started.elapsed());
    (stage, capturer)
}

fn first_picture(capturer: &mut dyn Capturer) {
    lend(capturer);
    loop {
        match capturer.wait(Instant::now() + Duration::from_secs(5)).expect("the desktop lives") {
            Captured::Frame(frame) => return capturer.lend(frame.slot).expect("the same slot"),
            Captured::LayoutChanged(_) => lend(capturer),
            Captured::Unchanged => panic!("no picture"),
        }
    }
}

fn lend(capturer: &mut dyn Capturer) {
    let slot = capturer.make_slot().expect("memory");
    capturer.lend(slot).expect("a fresh slot");
}

/// CPU time of a process so far; proc(5) counts in ticks of 10 ms.
fn cpu_ms(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = |n: usize| fields.split_ascii_whitespace().nth(n).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10
}

fn parse(text: &str) -> Option<Mode> {
    let (size, refresh) = text.split_once('@')?;
    let (width, height) = size.split_once('x')?;
    Some(Mode { width: width.parse().ok()?, height: height.parse().ok()?, refresh_hz: refresh.parse().ok()? })
}
