//! What the client looks at inside an access unit (§8.8).

use punktfunk_core::Codec;

use super::KEY;
use crate::Violations;

/// Checks the order of NAL units or OBUs. `first_payload` is how much of the unit lies in the first shard.
pub(super) fn check(codec: Codec, kind: u8, unit: &[u8], first_payload: usize, v: &mut Violations) {
    match codec {
        Codec::H264 | Codec::Hevc => annex_b(codec, kind, unit, first_payload, v),
        Codec::Av1 => obus(kind, unit, v),
        Codec::PyroWave => v.note("§5.6", "a codec that GameStream does not have"),
    }
}

fn annex_b(codec: Codec, kind: u8, unit: &[u8], first_payload: usize, v: &mut Violations) {
    let nals: Vec<(usize, u8)> = starts(unit)
        .take(MAX_NALS)
        .filter_map(|at| {
            let byte = *unit.get(at)?;
            Some((at, if codec == Codec::H264 { byte & 0x1F } else { byte >> 1 & 0x3F }))
        })
        .collect();
    v.check(unit.starts_with(&[0, 0, 1]) || unit.starts_with(&[0, 0, 0, 1]), "§8.8", || {
        "no start code in front".to_owned()
    });
    let (prefix, parameter_sets, slices, idrs): (&[u8], &[u8], _, _) = match codec {
        Codec::H264 => (&[6, 9], &[7, 8], 1..=5, 5..=5),
        _ => (&[35, 39], &[32, 33, 34], 0..=31, 16..=21),
    };
    let slice = nals.iter().find(|(_, n)| slices.contains(n));
    let Some((slice_at, slice_kind)) = slice.copied() else {
        v.note("§8.8", format_args!("no slice among NAL units {nals:?}"));
        return;
    };
    v.check(idrs.contains(&slice_kind) == (kind == KEY), "§8.8", || {
        format!("NAL type {slice_kind} in a frame of type {kind}")
    });
    if kind != KEY {
        return;
    }
    let first = nals.iter().map(|(_, n)| *n).find(|n| !prefix.contains(n));
    v.check(first == Some(parameter_sets[0]), "§8.8", || format!("a keyframe begins with NAL type {first:?}"));
    for wanted in parameter_sets {
        let there = nals.iter().any(|(at, n)| n == wanted && *at < slice_at);
        v.check(there, "§8.8", || format!("no NAL type {wanted} before the slice of a keyframe"));
    }
    v.check(slice_at < first_payload, "§8.8", || {
        format!("the keyframe's slice begins at {slice_at}, after the first shard's {first_payload} bytes")
    });
}

/// Offsets of the bytes after start codes.
fn starts(unit: &[u8]) -> impl Iterator<Item = usize> {
    unit.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at + 3)
}

fn obus(kind: u8, unit: &[u8], v: &mut Violations) {
    let (mut rest, mut kinds) = (unit, Vec::new());
    while let Some((&head, after)) = rest.split_first() {
        if head & 0x80 != 0 || head & 2 == 0 {
            v.note("§8.8", format_args!("OBU header {head:#04x} without a size field"));
            return;
        }
        kinds.push(head >> 3 & 0xF);
        let after = after.get(usize::from(head >> 2 & 1)..).unwrap_or_default();
        let Some((size, body)) = leb128(after) else {
            v.note("§8.8", "OBU without its size");
            return;
        };
        let Some(next) = body.get(size..) else {
            v.note("§8.8", format_args!("an OBU of {size} bytes, {} left", body.len()));
            return;
        };
        rest = next;
    }
    v.check(kinds.contains(&1) || kind != KEY, "§8.8", || format!("a keyframe of OBUs {kinds:?}"));
    v.check(!kinds.contains(&15), "§8.8", || "padding OBUs".to_owned());
    v.check(kinds.contains(&6) || kinds.contains(&3), "§8.8", || format!("no frame among OBUs {kinds:?}"));
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for i in 0..5 {
        let byte = *bytes.get(i)?;
        value |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// More than a sane unit has.
const MAX_NALS: usize = 512;
