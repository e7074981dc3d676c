//! TLS as the native protocol has it (punktfunk1.md §2.3): version 1.3, the ALPN table, no resumption.

use std::sync::{Arc, Mutex, PoisonError};

use punktfunk_core::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{EndpointError, Protocol};
use crate::Identity;
use crate::tls::{AnyClient, provider, public_key, verify_tls13};

/// What the host's side of TLS needs, shared by all handshakes.
pub(super) struct ServerTls {
    provider: Arc<CryptoProvider>,
    verifier: Arc<AnyClient>,
    key: Arc<CertifiedKey>,
}

impl ServerTls {
    pub(super) fn new(identity: &Identity) -> Result<Self, EndpointError> {
        let provider = provider();
        let tls = |e: Error| EndpointError::Tls(e.to_string());
        let signer = provider.key_provider.load_private_key(identity.key()).map_err(tls)?;
        let key = Arc::new(CertifiedKey::new(vec![identity.cert_der().clone()], signer));
        Ok(Self { verifier: Arc::new(AnyClient::new(provider.clone())), provider, key })
    }

    /// A configuration for one handshake, and where the client's ALPN offer will be found.
    pub(super) fn config(&self) -> Result<(rustls::ServerConfig, Arc<SeenAlpn>), Error> {
        let seen = Arc::new(SeenAlpn { key: self.key.clone(), offered: Mutex::default() });
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(self.verifier.clone())
            .with_cert_resolver(seen.clone());
        config.alpn_protocols = Protocol::alpn();
        // A resumed session would skip the client's signature.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok((config, seen))
    }
}

/// Hands out our certificate for any server name, and notes what the client offered: rustls refuses an unknown ALPN
/// without telling which it was.
#[derive(Debug)]
pub(super) struct SeenAlpn {
    key: Arc<CertifiedKey>,
    offered: Mutex<Vec<Vec<u8>>>,
}

impl SeenAlpn {
    pub(super) fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.offered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for SeenAlpn {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered = hello.alpn().into_iter().flatten().take(MAX_NOTED_ALPN).map(|n| n.to_vec()).collect();
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = offered;
        Some(self.key.clone())
    }
}

/// More than any real client offers.
const MAX_NOTED_ALPN: usize = 8;

/// Checks the host's certificate against a pin where there is one, and tells what it saw.
#[derive(Debug)]
pub(super) struct PinnedHost {
    provider: Arc<CryptoProvider>,
    pin: Option<Fingerprint>,
    seen: Mutex<Option<Fingerprint>>,
}

impl PinnedHost {
    pub(super) fn new(provider: Arc<CryptoProvider>, pin: Option<Fingerprint>) -> Self {
        Self { provider, pin, seen: Mutex::default() }
    }

    /// The fingerprint of the certificate the host showed, whether it was accepted or not.
    pub(super) fn seen(&self) -> Option<Fingerprint> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for PinnedHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        public_key(end_entity)?;
        let seen = crate::identity::fingerprint(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        if self.pin.is_some_and(|pin| pin != seen) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("QUIC has no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
