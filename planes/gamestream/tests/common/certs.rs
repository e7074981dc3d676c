//! Client certificates of every shape, written byte by byte: certificate libraries refuse to make most of them.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use punktfunk_core::Fingerprint;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A client's certificate and key.
#[derive(Clone)]
pub struct ClientIdentity {
    pub der: Vec<u8>,
    pub key: &'static KeyPair,
    /// Instead of `key`, for certificates that are not RSA.
    pub other_key: Option<Vec<u8>>,
}

impl ClientIdentity {
    /// What stock clients make: v3, serial number 0, no extensions.
    pub fn stock() -> Self {
        Shape::default().make()
    }

    pub fn fingerprint(&self) -> Fingerprint {
        punktfunk_net::identity::fingerprint(&self.der)
    }

    pub fn pem(&self) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in self.der.chunks(3) {
            let bits = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let digit = char::from(alphabet[(bits >> (18 - 6 * i) & 63) as usize]);
                text.push(if i <= chunk.len() { digit } else { '=' });
            }
        }
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.der.clone())]
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        let der = self.other_key.clone().unwrap_or_else(|| self.key.as_der().unwrap().as_ref().to_vec());
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        sign(self.key, message)
    }

    /// The raw signature of the certificate.
    pub fn signature(&self) -> Vec<u8> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.der).unwrap();
        parsed.signature_value.data.to_vec()
    }

    /// An elliptic-curve certificate.
    pub fn elliptic() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let der = rcgen::CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&key).unwrap().der().to_vec();
        Self { der, key: keys(0), other_key: Some(key.serialize_der()) }
    }
}

/// What a certificate looks like.
#[derive(Clone)]
pub struct Shape {
    /// The version as encoded (2 = v3); `None` leaves it out: v1.
    pub version: Option<u8>,
    /// Content of the serial number.
    pub serial: &'static [u8],
    pub not_before: &'static str,
    pub not_after: &'static str,
    pub issuer: &'static str,
    pub subject: &'static str,
    /// Which key it is for.
    pub key: usize,
    /// Which key signed it.
    pub signed_by: usize,
    pub extensions: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            version: Some(2),
            serial: &[0],
            not_before: "240101000000Z",
            not_after: "440101000000Z",
            issuer: "NVIDIA GameStream Client",
            subject: "NVIDIA GameStream Client",
            key: 0,
            signed_by: 0,
            extensions: false,
        }
    }
}

impl Shape {
    pub fn make(&self) -> ClientIdentity {
        let algorithm = tlv(0x30, &[&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0]]);
        let rsa = tlv(0x30, &[&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0]]);
        let name = |text: &str| {
            let value = tlv(0x0c, &[text.as_bytes()]);
            tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&[0x06, 3, 0x55, 4, 3], &value])])])
        };
        let validity =
            tlv(0x30, &[&tlv(0x17, &[self.not_before.as_bytes()]), &tlv(0x17, &[self.not_after.as_bytes()])]);
        let public = keys(self.key).public_key().as_ref();
        let spki = tlv(0x30, &[&rsa, &tlv(0x03, &[&[0], public])]);
        let version = self.version.map(|v| tlv(0xa0, &[&tlv(0x02, &[&[v]])])).unwrap_or_default();
        // basicConstraints, critical, CA.
        let basic: &[u8] = &[0x30, 15, 0x06, 3, 0x55, 0x1d, 0x13, 1, 1, 0xff, 4, 5, 0x30, 3, 1, 1, 0xff];
        let extensions = if self.extensions { tlv(0xa3, &[&tlv(0x30, &[basic])]) } else { Vec::new() };
        let tbs = tlv(
            0x30,
            &[
                &version,
                &tlv(0x02, &[self.serial]),
                &algorithm,
                &name(self.issuer),
                &validity,
                &name(self.subject),
                &spki,
                &extensions,
            ],
        );
        let signature = sign(keys(self.signed_by), &tbs);
        let der = tlv(0x30, &[&tbs, &algorithm, &tlv(0x03, &[&[0], &signature])]);
        ClientIdentity { der, key: keys(self.key), other_key: None }
    }
}

/// Keys shared by all tests of a binary: making one takes a while.
fn keys(index: usize) -> &'static KeyPair {
    static KEYS: [OnceLock<KeyPair>; 3] = [const { OnceLock::new() }; 3];
    KEYS[index].get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap())
}

fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &aws_lc_rs::rand::SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// A DER element around the parts.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        n @ ..128 => out.push(n as u8),
        n @ 128..256 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(content);
    out
}
