//! A Wayland connection of our own to one compositor, with the seat, the output found by name and the managers.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use punktfunk_media::{InjectError, reason};
use punktfunk_wayland::Outputs;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use wayland_client::backend::WaylandError;
use wayland_client::globals::registry_queue_init;
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols::xdg::xdg_output::zv1::client::{
    zxdg_output_manager_v1::ZxdgOutputManagerV1,
    zxdg_output_v1::{self, ZxdgOutputV1},
};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::{
    zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1, zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1,
};
use wayland_protocols_wlr::virtual_pointer::v1::client::{
    zwlr_virtual_pointer_manager_v1::ZwlrVirtualPointerManagerV1, zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1,
};

use crate::{lost, wait_for_room};

/// The connection and what is known.
pub struct Link {
    queue: EventQueue<State>,
    started: Instant,
    /// What the events said.
    pub state: State,
}

/// What the compositor told us.
pub struct State {
    /// The seat that input goes to.
    pub seat: WlSeat,
    /// Makes keyboards.
    pub keyboards: ZwpVirtualKeyboardManagerV1,
    /// Makes pointers.
    pub pointers: ZwlrVirtualPointerManagerV1,
    /// Its outputs.
    pub outputs: Outputs,
    /// Size of our output in the desktop's logical pixels, which differs from its pixels where it is scaled.
    logical: Option<(u32, u32)>,
}

impl Link {
    /// Connects to the compositor at `display` and finds the output named `output`.
    pub fn open(display: &Path, output: &str) -> Result<Self, InjectError> {
        let broken = |what: String| lost(format!("{}: {what}", display.display()));
        let connection = punktfunk_wayland::connect(display).map_err(lost)?;
        let (list, queue) = registry_queue_init::<State>(&connection).map_err(|e| broken(e.to_string()))?;
        let handle = queue.handle();
        let missing = |what: &str| InjectError {
            reason: &reason::INJECT_UNSUPPORTED,
            detail: format!("{} offers no {what}", display.display()),
            fatal: true,
        };
        let mut state = State {
            seat: list.bind(&handle, 1..=1, ()).map_err(|_| missing("wl_seat"))?,
            keyboards: list.bind(&handle, 1..=1, ()).map_err(|_| missing("zwp_virtual_keyboard_manager_v1"))?,
            pointers: list
                .bind(&handle, 2..=2, ())
                .map_err(|_| missing("zwlr_virtual_pointer_manager_v1 version 2"))?,
            outputs: Outputs::wanting(output),
            logical: None,
        };
        state.outputs.bind_all(&list, &handle);
        let mut link = Self { queue, started: Instant::now(), state };
        // Twice: outputs that appear during the first round trip are bound there and tell their names in the second.
        link.roundtrip()?;
        link.roundtrip()?;
        let Some(wanted) = link.state.outputs.wanted() else {
            return Err(broken(format!("no output {output}")));
        };
        if let Ok(sizes) = list.bind::<ZxdgOutputManagerV1, _, _>(&handle, 1..=3, ()) {
            sizes.get_xdg_output(wanted, &handle, ());
            link.roundtrip()?;
        }
        Ok(link)
    }

    /// Our output's size in pixels and in logical pixels. `None` before its mode is known.
    pub fn size(&self) -> Option<[(u32, u32); 2]> {
        let pixels = self.state.outputs.size()?;
        Some([pixels, self.state.logical.unwrap_or(pixels)])
    }

    /// To make objects with.
    pub fn handle(&self) -> QueueHandle<State> {
        self.queue.handle()
    }

    /// Event time stamp: milliseconds, as the protocol wants it, of a clock of our own.
    pub fn time_ms(&self) -> u32 {
        // Wraps after 49 days, as the protocol's type does.
        self.started.elapsed().as_millis() as u32
    }

    /// Sends what was requested. A socket that stays full is no error: the rest goes with the next call.
    pub fn flush(&self) -> Result<(), InjectError> {
        loop {
            match self.queue.flush() {
                Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    if !wait_for_room(&self.queue) {
                        return Ok(());
                    }
                }
                other => return other.map_err(|e| lost(e.to_string())),
            }
        }
    }

    /// Handles the events that are there, without waiting.
    pub fn take_events(&mut self) -> Result<(), InjectError> {
        self.queue.dispatch_pending(&mut self.state).map_err(|e| lost(e.to_string()))?;
        if let Some(guard) = self.queue.prepare_read() {
            match guard.read() {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(lost(e.to_string())),
            }
        }
        self.queue.dispatch_pending(&mut self.state).map_err(|e| lost(e.to_string())).map(drop)
    }

    /// Waits until the compositor handled everything. Only while opening.
    pub fn roundtrip(&mut self) -> Result<(), InjectError> {
        self.queue.roundtrip(&mut self.state).map_err(|e| lost(e.to_string())).map(drop)
    }
}

impl AsMut<Outputs> for State {
    fn as_mut(&mut self) -> &mut Outputs {
        &mut self.outputs
    }
}

impl Dispatch<ZxdgOutputV1, ()> for State {
    fn event(
        state: &mut Self,
        _: &ZxdgOutputV1,
        event: zxdg_output_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zxdg_output_v1::Event::LogicalSize { width: width @ 1.., height: height @ 1.. } = event {
            state.logical = Some((width.unsigned_abs(), height.unsigned_abs()));
        }
    }
}

/// A keymap's text in a memfd as `wl_keyboard` wants it: with a final NUL. Returns its size too.
pub fn keymap_file(text: &str) -> std::io::Result<(File, u32)> {
    let fd = memfd_create("punktfunk-keymap", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(text.as_bytes())?;
    file.write_all(&[0])?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    let size = u32::try_from(text.len() + 1).map_err(|_| std::io::ErrorKind::InvalidData)?;
    Ok((file, size))
}

/// `wl_keyboard.keymap_format.xkb_v1`.
pub const KEYMAP_FORMAT_XKB_V1: u32 = 1;

punktfunk_wayland::delegate_outputs!(State);
delegate_noop!(State: ignore WlSeat);
delegate_noop!(State: ignore ZwpVirtualKeyboardManagerV1);
delegate_noop!(State: ignore ZwpVirtualKeyboardV1);
delegate_noop!(State: ignore ZwlrVirtualPointerManagerV1);
delegate_noop!(State: ignore ZwlrVirtualPointerV1);
delegate_noop!(State: ignore ZxdgOutputManagerV1);
