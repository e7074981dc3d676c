//! `Start`: the client's data port, and what only a host with the EXT bit reads (punktfunk1.md §3.6).

use alloc::vec::Vec;

use super::ExtensionBlock;
use crate::DecodeError;
use crate::framing::MAGIC_HANDSHAKE;
use crate::wire::{Put, Reader};

/// Client → host, after `Welcome`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Start {
    /// Local port of the client's data socket: where video goes if no hole punch arrives.
    pub client_udp_port: u16,
    /// Only toward a host with [`super::HostCaps2::EXT`].
    pub extensions: Option<ExtensionBlock>,
}

impl Start {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`DecodeError`]: wrong magic, shorter than 6 bytes, or a malformed extension block. All fail the handshake.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        r.magic(MAGIC_HANDSHAKE)?;
        let client_udp_port = r.u16()?;
        let extensions = if r.left() > 0 { Some(ExtensionBlock::read(&mut r)?) } else { None };
        Ok(Self { client_udp_port, extensions })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put(&MAGIC_HANDSHAKE).put_u16(self.client_udp_port);
        if let Some(extensions) = &self.extensions {
            extensions.write(out);
        }
    }
}
