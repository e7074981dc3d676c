//! Both private desktops side by side: what a picture costs and how old it is when a consumer has it, with the same program
//! on either, runs interleaved. Prints; judges nothing.
//!
//! ```sh
//! cargo run --release -p punktfunk-desktop --example side_by_side -- [SECONDS] [RUNS]
//! ```
//!
//! It needs the examples `compositor` and `side_by_side` beside it (`cargo build --release -p punktfunk-desktop --examples`).
//! Ages are from the moment at which the program had drawn (it writes that into its first pixels) until the consumer has the
//! picture in an encoder's own planes: the built-in desktop gives planes, which are copied, sway's pictures are converted. CPU is
//! that of the compositor's process, and of the consumer's thread here.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_convert::{Converter, PlanesMut};
use punktfunk_desktop::{
    BuiltinDesktop, Environment, PrivateCompositor, PrivateConfig, PrivateContent, PrivateDesktop,
};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{
    Captured, CapturedFrame, Capturer, Colour, Desktop, FrameLayout, Journal, Mode, PixelFormat, Stage, StageRequest,
};
use punktfunk_testkit::desktop::{Launch, Suite};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::time::{ClockId, clock_gettime};
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer::{self, WlBuffer},
    wl_callback::{self, WlCallback},
    wl_compositor::WlCompositor,
    wl_registry::{self, WlRegistry},
    wl_shm::{self, WlShm},
    wl_shm_pool::WlShmPool,
    wl_surface::WlSurface,
};
use wayland_client::{Connection, Dispatch, QueueHandle, delegate_noop};
use wayland_protocols::xdg::shell::client::{
    xdg_surface::{self, XdgSurface},
    xdg_toplevel::{self, XdgToplevel},
    xdg_wm_base::{self, XdgWmBase},
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, display, what, width, height] = &arguments[..]
        && command == "draw"
    {
        let side = |text: &str| text.parse().expect("a number");
        return Drawing::run(Path::new(display), what == "small", (side(width), side(height)));
    }
    let number = |at: usize, otherwise| arguments.get(at).and_then(|a| a.parse().ok()).unwrap_or(otherwise);
    let (seconds, runs) = (number(0, 3), number(1, 3));
    let launch = Suite::Installed.launch().expect("sway is installed");
    let beside = |name: &str| {
        let to = launch.scratch().join(name);
        let from = std::env::current_exe().expect("own path").with_file_name(name);
        std::fs::copy(&from, &to).unwrap_or_else(|e| panic!("{}: {e}; build all examples first", from.display()));
        to
    };
    let (worker, program) = (beside("compositor"), beside("side_by_side"));
    let kinds = [
        ("built-in", PrivateCompositor::BuiltIn { worker: vec![worker.into_os_string()] }),
        ("sway", PrivateCompositor::Sway),
    ];
    println!(
        "{:<14} {:<7} {:<9} {:>6} {:>16} {:>16} {:>12} {:>12}",
        "mode", "draws", "desktop", "fps", "compositor/frame", "consumer/frame", "age p50", "age p99"
    );
    for (width, height) in [(1280, 720), (1920, 1080)] {
        let mode = Mode { width, height, refresh_hz: 60 };
        for what in ["full", "small"] {
            let mut rows = [Vec::new(), Vec::new()];
            for _ in 0..runs {
                for (rows, (_, compositor)) in rows.iter_mut().zip(&kinds) {
                    rows.push(measure(&launch, compositor, &program, mode, what, seconds));
                }
            }
            for (rows, (name, _)) in rows.iter().zip(&kinds) {
                let median = |of: fn(&Row) -> f64| {
                    let mut values: Vec<_> = rows.iter().map(of).collect();
                    values.sort_by(f64::total_cmp);
                    values[values.len() / 2]
                };
                println!(
                    "{:<14} {what:<7} {name:<9} {:>6.1} {:>13.3} ms {:>13.3} ms {:>9.3} ms {:>9.3} ms",
                    mode.to_string(),
                    median(|r| r.fps),
                    median(|r| r.compositor_ms),
                    median(|r| r.consumer_ms),
                    median(|r| r.age_p50_ms),
                    median(|r| r.age_p99_ms)
                );
            }
        }
    }
    let mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
    for (name, compositor) in &kinds {
        still(&launch, name, compositor, mode);
    }
    for (name, compositor) in &kinds {
        changes(&launch, name, compositor, &program, mode);
    }
    seats(&launch, &kinds[0].1, &program, mode, seconds);
}

struct Row {
    fps: f64,
    compositor_ms: f64,
    consumer_ms: f64,
    age_p50_ms: f64,
    age_p99_ms: f64,
}

/// A stage with nothing on it, and the process that composites it.
struct Bed {
    // Before what it stands on.
    stage: Box<dyn Stage>,
    _desktop: Box<dyn Desktop>,
    compositor: i32,
    opened: Duration,
}

impl Bed {
    fn open(launch: &Launch, compositor: &PrivateCompositor, mode: Mode, identity: &str) -> Self {
        let config = PrivateConfig {
            content: PrivateContent::Empty,
            compositor: compositor.clone(),
            launcher: launch.prefix.clone(),
            owner: launch.owner,
            ..PrivateConfig::below(launch.scratch().join("desktops"))
        };
        let environment = Environment::from_pairs(launch.pairs());
        let desktop: Box<dyn Desktop> = match compositor {
            PrivateCompositor::Sway => {
                Box::new(PrivateDesktop::new(config, environment, None).expect("sway is installed"))
            }
            PrivateCompositor::BuiltIn { worker } => {
                Box::new(BuiltinDesktop::new(config, worker.clone(), environment, None))
            }
        };
        let memory = MemoryJournal::new();
        let journal = Arc::clone(&memory) as Arc<dyn Journal>;
        let started = Instant::now();
        let request = StageRequest { identity: identity.to_owned(), name: identity.to_owned(), mode };
        let stage = desktop.open(&request, &journal).unwrap_or_else(|e| panic!("{e}"));
        let opened = started.elapsed();
        let leader = memory.records()[0].change.split("\"pid\":").nth(1).map(str::to_owned).unwrap_or_default();
        let compositor = leader.split(',').next().and_then(|pid| pid.parse().ok()).expect("a leader");
        Self { stage, _desktop: desktop, compositor, opened }
    }

    fn display(&self) -> String {
        let environment = self.stage.environment();
        environment.display.into_iter().find(|(n, _)| n == "WAYLAND_DISPLAY").map(|(_, v)| v).expect("a display")
    }

    fn draw(&self, launch: &Launch, program: &Path, what: &str) -> Child {
        let mut command = launch.command(program.to_str().expect("an ASCII path"));
        let Mode { width, height, .. } = self.stage.mode();
        let size = [width.to_string(), height.to_string()];
        command.args(["draw", &self.display(), what]).args(size).stdout(Stdio::null());
        command.spawn().expect("start the program")
    }
}

/// Takes pictures for `time`, the first second not counted.
fn consume(capturer: &mut dyn Capturer, time: Duration, mut each: impl FnMut(&CapturedFrame)) -> u32 {
    let (mut pictures, until) = (0, Instant::now() + time);
    loop {
        match capturer.wait(until).expect("the desktop lives") {
            Captured::Frame(frame) => {
                each(&frame);
                pictures += 1;
                capturer.lend(frame.slot).expect("the same slot");
            }
            Captured::LayoutChanged(_) => lend(capturer),
            Captured::Unchanged => {}
        }
        if Instant::now() >= until {
            return pictures;
        }
    }
}

fn measure(
    launch: &Launch,
    compositor: &PrivateCompositor,
    program: &Path,
    mode: Mode,
    what: &str,
    seconds: u64,
) -> Row {
    let mut bed = Bed::open(launch, compositor, mode, "measured");
    let mut drawing = bed.draw(launch, program, what);
    let mut capturer = bed.stage.capturer().unwrap_or_else(|e| panic!("{e}"));
    capturer.take_planes(Colour::default()).unwrap_or_else(|e| panic!("{e}"));
    lend(&mut *capturer);
    let mut encoder = Encoder::new(mode);
    consume(&mut *capturer, Duration::from_secs(1), |frame| encoder.take(frame));
    let (there, here) = (cpu_of(bed.compositor), cpu_here());
    let mut ages = Vec::with_capacity(seconds as usize * 70);
    let pictures = consume(&mut *capturer, Duration::from_secs(seconds), |frame| {
        encoder.take(frame);
        if let Some(age) = age(frame) {
            ages.push(age);
        }
    });
    let (there, here) = (cpu_of(bed.compositor) - there, cpu_here() - here);
    ages.sort_unstable();
    let at = |share: usize| ages.get(ages.len() * share / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    drop(capturer);
    // It ends with its compositor at the latest.
    let _ = drawing.kill();
    let _ = drawing.wait();
    let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(pictures.max(1));
    Row {
        fps: f64::from(pictures) / seconds as f64,
        compositor_ms: per_frame(there),
        consumer_ms: per_frame(here),
        age_p50_ms: at(50),
        age_p99_ms: at(99),
    }
}

/// What a desktop costs on which nothing moves, and how long it takes to come.
fn still(launch: &Launch, name: &str, compositor: &PrivateCompositor, mode: Mode) {
    let started = Instant::now();
    let mut bed = Bed::open(launch, compositor, mode, "still");
    let mut capturer = bed.stage.capturer().unwrap_or_else(|e| panic!("{e}"));
    lend(&mut *capturer);
    let first = loop {
        match capturer.wait(Instant::now() + Duration::from_secs(5)).expect("the desktop lives") {
            Captured::Frame(frame) => {
                let first = started.elapsed();
                capturer.lend(frame.slot).expect("the same slot");
                break first;
            }
            Captured::LayoutChanged(_) => lend(&mut *capturer),
            Captured::Unchanged => panic!("no picture"),
        }
    };
    consume(&mut *capturer, Duration::from_secs(2), |_| {});
    let (cpu, sleeps) = (cpu_of(bed.compositor), sleeps(bed.compositor));
    let pictures = consume(&mut *capturer, Duration::from_secs(10), |_| {});
    println!(
        "{name}: open {:?}, first picture {first:?}; still for 10 s: {pictures} pictures, {} wake-ups, {:?} of CPU",
        bed.opened,
        self::sleeps(bed.compositor) - sleeps,
        cpu_of(bed.compositor) - cpu
    );
}

/// What a live change of the mode costs: pictures that did not come, of those that a moving program would have made.
fn changes(launch: &Launch, name: &str, compositor: &PrivateCompositor, program: &Path, mode: Mode) {
    let mut bed = Bed::open(launch, compositor, mode, "changing");
    let mut drawing = bed.draw(launch, program, "full");
    let mut capturer = bed.stage.capturer().unwrap_or_else(|e| panic!("{e}"));
    lend(&mut *capturer);
    let mut last = Instant::now();
    consume(&mut *capturer, Duration::from_secs(1), |frame| last = frame.drawn_at);
    let other = Mode { width: 1920, height: 1080, ..mode };
    let period = Duration::from_secs(1) / mode.refresh_hz;
    let mut missed: Vec<u32> = Vec::new();
    for change in 0..20 {
        bed.stage.set_mode(if change % 2 == 0 { other } else { mode }).unwrap_or_else(|e| panic!("{e}"));
        let mut longest = Duration::ZERO;
        consume(&mut *capturer, Duration::from_millis(500), |frame| {
            longest = longest.max(frame.drawn_at.saturating_duration_since(last));
            last = frame.drawn_at;
        });
        // A gap of two periods is one picture that did not come.
        missed.push(((longest.as_secs_f64() / period.as_secs_f64()).round() as u32).saturating_sub(1));
    }
    let _ = drawing.kill();
    let _ = drawing.wait();
    missed.sort_unstable();
    println!(
        "{name}: {} changes of the mode: pictures missed at each p50 {}, most {}",
        missed.len(),
        missed[missed.len() / 2],
        missed[missed.len() - 1]
    );
}

/// Eight built-in desktops at once, each with a program that draws everything anew.
fn seats(launch: &Launch, compositor: &PrivateCompositor, program: &Path, mode: Mode, seconds: u64) {
    let beds: Vec<_> = (0..8).map(|i| Bed::open(launch, compositor, mode, &format!("seat{i}"))).collect();
    let rows: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = beds
            .into_iter()
            .map(|mut bed| {
                scope.spawn(move || {
                    let mut drawing = bed.draw(launch, program, "full");
                    let mut capturer = bed.stage.capturer().unwrap_or_else(|e| panic!("{e}"));
                    lend(&mut *capturer);
                    consume(&mut *capturer, Duration::from_secs(1), |_| {});
                    let cpu = cpu_of(bed.compositor);
                    let pictures = consume(&mut *capturer, Duration::from_secs(seconds), |_| {});
                    let cpu = (cpu_of(bed.compositor) - cpu).as_secs_f64() * 1e3;
                    let memory = pss_kib(bed.compositor);
                    let _ = drawing.kill();
                    let _ = drawing.wait();
                    (f64::from(pictures) / seconds as f64, cpu / f64::from(pictures.max(1)), memory)
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().expect("a seat")).collect()
    });
    let sum = |of: fn(&(f64, f64, u64)) -> f64| rows.iter().map(of).sum::<f64>();
    println!(
        "eight built-in desktops, full, {mode}: {:.1} fps each, {:.3} ms of CPU a picture, {:.0} MB in all",
        sum(|r| r.0) / 8.0,
        sum(|r| r.1) / 8.0,
        sum(|r| r.2 as f64) / 1024.0
    );
}

fn lend(capturer: &mut dyn Capturer) {
    let slot = capturer.make_slot().expect("memory");
    capturer.lend(slot).expect("a fresh slot");
}

/// An encoder's planes: packed pictures are converted into them, planes copied.
struct Encoder {
    converter: Converter,
    planes: Vec<u8>,
    layout: FrameLayout,
}

impl Encoder {
    fn new(mode: Mode) -> Self {
        let colour = Colour::default();
        let layout = FrameLayout {
            width: mode.width,
            height: mode.height,
            stride: mode.width.next_multiple_of(128),
            format: PixelFormat::I420(colour),
            transform: punktfunk_media::Transform::Normal,
        };
        Self { converter: Converter::new(mode.width, mode.height, colour), planes: vec![0; layout.len()], layout }
    }

    fn take(&mut self, frame: &CapturedFrame) {
        let [_, blue, red, end] = self.layout.plane_bounds();
        let stride = self.layout.stride as usize;
        let (y, rest) = self.planes[..end].split_at_mut(blue);
        let (u, v) = rest.split_at_mut(red - blue);
        let mut planes = PlanesMut { y: (y, stride), u: (u, stride / 2), v: (v, stride / 2) };
        let converted = self.converter.convert(&frame.layout, frame.slot.memory.bytes(), &frame.damage, &mut planes);
        converted.expect("a picture of the mode");
    }
}

/// How long ago the program had drawn this picture. The time is there bit by bit, a pixel each, black or white: that comes
/// through conversion.
fn age(frame: &CapturedFrame) -> Option<Duration> {
    let bytes = frame.slot.memory.bytes();
    let pixel = if matches!(frame.layout.format, PixelFormat::I420(_)) { 1 } else { 4 };
    let bit = |i: usize| {
        let at = i / STAMP_COLUMNS * frame.layout.stride as usize + i % STAMP_COLUMNS * pixel;
        u64::from(bytes[at] > 127) << i
    };
    let nanos = (0..64).map(bit).sum();
    let age = now().checked_sub(Duration::from_nanos(nanos))?;
    (age < Duration::from_secs(1)).then_some(age)
}

/// Pixels of the time in one row; as wide as the small change is.
const STAMP_COLUMNS: usize = 24;

fn now() -> Duration {
    time_of(ClockId::Monotonic)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn cpu_here() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of a process (proc(5), `schedstat`: nanoseconds run).
fn cpu_of(pid: i32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = |task: std::fs::DirEntry| -> u64 {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.map(nanos).sum())
}

fn sleeps(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|l| l.trim().parse().ok()).unwrap_or(0)
}

fn pss_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}

/// The program: draws as often as it is called back.
struct Drawing {
    surface: WlSurface,
    shm: WlShm,
    size: (i32, i32),
    buffers: Vec<(WlBuffer, File, bool)>,
    small: bool,
    drawn: u32,
}

impl Drawing {
    /// `size` is the output's.
    fn run(display: &Path, small: bool, size: (i32, i32)) {
        let stream = UnixStream::connect(display).expect("connect to the compositor");
        let connection = Connection::from_socket(stream).expect("a Wayland connection");
        let (list, mut queue) = registry_queue_init::<Self>(&connection).expect("the registry");
        let handle = queue.handle();
        let compositor: WlCompositor = list.bind(&handle, 4..=4, ()).expect("wl_compositor");
        let wm: XdgWmBase = list.bind(&handle, 1..=1, ()).expect("xdg_wm_base");
        let shm = list.bind(&handle, 1..=1, ()).expect("wl_shm");
        let surface = compositor.create_surface(&handle, ());
        let xdg = wm.get_xdg_surface(&surface, &handle, ());
        xdg.get_toplevel(&handle, ()).set_fullscreen(None);
        surface.commit();
        let mut drawing = Self { surface, shm, size, buffers: Vec::new(), small, drawn: 0 };
        while queue.blocking_dispatch(&mut drawing).is_ok() {}
    }

    fn draw(&mut self, handle: &QueueHandle<Self>) {
        let (width, height) = self.size;
        let free = self.buffers.iter().position(|(_, _, busy)| !busy).unwrap_or_else(|| {
            let file = File::from(memfd_create("drawing", MemfdFlags::CLOEXEC).expect("a memfd"));
            file.set_len(width as u64 * height as u64 * 4).expect("its size");
            let pool = self.shm.create_pool(file.as_fd(), width * height * 4, handle, ());
            let at = self.buffers.len();
            let buffer = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Xrgb8888, handle, at);
            pool.destroy();
            self.buffers.push((buffer, file, false));
            at
        });
        let (buffer, file, busy) = &mut self.buffers[free];
        *busy = true;
        let row = vec![(self.drawn % 256) as u8; width as usize * 4];
        let (columns, rows) = if self.small { (24, 16) } else { (width, height) };
        for y in 0..rows {
            file.write_all_at(&row[..columns as usize * 4], y as u64 * width as u64 * 4).expect("draw");
        }
        let nanos = now().as_nanos() as u64;
        for row in 0..64_usize.div_ceil(STAMP_COLUMNS) {
            let bits = (0..STAMP_COLUMNS).map(|column| nanos >> (row * STAMP_COLUMNS + column).min(63) & 1);
            let stamp: Vec<u8> = bits.flat_map(|bit| [if bit == 1 { 255 } else { 0 }; 4]).collect();
            file.write_all_at(&stamp, row as u64 * width as u64 * 4).expect("draw");
        }
        self.surface.attach(Some(buffer), 0, 0);
        self.surface.damage_buffer(0, 0, columns, rows);
        self.surface.frame(handle, ());
        self.surface.commit();
        self.drawn += 1;
    }
}

impl Dispatch<XdgSurface, ()> for Drawing {
    fn event(
        state: &mut Self,
        xdg: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            xdg.ack_configure(serial);
            if state.drawn == 0 {
                state.draw(handle);
            }
        }
    }
}

impl Dispatch<XdgToplevel, ()> for Drawing {
    fn event(
        state: &mut Self,
        _: &XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_toplevel::Event::Configure { width, height, .. } = event
            && state.drawn == 0
            // Sway leaves it to the program, until that has shown something.
            && width > 0
        {
            state.size = (width, height);
        }
    }
}

impl Dispatch<WlCallback, ()> for Drawing {
    fn event(
        state: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        state.draw(handle);
    }
}

impl Dispatch<WlBuffer, usize> for Drawing {
    fn event(
        state: &mut Self,
        _: &WlBuffer,
        event: wl_buffer::Event,
        at: &usize,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if matches!(event, wl_buffer::Event::Release) {
            state.buffers[*at].2 = false;
        }
    }
}

impl Dispatch<XdgWmBase, ()> for Drawing {
    fn event(_: &mut Self, wm: &XdgWmBase, event: xdg_wm_base::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            wm.pong(serial);
        }
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Drawing {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Drawing: WlCompositor);
delegate_noop!(Drawing: ignore WlShm);
delegate_noop!(Drawing: WlShmPool);
delegate_noop!(Drawing: ignore WlSurface);
