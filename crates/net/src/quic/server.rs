//! The host's endpoint: arrivals that can be judged by their address before any cryptography, then the handshake.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use punktfunk_core::Fingerprint;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{ConnectionError, VarInt};

use super::tls::ServerTls;
use super::{EndpointError, EndpointOptions, Protocol, canonical, endpoint, peer_fingerprint, transport};
use crate::Identity;

/// Binds the host's QUIC endpoint. Must be called inside a tokio runtime.
///
/// # Errors
/// [`EndpointError`] if the address cannot be bound or the identity is of no use to the TLS stack.
pub fn server_endpoint(
    bind: SocketAddr,
    identity: &Identity,
    options: EndpointOptions,
) -> Result<Server, EndpointError> {
    let shared = Shared { tls: ServerTls::new(identity)?, transport: transport(options) };
    let (config, _) = shared.config()?;
    Ok(Server { endpoint: endpoint(bind, Some(config))?, shared: Arc::new(shared) })
}

/// A listening endpoint.
#[derive(Clone)]
pub struct Server {
    endpoint: quinn::Endpoint,
    shared: Arc<Shared>,
}

impl Server {
    /// The next client; `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Arrival> {
        let incoming = self.endpoint.accept().await?;
        Some(Arrival { incoming, shared: self.shared.clone() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// As the socket tells.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Closes all connections with this code and accepts no more. Follow with [`Self::wait_idle`].
    pub fn close(&self, code: u32, reason: &[u8]) {
        self.endpoint.close(VarInt::from_u32(code), reason);
    }

    /// Waits until every closed connection is really gone (its close frame had time to arrive).
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// A client that sent its first packet. Dropping it refuses it.
pub struct Arrival {
    incoming: quinn::Incoming,
    shared: Arc<Shared>,
}

impl Arrival {
    /// The client's address, without IPv4 mapping. Unproven until [`Self::is_validated`].
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        canonical(self.incoming.remote_address())
    }

    /// Whether the client has proved that it receives at its address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Asks the client to prove its address; it will arrive again. Refuses it where that is not possible.
    pub fn retry(self) {
        if let Err(error) = self.incoming.retry() {
            error.into_incoming().refuse();
        }
    }

    /// Tells the client that the host does not want it now.
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Says nothing at all.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Completes the handshake. Bounded only by the idle time: wrap it in a timer.
    ///
    /// # Errors
    /// [`HandshakeError`] with what the client offered.
    pub async fn handshake(self) -> Result<Handshaken, HandshakeError> {
        let remote = self.remote();
        let failed = |error, offered| HandshakeError { remote, offered, error };
        let (config, seen) = self.shared.config().map_err(|e| failed(e.into(), Vec::new()))?;
        let connecting = self.incoming.accept_with(Arc::new(config)).map_err(|e| failed(e.into(), seen.take()))?;
        let connection = connecting.await.map_err(|e| failed(e.into(), seen.take()))?;
        let protocol = connection
            .handshake_data()
            .and_then(|data| data.downcast::<HandshakeData>().ok())
            .and_then(|data| Protocol::from_alpn(data.protocol.as_deref()?));
        let Some(protocol) = protocol else {
            // TLS refuses a client without a common protocol by itself; this holds whatever the TLS stack does.
            connection.close(VarInt::from_u32(0), b"no application protocol");
            return Err(failed(ConnectionError::LocallyClosed.into(), seen.take()));
        };
        let fingerprint = peer_fingerprint(&connection);
        let local_ip = connection.local_ip().map(|ip| ip.to_canonical());
        Ok(Handshaken { connection, protocol, fingerprint, remote, local_ip })
    }
}

/// A connection whose handshake is done.
pub struct Handshaken {
    /// The connection.
    pub connection: quinn::Connection,
    /// The protocol family both sides speak.
    pub protocol: Protocol,
    /// The client's identity; `None` if it showed no certificate.
    pub fingerprint: Option<Fingerprint>,
    /// The client's address, proven.
    pub remote: SocketAddr,
    /// The address of ours that the client dialled, as far as the system tells.
    pub local_ip: Option<IpAddr>,
}

/// A handshake failed.
#[derive(Debug, thiserror::Error)]
#[error("handshake with {remote} failed: {error}")]
pub struct HandshakeError {
    /// The client's address.
    pub remote: SocketAddr,
    /// The protocol names it offered, as far as they were seen.
    pub offered: Vec<Vec<u8>>,
    /// What went wrong.
    pub error: HandshakeCause,
}

/// What went wrong in a handshake.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeCause {
    /// QUIC or TLS refused, or the client went away.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Our side could not set up TLS.
    #[error(transparent)]
    Local(#[from] EndpointError),
}

impl HandshakeError {
    /// True if the client speaks only families that are newer than this build.
    #[must_use]
    pub fn client_too_new(&self) -> bool {
        let ours = self.offered.iter().any(|name| Protocol::from_alpn(name).is_some());
        !ours && self.offered.iter().any(|name| Protocol::NEWER.contains(&name.as_slice()))
    }
}

struct Shared {
    tls: ServerTls,
    transport: Arc<quinn::TransportConfig>,
}

impl Shared {
    fn config(&self) -> Result<(quinn::ServerConfig, Arc<super::tls::SeenAlpn>), EndpointError> {
        let (tls, seen) = self.tls.config().map_err(|e| EndpointError::Tls(e.to_string()))?;
        let crypto = QuicServerConfig::try_from(tls).map_err(|e| EndpointError::Tls(e.to_string()))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(self.transport.clone())
            .migration(false)
            .max_incoming(MAX_INCOMING)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFER * 16);
        Ok((config, seen))
    }
}

/// Arrivals that were not yet looked at. The accept loop takes them at once, so this only matters in a flood.
const MAX_INCOMING: usize = 256;
/// Early packets kept per arrival: a client's first flight is two packets.
const INCOMING_BUFFER: u64 = 64 << 10;
