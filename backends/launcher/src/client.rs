//! The Wayland side: one layer surface, what is drawn on it, and the input that it gets.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use memmap2::MmapMut;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer::{self, WlBuffer},
    wl_callback::{self, WlCallback},
    wl_compositor::WlCompositor,
    wl_keyboard::{self, WlKeyboard},
    wl_pointer::{self, WlPointer},
    wl_registry::{self, WlRegistry},
    wl_seat::{self, WlSeat},
    wl_shm::{self, WlShm},
    wl_shm_pool::WlShmPool,
    wl_surface::WlSurface,
    wl_touch::{self, WlTouch},
};
use wayland_client::{Connection, Dispatch, QueueHandle, WEnum, delegate_noop, event_created_child};
use wayland_protocols::ext::foreign_toplevel_list::v1::client::{
    ext_foreign_toplevel_handle_v1::{self, ExtForeignToplevelHandleV1},
    ext_foreign_toplevel_list_v1::{self, ExtForeignToplevelListV1},
};
use wayland_protocols::wp::fractional_scale::v1::client::{
    wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1,
    wp_fractional_scale_v1::{self, WpFractionalScaleV1},
};
use wayland_protocols::wp::viewporter::client::{wp_viewport::WpViewport, wp_viewporter::WpViewporter};
use wayland_protocols_wlr::layer_shell::v1::client::{
    zwlr_layer_shell_v1::{Layer, ZwlrLayerShellV1},
    zwlr_layer_surface_v1::{self, Anchor, KeyboardInteractivity, ZwlrLayerSurfaceV1},
};

use crate::NAMESPACE;
use crate::canvas::Canvas;
use crate::content::Source;
use crate::covers::Cover;
use crate::ended::Ended;
use crate::paint::paint;
use crate::terminal::{start_terminal, terminal};
use crate::text::Pen;
use crate::view::{Action, Item, Outcome, View};
use crate::worker::{Ask, Told, Worker};

/// Runs the launcher until the compositor ends it. Connects by `WAYLAND_DISPLAY`.
///
/// # Errors
/// A sentence for the log when the compositor cannot be reached or lacks what the launcher needs.
pub fn run(source: Box<dyn Source>) -> Result<(), String> {
    let connection = Connection::connect_to_env().map_err(|e| e.to_string())?;
    let (list, mut queue) = registry_queue_init::<Client>(&connection).map_err(|e| e.to_string())?;
    let handle = queue.handle();
    let missing = |e: wayland_client::globals::BindError| e.to_string();
    let compositor: WlCompositor = list.bind(&handle, 4..=4, ()).map_err(missing)?;
    let shell: ZwlrLayerShellV1 = list.bind(&handle, 4..=4, ()).map_err(missing)?;
    let shm = list.bind(&handle, 1..=1, ()).map_err(missing)?;
    let _seat: WlSeat = list.bind(&handle, 5..=5, ()).map_err(missing)?;
    let viewporter: Option<WpViewporter> = list.bind(&handle, 1..=1, ()).ok();
    let fractions: Option<WpFractionalScaleManagerV1> = list.bind(&handle, 1..=1, ()).ok();
    let _windows: Option<ExtForeignToplevelListV1> = list.bind(&handle, 1..=1, ()).ok();

    let surface = compositor.create_surface(&handle, ());
    let layer = shell.get_layer_surface(&surface, None, Layer::Bottom, NAMESPACE.to_owned(), &handle, ());
    layer.set_anchor(Anchor::Top | Anchor::Bottom | Anchor::Left | Anchor::Right);
    layer.set_keyboard_interactivity(KeyboardInteractivity::OnDemand);
    let viewport = viewporter.map(|v| v.get_viewport(&surface, &handle, ()));
    if let Some(fractions) = fractions.filter(|_| viewport.is_some()) {
        fractions.get_fractional_scale(&surface, &handle, ());
    }
    surface.commit();
    let worker = Worker::start(source).map_err(|e| format!("no thread: {e}"))?;
    let ended = Ended::listen().inspect_err(|e| tracing::warn!("programs that end at once go unnoticed: {e}")).ok();
    let mut client = Client {
        shm,
        surface,
        layer,
        viewport,
        worker,
        view: View::new(),
        pen: Pen::new(),
        covers: BTreeMap::new(),
        buffers: Vec::new(),
        size: (0, 0),
        scale: 1.0,
        fingers: Vec::new(),
        pointer: (0, 0),
        wheel: 0.0,
        toplevels: 0,
        above: false,
        looks: Looks::default(),
        dirty: false,
        waits_for_frame: false,
        closed: false,
    };
    if !client.pen.has_fonts() {
        tracing::warn!("no fonts are installed: the launcher has no letters");
    }
    client.look();
    while !client.closed {
        queue.dispatch_pending(&mut client).map_err(|e| e.to_string())?;
        client.hear();
        client.hear_of_ends(ended.as_ref());
        client.draw(&handle);
        if queue.flush().is_err() {
            // The compositor ended: so does the launcher.
            break;
        }
        let Some(guard) = queue.prepare_read() else { continue };
        let (display, worker) = (connection.as_fd(), client.worker.as_fd());
        // Twice the same one where there is none to listen to.
        let ends = ended.as_ref().map_or(worker, Ended::as_fd);
        let fds = &mut [display, worker, ends].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.to_string()),
        }
        let readable = !fds[0].revents().is_empty();
        if readable && guard.read().is_err_and(|e| !would_block(&e)) {
            break;
        }
    }
    Ok(())
}

fn would_block(error: &wayland_client::backend::WaylandError) -> bool {
    matches!(error, wayland_client::backend::WaylandError::Io(e) if e.kind() == std::io::ErrorKind::WouldBlock)
}

struct Client {
    shm: WlShm,
    surface: WlSurface,
    layer: ZwlrLayerSurfaceV1,
    viewport: Option<WpViewport>,
    worker: Worker,
    view: View,
    pen: Pen,
    /// Those that were asked for; `None` until they come, and where there is none.
    covers: BTreeMap<String, Option<Cover>>,
    buffers: Vec<Buffer>,
    /// In units.
    size: (i32, i32),
    /// Pixels per unit.
    scale: f64,
    /// The first is the one that scrolls and presses.
    fingers: Vec<i32>,
    /// In pixels.
    pointer: (i32, i32),
    /// What the wheel turned and has not scrolled yet, in pixels.
    wheel: f64,
    /// Windows that are open, by the compositor's list.
    toplevels: usize,
    /// It lies above the windows.
    above: bool,
    looks: Looks,
    dirty: bool,
    waits_for_frame: bool,
    closed: bool,
}

/// The source is asked for everything once at a time.
#[derive(Default)]
struct Looks {
    under_way: bool,
    again: bool,
}

struct Buffer {
    wire: WlBuffer,
    map: MmapMut,
    width: i32,
    height: i32,
    /// The compositor may still read it.
    busy: bool,
}

impl Client {
    fn look(&mut self) {
        if self.looks.under_way {
            self.looks.again = true;
        } else {
            self.view.terminal = terminal().is_some();
            self.looks.under_way = self.worker.ask(Ask::Look);
        }
    }

    /// Titles change at any pace; behind a window nobody sees that, and it looks again when it gets the keyboard.
    fn look_if_seen(&mut self) {
        if !self.is_hidden() {
            self.look();
        }
    }

    /// Hears what the source tells.
    fn hear(&mut self) {
        while let Some(told) = self.worker.next() {
            match told {
                Told::Content(content) => {
                    match content {
                        Ok(content) => {
                            self.view.trouble = None;
                            self.view.show(content);
                        }
                        Err(why) => self.view.trouble = Some(why),
                    }
                    self.looks.under_way = false;
                    if std::mem::take(&mut self.looks.again) {
                        self.look();
                    }
                }
                Told::Cover { id, cover } => drop(self.covers.insert(id, cover)),
                Told::Done(Ok(())) => self.look(),
                Told::Done(Err(why)) => self.view.trouble = Some(why),
            }
            self.dirty = true;
        }
        self.ask_for_covers();
    }

    /// A program may have ended at once: a person who started it saw nothing of it.
    fn hear_of_ends(&mut self, ended: Option<&Ended>) {
        if let Some(sentence) = ended.and_then(Ended::next) {
            tracing::info!("{sentence}");
            self.view.ended = Some(sentence);
            self.dirty = true;
        }
    }

    /// Asks for the pictures of what is in sight.
    fn ask_for_covers(&mut self) {
        let (width, height) = self.view.cover_size();
        let bottom = (f64::from(self.size.1) * self.scale) as i32;
        let layout = self.view.layout();
        let in_sight = layout.items.iter().filter(|(_, place)| place.y < bottom && place.y + place.height > 0);
        for (item, _) in in_sight {
            let Item::Entry(id) = item else { continue };
            let has = self.view.content.entries.iter().any(|entry| entry.id == *id && entry.cover);
            if !has || self.covers.contains_key(id) {
                continue;
            }
            if self.covers.len() >= MOST_COVERS {
                // Asked for again when they come into sight.
                self.covers.clear();
            }
            let side = |v: i32| u32::try_from(v).unwrap_or(1);
            if self.worker.ask(Ask::Cover { id: id.clone(), width: side(width), height: side(height) }) {
                self.covers.insert(id.clone(), None);
            }
        }
    }

    /// Windows are open, and it lies behind them: what shines through or lies beside them is the desktop.
    fn is_hidden(&self) -> bool {
        !self.above && self.toplevels > 0
    }

    fn outcome(&mut self, outcome: Outcome) {
        if self.is_hidden() {
            return;
        }
        let action = match outcome {
            Outcome::Same => return,
            Outcome::Changed => {
                self.dirty = true;
                return;
            }
            Outcome::Do(action) => action,
        };
        self.dirty = true;
        // It was seen.
        self.view.ended = None;
        let asked = match action {
            Action::Terminal => {
                if let Err(why) = start_terminal() {
                    self.view.trouble = Some(why);
                }
                true
            }
            Action::Launch(id) => self.worker.ask(Ask::Launch(id)),
            Action::Focus(window) => self.worker.ask(Ask::Focus(window)),
            Action::Close(window) => self.worker.ask(Ask::Close(window)),
            Action::Leave => {
                self.step_back();
                true
            }
        };
        if !asked {
            self.view.trouble = Some("Too much at once.".to_owned());
        }
    }

    /// Gives the keyboard back to the windows, if there are any.
    fn step_back(&mut self) {
        if self.above {
            self.lie(Layer::Bottom, KeyboardInteractivity::None);
        }
    }

    fn lie(&mut self, layer: Layer, keyboard: KeyboardInteractivity) {
        self.above = layer != Layer::Bottom;
        self.layer.set_layer(layer);
        self.layer.set_keyboard_interactivity(keyboard);
        self.surface.commit();
        self.dirty = true;
    }

    /// The keyboard came or went.
    fn focused(&mut self, focused: bool) {
        if focused {
            self.look();
            if self.toplevels > 0 && !self.above {
                self.lie(Layer::Top, KeyboardInteractivity::OnDemand);
            }
        } else {
            self.view.cancel();
            self.lie(Layer::Bottom, KeyboardInteractivity::OnDemand);
        }
    }

    /// A place on the surface in pixels.
    fn pixel(&self, x: f64, y: f64) -> (i32, i32) {
        ((x * self.scale) as i32, (y * self.scale) as i32)
    }

    fn resize(&mut self) {
        let (width, height) = self.pixels();
        self.view.resize(width, height, self.scale);
        // They are cut for another size.
        self.covers.clear();
        self.dirty = true;
    }

    fn pixels(&self) -> (i32, i32) {
        let side = |units: i32| (f64::from(units) * self.scale).round() as i32;
        (side(self.size.0), side(self.size.1))
    }

    /// Draws what changed, once per refresh.
    fn draw(&mut self, handle: &QueueHandle<Self>) {
        if !self.dirty || self.waits_for_frame || self.size.0 <= 0 || self.size.1 <= 0 {
            return;
        }
        let Some(index) = self.free_buffer(handle) else { return };
        self.dirty = false;
        let hidden = self.is_hidden();
        let buffer = &mut self.buffers[index];
        let mut canvas = Canvas::new(&mut buffer.map, buffer.width, buffer.height);
        if hidden {
            canvas.clear([0; 4]);
        } else {
            paint(&mut canvas, &self.view, &self.covers, &mut self.pen, self.above);
        }
        buffer.busy = true;
        self.surface.attach(Some(&buffer.wire), 0, 0);
        self.surface.damage_buffer(0, 0, buffer.width, buffer.height);
        if let Some(viewport) = &self.viewport {
            viewport.set_destination(self.size.0, self.size.1);
        }
        self.surface.frame(handle, ());
        self.waits_for_frame = true;
        self.surface.commit();
    }

    /// A free buffer of the current size; `None` while the compositor holds them all.
    fn free_buffer(&mut self, handle: &QueueHandle<Self>) -> Option<usize> {
        let (width, height) = self.pixels();
        self.buffers.retain(|buffer| {
            let fits = (buffer.width, buffer.height) == (width, height);
            if !fits {
                buffer.wire.destroy();
            }
            fits
        });
        if let Some(free) = self.buffers.iter().position(|b| !b.busy) {
            return Some(free);
        }
        if self.buffers.len() >= MOST_BUFFERS {
            return None;
        }
        let bytes = width.checked_mul(height)?.checked_mul(4).filter(|b| *b > 0)?;
        let file = memfd_create("launcher", MemfdFlags::CLOEXEC).ok()?;
        ftruncate(&file, bytes as u64).ok()?;
        // SAFETY: a fresh memfd of sufficient length that nobody shrinks; the compositor only reads it.
        let map = unsafe { MmapMut::map_mut(&file) }.ok()?;
        let pool = self.shm.create_pool(file.as_fd(), bytes, handle, ());
        let wire = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Argb8888, handle, ());
        pool.destroy();
        self.buffers.push(Buffer { wire, map, width, height, busy: false });
        Some(self.buffers.len() - 1)
    }
}

impl Dispatch<ZwlrLayerSurfaceV1, ()> for Client {
    fn event(
        client: &mut Self,
        layer: &ZwlrLayerSurfaceV1,
        event: zwlr_layer_surface_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwlr_layer_surface_v1::Event::Configure { serial, width, height } => {
                layer.ack_configure(serial);
                let side = |v: u32| i32::try_from(v).unwrap_or(0).min(LARGEST_SIDE);
                client.size = (side(width), side(height));
                client.resize();
            }
            zwlr_layer_surface_v1::Event::Closed => client.closed = true,
            _ => {}
        }
    }
}

impl Dispatch<WpFractionalScaleV1, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WpFractionalScaleV1,
        event: wp_fractional_scale_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wp_fractional_scale_v1::Event::PreferredScale { scale } = event {
            // 120ths of a pixel per unit.
            client.scale = (f64::from(scale) / 120.0).clamp(0.5, 8.0);
            client.resize();
        }
    }
}

impl Dispatch<WlCallback, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            client.waits_for_frame = false;
        }
    }
}

impl Dispatch<WlBuffer, ()> for Client {
    fn event(
        client: &mut Self,
        wire: &WlBuffer,
        event: wl_buffer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        // A buffer of an earlier size is not in the list any more.
        if let wl_buffer::Event::Release = event
            && let Some(buffer) = client.buffers.iter_mut().find(|b| b.wire == *wire)
        {
            buffer.busy = false;
        }
    }
}

impl Dispatch<WlSeat, ()> for Client {
    fn event(_: &mut Self, seat: &WlSeat, event: wl_seat::Event, (): &(), _: &Connection, handle: &QueueHandle<Self>) {
        // A private desktop's seat has all it will have when it is announced.
        if let wl_seat::Event::Capabilities { capabilities: WEnum::Value(has) } = event {
            if has.contains(wl_seat::Capability::Pointer) {
                seat.get_pointer(handle, ());
            }
            if has.contains(wl_seat::Capability::Keyboard) {
                seat.get_keyboard(handle, ());
            }
            if has.contains(wl_seat::Capability::Touch) {
                seat.get_touch(handle, ());
            }
        }
    }
}

impl Dispatch<WlKeyboard, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_keyboard::Event::Enter { .. } => client.focused(true),
            wl_keyboard::Event::Leave { .. } => client.focused(false),
            wl_keyboard::Event::Key { key, state: WEnum::Value(wl_keyboard::KeyState::Pressed), .. } => {
                let outcome = client.view.key(key);
                client.outcome(outcome);
            }
            _ => {}
        }
    }
}

impl Dispatch<WlPointer, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WlPointer,
        event: wl_pointer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let outcome = match event {
            wl_pointer::Event::Enter { surface_x, surface_y, .. } => {
                client.look();
                client.pointer = client.pixel(surface_x, surface_y);
                // What lies under it by chance was not chosen.
                return;
            }
            wl_pointer::Event::Leave { .. } => return client.view.cancel(),
            wl_pointer::Event::Motion { surface_x, surface_y, .. } => {
                client.pointer = client.pixel(surface_x, surface_y);
                client.view.point(client.pointer.0, client.pointer.1)
            }
            wl_pointer::Event::Button { button: BUTTON_LEFT, state: WEnum::Value(state), .. } => match state {
                wl_pointer::ButtonState::Pressed => client.view.press(client.pointer.0, client.pointer.1),
                _ => client.view.release(),
            },
            wl_pointer::Event::Axis { axis: WEnum::Value(wl_pointer::Axis::VerticalScroll), value, .. } => {
                client.wheel += value * client.scale * SCROLL;
                let whole = client.wheel.trunc();
                client.wheel -= whole;
                client.view.scroll_by(whole as i32)
            }
            _ => return,
        };
        client.outcome(outcome);
    }
}

impl Dispatch<WlTouch, ()> for Client {
    fn event(client: &mut Self, _: &WlTouch, event: wl_touch::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        let outcome = match event {
            wl_touch::Event::Down { id, x, y, .. } => {
                client.fingers.push(id);
                if client.fingers.len() > 1 {
                    return;
                }
                let (x, y) = client.pixel(x, y);
                client.view.press(x, y)
            }
            wl_touch::Event::Motion { id, x, y, .. } if client.fingers.first() == Some(&id) => {
                let (x, y) = client.pixel(x, y);
                client.view.point(x, y)
            }
            wl_touch::Event::Up { id, .. } => {
                let first = client.fingers.first() == Some(&id);
                client.fingers.retain(|finger| *finger != id);
                if first { client.view.release() } else { Outcome::Same }
            }
            wl_touch::Event::Cancel => {
                client.fingers.clear();
                client.view.cancel();
                Outcome::Same
            }
            _ => return,
        };
        client.outcome(outcome);
    }
}

impl Dispatch<ExtForeignToplevelListV1, ()> for Client {
    fn event(
        client: &mut Self,
        _: &ExtForeignToplevelListV1,
        event: ext_foreign_toplevel_list_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let ext_foreign_toplevel_list_v1::Event::Toplevel { .. } = event {
            client.toplevels += 1;
            client.dirty = true;
        }
    }

    event_created_child!(Client, ExtForeignToplevelListV1, [
        ext_foreign_toplevel_list_v1::EVT_TOPLEVEL_OPCODE => (ExtForeignToplevelHandleV1, ()),
    ]);
}

impl Dispatch<ExtForeignToplevelHandleV1, ()> for Client {
    fn event(
        client: &mut Self,
        window: &ExtForeignToplevelHandleV1,
        event: ext_foreign_toplevel_handle_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            ext_foreign_toplevel_handle_v1::Event::Closed => {
                window.destroy();
                client.toplevels = client.toplevels.saturating_sub(1);
                if client.toplevels == 0 && client.above {
                    client.lie(Layer::Bottom, KeyboardInteractivity::OnDemand);
                }
                client.dirty = true;
                client.look_if_seen();
            }
            // Its title, too, when it has one.
            ext_foreign_toplevel_handle_v1::Event::Done => client.look_if_seen(),
            _ => {}
        }
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Client {
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

delegate_noop!(Client: ignore WlCompositor);
delegate_noop!(Client: ignore WlSurface);
delegate_noop!(Client: ignore WlShm);
delegate_noop!(Client: ignore WlShmPool);
delegate_noop!(Client: ignore ZwlrLayerShellV1);
delegate_noop!(Client: ignore WpViewporter);
delegate_noop!(Client: ignore WpViewport);
delegate_noop!(Client: ignore WpFractionalScaleManagerV1);

/// One on the screen, one to draw into.
const MOST_BUFFERS: usize = 2;
const MOST_COVERS: usize = 192;
const LARGEST_SIDE: i32 = 16_384;
/// Of a detent's 15 units: a row's third.
const SCROLL: f64 = 5.0;
/// `BTN_LEFT` of the kernel's `input-event-codes.h`.
const BUTTON_LEFT: u32 = 0x110;
