//! The client's side: dial, check the host against its pin, show our certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use punktfunk_core::Fingerprint;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectError, ConnectionError, TransportErrorCode};

use super::tls::PinnedHost;
use super::{EndpointOptions, Protocol, transport};
use crate::Identity;
use crate::tls::provider;

/// How to dial.
#[derive(Debug)]
pub struct DialOptions<'a> {
    /// Our certificate; without one a host that requires pairing closes with 0x63.
    pub identity: Option<&'a Identity>,
    /// The host's fingerprint if it is known; anything else is refused. `None` trusts on first use.
    pub pin: Option<Fingerprint>,
    /// Protocol names to offer; [`Protocol::alpn`] except in tests of other ends.
    pub alpn: Vec<Vec<u8>>,
    /// Transport knobs.
    pub endpoint: EndpointOptions,
}

impl<'a> DialOptions<'a> {
    /// Offers every family this build speaks, with the protocol's timers.
    #[must_use]
    pub fn new(identity: Option<&'a Identity>, pin: Option<Fingerprint>) -> Self {
        Self { identity, pin, alpn: Protocol::alpn(), endpoint: EndpointOptions::default() }
    }
}

/// A connection to a host.
#[derive(Debug)]
pub struct Dialed {
    /// The connection.
    pub connection: quinn::Connection,
    /// The host's identity, to be pinned by whoever trusts it.
    pub host: Fingerprint,
}

/// Connects. Bounded only by the idle time: wrap it in a timer.
///
/// # Errors
/// [`DialError`], telling apart what a person would do about it.
pub async fn dial(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
    options: DialOptions<'_>,
) -> Result<Dialed, DialError> {
    let provider = provider();
    let verifier = Arc::new(PinnedHost::new(provider.clone(), options.pin));
    let tls = |e: rustls::Error| DialError::Setup(e.to_string());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let mut config = match options.identity {
        Some(id) => builder.with_client_auth_cert(vec![id.cert_der().clone()], id.key()).map_err(tls)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = options.alpn;
    config.resumption = rustls::client::Resumption::disabled();
    let crypto = QuicClientConfig::try_from(config).map_err(|e| DialError::Setup(e.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(options.endpoint));
    let connection = endpoint.connect_with(config, address, SERVER_NAME)?.await.map_err(|error| {
        match (options.pin, verifier.seen()) {
            (Some(expected), Some(seen)) if expected != seen => DialError::OtherHost { expected, seen },
            _ => DialError::from(error),
        }
    })?;
    match verifier.seen() {
        Some(host) => Ok(Dialed { connection, host }),
        None => Err(DialError::Setup("the host showed no certificate".into())),
    }
}

/// The unspecified address to bind for dialling `address`.
#[must_use]
pub fn unspecified_for(address: SocketAddr) -> SocketAddr {
    let ip = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(ip, 0)
}

/// Why dialling failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host is not the pinned one: it was reinstalled, or somebody sits in between.
    #[error("the host's identity is {seen}, but {expected} is the one that was paired")]
    OtherHost {
        /// The pin.
        expected: Fingerprint,
        /// What the host showed.
        seen: Fingerprint,
    },
    /// The host speaks none of the protocol families we offer.
    #[error("the host speaks another protocol version")]
    NoCommonProtocol,
    /// Nothing answered within the idle time.
    #[error("the host does not answer")]
    NoAnswer,
    /// The host answered, and wants no connection now.
    #[error("the host refuses connections: {0}")]
    Refused(String),
    /// Anything else QUIC or TLS had to say.
    #[error("connection failed: {0}")]
    Failed(ConnectionError),
    /// It never came to a connection.
    #[error("cannot dial: {0}")]
    Setup(String),
}

impl From<ConnectionError> for DialError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::NoAnswer,
            ConnectionError::VersionMismatch => Self::NoCommonProtocol,
            ConnectionError::ConnectionClosed(ref frame) => match frame.error_code {
                code if code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) => Self::NoCommonProtocol,
                TransportErrorCode::CONNECTION_REFUSED => Self::Refused(frame.to_string()),
                _ => Self::Failed(error),
            },
            ConnectionError::TransportError(ref inner)
                if inner.code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
            {
                Self::NoCommonProtocol
            }
            other => Self::Failed(other),
        }
    }
}

impl From<ConnectError> for DialError {
    fn from(error: ConnectError) -> Self {
        Self::Setup(error.to_string())
    }
}

/// §2.3: what clients ask for; hosts accept any name.
const SERVER_NAME: &str = "punktfunk";
/// TLS alert `no_application_protocol`, RFC 7301 §3.2.
const NO_APPLICATION_PROTOCOL: u8 = 120;
