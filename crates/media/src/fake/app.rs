//! Programs of a synthetic stage: names that run until somebody says otherwise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{AppSpec, LaunchError, RunningApp, reason};

/// Every program that stages of one desktop started.
#[derive(Clone, Debug, Default)]
pub struct FakeApps {
    all: Arc<Mutex<Vec<FakeApp>>>,
    started: Arc<AtomicU64>,
}

/// A program that does nothing.
#[derive(Clone, Debug)]
struct FakeApp {
    token: String,
    spec: AppSpec,
    running: Arc<AtomicBool>,
}

impl FakeApps {
    /// Starts one, unless its command is `false`.
    pub(super) fn launch(&self, spec: &AppSpec) -> Result<Box<dyn RunningApp>, LaunchError> {
        if spec.command == "false" {
            let detail = "the synthetic stage does not start `false`".to_owned();
            return Err(LaunchError { reason: &reason::APP_FAILED, detail });
        }
        let token = format!("fake-app-{}", self.started.fetch_add(1, Ordering::Relaxed));
        let app = FakeApp { token, spec: spec.clone(), running: Arc::new(AtomicBool::new(true)) };
        self.lock().push(app.clone());
        Ok(Box::new(app))
    }

    /// The one with this token, if it runs.
    pub(super) fn find(&self, token: &str) -> Option<Box<dyn RunningApp>> {
        let app = self.lock().iter().find(|a| a.token == token && a.is_running()).cloned()?;
        Some(Box::new(app))
    }

    /// Names of those that run, in the order they were started.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.lock().iter().filter(|a| a.is_running()).map(|a| a.spec.name.clone()).collect()
    }

    /// Those with this name exit by themselves.
    pub fn exit(&self, name: &str) {
        self.lock().iter().filter(|a| a.spec.name == name).for_each(RunningApp::end);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<FakeApp>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningApp for FakeApp {
    fn token(&self) -> String {
        self.token.clone()
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.running.store(false, Ordering::Relaxed);
    }
}
