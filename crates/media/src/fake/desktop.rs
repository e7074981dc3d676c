//! A desktop without a compositor.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::audio::SyntheticSound;
use super::{FakeApps, FakeClipboard, Faults, ModeAnswer, Recording, RecordingInjector, SyntheticCapturer, Voice};
use crate::{
    AppSpec, AudioError, CaptureError, Capturer, Clipboard, ClipboardError, Desktop, DesktopInfo, InjectError,
    Injector, Journal, LaunchError, Mode, OpenError, RunningApp, Sound, Stage, StageError, StageRequest, UndoGuard,
    UndoRecord, reason,
};

/// How the synthetic pictures come about.
#[derive(Clone, Debug)]
pub struct SyntheticOptions {
    /// Draw a moving background. Without it only the stamp changes from picture to picture, which costs next to nothing
    /// (for `--codec none`, where nobody looks).
    pub background: bool,
    /// Draw as fast as slots are lent, instead of once per refresh.
    pub unpaced: bool,
    /// Say that pictures are drawn because slots are lent.
    pub for_slots: bool,
    /// What shall go wrong.
    pub faults: Faults,
}

impl Default for SyntheticOptions {
    fn default() -> Self {
        Self { background: true, unpaced: false, for_slots: false, faults: Faults::default() }
    }
}

/// A desktop that draws its own pictures and takes any mode.
#[derive(Debug, Default)]
pub struct SyntheticDesktop {
    options: SyntheticOptions,
    shared: Arc<Shared>,
}

impl SyntheticDesktop {
    /// A desktop whose stages all behave as `options` say.
    #[must_use]
    pub fn new(options: SyntheticOptions) -> Self {
        Self { options, shared: Arc::default() }
    }

    /// Everything that injectors of this desktop played back.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.shared.recording.clone()
    }

    /// Everything that was played to microphones of this desktop.
    #[must_use]
    pub fn voice(&self) -> Voice {
        self.shared.voice.clone()
    }

    /// The clipboard of this desktop, which all its stages share.
    #[must_use]
    pub fn clipboard(&self) -> FakeClipboard {
        self.shared.clipboard.clone()
    }

    /// The programs that were started on stages of this desktop.
    #[must_use]
    pub fn apps(&self) -> FakeApps {
        self.shared.apps.clone()
    }

    /// How many stages are open now.
    #[must_use]
    pub fn open_stages(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// How many stages were opened so far.
    #[must_use]
    pub fn opened_stages(&self) -> usize {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// How often somebody began to wait for a picture of any stage: how often they woke up.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.shared.waits.load(Ordering::Relaxed)
    }

    /// The compositor of every stage that is open now dies; stages opened later live.
    pub fn kill(&self) {
        self.shared.deaths.fetch_add(1, Ordering::Relaxed);
    }

    /// Every stage that is open now changes to `mode` by itself, as when a person uses the desktop's settings.
    pub fn resize(&self, mode: Mode) {
        let outputs = self.shared.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        for output in outputs.iter().filter_map(Weak::upgrade) {
            *output.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        }
    }

    /// A stage without a journal, for tests.
    #[must_use]
    pub fn stage(&self, mode: Mode) -> Box<dyn Stage> {
        Box::new(SyntheticStage::new(self, mode, None))
    }
}

impl Desktop for SyntheticDesktop {
    fn info(&self) -> DesktopInfo {
        DesktopInfo {
            name: "synthetic".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocols: Vec::new(),
            wire_id: 0,
            private: true,
        }
    }

    fn open(&self, request: &StageRequest, journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        let refuse = |detail: String| OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail };
        if self.options.faults.open_fails {
            return Err(refuse("the synthetic desktop was told to fail".into()));
        }
        if request.mode.width == 0 || request.mode.height == 0 || request.mode.refresh_hz == 0 {
            return Err(OpenError { reason: &reason::DESKTOP_MODE_REFUSED, detail: format!("mode {}", request.mode) });
        }
        let record = UndoRecord {
            backend: "synthetic".into(),
            change: format!("{{\"mode\":\"{}\"}}", request.mode),
            keep_for: Duration::ZERO,
            lease_until_ms: None,
        };
        let guard = Arc::clone(journal).record(record).map_err(|e| refuse(e.to_string()))?;
        Ok(Box::new(SyntheticStage::new(self, request.mode, Some(guard))))
    }

    fn app(&self, token: &str) -> Option<Box<dyn RunningApp>> {
        self.shared.apps.find(token)
    }
}

/// What all stages of one desktop share.
#[derive(Debug, Default)]
struct Shared {
    recording: Recording,
    voice: Voice,
    clipboard: FakeClipboard,
    apps: FakeApps,
    open: AtomicUsize,
    opened: AtomicUsize,
    deaths: AtomicU32,
    fatal_captures: AtomicU32,
    waits: AtomicU64,
    outputs: Mutex<Vec<Weak<Output>>>,
}

/// What a stage shares with its capturer.
#[derive(Debug)]
pub(super) struct Output {
    pub mode: Mutex<Mode>,
    pub dead: AtomicBool,
}

/// An output of a [`SyntheticDesktop`].
pub struct SyntheticStage {
    options: SyntheticOptions,
    output: Arc<Output>,
    shared: Arc<Shared>,
    born: u32,
    /// Programs that end with it.
    apps: Vec<Box<dyn RunningApp>>,
    _undo: Option<UndoGuard>,
}

impl SyntheticStage {
    fn new(desktop: &SyntheticDesktop, mode: Mode, undo: Option<UndoGuard>) -> Self {
        desktop.shared.open.fetch_add(1, Ordering::Relaxed);
        desktop.shared.opened.fetch_add(1, Ordering::Relaxed);
        let output = Arc::new(Output { mode: Mutex::new(mode), dead: AtomicBool::new(false) });
        let mut outputs = desktop.shared.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.retain(|output| output.strong_count() > 0);
        outputs.push(Arc::downgrade(&output));
        drop(outputs);
        Self {
            options: desktop.options.clone(),
            output,
            born: desktop.shared.deaths.load(Ordering::Relaxed),
            shared: Arc::clone(&desktop.shared),
            apps: Vec::new(),
            _undo: undo,
        }
    }
}

impl Drop for SyntheticStage {
    fn drop(&mut self) {
        self.apps.iter().for_each(|app| app.end());
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stage for SyntheticStage {
    fn mode(&self) -> Mode {
        *self.output.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        let refused = |detail: &str, fatal| {
            let reason = if fatal { &reason::DESKTOP_DIED } else { &reason::DESKTOP_MODE_REFUSED };
            Err(StageError { reason, detail: format!("{mode}: {detail}"), fatal })
        };
        if !self.is_alive() {
            return refused("the synthetic compositor is dead", true);
        }
        let taken = match self.options.faults.mode_answer {
            ModeAnswer::Take if mode.width == 0 || mode.height == 0 || mode.refresh_hz == 0 => {
                return refused("not a mode", false);
            }
            ModeAnswer::Take => mode,
            ModeAnswer::Refuse => return refused("the synthetic stage was told to refuse", false),
            ModeAnswer::Only60Hz => Mode { refresh_hz: 60, ..mode },
            ModeAnswer::Die => {
                self.output.dead.store(true, Ordering::Relaxed);
                return refused("the synthetic stage was told to die", true);
            }
        };
        *self.output.mode.lock().unwrap_or_else(PoisonError::into_inner) = taken;
        Ok(taken)
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        if !self.is_alive() {
            let detail = "the synthetic compositor is dead".into();
            return Err(CaptureError { reason: &reason::DESKTOP_DIED, detail, fatal: true });
        }
        let mut options = self.options.clone();
        let faults = &mut options.faults;
        if faults.capture_fatal_after.is_some() && faults.capture_fatal_times > 0 {
            let before = self.shared.fatal_captures.fetch_add(1, Ordering::Relaxed);
            if before >= faults.capture_fatal_times {
                faults.capture_fatal_after = None;
            }
        }
        Ok(Box::new(SyntheticCapturer::new(Arc::clone(&self.output), self.death_watch(), &options)))
    }

    fn tells_cursor(&self) -> bool {
        !self.options.faults.no_cursor
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        let faults = &self.options.faults;
        if faults.no_injector {
            let detail = "the synthetic stage was told to have none".into();
            return Err(InjectError { reason: &reason::INJECT_UNSUPPORTED, detail, fatal: true });
        }
        let recording = self.shared.recording.clone();
        let mut injector = RecordingInjector::new(recording, faults.inject_fatal_after, faults.inject_panic_after);
        injector.limit(!faults.no_touch, !faults.no_touch && !faults.no_pen);
        Ok(Box::new(injector))
    }

    fn sound(&mut self) -> Result<Arc<dyn Sound>, AudioError> {
        if self.options.faults.no_sound {
            let detail = "the synthetic stage was told to have none".into();
            return Err(AudioError { reason: &reason::AUDIO_UNSUPPORTED, detail, fatal: true });
        }
        Ok(Arc::new(SyntheticSound::new(&self.options.faults, self.shared.voice.clone())))
    }

    fn clipboard(&mut self) -> Result<Arc<dyn Clipboard>, ClipboardError> {
        if self.options.faults.no_clipboard {
            let detail = "the synthetic stage was told to have none".into();
            return Err(ClipboardError { reason: &reason::CLIPBOARD_UNSUPPORTED, detail });
        }
        Ok(Arc::new(self.shared.clipboard.clone()))
    }

    fn launch(&mut self, app: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        let running = self.shared.apps.launch(app)?;
        self.apps.extend(self.shared.apps.find(&running.token()));
        Ok(running)
    }

    fn is_alive(&mut self) -> bool {
        if self.shared.deaths.load(Ordering::Relaxed) != self.born {
            self.output.dead.store(true, Ordering::Relaxed);
        }
        !self.output.dead.load(Ordering::Relaxed)
    }

    fn keyboard_layout(&self) -> String {
        "us (synthetic)".into()
    }
}

impl SyntheticStage {
    fn death_watch(&self) -> DeathWatch {
        DeathWatch { shared: Arc::clone(&self.shared), output: Arc::clone(&self.output), born: self.born }
    }
}

/// Tells a capturer whether its compositor still lives, and that one how often it is asked.
#[derive(Debug)]
pub(super) struct DeathWatch {
    shared: Arc<Shared>,
    output: Arc<Output>,
    born: u32,
}

impl DeathWatch {
    pub fn note_wait(&self) {
        self.shared.waits.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_dead(&self) -> bool {
        self.output.dead.load(Ordering::Relaxed) || self.shared.deaths.load(Ordering::Relaxed) != self.born
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::MemoryJournal;

    const MODE: Mode = Mode { width: 320, height: 240, refresh_hz: 60 };

    fn open(desktop: &SyntheticDesktop, journal: &Arc<MemoryJournal>) -> Result<Box<dyn Stage>, OpenError> {
        let request = StageRequest { identity: "a".into(), name: "A".into(), mode: MODE };
        desktop.open(&request, &(Arc::clone(journal) as Arc<dyn Journal>))
    }

    #[test]
    fn a_stage_is_journalled_while_it_lives() {
        let (desktop, journal) = (SyntheticDesktop::default(), MemoryJournal::new());
        let stage = open(&desktop, &journal).expect("opens");
        assert_eq!((desktop.open_stages(), journal.records().len()), (1, 1));
        drop(stage);
        assert_eq!((desktop.open_stages(), journal.records().len()), (0, 0));
        journal.set_full(true);
        assert!(open(&desktop, &journal).is_err());
        assert_eq!(desktop.open_stages(), 0);
    }

    #[test]
    fn killing_the_desktop_kills_open_stages_only() {
        let desktop = SyntheticDesktop::default();
        let mut old = desktop.stage(MODE);
        desktop.kill();
        let mut new = desktop.stage(MODE);
        assert!(!old.is_alive() && new.is_alive());
        assert!(old.capturer().is_err() && old.set_mode(MODE).is_err_and(|e| e.fatal));
        assert!(new.capturer().is_ok());
    }
}
