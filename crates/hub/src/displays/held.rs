//! A stage that the hub gave out or keeps: counts itself, so that no path can forget to.

use std::sync::{Arc, Mutex, Weak};

use punktfunk_media::{
    AppSpec, AudioError, CaptureError, Capturer, Clipboard, ClipboardError, InjectError, Injector, Keep, LaunchError,
    Mode, RunningApp, Sound, Stage, StageEnvironment, StageError, StageWindow, WindowError, reason,
};

use super::Shared;
use crate::lock;

/// A stage that its session and visitors share. `None`: it is gone.
pub(super) type Slot = Mutex<Option<Box<dyn Stage>>>;

/// Wraps a desktop's stage. Told by [`Stage::keep`] whether a session uses it or the hub keeps it; dropped while in use, it
/// counts no more.
pub(super) struct Held {
    slot: Arc<Slot>,
    count: Count,
}

struct Count {
    shared: Weak<Shared>,
    identity: String,
    slot: Weak<Slot>,
    in_use: bool,
}

/// Somebody who starts programs on a stage that a session uses. The session goes on meanwhile, and may end.
pub(crate) struct Visitor(Weak<Slot>);

impl Held {
    /// Not in use yet.
    pub fn new(stage: Box<dyn Stage>, shared: Weak<Shared>, identity: &str) -> Box<Self> {
        let slot = Arc::new(Mutex::new(Some(stage)));
        let count = Count { shared, identity: identity.to_owned(), slot: Arc::downgrade(&slot), in_use: false };
        Box::new(Self { slot, count })
    }

    fn with<T>(&self, ask: impl FnOnce(&mut dyn Stage) -> T) -> T {
        let mut slot = lock(&self.slot);
        // Only dropping and leaving take it, and both consume `self`.
        ask(&mut **slot.as_mut().expect("the stage is here as long as its holder"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Before the count: when that says that nothing is in use, nothing is.
        let stage = lock(&self.slot).take();
        drop(stage);
    }
}

impl Visitor {
    pub fn new(slot: Weak<Slot>) -> Self {
        Self(slot)
    }

    fn with<T>(&self, ask: impl FnOnce(&mut dyn Stage) -> T) -> Option<T> {
        let slot = self.0.upgrade()?;
        let mut slot = lock(&slot);
        slot.as_mut().map(|stage| ask(&mut **stage))
    }

    /// As [`Stage::environment`].
    pub fn environment(&self) -> StageEnvironment {
        self.with(|stage| stage.environment()).unwrap_or_default()
    }

    /// As [`Stage::program_ended`].
    pub fn program_ended(&self) {
        let _ = self.with(|stage| stage.program_ended());
    }

    /// As [`Stage::windows`].
    pub fn windows(&self) -> Result<Vec<StageWindow>, WindowError> {
        self.with(|stage| stage.windows()).unwrap_or_else(|| Err(no_windows()))
    }

    /// Fits it to its client, if a session uses it.
    pub fn fit(&self, to: &Fit) -> Result<(), StageError> {
        self.with(|stage| fit(stage, to)).unwrap_or(Ok(()))
    }

    /// As [`Stage::focus_window`].
    pub fn focus_window(&self, id: u64) -> Result<(), WindowError> {
        self.with(|stage| stage.focus_window(id)).unwrap_or_else(|| Err(no_windows()))
    }

    /// As [`Stage::close_window`].
    pub fn close_window(&self, id: u64) -> Result<(), WindowError> {
        self.with(|stage| stage.close_window(id)).unwrap_or_else(|| Err(no_windows()))
    }

    /// As [`Stage::launch`].
    pub fn launch(&self, app: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        let gone = || LaunchError { reason: &reason::DISPLAY_NOT_FOUND, detail: "its session ended".to_owned() };
        self.with(|stage| stage.launch(app)).ok_or_else(gone)?
    }
}

/// How a display fits its client.
pub struct Fit {
    /// How large programs draw, in percent.
    pub scale_percent: u32,
    /// The client's own keyboard layout.
    pub keyboard_layout: Option<String>,
}

/// Fits a stage to its client: as far as it can be, with the first thing that it does not take.
pub(super) fn fit(stage: &mut dyn Stage, to: &Fit) -> Result<(), StageError> {
    let scaled =
        if stage.scale_percent() == to.scale_percent { Ok(()) } else { stage.set_scale_percent(to.scale_percent) };
    scaled.and(stage.set_keyboard_layout(to.keyboard_layout.as_deref()))
}

/// Its session ended, or has not begun.
pub(super) fn no_windows() -> WindowError {
    WindowError { reason: &reason::DISPLAY_NOT_FOUND, detail: "no session uses it".to_owned() }
}

impl Count {
    fn set(&mut self, in_use: bool) {
        if self.in_use != in_use
            && let Some(shared) = self.shared.upgrade()
        {
            let mut state = lock(&shared.state);
            if in_use {
                state.keeper.begin(&self.identity);
                state.in_use.insert(self.identity.clone(), self.slot.clone());
            } else {
                state.keeper.end(&self.identity);
                // Unless a newer one has taken its place.
                if state.in_use.get(&self.identity).is_some_and(|slot| slot.ptr_eq(&self.slot)) {
                    state.in_use.remove(&self.identity);
                }
            }
        }
        self.in_use = in_use;
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl Stage for Held {
    fn mode(&self) -> Mode {
        self.with(|stage| stage.mode())
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        self.with(|stage| stage.set_mode(mode))
    }

    fn scale_percent(&self) -> u32 {
        self.with(|stage| stage.scale_percent())
    }

    fn set_scale_percent(&mut self, percent: u32) -> Result<(), StageError> {
        self.with(|stage| stage.set_scale_percent(percent))
    }

    fn set_keyboard_layout(&mut self, layout: Option<&str>) -> Result<(), StageError> {
        self.with(|stage| stage.set_keyboard_layout(layout))
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        self.with(|stage| stage.capturer())
    }

    fn tells_cursor(&self) -> bool {
        self.with(|stage| stage.tells_cursor())
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        self.with(|stage| stage.injector())
    }

    fn sound(&mut self) -> Result<Arc<dyn Sound>, AudioError> {
        self.with(|stage| stage.sound())
    }

    fn clipboard(&mut self) -> Result<Arc<dyn Clipboard>, ClipboardError> {
        self.with(|stage| stage.clipboard())
    }

    fn windows(&mut self) -> Result<Vec<StageWindow>, WindowError> {
        self.with(|stage| stage.windows())
    }

    fn focus_window(&mut self, id: u64) -> Result<(), WindowError> {
        self.with(|stage| stage.focus_window(id))
    }

    fn close_window(&mut self, id: u64) -> Result<(), WindowError> {
        self.with(|stage| stage.close_window(id))
    }

    fn launch(&mut self, app: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        self.with(|stage| stage.launch(app))
    }

    fn program_ended(&mut self) {
        self.with(|stage| stage.program_ended());
    }

    fn environment(&self) -> StageEnvironment {
        self.with(|stage| stage.environment())
    }

    fn is_alive(&mut self) -> bool {
        self.with(|stage| stage.is_alive())
    }

    fn keyboard_layout(&self) -> String {
        self.with(|stage| stage.keyboard_layout())
    }

    fn keep(&mut self, keep: Keep) -> bool {
        self.count.set(keep.lease_until_ms.is_none());
        self.with(|stage| stage.keep(keep))
    }

    fn leave(self: Box<Self>) {
        let stage = lock(&self.slot).take();
        if let Some(stage) = stage {
            stage.leave();
        }
    }
}
