//! `Welcome`: what the client gets (punktfunk1.md §3.5).

use alloc::vec::Vec;
use core::fmt;

use super::{
    AUDIO_RATES_HZ, AudioChannels, AudioCodec, AudioLayout, BitDepth, ChromaFormat, Cipher, Colour, CompositorKind,
    ExtensionBlock, FecScheme, GamepadKind, HostCaps, HostCaps2, MAX_SHARD_PAYLOAD, MIN_SHARD_PAYLOAD, WIRE_VERSION,
};
use crate::framing::MAGIC_HANDSHAKE;
use crate::wire::{Put, Reader};
use crate::{Codec, DecodeError, Grants, Mode};

/// Host → client: the resolved session. Holds its keys, which [`fmt::Debug`] never shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Welcome {
    /// [`WIRE_VERSION`].
    pub abi_version: u32,
    /// The host's UDP data port; 0 never reaches a native client.
    pub udp_port: u16,
    /// Resolved mode; may differ from the request.
    pub mode: Mode,
    /// Scheme of the recovery shards.
    pub fec_scheme: FecScheme,
    /// Starting percentage; informative, since packets carry real counts.
    pub fec_percent: u8,
    /// K: data shards per full block.
    pub max_data_per_block: u16,
    /// Shard size in bytes, even, [`MIN_SHARD_PAYLOAD`]..=[`MAX_SHARD_PAYLOAD`].
    pub shard_payload: u16,
    /// Whether packets are sealed; hosts always say so.
    pub encrypt: bool,
    /// Random per session.
    pub aes_key: [u8; 16],
    /// Random per session.
    pub salt: [u8; 4],
    /// 0 = unbounded; a test stream ends after so many frames.
    pub frames: u32,
    /// Resolved compositor.
    pub compositor: CompositorKind,
    /// Resolved model of virtual gamepads.
    pub gamepad: GamepadKind,
    /// Resolved wire budget in kbit/s; 0 unknown, which switches adaptive bitrate off.
    pub bitrate_kbps: u32,
    /// Bits per sample.
    pub bit_depth: BitDepth,
    /// Colour description.
    pub colour: Colour,
    /// Chroma subsampling; the stream's parameter sets are authoritative.
    pub chroma: ChromaFormat,
    /// Resolved channels.
    pub audio_channels: AudioChannels,
    /// Resolved codec.
    pub codec: Codec,
    /// What the host does.
    pub host_caps: HostCaps,
    /// AEAD of the data plane, with its key unless that is `aes_key`.
    pub cipher: Cipher,
    /// TCP port of the management API, 0 = not told.
    pub mgmt_port: u16,
    /// What this device may do.
    pub grants: Grants,
    /// Seconds until the access ends, 0 = permanent.
    pub expires_in_secs: u32,
    /// Audio plane.
    pub audio_codec: AudioCodec,
    /// Sample rate of the PCM plane in Hz; 48 000 for Opus, whatever was set.
    pub audio_rate_hz: u32,
    /// Sample size of the PCM plane: 16 or 24; 16 for Opus, whatever was set.
    pub audio_bits: u8,
    /// PCM frame duration in µs, at least 1000; 0 for Opus.
    pub audio_frame_us: u16,
    /// What else the host does.
    pub host_caps2: HostCaps2,
    /// Resolved surround layout.
    pub audio_layout: AudioLayout,
    /// Only toward a client with [`super::ClientCaps::EXT`].
    pub extensions: Option<ExtensionBlock>,
}

impl Welcome {
    /// A welcome with everything optional at its default; the caller fills in what the session plan says. Geometry is
    /// what hosts use: Leopard FEC, 10 %, K 4096, shards of 1408 bytes (IPv4).
    #[must_use]
    pub fn new(mode: Mode, codec: Codec, udp_port: u16, aes_key: [u8; 16], salt: [u8; 4]) -> Self {
        Self {
            abi_version: WIRE_VERSION,
            udp_port,
            mode,
            fec_scheme: FecScheme::Gf16,
            fec_percent: 10,
            max_data_per_block: 4096,
            shard_payload: 1408,
            encrypt: true,
            aes_key,
            salt,
            frames: 0,
            compositor: CompositorKind::Auto,
            gamepad: GamepadKind::Auto,
            bitrate_kbps: 0,
            bit_depth: BitDepth::Eight,
            colour: Colour::BT709,
            chroma: ChromaFormat::Yuv420,
            audio_channels: AudioChannels::Stereo,
            codec,
            host_caps: HostCaps::NONE,
            cipher: Cipher::Aes128Gcm,
            mgmt_port: 0,
            grants: Grants::ALL,
            expires_in_secs: 0,
            audio_codec: AudioCodec::Opus,
            audio_rate_hz: 48_000,
            audio_bits: 16,
            audio_frame_us: 0,
            host_caps2: HostCaps2::NONE,
            audio_layout: AudioLayout::Legacy,
            extensions: None,
        }
    }

    /// Reads a payload; what is missing behind byte 53 reads as its default. Check the result with [`Self::validate`].
    ///
    /// # Errors
    /// [`DecodeError`]: wrong magic, shorter than 53 bytes, an unknown cipher, a missing ChaCha20 key, or a malformed
    /// extension block. All fail the handshake.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        r.magic(MAGIC_HANDSHAKE)?;
        let abi_version = r.u32()?;
        let udp_port = r.u16()?;
        let mode = Mode { width: r.u32()?, height: r.u32()?, refresh_hz: r.u32()? };
        let fec_scheme = if r.u8()? == 1 { FecScheme::Gf16 } else { FecScheme::Gf8 };
        let fec_percent = r.u8()?;
        let max_data_per_block = r.u16()?;
        let shard_payload = r.u16()?;
        let encrypt = r.bool()?;
        let aes_key = r.array()?;
        let salt = r.array()?;
        let frames = r.u32()?;
        let mut welcome = Self {
            abi_version,
            fec_scheme,
            fec_percent,
            max_data_per_block,
            shard_payload,
            encrypt,
            frames,
            ..Self::new(mode, Codec::Hevc, udp_port, aes_key, salt)
        };
        // Up to the cipher and behind it, a message may stop anywhere; at the cipher and in the block, it may not.
        if welcome.read_resolved(&mut r).is_ok() && r.left() > 0 {
            welcome.cipher = match r.u8()? {
                0 => Cipher::Aes128Gcm,
                1 => Cipher::ChaCha20Poly1305(r.array()?),
                _ => return Err(DecodeError::Invalid("cipher")),
            };
            if welcome.read_tail(&mut r).is_ok() && r.left() > 0 {
                welcome.extensions = Some(ExtensionBlock::read(&mut r)?);
            }
        }
        Ok(welcome)
    }

    fn read_resolved(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.compositor = CompositorKind::from_wire(r.u8()?).unwrap_or_default();
        self.gamepad = GamepadKind::from_wire(r.u8()?).unwrap_or_default();
        self.bitrate_kbps = r.u32()?;
        self.bit_depth = BitDepth::from_wire(r.u8()?).unwrap_or_default();
        self.colour.primaries = r.u8()?;
        self.colour.transfer = r.u8()?;
        self.colour.matrix = r.u8()?;
        self.colour.full_range = r.bool()?;
        self.chroma = ChromaFormat::from_wire(r.u8()?).unwrap_or_default();
        self.audio_channels = AudioChannels::from_wire(r.u8()?).unwrap_or_default();
        self.codec = Codec::from_bit(r.u8()?).unwrap_or(Codec::Hevc);
        self.host_caps = HostCaps(r.u8()?);
        Ok(())
    }

    fn read_tail(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.mgmt_port = r.u16()?;
        self.grants = Grants(r.u32()?);
        self.expires_in_secs = r.u32()?;
        self.audio_codec = AudioCodec::from_wire(r.u8()?).unwrap_or_default();
        let format = (r.u32()?, r.u8()?, r.u16()?);
        (self.audio_rate_hz, self.audio_bits, self.audio_frame_us) = pcm_format(self.audio_codec, format);
        self.host_caps2 = HostCaps2(r.u8()?);
        self.audio_layout = AudioLayout::from_wire(r.u8()?).unwrap_or_default();
        Ok(())
    }

    /// Checks what a client must be able to rely on before it opens its data plane.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] naming the field: wire version, encryption off, an all-zero key, K of 0, or a shard
    /// size outside its limits.
    pub fn validate(&self) -> Result<(), DecodeError> {
        let shard_ok = (MIN_SHARD_PAYLOAD..=MAX_SHARD_PAYLOAD).contains(&self.shard_payload);
        let checks = [
            (self.abi_version == WIRE_VERSION, "abi_version"),
            (self.encrypt, "encrypt: the data plane would not be sealed"),
            (self.aes_key != [0; 16] || self.cipher != Cipher::Aes128Gcm, "aes_key: all zero"),
            (self.max_data_per_block > 0, "max_data_per_block"),
            (shard_ok && self.shard_payload.is_multiple_of(2), "shard_payload"),
        ];
        checks.into_iter().try_for_each(|(ok, what)| if ok { Ok(()) } else { Err(DecodeError::Invalid(what)) })
    }

    /// Appends the canonical payload: 68 bytes at least, then up to the last field that differs from its default.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put(&MAGIC_HANDSHAKE).put_u32(self.abi_version).put_u16(self.udp_port);
        out.put_u32(self.mode.width).put_u32(self.mode.height).put_u32(self.mode.refresh_hz);
        out.put_u8(u8::from(self.fec_scheme == FecScheme::Gf16)).put_u8(self.fec_percent);
        out.put_u16(self.max_data_per_block).put_u16(self.shard_payload).put_u8(self.encrypt.into());
        out.put(&self.aes_key).put(&self.salt).put_u32(self.frames);
        out.put_u8(self.compositor.wire()).put_u8(self.gamepad.wire()).put_u32(self.bitrate_kbps);
        out.put_u8(self.bit_depth.wire()).put_u8(self.colour.primaries).put_u8(self.colour.transfer);
        out.put_u8(self.colour.matrix).put_u8(self.colour.full_range.into()).put_u8(self.chroma.wire());
        out.put_u8(self.audio_channels.wire()).put_u8(self.codec.bit()).put_u8(self.host_caps.0);

        let mut end = out.len();
        match &self.cipher {
            Cipher::Aes128Gcm => {
                out.put_u8(0);
            }
            Cipher::ChaCha20Poly1305(key) => {
                out.put_u8(1).put(key);
                end = out.len();
            }
        }
        let mut field = |out: &mut Vec<u8>, is_default: bool| {
            if !is_default {
                end = out.len();
            }
        };
        out.put_u16(self.mgmt_port);
        field(out, self.mgmt_port == 0);
        out.put_u32(self.grants.0).put_u32(self.expires_in_secs);
        field(out, self.grants == Grants::ALL && self.expires_in_secs == 0);
        let format = (self.audio_rate_hz, self.audio_bits, self.audio_frame_us);
        let (rate_hz, bits, frame_us) = pcm_format(self.audio_codec, format);
        out.put_u8(self.audio_codec.wire()).put_u32(rate_hz).put_u8(bits).put_u16(frame_us);
        field(out, self.audio_codec == AudioCodec::Opus);
        out.put_u8(self.host_caps2.0);
        field(out, self.host_caps2.is_empty());
        out.put_u8(self.audio_layout.wire());
        field(out, self.audio_layout == AudioLayout::Legacy);
        if let Some(extensions) = &self.extensions {
            extensions.write(out);
            field(out, false);
        }
        out.truncate(end);
    }
}

/// Rate, sample size and frame duration as they can be: Opus has one form; PCM falls back to 48 000 Hz and 16 bits, and
/// its frames last a millisecond at least.
fn pcm_format(codec: AudioCodec, (rate_hz, bits, frame_us): (u32, u8, u16)) -> (u32, u8, u16) {
    if codec == AudioCodec::Opus {
        return (48_000, 16, 0);
    }
    let rate_hz = if AUDIO_RATES_HZ.contains(&rate_hz) { rate_hz } else { 48_000 };
    (rate_hz, if bits == 24 { 24 } else { 16 }, if frame_us == 0 { 0 } else { frame_us.max(1000) })
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome")
            .field("abi_version", &self.abi_version)
            .field("udp_port", &self.udp_port)
            .field("mode", &self.mode)
            .field("fec", &(self.fec_scheme, self.fec_percent))
            .field("max_data_per_block", &self.max_data_per_block)
            .field("shard_payload", &self.shard_payload)
            .field("encrypt", &self.encrypt)
            .field("frames", &self.frames)
            .field("compositor", &self.compositor)
            .field("gamepad", &self.gamepad)
            .field("bitrate_kbps", &self.bitrate_kbps)
            .field("picture", &(self.codec, self.bit_depth, self.chroma, self.colour))
            .field("audio", &(self.audio_codec, self.audio_channels, self.audio_layout))
            .field("pcm", &(self.audio_rate_hz, self.audio_bits, self.audio_frame_us))
            .field("caps", &(self.host_caps, self.host_caps2))
            .field("cipher", &self.cipher)
            .field("mgmt_port", &self.mgmt_port)
            .field("access", &(self.grants, self.expires_in_secs))
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}
