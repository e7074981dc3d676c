//! What the tests of the built-in compositor share: a worker in a process of its own, and the host's side of it.
#![allow(dead_code)] // each test binary uses its own part

pub mod program;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use punktfunk_compositor::{WorkerCapturer, WorkerLink, X11_DISPLAYS_FILE, remove_stale_x11_display};
use punktfunk_media::{Captured, CapturedFrame, Capturer, Mode, PixelFormat, Slot};
use tempfile::TempDir;

pub const MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running worker. Killed when dropped.
pub struct Worker {
    pub child: Child,
    pub dir: TempDir,
}

impl Worker {
    pub fn start(mode: Mode) -> Self {
        Self::start_with(mode, &[])
    }

    pub fn start_with(mode: Mode, env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(example());
        command.arg(mode.to_string()).env("XDG_RUNTIME_DIR", dir.path()).stdin(Stdio::null());
        command.env_remove("WAYLAND_DISPLAY").envs(env.iter().copied());
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().expect("start the worker");
        let mut worker = Self { child, dir };
        let until = Instant::now() + PATIENCE;
        while WorkerLink::connect(worker.dir.path(), me()).is_err() {
            let ended = worker.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "no worker ({ended:?}): {}", worker.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        worker
    }

    pub fn link(&self) -> WorkerLink {
        WorkerLink::connect(self.dir.path(), me()).unwrap_or_else(|e| panic!("{e}: {}", self.log()))
    }

    pub fn display(&self) -> PathBuf {
        self.dir.path().join("wayland-0")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How often it has gone to sleep so far: every wake-up ends in another sleep.
    pub fn sleeps(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse().unwrap()
    }

    /// Fails if it ended.
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the worker ended ({ended:?}): {}", self.log());
    }

    /// A program on this desktop that is no child of it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("XDG_RUNTIME_DIR", self.dir.path()).env("WAYLAND_DISPLAY", "wayland-0");
        command.env_remove("DISPLAY").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // As the host does for a desktop that was killed.
        let numbers = std::fs::read_to_string(self.dir.path().join(X11_DISPLAYS_FILE)).unwrap_or_default();
        numbers.lines().filter_map(|line| line.parse().ok()).for_each(remove_stale_x11_display);
        if std::thread::panicking() {
            eprintln!("the worker's log:\n{}", self.log());
        }
    }
}

pub fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn example() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let example = this.parent().and_then(Path::parent).unwrap().join("examples/worker");
    if !example.exists() {
        // `cargo test --test X` builds no examples.
        let mut cargo = Command::new(env!("CARGO"));
        let built = cargo.args(["build", "-p", "punktfunk-compositor", "--example", "worker"]);
        assert!(built.status().is_ok_and(|s| s.success()) && example.exists(), "no {}", example.display());
    }
    example
}

/// Lends a slot of the current layout.
pub fn lend_new(capturer: &mut WorkerCapturer) {
    let slot = capturer.make_slot().unwrap();
    capturer.lend(slot).unwrap();
}

/// The next picture; a changed layout on the way is followed.
pub fn next_frame(capturer: &mut WorkerCapturer) -> CapturedFrame {
    let until = Instant::now() + PATIENCE;
    loop {
        match capturer.wait(until).unwrap_or_else(|e| panic!("{e}")) {
            Captured::Frame(frame) => return frame,
            Captured::LayoutChanged(_) => lend_new(capturer),
            Captured::Unchanged => panic!("no picture within {PATIENCE:?}"),
        }
    }
}

/// Takes pictures until one satisfies `wanted`.
pub fn frame_until(
    capturer: &mut WorkerCapturer,
    what: &str,
    wanted: impl Fn(&CapturedFrame) -> bool,
) -> CapturedFrame {
    let until = Instant::now() + PATIENCE;
    loop {
        let frame = next_frame(capturer);
        if wanted(&frame) {
            return frame;
        }
        assert!(Instant::now() < until, "waited in vain for {what}; middle {:?}", pixel(&frame, 0.5, 0.5));
        capturer.lend(frame.slot).unwrap();
    }
}

/// Gives a slot back and waits until nothing has changed for a while.
pub fn settle(capturer: &mut WorkerCapturer, slot: Slot) {
    capturer.lend(slot).unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        match capturer.wait(Instant::now() + Duration::from_millis(300)).unwrap() {
            Captured::Unchanged => return,
            Captured::Frame(frame) => capturer.lend(frame.slot).unwrap(),
            Captured::LayoutChanged(_) => lend_new(capturer),
        }
        assert!(Instant::now() < until, "the desktop does not come to rest");
    }
}

/// Red, green and blue at a place given as fractions of the picture.
pub fn pixel(frame: &CapturedFrame, x: f64, y: f64) -> [u8; 3] {
    let l = frame.layout;
    let (x, y) = ((x * f64::from(l.width)) as usize, (y * f64::from(l.height)) as usize);
    let (x, y) = (x.min(l.width as usize - 1), y.min(l.height as usize - 1));
    let (bytes, stride) = (frame.slot.memory.bytes(), l.stride as usize);
    match l.format {
        PixelFormat::Bgrx => [2, 1, 0].map(|c| bytes[y * stride + x * 4 + c]),
        PixelFormat::Rgbx => [0, 1, 2].map(|c| bytes[y * stride + x * 4 + c]),
        PixelFormat::I420(colour) => {
            let [luma, blue, red, _] = l.plane_bounds();
            let half = y / 2 * (stride / 2) + x / 2;
            colour.to_rgb(bytes[luma + y * stride + x], bytes[blue + half], bytes[red + half])
        }
    }
}

/// Whether a colour is in the middle, as exactly as planes hold colours.
pub fn shows(frame: &CapturedFrame, rgb: [u8; 3]) -> bool {
    let most = if matches!(frame.layout.format, PixelFormat::I420(_)) { 4 } else { 0 };
    pixel(frame, 0.5, 0.5).into_iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= most)
}

/// Waits until `ready`.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
