//! Messages of a capture connection.

use std::time::Duration;

use punktfunk_media::{Colour, Damage, Matrix, PixelFormat, Rect};

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
    /// Pictures are wanted in this form.
    Format(PixelFormat),
    /// The pointer is wanted beside the pictures, or in them.
    CursorApart(bool),
    /// What was told of the pointer last was read.
    CursorHeard,
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
        /// What pixels are.
        format: PixelFormat,
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
    /// How long making planes of it took after that.
    pub converted_in: Duration,
    /// What changed since the previous frame.
    pub damage: Damage,
}

impl ToCapture {
    /// In bytes.
    pub fn encode(self) -> Message {
        let (kind, generation, index) = match self {
            Self::Format(format) => return *Message::new(FORMAT).put(&[format_code(format)]),
            Self::CursorApart(apart) => return *Message::new(CURSOR_APART).put(&[u8::from(apart)]),
            Self::CursorHeard => return Message::new(CURSOR_HEARD),
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
    match kind {
        FORMAT => {
            let format = format_of(fields.u8()?)?;
            return fields.end(ToCapture::Format(format));
        }
        CURSOR_APART => {
            let apart = fields.bool()?;
            return fields.end(ToCapture::CursorApart(apart));
        }
        CURSOR_HEARD => return fields.end(ToCapture::CursorHeard),
        _ => {}
    }
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
            Self::Layout { generation, width, height, stride, format } => {
                let mut message = Message::new(LAYOUT);
                *message.u32(*generation).u32(*width).u32(*height).u32(*stride).put(&[format_code(*format)])
            }
            Self::Frame(note) => note.encode(),
        }
    }
}

impl FrameNote {
    fn encode(&self) -> Message {
        let mut message = Message::new(FRAME);
        message.u32(self.generation).u32(self.index).u64(nanos(self.drawn)).u64(nanos(self.converted_in));
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
        let (drawn, converted_in) = (Duration::from_nanos(fields.u64()?), Duration::from_nanos(fields.u64()?));
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
        Some(Self { generation, index, drawn, converted_in, damage })
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
            format: format_of(fields.u8()?)?,
        },
        FRAME => FromCapture::Frame(FrameNote::decode(&mut fields)?),
        _ => return None,
    };
    fields.end(message)
}

fn format_code(format: PixelFormat) -> u8 {
    match format {
        PixelFormat::Bgrx => 0,
        PixelFormat::Rgbx => 1,
        PixelFormat::I420(Colour { matrix, full_range }) => {
            PLANES | u8::from(full_range) << 1 | u8::from(matrix == Matrix::Bt709)
        }
    }
}

fn format_of(code: u8) -> Option<PixelFormat> {
    let forms = Colour::ALL.map(PixelFormat::I420);
    [PixelFormat::Bgrx, PixelFormat::Rgbx].into_iter().chain(forms).find(|format| format_code(*format) == code)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const SLOT: u8 = 1;
const LEND: u8 = 2;
const LAYOUT: u8 = 3;
const FRAME: u8 = 4;
const FORMAT: u8 = 5;
const CURSOR_APART: u8 = 7;
const CURSOR_HEARD: u8 = 8;
/// In a format's code.
const PLANES: u8 = 4;
/// In the place of the number of rectangles.
const EVERYTHING: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_as_it_was_and_nothing_shorter_or_longer_does() {
        let planes = Colour::ALL.map(PixelFormat::I420);
        let formats = [PixelFormat::Bgrx, PixelFormat::Rgbx].into_iter().chain(planes);
        let slots = [ToCapture::Slot { generation: 1, index: 2 }, ToCapture::Lend { generation: u32::MAX, index: 0 }];
        let cursor = [ToCapture::CursorApart(true), ToCapture::CursorApart(false), ToCapture::CursorHeard];
        for message in slots.into_iter().chain(cursor).chain(formats.map(ToCapture::Format)) {
            assert_eq!(decode_to_capture(message.encode().as_ref()), Some(message));
        }
        let mut damage = Damage::none();
        for i in 0..Damage::MAX_RECTS as u32 {
            damage.add(Rect { x: i, y: 2 * i, width: 3, height: u32::MAX });
        }
        let note = FrameNote {
            generation: 7,
            index: 1,
            drawn: Duration::from_nanos(1),
            damage: Damage::Full,
            converted_in: Duration::from_nanos(u64::MAX),
        };
        let messages = [
            FromCapture::Layout { generation: 3, width: 1366, height: 767, stride: 5504, format: PixelFormat::Bgrx },
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
        assert_eq!(decode_to_capture(&[FORMAT, 3]), None);
        assert_eq!(decode_to_capture(&[CURSOR_HEARD, 3]), None);
    }
}
