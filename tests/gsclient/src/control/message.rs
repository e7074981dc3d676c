//! What is said on the control stream (§6.4–6.6).

use crate::bytes::Bytes;
use crate::control::Delivery;
use crate::input;

/// From us to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// 0x0302 as the first message.
    StartA,
    /// 0x0307.
    StartB,
    /// 0x0302 later: the next frame must be a keyframe.
    RequestIdr,
    /// 0x0301: these frames, both included, were lost.
    Invalidate {
        /// First lost frame.
        first: u32,
        /// Last lost frame.
        last: u32,
    },
    /// 0x0350: this long-term reference arrived.
    LtrAck(u32),
    /// 0x0200.
    Ping,
    /// 0x5502.
    FecStatus(FecStatus),
    /// 0x0206.
    Input(input::Packet),
    /// Anything, for tests that misbehave: channel, type, payload.
    Other(u8, u16, Vec<u8>),
}

/// How a block fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FecStatus {
    /// Frame.
    pub frame: u32,
    /// Highest RTP sequence received.
    pub highest_sequence: u16,
    /// Next one without a gap.
    pub next_contiguous: u16,
    /// Missing below the highest.
    pub missing: u16,
    /// Data shards of the block.
    pub data: u16,
    /// Recovery shards of the block.
    pub recovery: u16,
    /// Data shards received.
    pub data_received: u16,
    /// Recovery shards received.
    pub recovery_received: u16,
    /// As signalled.
    pub percentage: u8,
    /// Block index.
    pub block: u8,
    /// Blocks of the frame.
    pub blocks: u8,
}

impl Message {
    /// Channel, delivery, type and payload.
    #[must_use]
    pub fn wire(&self) -> (u8, Delivery, u16, Vec<u8>) {
        use Delivery::{Reliable, Unsequenced};
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        match self {
            Self::StartA => (GENERIC, Reliable, 0x0302, vec![0, 0]),
            Self::RequestIdr => (URGENT, Reliable, 0x0302, vec![0, 0]),
            Self::StartB => (GENERIC, Reliable, 0x0307, vec![0]),
            Self::Invalidate { first, last } => (URGENT, Reliable, 0x0301, words(&[*first, 0, *last, 0, 0, 0])),
            Self::LtrAck(frame) => (URGENT, Reliable, 0x0350, words(&[*frame, 0])),
            Self::Ping => (GENERIC, Reliable, 0x0200, vec![4, 0, 0, 0, 0, 0, 0, 0]),
            Self::FecStatus(s) => {
                let mut out = s.frame.to_be_bytes().to_vec();
                let words = [
                    s.highest_sequence,
                    s.next_contiguous,
                    s.missing,
                    s.data,
                    s.recovery,
                    s.data_received,
                    s.recovery_received,
                ];
                out.extend(words.iter().flat_map(|w| w.to_be_bytes()));
                out.extend([s.percentage, s.block, s.blocks]);
                (GENERIC, Unsequenced, 0x5502, out)
            }
            Self::Input(packet) => (packet.channel, packet.delivery, 0x0206, packet.bytes.clone()),
            Self::Other(channel, kind, payload) => (*channel, Reliable, *kind, payload.clone()),
        }
    }
}

/// Display metadata of an HDR session, in the wire's units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HdrMode {
    /// Whether frames are HDR from now on.
    pub enabled: bool,
    /// R.x R.y G.x G.y B.x B.y W.x W.y (× 50000), max (nit), min (1/10000 nit), MaxCLL, MaxFALL, full frame (nit).
    pub metadata: [u16; 13],
}

/// From the host to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostMessage {
    /// 0x010B.
    Rumble {
        /// Pad.
        pad: u16,
        /// Low-frequency motor.
        low: u16,
        /// High-frequency motor.
        high: u16,
    },
    /// 0x5500.
    RumbleTriggers {
        /// Pad.
        pad: u16,
        /// Left.
        left: u16,
        /// Right.
        right: u16,
    },
    /// 0x5501.
    Motion {
        /// Pad.
        pad: u16,
        /// Reports per second, 0 = stop.
        rate_hz: u16,
        /// 1 accelerometer, 2 gyroscope.
        kind: u8,
    },
    /// 0x5502.
    Led {
        /// Pad.
        pad: u16,
        /// Red, green, blue.
        rgb: [u8; 3],
    },
    /// 0x5503.
    AdaptiveTriggers {
        /// Pad.
        pad: u16,
        /// 4 right valid, 8 left valid.
        flags: u8,
        /// Effect type and bytes.
        left: (u8, [u8; 10]),
        /// Effect type and bytes.
        right: (u8, [u8; 10]),
    },
    /// 0x010E.
    Hdr(HdrMode),
    /// 0x0109.
    Termination(u32),
    /// A type that clients ignore.
    Unknown(u16, Vec<u8>),
}

impl HostMessage {
    /// Reads a message; `Err` says how its payload is wrong.
    ///
    /// # Errors
    /// Payloads of another length than §6.6 gives.
    pub fn read(kind: u16, payload: &[u8]) -> Result<Self, String> {
        let wrong = || format!("{} bytes of payload for {kind:#06x}", payload.len());
        let mut r = Bytes(payload);
        let message = (|| {
            Some(match kind {
                0x010B => {
                    r.u32le()?;
                    Self::Rumble { pad: r.u16le()?, low: r.u16le()?, high: r.u16le()? }
                }
                0x5500 => Self::RumbleTriggers { pad: r.u16le()?, left: r.u16le()?, right: r.u16le()? },
                0x5501 => Self::Motion { pad: r.u16le()?, rate_hz: r.u16le()?, kind: r.u8()? },
                0x5502 => Self::Led { pad: r.u16le()?, rgb: r.array()? },
                0x5503 => {
                    let (pad, flags, left, right) = (r.u16le()?, r.u8()?, r.u8()?, r.u8()?);
                    Self::AdaptiveTriggers { pad, flags, left: (left, r.array()?), right: (right, r.array()?) }
                }
                0x010E => {
                    let enabled = r.u8()? != 0;
                    let mut metadata = [0; 13];
                    for word in &mut metadata {
                        *word = r.u16le()?;
                    }
                    // Longer ones are tolerated.
                    r.0 = &[];
                    Self::Hdr(HdrMode { enabled, metadata })
                }
                0x0109 => Self::Termination(r.u32be()?),
                _ => Self::Unknown(kind, std::mem::take(&mut r.0).to_vec()),
            })
        })();
        message.filter(|_| r.0.is_empty()).ok_or_else(wrong)
    }
}

const GENERIC: u8 = 0x00;
const URGENT: u8 = 0x01;
