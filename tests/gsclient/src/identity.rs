//! Who a client is: an RSA-2048 key and a self-signed certificate, in every shape that clients have used (§3.9).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Error;
use crate::der::{from_pem, pem, sequence, tlv};

/// What is odd about a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// X.509 v3, serial number 0, no extensions: most clients.
    Serial0,
    /// X.509 v1, positive serial number.
    V1,
    /// Valid until 2001: a client that has not been used for long.
    Expired,
    /// Valid from 2040: a client without a clock.
    NotYetValid,
    /// v3 with a positive serial number and basic constraints: what RFC 5280 wants.
    V3,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 5] = [Self::Serial0, Self::V1, Self::Expired, Self::NotYetValid, Self::V3];
}

/// A client's key and certificate.
pub struct Identity {
    key: KeyPair,
    certificate: Vec<u8>,
    pem: String,
    signature: Vec<u8>,
}

impl Identity {
    /// Makes a key (a few hundred milliseconds) and a certificate.
    ///
    /// # Errors
    /// [`Error::Usage`] if the library cannot make a key.
    pub fn generate(shape: Shape) -> Result<Self, Error> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Usage("no RSA key".to_owned()))?;
        let certificate = certificate(&key, shape)?;
        Self::from_parts(key, pem("CERTIFICATE", &certificate))
    }

    /// From what was stored, or from a test vector: a PKCS#8 key and the PEM text of its certificate.
    ///
    /// # Errors
    /// [`Error::Usage`] for a key or a certificate that cannot be read.
    pub fn load(pkcs8: &[u8], certificate_pem: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pkcs8(pkcs8).map_err(|e| Error::Usage(format!("RSA key: {e}")))?;
        Self::from_parts(key, certificate_pem.to_owned())
    }

    fn from_parts(key: KeyPair, pem: String) -> Result<Self, Error> {
        let certificate = from_pem(&pem).ok_or_else(|| Error::Usage("no certificate in PEM".to_owned()))?;
        let signature = signature_of(&certificate)?;
        Ok(Self { key, certificate, pem, signature })
    }

    /// The certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate as it is shown to hosts.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate's own `signatureValue` (pairing uses it as a fingerprint).
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The private key as PKCS#8.
    ///
    /// # Errors
    /// [`Error::Usage`] if the library cannot encode it.
    pub fn pkcs8(&self) -> Result<Vec<u8>, Error> {
        let der: Result<Pkcs8V1Der<'_>, _> = self.key.as_der();
        der.map(|d| d.as_ref().to_vec()).map_err(|_| Error::Usage("RSA key cannot be encoded".to_owned()))
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    ///
    /// # Errors
    /// [`Error::Usage`] if the library cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        sign(&self.key, message)
    }
}

/// The `signatureValue` of a certificate in DER.
pub(crate) fn signature_of(der: &[u8]) -> Result<Vec<u8>, Error> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|e| Error::answer(format!("certificate: {e}")))?;
    Ok(parsed.signature_value.data.to_vec())
}

/// The public key (PKCS#1) of a certificate in DER.
pub(crate) fn public_key_of(der: &[u8]) -> Result<Vec<u8>, Error> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|e| Error::answer(format!("certificate: {e}")))?;
    Ok(parsed.public_key().subject_public_key.data.to_vec())
}

fn sign(key: &KeyPair, message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| Error::Usage("RSA signature failed".to_owned()))?;
    Ok(signature)
}

/// RFC 5280, section 4.1, with the deviations that `shape` names.
fn certificate(key: &KeyPair, shape: Shape) -> Result<Vec<u8>, Error> {
    let spki: PublicKeyX509Der<'_> =
        key.public_key().as_der().map_err(|_| Error::Usage("RSA key cannot be encoded".to_owned()))?;
    let algorithm = sequence(&[SHA256_WITH_RSA, &tlv(0x05, &[])]);
    let common_name = sequence(&[COMMON_NAME, &tlv(0x0C, b"NVIDIA GameStream Client")]);
    let name = sequence(&[&tlv(0x31, &common_name)]);
    // UTCTime: two digits of the year.
    let (from, until) = match shape {
        Shape::Expired => ("990101000000Z", "010101000000Z"),
        Shape::NotYetValid => ("400101000000Z", "490101000000Z"),
        Shape::Serial0 | Shape::V1 | Shape::V3 => ("250101000000Z", "450101000000Z"),
    };
    let validity = sequence(&[&tlv(0x17, from.as_bytes()), &tlv(0x17, until.as_bytes())]);
    let version = if shape == Shape::V1 { Vec::new() } else { tlv(0xA0, &tlv(0x02, &[2])) };
    let serial = match shape {
        Shape::V1 | Shape::V3 => tlv(0x02, &[0x10, 0x01]),
        Shape::Serial0 | Shape::Expired | Shape::NotYetValid => tlv(0x02, &[0]),
    };
    let extensions = if shape == Shape::V3 {
        let basic_constraints = sequence(&[BASIC_CONSTRAINTS, &tlv(0x04, &sequence(&[]))]);
        tlv(0xA3, &sequence(&[&basic_constraints]))
    } else {
        Vec::new()
    };
    let to_be_signed = sequence(&[&version, &serial, &algorithm, &name, &validity, &name, spki.as_ref(), &extensions]);
    let mut bits = vec![0];
    bits.extend(sign(key, &to_be_signed)?);
    Ok(sequence(&[&to_be_signed, &algorithm, &tlv(0x03, &bits)]))
}

/// OID 1.2.840.113549.1.1.11.
const SHA256_WITH_RSA: &[u8] = &[0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11];
/// OID 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
/// OID 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 3, 0x55, 0x1D, 19];

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    #[test]
    fn every_shape_is_what_it_says_and_signs_itself() {
        for shape in Shape::ALL {
            let identity = Identity::generate(shape).unwrap();
            let (rest, parsed) = X509Certificate::from_der(identity.der()).unwrap();
            assert!(rest.is_empty(), "{shape:?}");
            assert_eq!(parsed.version().0, if shape == Shape::V1 { 0 } else { 2 }, "{shape:?}");
            let zero = parsed.raw_serial() == [0];
            assert_eq!(zero, !matches!(shape, Shape::V1 | Shape::V3), "{shape:?}");
            assert_eq!(parsed.extensions().is_empty(), shape != Shape::V3, "{shape:?}");
            assert_eq!(parsed.subject().to_string(), "CN=NVIDIA GameStream Client");
            let years =
                (parsed.validity().not_before.to_datetime().year(), parsed.validity().not_after.to_datetime().year());
            let expected = match shape {
                Shape::Expired => (1999, 2001),
                Shape::NotYetValid => (2040, 2049),
                _ => (2025, 2045),
            };
            assert_eq!(years, expected, "{shape:?}");
            let key = public_key_of(identity.der()).unwrap();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                .verify(parsed.tbs_certificate.as_ref(), identity.signature())
                .unwrap();
            let again = Identity::load(&identity.pkcs8().unwrap(), identity.pem()).unwrap();
            assert_eq!(again.fingerprint(), identity.fingerprint());
        }
    }
}
