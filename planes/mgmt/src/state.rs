//! What the API speaks for.

use std::sync::Arc;
use std::time::Instant;

use punktfunk_core::Fingerprint;
use punktfunk_hub::Hub;

use crate::views::{Diagnostic, SessionDetails};

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

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub struct MgmtState {
    pub(crate) hub: Arc<Hub>,
    pub(crate) host: Arc<HostFacts>,
    pub(crate) started: Instant,
    pub(crate) addresses: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    pub(crate) diagnostics: Arc<dyn Fn() -> Vec<Diagnostic> + Send + Sync>,
    pub(crate) session_details: Arc<dyn Fn(u64) -> Option<SessionDetails> + Send + Sync>,
}

impl MgmtState {
    /// For a host that started just now. The callbacks answer nothing until they are set.
    #[must_use]
    pub fn new(hub: Arc<Hub>, host: HostFacts) -> Self {
        Self {
            hub,
            host: Arc::new(host),
            started: Instant::now(),
            addresses: Arc::new(Vec::new),
            diagnostics: Arc::new(Vec::new),
            session_details: Arc::new(|_| None),
        }
    }

    /// Sets who tells the addresses (`ip:port`) at which clients reach the host. Called per request; quick.
    #[must_use]
    pub fn with_addresses(mut self, addresses: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.addresses = Arc::new(addresses);
        self
    }

    /// Sets who runs `doctor`'s checks. Called per request on a blocking thread; may take some seconds.
    #[must_use]
    pub fn with_diagnostics(mut self, run: impl Fn() -> Vec<Diagnostic> + Send + Sync + 'static) -> Self {
        self.diagnostics = Arc::new(run);
        self
    }

    /// Sets who knows what a session (by its number) streams. Called per request and session; quick.
    #[must_use]
    pub fn with_session_details(
        mut self,
        details: impl Fn(u64) -> Option<SessionDetails> + Send + Sync + 'static,
    ) -> Self {
        self.session_details = Arc::new(details);
        self
    }
}
