//! Fingers and pens of clients on a running sway, as its programs feel them. Runs inside the emulated machine with the
//! guest tree below it; prints one line per check and fails if one does.

mod fingers;
mod pen;
mod sway;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_desktop::{Environment, WlrootsDesktop};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{Desktop, Injector, Journal, Mode, Stage, StageRequest};
use punktfunk_testkit::window::{Seen, Touched, Window};

use sway::Sway;

fn main() -> ExitCode {
    let mut judge = Judge::default();
    let mut bench = Bench::new();
    judge.check("two clients have a touch screen and a pen each", &mut bench, two_clients);
    judge.check("ten fingers of a client are on its own output", &mut bench, fingers::ten);
    judge.check("each client's corners are its own output's", &mut bench, fingers::of_two_clients);
    judge.check("a pen hovers, presses, leans and turns around", &mut bench, pen::strokes);
    judge.check("an injector that goes lifts what it held", &mut bench, fingers::injector_goes);
    judge.check("a client that goes takes its devices along", &mut bench, client_goes);
    judge.check("a host that dies leaves nothing mapped", &mut bench, host_dies);
    judge.verdict()
}

#[derive(Default)]
struct Judge {
    checks: usize,
    failed: usize,
}

impl Judge {
    fn check(&mut self, name: &str, bench: &mut Bench, check: fn(&mut Bench)) {
        let began = Instant::now();
        // The panic's message is on the console already.
        let passed = catch_unwind(AssertUnwindSafe(|| check(bench))).is_ok();
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("{verdict}: {name} ({:.1} s)", began.elapsed().as_secs_f32());
        self.checks += 1;
        self.failed += usize::from(!passed);
    }

    fn verdict(&self) -> ExitCode {
        println!("{} checks, {} failed", self.checks, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A running sway with the person's own output, and what clients have on it.
pub struct Bench {
    // Clients go before the sway that they are on.
    clients: Vec<Client>,
    /// On the person's own output.
    own: Window,
    desktop: WlrootsDesktop,
    journal: Arc<MemoryJournal>,
    sway: Sway,
}

/// A client with a window on its output.
pub struct Client {
    /// Full-screen.
    pub window: Window,
    /// Its hands.
    pub injector: Box<dyn Injector>,
    stage: Box<dyn Stage>,
    output: &'static str,
}

impl Bench {
    fn new() -> Self {
        let sway = Sway::start();
        let own = Window::open(&sway.sockets.display, Some("HEADLESS-1"), [1, 1, 1]);
        let desktop = WlrootsDesktop::connect(sway.sockets.clone(), Environment::from_pairs([]), None);
        let desktop = desktop.expect("a desktop");
        Self { clients: Vec::new(), own, desktop, journal: MemoryJournal::new(), sway }
    }

    fn open(&mut self, output: &'static str, width: u32, height: u32) {
        let mode = Mode { width, height, refresh_hz: 10 };
        let request = StageRequest { identity: output.to_owned(), name: output.to_owned(), mode };
        let journal = Arc::clone(&self.journal) as Arc<dyn Journal>;
        let mut stage = self.desktop.open(&request, &journal).expect("a stage");
        let injector = stage.injector().expect("an injector");
        let window = Window::open(&self.sway.sockets.display, Some(output), [2, 2, 2]);
        let (width, height) = (width.cast_signed(), height.cast_signed());
        window.wait("its size", |seen| seen.contains(&Seen::Shown { width, height }));
        self.clients.push(Client { window, injector, stage, output });
    }

    /// Nobody's window saw a finger or a pen but that of `client`.
    pub fn assert_only(&self, client: usize) {
        let others = self.clients.iter().enumerate().filter(|(at, _)| *at != client).map(|(_, c)| &c.window);
        for window in others.chain([&self.own]) {
            assert_eq!(touched(window), Vec::new());
        }
    }

    /// Forgets what the windows saw.
    pub fn forget(&self) {
        self.clients.iter().map(|client| &client.window).chain([&self.own]).for_each(Window::forget);
    }
}

/// What fingers and pens did over a window.
pub fn touched(window: &Window) -> Vec<Touched> {
    let touched = |seen| match seen {
        Seen::Touched(touched) => Some(touched),
        _ => None,
    };
    window.seen().into_iter().filter_map(touched).collect()
}

fn two_clients(bench: &mut Bench) {
    bench.desktop.touch().expect("a sway that reads the kernel's devices takes touch");
    bench.open("HEADLESS-2", 640, 360);
    bench.open("HEADLESS-3", 320, 200);
    for client in &bench.clients {
        let caps = client.injector.caps();
        assert!(caps.touch && caps.pen && caps.text && caps.precise_scroll, "{caps:?}");
        for device in ["touch", "pen"] {
            let wanted = format!("punktfunk_{device}_{}", client.output);
            assert!(bench.sway.inputs().iter().any(|name| name.ends_with(&wanted)), "{:?}", bench.sway.inputs());
        }
    }
}

fn client_goes(bench: &mut Bench) {
    bench.forget();
    let client = bench.clients.remove(0);
    let Client { window, injector, stage, output } = client;
    drop((injector, stage));
    wait("its devices and its output go", || {
        let inputs = bench.sway.inputs();
        (!inputs.iter().any(|name| name.ends_with(output)) && !bench.sway.outputs().contains(&output.to_owned()))
            .then_some(())
    });
    drop(window);
    assert_eq!(bench.journal.records().len(), 1, "the other client's");
}

/// What a host cannot do any more, its watchdog does with the record.
fn host_dies(bench: &mut Bench) {
    let Client { window, injector, stage, output } = bench.clients.remove(0);
    drop(window);
    let record = bench.journal.records().into_iter().next().expect("a record");
    // The devices go with the host's files; its promises to sway stay.
    std::mem::forget(stage);
    std::mem::forget(injector);
    punktfunk_desktop::undo(&record).expect("undone");
    wait("its output goes", || (!bench.sway.outputs().contains(&output.to_owned())).then_some(()));
    let change: serde_json::Value = serde_json::from_str(&record.change).expect("a record is JSON");
    assert_eq!(change["mapped"].as_array().map(Vec::len), Some(2), "{change}");
}

/// Waits until `found` gives something: a kernel under emulation takes its time.
pub fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
