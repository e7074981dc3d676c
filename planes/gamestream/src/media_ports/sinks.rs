//! The sending ends of a registration.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use punktfunk_core::packet::PacketBatch;
use punktfunk_engine::link::{DatagramSink, LinkError};
use punktfunk_media::reason;
use punktfunk_net::udp::Flow;

use super::seat::Seat;
use super::table::Stream;
use crate::wire::audio::AudioOut;

/// Sends video to where the client's newest ping came from; nothing before the first one.
#[derive(Debug)]
pub struct VideoSink {
    seat: Arc<Seat>,
    flow: Flow,
}

impl VideoSink {
    pub(super) const fn new(seat: Arc<Seat>, flow: Flow) -> Self {
        Self { seat, flow }
    }
}

impl DatagramSink for VideoSink {
    fn send(&mut self, batch: &PacketBatch, range: Range<usize>) -> Result<usize, LinkError> {
        let Some(path) = self.seat.path(Stream::Video) else { return Ok(0) };
        let report = self.flow.send(&path, batch.packets(range), batch.packet_bytes()).map_err(|e| broken(&e))?;
        Ok(report.sent)
    }
}

/// Sends sound likewise.
#[derive(Debug)]
pub struct AudioSocket {
    seat: Arc<Seat>,
    flow: Flow,
}

impl AudioSocket {
    pub(super) const fn new(seat: Arc<Seat>, flow: Flow) -> Self {
        Self { seat, flow }
    }
}

impl AudioOut for AudioSocket {
    fn is_ready(&self) -> bool {
        self.seat.path(Stream::Audio).is_some()
    }

    fn send(&mut self, datagram: &[u8]) -> Result<(), LinkError> {
        if let Some(path) = self.seat.path(Stream::Audio) {
            self.flow.send(&path, datagram, datagram.len()).map_err(|e| broken(&e))?;
        }
        Ok(())
    }
}

fn broken(error: &io::Error) -> LinkError {
    LinkError { reason: &reason::GAMESTREAM_MEDIA_SOCKET, detail: error.to_string(), fatal: true }
}
