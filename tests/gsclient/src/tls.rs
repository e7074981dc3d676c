//! TLS as clients do it: the host's certificate pinned byte for byte, ours presented whatever its shape.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::{Error, Identity};

/// Which versions a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Versions {
    #[default]
    Both,
    Only12,
}

/// A configuration that shows `identity`'s certificate (none if `None`) and accepts `pinned` alone (any if `None`).
pub(crate) fn config(
    identity: Option<&Identity>,
    pinned: Option<Vec<u8>>,
    versions: Versions,
) -> Result<Arc<ClientConfig>, Error> {
    let tls = |e: rustls::Error| Error::Tls(e.to_string());
    let provider = Arc::new(provider::default_provider());
    let offered = match versions {
        Versions::Both => rustls::ALL_VERSIONS,
        Versions::Only12 => &[&rustls::version::TLS12],
    };
    let verifier = Arc::new(Pinned { certificate: pinned, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(offered)
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.pkcs8()?));
            let key = provider.key_provider.load_private_key(key).map_err(tls)?;
            // Not `from_der`: it would parse the certificate, and refuse most of the shapes.
            let certified = CertifiedKey::new(vec![CertificateDer::from(identity.der().to_vec())], key);
            builder.with_client_cert_resolver(Arc::new(Always(Arc::new(certified))))
        }
    };
    // Clients ask afresh every time.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Pinned {
    certificate: Option<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !intermediates.is_empty() {
            return Err(rustls::Error::General(format!("§3.9: {} certificates in the chain", 1 + intermediates.len())));
        }
        match &self.certificate {
            Some(pinned) if pinned != end_entity.as_ref() => {
                Err(rustls::Error::General("the host shows another certificate than when pairing".to_owned()))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
