//! A stage that the hub gave out or keeps: counts itself, so that no path can forget to.

use std::sync::{Arc, Weak};

use punktfunk_media::{
    AppSpec, AudioError, CaptureError, Capturer, InjectError, Injector, Keep, LaunchError, Mode, RunningApp, Sound,
    Stage, StageEnvironment, StageError,
};

use super::Shared;
use crate::lock;

/// Wraps a desktop's stage. Told by [`Stage::keep`] whether a session uses it or the hub keeps it; dropped while in use, it
/// counts no more.
pub(super) struct Held {
    // Before the count: when that says that nothing is in use, nothing is.
    stage: Box<dyn Stage>,
    count: Count,
}

struct Count {
    shared: Weak<Shared>,
    identity: String,
    in_use: bool,
}

impl Held {
    /// Not in use yet.
    pub fn new(stage: Box<dyn Stage>, shared: Weak<Shared>, identity: &str) -> Box<Self> {
        Box::new(Self { stage, count: Count { shared, identity: identity.to_owned(), in_use: false } })
    }
}

impl Count {
    fn set(&mut self, in_use: bool) {
        if self.in_use != in_use
            && let Some(shared) = self.shared.upgrade()
        {
            let mut state = lock(&shared.state);
            if in_use {
                state.keeper.begin(&self.identity);
            } else {
                state.keeper.end(&self.identity);
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
        self.stage.mode()
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        self.stage.set_mode(mode)
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        self.stage.capturer()
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        self.stage.injector()
    }

    fn sound(&mut self) -> Result<Arc<dyn Sound>, AudioError> {
        self.stage.sound()
    }

    fn launch(&mut self, app: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        self.stage.launch(app)
    }

    fn environment(&self) -> StageEnvironment {
        self.stage.environment()
    }

    fn is_alive(&mut self) -> bool {
        self.stage.is_alive()
    }

    fn keyboard_layout(&self) -> String {
        self.stage.keyboard_layout()
    }

    fn keep(&mut self, keep: Keep) -> bool {
        self.count.set(keep.lease_until_ms.is_none());
        self.stage.keep(keep)
    }

    fn leave(self: Box<Self>) {
        self.stage.leave();
    }
}
