//! The stage on a built-in desktop.

use std::path::Path;
use std::sync::Arc;

use punktfunk_compositor::LinkError;
use punktfunk_media::{
    AppSpec, AudioError, CaptureError, Capturer, Clipboard, ClipboardError, InjectError, Injector, Keep, LaunchError,
    Mode, Reason, RunningApp, Sound, Stage, StageEnvironment, StageError, StageWindow, WindowError, reason,
};

use super::worker::Worker;
use crate::app::{self, Starter};
use crate::keyboard::{self, FoundLayout};
use crate::output::check_scale;
use crate::private::PrivateSound;

/// A worker with all its means.
pub struct BuiltinStage {
    mode: Mode,
    scale_percent: u32,
    /// The desktop's own.
    keyboard: FoundLayout,
    /// The one that it has, as far as this host knows.
    has: Option<FoundLayout>,
    sound: Arc<PrivateSound>,
    worker: Worker,
}

impl BuiltinStage {
    /// A stage on `worker`, which has `mode`, `scale` output pixels per logical pixel, and maybe (`fresh`) the desktop's own
    /// `keyboard`.
    pub fn new(worker: Worker, mode: Mode, scale: f64, keyboard: FoundLayout, fresh: bool) -> Self {
        let has = fresh.then(|| keyboard.clone());
        let sound = Arc::new(PrivateSound { runtime_dir: worker.family.runtime_dir().to_owned() });
        tracing::info!(%mode, %keyboard, "stage open");
        // A worker's scale is at most single digits.
        Self { mode, scale_percent: (scale * 100.0).round() as u32, keyboard, has, sound, worker }
    }
}

impl Stage for BuiltinStage {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        let answer = self.worker.link.set_mode(mode, None);
        self.mode = answer.map_err(|error| stage_error(&error, &reason::DESKTOP_MODE_REFUSED))?;
        tracing::info!(%mode, "mode changed");
        Ok(self.mode)
    }

    fn scale_percent(&self) -> u32 {
        self.scale_percent
    }

    fn set_scale_percent(&mut self, percent: u32) -> Result<(), StageError> {
        check_scale(percent)?;
        let answer = self.worker.link.set_mode(self.mode, Some(f64::from(percent) / 100.0));
        answer.map_err(|error| stage_error(&error, &reason::DESKTOP_SCALE_REFUSED))?;
        self.scale_percent = percent;
        tracing::info!(percent, "scale changed");
        Ok(())
    }

    fn set_keyboard_layout(&mut self, layout: Option<&str>) -> Result<(), StageError> {
        let wanted = layout.map_or_else(|| Ok(self.keyboard.clone()), keyboard::of_client)?;
        if self.has.as_ref() != Some(&wanted) {
            let answer = self.worker.link.set_keyboard(&wanted.layout);
            answer.map_err(|error| stage_error(&error, &reason::DESKTOP_LAYOUT_REFUSED))?;
            tracing::info!(keyboard = %wanted, "keyboard layout changed");
            self.has = Some(wanted);
        }
        Ok(())
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        self.worker.link.capturer().map(|capturer| Box::new(capturer) as Box<dyn Capturer>)
    }

    fn tells_cursor(&self) -> bool {
        true
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        self.worker.link.injector().map(|injector| Box::new(injector) as Box<dyn Injector>)
    }

    fn sound(&mut self) -> Result<Arc<dyn Sound>, AudioError> {
        Ok(Arc::clone(&self.sound) as Arc<dyn Sound>)
    }

    fn clipboard(&mut self) -> Result<Arc<dyn Clipboard>, ClipboardError> {
        punktfunk_clipboard::find(&self.worker.display())
    }

    fn windows(&mut self) -> Result<Vec<StageWindow>, WindowError> {
        let windows = self.worker.link.windows().map_err(window_error)?;
        let window = |w: punktfunk_compositor::WindowInfo| StageWindow {
            id: w.id,
            title: w.title,
            app_id: w.app_id,
            focused: w.focused,
        };
        Ok(windows.into_iter().map(window).collect())
    }

    fn focus_window(&mut self, id: u64) -> Result<(), WindowError> {
        self.worker.link.focus_window(id).map_err(window_error)
    }

    fn close_window(&mut self, id: u64) -> Result<(), WindowError> {
        self.worker.link.close_window(id).map_err(window_error)
    }

    fn launch(&mut self, spec: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        let mark = app::new_mark()?;
        let dir = self.worker.family.runtime_dir().to_owned();
        let member = self.worker.family.environment().member.map(|(name, value)| format!("{name}={value}"));
        let started = app::launch(&dir, &mut OnWorker(&mut self.worker, &spec.name), spec, &mark, member.as_deref())?;
        Ok(Box::new(started))
    }

    fn environment(&self) -> StageEnvironment {
        let mut environment = self.worker.family.environment();
        environment.display.push(("WAYLAND_DISPLAY".to_owned(), self.worker.display().display().to_string()));
        if let Some(number) = self.worker.x11_display() {
            environment.display.push(("DISPLAY".to_owned(), format!(":{number}")));
        }
        environment
    }

    fn is_alive(&mut self) -> bool {
        self.worker.is_alive()
    }

    fn keyboard_layout(&self) -> String {
        self.has.as_ref().unwrap_or(&self.keyboard).to_string()
    }

    fn keep(&mut self, keep: Keep) -> bool {
        self.worker.family.keep(keep)
    }
}

fn stage_error(error: &LinkError, refused: &'static Reason) -> StageError {
    let (reason, fatal) = match error {
        LinkError::Refused(_) => (refused, false),
        LinkError::Gone { .. } => (&reason::DESKTOP_DIED, true),
    };
    StageError { reason, detail: error.to_string(), fatal }
}

fn window_error(error: LinkError) -> WindowError {
    let reason = match &error {
        LinkError::Refused(_) => &reason::DISPLAY_WINDOW_NOT_FOUND,
        LinkError::Gone { .. } => &reason::DISPLAY_WINDOWS_UNKNOWN,
    };
    WindowError { reason, detail: error.to_string() }
}

/// Starts a program that people know by this name.
struct OnWorker<'a>(&'a mut Worker, &'a str);

impl Starter for OnWorker<'_> {
    fn start(&mut self, script: &Path, mark: &str) -> Result<(), String> {
        self.0.start_script(script, &[mark.to_owned()], Some(self.1)).map_err(|e| e.to_string())
    }
}
