//! The ciphers of a session. One key, `RIKEY`, seals everything; what differs is the IV.

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockDecryptMut, BlockEncrypt, KeyInit, KeyIvInit, block_padding::Pkcs7};
use aes_gcm::aead::consts::U16;
use aes_gcm::{AeadInPlace, AesGcm};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::Error;

/// A session's AES-128 key.
pub type Key = [u8; 16];

/// Bytes of a GCM tag.
pub const TAG: usize = 16;

/// AES-128-GCM with 12-byte IVs, tag apart from the text as the wire wants it.
pub struct Gcm(LessSafeKey);

impl Gcm {
    /// With the session's key.
    ///
    /// # Errors
    /// [`Error::Usage`] if the library refuses the key, which it does not for sixteen bytes.
    pub fn new(key: &Key) -> Result<Self, Error> {
        let key = UnboundKey::new(&AES_128_GCM, key).map_err(|_| Error::Usage("AES key refused".to_owned()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `text` in place and gives the tag.
    ///
    /// # Errors
    /// [`Error::Usage`] for a text of more than 64 GiB.
    pub fn seal(&self, iv: [u8; 12], text: &mut [u8]) -> Result<[u8; TAG], Error> {
        let sealed = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), text);
        let tag = sealed.map_err(|_| Error::Usage("AES-GCM refused".to_owned()))?;
        tag.as_ref().try_into().map_err(|_| Error::Usage("AES-GCM tag".to_owned()))
    }

    /// Opens `tag` ‖ ciphertext as they lie on the wire into `out` (cleared first); false if it is not genuine.
    pub fn open(&self, iv: [u8; 12], tag: &[u8], ciphertext: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(ciphertext);
        out.extend_from_slice(tag);
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(iv), Aad::empty(), out).map(|text| text.len());
        match opened {
            Ok(len) => {
                out.truncate(len);
                true
            }
            Err(_) => {
                out.clear();
                false
            }
        }
    }
}

/// AES-128-GCM with 16-byte IVs: control V1 only.
pub struct Gcm16(AesGcm<Aes128, U16>);

impl Gcm16 {
    /// With the session's key.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// Seals `text` in place and gives the tag.
    ///
    /// # Errors
    /// [`Error::Usage`] for a text of more than 64 GiB.
    pub fn seal(&self, iv: &[u8; 16], text: &mut [u8]) -> Result<[u8; TAG], Error> {
        let sealed = self.0.encrypt_in_place_detached(iv.into(), &[], text);
        sealed.map(Into::into).map_err(|_| Error::Usage("AES-GCM refused".to_owned()))
    }

    /// Opens `text` in place; false if it is not genuine.
    pub fn open(&self, iv: &[u8; 16], tag: &[u8; TAG], text: &mut [u8]) -> bool {
        self.0.decrypt_in_place_detached(iv.into(), &[], text, tag.into()).is_ok()
    }
}

/// AES-128-ECB without padding (pairing). Whole blocks only; a rest stays as it is.
pub fn ecb_encrypt(key: &Key, bytes: &mut [u8]) {
    let aes = Aes128::new(key.into());
    for block in bytes.chunks_exact_mut(16) {
        aes.encrypt_block(block.into());
    }
}

/// The other way round.
pub fn ecb_decrypt(key: &Key, bytes: &mut [u8]) {
    let aes = Aes128::new(key.into());
    for block in bytes.chunks_exact_mut(16) {
        aes.decrypt_block(block.into());
    }
}

/// AES-128-CBC with PKCS#7 padding (audio, §9.4); `None` if the padding is wrong.
#[must_use]
pub fn cbc_decrypt(key: &Key, iv: &[u8; 16], bytes: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<Aes128>::new(key.into(), iv.into()).decrypt_padded_vec_mut::<Pkcs7>(bytes).ok()
}
