//! The one reader through which every network byte passes, and the writing half.
//!
//! [`Reader`] never indexes: each access states how much it needs and fails with [`DecodeError::Truncated`] otherwise.
//! All integers are little-endian; the only big-endian field of the protocol is the packet sequence (module `seal`).

use alloc::string::String;
use alloc::vec::Vec;

use crate::DecodeError;

/// A cursor over received bytes.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

macro_rules! read_int {
    ($($name:ident: $t:ty),* $(,)?) => {$(
        pub(crate) fn $name(&mut self) -> Result<$t, DecodeError> {
            self.array().map(<$t>::from_le_bytes)
        }
    )*};
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// Bytes not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) =
            self.rest.split_at_checked(n).ok_or(DecodeError::Truncated { needed: n, got: self.rest.len() })?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) =
            self.rest.split_first_chunk().ok_or(DecodeError::Truncated { needed: N, got: self.rest.len() })?;
        self.rest = tail;
        Ok(*head)
    }

    read_int!(u8: u8, u16: u16, u32: u32, u64: u64, i16: i16, i32: i32, f32: f32);

    /// Any non-zero byte is true, as every peer reads it.
    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        self.u8().map(|b| b != 0)
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// The four bytes in front of every control and handshake message.
    pub(crate) fn magic(&mut self, magic: [u8; 4]) -> Result<(), DecodeError> {
        if self.array()? == magic { Ok(()) } else { Err(DecodeError::BadMagic) }
    }

    /// Fails unless everything was read.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::WrongLength { expected: self.len - self.rest.len(), got: self.len })
        }
    }
}

/// Reads `n` bytes of UTF-8 text.
pub(crate) fn text<'a>(r: &mut Reader<'a>, n: usize, what: &'static str) -> Result<&'a str, DecodeError> {
    core::str::from_utf8(r.take(n)?).map_err(|_| DecodeError::Invalid(what))
}

/// Text for a log or a dialogue: bytes that are not UTF-8 become replacement characters.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The longest prefix of `s` that fits in `max` bytes and ends between two characters.
pub(crate) fn cut(s: &str, max: usize) -> &str {
    let mut end = s.len().min(max);
    while !s.is_char_boundary(end) {
        end -= 1;
    }
    &s[..end]
}

macro_rules! put_int {
    ($($name:ident: $t:ty),* $(,)?) => {$(
        fn $name(&mut self, v: $t) -> &mut Self {
            self.put(&v.to_le_bytes())
        }
    )*};
}

/// Appending to a message, chainable so that an encoder reads like its table.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]) -> &mut Self;
    put_int!(put_u8: u8, put_u16: u16, put_u32: u32, put_u64: u64, put_i16: i16, put_i32: i32, put_f32: f32);
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.extend_from_slice(bytes);
        self
    }
}

/// An enum that is one number on the wire.
macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident: $t:ty { $($(#[$vmeta:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr($t)]
        pub enum $name { $($(#[$vmeta])* $variant = $value,)+ }

        impl $name {
            /// Every value, in wire order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The number on the wire.
            #[must_use]
            pub const fn wire(self) -> $t {
                self as $t
            }

            /// The value with this number, `None` for a number that nobody assigned yet.
            #[must_use]
            pub const fn from_wire(number: $t) -> Option<Self> {
                match number {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

/// A bit mask that is one integer on the wire; unknown bits are kept.
macro_rules! bit_set {
    ($(#[$meta:meta])* $name:ident: $t:ty { $($(#[$vmeta:meta])* $bit:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub struct $name(pub $t);

        impl $name {
            /// No bit set.
            pub const NONE: Self = Self(0);
            $($(#[$vmeta])* pub const $bit: Self = Self($value);)+

            /// Whether every bit of `other` is set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Both masks together.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The bits in both masks.
            #[must_use]
            pub const fn intersect(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// This mask without the bits of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Whether no bit is set.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl core::ops::BitOr for $name {
            type Output = Self;
            fn bitor(self, rhs: Self) -> Self {
                self.union(rhs)
            }
        }
    };
}

pub(crate) use {bit_set, wire_enum};
