//! HDR static metadata, the 28-byte body shared by `Hello.display_hdr` and datagram 0xCE (punktfunk1.md §4.9).

use alloc::vec::Vec;

use crate::DecodeError;
use crate::wire::{Put, Reader};

/// Mastering display volume and content light level, in the units of CTA-861.3 and SMPTE ST 2086.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HdrMeta {
    /// Chromaticities `[x, y]` of green, blue, red (in that order), unit 1/50 000.
    pub primaries: [[u16; 2]; 3],
    /// White point `[x, y]`, unit 1/50 000.
    pub white_point: [u16; 2],
    /// Brightest mastering luminance, unit 0.0001 cd/m².
    pub max_luminance: u32,
    /// Darkest mastering luminance, unit 0.0001 cd/m².
    pub min_luminance: u32,
    /// Maximum content light level in cd/m², 0 unknown.
    pub max_cll: u16,
    /// Maximum frame-average light level in cd/m², 0 unknown.
    pub max_fall: u16,
}

impl HdrMeta {
    /// Size of the body.
    pub const BYTES: usize = 28;

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut point = || Ok([r.u16()?, r.u16()?]);
        Ok(Self {
            primaries: [point()?, point()?, point()?],
            white_point: point()?,
            max_luminance: r.u32()?,
            min_luminance: r.u32()?,
            max_cll: r.u16()?,
            max_fall: r.u16()?,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for [x, y] in self.primaries.into_iter().chain([self.white_point]) {
            out.put_u16(x).put_u16(y);
        }
        out.put_u32(self.max_luminance).put_u32(self.min_luminance).put_u16(self.max_cll).put_u16(self.max_fall);
    }
}
