//! Control framing: `len u16 ‖ payload` on a reliable stream (punktfunk1.md §3.3).
//!
//! The stream arrives in pieces of any size. The caller's rule: [`FrameReader::push`] what came, then take frames with
//! [`FrameReader::next`] until it has none; so the reader never holds more than one piece and one unfinished frame.

use alloc::vec::Vec;

/// Longest payload of one frame.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// First four bytes of `Hello`, `Welcome` and `Start`.
pub const MAGIC_HANDSHAKE: [u8; 4] = *b"PKF1";

/// First four bytes of every other message on the control stream.
pub const MAGIC_CONTROL: [u8; 4] = *b"PKFc";

/// First five bytes, outside any frame, of a clipboard transfer stream.
pub const TRANSFER_PREAMBLE: [u8; 5] = *b"PKFs\x01";

/// A payload that no frame can carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("payload of {0} bytes exceeds the {MAX_PAYLOAD} of a frame")]
pub struct PayloadTooLong(pub usize);

/// Appends `payload` as one frame to `out`.
///
/// # Errors
/// [`PayloadTooLong`] above [`MAX_PAYLOAD`]; `out` is then unchanged.
pub fn write_frame(payload: &[u8], out: &mut Vec<u8>) -> Result<(), PayloadTooLong> {
    let len = u16::try_from(payload.len()).map_err(|_| PayloadTooLong(payload.len()))?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends one frame to `out` whose payload `encode` writes in place: `frame_with(&mut out, |b| message.encode(b))`.
///
/// # Errors
/// [`PayloadTooLong`] above [`MAX_PAYLOAD`]; `out` is then unchanged.
pub fn frame_with(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), PayloadTooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    encode(out);
    let payload = out.len() - start - 2;
    let Ok(len) = u16::try_from(payload) else {
        out.truncate(start);
        return Err(PayloadTooLong(payload));
    };
    out[start..start + 2].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// The type byte of a control or pairing payload, `None` for anything else (a handshake message, or too short).
#[must_use]
pub fn control_type(payload: &[u8]) -> Option<u8> {
    match payload.split_first_chunk::<4>()? {
        (magic, [kind, ..]) if *magic == MAGIC_CONTROL => Some(*kind),
        _ => None,
    }
}

/// Cuts a byte stream into payloads, resumable at any byte.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that earlier calls of [`Self::next`] handed out.
    taken: usize,
}

impl FrameReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), taken: 0 }
    }

    /// Takes in the next piece of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..core::mem::take(&mut self.taken));
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete payload, possibly empty; `None` until more bytes are pushed.
    #[expect(clippy::should_implement_trait, reason = "it lends from its own buffer, which Iterator cannot")]
    pub fn next(&mut self) -> Option<&[u8]> {
        let (len, rest) = self.buffer.get(self.taken..)?.split_first_chunk()?;
        let payload = rest.get(..usize::from(u16::from_le_bytes(*len)))?;
        self.taken += 2 + payload.len();
        Some(payload)
    }

    /// Bytes held back for a frame that is not complete. Non-zero at the end of a stream means that it was cut off.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let mut stream = Vec::new();
        for payload in [&b"one"[..], b"", b"three"] {
            write_frame(payload, &mut stream).unwrap();
        }
        for piece in 1..=stream.len() {
            let mut reader = FrameReader::new();
            let mut got = Vec::new();
            for bytes in stream.chunks(piece) {
                reader.push(bytes);
                while let Some(frame) = reader.next() {
                    got.push(frame.to_vec());
                }
            }
            assert_eq!(got, [b"one".to_vec(), vec![], b"three".to_vec()], "pieces of {piece}");
            assert_eq!(reader.pending(), 0);
        }
    }

    #[test]
    fn too_long_payloads_leave_the_stream_alone() {
        let mut out = vec![7];
        assert_eq!(write_frame(&vec![0; 65_536], &mut out), Err(PayloadTooLong(65_536)));
        assert_eq!(frame_with(&mut out, |b| b.resize(b.len() + 65_536, 0)), Err(PayloadTooLong(65_536)));
        assert_eq!(out, [7]);
        frame_with(&mut out, |b| b.resize(b.len() + 65_535, 0)).unwrap();
        assert_eq!(out[..3], [7, 0xff, 0xff]);
    }

    #[test]
    fn the_type_byte_is_only_read_from_control_payloads() {
        assert_eq!(control_type(b"PKFc\x30rest"), Some(0x30));
        assert_eq!(control_type(b"PKFc"), None);
        assert_eq!(control_type(b"PKF1\x30"), None);
        assert_eq!(control_type(b""), None);
    }
}
