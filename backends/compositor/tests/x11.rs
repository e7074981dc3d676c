//! X11 programs on the built-in desktop: real ones, behind a real Xwayland.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, pixel, settle, wait_until};
use punktfunk_compositor::{WindowInfo, X11_DISPLAYS_FILE};
use punktfunk_media::{Capturer as _, Injector as _, InputAction, Mode};
use punktfunk_testkit::desktop::skip;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

/// Whose Xwayland.
#[derive(Clone, Copy)]
enum Server {
    /// The one that is installed: 22.1 on Debian 12, which has no protocol to tell which window is which surface.
    Installed,
    /// That of a Debian 13 root folder (`PUNKTFUNK_TRIXIE`): 24.1, which has.
    Trixie,
}

impl Server {
    /// A worker that would start it. `None`: it is not there, which was said.
    fn worker(self) -> Option<Worker> {
        let Self::Trixie = self else { return Some(Worker::start(MODE)) };
        let tree = std::env::var_os("PUNKTFUNK_TRIXIE").map(PathBuf::from);
        let Some(tree) = tree.filter(|tree| tree.join("usr/bin/Xwayland").exists()) else {
            skip("a Debian 13 root folder with Xwayland (PUNKTFUNK_TRIXIE names none)");
            return None;
        };
        // With its own libraries; the rest is this machine's.
        let script = format!(
            "#!/bin/sh\nexec {tree}/lib64/ld-linux-x86-64.so.2 --library-path {tree}/usr/lib/x86_64-linux-gnu \
             {tree}/usr/bin/Xwayland \"$@\"\n",
            tree = tree.display()
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trixie");
        std::fs::create_dir_all(&folder).unwrap();
        // Moved there whole: tests run side by side.
        let new = tempfile::NamedTempFile::new_in(&folder).unwrap();
        std::fs::write(new.path(), script).unwrap();
        std::fs::set_permissions(new.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        new.into_temp_path().persist(folder.join("Xwayland")).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        Some(Worker::start_with(MODE, &[("PATH", &format!("{}:{path}", folder.display()))]))
    }
}

/// Every test below, with both.
macro_rules! with_both {
    ($($name:ident),* $(,)?) => {
        mod installed {
            $(#[test] fn $name() { super::$name(super::Server::Installed); })*
        }
        mod trixie {
            $(#[test] fn $name() { super::$name(super::Server::Trixie); })*
        }
    };
}

with_both!(
    an_x11_program_is_drawn_and_typed_into_and_follows_the_mode,
    x11_programs_see_the_outputs_own_pixels_at_every_scale,
    a_menu_of_an_x11_program_lies_above_it_and_closes_again,
    the_clipboard_goes_both_ways_between_x11_and_wayland,
    an_xwayland_that_is_killed_takes_x11_programs_along_and_nothing_else,
    an_x11_program_that_grabs_the_server_does_not_stop_the_desktop,
);

/// Writes a script and starts it on the desktop.
fn start(worker: &Worker, name: &str, script: &str) {
    let path = worker.dir.path().join(name);
    std::fs::write(&path, script).unwrap();
    worker.link().start(&path, &[], None).unwrap();
}

/// An xterm that writes the line typed into it to a file, on a green ground.
fn typed_into(worker: &Worker) -> PathBuf {
    let (file, ready) = (worker.dir.path().join("typed"), ready(worker));
    let _ = std::fs::remove_file(&ready);
    start(
        worker,
        "xterm.sh",
        &format!(
            "exec xterm -bg '#008000' -cr '#008000' -e \
             sh -c 'touch {}; while read line; do printf %s \"$line\" > {}; done'",
            ready.display(),
            file.display()
        ),
    );
    file
}

/// There once the shell in the terminal runs: what is typed before may be thrown away by its terminal.
fn ready(worker: &Worker) -> PathBuf {
    worker.dir.path().join("ready")
}

fn windows(worker: &Worker) -> Vec<WindowInfo> {
    worker.link().windows().unwrap()
}

fn type_keys(worker: &Worker, keys: &[u16]) {
    let mut injector = worker.link().injector().unwrap();
    for &code in keys {
        for down in [true, false] {
            injector.inject(&InputAction::Key { code, down }).unwrap();
        }
    }
}

/// Types a line until it arrives whole: a terminal that has just begun may lose what comes first.
fn type_line(worker: &Worker, typed: &Path) {
    let arrived = || std::fs::read_to_string(typed).is_ok_and(|text| text == "hi");
    wait_until("the line arrives", || {
        type_keys(worker, &[H, I, RETURN]);
        let until = Instant::now() + Duration::from_secs(2);
        while !arrived() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        arrived()
    });
}

/// Waits until the X server gives keys to an xterm, of which it hears over another connection than of keys, and a shell reads
/// them.
fn wait_for_x11_focus(worker: &Worker) {
    wait_until("the shell runs", || ready(worker).exists());
    let numbers = std::fs::read_to_string(worker.dir.path().join(X11_DISPLAYS_FILE)).unwrap();
    let (connection, _) = x11rb::connect(Some(&format!(":{}", numbers.lines().next().unwrap()))).unwrap();
    let class = |window| {
        let asked =
            connection.get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 64).ok()?.reply().ok()?;
        String::from_utf8(asked.value).ok()
    };
    wait_until("the terminal has X11's focus", || {
        let focus = connection.get_input_focus().unwrap().reply().unwrap().focus;
        // 0 and 1 are no windows (`None`, `PointerRoot`).
        focus > 1 && class(focus).is_some_and(|class| class.contains("XTerm"))
    });
}

const H: u16 = 35;
const I: u16 = 23;
const RETURN: u16 = 28;

/// Children of the worker that run a program of this name, by whatever loader.
fn children(worker: &Worker, name: &str) -> Vec<i32> {
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(") ")?;
        let mut fields = tail.split_ascii_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse::<u32>().ok()?);
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let loaded = words.split(|b| *b == 0).any(|word| word.ends_with(format!("/{name}").as_bytes()));
        let runs = loaded || head.ends_with(&format!("({name}"));
        (runs && parent == worker.child.id() && state != "Z").then_some(pid)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
}

fn an_x11_program_is_drawn_and_typed_into_and_follows_the_mode(server: Server) {
    let Some(worker) = server.worker() else { return };
    assert!(children(&worker, "Xwayland").is_empty(), "it starts with the first program");
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    let typed = typed_into(&worker);
    let frame = frame_until(&mut capturer, "the terminal", |frame| pixel(frame, 0.5, 0.9) == [0, 128, 0]);
    assert_eq!(children(&worker, "Xwayland").len(), 1);
    settle(&mut capturer, frame.slot);
    let window = windows(&worker).pop().expect("it is listed");
    assert_eq!((window.app_id.as_str(), window.focused, window.place), ("XTerm", true, [0, 0, 1280, 720]));
    wait_for_x11_focus(&worker);
    type_line(&worker, &typed);

    let mut injector = worker.link().injector().unwrap();
    let hold = |down| [InputAction::Key { code: 125, down }, InputAction::Button { code: 0x110, down }];
    injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
    hold(true).iter().for_each(|action| injector.inject(action).unwrap());
    injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.25 }).unwrap();
    hold(false).iter().for_each(|action| injector.inject(action).unwrap());
    wait_until("it lies where it was moved", || windows(&worker)[0].place == [214, 164, 853, 480]);
    for (code, down) in [(125, true), (57, true), (57, false), (125, false)] {
        injector.inject(&InputAction::Key { code, down }).unwrap();
    }
    wait_until("it fills the room again", || windows(&worker)[0].place == [0, 0, 1280, 720]);

    worker.link().set_mode(Mode { width: 1600, height: 900, refresh_hz: 60 }, None).unwrap();
    lend_new(&mut capturer);
    wait_until("the window fills the new mode", || windows(&worker)[0].place == [0, 0, 1600, 900]);
    worker.link().close_window(window.id).unwrap();
    wait_until("it closes", || windows(&worker).is_empty());
}

fn x11_programs_see_the_outputs_own_pixels_at_every_scale(server: Server) {
    let Some(worker) = server.worker() else { return };
    worker.link().set_mode(MODE, Some(1.5)).unwrap();
    let sizes = worker.dir.path().join("sizes");
    start(&worker, "size.sh", &format!("xdpyinfo > {}.new && mv {0}.new {0}", sizes.display()));
    wait_until("it looked", || sizes.exists());
    let told = std::fs::read_to_string(&sizes).unwrap();
    assert!(told.contains("1280x720 pixels"), "{told}");
}

fn a_menu_of_an_x11_program_lies_above_it_and_closes_again(server: Server) {
    let Some(worker) = server.worker() else { return };
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    // Its menus are Xaw's, which are override-redirect windows.
    start(
        &worker,
        "xterm.sh",
        "exec xterm -cr '#008000' -xrm '*vt100.background: #008000' -xrm '*SimpleMenu*background: #ff0000' -e sleep 60",
    );
    let frame = frame_until(&mut capturer, "the terminal", |frame| pixel(frame, 0.5, 0.9) == [0, 128, 0]);
    settle(&mut capturer, frame.slot);
    let mut injector = worker.link().injector().unwrap();
    let control = |down| InputAction::Key { code: 29, down };
    let left = |down| InputAction::Button { code: 0x110, down };
    for action in [InputAction::MotionAbs { x: 0.5, y: 0.5 }, control(true), left(true)] {
        injector.inject(&action).unwrap();
    }
    let frame = frame_until(&mut capturer, "the menu", |frame| pixel(frame, 0.51, 0.6) == [255, 0, 0]);
    assert_eq!(windows(&worker).len(), 1, "a menu is no window of its own");
    capturer.lend(frame.slot).unwrap();
    for action in [InputAction::MotionAbs { x: 0.1, y: 0.9 }, left(false), control(false)] {
        injector.inject(&action).unwrap();
    }
    frame_until(&mut capturer, "the menu to close", |frame| pixel(frame, 0.51, 0.6) == [0, 128, 0]);
}

fn the_clipboard_goes_both_ways_between_x11_and_wayland(server: Server) {
    let Some(worker) = server.worker() else { return };
    let text = "Grüße, 世界 🦀";
    for selection in ["clipboard", "primary"] {
        let primary = if selection == "primary" { &["--primary"][..] } else { &[] };
        // An X11 program with the keyboard copies; xclip alone has no window.
        let typed = typed_into(&worker);
        wait_until("the terminal has the keyboard", || windows(&worker).first().is_some_and(|w| w.focused));
        start(&worker, "copy.sh", &format!("printf %s '{text}' | exec xclip -selection {selection} -quiet"));
        let paste = || {
            let mut command = worker.command("wl-paste");
            let output = command.args(["--no-newline", "--type", "text/plain;charset=utf-8"]).args(primary);
            let output = output.stdout(std::process::Stdio::piped()).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        wait_until("a Wayland program pastes it", || paste() == text);

        let back = format!("back {text}");
        assert!(worker.command("wl-copy").args(primary).arg(&back).status().unwrap().success());
        let pasted = worker.dir.path().join("pasted");
        let _ = std::fs::remove_file(&pasted);
        let read = format!(
            "xclip -selection {selection} -out -target UTF8_STRING > {0}.new; mv {0}.new {0}",
            pasted.display()
        );
        let mut tries = 0;
        wait_until("an X11 program pastes it", || {
            tries += 1;
            if tries % 100 == 1 {
                start(&worker, "paste.sh", &read);
            }
            std::fs::read_to_string(&pasted).is_ok_and(|pasted| pasted == back)
        });
        // The one of the other round is not in the way.
        for window in windows(&worker) {
            worker.link().close_window(window.id).unwrap();
        }
        wait_until("the terminal closes", || windows(&worker).is_empty());
        let _ = std::fs::remove_file(typed);
    }
}

fn an_xwayland_that_is_killed_takes_x11_programs_along_and_nothing_else(server: Server) {
    let Some(mut worker) = server.worker() else { return };
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(1280, 720, [0, 0, 255]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    let typed = typed_into(&worker);
    wait_until("the terminal is there", || windows(&worker).len() == 2);
    let server = children(&worker, "Xwayland")[0];
    let pid = rustix::process::Pid::from_raw(server).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_until("its windows are gone", || windows(&worker).len() == 1);
    worker.assert_alive();
    program.roundtrip().unwrap();
    let typed_again = typed_into(&worker);
    assert_eq!(typed, typed_again);
    wait_until("another terminal is there", || windows(&worker).iter().any(|w| w.app_id == "XTerm" && w.focused));
    wait_for_x11_focus(&worker);
    type_line(&worker, &typed);
}

fn an_x11_program_that_grabs_the_server_does_not_stop_the_desktop(server: Server) {
    let Some(mut worker) = server.worker() else { return };
    let numbers = std::fs::read_to_string(worker.dir.path().join("x11-displays")).unwrap();
    let number = numbers.lines().next().unwrap();
    let (grabs, _) = x11rb::connect(Some(&format!(":{number}"))).unwrap();
    let (maps, screen) = x11rb::connect(Some(&format!(":{number}"))).unwrap();
    let root = maps.setup().roots[screen].root;
    let window = maps.generate_id().unwrap();
    let class = x11rb::protocol::xproto::WindowClass::INPUT_OUTPUT;
    maps.create_window(0, window, root, 0, 0, 100, 100, 0, class, 0, &Default::default()).unwrap();
    maps.map_window(window).unwrap();
    // All of it in one go, so that the manager hears of the window only when the server answers nobody else.
    maps.flush().unwrap();
    grabs.grab_server().unwrap();
    grabs.flush().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let picture = program.picture(1280, 720, [0, 0, 255]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    frame_until(&mut capturer, "a Wayland program's picture", |frame| pixel(frame, 0.5, 0.5) == [0, 0, 255]);
    worker.assert_alive();
}

#[test]
fn without_an_xwayland_there_is_no_display_and_everything_else() {
    // Everything of the system's but Xwayland.
    let bin = tempfile::tempdir().unwrap();
    for program in ["sh", "sleep", "env", "mv"] {
        let found = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(program)).find(|p| p.exists()).unwrap();
        std::os::unix::fs::symlink(found, bin.path().join(program)).unwrap();
    }
    let worker = Worker::start_with(MODE, &[("PATH", bin.path().to_str().unwrap()), ("DISPLAY", ":77")]);
    let seen = worker.dir.path().join("seen");
    start(&worker, "env.sh", &format!("env > {}.new && mv {0}.new {0}", seen.display()));
    wait_until("it looked", || seen.exists());
    let seen = std::fs::read_to_string(&seen).unwrap();
    assert!(!seen.lines().any(|line| line.starts_with("DISPLAY=")), "{seen}");
    assert!(!worker.dir.path().join("x11-displays").exists());
}
