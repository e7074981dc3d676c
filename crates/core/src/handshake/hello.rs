//! `Hello`: what the client wants and can (punktfunk1.md §3.4).

use alloc::string::String;
use alloc::vec::Vec;

use super::{
    AudioChannels, AudioLayout, ClientCaps, CompositorKind, GamepadKind, MAX_LAUNCH, MAX_NAME, VideoCaps, VideoFit,
    WIRE_VERSION,
};
use crate::framing::MAGIC_HANDSHAKE;
use crate::wire::{Put, Reader, cut};
use crate::{CodecSet, DecodeError, HdrMeta, Mode};

/// Client → host, the first message of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Must equal [`WIRE_VERSION`]; a host closes with `VERSION_MISMATCH` otherwise.
    pub abi_version: u32,
    /// The mode that the host's output shall have. Whatever was sent: the host checks it.
    pub mode: Mode,
    /// Preferred compositor.
    pub compositor: CompositorKind,
    /// Preferred model of virtual gamepads.
    pub gamepad: GamepadKind,
    /// Wire budget in kbit/s; 0 leaves it to the host and the client's adaptive bitrate.
    pub bitrate_kbps: u32,
    /// Device label, 1..=64 bytes, not sanitised.
    pub name: Option<String>,
    /// Store-qualified library id such as `steam:570`, 1..=128 bytes.
    pub launch: Option<String>,
    /// What the client's decoder and receiver can.
    pub video_caps: VideoCaps,
    /// Requested channels.
    pub audio_channels: AudioChannels,
    /// Codecs that the client decodes; empty means HEVC only.
    pub video_codecs: CodecSet,
    /// One codec bit, or empty.
    pub preferred_codec: CodecSet,
    /// Volume of the client's display.
    pub display_hdr: Option<HdrMeta>,
    /// What else the client can.
    pub client_caps: ClientCaps,
    /// Largest shard payload that may be set mid-session; 0: none but `Welcome`'s.
    pub max_shard_payload: u16,
    /// Requested sample rate of the PCM plane in Hz.
    pub audio_rate_hz: u32,
    /// Requested sample size of the PCM plane: 16 or 24.
    pub audio_bits: u8,
    /// Requested surround layout.
    pub audio_layout: AudioLayout,
    /// What to do with a picture sized for another device.
    pub video_fit: VideoFit,
}

impl Hello {
    /// The shortest `Hello`: only a mode, everything else at its default.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            abi_version: WIRE_VERSION,
            mode,
            compositor: CompositorKind::Auto,
            gamepad: GamepadKind::Auto,
            bitrate_kbps: 0,
            name: None,
            launch: None,
            video_caps: VideoCaps::NONE,
            audio_channels: AudioChannels::Stereo,
            video_codecs: CodecSet::default(),
            preferred_codec: CodecSet::default(),
            display_hdr: None,
            client_caps: ClientCaps::NONE,
            max_shard_payload: 0,
            audio_rate_hz: 48_000,
            audio_bits: 16,
            audio_layout: AudioLayout::Legacy,
            video_fit: VideoFit::Fit,
        }
    }

    /// Reads a payload. Only the fixed part can fail; whatever is wrong in the tail reads as its default.
    ///
    /// # Errors
    /// [`DecodeError`]: wrong magic, or shorter than 20 bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        r.magic(MAGIC_HANDSHAKE)?;
        let abi_version = r.u32()?;
        let mode = Mode { width: r.u32()?, height: r.u32()?, refresh_hz: r.u32()? };
        let mut hello = Self { abi_version, ..Self::new(mode) };
        // The error only says where the message stopped; what it left untouched stays at its default.
        let _ = hello.read_tail(&mut r);
        Ok(hello)
    }

    fn read_tail(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.compositor = CompositorKind::from_wire(r.u8()?).unwrap_or_default();
        self.gamepad = GamepadKind::from_wire(r.u8()?).unwrap_or_default();
        self.bitrate_kbps = r.u32()?;
        self.name = short_text(r, MAX_NAME)?;
        self.launch = short_text(r, MAX_LAUNCH)?;
        self.video_caps = VideoCaps(r.u8()?);
        self.audio_channels = AudioChannels::from_wire(r.u8()?).unwrap_or_default();
        self.video_codecs = CodecSet(r.u8()?);
        self.preferred_codec = CodecSet(r.u8()?);
        if r.left() >= HdrMeta::BYTES {
            self.display_hdr = Some(HdrMeta::read(r)?);
        }
        self.client_caps = ClientCaps(r.u8()?);
        self.max_shard_payload = r.u16()?;
        self.audio_rate_hz = match r.u32()? {
            0 => 48_000,
            rate => rate,
        };
        self.audio_bits = if r.u8()? == 24 { 24 } else { 16 };
        self.audio_layout = AudioLayout::from_wire(r.u8()?).unwrap_or_default();
        self.video_fit = VideoFit::from_wire(r.u8()?).unwrap_or_default();
        Ok(())
    }

    /// Appends the canonical payload. A name above 64 bytes is cut between two characters; a `launch` above 128 bytes
    /// cannot be said and is left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name = cut(self.name.as_deref().unwrap_or_default(), MAX_NAME);
        let launch = self.launch.as_deref().filter(|l| l.len() <= MAX_LAUNCH).unwrap_or_default();
        let bits = if self.audio_bits == 24 { 24 } else { 16 };
        let rate = if self.audio_rate_hz == 0 { 48_000 } else { self.audio_rate_hz };

        out.put(&MAGIC_HANDSHAKE).put_u32(self.abi_version);
        out.put_u32(self.mode.width).put_u32(self.mode.height).put_u32(self.mode.refresh_hz);
        out.put_u8(self.compositor.wire()).put_u8(self.gamepad.wire()).put_u32(self.bitrate_kbps);

        // Every optional field is written; then the message ends after the last one that was not at its default.
        let mut end = out.len();
        let mut field = |out: &mut Vec<u8>, is_default: bool| {
            if !is_default {
                end = out.len();
            }
        };
        out.put_u8(name.len() as u8).put(name.as_bytes());
        field(out, name.is_empty());
        out.put_u8(launch.len() as u8).put(launch.as_bytes());
        field(out, launch.is_empty());
        out.put_u8(self.video_caps.0);
        field(out, self.video_caps.is_empty());
        out.put_u8(self.audio_channels.wire());
        field(out, self.audio_channels == AudioChannels::Stereo);
        out.put_u8(self.video_codecs.0);
        field(out, self.video_codecs.is_empty());
        out.put_u8(self.preferred_codec.0);
        field(out, self.preferred_codec.is_empty());
        if let Some(hdr) = &self.display_hdr {
            hdr.write(out);
            field(out, false);
        }
        out.put_u8(self.client_caps.0);
        field(out, self.client_caps.is_empty());
        out.put_u16(self.max_shard_payload);
        field(out, self.max_shard_payload == 0);
        out.put_u32(rate);
        field(out, rate == 48_000);
        out.put_u8(bits);
        field(out, bits == 16);
        out.put_u8(self.audio_layout.wire());
        field(out, self.audio_layout == AudioLayout::Legacy);
        out.put_u8(self.video_fit.wire());
        field(out, self.video_fit == VideoFit::Fit);
        out.truncate(end);
    }
}

/// A length byte and that many bytes. Too long or not UTF-8 reads as absent, but its length still locates the rest.
fn short_text(r: &mut Reader<'_>, max: usize) -> Result<Option<String>, DecodeError> {
    let len = usize::from(r.u8()?);
    let bytes = r.take(len)?;
    Ok(core::str::from_utf8(bytes).ok().filter(|s| !s.is_empty() && len <= max).map(Into::into))
}
