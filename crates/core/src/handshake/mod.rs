//! The handshake: `Hello` and `Start` from the client, `Welcome` from the host (punktfunk1.md §3.4–§3.8).
//!
//! ```text
//! client ── Hello ──► host      what the client wants and can
//! client ◄─ Welcome ─ host      what it gets: mode, keys, data port, capabilities (after up to 180 s of approval)
//! client ── Start ──► host      its data port; from here on the stream carries control messages
//! ```
//!
//! The three are told apart by position. Each is a fixed part and a tail of optional fields; the encoder stops after
//! the last field that differs from its default (the canonical form), and the decoder fills in defaults for what is
//! missing. `encode` appends the payload only; the frame around it is `framing`'s.

mod caps;
mod ext;
mod hello;
mod kinds;
mod start;
mod welcome;

pub use caps::{ClientCaps, HostCaps, HostCaps2, VideoCaps};
pub use ext::{ExtensionBlock, ExtensionError, SettingsPreset};
pub use hello::Hello;
pub use kinds::{
    AUDIO_RATES_HZ, AudioChannels, AudioCodec, AudioLayout, BitDepth, ChromaFormat, Cipher, Colour, CompositorKind,
    GamepadKind, VideoFit, choose_codec,
};
pub use start::Start;
pub use welcome::Welcome;

pub use crate::fec::FecScheme;

/// The wire version in `abi_version` of `Hello` and `Welcome`: compared for equality, never raised.
pub const WIRE_VERSION: u32 = 2;

/// Longest device name in bytes (`Hello.name`, `PairRequest.name`).
pub const MAX_NAME: usize = 64;

/// Longest `Hello.launch` in bytes.
pub const MAX_LAUNCH: usize = 128;

/// Largest extension block in bytes, its two header bytes included.
pub const MAX_EXTENSION_BLOCK: usize = 4096;

/// Most entries of an extension block.
pub const MAX_EXTENSION_ENTRIES: usize = 64;

/// Smallest shard payload that a client accepts.
pub const MIN_SHARD_PAYLOAD: u16 = 512;

/// Largest shard payload that any client accepts.
pub const MAX_SHARD_PAYLOAD: u16 = 9152;

/// Largest shard payload that clients without shard renegotiation accept (2048-byte receive buffers).
pub const MAX_SHARD_PAYLOAD_LEGACY: u16 = 1984;

/// Extension: padding, ignored.
pub const EXT_TAG_PADDING: u16 = 1;

/// Extension of `Start`: a label of the client for the log.
pub const EXT_TAG_CLIENT_LABEL: u16 = 2;

/// Extension of `Start`: adaptive-bitrate features, one byte.
pub const EXT_TAG_ABR: u16 = 3;

/// Extension of `Start`: the settings preset in use.
pub const EXT_TAG_PRESET: u16 = 4;

/// Our extension of `Start` (`"PF"`; value: one byte, 1): the client wants three more stage times in datagram 0xCF.
/// Written up in `docs/protocol/punktfunk1.md` §3.7.
pub const EXT_TAG_STAGE_TIMING: u16 = 0x5046;
