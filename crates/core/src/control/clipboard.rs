//! Clipboard messages (punktfunk1.md §3.9.3).

use alloc::string::String;
use alloc::vec::Vec;

use crate::DecodeError;
use crate::wire::{Put, Reader, bit_set, cut, text, wire_enum};

/// Most formats of one offer.
pub const MAX_CLIP_FORMATS: usize = 16;

/// Longest MIME name in bytes.
pub const MAX_MIME: usize = 128;

/// `ClipFetch.file_index` on the wire when no file is meant.
const NO_FILE: u32 = u32::MAX;

bit_set! {
    /// What may cross the clipboard.
    ClipPolicy: u8 {
        /// Text and pictures.
        TEXT = 0x01,
        /// Files.
        FILES = 0x02,
    }
}

wire_enum! {
    /// Why the clipboard is in its state.
    ClipReason: u8 {
        /// As asked.
        Ok = 0,
        /// The host has no clipboard backend.
        Unavailable = 1,
        /// Another session took it over.
        TakenOver = 2,
        /// The host's policy forbids it.
        Disabled = 3,
        /// Enabled, but without files.
        NoFiles = 4,
        /// This device lacks the grant.
        NotPermitted = 5,
    }
}

wire_enum! {
    /// Head of the answer to a fetch.
    ClipStatus: u8 {
        /// Data follows.
        Ok = 0,
        /// The offer was replaced.
        Stale = 1,
        /// No such format, or the owner is gone.
        Unavailable = 2,
        /// Not permitted.
        Denied = 3,
    }
}

/// What the sender's clipboard holds; replaces its earlier offers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClipOffer {
    /// Monotonic per sender.
    pub seq: u32,
    /// At most [`MAX_CLIP_FORMATS`].
    pub formats: Vec<ClipFormat>,
}

/// One format of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClipFormat {
    /// Wire MIME name, at most [`MAX_MIME`] bytes.
    pub mime: String,
    /// Bytes, 0 unknown.
    pub size_hint: u64,
}

/// Asks for one format of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClipFetch {
    /// Sequence number of the offer.
    pub seq: u32,
    /// Which file of a file offer.
    pub file_index: Option<u32>,
    /// Wire MIME name, at most [`MAX_MIME`] bytes.
    pub mime: String,
}

impl ClipOffer {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let seq = r.u32()?;
        let count = usize::from(r.u8()?);
        if count > MAX_CLIP_FORMATS {
            return Err(DecodeError::Invalid("clipboard offer: too many formats"));
        }
        let formats =
            (0..count).map(|_| Ok(ClipFormat { mime: mime(r)?, size_hint: r.u64()? })).collect::<Result<_, _>>();
        Ok(Self { seq, formats: formats? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let formats = &self.formats[..self.formats.len().min(MAX_CLIP_FORMATS)];
        out.put_u32(self.seq).put_u8(formats.len() as u8);
        for format in formats {
            put_mime(out, &format.mime);
            out.put_u64(format.size_hint);
        }
    }
}

impl ClipFetch {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { seq: r.u32()?, file_index: Some(r.u32()?).filter(|i| *i != NO_FILE), mime: mime(r)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u32(self.seq).put_u32(self.file_index.unwrap_or(NO_FILE));
        put_mime(out, &self.mime);
    }
}

fn mime(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    let len = usize::from(r.u8()?);
    if len > MAX_MIME {
        return Err(DecodeError::Invalid("clipboard: MIME name too long"));
    }
    text(r, len, "clipboard: MIME name not UTF-8").map(Into::into)
}

fn put_mime(out: &mut Vec<u8>, mime: &str) {
    let mime = cut(mime, MAX_MIME);
    out.put_u8(mime.len() as u8).put(mime.as_bytes());
}
