//! TLS rules of both protocols (punktfunk1.md §2.3, gamestream.md §3.9): any well-formed certificate is accepted, its
//! signature over the handshake is always checked, and what it means is decided afterwards by fingerprint.
//!
//! Signatures are verified with the raw public key of the certificate, so that certificates which a web PKI would
//! refuse (X.509 v1, serial number 0, odd extensions, wrong dates) still identify their owner.

mod acceptor;

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::asn1_rs::{Any, FromDer as _};

pub use acceptor::{ClientCertificate, TlsError, acceptor, peer_fingerprint};

/// The TLS stack's cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts any client certificate, or none; whoever shows one must own its key.
#[derive(Debug)]
pub struct AnyClient {
    provider: Arc<CryptoProvider>,
}

impl AnyClient {
    /// Checks signatures with this provider's algorithms.
    #[must_use]
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        public_key(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12(&self.provider, message, cert, dss)
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

/// Checks a TLS 1.3 handshake signature with the certificate's key.
pub(crate) fn verify_tls13(
    provider: &CryptoProvider,
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = public_key(cert)?;
    verify_tls13_signature_with_raw_key(message, &key, dss, &provider.signature_verification_algorithms)
}

/// Checks a TLS 1.2 handshake signature with the certificate's key. There a scheme does not fix the curve, so every
/// algorithm of the scheme that fits the key is tried (RFC 8422 §5.10).
fn verify_tls12(
    provider: &CryptoProvider,
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let parsed = parse(cert)?;
    let key = &parsed.tbs_certificate.subject_pki;
    let algorithms = provider
        .signature_verification_algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == dss.scheme)
        .map(|(_, algorithms)| *algorithms)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let valid = algorithms
        .iter()
        .filter(|a| names_algorithm(key.raw, a.public_key_alg_id().as_ref()))
        .any(|a| a.verify_signature(&key.subject_public_key.data, message, dss.signature()).is_ok());
    if valid {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

/// Whether a SubjectPublicKeyInfo names this algorithm. Both identifiers fit a short DER length: the longest that the
/// provider knows has 19 bytes.
fn names_algorithm(spki: &[u8], algorithm: &[u8]) -> bool {
    let Ok((_, outer)) = Any::from_der(spki) else { return false };
    let Some((&[0x30, length], rest)) = outer.data.split_first_chunk::<2>() else { return false };
    rest.get(..usize::from(length)) == Some(algorithm)
}

/// The certificate's public key; an error if it is not a certificate at all.
pub(crate) fn public_key<'a>(cert: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    Ok(SubjectPublicKeyInfoDer::from(parse(cert)?.tbs_certificate.subject_pki.raw))
}

fn parse<'a>(cert: &'a CertificateDer<'_>) -> Result<x509_parser::certificate::X509Certificate<'a>, Error> {
    match x509_parser::parse_x509_certificate(cert) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
    }
}
