//! Sealing of control packets (§6.3), both variants, both directions.

use crate::Error;
use crate::bytes::Bytes;
use crate::crypto::{Gcm, Gcm16, Key, TAG};
use crate::rtsp::Originator;

/// Which IVs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 16 bytes, the sequence's low byte and zeros: old clients.
    V1,
    /// 12 bytes with sequence and direction.
    V2,
}

enum Cipher {
    V1(Box<Gcm16>),
    V2(Gcm),
}

impl Cipher {
    fn new(key: &Key, version: Version) -> Result<Self, Error> {
        Ok(match version {
            Version::V1 => Self::V1(Box::new(Gcm16::new(key))),
            Version::V2 => Self::V2(Gcm::new(key)?),
        })
    }
}

/// Seals one direction; counts from 0.
pub struct Sealer {
    cipher: Cipher,
    from: Originator,
    sequence: u32,
}

impl Sealer {
    /// For packets of `from`.
    ///
    /// # Errors
    /// Never for a key of sixteen bytes.
    pub fn new(key: &Key, version: Version, from: Originator) -> Result<Self, Error> {
        Ok(Self { cipher: Cipher::new(key, version)?, from, sequence: 0 })
    }

    /// Continues at this sequence; for tests that pick up in the middle.
    pub fn set_sequence(&mut self, sequence: u32) {
        self.sequence = sequence;
    }

    /// Type, length and payload, sealed.
    ///
    /// # Errors
    /// [`Error::Usage`] for a payload longer than the length field can say.
    pub fn seal(&mut self, kind: u16, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let too_long = || Error::Usage(format!("control payload of {} bytes", payload.len()));
        let length = u16::try_from(payload.len()).map_err(|_| too_long())?;
        let whole = length.checked_add(4 + 4 + TAG as u16).ok_or_else(too_long)?;
        let mut text = [&kind.to_le_bytes()[..], &length.to_le_bytes(), payload].concat();
        let tag = match &self.cipher {
            Cipher::V1(gcm) => gcm.seal(&iv1(self.sequence), &mut text)?,
            Cipher::V2(gcm) => gcm.seal(iv2(self.sequence, self.from), &mut text)?,
        };
        let mut out = [ENCRYPTED.to_le_bytes(), whole.to_le_bytes()].concat();
        out.extend(self.sequence.to_le_bytes());
        out.extend(tag);
        out.extend(text);
        self.sequence = self.sequence.wrapping_add(1);
        Ok(out)
    }
}

/// Opens one direction.
pub struct Opener {
    cipher: Cipher,
    from: Originator,
}

impl Opener {
    /// For packets of `from`.
    ///
    /// # Errors
    /// Never for a key of sixteen bytes.
    pub fn new(key: &Key, version: Version, from: Originator) -> Result<Self, Error> {
        Ok(Self { cipher: Cipher::new(key, version)?, from })
    }

    /// Sequence, type and payload; `Err` says what is wrong with the packet.
    ///
    /// # Errors
    /// Unsealed, forged or malformed packets.
    pub fn open(&self, wire: &[u8]) -> Result<(u32, u16, Vec<u8>), String> {
        let mut r = Bytes(wire);
        let mut head = || Some((r.u16le()?, r.u16le()?, r.u32le()?, r.array::<TAG>()?));
        let (kind, length, sequence, tag) = head().ok_or_else(|| format!("control packet of {} bytes", wire.len()))?;
        if kind != ENCRYPTED {
            return Err(format!("control packet of type {kind:#06x} in clear"));
        }
        if usize::from(length) + 4 != wire.len() {
            return Err(format!("control length {length} in a packet of {} bytes", wire.len()));
        }
        let mut text = r.0.to_vec();
        let genuine = match &self.cipher {
            Cipher::V1(gcm) => gcm.open(&iv1(sequence), &tag, &mut text),
            Cipher::V2(gcm) => gcm.open(iv2(sequence, self.from), &tag, r.0, &mut text),
        };
        if !genuine {
            return Err(format!("control packet {sequence} is not genuine"));
        }
        let mut r = Bytes(&text);
        let mut inner = || Some((r.u16le()?, r.u16le()?));
        let (kind, length) = inner().ok_or_else(|| format!("control text of {} bytes", text.len()))?;
        if usize::from(length) != r.0.len() {
            return Err(format!("control payload of {} bytes says {length}", r.0.len()));
        }
        Ok((sequence, kind, r.0.to_vec()))
    }
}

fn iv1(sequence: u32) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[0] = sequence as u8;
    iv
}

fn iv2(sequence: u32, from: Originator) -> [u8; 12] {
    let mut iv = [0; 12];
    iv[..4].copy_from_slice(&sequence.to_le_bytes());
    iv[10..].copy_from_slice(&[from.letter(), b'C']);
    iv
}

const ENCRYPTED: u16 = 0x0001;
