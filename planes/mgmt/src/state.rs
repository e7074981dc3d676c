//! What the API speaks for.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use punktfunk_core::Fingerprint;
use punktfunk_hub::Hub;
use punktfunk_hub::apps::Apps;
use punktfunk_hub::displays::Displays;

use crate::Problem;
use crate::access::{Access, HostNames};
use crate::logs::LogBuffer;
use crate::recordings::Recordings;
use crate::settings::{NoSettings, Settings};
use crate::streams::Streams;
use crate::thumbnails::Thumbnails;
use crate::views::{Action, Diagnostic, EncoderView, GpuView};

/// Facts about this host that do not change while it runs.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Display name, as advertised.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the host's certificate.
    pub fingerprint: Fingerprint,
}

/// Carries an [`Action`] out. Called on a blocking thread.
type Actions = Arc<dyn Fn(Action) -> Result<(), Problem> + Send + Sync>;

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub struct MgmtState {
    pub(crate) hub: Arc<Hub>,
    pub(crate) host: Arc<HostFacts>,
    pub(crate) access: Arc<Access>,
    pub(crate) started: Instant,
    /// Names this run of the host in the ids of events.
    pub(crate) run: u32,
    pub(crate) addresses: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    pub(crate) console_addresses: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    pub(crate) diagnostics: Arc<dyn Fn() -> Vec<Diagnostic> + Send + Sync>,
    pub(crate) encoders: Arc<dyn Fn() -> Vec<EncoderView> + Send + Sync>,
    pub(crate) gpus: Arc<dyn Fn() -> Vec<GpuView> + Send + Sync>,
    pub(crate) actions: Option<Actions>,
    pub(crate) displays: Arc<OnceLock<Arc<Displays>>>,
    pub(crate) apps: Arc<OnceLock<Arc<Apps>>>,
    pub(crate) logs: Arc<LogBuffer>,
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) settings: Arc<dyn Settings>,
    /// Of the credentials' files, found at start.
    pub(crate) unreadable: Arc<Vec<Problem>>,
    pub(crate) problems: Arc<dyn Fn() -> Vec<Problem> + Send + Sync>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) thumbnails: Arc<Mutex<Thumbnails>>,
}

impl MgmtState {
    /// For a host that started just now. The callbacks answer nothing until they are set.
    #[must_use]
    pub fn new(hub: Arc<Hub>, host: HostFacts) -> Self {
        let folder = hub.config().state_dir.clone();
        let names = HostNames::new([host.name.clone()]);
        let (access, problems) = Access::open(&folder, Arc::clone(hub.trust()), names);
        let problems = problems.iter().map(|e| Problem::new(e.reason).with_detail(e.to_string())).collect();
        let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        Self {
            recordings: Arc::new(Recordings::new(folder.join("recordings"), Arc::clone(hub.live()))),
            hub,
            host: Arc::new(host),
            access,
            started: Instant::now(),
            run,
            addresses: Arc::new(Vec::new),
            console_addresses: Arc::new(Vec::new),
            diagnostics: Arc::new(Vec::new),
            encoders: Arc::new(Vec::new),
            gpus: Arc::new(Vec::new),
            actions: None,
            displays: Arc::default(),
            apps: Arc::default(),
            logs: Arc::default(),
            settings: Arc::new(NoSettings),
            unreadable: Arc::new(problems),
            problems: Arc::new(Vec::new),
            streams: Arc::default(),
            thumbnails: Arc::default(),
        }
    }

    /// Sets by which other names browsers and programs may call this host.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        let names = HostNames::new(std::iter::once(self.host.name.clone()).chain(names));
        let folder = &self.hub.config().state_dir;
        self.access = Access::open(folder, Arc::clone(self.hub.trust()), names).0;
        self
    }

    /// Sets who tells what keeps the host from serving everything. Called per request; quick.
    #[must_use]
    pub fn with_problems(mut self, problems: impl Fn() -> Vec<Problem> + Send + Sync + 'static) -> Self {
        self.problems = Arc::new(problems);
        self
    }

    /// Sets who tells the addresses (`ip:port`) at which clients reach the host. Called per request; quick.
    #[must_use]
    pub fn with_addresses(mut self, addresses: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.addresses = Arc::new(addresses);
        self
    }

    /// Sets who tells the addresses (`ip:port`) at which browsers reach the console. Called per request; quick.
    #[must_use]
    pub fn with_console_addresses(mut self, addresses: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.console_addresses = Arc::new(addresses);
        self
    }

    /// Sets who runs `doctor`'s checks. Called per request on a blocking thread; may take some seconds.
    #[must_use]
    pub fn with_diagnostics(mut self, run: impl Fn() -> Vec<Diagnostic> + Send + Sync + 'static) -> Self {
        self.diagnostics = Arc::new(run);
        self
    }

    /// Sets who knows the encoders. Called per request on a blocking thread.
    #[must_use]
    pub fn with_encoders(mut self, encoders: impl Fn() -> Vec<EncoderView> + Send + Sync + 'static) -> Self {
        self.encoders = Arc::new(encoders);
        self
    }

    /// Sets who knows the GPUs. Called per request on a blocking thread.
    #[must_use]
    pub fn with_gpus(mut self, gpus: impl Fn() -> Vec<GpuView> + Send + Sync + 'static) -> Self {
        self.gpus = Arc::new(gpus);
        self
    }

    /// Sets who carries actions out.
    #[must_use]
    pub fn with_actions(mut self, actions: impl Fn(Action) -> Result<(), Problem> + Send + Sync + 'static) -> Self {
        self.actions = Some(Arc::new(actions));
        self
    }

    /// Sets where the log's newest lines are.
    #[must_use]
    pub fn with_logs(mut self, logs: Arc<LogBuffer>) -> Self {
        self.logs = logs;
        self
    }

    /// Sets who keeps the settings.
    #[must_use]
    pub fn with_settings(mut self, settings: Arc<dyn Settings>) -> Self {
        self.settings = settings;
        self
    }

    /// Tells the displays, once they are there.
    pub fn set_displays(&self, displays: Arc<Displays>) {
        // A second call changes nothing.
        let _ = self.displays.set(displays);
    }

    /// Tells the programs, once they are there.
    pub fn set_apps(&self, apps: Arc<Apps>) {
        // A second call changes nothing.
        let _ = self.apps.set(apps);
    }

    /// Who may ask what.
    #[must_use]
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// The link with which the console's password is set, or the console's address once it has one. The first is the one
    /// to show. `None` where no console is served.
    #[must_use]
    pub fn console_url(&self) -> Option<String> {
        crate::routes::console_link(self, false).ok()?.urls.into_iter().next()
    }
}
