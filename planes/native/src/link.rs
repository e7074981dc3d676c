//! The way of access units to one client: the core's packetizer and the session's UDP socket behind the engine's traits.

use std::ops::Range;
use std::sync::Arc;

use punktfunk_core::handshake::{Cipher, FecScheme as WireScheme, Welcome};
use punktfunk_core::packet::{PacketBatch, UserFlags, max_frame_bytes};
use punktfunk_core::packetize::{FrameMeta, PacketizeError, Packetizer, PacketizerConfig};
use punktfunk_core::seal::{Direction, Sealer};
use punktfunk_core::{fec, fec::FecScheme};
use punktfunk_engine::link::{AccessUnitOut, DatagramSink, LinkError, Packetize};
use punktfunk_media::reason;
use punktfunk_net::udp::DataSocket;

/// Cuts, protects and seals as `Welcome` promised.
pub(crate) struct WelcomePacketizer(Packetizer);

impl WelcomePacketizer {
    /// # Errors
    /// [`PacketizeError::Config`] if `welcome` cannot be put on the wire, which would be a bug of ours.
    pub fn new(welcome: &Welcome) -> Result<Self, PacketizeError> {
        let scheme = match welcome.fec_scheme {
            WireScheme::Gf8 => FecScheme::Gf8,
            WireScheme::Gf16 => FecScheme::Gf16,
        };
        let aead = match &welcome.cipher {
            Cipher::Aes128Gcm => punktfunk_accel::aes128_gcm(&welcome.aes_key),
            Cipher::ChaCha20Poly1305(key) => punktfunk_accel::chacha20_poly1305(key),
        };
        let code: Box<dyn fec::Fec> = punktfunk_accel::fec(scheme);
        let config = PacketizerConfig {
            shard_payload: welcome.shard_payload,
            max_data_per_block: welcome.max_data_per_block,
            scheme,
            welcome_fec_percent: welcome.fec_percent,
            // Clients size their buffers by what Welcome says; a later mode or bitrate does not raise that.
            max_frame_bytes: max_frame_bytes(welcome.bitrate_kbps, welcome.mode.refresh_hz),
        };
        Packetizer::new(config, Sealer::new(aead, welcome.salt, Direction::HostToClient), code).map(Self)
    }
}

impl Packetize for WelcomePacketizer {
    fn packetize(&mut self, unit: &AccessUnitOut<'_>, batch: &mut PacketBatch) -> Result<u32, LinkError> {
        let meta =
            FrameMeta { pts_ns: unit.pts_ns, user_flags: user_flags(unit), strength: unit.strength, probe: unit.probe };
        self.0.packetize(unit.data, &meta, batch).map_err(|error| LinkError {
            reason: match error {
                PacketizeError::TooLarge { .. } => &reason::NATIVE_FRAME_TOO_LARGE,
                PacketizeError::Config(_) | PacketizeError::Fec(_) => &reason::NATIVE_PACKETIZE_FAILED,
            },
            fatal: !matches!(error, PacketizeError::TooLarge { .. }),
            detail: error.to_string(),
        })
    }
}

fn user_flags(unit: &AccessUnitOut<'_>) -> UserFlags {
    [
        (unit.keyframe, UserFlags::KEYFRAME),
        (unit.recovery_anchor, UserFlags::RECOVERY_ANCHOR),
        (unit.repeat, UserFlags::REPEAT),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(UserFlags::PICTURE, |flags, (_, flag)| flags | flag)
}

/// Sends on the session's socket.
pub(crate) struct SocketSink(pub Arc<DataSocket>);

impl DatagramSink for SocketSink {
    fn send(&mut self, batch: &PacketBatch, range: Range<usize>) -> Result<usize, LinkError> {
        let report = self.0.send(batch.packets(range), batch.packet_bytes()).map_err(|error| LinkError {
            reason: &reason::NATIVE_DATA_SOCKET,
            detail: error.to_string(),
            fatal: true,
        })?;
        Ok(report.sent)
    }
}
