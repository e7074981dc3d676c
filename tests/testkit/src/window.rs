//! A small Wayland program for tests: a full-screen window of one colour that writes down every input event it sees.
//! It stands for "what a person's program would have received".

mod digitizer;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use wayland_client::backend::WaylandError;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer::WlBuffer,
    wl_callback::{self, WlCallback},
    wl_compositor::WlCompositor,
    wl_keyboard::{self, WlKeyboard},
    wl_output::{self, WlOutput},
    wl_pointer::{self, WlPointer},
    wl_registry::{self, WlRegistry},
    wl_seat::{self, WlSeat},
    wl_shm::{self, WlShm},
    wl_shm_pool::WlShmPool,
    wl_surface::WlSurface,
    wl_touch::WlTouch,
};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum, delegate_noop};
use wayland_protocols::xdg::shell::client::{
    xdg_surface::{self, XdgSurface},
    xdg_toplevel::{self, XdgToplevel},
    xdg_wm_base::{self, XdgWmBase},
};
use xkbcommon::xkb;

use digitizer::Digitizers;
pub use digitizer::Touched;

/// What the window saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It is on the screen with this size: the compositor has drawn a picture with it.
    Shown {
        /// Logical pixels.
        width: i32,
        /// Logical pixels.
        height: i32,
    },
    /// It has the keyboard.
    KeyboardEnter,
    /// It lost the keyboard.
    KeyboardLeave,
    /// A key, with the text that it means under the keymap and modifiers in force.
    Key {
        /// Evdev code.
        code: u32,
        /// Pressed or released.
        down: bool,
        /// What it types.
        text: String,
    },
    /// The pointer came in.
    PointerEnter {
        /// From the left of the window.
        x: f64,
        /// From its top.
        y: f64,
    },
    /// The pointer left.
    PointerLeave,
    /// The pointer moved.
    Motion {
        /// From the left of the window.
        x: f64,
        /// From its top.
        y: f64,
    },
    /// A pointer button.
    Button {
        /// Evdev code.
        code: u32,
        /// Pressed or released.
        down: bool,
    },
    /// Scrolled.
    Axis {
        /// Horizontal or vertical.
        horizontal: bool,
        /// Pixels.
        value: f64,
    },
    /// Scroll source: 0 wheel, 1 finger, 2 continuous.
    AxisSource(u32),
    /// Whole detents.
    AxisDiscrete {
        /// Horizontal or vertical.
        horizontal: bool,
        /// Detents.
        steps: i32,
    },
    /// 1/120 detents.
    AxisValue120 {
        /// Horizontal or vertical.
        horizontal: bool,
        /// Units.
        units: i32,
    },
    /// The fingers were lifted.
    AxisStop {
        /// Horizontal or vertical.
        horizontal: bool,
    },
    /// A finger or a pen.
    Touched(Touched),
    /// The connection ended, with the reason.
    Gone(String),
}

/// The window. Closed when dropped.
pub struct Window {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

enum Place {
    /// On the output of this name, or on any.
    FullScreen(Option<String>),
    Anywhere,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    news: Condvar,
    stop: AtomicBool,
    colour: Mutex<[u8; 3]>,
    repaint: AtomicBool,
}

impl Window {
    /// Opens it full-screen on `output` (any when `None`) of the compositor at `display`, filled with `rgb`, and waits
    /// until it is shown.
    ///
    /// # Panics
    /// When it is not shown within half a minute.
    #[must_use]
    pub fn open(display: &Path, output: Option<&str>, rgb: [u8; 3]) -> Self {
        Self::start(display, Place::FullScreen(output.map(str::to_owned)), rgb)
    }

    /// Opens it as an ordinary window where the compositor puts it.
    ///
    /// # Panics
    /// As [`Self::open`].
    #[must_use]
    pub fn open_tiled(display: &Path, rgb: [u8; 3]) -> Self {
        Self::start(display, Place::Anywhere, rgb)
    }

    fn start(display: &Path, place: Place, rgb: [u8; 3]) -> Self {
        let shared = Arc::new(Shared { colour: Mutex::new(rgb), ..Shared::default() });
        let (path, theirs) = (display.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("test-window".to_owned())
            .spawn(move || Program::run(&path, &place, theirs))
            .expect("start a thread");
        let window = Self { shared, thread: Some(thread) };
        // The very first size is the window's own choice of one pixel; the compositor's follows.
        window.wait("the window to be shown", |seen| {
            seen.iter().any(|s| matches!(s, Seen::Shown { width, .. } if *width > 1))
        });
        window
    }

    /// Everything seen so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic while held").clone()
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        self.shared.seen.lock().expect("no panic while held").clear();
    }

    /// Waits until what was seen satisfies `enough`, and returns it.
    ///
    /// # Panics
    /// After half a minute, with what was seen.
    pub fn wait(&self, what: &str, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().expect("no panic while held");
        while !enough(&seen) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; seen: {seen:?}");
            seen = self.shared.news.wait_timeout(seen, left).expect("no panic while held").0;
        }
        seen.clone()
    }

    /// Fills the window with another colour.
    pub fn paint(&self, rgb: [u8; 3]) {
        *self.shared.colour.lock().expect("no panic while held") = rgb;
        self.shared.repaint.store(true, Ordering::Release);
    }

    /// Everything typed into the window so far.
    #[must_use]
    pub fn typed(&self) -> String {
        let text = |s: &Seen| match s {
            Seen::Key { down: true, text, .. } => Some(text.clone()),
            _ => None,
        };
        self.seen().iter().filter_map(text).collect()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed; the test that caused it fails by itself.
            let _ = thread.join();
        }
    }
}

/// Nothing to read, or no room to write, is no error: the next turn goes on.
fn unless_blocked(result: Result<(), WaylandError>) -> Result<(), String> {
    match result {
        Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        other => other.map_err(|e| e.to_string()),
    }
}

struct Program {
    shared: Arc<Shared>,
    surface: Option<WlSurface>,
    shm: WlShm,
    size: (i32, i32),
    buffer: Option<WlBuffer>,
    pointer: Option<WlPointer>,
    keyboard: Option<WlKeyboard>,
    digitizers: Digitizers,
    keys: Option<xkb::State>,
    outputs: Vec<(WlOutput, Option<String>)>,
}

impl Program {
    fn run(display: &Path, place: &Place, shared: Arc<Shared>) {
        let stream = UnixStream::connect(display).expect("connect to the compositor");
        let connection = Connection::from_socket(stream).expect("a Wayland connection");
        let (list, mut queue) = registry_queue_init::<Self>(&connection).expect("the registry");
        let handle = queue.handle();
        let compositor: WlCompositor = list.bind(&handle, 4..=4, ()).expect("wl_compositor");
        let wm: XdgWmBase = list.bind(&handle, 1..=1, ()).expect("xdg_wm_base");
        let seat: WlSeat = list.bind(&handle, 5..=8, ()).expect("wl_seat");
        digitizer::listen(list.bind(&handle, 1..=1, ()).ok().as_ref(), &seat, &handle);
        let shm = list.bind(&handle, 1..=1, ()).expect("wl_shm");
        let mut program = Self {
            shared,
            surface: None,
            shm,
            size: (0, 0),
            buffer: None,
            pointer: None,
            keyboard: None,
            digitizers: Digitizers::default(),
            keys: None,
            outputs: Vec::new(),
        };
        for global in list.contents().clone_list().iter().filter(|g| g.interface == "wl_output") {
            let proxy = list.registry().bind(global.name, global.version.min(4), &handle, ());
            program.outputs.push((proxy, None));
        }
        queue.roundtrip(&mut program).expect("outputs' names");
        let surface = compositor.create_surface(&handle, ());
        let xdg = wm.get_xdg_surface(&surface, &handle, ());
        let toplevel = xdg.get_toplevel(&handle, ());
        toplevel.set_app_id("punktfunk-test-window".to_owned());
        if let Place::FullScreen(output) = place {
            let named = output.as_deref().map(|wanted| program.output(wanted));
            toplevel.set_fullscreen(named.as_ref());
        }
        surface.commit();
        program.surface = Some(surface);
        while !program.shared.stop.load(Ordering::Acquire) {
            if let Err(why) = program.turn(&mut queue) {
                program.tell(Seen::Gone(why));
                break;
            }
        }
    }

    fn output(&self, wanted: &str) -> WlOutput {
        let found = self.outputs.iter().find(|(_, name)| name.as_deref() == Some(wanted));
        found.unwrap_or_else(|| panic!("no output {wanted}")).0.clone()
    }

    /// One turn of the loop; fails when the compositor is gone, or threw us out.
    fn turn(&mut self, queue: &mut EventQueue<Self>) -> Result<(), String> {
        queue.dispatch_pending(self).map_err(|e| e.to_string())?;
        if self.shared.repaint.swap(false, Ordering::AcqRel) {
            self.draw(&queue.handle());
        }
        unless_blocked(queue.flush())?;
        let Some(guard) = queue.prepare_read() else { return Ok(()) };
        let fd = guard.connection_fd();
        let timeout = Timespec { tv_sec: 0, tv_nsec: TURN.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap_or(0);
        if ready > 0 {
            unless_blocked(guard.read().map(drop))?;
        }
        Ok(())
    }

    fn tell(&self, seen: Seen) {
        self.shared.seen.lock().expect("no panic while held").push(seen);
        self.shared.news.notify_all();
    }

    fn draw(&mut self, handle: &QueueHandle<Self>) {
        let (Some(surface), (width @ 1.., height @ 1..)) = (&self.surface, self.size) else { return };
        let [r, g, b] = *self.shared.colour.lock().expect("no panic while held");
        let row: Vec<u8> = [b, g, r, 255].repeat(width as usize);
        let fd = memfd_create("window", MemfdFlags::CLOEXEC).expect("a memfd");
        let mut file = File::from(fd);
        for _ in 0..height {
            file.write_all(&row).expect("fill a memfd");
        }
        let pool = self.shm.create_pool(file.as_fd(), width * height * 4, handle, ());
        let buffer = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Xrgb8888, handle, ());
        pool.destroy();
        surface.attach(Some(&buffer), 0, 0);
        surface.damage_buffer(0, 0, width, height);
        surface.frame(handle, self.size);
        surface.commit();
        if let Some(old) = self.buffer.replace(buffer) {
            old.destroy();
        }
    }

    fn set_keymap(&mut self, fd: OwnedFd, size: u32) {
        let file = File::from(fd);
        let mut text = vec![0; size as usize];
        file.read_exact_at(&mut text, 0).expect("read the keymap");
        text.retain(|b| *b != 0);
        let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
        let text = String::from_utf8(text).expect("keymaps are text");
        let (format, flags) = (xkb::KEYMAP_FORMAT_TEXT_V1, xkb::KEYMAP_COMPILE_NO_FLAGS);
        let keymap = xkb::Keymap::new_from_string(&context, text, format, flags).expect("a keymap that compiles");
        self.keys = Some(xkb::State::new(&keymap));
    }
}

impl Dispatch<WlSeat, ()> for Program {
    fn event(
        this: &mut Self,
        seat: &WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        let wl_seat::Event::Capabilities { capabilities: WEnum::Value(capabilities) } = event else { return };
        let pointer = capabilities.contains(wl_seat::Capability::Pointer);
        let keyboard = capabilities.contains(wl_seat::Capability::Keyboard);
        match (&this.pointer, pointer) {
            (None, true) => this.pointer = Some(seat.get_pointer(handle, ())),
            (Some(_), false) => this.pointer.take().iter().for_each(WlPointer::release),
            _ => {}
        }
        match (&this.keyboard, keyboard) {
            (None, true) => this.keyboard = Some(seat.get_keyboard(handle, ())),
            (Some(_), false) => this.keyboard.take().iter().for_each(WlKeyboard::release),
            _ => {}
        }
        let touch = capabilities.contains(wl_seat::Capability::Touch);
        match (&this.digitizers.touch, touch) {
            (None, true) => this.digitizers.touch = Some(seat.get_touch(handle, ())),
            (Some(_), false) => this.digitizers.touch.take().iter().for_each(WlTouch::release),
            _ => {}
        }
    }
}

impl Dispatch<WlKeyboard, ()> for Program {
    fn event(
        this: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use wl_keyboard::{Event, KeyState};
        match event {
            Event::Keymap { fd, size, .. } => this.set_keymap(fd, size),
            Event::Enter { .. } => this.tell(Seen::KeyboardEnter),
            Event::Leave { .. } => this.tell(Seen::KeyboardLeave),
            Event::Key { key, state, .. } => {
                // Evdev codes are 8 below XKB's.
                let text = this.keys.as_ref().map(|k| k.key_get_utf8(xkb::Keycode::new(key + 8))).unwrap_or_default();
                this.tell(Seen::Key { code: key, down: state == WEnum::Value(KeyState::Pressed), text });
            }
            Event::Modifiers { mods_depressed, mods_latched, mods_locked, group, .. } => {
                if let Some(keys) = &mut this.keys {
                    keys.update_mask(mods_depressed, mods_latched, mods_locked, 0, 0, group);
                }
            }
            _ => {}
        }
    }
}

impl Dispatch<WlPointer, ()> for Program {
    fn event(this: &mut Self, _: &WlPointer, event: wl_pointer::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        use wl_pointer::{Axis, ButtonState, Event};
        let horizontal = |axis: WEnum<Axis>| axis == WEnum::Value(Axis::HorizontalScroll);
        this.tell(match event {
            Event::Enter { surface_x, surface_y, .. } => Seen::PointerEnter { x: surface_x, y: surface_y },
            Event::Leave { .. } => Seen::PointerLeave,
            Event::Motion { surface_x, surface_y, .. } => Seen::Motion { x: surface_x, y: surface_y },
            Event::Button { button, state, .. } => {
                Seen::Button { code: button, down: state == WEnum::Value(ButtonState::Pressed) }
            }
            Event::Axis { axis, value, .. } => Seen::Axis { horizontal: horizontal(axis), value },
            Event::AxisSource { axis_source } => Seen::AxisSource(axis_source.into()),
            Event::AxisStop { axis, .. } => Seen::AxisStop { horizontal: horizontal(axis) },
            Event::AxisDiscrete { axis, discrete } => {
                Seen::AxisDiscrete { horizontal: horizontal(axis), steps: discrete }
            }
            Event::AxisValue120 { axis, value120 } => {
                Seen::AxisValue120 { horizontal: horizontal(axis), units: value120 }
            }
            _ => return,
        });
    }
}

impl Dispatch<XdgSurface, ()> for Program {
    fn event(
        this: &mut Self,
        xdg: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            xdg.ack_configure(serial);
            this.draw(handle);
        }
    }
}

impl Dispatch<WlCallback, (i32, i32)> for Program {
    fn event(
        this: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        (width, height): &(i32, i32),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            this.tell(Seen::Shown { width: *width, height: *height });
        }
    }
}

impl Dispatch<XdgToplevel, ()> for Program {
    fn event(
        this: &mut Self,
        _: &XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_toplevel::Event::Configure { width, height, .. } = event {
            this.size = (width.max(1), height.max(1));
        }
    }
}

impl Dispatch<XdgWmBase, ()> for Program {
    fn event(_: &mut Self, wm: &XdgWmBase, event: xdg_wm_base::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            wm.pong(serial);
        }
    }
}

impl Dispatch<WlOutput, ()> for Program {
    fn event(
        this: &mut Self,
        proxy: &WlOutput,
        event: wl_output::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_output::Event::Name { name } = event
            && let Some(known) = this.outputs.iter_mut().find(|(output, _)| output.id() == proxy.id())
        {
            known.1 = Some(name);
        }
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Program {
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

delegate_noop!(Program: ignore WlCompositor);
delegate_noop!(Program: ignore WlSurface);
delegate_noop!(Program: ignore WlShm);
delegate_noop!(Program: ignore WlShmPool);
delegate_noop!(Program: ignore WlBuffer);

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the window looks whether it shall repaint or close.
const TURN: Duration = Duration::from_millis(4);
