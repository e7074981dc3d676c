//! What moves on a private desktop: a wallpaper, and above it a bar with a clock and a wave. The host's own binary runs
//! this in its scene mode, as an ordinary program of the desktop.
//!
//! The wallpaper is drawn once per size. Of the bar, only the wave (240x32) is drawn and damaged at every refresh, so
//! that a stream has something that moves while compositor, capture and encoder have little to do.

mod paint;

use std::os::fd::AsFd;
use std::time::Instant;

use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
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
use wayland_protocols_wlr::layer_shell::v1::client::{
    zwlr_layer_shell_v1::{Layer, ZwlrLayerShellV1},
    zwlr_layer_surface_v1::{self, Anchor, ZwlrLayerSurfaceV1},
};

use paint::Canvas;

/// Runs the scene until the compositor ends it. Connects by `WAYLAND_DISPLAY`.
///
/// # Errors
/// A sentence for the log when the compositor cannot be reached or lacks what the scene needs.
pub fn run() -> Result<(), String> {
    let connection = Connection::connect_to_env().map_err(|e| e.to_string())?;
    let (list, mut queue) = registry_queue_init::<Scene>(&connection).map_err(|e| e.to_string())?;
    let handle = queue.handle();
    let compositor: WlCompositor = list.bind(&handle, 4..=4, ()).map_err(|e| e.to_string())?;
    let shell: ZwlrLayerShellV1 = list.bind(&handle, 1..=4, ()).map_err(|e| e.to_string())?;
    let shm = list.bind(&handle, 1..=1, ()).map_err(|e| e.to_string())?;

    let wallpaper = Panel::create(&compositor, &shell, &handle, Which::Wallpaper);
    let bar = Panel::create(&compositor, &shell, &handle, Which::Bar);
    let mut scene = Scene { shm, wallpaper, bar, started: Instant::now(), clock: String::new(), closed: false };
    while !scene.closed {
        if queue.blocking_dispatch(&mut scene).is_err() {
            // The compositor ended: so does the scene.
            break;
        }
    }
    Ok(())
}

struct Scene {
    shm: WlShm,
    wallpaper: Panel,
    bar: Panel,
    started: Instant,
    /// The time of day as last shown.
    clock: String,
    closed: bool,
}

/// One layer surface with its buffers.
struct Panel {
    surface: WlSurface,
    size: (i32, i32),
    buffers: Vec<Buffer>,
}

struct Buffer {
    wire: WlBuffer,
    map: MmapMut,
    /// The compositor may still read it.
    busy: bool,
    /// Everything that does not move has been drawn.
    prepared: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Wallpaper,
    Bar,
}

/// Which buffer of which panel.
#[derive(Clone, Copy)]
struct BufferId(Which, usize);

impl Panel {
    fn create(compositor: &WlCompositor, shell: &ZwlrLayerShellV1, handle: &QueueHandle<Scene>, which: Which) -> Self {
        let surface = compositor.create_surface(handle, ());
        let layer = if which == Which::Wallpaper { Layer::Background } else { Layer::Bottom };
        let shown = shell.get_layer_surface(&surface, None, layer, "punktfunk-scene".to_owned(), handle, which);
        let sides = Anchor::Top | Anchor::Left | Anchor::Right;
        if which == Which::Wallpaper {
            shown.set_anchor(sides | Anchor::Bottom);
            shown.set_exclusive_zone(-1);
        } else {
            shown.set_anchor(sides);
            shown.set_size(0, paint::BAR_HEIGHT as u32);
            shown.set_exclusive_zone(paint::BAR_HEIGHT);
        }
        // Neither takes input: the desktop's programs do.
        let nowhere = compositor.create_region(handle, ());
        surface.set_input_region(Some(&nowhere));
        nowhere.destroy();
        surface.commit();
        Self { surface, size: (0, 0), buffers: Vec::new() }
    }

    /// A free buffer of the current size; `None` while the compositor holds them all.
    fn free_buffer(&mut self, shm: &WlShm, handle: &QueueHandle<Scene>, which: Which) -> Option<usize> {
        if let Some(free) = self.buffers.iter().position(|b| !b.busy) {
            return Some(free);
        }
        if self.buffers.len() >= MOST_BUFFERS {
            return None;
        }
        let (width, height) = self.size;
        let bytes = width.checked_mul(height)?.checked_mul(4).filter(|b| *b > 0)?;
        let file = memfd_create("scene", MemfdFlags::CLOEXEC).ok()?;
        ftruncate(&file, bytes as u64).ok()?;
        // SAFETY: a fresh memfd of sufficient length that nobody shrinks; the compositor only reads it.
        let map = unsafe { MmapMut::map_mut(&file) }.ok()?;
        let pool = shm.create_pool(file.as_fd(), bytes, handle, ());
        let id = BufferId(which, self.buffers.len());
        let wire = pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Xrgb8888, handle, id);
        pool.destroy();
        self.buffers.push(Buffer { wire, map, busy: false, prepared: false });
        Some(self.buffers.len() - 1)
    }

    fn resize(&mut self, width: i32, height: i32) {
        if self.size != (width, height) {
            self.size = (width, height);
            self.buffers.drain(..).for_each(|b| b.wire.destroy());
        }
    }
}

impl Scene {
    fn draw_wallpaper(&mut self, handle: &QueueHandle<Self>) {
        let panel = &mut self.wallpaper;
        let Some(index) = panel.free_buffer(&self.shm, handle, Which::Wallpaper) else { return };
        let (width, height) = panel.size;
        let buffer = &mut panel.buffers[index];
        paint::wallpaper(&mut Canvas::new(&mut buffer.map, width, height));
        buffer.busy = true;
        panel.surface.attach(Some(&buffer.wire), 0, 0);
        panel.surface.damage_buffer(0, 0, width, height);
        panel.surface.commit();
    }

    /// Draws what moves, and asks to be called again at the next refresh.
    fn draw_bar(&mut self, handle: &QueueHandle<Self>) {
        let panel = &mut self.bar;
        let (width, height) = panel.size;
        panel.surface.frame(handle, ());
        let Some(index) = panel.free_buffer(&self.shm, handle, Which::Bar) else {
            panel.surface.commit();
            return;
        };
        let clock = time_of_day();
        let buffer = &mut panel.buffers[index];
        let mut canvas = Canvas::new(&mut buffer.map, width, height);
        let fresh = !std::mem::replace(&mut buffer.prepared, true);
        if fresh {
            paint::bar(&mut canvas);
        }
        paint::clock(&mut canvas, &clock);
        let wave = paint::wave(&mut canvas, self.started.elapsed().as_secs_f32());
        buffer.busy = true;
        panel.surface.attach(Some(&buffer.wire), 0, 0);
        if fresh {
            panel.surface.damage_buffer(0, 0, width, height);
        } else {
            panel.surface.damage_buffer(wave.0, wave.1, wave.2, wave.3);
            if clock != self.clock {
                let (x, y, width, height) = paint::clock_place(width);
                panel.surface.damage_buffer(x, y, width, height);
            }
        }
        panel.surface.commit();
        self.clock = clock;
    }
}

/// Local time as `HH:MM:SS`.
fn time_of_day() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(now.as_secs()).unwrap_or_default();
    // SAFETY: an all-zero `tm` is a valid value of this plain C structure (its zone pointer may be null).
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right types; localtime_r writes only to the second.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    format!("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec)
}

impl Dispatch<ZwlrLayerSurfaceV1, Which> for Scene {
    fn event(
        scene: &mut Self,
        shown: &ZwlrLayerSurfaceV1,
        event: zwlr_layer_surface_v1::Event,
        which: &Which,
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        match event {
            zwlr_layer_surface_v1::Event::Configure { serial, width, height } => {
                shown.ack_configure(serial);
                let side = |v: u32| i32::try_from(v).unwrap_or(0);
                let (width, height) = (side(width), side(height));
                match which {
                    Which::Wallpaper => {
                        scene.wallpaper.resize(width, height);
                        scene.draw_wallpaper(handle);
                    }
                    Which::Bar => {
                        let first = scene.bar.size == (0, 0);
                        scene.bar.resize(width, height);
                        // Later sizes are drawn at the next refresh, which has been asked for.
                        if first {
                            scene.draw_bar(handle);
                        }
                    }
                }
            }
            zwlr_layer_surface_v1::Event::Closed => scene.closed = true,
            _ => {}
        }
    }
}

impl Dispatch<WlCallback, ()> for Scene {
    fn event(
        scene: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            scene.draw_bar(handle);
        }
    }
}

impl Dispatch<WlBuffer, BufferId> for Scene {
    fn event(
        scene: &mut Self,
        wire: &WlBuffer,
        event: wl_buffer::Event,
        id: &BufferId,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let wl_buffer::Event::Release = event else { return };
        let panel = if id.0 == Which::Bar { &mut scene.bar } else { &mut scene.wallpaper };
        // A buffer of an earlier size is not in the list any more.
        if let Some(buffer) = panel.buffers.get_mut(id.1).filter(|b| b.wire == *wire) {
            buffer.busy = false;
        }
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Scene {
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

delegate_noop!(Scene: ignore WlCompositor);
delegate_noop!(Scene: ignore WlSurface);
delegate_noop!(Scene: ignore WlShm);
delegate_noop!(Scene: ignore WlShmPool);
delegate_noop!(Scene: ignore wayland_client::protocol::wl_region::WlRegion);
delegate_noop!(Scene: ignore ZwlrLayerShellV1);

/// One on the screen, one queued, one to draw into.
const MOST_BUFFERS: usize = 3;
