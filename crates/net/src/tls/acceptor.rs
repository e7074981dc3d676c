//! TLS over TCP for the HTTPS doors: our identity's certificate, TLS 1.3, and by choice the client's certificate.
//!
//! What a client's certificate means is decided afterwards by its fingerprint, as on QUIC.

use std::sync::Arc;

use punktfunk_core::Fingerprint;
use tokio_rustls::TlsAcceptor;

use super::{AnyClient, provider};
use crate::Identity;

/// Whether a client is asked for its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Asked for, not required. A browser would show its user a chooser.
    Asked,
    /// Not asked for.
    NotAsked,
}

/// The identity's key cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// Accepts TLS connections under this identity, for HTTP/1.1.
///
/// # Errors
/// [`TlsError`].
pub fn acceptor(identity: &Identity, certificate: ClientCertificate) -> Result<TlsAcceptor, TlsError> {
    let provider = provider();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match certificate {
        ClientCertificate::Asked => builder.with_client_cert_verifier(Arc::new(AnyClient::new(provider))),
        ClientCertificate::NotAsked => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![identity.cert_der().clone()], identity.key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if certificate == ClientCertificate::Asked {
        // A resumed session would skip the client's signature.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The fingerprint of the certificate that the client showed and proved to own.
#[must_use]
pub fn peer_fingerprint(connection: &rustls::ServerConnection) -> Option<Fingerprint> {
    connection.peer_certificates()?.first().map(|certificate| crate::identity::fingerprint(certificate))
}
