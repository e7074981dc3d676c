//! Programs that people use, on both private desktops: a browser's text field, and a menu of GTK's.

mod common;

use std::time::{Duration, Instant};

use common::{Bed, MODE, PATIENCE, PrivateBench, key, wait_until};
use punktfunk_desktop::PrivateContent;
use punktfunk_media::{Injector, InputAction, Stage};
use punktfunk_testkit::desktop::Suite;

const BEDS: [Bed; 2] = [Bed::BuiltIn, Bed::Sway(Suite::Installed)];

fn titles(stage: &mut dyn Stage) -> Vec<String> {
    stage.windows().unwrap_or_else(|e| panic!("{e}")).into_iter().map(|window| window.title).collect()
}

fn wait_for_title(stage: &mut dyn Stage, bed: Bed, wanted: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = titles(stage);
        if now.iter().any(|title| title.starts_with(wanted)) {
            return;
        }
        assert!(Instant::now() < until, "{bed:?}: no window is called {wanted:?}: {now:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_browser_takes_keys_and_text_of_any_language_in_a_field() {
    for bed in BEDS {
        let command = "exec env WAYLAND_DEBUG=client chromium --ozone-platform=wayland --no-sandbox --disable-gpu --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --disable-quic \
             --password-store=basic --user-data-dir=\"$HOME/browser\" --app=\"file://$HOME/page.html\" >/dev/null 2>\"$HOME/heard\"";
        let bench = PrivateBench::new(bed, PrivateContent::Shell(command.to_owned())).unwrap();
        // What is typed is the window's title, once a key has come through: a browser drops those that come before its
        // page is the one that gets them, which its page cannot see.
        let page = "<!doctype html><meta charset=utf-8><title>waits</title>\
             <input autofocus oninput=\"document.title='typed '+this.value\">\
             <script>onkeyup = () => { if (document.activeElement.oninput && document.title == 'waits') document.title = 'ready' }\
             </script>";
        std::fs::write(bench.launch.scratch().join("home/page.html"), page).unwrap();
        let mut stage = bench.open("a", MODE);
        let mut injector = stage.injector().unwrap();
        wait_until(&format!("{bed:?}: the page gets keys"), || {
            let shift = 42;
            injector.inject(&key(shift, true)).unwrap();
            injector.inject(&key(shift, false)).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            titles(&mut *stage).iter().any(|title| title.starts_with("ready"))
        });
        for code in [35, 23] {
            injector.inject(&key(code, true)).unwrap();
            injector.inject(&key(code, false)).unwrap();
        }
        wait_for_title(&mut *stage, bed, "typed hi");
        " Grüße € 世界".chars().for_each(|c| injector.inject(&InputAction::Text(c)).unwrap());
        wait_for_title(&mut *stage, bed, "typed hi Grüße € 世界");
        let heard = std::fs::read(bench.launch.scratch().join("home/heard")).unwrap();
        let written = String::from_utf8_lossy(&heard).matches(".commit_string(").count();
        assert_eq!(written > 0, bed == Bed::BuiltIn, "as text there, as keys here: {bed:?}");
    }
}

/// A line to type into; what is in it is the window's title.
const ENTRY: &str = r#"
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
window, entry = Gtk.Window(title="ready"), Gtk.Entry()
entry.connect("changed", lambda _: window.set_title("typed " + entry.get_text()))
window.add(entry)
window.show_all()
Gtk.main()
"#;

/// The built-in desktop writes where programs want text: no keymap is made for it.
#[test]
fn a_program_that_wants_text_gets_it_as_text() {
    const TEXT: &str = "Grüße € 世界 🦀 नमस्ते";
    // libwayland writes down what it hears.
    let command = "GDK_BACKEND=wayland WAYLAND_DEBUG=client exec python3 \"$HOME/entry.py\" 2>\"$HOME/heard\"";
    let bench = PrivateBench::new(Bed::BuiltIn, PrivateContent::Shell(command.to_owned())).unwrap();
    let home = bench.launch.scratch().join("home");
    std::fs::write(home.join("entry.py"), ENTRY).unwrap();
    let heard = |what: &str| {
        let heard = std::fs::read(home.join("heard")).unwrap_or_default();
        String::from_utf8_lossy(&heard).lines().filter(|line| line.contains(what)).count()
    };
    let mut stage = bench.open("a", MODE);
    let mut injector = stage.injector().unwrap();
    wait_until("it has the keyboard", || stage.windows().unwrap().iter().any(|window| window.focused));
    wait_until("it wants text", || {
        injector.inject(&InputAction::Text('~')).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        heard(".commit_string(") > 0
    });
    let (keymaps, before) = (heard(".keymap("), heard(".commit_string("));
    TEXT.chars().for_each(|c| injector.inject(&InputAction::Text(c)).unwrap());
    wait_until("it heard all", || heard(".commit_string(") - before >= TEXT.chars().count());
    assert_eq!(heard(".keymap("), keymaps);
    let is_it = |title: &String| title.trim_start_matches("typed ").trim_start_matches('~') == TEXT;
    wait_until("the line is there", || titles(&mut *stage).iter().any(is_it));
}

/// foot throws text away that crosses what it says of its cursor: it gets keys, and a shell that echoes gets all of them.
#[test]
fn a_terminal_loses_nothing_of_a_long_line_while_it_echoes_it() {
    let line: String = (0..600).map(|n| ["ä", "ß", "€", "x", "7", "ж"][n % 6]).collect();
    let command = "exec foot sh -c 'echo ready >\"$HOME/ready\"; cat >\"$HOME/typed\"'";
    let bench = PrivateBench::new(Bed::BuiltIn, PrivateContent::Shell(command.to_owned())).unwrap();
    let home = bench.launch.scratch().join("home");
    let mut stage = bench.open("a", MODE);
    let mut injector = stage.injector().unwrap();
    wait_until("the shell reads", || home.join("ready").exists());
    wait_until("it has the keyboard", || stage.windows().unwrap().iter().any(|window| window.focused));
    line.chars().chain(['\n']).for_each(|c| injector.inject(&InputAction::Text(c)).unwrap());
    let typed = || std::fs::read_to_string(home.join("typed")).unwrap_or_default();
    wait_until("the line arrives", || !typed().is_empty());
    assert_eq!(typed(), line + "\n");
}

/// A menu bar whose items are large enough to be hit by whoever knows no fonts.
const MENU: &str = r#"
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
css = Gtk.CssProvider()
css.load_from_data(b"menuitem { min-height: 80px; min-width: 300px; }")
Gtk.StyleContext.add_provider_for_screen(Gdk.Screen.get_default(), css, Gtk.STYLE_PROVIDER_PRIORITY_USER)
window = Gtk.Window(title="ready")
bar, menu, top = Gtk.MenuBar(), Gtk.Menu(), Gtk.MenuItem(label="Open")
for name in ("first", "second"):
    item = Gtk.MenuItem(label=name)
    item.connect("activate", lambda _, name=name: window.set_title("chose " + name))
    menu.append(item)
menu.connect("show", lambda _: window.set_title("open"))
top.set_submenu(menu)
bar.append(top)
box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
box.pack_start(bar, False, False, 0)
window.add(box)
window.set_decorated(False)
window.maximize()
window.show_all()
Gtk.main()
"#;

#[test]
fn a_menu_opens_at_a_click_and_an_item_is_chosen_by_another() {
    for bed in BEDS {
        let command = "GDK_BACKEND=wayland exec python3 \"$HOME/menu.py\"";
        let bench = PrivateBench::new(bed, PrivateContent::Shell(command.to_owned())).unwrap();
        std::fs::write(bench.launch.scratch().join("home/menu.py"), MENU).unwrap();
        let mut stage = bench.open("a", MODE);
        wait_for_title(&mut *stage, bed, "ready");
        wait_until("it has the keyboard", || stage.windows().unwrap().iter().any(|window| window.focused));
        // The bar is at the top of the window; sway leaves a gap around those.
        let (_, [left, top, ..]) = bench.focused_window();
        let mut injector = stage.injector().unwrap();
        let mut click = |x: i64, y: i64| {
            let (x, y) = ((left + x) as f64 / f64::from(MODE.width), (top + y) as f64 / f64::from(MODE.height));
            injector.inject(&InputAction::MotionAbs { x, y }).unwrap();
            for down in [true, false] {
                injector.inject(&InputAction::Button { code: 0x110, down }).unwrap();
            }
        };
        click(100, 50);
        wait_for_title(&mut *stage, bed, "open");
        // GTK takes what follows within half a second for the same click.
        std::thread::sleep(Duration::from_millis(700));
        // Each is 80 pixels high and a little more.
        click(100, 220);
        wait_for_title(&mut *stage, bed, "chose second");
    }
}

#[test]
fn an_x11_terminal_takes_what_is_typed() {
    for bed in BEDS {
        let command =
            "exec xterm -e sh -c 'echo ready >\"$HOME/ready\"; read line; printf %s \"$line\" >\"$HOME/typed\"'";
        let bench = PrivateBench::new(bed, PrivateContent::Shell(command.to_owned())).unwrap();
        let home = bench.launch.scratch().join("home");
        let mut stage = bench.open("a", MODE);
        wait_until("the shell reads", || home.join("ready").exists());
        wait_until("it has the keyboard", || stage.windows().unwrap().iter().any(|window| window.focused));
        wait_until("its display is told", || stage.environment().display.iter().any(|(name, _)| name == "DISPLAY"));
        let mut injector = stage.injector().unwrap();
        // The X server hears of the focus later than the window has it: what comes before is nobody's.
        let typed = || std::fs::read_to_string(home.join("typed")).unwrap_or_default();
        wait_until("a line", || {
            for code in [35, 23, 28] {
                injector.inject(&key(code, true)).unwrap();
                injector.inject(&key(code, false)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(200));
            !typed().is_empty()
        });
        assert_eq!(typed(), "hi", "{bed:?}");
    }
}

/// A game, as far as hands can tell: it locks the mouse, adds up how far it went, and takes text. All of that is its title.
const GAME: &str = r#"
import ctypes, struct, sys
sdl = ctypes.CDLL("libSDL2-2.0.so.0")
sdl.SDL_CreateWindow.restype = sdl.SDL_GetWindowSurface.restype = ctypes.c_void_p
sdl.SDL_GetError.restype = sdl.SDL_GetCurrentVideoDriver.restype = ctypes.c_char_p
for f in (sdl.SDL_GetWindowSurface, sdl.SDL_UpdateWindowSurface, sdl.SDL_RaiseWindow, sdl.SDL_GetWindowFlags):
    f.argtypes = [ctypes.c_void_p]
sdl.SDL_SetWindowTitle.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
must = lambda ok: ok or sys.exit(sdl.SDL_GetError().decode())
must(sdl.SDL_Init(0x20) == 0)
driver = sdl.SDL_GetCurrentVideoDriver().decode()
window = must(sdl.SDL_CreateWindow(b"waits", 0, 0, 640, 480, 0x1021))
must(sdl.SDL_GetWindowSurface(window))
sdl.SDL_StartTextInput()
x = y = clicks = locked = 0
text, event = "", ctypes.create_string_buffer(56)
FOCUS = 0x200 | 0x400
while True:
    sdl.SDL_GetWindowSurface(window)
    sdl.SDL_UpdateWindowSurface(window)
    if not locked and sdl.SDL_GetWindowFlags(window) & FOCUS == FOCUS:
        must(sdl.SDL_SetRelativeMouseMode(1) == 0)
        sdl.SDL_PumpEvents()
        sdl.SDL_FlushEvent(0x400)
        locked = 1
    while sdl.SDL_WaitEventTimeout(event, 10):
        kind, = struct.unpack_from("I", event)
        if kind == 0x400 and locked:
            dx, dy = struct.unpack_from("2i", event, 28)
            x, y = x + dx, y + dy
        elif kind == 0x401:
            clicks += 1
        elif kind == 0x303:
            text += ctypes.string_at(ctypes.addressof(event) + 12).decode()
    title = f"{driver} {'locked' if locked else 'free'} {x} {y} {clicks} {text}"
    sdl.SDL_SetWindowTitle(window, title.encode())
"#;

#[test]
fn a_game_hears_every_step_of_a_locked_mouse_and_what_is_typed() {
    // (In a window that does not fill the screen, sway 1.7's pointer leaves a lock.)
    for (bed, driver) in [(BEDS[0], "wayland"), (BEDS[0], "x11"), (BEDS[1], "wayland")] {
        let command = format!("SDL_VIDEODRIVER={driver} exec python3 \"$HOME/game.py\" >\"$HOME/said\" 2>&1");
        let bench = PrivateBench::new(bed, PrivateContent::Shell(command)).unwrap();
        std::fs::write(bench.launch.scratch().join("home/game.py"), GAME).unwrap();
        let mut stage = bench.open("a", MODE);
        let mut injector = stage.injector().unwrap();
        let mut capturer = stage.capturer().unwrap();
        common::lend_new(&mut *capturer);
        // Somewhere on it: only a game under the pointer has the mouse.
        wait_until(&format!("{bed:?}, {driver}: it draws"), || {
            titles(&mut *stage).iter().any(|t| t.starts_with(driver))
        });
        let mut look = || {
            if let Ok(punktfunk_media::Captured::Frame(frame)) =
                capturer.wait(Instant::now() + Duration::from_millis(20))
            {
                capturer.lend(frame.slot).unwrap();
            }
            titles(&mut *stage)
        };
        injector.inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
        let locked = format!("{driver} locked ");
        // The way there counts where Xwayland runs on sway: how far it was is in the title, once nothing more comes.
        let (mut there, mut since, until) = ([0; 2], Instant::now(), Instant::now() + PATIENCE);
        while since.elapsed() < Duration::from_millis(300) {
            let seen = look();
            assert!(Instant::now() < until, "{bed:?}: not locked, {seen:?}");
            let sums = seen.iter().find_map(|title| {
                let mut numbers = title.strip_prefix(&locked)?.split(' ').map(|n| n.parse::<i32>().ok());
                Some([numbers.next()??, numbers.next()??])
            });
            match sums {
                Some(sums) if sums == there => {}
                other => (there, since) = (other.unwrap_or_default(), Instant::now()),
            }
        }
        assert!(bed != Bed::BuiltIn || there == [0; 2], "{there:?}");
        let mut said = |wanted: &str, injector: &mut dyn Injector, actions: &[InputAction]| {
            actions.iter().for_each(|a| injector.inject(a).unwrap());
            let until = Instant::now() + PATIENCE;
            loop {
                let seen = look();
                if seen.iter().any(|title| title == wanted) {
                    return;
                }
                let out = std::fs::read_to_string(bench.launch.scratch().join("home/said"));
                assert!(Instant::now() < until, "{bed:?}: {wanted:?}, not {seen:?} {out:?}");
            }
        };
        // Further than any output is wide, there and not quite back. No step is like the one before: SDL takes two that are, in
        // the same millisecond, for one that X11 told twice.
        let step = |n: i32| if n < 300 { (17 + n % 2, -9) } else { (-1 - n % 2, 40) };
        let (x, y) = (0..500).map(step).fold((there[0], there[1]), |(x, y), (dx, dy)| (x + dx, y + dy));
        let motion = |(dx, dy): (i32, i32)| InputAction::Motion { dx: dx.into(), dy: dy.into() };
        let steps: Vec<_> = (0..500).map(step).map(motion).collect();
        said(&format!("{driver} locked {x} {y} 0 "), &mut *injector, &steps);
        // It is still there, and has both hands.
        let hands = [
            InputAction::Button { code: 0x110, down: true },
            InputAction::Button { code: 0x110, down: false },
            key(35, true),
            key(35, false),
            key(23, true),
            key(23, false),
        ];
        said(&format!("{driver} locked {x} {y} 1 hi"), &mut *injector, &hands);
    }
}
