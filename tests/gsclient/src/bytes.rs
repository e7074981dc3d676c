//! The one reader through which every received byte passes. Both byte orders, because the wire mixes them.

/// A cursor over received bytes; every access may end in `None`.
#[derive(Clone)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

macro_rules! read_int {
    ($($name:ident: $t:ty, $from:ident);* $(;)?) => {$(
        pub(crate) fn $name(&mut self) -> Option<$t> {
            self.array().map(<$t>::$from)
        }
    )*};
}

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    read_int! {
        u8: u8, from_le_bytes;
        u16le: u16, from_le_bytes;
        u16be: u16, from_be_bytes;
        u32le: u32, from_le_bytes;
        u32be: u32, from_be_bytes;
        u64le: u64, from_le_bytes;
    }
}

/// Lower-case hexadecimal.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// From hexadecimal of either case; `None` for an odd length or another character.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], crate::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| crate::Error::Usage(format!("no random numbers: {e}")))?;
    Ok(bytes)
}
