//! Reading H.264 bitstreams just far enough to know what an encoder wrote: parameter sets, slice types, long-term
//! reference marks. Clause numbers refer to ITU-T H.264 (08/2021). Nothing here allocates.

mod bits;
mod slice;
mod sps;

use punktfunk_media::Colour;

pub use slice::{LongTermMark, Pps, SliceHeader, SliceType};
pub use sps::{ColourDescription, Sps, VideoSignal, Vui};

/// A coded slice of a picture that is no IDR.
pub const NAL_SLICE: u8 = 1;
/// A coded slice of an IDR.
pub const NAL_IDR: u8 = 5;
/// Sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// Picture parameter set.
pub const NAL_PPS: u8 = 8;

/// The NAL units of an Annex B stream, without start codes. Annex B.
pub fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = find_start_code(unit).unwrap_or(unit.len());
        rest = after_start_code(&unit[end..]);
        // A four-byte start code is the three-byte one after a zero byte, which belongs to no unit.
        let trimmed = unit[..end].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        Some(&unit[..trimmed])
    })
    .filter(|unit| !unit.is_empty())
}

/// `nal_unit_type` of a unit. 7.3.1.
#[must_use]
pub fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |b| b & 0x1f)
}

/// The first unit of a type in an access unit.
#[must_use]
pub fn find_unit(stream: &[u8], wanted: u8) -> Option<&[u8]> {
    units(stream).find(|u| unit_type(u) == wanted)
}

/// Whether an access unit is an IDR. Looks only as far as the first slice.
#[must_use]
pub fn is_idr(stream: &[u8]) -> bool {
    units(stream).map(unit_type).find(|t| matches!(*t, NAL_SLICE | NAL_IDR)) == Some(NAL_IDR)
}

/// How the pictures from this access unit on stand for colours; `None` without a readable SPS before the first slice.
#[must_use]
pub fn colour(stream: &[u8]) -> Option<Colour> {
    let sps =
        units(stream).take_while(|u| !matches!(unit_type(u), NAL_SLICE | NAL_IDR)).find(|u| unit_type(u) == NAL_SPS);
    sps.and_then(Sps::parse).map(|sps| sps.colour())
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    find_start_code(stream).map(|at| &stream[at + 3..])
}

fn find_start_code(stream: &[u8]) -> Option<usize> {
    stream.windows(3).position(|w| w == [0, 0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split_at_both_kinds_of_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4, 5];
        let found: Vec<&[u8]> = units(&stream).collect();
        assert_eq!(found, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 4, 5]]);
        assert!(is_idr(&stream));
        assert_eq!(find_unit(&stream, NAL_PPS), Some(&[0x68, 3][..]));
        assert_eq!(units(&[1, 2, 3]).count(), 0);
        assert_eq!(units(&[]).count(), 0);
    }
}
