//! The way of coded blocks to one client.

use punktfunk_engine::link::{AudioSink, LinkError};
use punktfunk_media::reason;

use super::packetizer::{AudioConfig, AudioPacketizer};

/// Where sound packets go: the session's place at the audio port.
pub trait AudioOut: Send {
    /// Whether the client's address is known: before its first ping there is nobody to send to.
    fn is_ready(&self) -> bool;

    /// Sends one datagram, or drops it where the network is in the way.
    ///
    /// # Errors
    /// [`LinkError`] if no later datagram can be sent either.
    fn send(&mut self, datagram: &[u8]) -> Result<(), LinkError>;
}

/// Packets of sound for one client. Sequence and time begin with the first block after the client's first ping.
#[derive(Debug)]
pub struct RtpAudioSink<O> {
    packetizer: AudioPacketizer,
    out: O,
}

impl<O: AudioOut> RtpAudioSink<O> {
    /// For a new session.
    #[must_use]
    pub fn new(config: &AudioConfig, out: O) -> Self {
        Self { packetizer: AudioPacketizer::new(config), out }
    }
}

impl<O: AudioOut> AudioSink for RtpAudioSink<O> {
    fn send(&mut self, packet: &[u8], _captured_ns: u64, _silent: bool) -> Result<(), LinkError> {
        if !self.out.is_ready() {
            return Ok(());
        }
        let packets = self.packetizer.push(packet).map_err(|error| LinkError {
            reason: &reason::GAMESTREAM_AUDIO_PACKET,
            detail: error.to_string(),
            fatal: false,
        })?;
        for packet in packets {
            self.out.send(packet)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Out {
        ready: bool,
        sent: Vec<Vec<u8>>,
    }

    impl AudioOut for Out {
        fn is_ready(&self) -> bool {
            self.ready
        }

        fn send(&mut self, datagram: &[u8]) -> Result<(), LinkError> {
            self.sent.push(datagram.to_vec());
            Ok(())
        }
    }

    #[test]
    fn sequence_begins_when_the_client_is_there() {
        let config = AudioConfig { duration: Duration::from_millis(5), key: None };
        let mut sink = RtpAudioSink::new(&config, Out::default());
        for _ in 0..7 {
            sink.send(&[1, 2, 3], 0, false).expect("dropped");
        }
        assert!(sink.out.sent.is_empty());
        sink.out.ready = true;
        for _ in 0..4 {
            sink.send(&[1, 2, 3], 0, false).expect("sent");
        }
        assert_eq!(sink.out.sent.len(), 6);
        assert_eq!(sink.out.sent[0][..8], [0x80, 97, 0, 0, 0, 0, 0, 0]);
        let error = sink.send(&[0; 2000], 0, false).expect_err("too long");
        assert_eq!((error.reason.code, error.fatal), ("gamestream.audio_packet", false));
    }
}
