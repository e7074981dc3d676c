//! Display modes and codecs as they cross the wire.

use core::fmt;

/// A display mode: exactly what the client asked for, or what is really active.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mode {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Refresh rate in Hz.
    pub refresh_hz: u32,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}@{}", self.width, self.height, self.refresh_hz)
    }
}

/// A video codec. The discriminant is its bit in `Hello.video_codecs` and `Welcome.codec` (punktfunk1.md §3.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Codec {
    /// H.264 / AVC, Annex B.
    H264 = 0x01,
    /// H.265 / HEVC, Annex B.
    Hevc = 0x02,
    /// AV1, low-overhead OBU stream.
    Av1 = 0x04,
    /// PyroWave, the proprietary all-intra wavelet of other hosts. Known by name only; this host never offers it.
    PyroWave = 0x08,
}

impl Codec {
    /// Every codec that has a bit, lowest bit first.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Av1, Self::PyroWave];

    /// The codec's capability bit.
    #[must_use]
    pub const fn bit(self) -> u8 {
        self as u8
    }

    /// The codec with exactly this bit, `None` for anything else.
    #[must_use]
    pub fn from_bit(bit: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.bit() == bit)
    }

    /// Lower-case name used by every command line, log and report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::PyroWave => "pyrowave",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of codecs as the wire's bit mask. Unknown bits are kept, and never match a codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CodecSet(pub u8);

impl CodecSet {
    /// The set holding only `codec`.
    #[must_use]
    pub const fn only(codec: Codec) -> Self {
        Self(codec.bit())
    }

    /// This set and `codec`.
    #[must_use]
    pub const fn with(self, codec: Codec) -> Self {
        Self(self.0 | codec.bit())
    }

    /// Whether `codec` is in the set.
    #[must_use]
    pub const fn contains(self, codec: Codec) -> bool {
        self.0 & codec.bit() != 0
    }

    /// The codecs in both sets.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no bit is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
