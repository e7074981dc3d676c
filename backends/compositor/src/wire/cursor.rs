//! The pointer beside the picture, as a message: the one that may be longer than a [`super::Message`].

use std::sync::Arc;

use punktfunk_core::control::MAX_CURSOR_SIDE;
use punktfunk_media::{CursorImage, CursorPlace, CursorUpdate};

use super::Fields;

/// Writes one into `out`, whose memory is used again.
pub fn encode_cursor(place: &CursorPlace, shape: Option<&CursorImage>, out: &mut Vec<u8>) {
    out.clear();
    let bits = [(place.visible, VISIBLE), (place.grabbed, GRABBED), (shape.is_some(), SHAPE)];
    out.extend([CURSOR, bits.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()]);
    out.extend([place.x, place.y].into_iter().flat_map(i32::to_le_bytes));
    if let Some(shape) = shape {
        out.extend(shape.size().into_iter().chain(shape.hot()).flat_map(u16::to_le_bytes));
        out.extend_from_slice(shape.rgba());
    }
}

/// Reads one; `None` for anything else.
pub fn decode_cursor(bytes: &[u8]) -> Option<CursorUpdate> {
    let mut fields = Fields(bytes);
    let (kind, bits) = (fields.u8()?, fields.u8()?);
    if kind != CURSOR {
        return None;
    }
    let (visible, grabbed) = (bits & VISIBLE != 0, bits & GRABBED != 0);
    let place = CursorPlace { x: fields.u32()?.cast_signed(), y: fields.u32()?.cast_signed(), visible, grabbed };
    if bits & SHAPE == 0 {
        return fields.end(CursorUpdate { place, shape: None });
    }
    let (size, hot) = ([fields.u16()?, fields.u16()?], [fields.u16()?, fields.u16()?]);
    let shape = CursorImage::new(size, hot, fields.0.to_vec())?;
    Some(CursorUpdate { place, shape: Some(Arc::new(shape)) })
}

/// The first byte, which no other message of a worker has.
pub const CURSOR: u8 = 6;
/// The longest one.
pub const CURSOR_BYTES: usize = 18 + 4 * (MAX_CURSOR_SIDE as usize).pow(2);
const VISIBLE: u8 = 1;
const GRABBED: u8 = 2;
const SHAPE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_come_back_as_they_were_and_nothing_shorter_or_longer_does() {
        let largest = CursorImage::new([120, 120], [119, 0], (0..57_600u32).map(|i| i as u8).collect());
        let mut bytes = Vec::new();
        for (shape, visible) in [(None, true), (largest.map(Arc::new), false)] {
            let update = CursorUpdate { place: CursorPlace { x: -1, y: 2160, visible, grabbed: !visible }, shape };
            encode_cursor(&update.place, update.shape.as_deref(), &mut bytes);
            assert!(bytes.len() <= CURSOR_BYTES);
            assert_eq!(decode_cursor(&bytes), Some(update));
            assert_eq!(decode_cursor(&bytes[..bytes.len() - 1]), None);
            bytes.push(0);
            assert_eq!(decode_cursor(&bytes), None);
        }
        // A picture that says to be of another size.
        encode_cursor(&CursorPlace::default(), CursorImage::new([1, 1], [0, 0], vec![0; 4]).as_ref(), &mut bytes);
        for (at, value) in [(10, 200), (12, 0), (14, 1)] {
            let mut broken = bytes.clone();
            broken[at] = value;
            assert_eq!(decode_cursor(&broken), None, "{at}");
        }
    }
}
