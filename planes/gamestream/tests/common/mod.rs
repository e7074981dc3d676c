//! A host with fake sessions behind it, and a client that speaks the protocol by itself.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod certs;
pub mod client;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use punktfunk_core::Fingerprint;
use punktfunk_gamestream::door::{Boxed, LaunchRequest, Refusal, SessionUrl, Sessions};
use punktfunk_gamestream::http::{App, Apps, CodecFacts, Deps, HttpConfig, Limits, Servers};
use punktfunk_hub::{Hub, HubConfig};

pub use certs::ClientIdentity;
pub use client::{Pairer, get, get_tls};

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Sessions as plain values.
#[derive(Default)]
pub struct FakeSessions {
    pub running: Mutex<Vec<(Fingerprint, u32)>>,
    pub requests: Mutex<Vec<LaunchRequest>>,
}

impl FakeSessions {
    fn url(request: &LaunchRequest) -> SessionUrl {
        SessionUrl { sealed: request.core_version >= 1, address: SocketAddr::new(request.local, 48_010) }
    }
}

impl Sessions for FakeSessions {
    fn current_app(&self, client: &Fingerprint) -> Option<u32> {
        self.running.lock().unwrap().iter().find(|(c, _)| c == client).map(|(_, app)| *app)
    }

    fn launch<'a>(&'a self, client: &'a Fingerprint, request: LaunchRequest) -> Boxed<'a, Result<SessionUrl, Refusal>> {
        Box::pin(async move {
            if self.current_app(client).is_some() {
                return Err(Refusal { status: 400, message: "An app <runs> already.".into() });
            }
            self.running.lock().unwrap().push((*client, request.app.unwrap()));
            let url = Self::url(&request);
            self.requests.lock().unwrap().push(request);
            Ok(url)
        })
    }

    fn resume<'a>(&'a self, client: &'a Fingerprint, request: LaunchRequest) -> Boxed<'a, Result<SessionUrl, Refusal>> {
        Box::pin(async move {
            if self.current_app(client).is_none() {
                return Err(Refusal { status: 503, message: "Nothing to resume.".into() });
            }
            Ok(Self::url(&request))
        })
    }

    fn cancel<'a>(&'a self, client: &'a Fingerprint) -> Boxed<'a, bool> {
        Box::pin(async move {
            self.running.lock().unwrap().retain(|(c, _)| c != client);
            true
        })
    }
}

/// Two applications, one with a cover that is no picture.
pub struct FakeApps;

impl Apps for FakeApps {
    fn list(&self) -> Vec<App> {
        let app = |id, title: &str, hdr| App { id, title: title.into(), hdr };
        vec![
            app(1, "Desktop", false),
            app(77, "A & <B>", true),
            app(0, "no id", false),
            app(u32::MAX, "too large", false),
        ]
    }

    fn cover(&self, id: u32) -> Option<Vec<u8>> {
        (id == 77).then(|| b"not a picture".to_vec())
    }
}

pub struct TestHost {
    pub dir: tempfile::TempDir,
    pub hub: Arc<Hub>,
    pub sessions: Arc<FakeSessions>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub servers: Servers,
}

impl TestHost {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut HttpConfig)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change)
    }

    pub fn start_in(dir: tempfile::TempDir, change: impl FnOnce(&mut HttpConfig)) -> Self {
        let hub = Hub::open(HubConfig::new(dir.path())).unwrap();
        let mut config = HttpConfig {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            https_port: 0,
            pairing_step: PATIENCE,
            limits: Limits { head: PATIENCE, answer: PATIENCE, ..Limits::default() },
            ..HttpConfig::new("Test host", dir.path(), "a-uuid")
        };
        change(&mut config);
        let sessions = Arc::new(FakeSessions::default());
        let deps = Deps {
            hub: Arc::clone(&hub),
            sessions: Arc::clone(&sessions) as Arc<dyn Sessions>,
            apps: Arc::new(FakeApps),
            codecs: Arc::new(|| CodecFacts::H264),
        };
        let servers = Servers::start(config, deps).unwrap();
        let addresses = servers.local_addrs();
        Self { dir, hub, sessions, http: addresses.http, https: addresses.https, servers }
    }

    /// Waits until so many devices show the operator their wish for a PIN.
    pub async fn pins_wanted(&self, count: usize) {
        tokio::time::timeout(PATIENCE, async {
            while self.hub.pairing().pins_wanted().len() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("in time");
    }

    /// Pairs as a stock client does.
    pub async fn pair(&self, client: &ClientIdentity) {
        let mut pairer = Pairer::new(self.http, client, "0123456789ABCDEF", b"1234");
        let first = pairer.spawn_first();
        self.pins_wanted(1).await;
        let outcome = self.hub.pairing().submit_pin(None, "1234").unwrap();
        pairer.finish_first(first).await.expect("a certificate");
        assert!(pairer.rest().await, "paired");
        assert!(outcome.paired().await);
    }
}
