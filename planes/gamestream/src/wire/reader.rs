//! The one reader through which the bytes of clients pass. Byte orders are named at every access, because this wire mixes
//! them within one packet.

use punktfunk_core::DecodeError;

/// A cursor over received bytes that never indexes.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! read_int {
    ($($name:ident: $t:ty, $from:ident;)*) => {$(
        pub(crate) fn $name(&mut self) -> Result<$t, DecodeError> {
            self.array().map(<$t>::$from)
        }
    )*};
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let got = self.rest.len();
        let (head, tail) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated { needed: n, got })?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let got = self.rest.len();
        let (head, tail) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated { needed: N, got })?;
        self.rest = tail;
        Ok(*head)
    }

    /// Passes over `n` bytes whose content means nothing.
    pub(crate) fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.take(n).map(drop)
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    read_int! {
        u8: u8, from_le_bytes;
        u16_le: u16, from_le_bytes;
        u16_be: u16, from_be_bytes;
        u32_le: u32, from_le_bytes;
        u32_be: u32, from_be_bytes;
        u64_le: u64, from_le_bytes;
        i16_le: i16, from_le_bytes;
        i16_be: i16, from_be_bytes;
    }

    /// A float that is a number: NaN and infinities are refused here, once for all.
    pub(crate) fn f32_le(&mut self) -> Result<f32, DecodeError> {
        let value = f32::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(DecodeError::Invalid("float: not finite")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end_and_say_so() {
        let mut r = Reader::new(&[1, 2, 3, 4, 5]);
        assert_eq!(r.u16_be(), Ok(0x0102));
        assert_eq!(r.u16_le(), Ok(0x0403));
        assert_eq!(r.u32_le(), Err(DecodeError::Truncated { needed: 4, got: 1 }));
        assert_eq!((r.take(1), r.take(1)), (Ok(&[5][..]), Err(DecodeError::Truncated { needed: 1, got: 0 })));
        assert_eq!(r.take_rest(), [0; 0]);
    }

    #[test]
    fn floats_that_are_no_numbers_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(Reader::new(&bad.to_le_bytes()).f32_le().is_err());
        }
        assert_eq!(Reader::new(&(-0.5_f32).to_le_bytes()).f32_le(), Ok(-0.5));
    }
}
