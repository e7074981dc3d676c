//! The worker process: what the host's own binary does when it is started as a compositor.

use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::Mode;

use crate::server::{Server, ServerConfig};

/// How a worker starts.
#[derive(Clone, Debug)]
pub struct WorkerArgs {
    /// The output's first mode.
    pub mode: Mode,
    /// Scripts to start at once, as programs of the desktop; names without a folder are in `XDG_RUNTIME_DIR`.
    pub start: Vec<PathBuf>,
}

impl WorkerArgs {
    /// Reads `WxH@HZ [SCRIPT…]`; `None` for anything else.
    #[must_use]
    pub fn from_words(words: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut words = words.into_iter();
        let mode = words.next()?;
        let (size, hz) = mode.split_once('@')?;
        let (width, height) = size.split_once('x')?;
        let mode = Mode { width: width.parse().ok()?, height: height.parse().ok()?, refresh_hz: hz.parse().ok()? };
        Some(Self { mode, start: words.map(PathBuf::from).collect() })
    }
}

/// Runs a compositor in `XDG_RUNTIME_DIR` until the process is ended. The seat's keyboard is that of `XKB_DEFAULT_MODEL`,
/// `…_LAYOUT`, `…_VARIANT` and `…_OPTIONS`.
///
/// # Errors
/// A sentence for the log.
pub fn run_worker(args: &WorkerArgs) -> Result<(), String> {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).ok_or("XDG_RUNTIME_DIR is not set")?;
    allow_many_descriptors();
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let keyboard = KeyboardLayout {
        model: text("XKB_DEFAULT_MODEL"),
        layout: text("XKB_DEFAULT_LAYOUT"),
        variant: text("XKB_DEFAULT_VARIANT"),
        options: text("XKB_DEFAULT_OPTIONS"),
    };
    let config = ServerConfig { runtime_dir: runtime_dir.clone(), mode: args.mode, scale: 1.0, keyboard };
    let mut server = Server::start(&config)?;
    for script in &args.start {
        // The desktop goes on without it.
        if let Err(e) = server.spawn(&runtime_dir.join(script)) {
            tracing::warn!("{}: {e}", script.display());
        }
    }
    server.run().map_err(|e| e.to_string())
}

/// Every buffer of every program is one; the usual limit of 1024 is for programs that use `select`.
fn allow_many_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("the limit on descriptors stays: {e}");
    }
}
