//! Bits of a NAL unit's payload, emulation prevention bytes skipped on the way (7.3.1, 9.1).

/// A reader. Every method answers `None` past the end.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    byte: usize,
    bit: u8,
}

impl<'a> Bits<'a> {
    /// Starts behind the unit's one-byte header.
    pub(super) fn of_unit(unit: &'a [u8]) -> Self {
        Self { data: unit, byte: 1, bit: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let value = (self.data.get(self.byte)? >> (7 - self.bit)) & 1;
        self.bit += 1;
        if self.bit == 8 {
            self.bit = 0;
            self.byte += 1;
            // 0x000003: the three only keeps the payload from looking like a start code.
            if self.byte > 2 && self.data.get(self.byte - 2..=self.byte) == Some(&[0, 0, 3]) {
                self.byte += 1;
            }
        }
        Some(value == 1)
    }

    /// `u(n)`, n ≤ 32.
    pub(super) fn u(&mut self, n: u32) -> Option<u32> {
        (0..n).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// `ue(v)`.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.u(zeros)?)
    }

    /// `se(v)`.
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn exp_golomb_codes_and_emulation_prevention() {
        // 1 | 010 | 011 | 00100 | 00101 -> ue 0 1 2 3 4
        let unit = [0, 0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::of_unit(&unit);
        assert_eq!([bits.ue(), bits.ue(), bits.ue(), bits.ue(), bits.ue()], [0, 1, 2, 3, 4].map(Some));
        let mut bits = Bits::of_unit(&unit);
        assert_eq!([bits.se(), bits.se(), bits.se(), bits.se(), bits.se()], [0, 1, -1, 2, -2].map(Some));
        let mut bits = Bits::of_unit(&[0, 0, 0, 3, 1]);
        assert_eq!(bits.u(24), Some(1));
        assert_eq!(bits.flag(), None);
    }
}
