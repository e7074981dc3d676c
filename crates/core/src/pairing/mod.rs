//! Pairing by PIN (punktfunk1.md §2.5, §3.9.1): the four messages here, the SPAKE2 ceremony in [`ClientCeremony`] and
//! [`HostCeremony`].
//!
//! ```text
//! client ── PairRequest { name, spake_a } ──► host     host disarms its PIN window
//! client ◄─ PairChallenge { spake_b, confirm } ── host client verifies: wrong PIN or interception end here
//! client ── PairProof { confirm } ──────────► host     host verifies, saves the record
//! client ◄─ PairResult { ok } ──────────────── host    client closes, reconnects and says Hello
//! ```

mod ceremony;

use alloc::string::String;
use alloc::vec::Vec;

pub use ceremony::{CeremonyError, ClientCeremony, ClientPending, HostCeremony, RANDOM_BYTES};

use crate::DecodeError;
use crate::framing::MAGIC_CONTROL;
use crate::handshake::MAX_NAME;
use crate::wire::{Put, Reader, cut, text};

/// Size of a SPAKE2 message: a side byte and a compressed point.
pub const SPAKE_BYTES: usize = 33;

/// A pairing message. Lengths are exact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PairMessage {
    /// 0x10, client → host, the first message of the connection.
    Request {
        /// Device label, at most 64 bytes, not sanitised.
        name: String,
        /// The client's SPAKE2 message, unchecked: [`HostCeremony::respond`] judges it.
        spake_a: Vec<u8>,
        /// Browser clients only; a client with a certificate leaves it out.
        device_key: Option<Vec<u8>>,
    },
    /// 0x11, host → client.
    Challenge {
        /// The host's SPAKE2 message, unchecked: [`ClientCeremony::confirm`] judges it.
        spake_b: Vec<u8>,
        /// Proof that the host knows the PIN.
        confirm: [u8; 32],
    },
    /// 0x12, client → host.
    Proof {
        /// Proof that the client knows the PIN.
        confirm: [u8; 32],
    },
    /// 0x13, host → client.
    Result {
        /// The proof was right and the record is saved.
        ok: bool,
    },
}

impl PairMessage {
    /// The type byte.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        match self {
            Self::Request { .. } => 0x10,
            Self::Challenge { .. } => 0x11,
            Self::Proof { .. } => 0x12,
            Self::Result { .. } => 0x13,
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`DecodeError`]; types outside 0x10..=0x13 are [`DecodeError::UnknownType`].
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        r.magic(MAGIC_CONTROL)?;
        let message = match r.u8()? {
            0x10 => {
                let len = usize::from(r.u8()?);
                if len > MAX_NAME {
                    return Err(DecodeError::Invalid("pair request: name too long"));
                }
                let name = text(&mut r, len, "pair request: name not UTF-8")?.into();
                let spake_a = sized(&mut r)?;
                let device_key = if r.left() > 0 { Some(sized(&mut r)?) } else { None };
                Self::Request { name, spake_a, device_key }
            }
            0x11 => Self::Challenge { spake_b: sized(&mut r)?, confirm: r.array()? },
            0x12 => Self::Proof { confirm: r.array()? },
            0x13 => Self::Result { ok: r.bool()? },
            kind => return Err(DecodeError::UnknownType(kind)),
        };
        r.end()?;
        Ok(message)
    }

    /// Appends the payload. The name is cut to 64 bytes, blobs to what a u16 length can say.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put(&MAGIC_CONTROL).put_u8(self.message_type());
        match self {
            Self::Request { name, spake_a, device_key } => {
                let name = cut(name, MAX_NAME);
                out.put_u8(name.len() as u8).put(name.as_bytes());
                put_sized(out, spake_a);
                if let Some(key) = device_key {
                    put_sized(out, key);
                }
            }
            Self::Challenge { spake_b, confirm } => {
                put_sized(out, spake_b);
                out.put(confirm);
            }
            Self::Proof { confirm } => {
                out.put(confirm);
            }
            Self::Result { ok } => {
                out.put_u8((*ok).into());
            }
        }
    }
}

fn sized(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let len = r.u16()?;
    r.take(len.into()).map(<[u8]>::to_vec)
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(u16::MAX.into())];
    out.put_u16(bytes.len() as u16).put(bytes);
}
