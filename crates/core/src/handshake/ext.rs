//! The extension block of `Start` and `Welcome` (punktfunk1.md §3.7):
//! `total_len u16 ‖ (tag u16 ‖ len u16 ‖ value)*`.

use alloc::string::String;
use alloc::vec::Vec;

use super::{
    EXT_TAG_ABR, EXT_TAG_CLIENT_LABEL, EXT_TAG_PRESET, EXT_TAG_STAGE_TIMING, MAX_EXTENSION_BLOCK, MAX_EXTENSION_ENTRIES,
};
use crate::DecodeError;
use crate::wire::{Put, Reader, cut, text};

/// Entries in the order in which they were added or received, unknown tags included. Tags are unique and the whole
/// block fits its limits, whatever way it came about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExtensionBlock {
    entries: Vec<(u16, Vec<u8>)>,
}

/// Why an entry could not be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExtensionError {
    /// The tag is there already.
    #[error("tag {0} is there already")]
    Duplicate(u16),
    /// The block would exceed 4096 bytes or 64 entries.
    #[error("the block is full")]
    Full,
}

/// The settings preset of tag 4; informative.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsPreset {
    /// Printable ASCII, at most 32 bytes.
    pub id: String,
    /// UTF-8, at most 64 bytes.
    pub name: String,
}

impl ExtensionBlock {
    /// A block without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`ExtensionError`]; the block is then unchanged.
    pub fn push(&mut self, tag: u16, value: &[u8]) -> Result<(), ExtensionError> {
        if self.get(tag).is_some() {
            return Err(ExtensionError::Duplicate(tag));
        }
        if self.entries.len() == MAX_EXTENSION_ENTRIES || self.len() + 4 + value.len() > MAX_EXTENSION_BLOCK {
            return Err(ExtensionError::Full);
        }
        self.entries.push((tag, value.to_vec()));
        Ok(())
    }

    /// Adds the client's label (tag 2), cut to 96 bytes.
    ///
    /// # Errors
    /// [`ExtensionError`].
    pub fn push_client_label(&mut self, label: &str) -> Result<(), ExtensionError> {
        self.push(EXT_TAG_CLIENT_LABEL, cut(label, 96).as_bytes())
    }

    /// Says that the reason byte of `BitrateChanged` is read (tag 3, bit 0).
    ///
    /// # Errors
    /// [`ExtensionError`].
    pub fn push_reads_bitrate_reason(&mut self) -> Result<(), ExtensionError> {
        self.push(EXT_TAG_ABR, &[1])
    }

    /// Asks for the three extra stage times of datagram 0xCF.
    ///
    /// # Errors
    /// [`ExtensionError`].
    pub fn push_stage_timing(&mut self) -> Result<(), ExtensionError> {
        self.push(EXT_TAG_STAGE_TIMING, &[1])
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.entries().find(|(t, _)| *t == tag).map(|(_, value)| value)
    }

    /// All entries in order.
    pub fn entries(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.entries.iter().map(|(tag, value)| (*tag, value.as_slice()))
    }

    /// The client's label for the log (tag 2), if it is UTF-8 of at most 96 bytes.
    #[must_use]
    pub fn client_label(&self) -> Option<&str> {
        self.get(EXT_TAG_CLIENT_LABEL).filter(|v| v.len() <= 96).and_then(|v| core::str::from_utf8(v).ok())
    }

    /// Whether the client reads the reason byte of `BitrateChanged` (tag 3, bit 0).
    #[must_use]
    pub fn reads_bitrate_reason(&self) -> bool {
        self.get(EXT_TAG_ABR).is_some_and(|v| v.first().is_some_and(|b| b & 1 != 0))
    }

    /// Whether the client asked for the extra stage times of datagram 0xCF.
    #[must_use]
    pub fn stage_timing(&self) -> bool {
        self.get(EXT_TAG_STAGE_TIMING) == Some(&[1])
    }

    /// The settings preset (tag 4), if well formed.
    #[must_use]
    pub fn settings_preset(&self) -> Option<SettingsPreset> {
        let read = |value| {
            let mut r = Reader::new(value);
            let id_len = r.u8()?;
            let id = text(&mut r, id_len.into(), "preset id")?;
            let name_len = r.u8()?;
            let name = text(&mut r, name_len.into(), "preset name")?;
            r.end()?;
            if id.len() > 32 || name.len() > 64 || !id.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                return Err(DecodeError::Invalid("preset"));
            }
            Ok(SettingsPreset { id: id.into(), name: name.into() })
        };
        read(self.get(EXT_TAG_PRESET)?).ok()
    }

    /// Size of the encoded block, its header included.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the encoded block is never empty")]
    pub fn len(&self) -> usize {
        2 + self.entries.iter().map(|(_, value)| 4 + value.len()).sum::<usize>()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16((self.len() - 2) as u16); // at most MAX_EXTENSION_BLOCK, kept by `push`
        for (tag, value) in &self.entries {
            out.put_u16(*tag).put_u16(value.len() as u16).put(value);
        }
    }

    /// Reads a block; bytes after it are left to the reader.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let total = r.u16()?;
        let mut r = Reader::new(r.take(total.into())?);
        let mut block = Self::new();
        while r.left() > 0 {
            let tag = r.u16()?;
            let len = r.u16()?;
            block.push(tag, r.take(len.into())?).map_err(|e| match e {
                ExtensionError::Duplicate(_) => DecodeError::Invalid("extension block: duplicate tag"),
                ExtensionError::Full => DecodeError::Invalid("extension block: over its limits"),
            })?;
        }
        Ok(block)
    }
}
