//! Everything that the handlers of the protocols work on.

use std::sync::Arc;

use smithay::desktop::{PopupManager, Space};
use smithay::input::{Seat, SeatState};
use smithay::output::Output;
use smithay::reexports::calloop::LoopHandle;
use smithay::reexports::wayland_server::backend::{ClientData, ClientId, DisconnectReason};
use smithay::reexports::wayland_server::{DisplayHandle, protocol::wl_surface::WlSurface};
use smithay::wayland::compositor::CompositorClientState;

use punktfunk_media::Mode;

use super::apart::Apart;
use super::cursor::Cursor;
use super::edges::Edges;
use super::globals::{self, Globals};
use super::moving::Moving;
use super::pen::PenMemory;
use super::pointer::PointerMemory;
use super::screen::Screen;
use super::shortcuts;
use super::text::TextKeyboard;
use super::text_input::TextInputs;
use super::timing::Timing;
use super::window::AppWindow;
use super::x11::X11;
use super::{ServerConfig, check_mode};
use crate::pace::Pacer;

/// The desktop.
pub struct State {
    pub(super) display: DisplayHandle,
    pub(super) globals: Globals,
    pub(super) seats: SeatState<Self>,
    pub(super) seat: Seat<Self>,
    pub(super) output: Output,
    pub(super) mode: Mode,
    pub(super) scale: f64,
    /// Windows that are seen, bottom first.
    pub(super) space: Space<AppWindow>,
    /// Windows that have shown nothing yet.
    pub(super) unmapped: Vec<AppWindow>,
    pub(super) window_ids: u64,
    pub(super) moving: Option<Moving>,
    /// A finger that may ask something of the desktop.
    pub(super) edges: Edges,
    /// Those that are down.
    pub(super) fingers: Vec<u32>,
    pub(super) popups: PopupManager,
    pub(super) cursor: Cursor,
    pub(super) apart: Apart,
    /// What is dragged between programs.
    pub(super) drag_icon: Option<WlSurface>,
    pub(super) pointer: PointerMemory,
    pub(super) pen: PenMemory,
    pub(super) text: TextKeyboard,
    pub(super) text_inputs: TextInputs,
    pub(super) timing: Timing,
    pub(super) shortcuts_held: shortcuts::Held,
    /// Somebody asked for another terminal.
    pub(super) terminal_wanted: bool,
    pub(super) x11: X11,
    pub(super) pacer: Pacer,
    pub(super) screen: Screen,
}

impl State {
    /// A desktop without windows.
    pub(super) fn new(
        display: DisplayHandle,
        config: &ServerConfig,
        x11_loop: LoopHandle<'static, Self>,
    ) -> Result<Self, String> {
        check_mode(config.mode, config.scale)?;
        let mut seats = SeatState::new();
        let seat = globals::seat(&display, &mut seats, &config.keyboard)?;
        let output = globals::output(&display, config.mode, config.scale);
        let mut space = Space::default();
        space.map_output(&output, (0, 0));
        let mut state = Self {
            globals: Globals::new(&display),
            seats,
            text: TextKeyboard::default(),
            text_inputs: TextInputs::default(),
            timing: Timing::default(),
            shortcuts_held: Vec::new(),
            terminal_wanted: false,
            seat,
            screen: Screen::new(&output)?,
            output,
            mode: config.mode,
            scale: config.scale,
            space,
            unmapped: Vec::new(),
            window_ids: 0,
            moving: None,
            edges: Edges::default(),
            fingers: Vec::new(),
            popups: PopupManager::default(),
            cursor: Cursor::new(config.scale),
            apart: Apart::new(false),
            drag_icon: None,
            pointer: PointerMemory::default(),
            pen: PenMemory::default(),
            pacer: Pacer::new(config.mode.refresh_hz),
            x11: X11::new(&display, &config.runtime_dir, x11_loop),
            display,
        };
        state.set_num_lock();
        state.centre_pointer();
        state.add_tablet();
        Ok(state)
    }

    /// Gives the output another mode, and scale if there is one. Programs are told at once.
    pub(super) fn set_mode(&mut self, mode: Mode, scale: Option<f64>) -> Result<(), String> {
        let scale = scale.unwrap_or(self.scale);
        check_mode(mode, scale)?;
        let resized = (mode.width, mode.height) != (self.mode.width, self.mode.height);
        if mode == self.mode && scale.to_bits() == self.scale.to_bits() {
            return Ok(());
        }
        (self.mode, self.scale) = (mode, scale);
        // First: the output tells Xwayland its place in that scale.
        self.x11.set_scale(scale);
        globals::set_mode(&self.output, mode, scale);
        self.pacer.set_rate(mode.refresh_hz);
        self.cursor.set_scale(scale);
        self.apart.reshaped();
        self.arrange_everything();
        self.keep_pointer_inside();
        if resized {
            self.screen.new_layout(&self.output);
            self.pacer.set_credits(0);
        }
        self.pacer.restart();
        tracing::info!(%mode, scale, "mode changed");
        Ok(())
    }

    /// Size of the output in logical pixels.
    pub(super) fn logical_size(&self) -> smithay::utils::Size<i32, smithay::utils::Logical> {
        let size = self.output.current_mode().map_or_else(Default::default, |m| m.size);
        size.to_f64().to_logical(self.scale).to_i32_ceil()
    }
}

/// What is kept for each program's connection.
#[derive(Default)]
pub struct ClientState {
    pub(super) compositor: CompositorClientState,
    /// Windows that it made and that live.
    pub(super) windows: std::sync::atomic::AtomicU32,
}

impl ClientState {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }
}

impl ClientData for ClientState {
    fn initialized(&self, _: ClientId) {}

    fn disconnected(&self, _: ClientId, reason: DisconnectReason) {
        if let DisconnectReason::ProtocolError(error) = reason {
            tracing::debug!("a program broke the protocol and was cut off: {error}");
        }
    }
}
