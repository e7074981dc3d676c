//! AES-128-GCM with the session's secret, as RTSP (gamestream.md §5.3) and the control stream (§6.3) use it: one key for
//! everything, told apart by two letters of the nonce.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit, aes::Aes128};
use punktfunk_core::seal::Aead;

/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

/// Who sealed a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The client.
    Client,
    /// The host.
    Host,
}

/// Which stream a message belongs to, and so how its nonce is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stream {
    /// RTSP: byte 11 is `R`.
    Rtsp,
    /// Control V2: byte 11 is `C`.
    ControlV2,
    /// Control V1: 16 bytes, of which the first is the sequence's lowest. It repeats every 256 messages and in both
    /// directions; it is there for clients that know nothing else.
    ControlV1,
}

/// The session's key, set up for one stream.
pub(crate) struct Cipher {
    stream: Stream,
    key: Key,
}

enum Key {
    Nonce12(Box<dyn Aead>),
    Nonce16(Box<AesGcm<Aes128, U16>>),
}

impl Cipher {
    pub fn new(rikey: &[u8; 16], stream: Stream) -> Self {
        let key = match stream {
            Stream::Rtsp | Stream::ControlV2 => Key::Nonce12(punktfunk_accel::aes128_gcm(rikey)),
            Stream::ControlV1 => Key::Nonce16(Box::new(AesGcm::new(&(*rikey).into()))),
        };
        Self { stream, key }
    }

    /// Seals `text` in place and returns its tag. The caller never repeats a sequence for the same side.
    pub fn seal(&self, from: Side, sequence: u32, text: &mut [u8]) -> [u8; TAG_BYTES] {
        match &self.key {
            Key::Nonce12(aead) => aead.seal(&self.nonce12(from, sequence), &[], text),
            Key::Nonce16(aead) => {
                let tag = aead.encrypt_in_place_detached(&nonce16(sequence), &[], text);
                // It fails only beyond the cipher's limit of 2^36 bytes; messages are some kilobytes.
                tag.expect("a message is within the cipher's limit").into()
            }
        }
    }

    /// Opens ciphertext ‖ tag in place; the text is what stood before the tag. `None` if it was not sealed like this:
    /// then the bytes mean nothing.
    pub fn open<'t>(&self, from: Side, sequence: u32, sealed: &'t mut [u8]) -> Option<&'t [u8]> {
        let len = sealed.len().checked_sub(TAG_BYTES)?;
        match &self.key {
            Key::Nonce12(aead) => aead.open(&self.nonce12(from, sequence), &[], sealed).ok()?,
            Key::Nonce16(aead) => {
                let (text, tag) = sealed.split_at_mut(len);
                let tag = GenericArray::from_slice(tag);
                aead.decrypt_in_place_detached(&nonce16(sequence), &[], text, tag).ok()?;
            }
        }
        sealed.get(..len)
    }

    fn nonce12(&self, from: Side, sequence: u32) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&sequence.to_le_bytes());
        nonce[10] = match from {
            Side::Client => b'C',
            Side::Host => b'H',
        };
        nonce[11] = if self.stream == Stream::Rtsp { b'R' } else { b'C' };
        nonce
    }
}

fn nonce16(sequence: u32) -> GenericArray<u8, U16> {
    let mut nonce = GenericArray::default();
    nonce[0] = sequence as u8;
    nonce
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").field("stream", &self.stream).finish_non_exhaustive()
    }
}
