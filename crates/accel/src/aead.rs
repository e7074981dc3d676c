//! AEAD by aws-lc.

use aws_lc_rs::aead::{AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use punktfunk_core::packet::TAG_BYTES;
use punktfunk_core::seal::{Aead, AeadTag, OpenError};

/// A key of either cipher. "Less safe" means that the caller picks the nonces, which is the sealer's only task.
pub(crate) struct AwsLc(LessSafeKey);

impl AwsLc {
    pub(crate) fn aes128_gcm(key: &[u8; 16]) -> Self {
        Self::new(&AES_128_GCM, key)
    }

    pub(crate) fn chacha20_poly1305(key: &[u8; 32]) -> Self {
        Self::new(&CHACHA20_POLY1305, key)
    }

    fn new(algorithm: &'static Algorithm, key: &[u8]) -> Self {
        // The two callers above pass exactly the algorithm's key length, the only thing that is checked.
        Self(LessSafeKey::new(UnboundKey::new(algorithm, key).expect("key length fits the algorithm")))
    }
}

impl Aead for AwsLc {
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8]) -> AeadTag {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), in_out);
        // It fails only for inputs beyond the cipher's limit of 2^36 bytes; a datagram has 2^16.
        let tag = sealed.expect("a datagram is within the cipher's limit");
        let mut out = [0; TAG_BYTES];
        out.copy_from_slice(tag.as_ref());
        out
    }

    fn open(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) -> Result<(), OpenError> {
        if sealed.len() < TAG_BYTES {
            return Err(OpenError::TooShort(sealed.len()));
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        match self.0.open_in_place(nonce, Aad::from(aad), sealed) {
            Ok(_) => Ok(()),
            Err(_) => Err(OpenError::Forged),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use punktfunk_core::seal::scalar;

    use super::*;

    proptest! {
        /// Both ciphers give the portable twin's bytes, open them, and refuse any flipped bit.
        #[test]
        fn agrees_with_the_portable_twin(
            key: [u8; 32], nonce: [u8; 12], aad: [u8; 8],
            plaintext in proptest::collection::vec(any::<u8>(), 0..1500), flip: proptest::sample::Index,
        ) {
            let short: [u8; 16] = key[..16].try_into().expect("16 of 32");
            let pairs: [(Box<dyn Aead>, Box<dyn Aead>); 2] = [
                (Box::new(AwsLc::aes128_gcm(&short)), Box::new(scalar::Aes128Gcm::new(&short))),
                (Box::new(AwsLc::chacha20_poly1305(&key)), Box::new(scalar::ChaCha20Poly1305::new(&key))),
            ];
            for (fast, slow) in pairs {
                let (mut a, mut b) = (plaintext.clone(), plaintext.clone());
                let tag = fast.seal(&nonce, &aad, &mut a);
                prop_assert_eq!(tag, slow.seal(&nonce, &aad, &mut b));
                prop_assert_eq!(&a, &b);
                a.extend_from_slice(&tag);
                let sealed = a.clone();
                for aead in [&fast, &slow] {
                    let mut opened = sealed.clone();
                    prop_assert_eq!(aead.open(&nonce, &aad, &mut opened), Ok(()));
                    prop_assert_eq!(&opened[..plaintext.len()], &plaintext[..]);
                    let mut bad = sealed.clone();
                    let bit = flip.index(bad.len() * 8);
                    bad[bit / 8] ^= 1 << (bit % 8);
                    prop_assert_eq!(aead.open(&nonce, &aad, &mut bad), Err(OpenError::Forged));
                    prop_assert_eq!(aead.open(&nonce, &aad, &mut bad[..15]), Err(OpenError::TooShort(15)));
                }
            }
        }
    }
}
