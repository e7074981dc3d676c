//! Access units for measuring the transport without an encoder (`--codec none` on both ends).
//!
//! ```text
//! "PFT1" ‖ index u32 LE ‖ len u32 LE ‖ len pseudo-random bytes seeded by index ‖ CRC-32 (IEEE) LE of all before
//! ```

/// Bytes around the pseudo-random ones.
pub const OVERHEAD: usize = 4 + 4 + 4 + 4;

/// Writes the access unit `index` of `size` bytes in all (at least [`OVERHEAD`]) into `out`, replacing what was there.
/// Allocates only while `out` is too small.
pub fn write(index: u32, size: usize, out: &mut Vec<u8>) {
    let len = size.saturating_sub(OVERHEAD);
    out.clear();
    out.reserve(len + OVERHEAD);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&(len as u32).to_le_bytes());
    let mut noise = Noise::seeded(index);
    for _ in 0..len / 8 {
        out.extend_from_slice(&noise.next().to_le_bytes());
    }
    out.extend_from_slice(&noise.next().to_le_bytes()[..len % 8]);
    let crc = crc32fast::hash(out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Checks an access unit byte by byte and returns its index.
///
/// # Errors
/// [`BadUnit`]: what is wrong with it.
pub fn check(unit: &[u8]) -> Result<u32, BadUnit> {
    let [m0, m1, m2, m3, i0, i1, i2, i3, l0, l1, l2, l3, rest @ ..] = unit else {
        return Err(BadUnit::Length { said: OVERHEAD, got: unit.len() });
    };
    if &[*m0, *m1, *m2, *m3] != MAGIC {
        return Err(BadUnit::Magic);
    }
    let index = u32::from_le_bytes([*i0, *i1, *i2, *i3]);
    let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    if rest.len() != len.saturating_add(4) {
        return Err(BadUnit::Length { said: len.saturating_add(OVERHEAD), got: unit.len() });
    }
    let (bytes, crc) = rest.split_at(len);
    if crc32fast::hash(&unit[..unit.len() - 4]).to_le_bytes() != crc {
        return Err(BadUnit::Checksum { index });
    }
    let mut noise = Noise::seeded(index);
    let same = bytes.chunks(8).all(|chunk| noise.next().to_le_bytes()[..chunk.len()] == *chunk);
    if same { Ok(index) } else { Err(BadUnit::Content { index }) }
}

/// Why an access unit is not what [`write()`] makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadUnit {
    /// It does not begin with `PFT1`.
    #[error("not a PFT1 access unit")]
    Magic,
    /// Its length field and its size disagree.
    #[error("PFT1 access unit of {got} bytes, its header says {said}")]
    Length {
        /// Bytes by its length field (or the least possible).
        said: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The CRC is wrong.
    #[error("PFT1 access unit {index} is damaged")]
    Checksum {
        /// The index it carries.
        index: u32,
    },
    /// The CRC holds but the bytes are not those of this index.
    #[error("PFT1 access unit {index} carries other bytes than its index says")]
    Content {
        /// The index it carries.
        index: u32,
    },
}

/// SplitMix64 (Steele, Lea, Flood 2014): one multiply chain per 8 bytes, enough to defeat any compression underway.
struct Noise(u64);

impl Noise {
    fn seeded(index: u32) -> Self {
        Self(u64::from(index) | 0x5046_5431_0000_0000)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

const MAGIC: &[u8; 4] = b"PFT1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_checks_out() {
        let mut unit = vec![9; 3];
        for (index, size) in [(0, OVERHEAD), (1, 17), (7, 1000), (u32::MAX, 52_083)] {
            write(index, size, &mut unit);
            assert_eq!(unit.len(), size);
            assert_eq!(check(&unit), Ok(index));
        }
    }

    #[test]
    fn too_small_a_size_becomes_the_smallest() {
        let mut unit = Vec::new();
        write(3, 0, &mut unit);
        assert_eq!((unit.len(), check(&unit)), (OVERHEAD, Ok(3)));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let mut unit = Vec::new();
        write(5, 64, &mut unit);
        for at in 0..unit.len() {
            unit[at] ^= 0x10;
            assert!(check(&unit).is_err(), "byte {at}");
            unit[at] ^= 0x10;
        }
        for len in 0..unit.len() {
            assert!(check(&unit[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn bytes_of_another_index_are_noticed_although_the_checksum_holds() {
        let mut unit = Vec::new();
        write(5, 64, &mut unit);
        unit[4] = 6;
        let end = unit.len() - 4;
        let crc = crc32fast::hash(&unit[..end]).to_le_bytes();
        unit[end..].copy_from_slice(&crc);
        assert_eq!(check(&unit), Err(BadUnit::Content { index: 6 }));
    }
}
