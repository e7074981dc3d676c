//! The certificate that clients pin: loaded, or made on first use, in the background.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use punktfunk_net::Identity;
use punktfunk_net::identity::load_or_create_rsa;
use punktfunk_net::tls::{AnyClient, provider};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::wire::pairing::HostCertificate;

/// The identity, ready for use.
pub(super) struct Ready {
    /// `uniqueid`.
    pub uuid: String,
    /// For pairing.
    pub certificate: HostCertificate,
    /// For HTTPS.
    pub tls: Arc<ServerConfig>,
}

/// Waits for the identity on behalf of those who need it.
#[derive(Clone)]
pub(super) struct Keeper(watch::Receiver<Option<Arc<Ready>>>);

impl Keeper {
    /// Loads or makes it. While that fails (a full disk, a broken file) it is tried again, and the log says why: an
    /// identity is never replaced silently.
    pub fn start(state_dir: PathBuf, uuid: String) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = watch::channel(None);
        let making = tokio::spawn(async move {
            loop {
                let (dir, uuid) = (state_dir.clone(), uuid.clone());
                match tokio::task::spawn_blocking(move || make(&dir, &uuid)).await {
                    Ok(Ok(ready)) => {
                        sender.send_replace(Some(Arc::new(ready)));
                        return;
                    }
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "no GameStream identity: clients can neither pair nor connect")
                    }
                    Err(panic) => tracing::error!(%panic, "making the GameStream identity"),
                }
                sleep(RETRY).await;
            }
        });
        (Self(receiver), making)
    }

    /// The identity; `None` if it is still not there after 8 s.
    pub async fn ready(&self) -> Option<Arc<Ready>> {
        let mut receiver = self.0.clone();
        let ready = timeout(PATIENCE, receiver.wait_for(Option::is_some)).await.ok()?.ok()?;
        ready.clone()
    }
}

fn make(dir: &std::path::Path, uuid: &str) -> Result<Ready, String> {
    let identity = load_or_create_rsa(dir, uuid).map_err(|e| e.to_string())?;
    let certificate = HostCertificate::new(identity.cert_pem(), &identity.key()).map_err(|e| e.to_string())?;
    let tls = Arc::new(server_config(&identity).map_err(|e| e.to_string())?);
    Ok(Ready { uuid: identity.uuid().to_owned(), certificate, tls })
}

/// gamestream.md §3.9: one certificate, TLS 1.2 and 1.3, any client certificate or none.
fn server_config(identity: &Identity) -> Result<ServerConfig, rustls::Error> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(Arc::new(AnyClient::new(provider)))
        .with_single_cert(vec![identity.cert_der().clone()], identity.key())?;
    // A resumed session would skip the client's signature.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Making a key takes up to some seconds; clients wait 2 to 7 s for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_secs(10);
