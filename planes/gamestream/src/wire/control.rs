//! The control stream (gamestream.md §6): its sealed packets, and what clients say in them. What the host says is in
//! [`super::feedback`].
//!
//! ```text
//! u16le 1 ‖ u16le length ‖ u32le sequence ‖ tag ‖ sealed { u16le type ‖ u16le length ‖ payload }
//! ```

use punktfunk_core::DecodeError;

use super::reader::Reader;
use super::seal::{Cipher, Side, Stream, TAG_BYTES};

/// Seals and opens the packets of one session, both directions.
#[derive(Debug)]
pub struct ControlCipher(Cipher);

impl ControlCipher {
    /// With the session's secret; V2, or V1 for clients that know nothing else.
    #[must_use]
    pub fn new(rikey: &[u8; 16], v2: bool) -> Self {
        Self(Cipher::new(rikey, if v2 { Stream::ControlV2 } else { Stream::ControlV1 }))
    }

    /// Appends the packet that carries `text` to `out`. With V2 a sequence must never be used twice by the same side.
    ///
    /// # Panics
    /// If `text` is longer than [`MAX_TEXT_BYTES`].
    pub fn seal(&self, from: Side, sequence: u32, text: &[u8], out: &mut Vec<u8>) {
        assert!(text.len() <= MAX_TEXT_BYTES, "a control message of {} bytes", text.len());
        let start = out.len();
        out.extend_from_slice(&SEALED.to_le_bytes());
        out.extend_from_slice(&((4 + TAG_BYTES + text.len()) as u16).to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&[0; TAG_BYTES]);
        out.extend_from_slice(text);
        let (head, text) = out[start..].split_at_mut(HEADER_BYTES);
        let tag = self.0.seal(from, sequence, text);
        head[HEADER_BYTES - TAG_BYTES..].copy_from_slice(&tag);
    }

    /// Opens a packet; `scratch` holds the text. Returns the sequence, too.
    ///
    /// # Errors
    /// [`DecodeError`]: not a sealed packet, of a wrong length, or not sealed with this secret by that side.
    pub fn open<'s>(
        &self,
        from: Side,
        packet: &[u8],
        scratch: &'s mut Vec<u8>,
    ) -> Result<(u32, &'s [u8]), DecodeError> {
        let mut r = Reader::new(packet);
        if r.u16_le()? != SEALED {
            return Err(DecodeError::BadMagic);
        }
        let mut r = Reader::new(r.u16_le().and_then(|len| r.take(len.into()))?);
        let (sequence, tag) = (r.u32_le()?, r.take(TAG_BYTES)?);
        let text = r.take_rest();
        if text.len() > MAX_TEXT_BYTES {
            return Err(DecodeError::WrongLength { expected: MAX_TEXT_BYTES, got: text.len() });
        }
        scratch.clear();
        scratch.extend_from_slice(text);
        scratch.extend_from_slice(tag);
        let text = self.0.open(from, sequence, scratch).ok_or(DecodeError::Invalid("control packet: forged"))?;
        Ok((sequence, text))
    }
}

/// Longest text of a packet, either way. Clients stay below 256 bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Everything of a packet before the text.
const HEADER_BYTES: usize = 8 + TAG_BYTES;

/// The first field of a sealed packet.
const SEALED: u16 = 1;

/// A message of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientMessage<'a> {
    /// 0x0302: Start A, and every later request for a keyframe.
    Keyframe,
    /// 0x0307: Start B.
    Started,
    /// 0x0200: the periodic ping.
    Ping,
    /// 0x0301: the frames `first..=last` are lost.
    Invalidate {
        /// First lost one, as counted in video packets.
        first: u32,
        /// Last lost one.
        last: u32,
    },
    /// 0x0350: a frame marked as long-term reference arrived.
    LongTermReceived {
        /// Its index.
        frame: u32,
    },
    /// 0x0201: loss statistics of old clients.
    LossStats {
        /// The newest frame that arrived whole.
        last_good: u64,
    },
    /// 0x5502: how FEC did in one block.
    FecStatus(FecStatus),
    /// 0x0206: one input packet (gamestream.md §7).
    Input(&'a [u8]),
    /// Anything else; ignored.
    Unknown(u16),
}

/// How a block of one frame arrived (gamestream.md §6.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FecStatus {
    /// Frame.
    pub frame: u32,
    /// Highest RTP sequence that arrived.
    pub highest: u16,
    /// RTP sequence that is next in line without a gap.
    pub next: u16,
    /// Packets missing before the highest that arrived.
    pub missing: u16,
    /// Data packets of the block.
    pub data: u16,
    /// Recovery packets of the block.
    pub recovery: u16,
    /// Data packets that arrived.
    pub received_data: u16,
    /// Recovery packets that arrived.
    pub received_recovery: u16,
    /// Percentage that the block's packets told.
    pub percent: u8,
    /// Block of the frame.
    pub block: u8,
    /// Blocks of the frame.
    pub blocks: u8,
}

impl<'a> ClientMessage<'a> {
    /// Reads the text of a packet. A type that nobody knows is a message, too; it is to be ignored.
    ///
    /// # Errors
    /// [`DecodeError`]: shorter than its own length, or than the layout of its type.
    pub fn decode(text: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(text);
        let (kind, len) = (r.u16_le()?, r.u16_le()?);
        let payload = r.take(len.into())?;
        let mut r = Reader::new(payload);
        Ok(match kind {
            KEYFRAME => Self::Keyframe,
            STARTED => Self::Started,
            PING => Self::Ping,
            INVALIDATE => {
                let (first, _, last) = (r.u32_le()?, r.u32_le()?, r.u32_le()?);
                Self::Invalidate { first, last }
            }
            LONG_TERM => Self::LongTermReceived { frame: r.u32_le()? },
            LOSS_STATS => {
                r.skip(12)?;
                Self::LossStats { last_good: r.u64_le()? }
            }
            FEC_STATUS => Self::FecStatus(FecStatus::read(&mut r)?),
            INPUT => Self::Input(payload),
            unknown => Self::Unknown(unknown),
        })
    }

    /// Appends the text of this message, as a client writes it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Keyframe => put(out, KEYFRAME, &[0; 2]),
            Self::Started => put(out, STARTED, &[0]),
            Self::Ping => put(out, PING, &[4, 0, 0, 0, 0, 0, 0, 0]),
            Self::Invalidate { first, last } => {
                let fields = [first, 0, last, 0, 0, 0].map(u32::to_le_bytes);
                put(out, INVALIDATE, fields.as_flattened());
            }
            Self::LongTermReceived { frame } => {
                put(out, LONG_TERM, [frame, 0].map(u32::to_le_bytes).as_flattened());
            }
            Self::LossStats { last_good } => {
                let [low, high] = [last_good as u32, (last_good >> 32) as u32];
                // The second field is the interval of the report in milliseconds.
                let fields = [0, 50, 1000, low, high, 0, 0, 0x14].map(u32::to_le_bytes);
                put(out, LOSS_STATS, fields.as_flattened());
            }
            Self::FecStatus(status) => put(out, FEC_STATUS, &status.bytes()),
            Self::Input(packet) => put(out, INPUT, packet),
            Self::Unknown(kind) => put(out, kind, &[]),
        }
    }
}

impl FecStatus {
    /// The only big-endian message of a client.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            frame: r.u32_be()?,
            highest: r.u16_be()?,
            next: r.u16_be()?,
            missing: r.u16_be()?,
            data: r.u16_be()?,
            recovery: r.u16_be()?,
            received_data: r.u16_be()?,
            received_recovery: r.u16_be()?,
            percent: r.u8()?,
            block: r.u8()?,
            blocks: r.u8()?,
        })
    }

    fn bytes(&self) -> [u8; 21] {
        let mut out = [0; 21];
        out[..4].copy_from_slice(&self.frame.to_be_bytes());
        let counts = [
            self.highest,
            self.next,
            self.missing,
            self.data,
            self.recovery,
            self.received_data,
            self.received_recovery,
        ];
        out[4..18].copy_from_slice(counts.map(u16::to_be_bytes).as_flattened());
        out[18..].copy_from_slice(&[self.percent, self.block, self.blocks]);
        out
    }
}

/// Appends a message. Payloads of both directions are far below 64 KiB.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    out.extend_from_slice(payload);
}

const PING: u16 = 0x0200;
const LOSS_STATS: u16 = 0x0201;
const INPUT: u16 = 0x0206;
const INVALIDATE: u16 = 0x0301;
const KEYFRAME: u16 = 0x0302;
const STARTED: u16 = 0x0307;
const LONG_TERM: u16 = 0x0350;
const FEC_STATUS: u16 = 0x5502;
