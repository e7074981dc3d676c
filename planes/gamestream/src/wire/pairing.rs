//! The phases of pairing (gamestream.md §4), sans-IO: what one end sent goes in, what the host answers comes out.
//!
//! ```text
//! ClientCertificate::from_pem ─┐
//! salt, PIN ───────────────────┴► Phase2 ── answer ─► Phase3 ── answer ─► Phase4 ── check ─► the certificate is proven
//! ```
//!
//! Each phase is consumed by its answer: none can be replayed or taken out of order. The client's host-hash check is not
//! relied upon: some clients go on with a wrong PIN and expect [`Phase4::check`] to notice.

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use punktfunk_core::Fingerprint;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The host's side of every pairing: its certificate as clients pin it, and the key behind it.
pub struct HostCertificate {
    pem: String,
    signature: Vec<u8>,
    key: RsaKeyPair,
}

/// A certificate or key is of no use for pairing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM with a certificate in it.
    #[error("this is not a certificate in PEM form")]
    NotPem,
    /// PEM, but not X.509.
    #[error("this is not an X.509 certificate")]
    NotX509,
    /// Only RSA keys can take part.
    #[error("the certificate's key is not RSA of 2048 bits or more")]
    NotRsa,
}

impl HostCertificate {
    /// Takes a certificate and its key.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn new(pem: &str, key: &PrivateKeyDer<'_>) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::NotPem)?;
        let parsed = parse(&der)?;
        let key = match key {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(CertificateError::NotRsa),
        };
        let key = key.map_err(|_| CertificateError::NotRsa)?;
        // Some clients cut exactly 256 bytes of signature.
        if key.public_modulus_len() != 256 {
            return Err(CertificateError::NotRsa);
        }
        Ok(Self { pem: pem.to_owned(), signature: parsed.signature_value.data.to_vec(), key })
    }

    /// The PEM text that phase 1 answers with.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PhaseError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| PhaseError::Signing)?;
        Ok(signature)
    }
}

impl std::fmt::Debug for HostCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostCertificate").field("key", self.key.public_key()).finish()
    }
}

/// The certificate that a client wants to be known by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    fingerprint: Fingerprint,
    /// Of the certificate itself: what identifies it inside the hashes.
    signature: Vec<u8>,
    /// The RSA key (PKCS #1).
    key: Vec<u8>,
}

impl ClientCertificate {
    /// Reads the PEM text of phase 1.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::NotPem)?;
        Self::from_der(&der)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed = parse(der)?;
        let spki = &parsed.tbs_certificate.subject_pki;
        let bits = match spki.parsed() {
            Ok(x509_parser::public_key::PublicKey::RSA(key)) => key.key_size(),
            _ => return Err(CertificateError::NotRsa),
        };
        if !(2048..=8192).contains(&bits) {
            return Err(CertificateError::NotRsa);
        }
        Ok(Self {
            fingerprint: punktfunk_net::identity::fingerprint(der),
            signature: parsed.signature_value.data.to_vec(),
            key: spki.subject_public_key.data.to_vec(),
        })
    }

    /// SHA-256 of the whole certificate: the client's identity.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.key).verify(message, signature).is_ok()
    }
}

fn parse(der: &[u8]) -> Result<x509_parser::certificate::X509Certificate<'_>, CertificateError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(CertificateError::NotX509),
    }
}

/// A phase went wrong. The attempt is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PhaseError {
    /// A message has another length than it must have.
    #[error("a message of the pairing has a wrong length")]
    Length,
    /// The hash or the signature does not fit: a wrong PIN, or somebody in between.
    #[error("the client did not prove the PIN and its certificate")]
    NotProven,
    /// Our own key failed.
    #[error("the host's key cannot sign")]
    Signing,
}

/// `K`: what salt and PIN make (§4.1).
#[must_use]
pub fn pairing_key(salt: &[u8; 16], pin: &[u8; 4]) -> Zeroizing<[u8; 16]> {
    let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::new().chain_update(salt).chain_update(pin).finalize()));
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&digest[..16]);
    key
}

/// The PIN was typed; the client's challenge comes next.
pub struct Phase2 {
    cipher: Ecb,
    client: ClientCertificate,
}

impl Phase2 {
    /// Begins with what phase 1 carried and the PIN.
    #[must_use]
    pub fn new(client: ClientCertificate, salt: &[u8; 16], pin: &[u8; 4]) -> Self {
        Self { cipher: Ecb::new(&pairing_key(salt, pin)), client }
    }

    /// Answers the challenge. `random`: the host's secret and its challenge, 16 fresh bytes each.
    ///
    /// # Errors
    /// [`PhaseError::Length`].
    pub fn answer(
        self,
        challenge: &[u8],
        host: &HostCertificate,
        random: [u8; 32],
    ) -> Result<(Phase3, [u8; 48]), PhaseError> {
        let mut challenge: [u8; 16] = challenge.try_into().map_err(|_| PhaseError::Length)?;
        self.cipher.decrypt(&mut challenge);
        let (mut secret, mut own_challenge) = ([0; 16], [0; 16]);
        secret.copy_from_slice(&random[..16]);
        own_challenge.copy_from_slice(&random[16..]);
        let mut answer = [0; 48];
        answer[..32].copy_from_slice(&hash(&challenge, &host.signature, &secret));
        answer[32..].copy_from_slice(&own_challenge);
        self.cipher.encrypt(&mut answer);
        Ok((Phase3 { cipher: self.cipher, client: self.client, secret, challenge: own_challenge }, answer))
    }
}

/// The client's hash comes next.
pub struct Phase3 {
    cipher: Ecb,
    client: ClientCertificate,
    secret: [u8; 16],
    challenge: [u8; 16],
}

impl Phase3 {
    /// Takes the client's hash and shows the host's secret, signed.
    ///
    /// # Errors
    /// [`PhaseError::Length`], [`PhaseError::Signing`].
    pub fn answer(self, response: &[u8], host: &HostCertificate) -> Result<(Phase4, Vec<u8>), PhaseError> {
        let mut expected: [u8; 32] = response.try_into().map_err(|_| PhaseError::Length)?;
        self.cipher.decrypt(&mut expected);
        let mut answer = self.secret.to_vec();
        answer.extend(host.sign(&self.secret)?);
        Ok((Phase4 { client: self.client, challenge: self.challenge, expected }, answer))
    }
}

/// The client's secret comes next.
pub struct Phase4 {
    client: ClientCertificate,
    challenge: [u8; 16],
    expected: [u8; 32],
}

impl Phase4 {
    /// Checks both conditions: the hash made with the PIN, and the signature made with the certificate's key. The
    /// certificate that comes back is proven.
    ///
    /// # Errors
    /// [`PhaseError::Length`], [`PhaseError::NotProven`].
    pub fn check(self, secret: &[u8]) -> Result<ClientCertificate, PhaseError> {
        let (secret, signature) = secret.split_first_chunk::<16>().ok_or(PhaseError::Length)?;
        let hashed = hash(&self.challenge, &self.client.signature, secret).ct_eq(&self.expected);
        let signed = self.client.verify(secret, signature);
        if bool::from(hashed) && signed { Ok(self.client) } else { Err(PhaseError::NotProven) }
    }
}

fn hash(challenge: &[u8; 16], certificate_signature: &[u8], secret: &[u8; 16]) -> [u8; 32] {
    Sha256::new().chain_update(challenge).chain_update(certificate_signature).chain_update(secret).finalize().into()
}

/// AES-128-ECB without padding: whole blocks only, which the callers' types say. Boxed, because the expanded keys take most
/// of a kilobyte and every phase hands them on.
struct Ecb(Box<Aes128>);

impl Ecb {
    fn new(key: &[u8; 16]) -> Self {
        Self(Box::new(Aes128::new(GenericArray::from_slice(key))))
    }

    fn encrypt(&self, blocks: &mut [u8]) {
        for block in blocks.as_chunks_mut::<16>().0 {
            self.0.encrypt_block(GenericArray::from_mut_slice(block));
        }
    }

    fn decrypt(&self, blocks: &mut [u8]) {
        for block in blocks.as_chunks_mut::<16>().0 {
            self.0.decrypt_block(GenericArray::from_mut_slice(block));
        }
    }
}

/// Fuzz body: a client certificate as phase 1 brings it, and as TLS does.
pub fn fuzz_certificate(data: &[u8]) {
    for certificate in [ClientCertificate::from_pem(data), ClientCertificate::from_der(data)].into_iter().flatten() {
        assert!(!certificate.verify(b"never signed", &certificate.signature));
    }
}

/// Fuzz body: the three messages of a client that does not know the PIN. The first byte chooses how they are cut.
pub fn fuzz_phases(data: &[u8], client: &ClientCertificate, host: &HostCertificate) {
    let Some((cut, rest)) = data.split_first() else { return };
    let (challenge, rest) = rest.split_at(rest.len().min(if cut & 1 == 0 { 16 } else { (cut >> 2).into() }));
    let (response, secret) = rest.split_at(rest.len().min(if cut & 2 == 0 { 32 } else { (cut >> 2).into() }));
    let Ok((phase3, _)) = Phase2::new(client.clone(), &[0x11; 16], b"7351").answer(challenge, host, [0x22; 32]) else {
        assert_ne!(challenge.len(), 16);
        return;
    };
    let Ok((phase4, answer)) = phase3.answer(response, host) else {
        assert_ne!(response.len(), 32);
        return;
    };
    assert_eq!(answer.len(), 16 + 256);
    assert!(phase4.check(secret).is_err(), "paired without the PIN");
}
