//! The stage on a sway output, whoever made the output.

use punktfunk_media::{CaptureError, Capturer, InjectError, Injector, Keep, Mode, Stage, StageError};

use crate::keyboard::FoundLayout;
use crate::output;
use crate::wlroots::SessionSockets;

/// What a stage stands on. Dropping it undoes it.
pub trait Backing: Send {
    /// Whether the compositor still runs. Cheap.
    fn is_alive(&mut self) -> bool;

    /// Writes down how long it is kept, if it can live on without this host; see [`Stage::keep`].
    fn keep(&mut self, _keep: Keep) -> bool {
        false
    }
}

/// An output of a sway.
pub struct SwayStage {
    sockets: SessionSockets,
    output: String,
    mode: Mode,
    keyboard: FoundLayout,
    /// Keeps a pointer and a keyboard on the seat between sessions. Without, programs would lose the seat's keyboard
    /// whenever a client leaves, and the first keys of the next one. `None` where the compositor takes no input.
    keeper: Option<Box<dyn Injector>>,
    // After the keeper, which hangs on it.
    backing: Box<dyn Backing>,
}

impl SwayStage {
    /// A stage on `output`, which has `mode`.
    pub fn new(
        sockets: SessionSockets,
        output: String,
        mode: Mode,
        keyboard: FoundLayout,
        backing: Box<dyn Backing>,
    ) -> Self {
        let keeper = punktfunk_inject::open(&sockets.display, &output, &keyboard.layout)
            .inspect_err(|e| tracing::warn!(output, "no input on this desktop: {e}"))
            .ok();
        tracing::info!(output, %mode, %keyboard, "stage open");
        Self { sockets, output, mode, keyboard, keeper, backing }
    }
}

impl Stage for SwayStage {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        self.mode = output::change_mode(&self.sockets.ipc, &self.output, self.mode, mode)?;
        tracing::info!(output = self.output, %mode, "mode changed");
        Ok(self.mode)
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        punktfunk_capture::open(&self.sockets.display, &self.output)
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        let open = || punktfunk_inject::open(&self.sockets.display, &self.output, &self.keyboard.layout);
        let injector = open()?;
        // A fresh one, since nobody reads what the compositor tells the keeper, and its buffers are finite.
        self.keeper = open().ok();
        Ok(injector)
    }

    fn is_alive(&mut self) -> bool {
        self.backing.is_alive()
    }

    fn keyboard_layout(&self) -> String {
        self.keyboard.to_string()
    }

    fn keep(&mut self, keep: Keep) -> bool {
        self.backing.keep(keep)
    }
}
