//! What DESCRIBE says (§5.5), found by plain substring searches as clients do.

use punktfunk_core::Codec;

use crate::Violations;

/// A set of codec profiles; the bits are those of `ServerCodecModeSupport` (§3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Formats(pub u32);

impl Formats {
    /// H.264 High 8-bit 4:2:0.
    pub const H264: Self = Self(0x1);
    /// HEVC Main.
    pub const HEVC: Self = Self(0x100);
    /// HEVC Main10.
    pub const HEVC10: Self = Self(0x200);
    /// AV1 Main 8-bit.
    pub const AV1: Self = Self(0x1_0000);
    /// AV1 Main 10-bit.
    pub const AV1_10: Self = Self(0x2_0000);
    /// H.264 High 4:4:4.
    pub const H264_444: Self = Self(0x4_0000);
    /// HEVC RExt 4:4:4 8-bit.
    pub const HEVC_444: Self = Self(0x8_0000);
    /// HEVC RExt 4:4:4 10-bit.
    pub const HEVC10_444: Self = Self(0x10_0000);
    /// AV1 High 4:4:4 8-bit.
    pub const AV1_444: Self = Self(0x20_0000);
    /// AV1 High 4:4:4 10-bit.
    pub const AV1_10_444: Self = Self(0x40_0000);

    /// Union.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have one in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether one of them has ten bits.
    #[must_use]
    pub const fn ten_bit(self) -> bool {
        self.0 & 0x52_0200 != 0
    }

    /// Whether one of them is 4:4:4.
    #[must_use]
    pub const fn full_chroma(self) -> bool {
        self.0 & 0x7C_0000 != 0
    }

    /// The codec of a single profile.
    #[must_use]
    pub const fn codec(self) -> Codec {
        match self.0 {
            0x100 | 0x200 | 0x8_0000 | 0x10_0000 => Codec::Hevc,
            0x1_0000 | 0x2_0000 | 0x20_0000 | 0x40_0000 => Codec::Av1,
            _ => Codec::H264,
        }
    }
}

/// An Opus layout as a `surround-params` line gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurroundLayout {
    /// Channels: 2, 6 or 8.
    pub channels: u8,
    /// Opus streams.
    pub streams: u8,
    /// Streams of two channels.
    pub coupled: u8,
    /// The decoder's mapping, the vendor's rotation undone.
    pub mapping: Vec<u8>,
}

/// DESCRIBE's body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Describe {
    /// As it came.
    pub body: String,
    /// 0x1 pen and touch, 0x2 controller touch and motion.
    pub feature_flags: u32,
    /// 0x1 control V2, 0x2 video, 0x4 audio.
    pub encryption_supported: u32,
    /// What of it the host wants in any case.
    pub encryption_requested: u32,
    /// Whether reference frame invalidation works.
    pub invalidation: bool,
    /// Whether HEVC is offered.
    pub hevc: bool,
    /// Whether AV1 is offered.
    pub av1: bool,
    /// The `surround-params` values, in order.
    pub surround: Vec<String>,
}

impl Describe {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &str, violations: &mut Violations) -> Self {
        let lines: Vec<&str> = body.lines().map(str::trim_end).collect();
        let mut number = |name: &str| {
            let prefix = format!("a=x-ss-general.{name}:");
            let text = lines.iter().find_map(|l| l.strip_prefix(prefix.as_str()));
            let value = text.and_then(|t| t.parse().ok());
            let plain = text.is_some_and(|t| t == "0" || !t.starts_with('0')) && value.is_some();
            violations.check(plain, "§5.5", || format!("{name} is {text:?}"));
            value.unwrap_or(0)
        };
        let (feature_flags, encryption_supported, encryption_requested) =
            (number("featureFlags"), number("encryptionSupported"), number("encryptionRequested"));
        let surround: Vec<String> =
            lines.iter().filter_map(|l| l.strip_prefix("a=fmtp:97 surround-params=")).map(str::to_owned).collect();
        let digits = surround.iter().all(|s| s.len() > 3 && s.bytes().all(|b| b.is_ascii_digit()));
        violations.check(digits, "§9.2", || format!("surround-params {surround:?}"));
        Self {
            feature_flags,
            encryption_supported,
            encryption_requested,
            invalidation: body.contains("x-nv-video[0].refPicInvalidation:1"),
            hevc: body.contains("sprop-parameter-sets=AAAAAU"),
            av1: body.contains("AV1/90000"),
            surround,
            body: body.to_owned(),
        }
    }

    /// The profile that a client with `mine` ends up with on a host with `theirs` (`ServerCodecModeSupport`).
    #[must_use]
    pub fn choose(&self, mine: Formats, theirs: Formats) -> Formats {
        let both = Formats(mine.0 & theirs.0);
        let first =
            |order: &[Formats], fallback: Formats| order.iter().copied().find(|f| both.meets(*f)).unwrap_or(fallback);
        if self.av1 && mine.meets(Formats(0x63_0000)) {
            first(&[Formats::AV1_10_444, Formats::AV1_10, Formats::AV1_444, Formats::AV1], Formats::AV1)
        } else if self.hevc && mine.meets(Formats(0x18_0300)) {
            first(&[Formats::HEVC10_444, Formats::HEVC10, Formats::HEVC_444, Formats::HEVC], Formats::HEVC)
        } else {
            first(&[Formats::H264_444, Formats::H264], Formats::H264)
        }
    }

    /// The layout for a channel count: the first line that begins with it is the normal one, the second the high one.
    #[must_use]
    pub fn layout(&self, channels: u8, high: bool) -> Option<SurroundLayout> {
        if channels == 2 {
            return Some(SurroundLayout { channels, streams: 1, coupled: 1, mapping: vec![0, 1] });
        }
        let prefix = channels.to_string();
        let line = self.surround.iter().filter(|l| l.starts_with(&prefix)).nth(usize::from(high))?;
        let digits: Vec<u8> = line.bytes().map(|b| b - b'0').collect();
        let (head, mapping) = digits.split_at_checked(3)?;
        if mapping.len() != usize::from(channels) {
            return None;
        }
        let mut mapping = mapping.to_vec();
        if !high {
            // Undo the vendor's quirk: the last entry belongs at position 3.
            mapping[3..].rotate_right(1);
        }
        Some(SurroundLayout { channels, streams: head[1], coupled: head[2], mapping })
    }
}
