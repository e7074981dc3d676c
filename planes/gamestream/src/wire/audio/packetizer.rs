//! From coded blocks of sound to packets.

use std::time::Duration;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockEncryptMut, InnerIvInit, KeyInit};
use punktfunk_core::fec::gf8;

/// How a session's sound travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AudioConfig {
    /// Length of a coded block: 5 or 10 ms.
    pub duration: Duration,
    /// Set where sound is encrypted.
    pub key: Option<AudioKey>,
}

/// Without the key.
impl std::fmt::Debug for AudioConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("AudioConfig");
        out.field("duration", &self.duration).field("encrypted", &self.key.is_some()).finish()
    }
}

/// What sound is encrypted with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AudioKey {
    /// The session's secret.
    pub rikey: [u8; 16],
    /// Its number: IVs count up from it.
    pub rikey_id: u32,
}

/// A coded block that cannot be sent. It took no sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AudioPacketError {
    /// Clients take datagrams of at most [`MAX_DATAGRAM_BYTES`], and nobody plays nothing.
    #[error("a coded block of {0} bytes has no place in a datagram")]
    Length(usize),
    /// The four packets of a FEC block must be equally long: clients stop repairing sound for good when they are not.
    #[error("a coded block of {len} bytes among others of {expected}")]
    Uneven {
        /// Its length.
        len: usize,
        /// The length of the others.
        expected: usize,
    },
}

/// One session's packetizer: sequence and time begin at 0.
pub struct AudioPacketizer {
    cipher: Option<(Aes128, u32)>,
    step_ms: u32,
    sequence: u16,
    timestamp: u32,
    /// What the FEC block began with.
    base: Base,
    /// The newest data packet, then the two recovery packets.
    packets: [Packet; 3],
}

/// Where a FEC block begins.
#[derive(Clone, Copy, Default)]
struct Base {
    sequence: u16,
    timestamp: u32,
    /// Length of its coded blocks before encryption.
    len: usize,
}

#[derive(Clone, Copy)]
struct Packet {
    bytes: [u8; MAX_DATAGRAM_BYTES],
    len: usize,
}

impl AudioPacketizer {
    /// A packetizer for a new session.
    #[must_use]
    pub fn new(config: &AudioConfig) -> Self {
        let empty = Packet { bytes: [0; MAX_DATAGRAM_BYTES], len: 0 };
        Self {
            cipher: config.key.map(|key| (Aes128::new(&key.rikey.into()), key.rikey_id)),
            step_ms: u32::try_from(config.duration.as_millis()).unwrap_or(u32::MAX),
            sequence: 0,
            timestamp: 0,
            base: Base::default(),
            packets: [empty; 3],
        }
    }

    /// The packets to send for the next coded block, in order: its own, and after the fourth of a FEC block the two that
    /// repair it. Allocates nothing.
    ///
    /// # Errors
    /// See [`AudioPacketError`]; the next block takes this one's place.
    pub fn push(&mut self, coded: &[u8]) -> Result<impl ExactSizeIterator<Item = &[u8]>, AudioPacketError> {
        let payload = if self.cipher.is_some() { (coded.len() / CIPHER_BLOCK + 1) * CIPHER_BLOCK } else { coded.len() };
        if coded.is_empty() || RECOVERY_HEADER_BYTES + payload > MAX_DATAGRAM_BYTES {
            return Err(AudioPacketError::Length(coded.len()));
        }
        let place = usize::from(self.sequence) % DATA_SHARDS;
        if place == 0 {
            self.base = Base { sequence: self.sequence, timestamp: self.timestamp, len: coded.len() };
        } else if coded.len() != self.base.len {
            return Err(AudioPacketError::Uneven { len: coded.len(), expected: self.base.len });
        }
        self.write_data(coded, payload);
        self.add_to_recovery(place, payload);
        let whole = place + 1 == DATA_SHARDS;
        if whole {
            self.finish_recovery(payload);
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.step_ms);
        let ready = if whole { &self.packets[..] } else { &self.packets[..1] };
        Ok(ready.iter().map(|packet| &packet.bytes[..packet.len]))
    }

    fn write_data(&mut self, coded: &[u8], payload: usize) {
        let packet = &mut self.packets[0];
        let (header, body) = packet.bytes.split_at_mut(RTP_HEADER_BYTES);
        header[..2].copy_from_slice(&[RTP_VERSION, TYPE_DATA]);
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..].fill(0);
        body[..coded.len()].copy_from_slice(coded);
        if let Some((cipher, number)) = &self.cipher {
            let mut iv = [0; CIPHER_BLOCK];
            iv[..4].copy_from_slice(&number.wrapping_add(self.sequence.into()).to_be_bytes());
            let encryptor = cbc::Encryptor::inner_iv_init(cipher.clone(), &iv.into());
            // It fails only without room for the padding, which `payload` includes.
            let sealed = encryptor.encrypt_padded_mut::<Pkcs7>(&mut body[..payload], coded.len());
            debug_assert!(sealed.is_ok_and(|sealed| sealed.len() == payload));
        }
        packet.len = RTP_HEADER_BYTES + payload;
    }

    /// Adds data packet `place` of the FEC block to both sums.
    fn add_to_recovery(&mut self, place: usize, payload: usize) {
        let [data, recovery @ ..] = &mut self.packets;
        let data = &data.bytes[RTP_HEADER_BYTES..][..payload];
        for (packet, row) in recovery.iter_mut().zip(&PRODUCTS) {
            let sum = &mut packet.bytes[RECOVERY_HEADER_BYTES..][..payload];
            if place == 0 {
                sum.fill(0);
            }
            for (sum, byte) in sum.iter_mut().zip(data) {
                *sum ^= row[place][usize::from(*byte)];
            }
        }
    }

    fn finish_recovery(&mut self, payload: usize) {
        let base = self.base;
        for (index, packet) in self.packets[1..].iter_mut().enumerate() {
            let sequence = self.sequence.wrapping_add(1 + index as u16);
            let header = &mut packet.bytes[..RECOVERY_HEADER_BYTES];
            header.fill(0);
            header[..2].copy_from_slice(&[RTP_VERSION, TYPE_RECOVERY]);
            header[2..4].copy_from_slice(&sequence.to_be_bytes());
            header[12..14].copy_from_slice(&[index as u8, TYPE_DATA]);
            header[14..16].copy_from_slice(&base.sequence.to_be_bytes());
            header[16..20].copy_from_slice(&base.timestamp.to_be_bytes());
            packet.len = RECOVERY_HEADER_BYTES + payload;
        }
    }
}

impl std::fmt::Debug for AudioPacketizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioPacketizer").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// What clients have room for.
pub const MAX_DATAGRAM_BYTES: usize = 1400;
const RTP_HEADER_BYTES: usize = 12;
const RECOVERY_HEADER_BYTES: usize = 24;
const RTP_VERSION: u8 = 0x80;
const TYPE_DATA: u8 = 97;
const TYPE_RECOVERY: u8 = 127;
const CIPHER_BLOCK: usize = 16;
const DATA_SHARDS: usize = 4;

/// The fixed matrix of gamestream.md §9.1: one row per recovery packet.
const MATRIX: [[u8; DATA_SHARDS]; 2] = [[0x77, 0x40, 0x38, 0x0e], [0xc7, 0xa7, 0x0d, 0x6c]];

/// Products of each entry with every byte.
static PRODUCTS: [[[u8; 256]; DATA_SHARDS]; 2] = products();

const fn products() -> [[[u8; 256]; DATA_SHARDS]; 2] {
    let mut all = [[[0; 256]; DATA_SHARDS]; 2];
    let mut at = 0;
    while at < 2 * DATA_SHARDS * 256 {
        let (row, column, byte) = (at / 256 / DATA_SHARDS, at / 256 % DATA_SHARDS, at % 256);
        all[row][column][byte] = gf8::mul(MATRIX[row][column], byte as u8);
        at += 1;
    }
    all
}
