//! Messages of a capture connection.

use std::time::Duration;

use punktfunk_media::{Damage, Rect};

use super::{Fields, Message};

/// Host to worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToCapture {
    /// A new slot; its memfd travels with the message.
    Slot {
        /// Which layout it was made for.
        generation: u32,
        /// Its number.
        index: u32,
    },
    /// A slot may be filled.
    Lend {
        /// Which layout it was made for.
        generation: u32,
        /// Its number.
        index: u32,
    },
}

/// Worker to host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromCapture {
    /// All slots so far are void; the next ones have this layout.
    Layout {
        /// Counts layouts.
        generation: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes from row to row.
        stride: u32,
    },
    /// A lent slot comes back filled.
    Frame(FrameNote),
}

/// A filled slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameNote {
    /// Which layout it was made for.
    pub generation: u32,
    /// Its number.
    pub index: u32,
    /// When it was drawn, on `CLOCK_MONOTONIC`.
    pub drawn: Duration,
    /// What changed since the previous frame.
    pub damage: Damage,
}

impl ToCapture {
    /// In bytes.
    pub fn encode(self) -> Message {
        let (kind, generation, index) = match self {
            Self::Slot { generation, index } => (SLOT, generation, index),
            Self::Lend { generation, index } => (LEND, generation, index),
        };
        *Message::new(kind).u32(generation).u32(index)
    }
}

/// Reads what a host says.
pub fn decode_to_capture(bytes: &[u8]) -> Option<ToCapture> {
    let mut fields = Fields(bytes);
    let kind = fields.u8()?;
    let (generation, index) = (fields.u32()?, fields.u32()?);
    let message = match kind {
        SLOT => ToCapture::Slot { generation, index },
        LEND => ToCapture::Lend { generation, index },
        _ => return None,
    };
    fields.end(message)
}

impl FromCapture {
    /// In bytes.
    pub fn encode(&self) -> Message {
        match self {
            Self::Layout { generation, width, height, stride } => {
                *Message::new(LAYOUT).u32(*generation).u32(*width).u32(*height).u32(*stride)
            }
            Self::Frame(note) => note.encode(),
        }
    }
}

impl FrameNote {
    fn encode(&self) -> Message {
        let mut message = Message::new(FRAME);
        message.u32(self.generation).u32(self.index).u64(nanos(self.drawn));
        match self.damage.rects() {
            None => message.put(&[EVERYTHING]),
            Some(rects) => {
                // As many as a damage holds, which fits a byte.
                message.put(&[self.damage.rects().map_or(0, Iterator::count) as u8]);
                for r in rects {
                    message.u32(r.x).u32(r.y).u32(r.width).u32(r.height);
                }
                &mut message
            }
        };
        message
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let (generation, index) = (fields.u32()?, fields.u32()?);
        let drawn = Duration::from_nanos(fields.u64()?);
        let damage = match fields.u8()? {
            EVERYTHING => Damage::Full,
            count => {
                let mut damage = Damage::none();
                for _ in 0..count {
                    let (x, y, width, height) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
                    damage.add(Rect { x, y, width, height });
                }
                damage
            }
        };
        Some(Self { generation, index, drawn, damage })
    }
}

/// Reads what a worker says. The rectangles are as told: whoever uses them clamps them.
pub fn decode_from_capture(bytes: &[u8]) -> Option<FromCapture> {
    let mut fields = Fields(bytes);
    let message = match fields.u8()? {
        LAYOUT => FromCapture::Layout {
            generation: fields.u32()?,
            width: fields.u32()?,
            height: fields.u32()?,
            stride: fields.u32()?,
        },
        FRAME => FromCapture::Frame(FrameNote::decode(&mut fields)?),
        _ => return None,
    };
    fields.end(message)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const SLOT: u8 = 1;
const LEND: u8 = 2;
const LAYOUT: u8 = 3;
const FRAME: u8 = 4;
/// In the place of the number of rectangles.
const EVERYTHING: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_as_it_was_and_nothing_shorter_or_longer_does() {
        for message in [ToCapture::Slot { generation: 1, index: 2 }, ToCapture::Lend { generation: u32::MAX, index: 0 }]
        {
            assert_eq!(decode_to_capture(message.encode().as_ref()), Some(message));
        }
        let mut damage = Damage::none();
        for i in 0..Damage::MAX_RECTS as u32 {
            damage.add(Rect { x: i, y: 2 * i, width: 3, height: u32::MAX });
        }
        let note = FrameNote { generation: 7, index: 1, drawn: Duration::from_nanos(1), damage: Damage::Full };
        let messages = [
            FromCapture::Layout { generation: 3, width: 1366, height: 767, stride: 5504 },
            FromCapture::Frame(note),
            FromCapture::Frame(FrameNote { damage, ..note }),
            FromCapture::Frame(FrameNote { damage: Damage::none(), ..note }),
        ];
        for message in messages {
            let bytes = message.encode();
            assert_eq!(decode_from_capture(bytes.as_ref()), Some(message));
            assert_eq!(decode_from_capture(&bytes.as_ref()[..bytes.as_ref().len() - 1]), None);
            assert_eq!(decode_from_capture(&[bytes.as_ref(), &[0]].concat()), None);
        }
        assert_eq!(decode_to_capture(&[]), None);
        assert_eq!(decode_from_capture(&[9, 0, 0, 0, 0]), None);
    }
}
