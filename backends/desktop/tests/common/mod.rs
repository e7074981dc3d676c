//! What the tests on real compositors share.
#![allow(dead_code)] // each test binary uses its own part

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_compositor::{WindowInfo, WorkerLink};
use punktfunk_desktop::{
    BuiltinDesktop, Environment, KeyboardLayout, PrivateCompositor, PrivateConfig, PrivateContent, PrivateDesktop,
};
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{
    Captured, CapturedFrame, Capturer, Desktop, InputAction, Journal, Mode, PixelFormat, Slot, Stage, StageRequest,
    UndoRecord,
};
use punktfunk_testkit::desktop::{Launch, Suite, marked};

pub const MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Who composites a private desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bed {
    Sway(Suite),
    BuiltIn,
}

impl Bed {
    /// How to start programs of its suite.
    pub fn launch(self) -> Option<Launch> {
        match self {
            Self::Sway(suite) => suite.launch(),
            Self::BuiltIn => Suite::Installed.launch(),
        }
    }
}

impl From<Suite> for Bed {
    fn from(suite: Suite) -> Self {
        Self::Sway(suite)
    }
}

/// A private desktop, with its journal. Checks when dropped that nothing is left.
pub struct PrivateBench {
    pub bed: Bed,
    pub desktop: Option<Box<dyn Desktop>>,
    pub journal: Arc<MemoryJournal>,
    pub config: PrivateConfig,
    pub environment: Environment,
    pub launch: Launch,
}

impl PrivateBench {
    pub fn new(bed: impl Into<Bed>, content: PrivateContent) -> Option<Self> {
        let bed = bed.into();
        Some(Self::launched(bed, bed.launch()?, content))
    }

    /// The same with programs of any suite.
    pub fn launched(bed: Bed, launch: Launch, content: PrivateContent) -> Self {
        let environment = Environment::from_pairs(launch.pairs());
        let compositor = match bed {
            Bed::Sway(_) => PrivateCompositor::Sway,
            Bed::BuiltIn => {
                // Where the unprivileged user may read it.
                let worker = launch.scratch().join("worker");
                // By another process: a program that any thread here starts meanwhile would inherit the open file for a
                // moment, and nothing can be started from a file that somebody may still write.
                let mut copy = std::process::Command::new("cp");
                assert!(copy.arg(example("compositor")).arg(&worker).status().is_ok_and(|s| s.success()));
                PrivateCompositor::BuiltIn { worker: vec![worker.into_os_string()] }
            }
        };
        let config = PrivateConfig {
            content,
            compositor,
            launcher: launch.prefix.clone(),
            owner: launch.owner,
            ..PrivateConfig::below(launch.scratch().join("desktops"))
        };
        let mut bench = Self { bed, desktop: None, journal: MemoryJournal::new(), config, environment, launch };
        bench.remake(None);
        bench
    }

    /// Another desktop from what the bench has now, with this layout in its configuration.
    pub fn remake(&mut self, layout: Option<KeyboardLayout>) {
        let (config, environment) = (self.config.clone(), self.environment.clone());
        self.desktop = Some(match &self.config.compositor {
            PrivateCompositor::Sway => {
                Box::new(PrivateDesktop::new(config, environment, layout).expect("sway is installed"))
            }
            PrivateCompositor::BuiltIn { worker } => {
                Box::new(BuiltinDesktop::new(config, worker.clone(), environment, layout.as_ref()))
            }
        });
    }

    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal) as Arc<dyn Journal>
    }

    pub fn desktop(&self) -> &dyn Desktop {
        self.desktop.as_deref().unwrap()
    }

    pub fn open(&self, identity: &str, mode: Mode) -> Box<dyn Stage> {
        self.desktop().open(&request(identity, mode), &self.journal()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The Wayland socket of the only desktop there is.
    pub fn display(&self) -> std::path::PathBuf {
        let dirs = folders(&self.config.runtime_dir);
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        wayland_socket(&dirs[0])
    }

    fn swaymsg(&self, what: &str) -> serde_json::Value {
        let socket = folders(&self.config.runtime_dir)[0].join("sway.sock");
        let output = std::process::Command::new("swaymsg").arg("-s").arg(socket).args(["-r", "-t", what]).output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default()
    }

    /// Refresh rate of the only output, as sway tells it.
    pub fn refresh_mhz(&self) -> u64 {
        self.swaymsg("get_outputs")[0]["current_mode"]["refresh"].as_u64().unwrap()
    }

    /// Application id of the window that has the keyboard, as sway tells it.
    pub fn focused(&self) -> String {
        self.focused_window().0
    }

    /// The same, with its left and top, and its width and height without borders.
    pub fn focused_window(&self) -> (String, [i64; 4]) {
        if self.bed == Bed::BuiltIn {
            let focused = self.windows().into_iter().find(|w| w.focused);
            return focused.map(|w| (w.app_id, w.place.map(i64::from))).unwrap_or_default();
        }
        let tree = self.swaymsg("get_tree");
        let mut nodes = vec![&tree];
        while let Some(node) = nodes.pop() {
            if node["focused"] == true {
                let (rect, inside) = (&node["rect"], &node["window_rect"]);
                let of = |rect: &serde_json::Value, key: &str| rect[key].as_i64().unwrap_or_default();
                let app = node["app_id"].as_str().unwrap_or_default().to_owned();
                // Sway 1.7 tells a place inside of the frame also where it draws none; the size is right.
                return (app, [of(rect, "x"), of(rect, "y"), of(inside, "width"), of(inside, "height")]);
            }
            nodes.extend(["nodes", "floating_nodes"].iter().flat_map(|k| node[*k].as_array().into_iter().flatten()));
        }
        (String::new(), [0; 4])
    }

    /// The windows of the only built-in desktop there is, top first.
    fn windows(&self) -> Vec<WindowInfo> {
        let owner = self.config.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid);
        let link = WorkerLink::connect(&folders(&self.config.runtime_dir)[0], owner);
        link.and_then(|mut link| link.windows()).unwrap_or_default()
    }

    /// The workspace that is seen; a built-in desktop has none.
    pub fn workspace(&self) -> String {
        if self.bed == Bed::BuiltIn {
            return String::new();
        }
        let all = self.swaymsg("get_workspaces");
        let seen = all.as_array().and_then(|all| all.iter().find(|w| w["visible"] == true).cloned());
        seen.unwrap_or_default()["name"].as_str().unwrap_or_default().to_owned()
    }

    /// What everything on the desktop of `record` carries in its environment.
    pub fn mark(record: &UndoRecord) -> String {
        let change: serde_json::Value = serde_json::from_str(&record.change).unwrap();
        change["mark"].as_str().unwrap().to_owned()
    }

    /// Nothing of any desktop may be left.
    pub fn assert_nothing_left(&self, marks: &[String]) {
        for mark in marks {
            assert_eq!(living(mark), Vec::<i32>::new(), "{mark}");
        }
        assert_eq!(folders(&self.config.runtime_dir), Vec::<std::path::PathBuf>::new());
        assert_eq!(self.journal.records(), Vec::new());
    }
}

/// Processes with `mark`, zombies not counted.
pub fn living(mark: &str) -> Vec<i32> {
    let zombie = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    };
    marked(mark).into_iter().filter(|pid| !zombie(pid)).collect()
}

pub fn folders(dir: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default()
}

pub fn wayland_socket(dir: &Path) -> std::path::PathBuf {
    let socket = |p: &std::path::PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy();
        name.starts_with("wayland-") && !name.ends_with(".lock")
    };
    folders(dir).into_iter().find(socket).expect("a Wayland socket")
}

pub fn request(identity: &str, mode: Mode) -> StageRequest {
    StageRequest { identity: identity.to_owned(), name: format!("client {identity}"), mode }
}

/// Lends a slot of the current layout.
pub fn lend_new(capturer: &mut dyn Capturer) {
    let slot = capturer.make_slot().unwrap();
    capturer.lend(slot).unwrap();
}

/// The next picture; a changed layout on the way is followed.
pub fn next_frame(capturer: &mut dyn Capturer) -> CapturedFrame {
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
pub fn frame_until(capturer: &mut dyn Capturer, what: &str, wanted: impl Fn(&CapturedFrame) -> bool) -> CapturedFrame {
    let until = Instant::now() + PATIENCE;
    loop {
        let frame = next_frame(capturer);
        if wanted(&frame) {
            return frame;
        }
        eprintln!("not {what} yet: {:?} {:?} {:?}", frame.layout, frame.damage, pixel(&frame, 0.5, 0.5));
        assert!(Instant::now() < until, "waited in vain for {what}; middle {:?}", pixel(&frame, 0.5, 0.5));
        capturer.lend(frame.slot).unwrap();
    }
}

/// Gives a slot back and waits until nothing has changed for a while, as on a still desktop.
pub fn settle(capturer: &mut dyn Capturer, slot: Slot) {
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

/// Red, green and blue at a place given as fractions of the picture in memory.
pub fn pixel(frame: &CapturedFrame, x: f64, y: f64) -> [u8; 3] {
    let l = frame.layout;
    let (x, y) = ((x * f64::from(l.width)) as usize, (y * f64::from(l.height)) as usize);
    let at = y.min(l.height as usize - 1) * l.stride as usize + x.min(l.width as usize - 1) * 4;
    let bytes = &frame.slot.memory.bytes()[at..at + 4];
    match l.format {
        PixelFormat::Bgrx => [bytes[2], bytes[1], bytes[0]],
        PixelFormat::Rgbx => [bytes[0], bytes[1], bytes[2]],
        PixelFormat::I420(_) => panic!("nobody asked for planes"),
    }
}

pub fn key(code: u16, down: bool) -> InputAction {
    InputAction::Key { code, down }
}

/// Runs the body on every sway that is there.
pub fn on_every_sway(body: impl Fn(Bed)) {
    body(Bed::Sway(Suite::Installed));
    body(Bed::Sway(Suite::Trixie));
    body(Bed::Sway(Suite::Sid));
}

/// Runs the body on every private desktop that is there.
pub fn on_every_desktop(body: impl Fn(Bed)) {
    body(Bed::BuiltIn);
    on_every_sway(body);
}

/// An example of this crate; `cargo test --test X` builds none.
pub fn example(name: &str) -> std::path::PathBuf {
    let this = std::env::current_exe().unwrap();
    let example = this.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if !example.exists() {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        let built = cargo.args(["build", "-p", "punktfunk-desktop", "--example", name]);
        assert!(built.status().is_ok_and(|s| s.success()) && example.exists(), "no {}", example.display());
    }
    example
}

/// Waits until `ready`.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
