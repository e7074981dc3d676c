//! QUIC endpoints of the native protocol (punktfunk1.md §2.3, §3.1).
//!
//! Every endpoint, host or client, comes out of one function (`endpoint`) with one set of transport parameters, and
//! every protocol family we speak stands in one table ([`Protocol::TABLE`]).
//!
//! ```text
//! host    server_endpoint ─► Server::accept ─► Arrival (address only: refuse, retry, ignore …) ─► handshake ─► Connection
//! client  client_endpoint ─► dial ─► Connection + the host's fingerprint
//! ```

mod dial;
mod server;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod transfer;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use punktfunk_core::Fingerprint;
use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use rustls_pki_types::CertificateDer;
use socket2::{Domain, Protocol as IpProtocol, Socket, Type};

pub use dial::{DialError, DialOptions, Dialed, dial, unspecified_for};
pub use server::{Arrival, HandshakeCause, HandshakeError, Handshaken, Server, server_endpoint};
pub use transfer::{Transfer, TransferError};

/// A protocol family, chosen by ALPN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// `punktfunk/1`, wire version 2.
    Pkf1,
}

impl Protocol {
    /// Every family this build speaks, most preferred first.
    pub const TABLE: &'static [(Self, &'static [u8])] = &[(Self::Pkf1, b"pkf1")];

    /// Families that exist and that this build does not speak: a peer offering only these is newer than we are.
    pub const NEWER: &'static [&'static [u8]] = &[b"pkf2"];

    /// The ALPN list for a TLS stack.
    #[must_use]
    pub fn alpn() -> Vec<Vec<u8>> {
        Self::TABLE.iter().map(|(_, name)| name.to_vec()).collect()
    }

    /// The family with this ALPN name.
    #[must_use]
    pub fn from_alpn(name: &[u8]) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known)| *known == name).map(|(family, _)| *family)
    }
}

/// An endpoint could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The socket could not be bound; `AddrInUse` means that the port is taken.
    #[error("cannot bind UDP {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS stack refused the certificate or key.
    #[error("the TLS stack refuses this identity: {0}")]
    Tls(String),
}

/// Local knobs of an endpoint. The defaults are the protocol's.
#[derive(Clone, Copy, Debug)]
pub struct EndpointOptions {
    /// Silence after which a peer counts as gone; clamped to 1 s … 1 h. The lower of both ends' values applies.
    pub idle: Duration,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self { idle: IDLE }
    }
}

/// An endpoint that dials. `bind` is usually the unspecified address of the family to dial, port 0. Must be called
/// inside a tokio runtime.
///
/// # Errors
/// [`EndpointError::Bind`] if the socket cannot be had.
pub fn client_endpoint(bind: SocketAddr) -> Result<quinn::Endpoint, EndpointError> {
    endpoint(bind, None)
}

/// The fingerprint of the peer's certificate; `None` if it showed none (only clients may).
#[must_use]
pub fn peer_fingerprint(connection: &quinn::Connection) -> Option<Fingerprint> {
    let certificates = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    certificates.first().map(|leaf| crate::identity::fingerprint(leaf))
}

/// The address without the IPv4-in-IPv6 mapping of dual-stack sockets.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The one function that makes endpoints.
fn endpoint(bind: SocketAddr, server: Option<quinn::ServerConfig>) -> Result<quinn::Endpoint, EndpointError> {
    let failed = |source| EndpointError::Bind { address: bind, source };
    let socket = bind_socket(bind).map_err(failed)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    quinn::Endpoint::new(EndpointConfig::default(), server, socket, runtime).map_err(failed)
}

/// `[::]` takes IPv4 too.
fn bind_socket(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(IpProtocol::UDP))?;
    if bind.is_ipv6() {
        socket.set_only_v6(!bind.ip().is_unspecified())?;
    }
    socket.bind(&bind.into())?;
    Ok(socket.into())
}

/// The transport parameters of §3.1.
fn transport(options: EndpointOptions) -> Arc<TransportConfig> {
    let idle = options.idle.clamp(Duration::from_secs(1), Duration::from_secs(3600));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MAX_DATAGRAM);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .keep_alive_interval(Some((idle / 2).min(KEEP_ALIVE)))
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER)
        .mtu_discovery_config(Some(mtu))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(RECEIVE_WINDOW);
    Arc::new(config)
}

/// §3.1.
const IDLE: Duration = Duration::from_secs(8);
/// §3.1: the upper limit of half the idle time.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// §3.1: side planes are latest-wins; more than a few queued datagrams would only be late.
const DATAGRAM_SEND_BUFFER: usize = 4096;
/// §3.1: a sealed full-size video datagram.
const MAX_DATAGRAM: u16 = 1472;
/// What one peer may make us buffer over all its streams. quinn's default is unlimited, which with 100 streams of
/// 1.25 MB each would let a stranger take 125 MB; a control stream and two clipboard transfers need less than this.
const RECEIVE_WINDOW: VarInt = VarInt::from_u32(4 << 20);
