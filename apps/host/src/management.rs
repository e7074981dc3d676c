//! The management API in this process: the control socket for the local command line.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use punktfunk_hub::Hub;
use punktfunk_media::reason;
use punktfunk_mgmt::socket::ControlSocket;
use punktfunk_mgmt::{HostFacts, MgmtState, router};
use punktfunk_net::Identity;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::doctor;
use crate::exit::Failure;
use crate::paths::Paths;

/// The running API.
pub struct Management {
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    address: watch::Sender<Option<SocketAddr>>,
}

/// Binds the control socket and serves. Inside a tokio runtime.
///
/// # Errors
/// `host.already_running`, or why the socket cannot be made.
pub fn start(config: &Config, paths: &Paths, hub: &Arc<Hub>, identity: &Identity) -> Result<Management, Failure> {
    let facts = HostFacts {
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint: identity.fingerprint(),
    };
    let (address, known) = watch::channel(None);
    let (for_doctor, doctor_paths) = (config.clone(), paths.clone());
    let state = MgmtState::new(Arc::clone(hub), facts)
        .with_addresses(move || known.borrow().map(addresses).unwrap_or_default())
        .with_diagnostics(move || doctor::checks(&for_doctor, &doctor_paths));
    let socket = ControlSocket::bind(&paths.control_socket()).map_err(|e| Failure::new(e.reason, e.to_string()))?;
    let (stop, mut stopped) = watch::channel(false);
    let shutdown = async move {
        // An error means that the sender is gone: the same.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let serving = tokio::spawn(socket.serve(router(state), rustix::process::getuid().as_raw(), shutdown));
    Ok(Management { stop, serving, address })
}

impl Management {
    /// Tells where clients reach the host, once that is known.
    pub fn set_address(&self, address: SocketAddr) {
        self.address.send_replace(Some(address));
    }

    /// Closes the socket and waits until its requests are answered.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(e) = self.serving.await {
            tracing::error!("the control socket: {e}");
        }
    }
}

/// The OpenAPI document, as JSON.
///
/// # Errors
/// Never for the document this program has; a failure is a bug that is reported as one.
pub fn openapi() -> Result<String, Failure> {
    punktfunk_mgmt::openapi()
        .to_pretty_json()
        .map_err(|e| Failure::new(&reason::INTERNAL_PANIC, format!("the OpenAPI document: {e}")))
}

/// A wildcard address is told as the addresses that other machines would use.
fn addresses(bound: SocketAddr) -> Vec<String> {
    if !bound.ip().is_unspecified() {
        return vec![bound.to_string()];
    }
    // Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, but chooses the source.
    let route = |bind: &str, to: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    [route("0.0.0.0:0", "192.0.2.1:9"), route("[::]:0", "[2001:db8::1]:9")]
        .into_iter()
        .flatten()
        .map(|ip| SocketAddr::new(ip, bound.port()).to_string())
        .collect()
}
