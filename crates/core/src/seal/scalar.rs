//! The portable AEADs: slow twins and oracles of the accelerated ones.

use aes_gcm::aead::{AeadInPlace, KeyInit};

use super::{Aead, AeadTag, OpenError};
use crate::packet::TAG_BYTES;

/// AES-128-GCM (RustCrypto).
pub struct Aes128Gcm(aes_gcm::Aes128Gcm);

impl Aes128Gcm {
    /// With this key, which is `Welcome` bytes 29–44.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self(aes_gcm::Aes128Gcm::new(key.into()))
    }
}

/// ChaCha20-Poly1305 (RustCrypto).
pub struct ChaCha20Poly1305(chacha20poly1305::ChaCha20Poly1305);

impl ChaCha20Poly1305 {
    /// With this key, which is `Welcome` bytes 69–100.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(chacha20poly1305::ChaCha20Poly1305::new(key.into()))
    }
}

/// Both wrap the same generic interface.
macro_rules! aead {
    ($name:ident) => {
        impl Aead for $name {
            fn seal(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8]) -> AeadTag {
                self.0
                    .encrypt_in_place_detached(nonce.into(), aad, in_out)
                    .expect("a datagram is far below the AEAD's length limit of 2^36 bytes")
                    .into()
            }

            fn open(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) -> Result<(), OpenError> {
                let Some(split) = sealed.len().checked_sub(TAG_BYTES) else {
                    return Err(OpenError::TooShort(sealed.len()));
                };
                let (ciphertext, tag) = sealed.split_at_mut(split);
                self.0
                    .decrypt_in_place_detached(nonce.into(), aad, ciphertext, (&*tag).into())
                    .map_err(|_| OpenError::Forged)
            }
        }
    };
}

aead!(Aes128Gcm);
aead!(ChaCha20Poly1305);
