//! The small enumerations of the handshake, each with the reading rule for numbers that nobody assigned.

use core::fmt;

use crate::wire::wire_enum;
use crate::{Codec, CodecSet};

wire_enum! {
    /// Which compositor the client would like (`Hello`) or got (`Welcome`). Unknown numbers read as [`Self::Auto`].
    CompositorKind: u8 {
        /// The host chooses.
        Auto = 0,
        /// KWin.
        Kwin = 1,
        /// A wlroots compositor (sway, labwc …).
        Wlroots = 2,
        /// Mutter.
        Mutter = 3,
        /// gamescope.
        Gamescope = 4,
        /// Hyprland.
        Hyprland = 5,
        /// Windows.
        Windows = 6,
    }
}

wire_enum! {
    /// A gamepad model (punktfunk1.md §3.10). Unknown numbers read as [`Self::Auto`].
    GamepadKind: u8 {
        /// The host's default.
        Auto = 0,
        /// Xbox 360.
        Xbox360 = 1,
        /// DualSense.
        DualSense = 2,
        /// Xbox One or Series.
        XboxOne = 3,
        /// DualShock 4.
        DualShock4 = 4,
        /// Steam Controller.
        SteamController = 5,
        /// Steam Deck.
        SteamDeck = 6,
        /// DualSense Edge.
        DualSenseEdge = 7,
        /// Switch Pro.
        SwitchPro = 8,
        /// Steam Controller 2.
        SteamController2 = 9,
        /// Steam Controller 2 through its puck.
        SteamController2Puck = 10,
        /// Xbox Elite 2.
        XboxElite2 = 11,
        /// 8BitDo Ultimate 2.
        Ultimate2 = 12,
        /// 8BitDo Pro 2.
        Pro2 = 13,
        /// 8BitDo Pro 3.
        Pro3 = 14,
        /// HORIPAD Steam.
        HoripadSteam = 15,
        /// A pair of Joy-Cons.
        JoyConPair = 16,
        /// Switch 2 Pro.
        Switch2Pro = 17,
        /// Switch 2 GameCube.
        Switch2GameCube = 18,
    }
}

wire_enum! {
    /// Audio channel count. Anything else reads as [`Self::Stereo`].
    AudioChannels: u8 {
        /// FL FR.
        Stereo = 2,
        /// FL FR FC LFE RL RR.
        Surround51 = 6,
        /// FL FR FC LFE RL RR SL SR.
        Surround71 = 8,
    }
}

wire_enum! {
    /// How surround channels lie in Opus streams (punktfunk1.md §4.7). Unknown numbers read as [`Self::Legacy`].
    AudioLayout: u8 {
        /// The mapping of the first releases.
        Legacy = 0,
        /// The standard mapping.
        Standard = 1,
        /// One mono stream per channel.
        Uncoupled = 2,
    }
}

wire_enum! {
    /// `Welcome.audio_codec`. The reserved number 1 and unknown ones read as [`Self::Opus`].
    AudioCodec: u8 {
        /// Opus in 0xC9 or 0xD2.
        Opus = 0,
        /// PCM in 0xD3.
        Pcm = 2,
    }
}

wire_enum! {
    /// What to do with a picture that was sized for another device. Unknown numbers read as [`Self::Fit`].
    VideoFit: u8 {
        /// Whole picture with bars.
        Fit = 0,
        /// Fill and crop.
        Crop = 1,
        /// Fill and distort.
        Stretch = 2,
    }
}

wire_enum! {
    /// `chroma_format_idc`. Anything else reads as [`Self::Yuv420`].
    ChromaFormat: u8 {
        /// 4:2:0.
        Yuv420 = 1,
        /// 4:4:4.
        Yuv444 = 3,
    }
}

wire_enum! {
    /// Bits per sample. Anything else reads as [`Self::Eight`].
    BitDepth: u8 {
        /// 8 bits.
        Eight = 8,
        /// 10 bits.
        Ten = 10,
    }
}

macro_rules! default_is {
    ($($t:ty: $v:ident),* $(,)?) => {$(
        impl Default for $t {
            fn default() -> Self {
                Self::$v
            }
        }
    )*};
}

default_is!(
    CompositorKind: Auto, GamepadKind: Auto, AudioChannels: Stereo, AudioLayout: Legacy, AudioCodec: Opus,
    VideoFit: Fit, ChromaFormat: Yuv420, BitDepth: Eight,
);

impl AudioChannels {
    /// Number of channels.
    #[must_use]
    pub const fn count(self) -> usize {
        self as usize
    }
}

/// Colour description as CICP numbers (ITU-T H.273).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Colour {
    /// 1 BT.709, 9 BT.2020.
    pub primaries: u8,
    /// 1 BT.709, 16 PQ, 18 HLG.
    pub transfer: u8,
    /// 1 BT.709, 9 BT.2020 non-constant luminance.
    pub matrix: u8,
    /// Full instead of limited range.
    pub full_range: bool,
}

impl Colour {
    /// SDR: BT.709, limited range.
    pub const BT709: Self = Self { primaries: 1, transfer: 1, matrix: 1, full_range: false };
    /// HDR10: BT.2020 with PQ, limited range.
    pub const BT2020_PQ: Self = Self { primaries: 9, transfer: 16, matrix: 9, full_range: false };
}

impl Default for Colour {
    fn default() -> Self {
        Self::BT709
    }
}

/// Which AEAD seals the data plane. The AES-128 key has its own place in `Welcome`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128-GCM with `Welcome.aes_key`.
    Aes128Gcm,
    /// ChaCha20-Poly1305 with this key.
    ChaCha20Poly1305([u8; 32]),
}

impl Cipher {
    /// Lower-case name for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::ChaCha20Poly1305(_) => "chacha20-poly1305",
        }
    }
}

/// Never shows the key.
impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sample rates of the PCM plane; anything else reads as 48 000 in `Welcome`.
pub const AUDIO_RATES_HZ: [u32; 5] = [44_100, 48_000, 88_200, 96_000, 176_400];

/// The codec of a session (punktfunk1.md §3.8): the client's preference if shared, else HEVC, AV1, H.264 in that order.
/// `client` without any bit means HEVC. `None`: nothing in common, the host refuses.
///
/// ```
/// use punktfunk_core::{Codec, CodecSet, handshake::choose_codec};
/// let host = CodecSet::only(Codec::H264).with(Codec::Av1);
/// assert_eq!(choose_codec(CodecSet(0x07), CodecSet::default(), host), Some(Codec::Av1));
/// assert_eq!(choose_codec(CodecSet(0x07), CodecSet::only(Codec::H264), host), Some(Codec::H264));
/// assert_eq!(choose_codec(CodecSet::default(), CodecSet::default(), host), None);
/// ```
#[must_use]
pub fn choose_codec(client: CodecSet, preferred: CodecSet, host: CodecSet) -> Option<Codec> {
    let client = if client.is_empty() { CodecSet::only(Codec::Hevc) } else { client };
    let shared = client.intersect(host);
    let wished = preferred.intersect(shared);
    Codec::ALL
        .into_iter()
        .find(|c| wished.contains(*c))
        .or_else(|| [Codec::Hevc, Codec::Av1, Codec::H264].into_iter().find(|c| shared.contains(*c)))
}
