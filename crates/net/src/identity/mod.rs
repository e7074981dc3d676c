//! Who we are: one self-signed certificate, made once and kept (punktfunk1.md §2.1, §2.2).
//!
//! Neither end ever checks names, dates or chains: the SHA-256 of the certificate *is* the identity. Losing the file
//! unpairs every peer, so it is written atomically, readable by its owner only, and **never** regenerated because it
//! could not be read: a file that does not parse stays where it is and is an error until a person decides.
//!
//! GameStream clients pin a certificate of their own kind (gamestream.md §4.7). It has a file of its own beside the
//! first, with the same uuid, because the file of the native identity is never written a second time.

mod store;

use std::fmt;

use punktfunk_core::Fingerprint;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use sha2::{Digest, Sha256};

pub use store::{FILE_NAME, IdentityError, RSA_FILE_NAME, load_or_create, load_or_create_rsa};

/// A certificate with its private key, and the uuid that names this installation in discovery.
pub struct Identity {
    uuid: String,
    cert_der: CertificateDer<'static>,
    cert_pem: String,
    key: PrivatePkcs8KeyDer<'static>,
    key_pem: String,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Makes a fresh ECDSA P-256 identity. `names` become the subject alternative names, the first also the common
    /// name; peers ignore them. The validity is wide open (1975 to 4096) because no peer checks it.
    ///
    /// # Errors
    /// [`GenerateError`] if the random source or the certificate writer fails.
    pub fn generate(names: &[String]) -> Result<Self, GenerateError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = rcgen::CertificateParams::new(names.to_vec())?;
        let common_name = names.first().map_or("punktfunk", String::as_str);
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let cert = params.self_signed(&key)?;
        let mut uuid = [0; 16];
        random_bytes(&mut uuid)?;
        Self::from_pem(&format_uuid_v4(uuid), &cert.pem(), &key.serialize_pem())
            .map_err(|reason| GenerateError(reason.to_string()))
    }

    /// Makes a fresh RSA-2048 identity for GameStream under this uuid: X.509 v3, `sha256WithRSAEncryption`, one positive
    /// serial number of 16 bytes, no extensions. Takes up to some seconds.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub fn generate_rsa(uuid: &str) -> Result<Self, GenerateError> {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "punktfunk GameStream host");
        // Both ends fit UTCTime, which is what every client's parser has seen; no client checks them.
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2049, 12, 31);
        let mut serial = [0; 16];
        random_bytes(&mut serial)?;
        // Neither negative nor with a leading zero byte.
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
        let cert = params.self_signed(&key)?;
        Self::from_pem(uuid, &cert.pem(), &key.serialize_pem()).map_err(|reason| GenerateError(reason.to_string()))
    }

    /// Reads an identity from its stored parts.
    pub(crate) fn from_pem(uuid: &str, cert_pem: &str, key_pem: &str) -> Result<Self, ParseError> {
        if uuid.is_empty() || uuid.len() > 64 || !uuid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(ParseError("the uuid is empty or has characters other than letters, digits and dashes".into()));
        }
        let cert_der = CertificateDer::from_pem_slice(cert_pem.as_bytes())
            .map_err(|e| ParseError(format!("the certificate is not PEM: {e}")))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|e| ParseError(format!("the private key is not PKCS#8 PEM: {e}")))?;
        let identity = Self {
            uuid: uuid.to_owned(),
            fingerprint: fingerprint(&cert_der),
            cert_der,
            cert_pem: cert_pem.to_owned(),
            key,
            key_pem: key_pem.to_owned(),
        };
        identity.check_key_matches()?;
        Ok(identity)
    }

    /// The key must belong to the certificate: a mixed-up pair would only fail at the first handshake.
    fn check_key_matches(&self) -> Result<(), ParseError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider
            .key_provider
            .load_private_key(self.key())
            .map_err(|e| ParseError(format!("the private key cannot be used: {e}")))?;
        let (_, cert) = x509_parser::parse_x509_certificate(&self.cert_der)
            .map_err(|e| ParseError(format!("the certificate does not parse: {e}")))?;
        match key.public_key() {
            Some(public) if *public == *cert.tbs_certificate.subject_pki.raw => Ok(()),
            _ => Err(ParseError("the private key does not belong to the certificate".into())),
        }
    }

    /// A stable, opaque id of this installation (mDNS `id`).
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The certificate.
    #[must_use]
    pub fn cert_der(&self) -> &CertificateDer<'static> {
        &self.cert_der
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// A copy of the private key for a TLS stack.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// SHA-256 over the certificate's DER: what the peer pins.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// Never shows the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("uuid", &self.uuid).field("fingerprint", &self.fingerprint).finish()
    }
}

/// The fingerprint of any certificate: SHA-256 over its whole DER.
#[must_use]
pub fn fingerprint(cert_der: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(cert_der).into())
}

/// Fills `out` with bytes from the TLS provider's secure random source.
///
/// # Errors
/// [`GenerateError`] if the system has no randomness to give.
pub fn random_bytes(out: &mut [u8]) -> Result<(), GenerateError> {
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(out)
        .map_err(|_| GenerateError("the system's random source failed".into()))
}

/// A new identity, or random bytes, could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an identity: {0}")]
pub struct GenerateError(String);

impl From<rcgen::Error> for GenerateError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

/// Why stored parts are not an identity.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ParseError(pub(crate) String);

/// RFC 9562 version 4, variant 10.
fn format_uuid_v4(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_identity_is_p256_and_its_fingerprint_covers_the_whole_certificate() {
        let identity = Identity::generate(&["punktfunk-test".into(), "127.0.0.1".into()]).unwrap();
        let (_, cert) = x509_parser::parse_x509_certificate(identity.cert_der()).unwrap();
        // id-ecPublicKey with the curve prime256v1 (RFC 5480 §2.1.1).
        let algorithm = &cert.tbs_certificate.subject_pki.algorithm;
        assert_eq!(algorithm.algorithm.to_id_string(), "1.2.840.10045.2.1");
        let curve = algorithm.parameters.as_ref().unwrap().as_oid().unwrap();
        assert_eq!(curve.to_id_string(), "1.2.840.10045.3.1.7");
        let mut changed = identity.cert_der().to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert_ne!(fingerprint(&changed), identity.fingerprint());
        assert_eq!(identity.uuid().len(), 36);
    }

    #[test]
    fn the_gamestream_certificate_is_what_its_clients_take() {
        let identity = Identity::generate_rsa("a-uuid").unwrap();
        let (_, cert) = x509_parser::parse_x509_certificate(identity.cert_der()).unwrap();
        assert_eq!(cert.version(), x509_parser::x509::X509Version::V3);
        // sha256WithRSAEncryption and rsaEncryption (RFC 8017 appendix C).
        assert_eq!(cert.signature_algorithm.algorithm.to_id_string(), "1.2.840.113549.1.1.11");
        assert_eq!(cert.tbs_certificate.subject_pki.algorithm.algorithm.to_id_string(), "1.2.840.113549.1.1.1");
        assert_eq!(cert.signature_value.data.len(), 256, "some clients cut exactly 256 bytes");
        assert!(cert.raw_serial().len() <= 20 && cert.raw_serial()[0] < 0x80 && cert.raw_serial()[0] != 0);
        assert_eq!(cert.subject(), cert.issuer());
        assert!(identity.cert_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert_eq!(identity.uuid(), "a-uuid");
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let (a, b) = (Identity::generate(&[]).unwrap(), Identity::generate(&[]).unwrap());
        assert!(Identity::from_pem(a.uuid(), a.cert_pem(), a.key_pem()).is_ok());
        assert!(Identity::from_pem(a.uuid(), a.cert_pem(), b.key_pem()).is_err());
    }
}
